"""The table of scored rows: what is kept, shown, sorted, filtered and copied."""
