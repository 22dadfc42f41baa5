"""The card of the model that learns from everything, once the folds have been judged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from napari_cxr.metrics.calibration import fit_temperature, probabilities_of
from napari_cxr.training.dataset import Dataset
from napari_cxr.training.evaluate import truth_of
from napari_cxr.training.folds import Fold, how_often
from napari_cxr.training.recipe import Recipe
from napari_cxr.training.thresholds import operating_points

__all__ = ['entries_of']


def entries_of(
    dataset: Dataset, folds: Sequence[Fold], recipe: Recipe, metrics: dict[str, Any]
) -> dict[str, Any]:
    """Return what the folds say for a model that has learnt from all images.

    No image is left that it has not learnt from or been chosen by. So its figures are those
    of the folds, whose recipe it shares, and what it needs besides weights is fitted on
    what they said of images that they had not seen: its outputs are as sure of themselves
    there as theirs, and not as on images that it knows.

    Parameters
    ----------
    dataset : Dataset
        The images.
    folds : sequence of Fold
        All that were run.
    recipe : Recipe
        Of the whole.
    metrics : dict
        As the summary of the folds has them.

    Returns
    -------
    dict
        The card's entries ``temperature`` (one for the logits of all folds),
        ``operating_points``, ``metrics`` and ``recipe``. An image that was tested in
        several folds counts as one.
    """
    truth, labels = truth_of(dataset), dataset.labels
    places = np.concatenate([fold.part.places for fold in folds])
    logits = np.concatenate([fold.logits for fold in folds])
    weights = 1 / how_often(folds, len(dataset.samples))[places]
    temperature = fit_temperature(truth[places], logits, weights)
    probabilities = probabilities_of(logits, dataset.several, temperature)
    return {
        'temperature': temperature,
        'operating_points': operating_points(truth[places], probabilities, labels, weights),
        'metrics': metrics,
        'recipe': recipe.to_dict(),
    }
