"""The lung field, and whether an image is a frontal chest radiograph. No torch at run time."""

from napari_cxr.lungs.downscaling import downscale
from napari_cxr.lungs.lung_field import LungField
from napari_cxr.lungs.lung_network import lung_network_fingerprint
from napari_cxr.lungs.segmentation import find_lungs

__all__ = ['LungField', 'downscale', 'find_lungs', 'lung_network_fingerprint']
