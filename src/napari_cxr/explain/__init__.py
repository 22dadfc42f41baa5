"""Which pixels an answer came from.

Importing this package imports no torch, because a `Heatmap` and `FeatureMaps` cross into
processes that have none: `grad_cam` and the other methods are fetched on first use.
"""

from typing import TYPE_CHECKING, Any

from napari_cxr.explain.coordinates import cell_to_input, cell_to_radiograph, input_bounds
from napari_cxr.explain.feature_maps import FeatureMaps, dead_filters, feature_maps
from napari_cxr.explain.heatmap import Heatmap

if TYPE_CHECKING:
    from napari_cxr.explain.gradcam import grad_cam

__all__ = [
    'FeatureMaps',
    'Heatmap',
    'cell_to_input',
    'cell_to_radiograph',
    'dead_filters',
    'feature_maps',
    'grad_cam',
    'input_bounds',
]


def __getattr__(name: str) -> Any:
    if name == 'grad_cam':
        from napari_cxr.explain.gradcam import grad_cam

        return grad_cam
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
