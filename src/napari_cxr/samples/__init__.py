"""Synthetic chest radiographs: the sample images, and input for tests."""

from napari_cxr.samples.cases import CASES, write_sample_disc
from napari_cxr.samples.phantom import phantom
from napari_cxr.samples.phantom_dicom import write_phantom_dicom

__all__ = ['CASES', 'phantom', 'write_phantom_dicom', 'write_sample_disc']
