"""Which studies a folder or a disc holds: their index, their order, and what belongs together."""
