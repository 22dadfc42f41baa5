"""The Train dock: a folder of labelled images, what to do with it, and the run under way."""
