from .lung_field import LungField, find_lungs
from .lung_network import downscale, lung_network_fingerprint

__all__ = [
    'LungField',
    'downscale',
    'find_lungs',
    'lung_network_fingerprint',
]
