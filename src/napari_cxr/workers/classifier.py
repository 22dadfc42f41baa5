"""The torch worker's jobs: load a model, classify, explain."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from napari_cxr.explain.heatmap import Heatmap
from napari_cxr.inference.classifier import Classifier
from napari_cxr.inference.device import choose_device
from napari_cxr.inference.prediction import Prediction
from napari_cxr.radiograph import Radiograph

__all__ = ['classify', 'device', 'load']


def device(name: str) -> tuple[str, str]:
    """Return the device that `name` leads to, and the reason in words."""
    chosen = choose_device(name)
    return chosen.name, chosen.reason


def load(model: str, device: str) -> bool:
    """Load a model ahead of its first use."""
    _loaded(model, device)
    return True


def classify(radiograph: Radiograph, model: str, device: str, preset: int = 0) -> Iterator[str]:
    """Classify one radiograph and explain every class; yields what it is doing.

    Returns
    -------
    tuple of Prediction and list of Heatmap
        The generator's return value.
    """
    yield 'Loading the model'
    classifier = _loaded(model, device)
    yield 'Classifying'
    result: tuple[Prediction, list[Heatmap]] = classifier.explain(radiograph, preset=preset)
    return result


@lru_cache(maxsize=2)
def _loaded(model: str, device: str) -> Classifier:
    return Classifier.load(model, device)
