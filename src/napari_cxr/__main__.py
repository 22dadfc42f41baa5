"""``python -m napari_cxr`` is the command ``napari-cxr``."""

import os
import sys

# Unlike the command, ``python -m`` looks for modules in the working folder first, and a folder
# of images may have the name of one: python-gdcm imports ``dl`` where it finds it.
if not sys.flags.safe_path and sys.path[:1] in ([''], [os.getcwd()]):
    del sys.path[0]

from napari_cxr.cli import main

if __name__ == '__main__':
    main()
