"""Networks as stages and a head, by name. Importing this imports torch."""

from napari_cxr.networks import (  # noqa: F401  they register their networks
    bundled_networks,
    library_models,
    paper_networks,
)
from napari_cxr.networks.factory import (
    create,
    declared_shapes,
    extend,
    library_elements,
    time_limit,
)
from napari_cxr.networks.pretrained_weights import WeightsUnavailable, credit, load_pretrained
from napari_cxr.networks.receptive_field import Grid, Untraceable
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
    'declared_shapes',
    'extend',
    'library_elements',
    'load_pretrained',
    'names',
    'register',
    'time_limit',
]
