"""The torch worker's jobs behind the feature-map viewer."""

from __future__ import annotations

from collections.abc import Generator

from napari_cxr.explain.feature_maps import FeatureMaps
from napari_cxr.lungs import LungField
from napari_cxr.radiograph import Radiograph
from napari_cxr.workers.classifier import loaded

__all__ = ['feature_maps', 'stages']


def stages(model: str, device: str) -> list[tuple[str, int, int, int]]:
    """Return the stages of a model that return maps: name, filters, rows and columns."""
    return [(name, *shape) for name, shape in loaded(model, device).stages().items()]


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
    classifier = loaded(model, device)
    yield 'Running the network'
    return classifier.feature_maps(radiograph, stage, field=field)
