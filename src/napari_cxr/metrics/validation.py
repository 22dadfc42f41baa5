"""The figures of one pass over the validation images, by which epochs are compared."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_cxr.metrics.calibration import log_loss, probabilities_of
from napari_cxr.metrics.figures import (
    accuracy,
    balanced_accuracy,
    confusion_matrix,
    label_confusions,
    label_figures,
    macro_auc,
    macro_f1,
    memberships,
)

__all__ = ['CALLED', 'called_of', 'validation_figures']

#: Where an image can have several labels, those at least as probable as this are called, unless
#: there are other thresholds.
CALLED = 0.5


def called_of(
    probabilities: np.ndarray, several: bool, thresholds: Sequence[float] | None = None
) -> np.ndarray:
    """Return the classes that are called: numbers (n,), or where several, bool (n, classes).

    Parameters
    ----------
    probabilities : ndarray, shape (n, classes)
        Of each class.
    several : bool
        Whether an image can have several labels.
    thresholds : sequence of float, optional
        With `several`, from which probability on each label is called; 0.5 by default.
    """
    if not several:
        return probabilities.argmax(axis=1)
    return probabilities >= (CALLED if thresholds is None else np.asarray(thresholds))


def validation_figures(truth: np.ndarray, logits: np.ndarray, several: bool) -> dict[str, float]:
    """Measure logits by every figure that a recipe can choose its epoch by.

    Parameters
    ----------
    truth : ndarray of int, shape (n,), or of bool, shape (n, classes)
        Class numbers; or, where an image can have several labels, which it has.
    logits : ndarray, shape (n, classes)
        What the network put out.
    several : bool
        Whether an image can have several labels.

    Returns
    -------
    dict
        ``loss``, ``accuracy``, ``balanced_accuracy``, ``macro_auc``, ``macro_f1``. Where
        several, the loss is the mean binary cross-entropy, the accuracy the share of all
        yes-or-no decisions (at a probability of one half) that are right, and the others
        are means over the labels. NaN where a figure is not defined.
    """
    probabilities = probabilities_of(logits, several)
    called = called_of(probabilities, several)
    if several:
        confusion = label_confusions(memberships(truth, logits.shape[1]), called)
        overall = label_figures(confusion)
    else:
        confusion = confusion_matrix(truth, called, logits.shape[1])
        overall = accuracy(confusion), balanced_accuracy(confusion), macro_f1(confusion)
    return {
        'loss': log_loss(truth, logits),
        'accuracy': float(overall[0]),
        'balanced_accuracy': float(overall[1]),
        'macro_auc': float(macro_auc(truth, probabilities)),
        'macro_f1': float(overall[2]),
    }
