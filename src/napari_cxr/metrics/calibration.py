"""Probabilities from logits, and whether a probability of 0.8 is right four times out of five."""

from __future__ import annotations

import numpy as np

__all__ = [
    'calibration_error',
    'fit_temperature',
    'log_loss',
    'normalised',
    'probabilities_of',
    'softmax',
]

#: Outside of this range a temperature only flattens or sharpens everything.
_TEMPERATURES = (0.05, 20.0)


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Return probabilities of logits of shape (..., classes)."""
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    exp = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return np.asarray(exp / exp.sum(axis=-1, keepdims=True))


def probabilities_of(logits: np.ndarray, multilabel: bool, temperature: float = 1.0) -> np.ndarray:
    """Return probabilities: by the softmax over the classes, or the sigmoid of each label.

    Parameters
    ----------
    logits : ndarray, shape (..., classes)
        Outputs of the network.
    multilabel : bool
        Whether an image can have several labels.
    temperature : float
        Divides the logits.

    Returns
    -------
    ndarray of float64, shape (..., classes)
    """
    if not multilabel:
        return softmax(logits, temperature)
    from scipy.special import expit

    return np.asarray(expit(np.asarray(logits, dtype=np.float64) / temperature))


def normalised(probability: np.ndarray | float, threshold: np.ndarray | float) -> np.ndarray:
    """Return probabilities on a scale on which each threshold is 0.5.

    Piecewise linear: 0 stays 0, the threshold becomes 0.5, 1 stays 1. Findings whose thresholds
    differ a hundredfold can then be sorted together, by how far each is above its threshold.
    TorchXRayVision does the same to the outputs of its models (``op_norm``).

    Parameters
    ----------
    probability : float or ndarray
        In [0, 1].
    threshold : float or ndarray
        Of the same shape, or one for all, in (0, 1); NaN if unknown.

    Returns
    -------
    ndarray of float64
        At least 0.5 exactly where the probability is at least the threshold; 0.5 where the
        threshold is unknown.
    """
    p, t = np.broadcast_arrays(
        np.asarray(probability, dtype=np.float64), np.asarray(threshold, dtype=np.float64)
    )
    with np.errstate(invalid='ignore', divide='ignore'):
        scaled = np.where(p < t, p / (2 * t), 1 - (1 - p) / (2 * (1 - t)))
    return np.asarray(np.where(np.isnan(t) | (p == t), 0.5, scaled))


def log_loss(
    truth: np.ndarray,
    logits: np.ndarray,
    temperature: float = 1.0,
    weights: np.ndarray | None = None,
) -> float:
    """Return the mean negative log likelihood of the true labels.

    Parameters
    ----------
    truth : ndarray of int, shape (n,), or of bool, shape (n, classes)
        Class numbers; or the labels of each image, if it can have several. The loss is then
        the mean over images and labels, the binary cross-entropy.
    logits : ndarray, shape (n, classes)
        Outputs of the network.
    temperature : float
        Divides the logits.
    weights : ndarray, shape (n,), optional
        Weight of each image; 1 by default.
    """
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    if np.ndim(truth) == 2:
        # -log sigmoid(z) where the label is there, -log sigmoid(-z) where it is not.
        each = np.logaddexp(0, np.where(truth, -scaled, scaled)).mean(axis=1)
        return float(np.average(each, weights=weights))
    top = scaled.max(axis=1, keepdims=True)
    total = top[:, 0] + np.log(np.exp(scaled - top).sum(axis=1))
    each = total - scaled[np.arange(len(scaled)), truth]
    return float(np.average(each, weights=weights))


def fit_temperature(
    truth: np.ndarray, logits: np.ndarray, weights: np.ndarray | None = None
) -> float:
    """Fit the temperature that calibrates logits best (Guo et al., ICML 2017).

    Parameters
    ----------
    truth : ndarray of int, shape (n,), or of bool, shape (n, classes)
        Class numbers, or the labels of each image, of a split that is used neither for
        training nor for testing.
    logits : ndarray, shape (n, classes)
        Outputs of the network.
    weights : ndarray, shape (n,), optional
        Weight of each image; 1 by default.

    Returns
    -------
    float
        Between 0.05 and 20. Above 1, the network was overconfident.
    """
    from scipy.optimize import minimize_scalar

    low, high = np.log(_TEMPERATURES)
    # In 1/T the loss is convex, so it has one minimum in log T as well.
    found = minimize_scalar(
        lambda x: log_loss(truth, logits, float(np.exp(x)), weights),
        bounds=(low, high),
        method='bounded',
    )
    return float(np.exp(found.x))


def calibration_error(truth: np.ndarray, probabilities: np.ndarray, bins: int = 15) -> float:
    """Return the mean gap between confidence and accuracy, in bins of equal size.

    Expected calibration error of the top class (Naeini et al., AAAI 2015) with
    bins with the same number of images (Nguyen and O'Connor, EMNLP 2015). If an
    image can have several labels: the gap between the probability of a label and its
    frequency, averaged over the labels.

    Parameters
    ----------
    truth : ndarray of int, shape (n,), or of bool, shape (n, classes)
        Class numbers, or the labels of each image.
    probabilities : ndarray, shape (n, classes)
        Of each class.
    bins : int
        How many bins; fewer if there are fewer images.
    """
    if np.ndim(truth) == 2:
        columns = zip(probabilities.T, truth.T, strict=True)
        return float(np.mean([_gap(p, true, bins) for p, true in columns]))
    return _gap(probabilities.max(axis=1), probabilities.argmax(axis=1) == truth, bins)


def _gap(confidence: np.ndarray, true: np.ndarray, bins: int) -> float:
    order = np.argsort(confidence, kind='stable')
    parts = np.array_split(order, min(bins, len(order)))
    return float(
        sum(len(p) * abs(confidence[p].mean() - true[p].mean()) for p in parts) / len(order)
    )
