"""DICOM files to :class:`~napari_cxr.radiograph.Radiograph`."""

from __future__ import annotations

from pathlib import Path

from napari_cxr.dicom.recognise import is_dicom, is_directory
from napari_cxr.radiograph import Radiograph

__all__ = ['is_dicom', 'is_directory', 'read']


def read(path: str | Path, *, secret: bytes | None = None) -> Radiograph:
    """Read a DICOM image; see `napari_cxr.dicom.reading.read`, which is imported here only."""
    from napari_cxr.dicom import reading

    return reading.read(path, secret=secret)
