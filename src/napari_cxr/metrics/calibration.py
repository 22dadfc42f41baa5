"""Probabilities from logits, and whether a probability of 0.8 is right four times out of five.

A temperature corrects how sure a network is. What it believes to be frequent, a temperature
cannot correct: class weights, balanced sampling or balanced data make rare classes too probable.
So each class has a bias as well (vector scaling with one slope; with one finding Platt's scaling).
Probabilities hold at a prevalence, that of the images on which they were fitted, and are moved to
another one by Bayes' rule (Saerens, Latinne and Decaestecker, Neural Computation 2002;14:21).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

__all__ = [
    'at_prevalence',
    'calibration_error',
    'fit_calibration',
    'fit_temperature',
    'frequencies',
    'log_loss',
    'normalised',
    'probabilities_of',
    'reliability',
    'softmax',
]

#: Outside of this range a temperature only flattens or sharpens everything.
_TEMPERATURES = (0.05, 20.0)
#: Weight of the squared biases beside the loss: so little that it counts only where images that
#: are all classified rightly leave a bias open.
_BIAS_PENALTY = 1e-4
#: Parts of a table of reliability, and images in each.
_MOST_PARTS, _LEAST_IN_PART = 10, 20
#: Prevalences nearer to 0 or 1 than this are no prior that anybody can state.
_LEAST_PREVALENCE = 1e-6


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Return probabilities of logits of shape (..., classes)."""
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    exp = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return np.asarray(exp / exp.sum(axis=-1, keepdims=True))


def probabilities_of(
    logits: np.ndarray, multilabel: bool, temperature: float = 1.0, bias: Sequence[float] = ()
) -> np.ndarray:
    """Return probabilities: by the softmax over the classes, or the sigmoid of each label.

    Parameters
    ----------
    logits : ndarray, shape (..., classes)
        Outputs of the network.
    multilabel : bool
        Whether an image can have several labels.
    temperature : float
        Divides the logits.
    bias : sequence of float
        Is then added to each class; empty for none.

    Returns
    -------
    ndarray of float64, shape (..., classes)
    """
    scaled = _scaled(logits, temperature, bias)
    if not multilabel:
        return softmax(scaled)
    return np.asarray(np.exp(-np.logaddexp(0, -scaled)))


def _scaled(logits: np.ndarray, temperature: float, bias: Sequence[float]) -> np.ndarray:
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    return scaled + np.asarray(bias, dtype=np.float64) if len(bias) else scaled


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
    *,
    bias: Sequence[float] = (),
    known: np.ndarray | None = None,
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
    bias : sequence of float
        Is added to the logits of each class; empty for none.
    known : ndarray of bool, shape (n, classes), optional
        With several labels: of which it is known whether the image has them; others do not count.
    """
    scaled = _scaled(logits, temperature, bias)
    if np.ndim(truth) == 2:
        # -log sigmoid(z) where the label is there, -log sigmoid(-z) where it is not.
        each = np.logaddexp(0, np.where(truth, -scaled, scaled))
        if known is not None:
            own = known if weights is None else known * weights[:, None]
            return float(np.average(each, weights=own)) if own.any() else float('nan')
        return float(np.average(each.mean(axis=1), weights=weights))
    top = scaled.max(axis=1, keepdims=True)
    total = top[:, 0] + np.log(np.exp(scaled - top).sum(axis=1))
    each = total - scaled[np.arange(len(scaled)), truth]
    return float(np.average(each, weights=weights))


def fit_temperature(
    truth: np.ndarray,
    logits: np.ndarray,
    weights: np.ndarray | None = None,
    known: np.ndarray | None = None,
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
    known : ndarray of bool, shape (n, classes), optional
        As of `log_loss`.

    Returns
    -------
    float
        Between 0.05 and 20. Above 1, the network was overconfident.
    """
    from scipy.optimize import minimize_scalar

    low, high = np.log(_TEMPERATURES)
    # In 1/T the loss is convex, so it has one minimum in log T as well.
    found = minimize_scalar(
        lambda x: log_loss(truth, logits, float(np.exp(x)), weights, known=known),
        bounds=(low, high),
        method='bounded',
    )
    return float(np.exp(found.x))


