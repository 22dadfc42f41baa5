"""When to abstain from an answer.

The abstention band comes from split-conformal prediction by class (Vovk, Gammerman and Shafer,
Algorithmic Learning in a Random World, 2005, chapter 4.5: label-conditional): a prediction set
holds the right label for at least 1 - alpha of the images of each class, if future images are
exchangeable with those of the calibration. For one finding only the sets {yes} and {no} are an
answer, not {both} and {}. Images of another hospital are not exchangeable, so the widest band
of all sources is taken.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ['AbstentionBand', 'abstention_band', 'coverage']


@dataclass(frozen=True)
class AbstentionBand:
    """Probabilities between which no answer is given.

    Parameters
    ----------
    low, high : float
        At or below `low` the finding is reported absent, at or above `high` present.
    """

    low: float
    high: float


def abstention_band(
    positive: np.ndarray,
    probabilities: np.ndarray,
    sources: Sequence[Hashable],
    threshold: float,
    alpha: float = 0.1,
) -> AbstentionBand:
    """Return the band that bounds the error of both classes by `alpha` in every source.

    Parameters
    ----------
    positive : ndarray of bool, shape (n,)
        Whether each calibration image has the finding.
    probabilities : ndarray, shape (n,)
        Of the finding, by a model that was not trained on that image's patient.
    sources : sequence, length n
        The hospital of each image; if one has too few images of a class for this alpha, the
        band ends at 0 or 1.
    threshold : float
        From which the finding is predicted; it is always inside the band, so that an answer
        never contradicts the label.
    alpha : float
        Fraction of the images of a class that may be answered wrongly.

    Returns
    -------
    AbstentionBand
        Outside it, at most `alpha` of the positives and of the negatives of a source like
        these are answered wrongly.
    """
    if not 0 < alpha < 1:
        raise ValueError('alpha must be between 0 and 1')
    positive = np.asarray(positive, bool)
    names = np.array([str(source) for source in sources])
    low, high = threshold, threshold
    for name in np.unique(names):
        there = names == name
        # The finding may be reported absent where at most alpha of the positives are as low.
        low = min(low, _conformal_quantile(probabilities[there & positive], alpha, 0.0))
        high = max(high, _conformal_quantile(probabilities[there & ~positive], alpha, 1.0))
    return AbstentionBand(float(low), float(high))


def _conformal_quantile(probabilities: np.ndarray, alpha: float, end: float) -> float:
    """Return the value beyond which, towards `end`, the conformal p-value is at most alpha.

    The p-value is (1 + number of values as near to the end) / (n + 1).
    """
    allowed = math.floor(alpha * (len(probabilities) + 1))
    if allowed < 1:
        return end
    nearest = probabilities[np.argsort(np.abs(probabilities - end), kind='stable')]
    return float(np.nextafter(nearest[allowed - 1], end))


def coverage(
    positive: np.ndarray, probabilities: np.ndarray, band: AbstentionBand
) -> dict[str, float | int]:
    """Evaluate a band on images that were not used to calibrate it.

    Returns
    -------
    dict
        ``answered``, the fraction of images with an answer; ``wrong_positives`` and
        ``wrong_negatives``, the fractions of all positives reported absent and of all
        negatives reported present; ``sensitivity`` and ``specificity`` among those answered;
        NaN where there are none.
    """
    positive = np.asarray(positive, bool)
    absent, present = probabilities <= band.low, probabilities >= band.high
    answered, everything = absent | present, np.ones(len(positive), bool)

    def fraction(part: np.ndarray, whole: np.ndarray) -> float:
        return float(part.sum() / whole.sum()) if whole.any() else math.nan

    return {
        'images': len(positive),
        'answered': fraction(answered, everything),
        'wrong_positives': fraction(absent & positive, positive),
        'wrong_negatives': fraction(present & ~positive, ~positive),
        'sensitivity': fraction(present & positive, answered & positive),
        'specificity': fraction(absent & ~positive, answered & ~positive),
    }
