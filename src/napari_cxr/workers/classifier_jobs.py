"""Jobs of inference and torch workers on one radiograph: classify, explain, feature maps."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path
from typing import TypeAlias

from napari_cxr import lungs
from napari_cxr.checkpoint import catalog
from napari_cxr.explain.feature_maps import FeatureMaps
from napari_cxr.explain.heatmap import Heatmap
from napari_cxr.explain.heatmap_location import HeatmapLocation, heatmap_locations
from napari_cxr.inference.backends.exported_network import ExportedNetwork
from napari_cxr.inference.classifier import Classifier
from napari_cxr.inference.cpu import keep_freed_memory
from napari_cxr.inference.device import choose_device
from napari_cxr.inference.prediction import ImageWarning, Prediction
from napari_cxr.lungs import LungField
from napari_cxr.radiograph import Radiograph

__all__ = [
    'classify',
    'device',
    'explain',
    'export',
    'feature_maps',
    'load',
    'loaded_classifier',
    'predict',
    'stages',
]

#: What `classify` returns.
Classified: TypeAlias = tuple[
    Prediction, list[Heatmap], list[float | None], LungField, list[HeatmapLocation | None]
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
    """Load a model ahead of its first use; return its device's reason in words."""
    return loaded_classifier(model, device).device.reason


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
        heatmap lies by them.
    """
    yield 'Loading the model'
    classifier = loaded_classifier(model, device)
    yield 'Classifying'
    corrected = field is not None
    if not radiograph.refusal and radiograph.frames is None:  # of which `explain` tells
        field = lungs.find_lungs(radiograph) if field is None else field
    prediction, heatmaps = classifier.explain(radiograph, field=field)
    assert field is not None
    if corrected and classifier.preprocessing.lungs != 'ignored':
        corrected_by_hand = ImageWarning('note', 'The model saw the lungs as they were edited.')
        prediction = replace(prediction, warnings=(*prediction.warnings, corrected_by_hand))
    frame_shares = [h.frame_fraction(radiograph.shape) for h in heatmaps]
    return prediction, heatmaps, frame_shares, field, heatmap_locations(heatmaps, field)


def predict(radiograph: Radiograph, model: str, device: str) -> Prediction:
    """Classify one radiograph; arguments as those of `classify`."""
    return loaded_classifier(model, device).predict([radiograph])[0]


def explain(
    radiograph: Radiograph, model: str, device: str, labels: Sequence[str] | None, method: str
) -> tuple[Prediction, list[Heatmap], list[HeatmapLocation | None]]:
    """Classify one radiograph, explain labels, and say where the heatmaps lie by the lungs.

    See `Classifier.explain`.
    """
    classifier, field = loaded_classifier(model, device), None
    if not radiograph.refusal and radiograph.frames is None:  # of which `explain` tells
        field = lungs.find_lungs(radiograph)
    prediction, heatmaps = classifier.explain(radiograph, labels, method=method, field=field)
    assert field is not None
    return prediction, heatmaps, heatmap_locations(heatmaps, field)


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
