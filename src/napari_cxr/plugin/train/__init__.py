"""The Train dock: a folder of labelled images, a recipe, and the current run."""
