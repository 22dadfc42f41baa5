"""Scoring on a Dask cluster: the listing in pieces, one table."""
