"""How good the answers are, where the truth is known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from napari_cxr.metrics import summarise
from napari_cxr.scoring.row import Row

__all__ = ['measure']


def measure(
    rows: Iterable[Row], labels: Sequence[str], *, several: bool
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Compare the rows that have a label with it.

    Labels are those of the model whatever their case. An image whose label the model does
    not know is not measured; neither is one with several labels, if the model gives one.

    Parameters
    ----------
    rows : iterable of Row
        Those without a label and those that were not scored are passed over.
    labels : sequence of str
        The model's classes.
    several : bool
        Whether an image can have several.

    Returns
    -------
    dict
        As `napari_cxr.metrics.summarise`; empty if fewer than two classes have images.
    tuple of str
        Labels that were met and that the model does not know, sorted.
    """
    known = {label.casefold(): k for k, label in enumerate(labels)}
    truths: list[list[int]] = []
    probabilities: list[tuple[float, ...]] = []
    patients: list[str] = []
    unknown: set[str] = set()
    for row in rows:
        if not row.truth or row.status != 'scored':
            continue
        named = row.truth.split('|')
        strange = [name for name in named if name.casefold() not in known]
        if strange or (len(named) > 1 and not several):
            unknown.update(strange or [row.truth])
            continue
        truths.append([known[name.casefold()] for name in named])
        probabilities.append(row.probabilities)
        patients.append(row.patient or f'image {row.number}')
    if len({k for truth in truths for k in truth}) < 2:
        return {}, tuple(sorted(unknown))
    truth = np.array([one[0] for one in truths])
    if several:
        truth = np.zeros((len(truths), len(labels)), dtype=bool)
        for i, one in enumerate(truths):
            truth[i, one] = True
    found = summarise(truth, np.array(probabilities), labels, patients)
    return found, tuple(sorted(unknown))
