"""Backends: what runs the stages of a network, on which device."""
