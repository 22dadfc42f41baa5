"""A model is one ``.safetensors`` file, with its card in the file's metadata.

Importing this package imports no torch, and nothing is ever unpickled.
"""

from napari_cxr.checkpoint import catalog
from napari_cxr.checkpoint.card import Card, CheckpointError
from napari_cxr.checkpoint.model_file import Checkpoint, digest, load, read_card, save

__all__ = [
    'Card',
    'Checkpoint',
    'CheckpointError',
    'catalog',
    'digest',
    'load',
    'read_card',
    'save',
]
