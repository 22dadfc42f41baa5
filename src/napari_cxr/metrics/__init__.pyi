from .baseline import BASELINES, baseline_features, fit_baseline
from .calibration import (
    calibration_error,
    fit_temperature,
    log_loss,
    normalised,
    probabilities_of,
    softmax,
)
from .class_metrics import summarise
from .classification import (
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
    validation_metrics,
)
from .confidence_intervals import Interval, bootstrap, wilson_interval
from .model_comparison import (
    FoldPredictions,
    average_over_folds,
    metric_differences,
)

__all__ = [
    'BASELINES',
    'FoldPredictions',
    'Interval',
    'accuracy',
    'auc',
    'average_over_folds',
    'balanced_accuracy',
    'baseline_features',
    'bootstrap',
    'calibration_error',
    'confusion_matrix',
    'f1',
    'fit_baseline',
    'fit_temperature',
    'keras_auc',
    'label_confusions',
    'log_loss',
    'macro_auc',
    'macro_f1',
    'metric_differences',
    'normalised',
    'precision',
    'probabilities_of',
    'sensitivity',
    'softmax',
    'specificity',
    'summarise',
    'validation_metrics',
    'wilson_interval',
]
