"""Figures with intervals, calibration, and what a classifier that sees no shapes reaches.

Imports no torch: arrays in, numbers out.
"""

from napari_cxr.metrics.baseline import BASELINES, baseline_features, fit_baseline
from napari_cxr.metrics.calibration import (
    calibration_error,
    fit_temperature,
    log_loss,
    softmax,
)
from napari_cxr.metrics.figures import (
    accuracy,
    auc,
    balanced_accuracy,
    confusion_matrix,
    f1,
    macro_auc,
    precision,
    sensitivity,
    specificity,
)
from napari_cxr.metrics.intervals import Interval, bootstrap, wilson
from napari_cxr.metrics.summary import summarise

__all__ = [
    'BASELINES',
    'Interval',
    'accuracy',
    'auc',
    'balanced_accuracy',
    'baseline_features',
    'bootstrap',
    'calibration_error',
    'confusion_matrix',
    'f1',
    'fit_baseline',
    'fit_temperature',
    'log_loss',
    'macro_auc',
    'precision',
    'sensitivity',
    'softmax',
    'specificity',
    'summarise',
    'wilson',
]
