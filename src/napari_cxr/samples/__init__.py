"""A synthetic chest radiograph: the sample image, and input for tests."""

from napari_cxr.samples.dicom import write_phantom_dicom
from napari_cxr.samples.phantom import phantom

__all__ = ['phantom', 'write_phantom_dicom']
