from . import catalog
from .card import Card, CheckpointError
from .model_file import Checkpoint, ModelFile, digest, load, open_model, read_card, save

__all__ = [
    'Card',
    'Checkpoint',
    'CheckpointError',
    'ModelFile',
    'catalog',
    'digest',
    'load',
    'open_model',
    'read_card',
    'save',
]
