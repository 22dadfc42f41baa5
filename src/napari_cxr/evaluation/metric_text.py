"""What people call metrics, and how their values are printed: in terminals, docks and reports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ['LOWER_IS_BETTER', 'METRIC_NAMES', 'figure_text']

#: Names of the metrics of ``metrics.json``, in the order in which they are listed.
METRIC_NAMES = {
    'auc': 'AUC',
    'average_precision': 'Average precision',
    'accuracy': 'Accuracy',
    'balanced_accuracy': 'Balanced accuracy',
    'recall': 'Recall (sensitivity)',
    'specificity': 'Specificity',
    'precision': 'Precision (PPV)',
    'f1': 'F1',
    'mcc': 'MCC',
    'brier': 'Brier score',
    'log_loss': 'Log loss',
    'ece': 'Calibration error (ECE)',
}
LOWER_IS_BETTER = ('brier', 'log_loss', 'ece')


def figure_text(figure: Mapping[str, Any] | None, *, signed: bool = False) -> str:
    """Return a figure of ``metrics.json`` as text: 0.912 [0.880, 0.940], or a dash.

    Parameters
    ----------
    figure : mapping or None
        As `napari_cxr.evaluation.performance.figure` makes it.
    signed : bool
        Whether it is a difference, which has a sign.
    """
    if not figure or figure['value'] is None:
        return '–'
    form = '+.3f' if signed else '.3f'
    text = _minus(f'{figure["value"]:{form}}')
    if figure['interval'] is None:
        return text
    low, high = (_minus(f'{end:{form}}') for end in figure['interval'])
    return f'{text} [{low}, {high}]'


def _minus(number: str) -> str:
    return number.replace('-', '−')
