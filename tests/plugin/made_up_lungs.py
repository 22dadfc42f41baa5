"""Lungs and answers for tests, without a network."""

from dataclasses import replace

import numpy as np

from napari_cxr.explain.heatmap import Heatmap
from napari_cxr.explain.heatmap_location import HeatmapLocation
from napari_cxr.inference.prediction import ImageWarning, Prediction
from napari_cxr.lungs import LungField
from napari_cxr.plugin.classify_job import ExplainedPrediction, HeatmapsByLungs


def lung_field(shape=(40, 80), source='network', **more):
    """The right lung is the second quarter of the columns, the left one the third."""
    right = np.zeros((8, 8), np.float32)
    left = right.copy()
    right[:, 2:4] = left[:, 4:6] = 1
    return LungField(right, left, shape, source, **more)


IN_RIGHT_LUNG = HeatmapLocation((20.0, 30.0), 'right lung', 0.6)


def made_up_answer(kinds=(), shape=(40, 80), field=None):
    """Of two classes; the map of the first lies in the right lung, that of the second is empty."""
    field = field or lung_field(shape)
    rows, columns = shape
    matrix = np.diag([rows, columns / 4, 1.0])  # one row of four cells
    matrix[:2, 2] = matrix[[0, 1], [0, 1]] / 2 - 0.5
    values = np.array([[0, 1, 0, 0]], np.float32)
    first = Heatmap(values, matrix, 'ill', 0.8, 1.4, 'Grad-CAM', 'tiny')
    second = replace(first, values=0 * values, label='well', probability=0.2, logit=0.0)
    cautions = tuple(ImageWarning(kind, f'About {kind}.') for kind in kinds)
    return ExplainedPrediction(
        Prediction(('ill', 'well'), (0.8, 0.2), (1.4, 0.0), cautions, model='tiny', device='cpu'),
        (first, second),
        (0.1, None),
        field,
        HeatmapsByLungs((IN_RIGHT_LUNG, None), 0.5, field.source, field.implausible),
    )
