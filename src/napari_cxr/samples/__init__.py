"""A synthetic chest radiograph: the sample image, and input for tests."""

from napari_cxr.samples.phantom import phantom
from napari_cxr.samples.phantom_dicom import write_phantom_dicom

__all__ = ['phantom', 'write_phantom_dicom']
