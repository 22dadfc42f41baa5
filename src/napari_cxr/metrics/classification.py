"""Confusion matrix, sensitivity and AUC, for one sample or thousands of resamples.

Every metric takes weights with leading axes, so the same few lines compute the metric
itself and its bootstrap distribution in one pass. scikit-learn's metrics would need one call
for each resample.

If a class has no image, its metric is NaN and does not count in means.

`validation_metrics` are the metrics by which epochs are compared.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from napari_cxr.metrics.calibration import log_loss, probabilities_of

__all__ = [
    'DEFAULT_THRESHOLD',
    'accuracy',
    'auc',
    'balanced_accuracy',
    'confusion_matrix',
    'f1',
    'keras_auc',
    'label_confusions',
    'label_metrics',
    'macro_auc',
    'macro_f1',
    'one_hot',
    'precision',
    'predicted_labels',
    'sensitivity',
    'specificity',
    'validation_metrics',
]


def confusion_matrix(
    truth: np.ndarray, predicted: np.ndarray, classes: int, weights: np.ndarray | None = None
) -> np.ndarray:
    """Count images by true and predicted class.

    Parameters
    ----------
    truth, predicted : ndarray of int, shape (n,)
        Class numbers.
    classes : int
        How many classes there are.
    weights : ndarray, shape (..., n), optional
        Weight of each image; 1 by default.

    Returns
    -------
    ndarray of float64, shape (..., classes, classes)
        Rows are the true classes, columns the predicted ones.
    """
    weights = _weights(weights, len(truth))
    cells = np.zeros((len(truth), classes * classes))
    cells[np.arange(len(truth)), np.asarray(truth) * classes + np.asarray(predicted)] = 1
    return (weights @ cells).reshape(*weights.shape[:-1], classes, classes)


def label_confusions(
    truth: np.ndarray,
    predicted: np.ndarray,
    weights: np.ndarray | None = None,
    known: np.ndarray | None = None,
) -> np.ndarray:
    """Count images for each label by itself, as a task of two classes: without and with it.

    Parameters
    ----------
    truth, predicted : ndarray of bool, shape (n, labels)
        Which labels each image has, and which were predicted.
    weights : ndarray, shape (..., n), optional
        Weight of each image; 1 by default.
    known : ndarray of bool, shape (n, labels), optional
        Where it is known whether the image has the label; others are not counted.

    Returns
    -------
    ndarray of float64, shape (..., labels, 2, 2)
        [[TN, FP], [FN, TP]] of each label, so that `sensitivity` and the others return the
        label's metric at [..., 1].
    """
    weights = _weights(weights, len(truth))
    truth, predicted = np.asarray(truth, bool), np.asarray(predicted, bool)
    cells = (~truth & ~predicted, ~truth & predicted, truth & ~predicted, truth & predicted)
    if known is not None:
        cells = tuple(cell & known for cell in cells)  # type: ignore[assignment]
    counts = np.stack([weights @ cell.astype(np.float64) for cell in cells], axis=-1)
    return counts.reshape(*counts.shape[:-1], 2, 2)


def sensitivity(confusion: np.ndarray) -> np.ndarray:
    """Return the fraction of each class that is predicted correctly, shape (..., classes)."""
    return _fraction(_diagonal(confusion), confusion.sum(axis=-1))


def specificity(confusion: np.ndarray) -> np.ndarray:
    """Return the fraction of all others that are not predicted so, shape (..., classes)."""
    others = confusion.sum(axis=(-2, -1))[..., None] - confusion.sum(axis=-1)
    wrongly = confusion.sum(axis=-2) - _diagonal(confusion)
    return _fraction(others - wrongly, others)


def precision(confusion: np.ndarray) -> np.ndarray:
    """Return the fraction of predictions of each class that are right, shape (..., classes)."""
    return _fraction(_diagonal(confusion), confusion.sum(axis=-2))


def f1(confusion: np.ndarray) -> np.ndarray:
    """Return the harmonic mean of precision and sensitivity, shape (..., classes)."""
    return _fraction(2 * _diagonal(confusion), confusion.sum(axis=-1) + confusion.sum(axis=-2))


def accuracy(confusion: np.ndarray) -> np.ndarray:
    """Return the fraction of images with the right prediction, shape (...)."""
    return _fraction(_diagonal(confusion).sum(axis=-1), confusion.sum(axis=(-2, -1)))


def balanced_accuracy(confusion: np.ndarray) -> np.ndarray:
    """Return the mean sensitivity of the classes that have images, shape (...)."""
    return _mean(sensitivity(confusion))


def macro_f1(confusion: np.ndarray) -> np.ndarray:
    """Return the mean F1 of the classes that have images, shape (...)."""
    return _mean(np.where(confusion.sum(axis=-1) > 0, f1(confusion), np.nan))


def label_metrics(confusion: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return accuracy, balanced accuracy and macro F1 of labels that are not exclusive.

    Parameters
    ----------
    confusion : ndarray, shape (..., labels, 2, 2)
        As `label_confusions` counts.

    Returns
    -------
    accuracy, balanced_accuracy, macro_f1 : ndarray, shape (...)
        The fraction of all yes-or-no decisions that are right; and, over the labels that
        have images, the mean of sensitivity and specificity, and the mean F1.
    """
    has_images = confusion[..., 1, :].sum(axis=-1) > 0
    balanced = np.where(has_images, balanced_accuracy(confusion), np.nan)
    harmonic = np.where(has_images, f1(confusion)[..., 1], np.nan)
    return _mean(accuracy(confusion)), _mean(balanced), _mean(harmonic)


