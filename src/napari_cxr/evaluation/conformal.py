"""When a classifier of one finding should not answer: split-conformal prediction, by class.

A set of answers holds the right one for at least 1 - alpha of the images of each class, if
images to come are exchangeable with those that it was calibrated on (Vovk, Gammerman and
Shafer, Algorithmic Learning in a Random World, 2005, chapter 4.5: label-conditional). Of one
finding there are four sets: {yes}, {no}, both, and none. Only the first two are an answer.

Another hospital is not exchangeable. So the band is worked out in each source by itself, and
the widest is taken.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ['Band', 'band_of', 'coverage']


@dataclass(frozen=True)
class Band:
    """Probabilities between which no answer is given.

    Parameters
    ----------
    low, high : float
        At or below `low` the finding is denied, at or above `high` it is affirmed.
    """

    low: float
    high: float


def band_of(
    positive: np.ndarray,
    probabilities: np.ndarray,
    sources: Sequence[Hashable],
    threshold: float,
    alpha: float = 0.1,
) -> Band:
    """Return the band that keeps the error of both classes to `alpha` in every source.

    Parameters
    ----------
    positive : ndarray of bool, shape (n,)
        Whether each calibration image has the finding.
    probabilities : ndarray, shape (n,)
        Of the finding, by a model that has not learnt from that image's patient.
    sources : sequence, length n
        The hospital of each image; one with too few images of a class to say anything at
        this alpha makes the band end at 0 or 1.
    threshold : float
        From which on the finding is predicted; the band never leaves it outside, so that an
        answer never contradicts the label.
    alpha : float
        Share of the images of a class that may be answered wrongly.

    Returns
    -------
    Band
        Of an image outside, the answer is wrong for at most `alpha` of the positives and of
        the negatives of a source like these.
    """
    if not 0 < alpha < 1:
        raise ValueError('alpha must be between 0 and 1')
    positive = np.asarray(positive, bool)
    names = np.array([str(source) for source in sources])
    low, high = threshold, threshold
    for name in np.unique(names):
        there = names == name
        # The finding may be denied at p where at most alpha of the positives lie as low.
        low = min(low, _beyond(probabilities[there & positive], alpha, 0.0))
        high = max(high, _beyond(probabilities[there & ~positive], alpha, 1.0))
    return Band(float(low), float(high))


def _beyond(probabilities: np.ndarray, alpha: float, end: float) -> float:
    """Return a value that a further one of its kind reaches, towards an end, by alpha at most.

    The conformal p-value, (1 + how many lie as near the end) / (n + 1), is then at most alpha.
    """
    allowed = math.floor(alpha * (len(probabilities) + 1))
    if allowed < 1:
        return end
    nearest = probabilities[np.argsort(np.abs(probabilities - end), kind='stable')]
    return float(np.nextafter(nearest[allowed - 1], end))


def coverage(
    positive: np.ndarray, probabilities: np.ndarray, band: Band
) -> dict[str, float | int]:
    """Count what a band does to images that it was not made from.

    Returns
    -------
    dict
        ``answered``, the share of images with an answer; ``wrong_positives`` and
        ``wrong_negatives``, the shares of all positives that were denied and of all negatives
        that were affirmed; ``sensitivity`` and ``specificity`` among those answered; NaN
        where there is none.
    """
    positive = np.asarray(positive, bool)
    denied, affirmed = probabilities <= band.low, probabilities >= band.high
    answered = denied | affirmed

    def share(part: np.ndarray, whole: np.ndarray) -> float:
        return float(part.sum() / whole.sum()) if whole.any() else math.nan

    everything = np.ones(len(positive), bool)
    return {
        'images': len(positive),
        'answered': share(answered, everything),
        'wrong_positives': share(denied & positive, positive),
        'wrong_negatives': share(affirmed & ~positive, ~positive),
        'sensitivity': share(affirmed & positive, answered & positive),
        'specificity': share(denied & ~positive, answered & ~positive),
    }
