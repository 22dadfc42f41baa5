"""Annotating a table of scores row by row: opening radiographs, and labels by a person."""
