"""Whether a result is worth anything: held-out sources, shortcut classifiers, when not to answer.

Imports no torch: arrays in, numbers out. The band in which no answer is given comes from
split-conformal prediction by class (Vovk, Gammerman and Shafer, Algorithmic Learning in a
Random World, 2005, chapter 4.5: label-conditional): a set of answers holds the right one for
at least 1 - alpha of the images of each class, if images to come are exchangeable with those
of the calibration. Of one finding only the sets {yes} and {no} are an answer, not {both} and
{}. Another hospital is not exchangeable, so the widest band of all sources is taken.

What is chosen by looking at a set has been trained on it. The ledger of evaluations cannot
stop that, but it can be printed beside the result.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from napari_cxr.metrics.baseline import BASELINES, fit_baseline
from napari_cxr.metrics.classification import auc
from napari_cxr.metrics.confidence_intervals import bootstrap

__all__ = [
    'AbstentionBand',
    'EvaluationLedger',
    'EvaluationRecord',
    'Stratum',
    'abstention_band',
    'balanced_weights',
    'compare',
    'coverage',
    'fit_shortcut',
    'leave_one_source_out',
    'lungs_blanked',
    'patient_folds',
    'within_auc',
]


@dataclass(frozen=True, order=True)
class Stratum:
    """Images that may be compared with one another: one source, one projection."""

    source: str
    projection: str = ''


def balanced_weights(positive: np.ndarray, strata: Sequence[Stratum]) -> np.ndarray:
    """Weight training images so that neither source nor projection gives the answer away.

    Within each stratum both classes count alike, a stratum counts by its number of images
    within its source, and all sources count alike. A stratum with one class only counts for
    nothing, since there the stratum is the answer.

    Parameters
    ----------
    positive : ndarray of bool, shape (n,)
        Whether each image has the finding.
    strata : sequence of Stratum, length n
        Of each image.

    Returns
    -------
    ndarray of float64, shape (n,)
        Of mean 1.

    Raises
    ------
    ValueError
        If no stratum has both classes.
    """
    positive = np.asarray(positive, bool)
    names = np.array([f'{s.source}\0{s.projection}' for s in strata])
    sources = np.array([s.source for s in strata])
    weights = np.zeros(len(positive))
    for name in np.unique(names):
        there = names == name
        have, lack = there & positive, there & ~positive
        if have.any() and lack.any():
            weights[have] = there.sum() / have.sum()
            weights[lack] = there.sum() / lack.sum()
    for source in np.unique(sources):
        there = sources == source
        if weights[there].any():
            weights[there] /= weights[there].sum()
    if not weights.any():
        raise ValueError('No source and projection has images with the finding and without it.')
    return weights / weights.mean()


def patient_folds(
    groups: Sequence[Hashable], positive: np.ndarray, folds: int, seed: int = 0
) -> list[np.ndarray]:
    """Divide images into folds by patient, each class spread as evenly as patients allow.

    Parameters
    ----------
    groups : sequence, length n
        The patient of each image.
    positive : ndarray of bool, shape (n,)
        Whether each has the finding.
    folds : int
        How many.
    seed : int
        Of the order in which patients of equal numbers of images are dealt out.

    Returns
    -------
    list of ndarray of int
        The places of the images of each fold, rising.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    numbers = {group: i for i, group in enumerate(dict.fromkeys(groups))}
    patients = [numbers[group] for group in groups]
    labels = np.asarray(positive, int)
    return [held for _, held in splitter.split(np.zeros(len(labels)), labels, patients)]


