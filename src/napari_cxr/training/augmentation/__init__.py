"""Random changes of training images, each image with its own, all from one seed."""

from napari_cxr.training.augmentation.apply import augment
from napari_cxr.training.augmentation.changes import Changes, ColourChanges, draw

__all__ = ['Changes', 'ColourChanges', 'augment', 'draw']
