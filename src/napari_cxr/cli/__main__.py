"""``python -m napari_cxr.cli``, for launchers that start a module, such as torchrun."""

from napari_cxr.cli import main

main()