def leave_one_source_out(sources: Sequence[str]) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield each source with the places of all other images and of its own."""
    names = np.asarray(sources)
    for source in sorted(set(sources)):
        yield source, np.flatnonzero(names != source), np.flatnonzero(names == source)


def within_auc(
    positive: np.ndarray,
    scores: np.ndarray,
    strata: Sequence[Hashable],
    weights: np.ndarray | None = None,
) -> np.ndarray:
    """Return the area under the curve among pairs of images of the same stratum.

    A positive is compared with the negatives of its own stratum only (its projection, its
    hospital), so what tells strata apart gives nothing. It is the mean of the strata's areas,
    each weighted by its number of pairs (the stratified Mann-Whitney statistic; Van Elteren,
    Bull. Int. Stat. Inst. 1960;37:351, with weights that make it the share of all such pairs
    that are in the right order).

    Parameters
    ----------
    positive : ndarray of bool, shape (n,)
        Whether each image has the finding.
    scores : ndarray, shape (n,)
        Higher means more likely.
    strata : sequence, length n
        What each image is compared within.
    weights : ndarray, shape (..., n), optional
        How often each image counts; once by default.

    Returns
    -------
    ndarray of float64, shape (...)
        NaN where no stratum has both a positive and a negative.
    """
    positive = np.asarray(positive, bool)
    weights = np.ones(len(positive)) if weights is None else np.asarray(weights, np.float64)
    right = np.zeros(weights.shape[:-1])
    pairs = np.zeros(weights.shape[:-1])
    names = np.array([str(stratum) for stratum in strata])
    for name in np.unique(names):
        there = names == name
        if positive[there].all() or not positive[there].any():
            continue
        own = weights[..., there]
        count = (own * positive[there]).sum(-1) * (own * ~positive[there]).sum(-1)
        area = np.nan_to_num(auc(positive[there], scores[there], own))
        right, pairs = right + area * count, pairs + count
    with np.errstate(invalid='ignore', divide='ignore'):
        return np.asarray(right / pairs)


def compare(
    positive: np.ndarray,
    scores: Mapping[str, np.ndarray],
    strata: Sequence[Hashable],
    groups: Sequence[Hashable],
    *,
    times: int = 2000,
    seed: int = 0,
) -> dict[str, Any]:
    """Measure a classifier and what stands beside it, on the same resamples of patients.

    Parameters
    ----------
    positive : ndarray of bool, shape (n,)
        Whether each image has the finding.
    scores : mapping of str to ndarray, shape (n,)
        By the name of the classifier; the first is the one that the others are compared with.
    strata : sequence, length n
        The projection of each image, or whatever must not give the answer away.
    groups : sequence, length n
        The patient of each.
    times, seed : int
        Of the bootstrap.

    Returns
    -------
    dict
        ``images``, ``positives``, ``patients``; by classifier ``auc`` and ``auc_within`` as
        [value, low, high]; and for each of the others ``difference`` and
        ``difference_within``, the first minus it, with the interval of that difference.
    """
    positive = np.asarray(positive, bool)
    names = list(scores)

    def measured(weights: np.ndarray) -> np.ndarray:
        plain = [auc(positive, scores[name], weights) for name in names]
        within = [within_auc(positive, scores[name], strata, weights) for name in names]
        apart = [values[0] - value for values in (plain, within) for value in values[1:]]
        return np.stack([*plain, *within, *apart], axis=-1)

    classes = list(zip(positive.tolist(), map(str, strata), strict=True))
    found = bootstrap(measured, groups, classes, times=times, seed=seed)
    lists = [interval.to_list() for interval in found]
    count = len(names)
    out: dict[str, Any] = {
        'images': len(positive),
        'positives': int(positive.sum()),
        'patients': len(set(groups)),
    }
    for i, name in enumerate(names):
        out[name] = {'auc': lists[i], 'auc_within': lists[count + i]}
        if i:
            out[name]['difference'] = lists[2 * count + i - 1]
            out[name]['difference_within'] = lists[3 * count - 1 + i - 1]
    return out


def fit_shortcut(
    name: str,
    features: np.ndarray,
    projections: Sequence[str],
    positive: np.ndarray,
) -> Callable[[np.ndarray, Sequence[str]], np.ndarray]:
    """Fit a classifier of one finding that sees no shape.

    Parameters
    ----------
    name : {'projection only', 'format only', 'format and grey levels'}
        What it sees: the projection alone; the size of the image and the brightness of its
        border; or these and how often each grey value occurs.
    features : ndarray, shape (n, 44)
        Of the training images, from `napari_cxr.metrics.baseline_features`.
    projections : sequence of str, length n
        'AP', 'PA', or empty.
    positive : ndarray of bool, shape (n,)
        Whether each training image has the finding.

    Returns
    -------
    callable
        Takes features (m, 44) and projections, and returns probabilities (m,).
    """
    positive = np.asarray(positive, bool)
    if name == 'projection only':
        known = np.asarray(projections)
        rates = {p: float(positive[known == p].mean()) for p in set(projections)}
        return lambda _, theirs: np.array([rates.get(p, float(positive.mean())) for p in theirs])
    if name not in BASELINES:
        names = ', '.join(('projection only', *BASELINES))
        raise ValueError(f'There is no shortcut {name!r}; there are {names}.')
    seen = BASELINES[name]
    guess = fit_baseline(features[:, :seen], positive.astype(int), 2)
    return lambda others, _: guess(others[:, :seen])[:, 1]


def lungs_blanked(images: np.ndarray, lungs: np.ndarray) -> np.ndarray:
    """Return images with both lungs black, so that only what lies around them is left.

    Parameters
    ----------
    images : ndarray, shape (n, height, width)
        As a network gets them.
    lungs : ndarray, shape (n, height, width)
        How probable lung is, on the same pixels.
    """
    return np.where(lungs > 0.5, 0, images).astype(images.dtype)


@dataclass(frozen=True)
class AbstentionBand:
    """Probabilities between which no answer is given.

    Parameters
    ----------
    low, high : float
        At or below `low` the finding is denied, at or above `high` it is affirmed.
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
        low = min(low, _conformal_quantile(probabilities[there & positive], alpha, 0.0))
        high = max(high, _conformal_quantile(probabilities[there & ~positive], alpha, 1.0))
    return AbstentionBand(float(low), float(high))


