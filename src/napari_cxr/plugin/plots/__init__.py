"""Small plots that paint themselves in napari's theme."""
