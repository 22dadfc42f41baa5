"""``python -m napari_cxr`` is the command ``napari-cxr``."""

from napari_cxr.cli import main

if __name__ == '__main__':
    main()
