"""Widgets that several docks use: selectors, folding sections, messages and elided text."""
