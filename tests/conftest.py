"""What several test files share."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope='session')
def cxr_data() -> Path:
    """Folder of real radiographs; the test skips where it is missing."""
    folder = os.environ.get('NAPARI_CXR_DATA')
    if not folder or not Path(folder).is_dir():
        pytest.skip('NAPARI_CXR_DATA names no folder of real radiographs')
    return Path(folder)
