"""``python -m napari_cxr.workers ROLE DIRECTORY``: one worker process."""

import sys

from napari_cxr.workers.child import main

main(*sys.argv[1:])
