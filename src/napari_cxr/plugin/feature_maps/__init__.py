"""The Feature maps dock: what the filters of a network answer."""
