from .feature_maps import FeatureMaps, dead_filters, stage_maps
from .gradcam import grad_cam
from .heatmap import Heatmap, cell_to_input, cell_to_radiograph, input_bounds

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
