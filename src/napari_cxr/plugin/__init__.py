"""What napari sees: reader, docks, commands. The only package that imports Qt or napari."""
