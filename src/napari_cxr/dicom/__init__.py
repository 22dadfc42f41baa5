"""DICOM files to :class:`~napari_cxr.radiograph.Radiograph`."""

from napari_cxr.dicom.headers import is_dicom, is_directory
from napari_cxr.dicom.read import read

__all__ = ['is_dicom', 'is_directory', 'read']
