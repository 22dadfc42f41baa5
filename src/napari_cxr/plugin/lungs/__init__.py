"""The lungs of a radiograph on screen: found, drawn, corrected."""
