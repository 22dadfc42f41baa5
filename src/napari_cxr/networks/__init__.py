"""Networks as stages and a head, by name. Importing this imports torch."""

from napari_cxr.networks import (  # noqa: F401  they register their networks
    lite0,
    lung_texture,
    paper_networks,
    timm_networks,
    torchvision_networks,
)
from napari_cxr.networks.grid import Grid
from napari_cxr.networks.making import create, extend
from napari_cxr.networks.operations import Untraceable
from napari_cxr.networks.pretrained import WeightsUnavailable, credit, load_pretrained
from napari_cxr.networks.registry import names, register
from napari_cxr.networks.staged import NotStaged, StagedNetwork

__all__ = [
    'Grid',
    'NotStaged',
    'StagedNetwork',
    'Untraceable',
    'WeightsUnavailable',
    'create',
    'credit',
    'extend',
    'load_pretrained',
    'names',
    'register',
]