def _conformal_quantile(probabilities: np.ndarray, alpha: float, end: float) -> float:
    """Return a value that a further one of its kind reaches, towards an end, by alpha at most.

    The conformal p-value, (1 + how many lie as near the end) / (n + 1), is then at most alpha.
    """
    allowed = math.floor(alpha * (len(probabilities) + 1))
    if allowed < 1:
        return end
    nearest = probabilities[np.argsort(np.abs(probabilities - end), kind='stable')]
    return float(np.nextafter(nearest[allowed - 1], end))


def coverage(
    positive: np.ndarray, probabilities: np.ndarray, band: AbstentionBand
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


@dataclass(frozen=True)
class EvaluationRecord:
    """One configuration that was measured on one set.

    Parameters
    ----------
    images : str
        The set it was measured on.
    configuration : str
        What was measured, in words that tell it from all others.
    purpose : str
        'choose', where the figure decided something, or 'report'.
    auc : float
        What it gave.
    time : str
        ISO 8601, UTC.
    """

    images: str
    configuration: str
    purpose: str
    auc: float
    time: str = ''


class EvaluationLedger:
    """The ledger of one file: a line of JSON for each look, only ever appended to.

    The same configuration that is measured again on the same set for the same purpose is no
    further look: it shows nothing new.

    Parameters
    ----------
    path : Path
        Need not exist yet; its folder is made.

    Raises
    ------
    ValueError
        If a line of the file is no look; the message names it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._looks: list[EvaluationRecord] = []
        lines = path.read_text(encoding='utf-8').splitlines() if path.exists() else []
        for number, line in enumerate(lines, start=1):
            try:
                self._looks.append(EvaluationRecord(**json.loads(line)))
            except (ValueError, TypeError) as error:
                raise ValueError(f'Line {number} of {path.name} is no look: {error}') from None

    def __iter__(self) -> Iterator[EvaluationRecord]:
        return iter(self._looks)

    def add(self, images: str, configuration: str, purpose: str, auc: float) -> None:
        """Write a look down, unless it is there."""
        if purpose not in ('choose', 'report'):
            raise ValueError(f"a look's purpose is 'choose' or 'report', not {purpose!r}")
        key = (images, configuration, purpose)
        if any((look.images, look.configuration, look.purpose) == key for look in self._looks):
            return
        now = datetime.now(UTC).isoformat(timespec='seconds')
        look = EvaluationRecord(images, configuration, purpose, round(float(auc), 4), now)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open('a', encoding='utf-8') as file:
            file.write(json.dumps(asdict(look)) + '\n')
        self._looks.append(look)

    def count(self, images: str = '', purpose: str = '') -> int:
        """Return how many configurations were measured on a set; by default on all sets."""
        return sum(
            (not images or look.images == images) and (not purpose or look.purpose == purpose)
            for look in self._looks
        )