def auc(positive: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Return the area under the receiver operating characteristic.

    It is the probability that a positive image has a higher score than a negative
    one, where ties count half (Hanley and McNeil, Radiology 1982;143:29).

    Parameters
    ----------
    positive : ndarray of bool, shape (n,)
        Whether each image belongs to the class.
    scores : ndarray, shape (n,)
        Higher means more likely.
    weights : ndarray, shape (..., n), optional
        Weight of each image; 1 by default.

    Returns
    -------
    ndarray of float64, shape (...)
        NaN without a positive or without a negative.
    """
    weights = _weights(weights, len(scores))
    place = np.unique(np.asarray(scores), return_inverse=True)[1]
    # Weight of positives and of negatives at every distinct score, lowest first.
    order = np.argsort(place, kind='stable')
    starts = np.flatnonzero(np.r_[True, np.diff(place[order]) > 0])
    up = np.add.reduceat((weights * positive)[..., order], starts, axis=-1)
    down = np.add.reduceat((weights * ~np.asarray(positive, bool))[..., order], starts, axis=-1)
    below = np.cumsum(down, axis=-1) - down / 2
    return _fraction((up * below).sum(axis=-1), up.sum(axis=-1) * down.sum(axis=-1))


def macro_auc(
    truth: np.ndarray,
    probabilities: np.ndarray,
    weights: np.ndarray | None = None,
    known: np.ndarray | None = None,
) -> np.ndarray:
    """Return the mean AUC of each class against all others.

    Parameters
    ----------
    truth : ndarray of int, shape (n,), or of bool, shape (n, classes)
        Class numbers; or the labels of each image, if it can have several.
    probabilities : ndarray, shape (n, classes)
        Probabilities of each class.
    weights : ndarray, shape (..., n), optional
        Weight of each image; 1 by default.
    known : ndarray of bool, shape (n, classes), optional
        Where it is known whether the image has the class; others do not count.

    Returns
    -------
    ndarray of float64, shape (...)
        Over the classes that have images; NaN if only one has.
    """
    inside = one_hot(truth, probabilities.shape[1])
    columns = zip(inside.T, probabilities.T, strict=True)
    if known is None or known.all():
        return _mean(np.stack([auc(there, p, weights) for there, p in columns], axis=-1))
    each = _weights(weights, len(inside))
    areas = [
        auc(there[own], p[own], each[..., own])
        for (there, p), own in zip(columns, known.T, strict=True)
    ]
    return _mean(np.stack(areas, axis=-1))


def keras_auc(
    truth: np.ndarray, probabilities: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray:
    """Return the AUC that Keras' metric 'AUC' computes for several softmax columns.

    It treats every cell of the table of probabilities as an image of its own. If one class
    is rare, that is far above the real AUC. It is reported beside the real one only for
    comparison with papers.

    Parameters
    ----------
    truth : ndarray of int, shape (n,)
        Class numbers.
    probabilities : ndarray, shape (n, classes)
        Probabilities of each class.
    weights : ndarray, shape (..., n), optional
        Weight of each image; 1 by default.

    Returns
    -------
    ndarray of float64, shape (...)
        Without Keras' rounding to 200 thresholds.
    """
    classes = probabilities.shape[1]
    each = np.repeat(_weights(weights, len(probabilities)), classes, axis=-1)
    return auc(one_hot(truth, classes).ravel(), probabilities.ravel(), each)


def one_hot(truth: np.ndarray, classes: int) -> np.ndarray:
    """Return the class of each image as bool, shape (n, classes), from class numbers or itself."""
    truth = np.asarray(truth)
    return truth.astype(bool) if truth.ndim == 2 else truth[:, None] == np.arange(classes)


def _weights(weights: np.ndarray | None, n: int) -> np.ndarray:
    return np.ones(n) if weights is None else np.asarray(weights, dtype=np.float64)


def _diagonal(confusion: np.ndarray) -> np.ndarray:
    return np.diagonal(confusion, axis1=-2, axis2=-1)


def _fraction(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    with np.errstate(divide='ignore', invalid='ignore'):
        return np.asarray(part / whole)


def _mean(values: np.ndarray) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', 'Mean of empty slice')
        return np.asarray(np.nanmean(values, axis=-1))


#: If an image can have several labels, those with at least this probability are predicted,
#: unless there are other thresholds.
DEFAULT_THRESHOLD = 0.5


def predicted_labels(
    probabilities: np.ndarray, multilabel: bool, thresholds: Sequence[float] | None = None
) -> np.ndarray:
    """Return the predicted classes: numbers (n,), or bool (n, classes) with several labels.

    Parameters
    ----------
    probabilities : ndarray, shape (n, classes)
        Probabilities of each class.
    multilabel : bool
        Whether an image can have several labels.
    thresholds : sequence of float, optional
        With `multilabel`, the probability from which each label is predicted; 0.5 by default.
    """
    if not multilabel:
        return probabilities.argmax(axis=1)
    return probabilities >= (DEFAULT_THRESHOLD if thresholds is None else np.asarray(thresholds))


def validation_metrics(
    truth: np.ndarray, logits: np.ndarray, multilabel: bool, known: np.ndarray | None = None
) -> dict[str, float]:
    """Return all metrics by which a recipe can select its epoch.

    Parameters
    ----------
    truth : ndarray of int, shape (n,), or of bool, shape (n, classes)
        Class numbers; or the labels of each image, if it can have several.
    logits : ndarray, shape (n, classes)
        Outputs of the network.
    multilabel : bool
        Whether an image can have several labels.
    known : ndarray of bool, shape (n, classes), optional
        With several labels, where it is known whether the image has them; others do not count.

    Returns
    -------
    dict
        ``loss``, ``accuracy``, ``balanced_accuracy``, ``macro_auc``, ``macro_f1``. With
        several labels, the loss is the mean binary cross-entropy, the accuracy the fraction
        of all yes-or-no decisions (at a probability of 0.5) that are right, and the others
        are means over the labels. NaN if a metric is undefined.
    """
    probabilities = probabilities_of(logits, multilabel)
    predicted = predicted_labels(probabilities, multilabel)
    if multilabel:
        confusion = label_confusions(one_hot(truth, logits.shape[1]), predicted, known=known)
        overall = label_metrics(confusion)
    else:
        confusion = confusion_matrix(truth, predicted, logits.shape[1])
        overall = accuracy(confusion), balanced_accuracy(confusion), macro_f1(confusion)
    return {
        'loss': log_loss(truth, logits, known=known if multilabel else None),
        'accuracy': float(overall[0]),
        'balanced_accuracy': float(overall[1]),
        'macro_auc': float(macro_auc(truth, probabilities, known=known)),
        'macro_f1': float(overall[2]),
    }
