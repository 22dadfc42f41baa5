"""The checks of a heatmap, by the model that made it."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

import numpy as np

from napari_cxr.explain import explanation_methods
from napari_cxr.explain.explanation_methods import DEFAULT_METHOD
from napari_cxr.explain.heatmap_checks import (
    HeatmapChecks,
    cascading_randomisation,
    deletion_and_insertion,
)
from napari_cxr.inference.classifier import Classifier
from napari_cxr.inference.device import raising_out_of_memory
from napari_cxr.lungs import LungField
from napari_cxr.radiograph import Radiograph

__all__ = ['check_heatmap']

Returned = TypeVar('Returned')

#: The part of the time that randomisation takes, roughly.
_RANDOMISATION = 0.5


def check_heatmap(
    classifier: Classifier,
    radiograph: Radiograph,
    label: str,
    method: str = DEFAULT_METHOD,
    against: str = '',
    field: LungField | None = None,
) -> Generator[float, None, HeatmapChecks]:
    """Check whether a heatmap depends on what was learned, and the answer on what it marks.

    Parameters
    ----------
    classifier : Classifier
        The model; its network runs in torch for the first check.
    radiograph : Radiograph
        A single frame.
    label, method, against, field
        As of `Classifier.explain`, for one label.

    Yields
    ------
    float
        The fraction that is done.

    Raises
    ------
    RefusedImage, OutOfMemory, ValueError
        As `Classifier.explain`.
    """
    by = explanation_methods.method(method).name
    _, (heatmap,) = yield from _part(
        classifier.explaining(radiograph, [label], method=by, against=against, field=field),
        0.0,
        0.05,
    )
    ready = classifier.prepare(radiograph, field=field)
    target = classifier.labels.index(label)
    rival = classifier.labels.index(against) if against else -1
    network = classifier.network
    if rival >= 0:
        network = explanation_methods.contrast_network(network, rival)
    import torch

    x = torch.from_numpy(classifier.preprocessing.normalise(ready.image[None]))
    with raising_out_of_memory(classifier.device.name):
        parts, correlations = yield from _part(
            cascading_randomisation(network, x.to(classifier.device.name), target, by),
            0.05,
            _RANDOMISATION,
        )

    def answer(images: np.ndarray) -> np.ndarray:
        logits, _ = classifier.logits(images)
        if rival < 0:
            return classifier.probabilities(logits)[:, target]
        # Of two classes alone, the softmax is the sigmoid of the difference.
        odds: np.ndarray = 1 / (1 + np.exp(logits[:, rival] - logits[:, target]))
        return odds

    values = heatmap.sample_at(ready.to_radiograph, ready.image.shape)
    curves = yield from _part(
        deletion_and_insertion(ready.image, values, answer), _RANDOMISATION, 1.0
    )
    return HeatmapChecks(heatmap.title, by, parts, correlations, *curves)


def _part(
    steps: Generator[float, None, Returned], start: float, end: float
) -> Generator[float, None, Returned]:
    """Run a part of a job, whose fractions stand for a stretch of the whole."""
    while True:
        try:
            done = next(steps)
        except StopIteration as finished:
            result: Returned = finished.value
            return result
        yield start + done * (end - start)
