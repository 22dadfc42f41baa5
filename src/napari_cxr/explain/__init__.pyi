from .coordinates import cell_to_input, cell_to_radiograph, input_bounds
from .feature_maps import FeatureMaps, dead_filters, stage_maps
from .gradcam import grad_cam
from .heatmap import Heatmap

__all__ = [
    'FeatureMaps',
    'Heatmap',
    'cell_to_input',
    'cell_to_radiograph',
    'dead_filters',
    'grad_cam',
    'input_bounds',
    'stage_maps',
]
