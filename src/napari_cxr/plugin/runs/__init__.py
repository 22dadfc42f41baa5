"""Training runs on screen: one run with its curves and metrics, and the table of all runs."""
