"""Average precision, Matthews correlation, Brier score, log loss and calibration error.

As functions of the weight of each image, like those in `classification`, so that thousands of
resamples are one pass. Truth is bool of shape (n, K) throughout.
"""

from __future__ import annotations

import numpy as np

__all__ = [
    'average_precision',
    'brier_score',
    'expected_calibration_error',
    'image_losses',
    'mean_log_loss',
    'multiclass_mcc',
]

#: The least probability that the logarithm is taken of, as scikit-learn does for float64.
_LEAST = float(np.finfo(np.float64).eps)


def average_precision(positive: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the area below the precision-recall curve, as a sum of steps.

    The mean precision over the recalls that are reached: sum of (R_i - R_(i-1)) P_i over
    distinct scores, highest first, without interpolation (as scikit-learn computes it).

    Parameters
    ----------
    positive : ndarray of bool, shape (n,)
        Whether each image belongs to the class.
    scores : ndarray, shape (n,)
        Higher means more likely.
    weights : ndarray, shape (..., n)
        Weight of each image.

    Returns
    -------
    ndarray of float64, shape (...)
        NaN without a positive or without a negative.
    """
    positive = np.asarray(positive, bool)
    order = np.argsort(-np.asarray(scores), kind='stable')
    ranked = np.asarray(scores)[order]
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
    own, others = (
        np.add.reduceat((weights * part)[..., order], starts, axis=-1)
        for part in (positive, ~positive)
    )
    found, wrong = np.cumsum(own, axis=-1), np.cumsum(others, axis=-1)
    with np.errstate(invalid='ignore', divide='ignore'):
        at = np.where(found + wrong > 0, found / (found + wrong), 0)
        area = (own * at).sum(axis=-1) / found[..., -1]
    return np.asarray(np.where(wrong[..., -1] > 0, area, np.nan))


def multiclass_mcc(confusion: np.ndarray) -> np.ndarray:
    """Return the Matthews correlation of predictions and labels.

    With several classes it is R_K (Gorodkin, Comput. Biol. Chem. 2004;28:367).

    Parameters
    ----------
    confusion : ndarray, shape (..., K, K)
        Rows are the true classes.

    Returns
    -------
    ndarray of float64, shape (...)
        From -1 to 1; 0 where all predictions or all labels are the same.
    """
    right, total = np.trace(confusion, axis1=-2, axis2=-1), confusion.sum(axis=(-2, -1))
    true, predicted = confusion.sum(axis=-1), confusion.sum(axis=-2)
    both = right * total - (true * predicted).sum(axis=-1)
    spread = np.sqrt(
        (total**2 - (predicted**2).sum(axis=-1)) * (total**2 - (true**2).sum(axis=-1))
    )
    with np.errstate(invalid='ignore', divide='ignore'):
        return np.asarray(np.where(spread > 0, both / spread, 0.0))


def brier_score(
    truth: np.ndarray,
    probabilities: np.ndarray,
    weights: np.ndarray,
    multilabel: bool,
    known: np.ndarray | None = None,
) -> np.ndarray:
    """Return the mean squared distance of probabilities from the truth.

    With classes that exclude each other the sum over the classes (Brier, Mon. Weather Rev.
    1950;78:1), halved where there are two, so that it is the usual score of one probability. With
    several labels the mean over the labels that are `known`; an image of which none is does not
    count.
    """
    losses = image_losses(truth, probabilities, multilabel, known)['brier']
    return _mean(losses, weights if known is None else weights * known.any(axis=1))


def mean_log_loss(
    truth: np.ndarray,
    probabilities: np.ndarray,
    weights: np.ndarray,
    multilabel: bool,
    known: np.ndarray | None = None,
) -> np.ndarray:
    """Return the mean negative logarithm of the probability of what is true.

    With several labels the binary cross-entropy, averaged over the labels that are `known`. A
    probability of 0 counts as 2.2e-16.
    """
    losses = image_losses(truth, probabilities, multilabel, known)['log_loss']
    return _mean(losses, weights if known is None else weights * known.any(axis=1))


def image_losses(
    truth: np.ndarray,
    probabilities: np.ndarray,
    multilabel: bool,
    known: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Return what each image adds to ``log_loss`` and ``brier``, shape (n,) each.

    See `mean_log_loss` and `brier_score`. With several labels it is the mean over those of which
    it is `known` whether the image has them; all by default.
    """
    p = np.asarray(probabilities, np.float64)
    squares = (p - truth) ** 2
    if multilabel:
        safe = np.clip(p, _LEAST, 1 - _LEAST)
        logs = -np.where(truth, np.log(safe), np.log1p(-safe))
        if known is None:
            return {'log_loss': logs.mean(axis=1), 'brier': squares.mean(axis=1)}
        counted = np.maximum(known.sum(axis=1), 1)
        return {
            'log_loss': (logs * known).sum(axis=1) / counted,
            'brier': (squares * known).sum(axis=1) / counted,
        }
    return {
        'log_loss': -(np.log(np.clip(p, _LEAST, 1)) * truth).sum(axis=1),
        'brier': squares.sum(axis=1) / (2 if truth.shape[1] == 2 else 1),
    }


def expected_calibration_error(
    truth: np.ndarray,
    probabilities: np.ndarray,
    weights: np.ndarray,
    multilabel: bool,
    known: np.ndarray | None = None,
    bins: int = 15,
) -> np.ndarray:
    """Return the gap between confidence and accuracy, as `calibration.calibration_error`.

    The bins hold equally many images of the sample, and stay the same in all resamples. With
    several labels it is the mean over the labels, each by the images of which it is `known`.
    """
    if multilabel:
        known = np.ones(truth.shape, bool) if known is None else known
        return np.mean(
            [
                _gap(p[own], true[own], weights[..., own], bins)
                for p, true, own in zip(probabilities.T, truth.T, known.T, strict=True)
                if own.any()
            ],
            axis=0,
        )
    right = truth[np.arange(len(truth)), probabilities.argmax(axis=1)]
    return _gap(probabilities.max(axis=1), right, weights, bins)


def _gap(p: np.ndarray, true: np.ndarray, weights: np.ndarray, bins: int) -> np.ndarray:
    order = np.argsort(p, kind='stable')
    parts = np.array_split(order, min(bins, len(order)))
    apart = p - true
    gaps = [np.abs(weights[..., part] @ apart[part]) for part in parts]
    with np.errstate(invalid='ignore', divide='ignore'):
        return np.asarray(np.sum(gaps, axis=0) / weights.sum(axis=-1))


def _mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    with np.errstate(invalid='ignore', divide='ignore'):
        return np.asarray(weights @ values / weights.sum(axis=-1))
