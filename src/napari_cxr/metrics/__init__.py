"""Figures with intervals, calibration, and what a classifier that sees no shapes reaches.

Imports no torch: arrays in, numbers out.
"""

from napari_cxr.metrics.baseline import BASELINES, baseline_features, fit_baseline
from napari_cxr.metrics.calibration import (
    calibration_error,
    fit_temperature,
    log_loss,
    normalised,
    probabilities_of,
    softmax,
)
from napari_cxr.metrics.figures import (
    accuracy,
    auc,
    balanced_accuracy,
    confusion_matrix,
    f1,
    keras_auc,
    label_confusions,
    macro_auc,
    macro_f1,
    precision,
    sensitivity,
    specificity,
)
from napari_cxr.metrics.intervals import Interval, bootstrap, wilson
from napari_cxr.metrics.summary import summarise
from napari_cxr.metrics.together import Part, average, differences
from napari_cxr.metrics.validation import validation_figures

__all__ = [
    'BASELINES',
    'Interval',
    'Part',
    'accuracy',
    'auc',
    'average',
    'balanced_accuracy',
    'baseline_features',
    'bootstrap',
    'calibration_error',
    'confusion_matrix',
    'differences',
    'f1',
    'fit_baseline',
    'fit_temperature',
    'keras_auc',
    'label_confusions',
    'log_loss',
    'macro_auc',
    'macro_f1',
    'normalised',
    'precision',
    'probabilities_of',
    'sensitivity',
    'softmax',
    'specificity',
    'summarise',
    'validation_figures',
    'wilson',
]
