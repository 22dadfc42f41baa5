"""Jobs of inference and torch workers on one radiograph: classify, explain, feature maps."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path
from time import monotonic
from typing import TypeAlias, TypeVar

import numpy as np

from napari_cxr.checkpoint import catalog
from napari_cxr.explain.explanation_methods import DEFAULT_METHOD
from napari_cxr.explain.feature_maps import FeatureMaps
from napari_cxr.explain.heatmap import Heatmap
from napari_cxr.explain.heatmap_checks import HeatmapChecks
from napari_cxr.explain.heatmap_location import (
    HeatmapLocation,
    MarkerFraction,
    heatmap_locations,
    marker_fraction,
)
from napari_cxr.inference.backends.exported_network import ExportedNetwork
from napari_cxr.inference.classifier import Classifier
from napari_cxr.inference.cpu import keep_freed_memory
from napari_cxr.inference.device import choose_device
from napari_cxr.inference.image_findings import ImageFindings
from napari_cxr.inference.model_heatmap_checks import check_heatmap
from napari_cxr.inference.prediction import ImageWarning, Prediction
from napari_cxr.lungs import LungField
from napari_cxr.radiograph import Radiograph

__all__ = [
    'check',
    'classify',
    'device',
    'explain',
    'export',
    'feature_maps',
    'load',
    'loaded_classifier',
    'predict',
    'stages',
    'tell_progress',
]

Returned = TypeVar('Returned')

#: Seconds after which the time that is left can be told.
_KNOWN_AFTER = 2.0

#: What `explain` returns.
Explained: TypeAlias = tuple[
    Prediction,
    list[Heatmap],
    list[float | None],
    list[HeatmapLocation | None],
    list[MarkerFraction],
]

#: What `classify` returns.
Classified: TypeAlias = tuple[
    Prediction,
    list[Heatmap],
    list[float | None],
    LungField,
    list[HeatmapLocation | None],
    list[MarkerFraction],
]


def device(name: str) -> tuple[str, str]:
    """Return the device that `name` leads to, and the reason in words."""
    chosen = choose_device(name)
    return chosen.name, chosen.reason


def export(model: str) -> bool:
    """Export a model's network, so that workers without torch can run it; tell if they can."""
    classifier = loaded_classifier(model, 'cpu')
    return isinstance(classifier.running, ExportedNetwork)


def load(model: str, device: str) -> str:
    """Load a model ahead of its first use; return its device's reason in words.

    What else a first radiograph would wait for, modules and weights, is loaded too.
    """
    reason = loaded_classifier(model, device).device.reason
    _load_the_rest()
    return reason


@cache
def _load_the_rest() -> None:
    """Look at a drawn square once, as at any radiograph."""
    square = np.zeros((64, 64), np.float32)
    square[16:48, 16:48] = 0.5
    findings = ImageFindings(Radiograph.from_array(square))
    heatmap = Heatmap(np.eye(2, dtype=np.float32), np.diag([32.0, 32.0, 1.0]), '', 0, 0, '', '')
    _places([heatmap], findings)
    _ = findings.frontal


def classify(
    radiograph: Radiograph, model: str, device: str, field: LungField | None = None
) -> Generator[str, None, Classified]:
    """Classify one radiograph and explain every class; yields what it is doing.

    Parameters
    ----------
    radiograph : Radiograph
        A single frame.
    model, device : str
        As in the catalog; as `napari_cxr.inference.device` takes it.
    field : LungField, optional
        Its lungs as a person has corrected them; by default they are found.

    Returns
    -------
    tuple
        The generator's return value: what the network says; a heatmap a class; the share
        of each that lies at the edge of what the network saw; the lungs; where each
        heatmap lies by them; how much of each lies on text and markers.
    """
    yield 'Loading the model'
    classifier = loaded_classifier(model, device)
    yield 'Classifying'
    corrected = field is not None
    findings = _findings_of(radiograph, field)
    prediction, heatmaps = classifier.explain(radiograph, findings=findings)
    if corrected and classifier.preprocessing.lungs != 'ignored':
        corrected_by_hand = ImageWarning('note', 'The model saw the lungs as they were edited.')
        prediction = replace(prediction, warnings=(*prediction.warnings, corrected_by_hand))
    frame_shares, locations, on_markers = _places(heatmaps, findings)
    return prediction, heatmaps, frame_shares, findings.field, locations, on_markers


def predict(
    radiograph: Radiograph, model: str, device: str, prior: Mapping[str, float] | None = None
) -> Prediction:
    """Classify one radiograph.

    Parameters
    ----------
    radiograph, model, device
        As of `classify`.
    prior : mapping of str to float, optional
        As `Classifier.at_prevalence` takes it.
    """
    return loaded_classifier(model, device).at_prevalence(prior or {}).predict([radiograph])[0]


