"""Networks as stages and a head, by name. Importing this imports torch."""

from napari_cxr.networks import paper_networks, torchvision_networks  # noqa: F401  register theirs
from napari_cxr.networks.grid import Grid
from napari_cxr.networks.operations import Untraceable
from napari_cxr.networks.registry import create, names, register
from napari_cxr.networks.staged import NotStaged, StagedNetwork

__all__ = ['Grid', 'NotStaged', 'StagedNetwork', 'Untraceable', 'create', 'names', 'register']