def fit_calibration(
    truth: np.ndarray,
    logits: np.ndarray,
    weights: np.ndarray | None = None,
    known: np.ndarray | None = None,
) -> tuple[float, tuple[float, ...]]:
    """Fit the temperature and the biases that calibrate logits best.

    Parameters
    ----------
    truth, logits, weights
        As of `fit_temperature`.
    known : ndarray of bool, shape (n, classes), optional
        As of `log_loss`.

    Returns
    -------
    temperature : float
        Between 0.05 and 20.
    bias : tuple of float
        One for each class, to be added to the divided logits. Their mean is 0 where classes
        exclude each other.
    """
    from scipy.optimize import minimize

    logits = np.asarray(logits, dtype=np.float64)
    classes, several = logits.shape[1], np.ndim(truth) == 2
    inside = np.asarray(truth, bool) if several else np.asarray(truth)[:, None] == range(classes)
    each = np.ones(logits.shape) if known is None else np.asarray(known, dtype=np.float64)
    if weights is not None:
        each = each * weights[:, None]
    total = each.sum() / (1 if several else classes)

    def loss(x: np.ndarray) -> tuple[float, np.ndarray]:
        # In the slope 1/T and the biases the loss is convex.
        slope, bias = x[0], x[1:]
        p = probabilities_of(slope * logits + bias, several)
        off = (p - inside) * each / total
        value = log_loss(truth, slope * logits + bias, weights=weights, known=known)
        value += _BIAS_PENALTY * float(bias @ bias)
        gradient = np.concatenate([[(off * logits).sum()], off.sum(axis=0)])
        gradient[1:] += 2 * _BIAS_PENALTY * bias
        return value, gradient

    slope = 1 / fit_temperature(truth, logits, weights, known)
    start = np.concatenate([[slope], np.zeros(classes)])
    limits = [(1 / _TEMPERATURES[1], 1 / _TEMPERATURES[0]), *[(-20.0, 20.0)] * classes]
    options = {'ftol': 1e-13, 'gtol': 1e-9, 'maxiter': 2000}
    found = minimize(loss, start, jac=True, bounds=limits, method='L-BFGS-B', options=options)
    bias = found.x[1:] if several else found.x[1:] - found.x[1:].mean()
    return float(1 / found.x[0]), tuple(float(b) for b in bias)


def frequencies(
    truth: np.ndarray,
    classes: int,
    weights: np.ndarray | None = None,
    known: np.ndarray | None = None,
) -> np.ndarray:
    """Return the fraction of images that have each class, shape (classes,).

    Parameters
    ----------
    truth : ndarray of int, shape (n,), or of bool, shape (n, classes)
        Class numbers, or the labels of each image.
    classes : int
        How many there are.
    weights, known
        As of `fit_calibration`.
    """
    truth = np.asarray(truth)
    inside = truth.astype(bool) if truth.ndim == 2 else truth[:, None] == np.arange(classes)
    each = np.ones(inside.shape) if known is None else np.asarray(known, dtype=np.float64)
    if weights is not None:
        each = each * weights[:, None]
    with np.errstate(invalid='ignore'):
        return np.asarray((inside * each).sum(axis=0) / each.sum(axis=0))


def at_prevalence(
    bias: Sequence[float], multilabel: bool, measured: ArrayLike, stated: ArrayLike
) -> tuple[float, ...]:
    """Return the biases that make probabilities hold at another prevalence, by Bayes' rule.

    Parameters
    ----------
    bias : sequence of float
        Those that hold at `measured`.
    multilabel : bool
        Whether an image can have several labels; each then has odds of its own.
    measured, stated : sequence of float
        The prevalence of each class, in (0, 1); where either is not, the bias stays.
    """
    old, new = (np.asarray(x, dtype=np.float64) for x in (measured, stated))
    with np.errstate(invalid='ignore'):
        usable = (old > _LEAST_PREVALENCE) & (new > _LEAST_PREVALENCE)
        if multilabel:
            usable &= (old < 1 - _LEAST_PREVALENCE) & (new < 1 - _LEAST_PREVALENCE)
    safe_old, safe_new = np.where(usable, old, 0.5), np.where(usable, new, 0.5)
    moved = np.log(safe_new / safe_old)
    if multilabel:
        moved -= np.log((1 - safe_new) / (1 - safe_old))
    return tuple(float(b) for b in np.asarray(bias) + moved)


def calibration_error(
    truth: np.ndarray,
    probabilities: np.ndarray,
    bins: int = 15,
    known: np.ndarray | None = None,
) -> float:
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
    known : ndarray of bool, shape (n, classes), optional
        As of `log_loss`.
    """
    if np.ndim(truth) == 2:
        known = np.ones(np.shape(truth), bool) if known is None else known
        columns = zip(probabilities.T, truth.T, known.T, strict=True)
        gaps = [_gap(p[own], true[own], bins) for p, true, own in columns if own.any()]
        return float(np.mean(gaps)) if gaps else float('nan')
    return _gap(probabilities.max(axis=1), probabilities.argmax(axis=1) == truth, bins)


def reliability(inside: np.ndarray, probabilities: np.ndarray) -> list[list[float]]:
    """Return how often images have a class, by the probability that they were given.

    Parameters
    ----------
    inside : ndarray of bool, shape (n,)
        Whether each image has the class.
    probabilities : ndarray, shape (n,)
        Of the class.

    Returns
    -------
    list of [images, mean probability, frequency]
        Of parts of equal size, in the order of the probability: at most ten, of twenty images
        or more each; none of fewer images.
    """
    count = min(_MOST_PARTS, len(inside) // _LEAST_IN_PART)
    order = np.argsort(probabilities, kind='stable')
    parts = np.array_split(order, count) if count else []
    return [
        [len(p), round(float(probabilities[p].mean()), 4), round(float(inside[p].mean()), 4)]
        for p in parts
    ]


def _gap(confidence: np.ndarray, true: np.ndarray, bins: int) -> float:
    order = np.argsort(confidence, kind='stable')
    parts = np.array_split(order, min(bins, len(order)))
    return float(
        sum(len(p) * abs(confidence[p].mean() - true[p].mean()) for p in parts) / len(order)
    )
