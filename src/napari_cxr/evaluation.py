"""Is a result worth anything: held-out sources, shortcut classifiers, when to abstain.

Arrays in, numbers out; no torch. The abstention band comes from split-conformal prediction by
class (Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World, 2005, chapter 4.5:
label-conditional): a prediction set holds the right label for at least 1 - alpha of the images
of each class, if future images are exchangeable with those of the calibration. For one finding
only the sets {yes} and {no} are an answer, not {both} and {}. Images of another hospital are
not exchangeable, so the widest band of all sources is taken.

Choosing a model by its results on a set amounts to training on that set. The ledger of
evaluations cannot prevent that, but it can be printed beside the result.
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
from napari_cxr.settings_file import LARGEST_TABLE, parse_json, read_settings

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
    """Weight training images so that neither source nor projection predicts the label.

    Both classes have the same weight within a stratum, a stratum counts by its number of images
    within its source, and all sources have the same weight. A stratum with one class only has
    weight zero, since there the stratum predicts the label.

    Parameters
    ----------
    positive : ndarray of bool, shape (n,)
        Whether each image has the finding.
    strata : sequence of Stratum, length n
        Of each image.

    Returns
    -------
    ndarray of float64, shape (n,)
        Weights with a mean of 1; `ValueError` if no stratum has both classes.
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
    """Split images into folds by patient, stratified by class as far as patients allow.

    Parameters
    ----------
    groups : sequence, length n
        The patient of each image.
    positive : ndarray of bool, shape (n,)
        Whether each has the finding.
    folds, seed : int
        Number of folds; seed of the order in which patients of equal size are assigned.

    Returns
    -------
    list of ndarray of int
        Indices of the images of each fold, ascending.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    numbers = {group: i for i, group in enumerate(dict.fromkeys(groups))}
    patients = [numbers[group] for group in groups]
    labels = np.asarray(positive, int)
    return [held for _, held in splitter.split(np.zeros(len(labels)), labels, patients)]


def leave_one_source_out(sources: Sequence[str]) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield each source with the indices of all other images and of its own."""
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

    A positive is compared only with the negatives of its own stratum (its projection, its
    hospital), so a score that only separates strata gains nothing. The result is the mean of
    the strata's areas, weighted by their numbers of pairs: the fraction of all such pairs that
    are in the right order (the stratified Mann-Whitney statistic; Van Elteren, Bull. Int. Stat.
    Inst. 1960;37:351).

    Parameters
    ----------
    positive : ndarray of bool, shape (n,)
        Whether each image has the finding.
    scores : ndarray, shape (n,)
        Higher means more likely.
    strata : sequence, length n
        The stratum of each image.
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
    """Evaluate a classifier and its competitors on the same bootstrap resamples of patients.

    Parameters
    ----------
    positive : ndarray of bool, shape (n,)
        Whether each image has the finding.
    scores : mapping of str to ndarray, shape (n,)
        By the name of the classifier; the others are compared with the first.
    strata : sequence, length n
        The projection of each image, or whatever else must not predict the label.
    groups : sequence, length n
        The patient of each.
    times, seed : int
        Of the bootstrap.

    Returns
    -------
    dict
        ``images``, ``positives``, ``patients``; by classifier ``auc`` and ``auc_within`` as
        [value, low, high]; for all but the first also ``difference`` and
        ``difference_within``, the first minus this one, with the interval of the difference.
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
    count, positives, patients = len(names), int(positive.sum()), len(set(groups))
    out: dict[str, Any] = {'images': len(positive), 'positives': positives, 'patients': patients}
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
    """Fit a classifier of one finding that has no access to shapes.

    Parameters
    ----------
    name : {'projection only', 'format only', 'format and grey levels'}
        Its input: the projection alone; the size of the image and the brightness of its
        border; or these and the grey-level histogram.
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
        raise ValueError(f'There is no shortcut classifier {name!r}; choose one of {names}.')
    used = BASELINES[name]
    predict = fit_baseline(features[:, :used], positive.astype(int), 2)
    return lambda others, _: predict(others[:, :used])[:, 1]


def lungs_blanked(images: np.ndarray, lungs: np.ndarray) -> np.ndarray:
    """Return images with both lungs set to black, so that only their surroundings remain.

    Parameters
    ----------
    images : ndarray, shape (n, height, width)
        As a network sees them.
    lungs : ndarray, shape (n, height, width)
        Probability of lung, on the same pixels.
    """
    return np.where(lungs > 0.5, 0, images).astype(images.dtype)


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


@dataclass(frozen=True)
class EvaluationRecord:
    """One evaluation of one configuration on one set.

    Parameters
    ----------
    images : str
        The set on which it was evaluated.
    configuration : str
        What was evaluated, described so that it differs from all others.
    purpose : str
        'choose' if the result decided something, or 'report'.
    auc : float
        The result.
    time : str
        ISO 8601, UTC.
    """

    images: str
    configuration: str
    purpose: str
    auc: float
    time: str = ''


class EvaluationLedger:
    """An append-only list of evaluations, kept in a file with one JSON object a line.

    Evaluating the same configuration on the same set for the same purpose again adds no record,
    because nothing new is seen.

    Parameters
    ----------
    path : Path
        Need not exist yet; its folder is created. If a line of it is not a valid record, a
        `ValueError` names it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._records: list[EvaluationRecord] = []
        lines = read_settings(path, LARGEST_TABLE).splitlines() if path.exists() else []
        for number, line in enumerate(lines, start=1):
            try:
                self._records.append(EvaluationRecord(**parse_json(line)))
            except (ValueError, TypeError) as error:
                raise ValueError(
                    f'Line {number} of {path.name} is not a valid record: {error}'
                ) from None

    def __iter__(self) -> Iterator[EvaluationRecord]:
        return iter(self._records)

    def add(self, images: str, configuration: str, purpose: str, auc: float) -> None:
        """Append a record, unless there is one already."""
        if purpose not in ('choose', 'report'):
            raise ValueError(f"The purpose is 'choose' or 'report', not {purpose!r}.")
        key = (images, configuration, purpose)
        if any((r.images, r.configuration, r.purpose) == key for r in self._records):
            return
        now = datetime.now(UTC).isoformat(timespec='seconds')
        record = EvaluationRecord(images, configuration, purpose, round(float(auc), 4), now)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open('a', encoding='utf-8') as file:
            file.write(json.dumps(asdict(record)) + '\n')
        self._records.append(record)

    def count(self, images: str = '', purpose: str = '') -> int:
        """Return how many configurations were evaluated on a set; by default on all sets."""
        return sum(
            images in ('', record.images) and purpose in ('', record.purpose)
            for record in self._records
        )
