"""Reading a table row by row: opening radiographs, and labels by a person."""
