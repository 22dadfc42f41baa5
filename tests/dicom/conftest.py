"""DICOM files that the tests make themselves."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset

from napari_cxr.dicom import privacy
from napari_cxr.samples import write_phantom_dicom


@pytest.fixture(autouse=True)
def own_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the secret of the person who runs the tests out of them."""
    path = tmp_path / 'home' / 'pseudonyms.key'
    monkeypatch.setattr(privacy, 'secret_path', lambda: path)
    return path


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes pixels and elements to a DX file."""

    def written(pixels: Any = None, *, bits: int = 12, name: str = 'image.dcm', **more: Any):
        if pixels is None:
            pixels = np.arange(64, dtype=np.uint16).reshape(8, 8) * 65
        options = {k: more.pop(k) for k in ('photometric', 'transfer_syntax') if k in more}
        return write_phantom_dicom(
            tmp_path / name, pixels=np.asarray(pixels), bits=bits, attributes=more, **options
        )

    return written


@pytest.fixture
def lut() -> Callable[..., Dataset]:
    """Return a function that makes an item of a LUT sequence."""

    def made(
        first: int, entries: Any, depth: int, *, count: int | None = None, vr='US', data=None
    ):
        item = Dataset()
        count = len(entries) if count is None else count
        item.add_new('LUTDescriptor', vr, [count % 65536, first, depth])
        words = np.asarray(entries, dtype='<u2').tobytes() if data is None else data
        item.add_new('LUTData', 'OW', words)
        item.LUTExplanation = 'NORMAL TABLE'
        item.ModalityLUTType = 'US'
        return item

    return made
