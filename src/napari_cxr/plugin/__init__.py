"""What napari sees: reader, docks, commands. The only room that imports Qt or napari."""
