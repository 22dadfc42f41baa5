"""Whether a probability of 0.8 is right four times out of five."""

from __future__ import annotations

import numpy as np

__all__ = ['calibration_error', 'fit_temperature', 'log_loss', 'softmax']

#: Beyond these a temperature no longer calibrates but flattens or hardens everything.
_TEMPERATURES = (0.05, 20.0)


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Return probabilities of logits of shape (..., classes)."""
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    exp = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return np.asarray(exp / exp.sum(axis=-1, keepdims=True))


def log_loss(truth: np.ndarray, logits: np.ndarray, temperature: float = 1.0) -> float:
    """Return the mean negative log probability of the true class.

    Parameters
    ----------
    truth : ndarray of int, shape (n,)
        Class numbers.
    logits : ndarray, shape (n, classes)
        What the network put out.
    temperature : float
        What they are divided by first.
    """
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    top = scaled.max(axis=1, keepdims=True)
    total = top[:, 0] + np.log(np.exp(scaled - top).sum(axis=1))
    return float((total - scaled[np.arange(len(scaled)), truth]).mean())


def fit_temperature(truth: np.ndarray, logits: np.ndarray) -> float:
    """Find the one number that calibrates logits best (Guo et al., ICML 2017).

    Parameters
    ----------
    truth : ndarray of int, shape (n,)
        Class numbers, of a split that is neither trained nor tested on.
    logits : ndarray, shape (n, classes)
        What the network put out.

    Returns
    -------
    float
        Between 0.05 and 20. Above 1, the network was too sure of itself.
    """
    from scipy.optimize import minimize_scalar

    low, high = np.log(_TEMPERATURES)
    # In 1/T the loss is convex, so it has one minimum in log T as well.
    found = minimize_scalar(
        lambda x: log_loss(truth, logits, float(np.exp(x))), bounds=(low, high), method='bounded'
    )
    return float(np.exp(found.x))


def calibration_error(truth: np.ndarray, probabilities: np.ndarray, bins: int = 15) -> float:
    """Return the mean gap between confidence and accuracy, in bins of equal size.

    Expected calibration error of the top class (Naeini et al., AAAI 2015) with
    bins that hold as many images each (Nguyen and O'Connor, EMNLP 2015).

    Parameters
    ----------
    truth : ndarray of int, shape (n,)
        Class numbers.
    probabilities : ndarray, shape (n, classes)
        Of each class.
    bins : int
        How many bins; fewer if there are fewer images.
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == truth
    order = np.argsort(confidence, kind='stable')
    parts = np.array_split(order, min(bins, len(order)))
    gaps = [len(p) * abs(confidence[p].mean() - right[p].mean()) for p in parts]
    return float(sum(gaps) / len(order))
