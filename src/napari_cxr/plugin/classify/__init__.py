"""The Classify dock: what a model says of one radiograph, and where it looked."""
