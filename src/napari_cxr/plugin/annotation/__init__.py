"""Annotating a table of scores: opening radiographs row by row, and labelling them."""
