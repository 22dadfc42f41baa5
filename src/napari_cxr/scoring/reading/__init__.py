"""A person's labels for the rows of a table: kept beside it, and exported."""
