"""Random changes of training images, each image with its own, all from one seed."""

from napari_cxr.training.augmentation.apply import augment
from napari_cxr.training.augmentation.changes import Changes, ColourChanges, Rectangles, draw

__all__ = ['Changes', 'ColourChanges', 'Rectangles', 'augment', 'draw']