def explain(
    radiograph: Radiograph,
    model: str,
    device: str,
    labels: Sequence[str] | None = None,
    method: str = DEFAULT_METHOD,
    against: str = '',
    field: LungField | None = None,
) -> Generator[str, None, Explained]:
    """Classify one radiograph, explain labels, and say where the heatmaps lie.

    Parameters
    ----------
    radiograph, model, device, field
        As of `classify`.
    labels, method, against
        As of `Classifier.explain`.

    Yields
    ------
    str
        What it is doing, and how far it is where a method takes long.

    Returns
    -------
    tuple
        What the network says; a heatmap a label; the fraction of each at the edge of what the
        network saw; where each lies by the lungs; how much of each lies on text and markers.
    """
    yield 'Loading the model'
    classifier = loaded_classifier(model, device)
    findings = _findings_of(radiograph, field)
    yield method
    steps = classifier.explaining(
        radiograph, labels, method=method, against=against, findings=findings
    )
    prediction, heatmaps = yield from tell_progress(steps, method)
    return prediction, heatmaps, *_places(heatmaps, findings)


def _places(
    heatmaps: Sequence[Heatmap], findings: ImageFindings
) -> tuple[list[float | None], list[HeatmapLocation | None], list[MarkerFraction]]:
    """Return how much of each heatmap lies at the edge, where it lies, and how much on text."""
    shape = findings.radiograph.shape
    return (
        [heatmap.frame_fraction(shape) for heatmap in heatmaps],
        heatmap_locations(heatmaps, findings.field),
        [marker_fraction(heatmap, findings.markers, shape) for heatmap in heatmaps],
    )


#: Of the image of the last job, which the next one is often about.
_last_findings: ImageFindings | None = None


def _findings_of(radiograph: Radiograph, field: LungField | None) -> ImageFindings:
    global _last_findings
    if _last_findings is None or not _last_findings.are_of(radiograph, field):
        _last_findings = ImageFindings(radiograph, field)
    return _last_findings


def check(
    radiograph: Radiograph,
    model: str,
    device: str,
    label: str,
    method: str = DEFAULT_METHOD,
    against: str = '',
    field: LungField | None = None,
) -> Generator[str, None, HeatmapChecks]:
    """Check the heatmap of a label; arguments as of `explain`, yields what it is doing."""
    yield 'Loading the model'
    classifier = loaded_classifier(model, device)
    steps = check_heatmap(classifier, radiograph, label, method, against, field)
    return (yield from tell_progress(steps, 'Checking the heatmap'))


def tell_progress(
    steps: Generator[float, None, Returned], doing: str
) -> Generator[str, None, Returned]:
    """Turn fractions that are done into words about it, with the time that is left."""
    started = monotonic()
    while True:
        try:
            done = next(steps)
        except StopIteration as end:
            result: Returned = end.value
            return result
        text = f'{doing}: {done:.0%} done'
        taken = monotonic() - started
        if taken > _KNOWN_AFTER and done > 0:
            text += f', about {math.ceil(taken / done * (1 - done))} s left'
        yield text


def loaded_classifier(model: str, device: str) -> Classifier:
    """Return the classifier of a model, loaded anew when its file has changed."""
    path = _file_of(model)
    if not path.is_file():  # removed or renamed meanwhile
        _file_of.cache_clear()
        path = _file_of(model)
    state = path.stat()
    return _load(path, device, state.st_mtime_ns, state.st_size)


@cache
def _file_of(model: str) -> Path:
    """Return a model's file; looked up once, because the catalog reads every card."""
    return catalog.resolve(model)


@lru_cache(maxsize=2)
def _load(path: Path, device: str, changed: int, size: int) -> Classifier:
    keep_freed_memory()
    return Classifier.load(path, device)


def stages(model: str, device: str) -> list[tuple[str, int, int, int]]:
    """Return the stages of a model that return maps: name, filters, rows and columns."""
    return [(name, *shape) for name, shape in loaded_classifier(model, device).stages().items()]


def feature_maps(
    radiograph: Radiograph, model: str, device: str, stage: str, field: LungField | None = None
) -> Generator[str, None, FeatureMaps]:
    """Return what the filters of a stage make of a radiograph; yields what it is doing.

    Parameters
    ----------
    radiograph : Radiograph
        A single frame.
    model, device, stage : str
        As in the catalog; as `napari_cxr.inference.device` takes it; one of `stages`.
    field : LungField, optional
        Its lungs as a person has corrected them; by default they are found where needed.
    """
    yield 'Loading the model'
    classifier = loaded_classifier(model, device)
    yield 'Running the network'
    return classifier.feature_maps(radiograph, stage, field=field)
