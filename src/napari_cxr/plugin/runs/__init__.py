"""Runs on screen: one with its curves and figures, and the table of all."""
