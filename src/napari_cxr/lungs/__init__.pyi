from .lung_field import LungField
from .lung_network import downscale, lung_network_fingerprint
from .segmentation import find_lungs

__all__ = [
    'LungField',
    'downscale',
    'find_lungs',
    'lung_network_fingerprint',
]
