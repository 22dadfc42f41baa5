"""How logits of images that were not trained on become probabilities, thresholds and sets.

All of it is fitted on few numbers of images, and says so: with fewer than five patients of a
class nothing is fitted, and with fewer than twenty a caution is on the card and in the run.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from napari_cxr.metrics.calibration import (
    at_prevalence,
    fit_calibration,
    fit_temperature,
    frequencies,
    probabilities_of,
)
from napari_cxr.metrics.classification import one_hot
from napari_cxr.metrics.confidence_intervals import FEWEST_PATIENTS, patients_by_class
from napari_cxr.metrics.conformal import fit_prediction_sets
from napari_cxr.training.dataset import DatasetError
from napari_cxr.training.recipe import CalibrationRecipe

__all__ = ['SENSITIVITIES', 'fit_answers', 'operating_points']

#: Sensitivities that a class's threshold must reach.
SENSITIVITIES = (0.9, 0.95, 0.975)
#: With fewer patients of a class than this, what is fitted on them comes with a caution.
_CAUTION_BELOW = 20


def fit_answers(
    truth: np.ndarray,
    logits: np.ndarray,
    labels: tuple[str, ...],
    groups: Sequence[Hashable],
    recipe: CalibrationRecipe,
    weights: np.ndarray | None = None,
    known: np.ndarray | None = None,
) -> tuple[dict[str, Any], list[str]]:
    """Fit what a card says of the answers of a model.

    Parameters
    ----------
    truth : ndarray of int, shape (n,), or of bool, shape (n, classes)
        As `true_labels` returns it, of images that are used neither for training nor for testing.
    logits : ndarray, shape (n, classes)
        Outputs of the network.
    labels : tuple of str
        Names of the classes.
    groups : sequence
        The patient of each image.
    recipe : CalibrationRecipe
        What is fitted, and the prevalence that a person states.
    weights : ndarray, shape (n,), optional
        Weight of each image; 1 by default.
    known : ndarray of bool, shape (n, classes), optional
        With several labels: of which it is known whether the image has them.

    Returns
    -------
    entries : dict
        The card's ``temperature``, ``bias``, ``prevalence``, ``operating_points`` and
        ``prediction_sets``.
    cautions : list of str
        What the person has to know of how few images that rests on.

    Raises
    ------
    DatasetError
        If the recipe states the prevalence of a class that does not exist.
    """
    several, classes = np.ndim(truth) == 2, len(labels)
    known = np.ones((len(truth), classes), bool) if known is None else known
    inside = one_hot(truth, classes) & known
    counts = patients_by_class(inside, groups)
    if several:
        counts = np.minimum(counts, patients_by_class(~inside & known, groups))
    few = counts < FEWEST_PATIENTS
    temperature, bias = 1.0, (0.0,) * classes
    if recipe.method != 'none' and not (few.all() if several else few.any()):
        # A label with too few images keeps its logits: nothing of it counts in the fit.
        own = known & ~few if several else None
        if recipe.method == 'temperature':
            temperature = fit_temperature(truth, logits, weights, own)
        else:
            temperature, bias = fit_calibration(truth, logits, weights, own)
    measured = frequencies(truth, classes, weights, known)
    stated = _stated(measured, labels, recipe.prior, several)
    bias = at_prevalence(bias, several, measured, stated)
    probabilities = probabilities_of(logits, several, temperature, bias)
    points = operating_points(truth, probabilities, labels, weights, known)
    entries: dict[str, Any] = {
        'temperature': temperature,
        'bias': tuple(bias) if any(bias) else (),
        'prevalence': {
            label: round(float(p), 6)
            for label, p in zip(labels, stated, strict=True)
            if np.isfinite(p)
        },
        'operating_points': {
            label: found for label, found in points.items() if not few[labels.index(label)]
        },
        'prediction_sets': fit_prediction_sets(
            inside, probabilities, labels, recipe.alpha, weights
        )
        if recipe.alpha
        else {},
    }
    return entries, _cautions(labels, counts, several)


def _stated(
    measured: np.ndarray, labels: tuple[str, ...], prior: dict[str, float], several: bool
) -> np.ndarray:
    """Return the prevalence at which probabilities shall hold."""
    if unknown := [label for label in prior if label not in labels]:
        raise DatasetError(
            f'calibration.prior names the class {unknown[0]!r}, which does not exist; the classes '
            f'are {", ".join(labels)}.'
        )
    if several or not prior:
        return np.array([prior.get(label, p) for label, p in zip(labels, measured, strict=True)])
    rest = [k for k, label in enumerate(labels) if label not in prior]
    total = sum(prior.values())
    if (rest and total >= 1) or (not rest and abs(total - 1) > 1e-3):
        raise DatasetError(
            'calibration.prior: an image has one class, so the fractions of all classes add up to '
            f'1; these add up to {total:.3g}.'
        )
    out = np.array([prior.get(label, 0.0) for label in labels]) / (1 if rest else total)
    # What nothing is stated of keeps its proportions.
    others = measured[rest].sum()
    out[rest] = (1 - total) * (measured[rest] / others if others else 1 / max(1, len(rest)))
    return out


def _cautions(labels: tuple[str, ...], counts: np.ndarray, several: bool) -> list[str]:
    """Say of which classes there are few patients to fit anything on."""
    named = {label: int(n) for label, n in zip(labels, counts, strict=True)}
    none = [f'{label} ({n})' for label, n in named.items() if n < FEWEST_PATIENTS]
    some = [
        f'{label} ({n})' for label, n in named.items() if FEWEST_PATIENTS <= n < _CAUTION_BELOW
    ]
    of = 'with or without it ' if several else ''
    out = []
    if none:
        what = 'these labels are' if several else 'the probabilities are'
        out.append(
            f'Fewer than {FEWEST_PATIENTS} patients {of}among the validation images: '
            f'{", ".join(none)}. So {what} not calibrated, and thresholds are missing; treat the '
            'probabilities as an order, not as chances.'
        )
    if some:
        out.append(
            f'Fewer than {_CAUTION_BELOW} patients {of}among the validation images: '
            f'{", ".join(some)}. Calibration and thresholds rest on these few and may be far off.'
        )
    return out


def operating_points(
    truth: np.ndarray,
    probabilities: np.ndarray,
    labels: tuple[str, ...],
    weights: np.ndarray | None = None,
    known: np.ndarray | None = None,
) -> dict[str, dict[str, float]]:
    """Choose thresholds, on images that are used neither for training nor for testing.

    Each lies halfway between two images, so that rounding in another backend moves no image
    across it.

    Parameters
    ----------
    truth : ndarray of int, shape (n,), or of bool, shape (n, classes)
        As `true_labels` returns it.
    probabilities : ndarray, shape (n, classes)
        Calibrated.
    labels : tuple of str
        Names of the classes.
    weights : ndarray, shape (n,), optional
        Weight of each image; 1 by default.
    known : ndarray of bool, shape (n, classes), optional
        With several labels: of which it is known whether the image has them.

    Returns
    -------
    dict
        For each class the highest threshold with each of `SENSITIVITIES`
        ('sensitivity 0.90', 'sensitivity 0.975'), and the one with the largest sum of
        sensitivity and specificity ('Youden', Cancer 1950;3:32).
    """
    points: dict[str, dict[str, float]] = {}
    belongs = one_hot(truth, len(labels))
    weights = np.ones(len(belongs)) if weights is None else weights
    for k, label in enumerate(labels):
        here = slice(None) if known is None else known[:, k]
        inside, scores, own = belongs[here, k], probabilities[here, k], weights[here]
        if not inside.any() or inside.all():
            continue
        order = np.argsort(scores[inside], kind='stable')
        rising, missed = scores[inside][order], np.cumsum(own[inside][order])
        found = {
            # The small term is for 0.1 * 10 < 1.
            f'sensitivity {s:.2f}' if round(s, 2) == s else f'sensitivity {s:g}': float(
                rising[np.searchsorted(missed, (1 - s) * missed[-1] + 1e-9, side='right')]
            )
            for s in SENSITIVITIES
        }
        thresholds = np.unique(scores)
        sums = [
            np.average(scores[inside] >= t, weights=own[inside])
            + np.average(scores[~inside] < t, weights=own[~inside])
            for t in thresholds
        ]
        found['Youden'] = float(thresholds[int(np.argmax(sums))])
        points[label] = {name: _halfway_down(t, thresholds) for name, t in found.items()}
    return points


def _halfway_down(threshold: float, scores: np.ndarray) -> float:
    """Return the middle between a score and the next lower one; half of it if there is none."""
    place = int(np.searchsorted(scores, threshold))
    return float((threshold + (scores[place - 1] if place else 0.0)) / 2)
