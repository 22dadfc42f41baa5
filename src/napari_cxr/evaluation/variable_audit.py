"""Could this alone give your AUC? What source, view, age or sex tell about the class.

A variable that predicts the class predicts it for a network too, if the network can see the
variable in the image; and it can see the hospital, the projection, age and sex (Zech et al.,
PLoS Med. 2018;15:e1002683; DeGrave, Janizek and Lee, Nat. Mach. Intell. 2021;3:610; Gichoya et
al., Lancet Digit. Health 2022;4:e406). So each is given to a classifier by itself.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from napari_cxr.messages import message_type
from napari_cxr.metrics.baseline import fit_baseline
from napari_cxr.metrics.classification import one_hot
from napari_cxr.metrics.confidence_intervals import macro_auc_interval

__all__ = ['VariableAudit', 'age_in_years', 'audit_variable', 'shortcut_answer']

Answer = Literal['yes', 'partly', 'no', 'unknown']

#: A lower bound above the first is enough to be called most of a good result, above the second
#: some of it; both are macro AUC, where chance is .5.
_MOST, _SOME = 0.8, 0.6
#: Parts into which ages are counted, in years: infants, children, adolescents, adults by twenty.
_AGES = (0, 2, 12, 18, 40, 60, 80, 200)
#: Values of a category that are counted by themselves; the rest are counted together.
_MOST_VALUES = 20
_OTHERS = 'others'


@message_type
@dataclass(frozen=True)
class VariableAudit:
    """What one variable tells about the class.

    Parameters
    ----------
    name : str
        'source', 'view', 'age', 'sex', or what is measured in the image itself.
    images : int
        Of how many it is known; only these are counted and classified.
    counts : dict of str to dict of str to int
        Images by value, then by class; empty for what has no values to count.
    auc : tuple of float
        Macro AUC of a classifier that knows it alone, and its 95 % interval by patient; empty
        where it cannot be measured.
    answer : {'yes', 'partly', 'no', 'unknown'}
        Whether it alone could give a good result, or the one that was asked about.
    text : str
        The same in a sentence or two.
    """

    name: str
    images: int
    counts: dict[str, dict[str, int]]
    auc: tuple[float, ...]
    answer: Answer
    text: str


def age_in_years(cell: str) -> float:
    """Return an age as tables and DICOM write it, in years; NaN where it is none.

    '63', '063Y', '8M' (months), '3W', '12D' as in DICOM (PS3.5 6.2, AS), '1-5 y' as the middle.
    """
    match = re.fullmatch(
        r'(\d{1,3}(?:\.\d+)?)(?:\s*[-–]\s*(\d{1,3}(?:\.\d+)?))?\s*(?:(y|m|w|d)[a-z]*)?\.?',
        cell.strip().lower(),
    )
    if match is None:
        return math.nan
    first = float(match[1])
    value = (first + float(match[2])) / 2 if match[2] else first
    years = value / {'y': 1, 'm': 12, 'w': 52.18, 'd': 365.25}[match[3] or 'y']
    return years if years < _AGES[-1] else math.nan


def audit_variable(
    name: str,
    values: np.ndarray,
    truth: np.ndarray,
    labels: Sequence[str],
    folds: Sequence[np.ndarray],
    groups: Sequence[str],
    *,
    known: np.ndarray | None = None,
    asked: float | None = None,
) -> VariableAudit:
    """Classify images by one variable alone, out of fold.

    Parameters
    ----------
    name : str
        Of the variable.
    values : ndarray, shape (n,) of str, or (n, f) of float
        A category for each image, '' where unknown; or numbers.
    truth : ndarray of int, shape (n,), or of bool, shape (n, K)
        Class numbers; or the labels of each image, if it can have several.
    labels : sequence of str
        The K classes.
    folds : sequence of ndarray of int
        Indices of the images of each fold, patients undivided.
    groups : sequence of str, length n
        The patient of each image.
    known : ndarray of bool, shape (n,), optional
        Of which images it is known; by default those with a text or with all numbers.
    asked : float, optional
        The AUC of a model, to which it is compared.

    Returns
    -------
    VariableAudit
    """
    categories = values.ndim == 1
    if known is None:
        known = values != '' if categories else np.isfinite(values).all(axis=1)
    inside = one_hot(truth, len(labels))
    counts = _counts(name, values, inside, labels, known)
    images = int(known.sum())
    present = [k for k in range(len(labels)) if inside[known, k].any()]
    spread = len(set(values[known])) if categories else len(np.unique(values[known], axis=0))
    if images == 0:
        return VariableAudit(name, 0, {}, (), 'unknown', f'The {name} of the images is not known.')
    if spread < 2 or len(present) < 2:
        why = (
            f'is the same for all {images:,} images'
            if spread < 2
            else 'is known for images of one class only, which by itself gives that class away'
        )
        answer: Answer = 'no' if spread < 2 else 'yes'
        return VariableAudit(name, images, counts, (), answer, f'The {name} {why}.')
    fit = _rates if categories else fit_baseline
    found = _out_of_fold(fit, values, truth, len(labels), folds, known)
    places = np.flatnonzero(known)
    patients = [groups[int(i)] for i in places]
    interval = macro_auc_interval(inside[places], found[places], patients)
    auc = interval.value, interval.low, interval.high
    answer = shortcut_answer(auc, asked)
    text = _sentence(name, auc, answer, images, len(known), asked)
    return VariableAudit(name, images, counts, auc, answer, text)


def shortcut_answer(auc: Sequence[float], asked: float | None = None) -> Answer:
    """Return whether a classifier with this AUC (value, low, high) could give a result.

    Parameters
    ----------
    auc : sequence of float
        Of a classifier that knows one variable alone.
    asked : float, optional
        The result in question; by default, a good one.
    """
    _, low, high = auc
    if not all(map(math.isfinite, auc)):
        return 'unknown'
    if asked is not None:
        return 'yes' if high >= asked else 'partly' if low > _SOME else 'no'
    return 'yes' if low > _MOST else 'partly' if low > _SOME else 'no'


def _sentence(
    name: str, auc: Sequence[float], answer: Answer, images: int, total: int, asked: float | None
) -> str:
    value, low, high = auc
    number = f'{value:.3f}' + (f' ({low:.3f} to {high:.3f})' if math.isfinite(low) else '')
    on = '' if images == total else f' on the {images:,} of {total:,} images where it is known'
    goal = 'a good AUC' if asked is None else f'an AUC of {asked:.3f}'
    match answer:
        case 'yes':
            follows = f'It alone could give {goal}; a model that does no better proves nothing.'
        case 'partly':
            follows = f'It alone gives a part of {goal}: compare models within the same {name}.'
        case 'no':
            follows = f'It alone does not give {goal}.'
        case _:
            follows = 'There are too few images to say more.'
    return (
        f'A classifier that knows the {name} alone reaches a macro AUC of {number}{on}. {follows}'
    )


def _out_of_fold(
    fit: Callable[[np.ndarray, np.ndarray, int], Callable[[np.ndarray], np.ndarray]],
    values: np.ndarray,
    truth: np.ndarray,
    classes: int,
    folds: Sequence[np.ndarray],
    known: np.ndarray,
) -> np.ndarray:
    found = np.full((len(values), classes), np.nan)
    everything = np.flatnonzero(known)
    for fold in folds:
        held = fold[known[fold]]
        rest = np.setdiff1d(everything, held)
        if len(held) and len(rest):
            found[held] = fit(values[rest], np.asarray(truth)[rest], classes)(values[held])
    return found


def _rates(
    values: np.ndarray, truth: np.ndarray, classes: int
) -> Callable[[np.ndarray], np.ndarray]:
    """Learn how frequent each class is for each value; one image is worth as much as no value."""
    inside = one_hot(truth, classes).astype(float)
    overall = inside.mean(axis=0)
    rates = {
        value: (inside[values == value].sum(axis=0) + overall) / ((values == value).sum() + 1)
        for value in set(values)
    }
    return lambda others: np.array([rates.get(value, overall) for value in others])


def _counts(
    name: str, values: np.ndarray, inside: np.ndarray, labels: Sequence[str], known: np.ndarray
) -> dict[str, dict[str, int]]:
    """Count images by value and class; an image with several labels counts for each."""
    if values.ndim == 2:
        if name != 'age':
            return {}
        part = np.searchsorted(_AGES, values[:, 0], side='right') - 1
        names = [f'{low} to {high - 1}' for low, high in pairwise(_AGES)]
        names[-1] = f'{_AGES[-2]} and over'
        named = np.array([names[p] if k else '' for p, k in zip(part, known, strict=True)])
        order = [one for one in names if (named == one).any()]
    else:
        sizes: Mapping[str, int] = {v: int((values[known] == v).sum()) for v in set(values[known])}
        order = sorted(sizes, key=lambda value: (-sizes[value], value))
        kept = set(order[:_MOST_VALUES])
        named = np.array([v if v in kept else _OTHERS for v in values], dtype=object)
        order = [*order[:_MOST_VALUES], *([_OTHERS] if len(order) > _MOST_VALUES else [])]
    return {
        value: {
            label: int((inside[:, k] & known & (named == value)).sum())
            for k, label in enumerate(labels)
        }
        for value in order
    }
