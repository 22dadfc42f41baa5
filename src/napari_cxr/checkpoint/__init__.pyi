from . import catalog
from .card import Card, CheckpointError
from .model_file import Checkpoint, digest, load, read_card, save

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
