"""The lung field, and whether an image is a frontal chest radiograph. No torch at run time."""

from napari_cxr.lungs.field import LungField
from napari_cxr.lungs.finding import find
from napari_cxr.lungs.glancing import glance
from napari_cxr.lungs.network import fingerprint

__all__ = ['LungField', 'find', 'fingerprint', 'glance']
