"""The card of a run's model: what it is, and what it is worth."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from napari_cxr import __version__, lungs
from napari_cxr.checkpoint import Card, Checkpoint
from napari_cxr.metrics.calibration import probabilities_of
from napari_cxr.training.evaluate import judge
from napari_cxr.training.predictions import write_predictions
from napari_cxr.training.run import Run
from napari_cxr.training.start import head_entries

__all__ = ['card_of', 'measure']


def card_of(
    run: Run,
    described: dict[str, Any],
    epoch: int,
    entries: dict[str, Any] | None = None,
    credit: tuple[str, ...] = (),
) -> Card:
    """Return the card of a run's weights.

    Parameters
    ----------
    run : Run
        Whose.
    described : dict
        As `describe_data` says of its data.
    epoch : int
        After which they were kept.
    entries : dict, optional
        As `measure` returns them, or `entries_of` after folds, whose recipe is then the
        card's; without them the card has no figures.
    credit : tuple of str
        Whose the weights are that it started from, as `credits_of` says.
    """
    recipe, dataset, words = run.recipe, run.data.dataset, run.recipe.card
    told: dict[str, Any] = {
        'recipe': recipe.to_dict(),
        'data': {**described, **_lungs_of(run), 'epoch': epoch},
        **(entries or {}),
    }
    return Card(
        name=words.name or recipe.name,
        title=words.title or recipe.title,
        architecture=recipe.network,
        labels=dataset.labels,
        channels=recipe.input.channels,
        several=dataset.several,
        head=head_entries(recipe),
        preprocessing=recipe.input.to_dict(),
        licence=words.licence,
        attribution=tuple(dict.fromkeys((*words.attribution, *credit))),
        intended_use=words.intended_use,
        not_to_believe=words.not_to_believe,
        not_measured=words.not_measured,
        created=datetime.now(UTC).date().isoformat(),
        version=__version__,
        **told,
    )


def _lungs_of(run: Run) -> dict[str, str]:
    """Return which lung field the images were prepared with, if any."""
    ignored = run.recipe.input.lungs == 'ignored'
    return {} if ignored else {'lung_field': lungs.fingerprint()}


def measure(run: Run, stored: Checkpoint, out: Path | None = None) -> dict[str, Any]:
    """Measure a stored model on a run's images; return its card's entries, as `judge` does.

    With a folder `out`, what it says of each image is written there; see
    `napari_cxr.training.predictions`.
    """
    data = run.data
    network = run.place(stored.network())
    # Those that were learnt from are not looked at.
    logits = np.zeros((len(data.dataset.samples), len(data.dataset.labels)), np.float32)
    places = np.concatenate([data.split.val, data.split.test])
    logits[places] = run.logits(network, places)
    entries = judge(data.dataset, data.split, data, logits, run.recipe.seed)
    if out is not None:
        probabilities = probabilities_of(logits, data.dataset.several, entries['temperature'])
        digests = data.material.digests
        write_predictions(out, data.dataset, data.split, digests, probabilities, logits)
    return entries
