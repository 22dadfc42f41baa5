"""Classifying one radiograph: the job, and the result that docks show.

The job runs in a process that all docks of this napari share. What a dock shows of a
result is here too: probabilities, heatmaps, where each lies by the lungs, and what the
model's card says about its performance.
"""

from __future__ import annotations

import atexit
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from napari.layers import Image, Labels

from napari_cxr.checkpoint import Card, CheckpointError, catalog, read_card
from napari_cxr.checkpoint.card_page import headline
from napari_cxr.explain.heatmap import Heatmap
from napari_cxr.explain.heatmap_checks import HeatmapChecks
from napari_cxr.explain.heatmap_location import (
    HeatmapLocation,
    MarkerFraction,
    lung_labels,
    uniform_lung_fraction,
)
from napari_cxr.inference.prediction import Prediction
from napari_cxr.lungs import LungField
from napari_cxr.plugin.background import Job, end_worker, shared_torch
from napari_cxr.plugin.lungs_layer import edit_number, edited_field
from napari_cxr.plugin.source_file import as_scored, radiograph_behind
from napari_cxr.radiograph import Radiograph
from napari_cxr.workers.model_worker import worker_role
from napari_cxr.workers.worker_process import WorkerProcess

__all__ = [
    'ExplainedPrediction',
    'HeatmapsByLungs',
    'LoadedModel',
    'check',
    'classify',
    'classify_radiograph',
    'explain',
    'model_performance',
    'performance_text',
    'prepare',
    'run_on_model',
    'shared_inference',
]


def model_performance(model: str) -> tuple[str, bool]:
    """Return one sentence on how well a model does, and whether it is a demonstration.

    Reads the model's card from its file.

    Parameters
    ----------
    model : str
        Name in the catalog, or file.
    """
    try:
        card = read_card(Path(catalog.resolve(model)))
    except CheckpointError:  # which was reported where the model was loaded
        return '', False
    return performance_text(card), bool(card.demonstration)


def performance_text(card: Card) -> str:
    """Return one sentence about how far to trust a model, by its card."""
    if card.demonstration:
        return card.demonstration
    best = headline(card)
    if card.unfinished:
        return f'{best[0].upper()}{best[1:]}: train it to the end before you trust it.'
    if not best:
        return 'How well this model does was not measured.'
    held_out = 'source' in str(card.metrics.get('measured_on', ''))
    # Recipes are chosen by metrics on held-out sources, so even these may be optimistic.
    expect = 'Expect no better in your hospital than'
    if not held_out:
        expect = 'In hospitals that it was not trained on, expect less than'
    return f'{expect} {best}.'


@dataclass(frozen=True)
class HeatmapsByLungs:
    """Where each heatmap lies by the lungs, and whose lungs those are.

    Parameters
    ----------
    locations : tuple of HeatmapLocation or None
        Of each class's heatmap; None for one that has no peak.
    uniform : float
        Of a uniform map: the fraction of the model's input that is lung.
    source : {'network', 'atlas'}
        As of a `LungField`.
    implausible : str
        As of a `LungField`.
    edit : int
        A number that stands for the lungs as a person has edited them; 0 if nobody has.
    """

    locations: tuple[HeatmapLocation | None, ...]
    uniform: float
    source: str
    implausible: str = ''
    edit: int = 0


@dataclass(frozen=True, eq=False)
class ExplainedPrediction:
    """The result of a click on Classify.

    Parameters
    ----------
    prediction : Prediction
        Probabilities and cautions.
    heatmaps : tuple of Heatmap
        One a class, in the order of the labels.
    edge_fractions : tuple of float or None
        Fraction of each heatmap at the edge of the model's input; None for an empty map.
    field : LungField
        The lungs as they were found, or edited before the click.
    lungs : HeatmapsByLungs
        Where each heatmap lies by them.
    performance : str
        One sentence on how well the model does and where that was measured; may be empty.
    demonstration : bool
        Whether the model is one, so that `performance` says why it is not to be believed.
    on_markers : tuple of MarkerFraction
        How much of each heatmap lies on text and markers; empty where that is not known.
    """

    prediction: Prediction
    heatmaps: tuple[Heatmap, ...]
    edge_fractions: tuple[float | None, ...]
    field: LungField
    lungs: HeatmapsByLungs
    performance: str = ''
    demonstration: bool = False
    on_markers: tuple[MarkerFraction, ...] = ()

    @property
    def doubts(self) -> set[str]:
        """Codes of what must be read before the result; empty for most images."""
        return {caution.code for caution in self.prediction.doubts}

    @property
    def method(self) -> str:
        """How the heatmaps were made."""
        return self.heatmaps[0].method

    @property
    def against(self) -> str:
        """The class that they are contrasted with; empty for none."""
        return self.heatmaps[0].against

    def heatmap(self, label: str) -> Heatmap:
        """Return the heatmap of a class."""
        return self.heatmaps[self.prediction.labels.index(label)]


@dataclass(frozen=True)
class LoadedModel:
    """A model that is loaded, and where it will run.

    Parameters
    ----------
    model : str
        Name or path, as asked for.
    device : str
        A few words: which device, and why if it is the CPU.
    """

    model: str
    device: str


@cache
def shared_inference() -> WorkerProcess:
    """Return the process of this napari that classifies; it starts with its first job."""
    worker = WorkerProcess('inference')
    atexit.register(end_worker, worker)
    return worker


def run_on_model(job: str, model: str, device: str, **arguments: Any) -> Job[Any]:
    """Run a job in the process that is right for a model; a part of jobs.

    Parameters
    ----------
    job : str
        As of `napari_cxr.workers.child.jobs_of`.
    model, device : str
        As in the catalog; as `napari_cxr.inference.device` takes it.
    **arguments
        The others of the job.
    """
    role = yield from worker_role(model, device)
    worker = shared_torch() if role == 'torch' else shared_inference()
    return (yield from worker.run(job, model=model, device=device, **arguments))


def prepare(model: str, device: str) -> Job[LoadedModel]:
    """Load a model ahead of the first click, in the process for it; a job for `run_job`."""
    if not model:
        _, reason = yield from shared_inference().run('device', name=device)
    else:
        reason = yield from run_on_model('load', model, device)
    return LoadedModel(model, reason)


def classify(
    layer: Image, model: str, device: str, lungs: Labels | None = None
) -> Job[ExplainedPrediction]:
    """Classify what a layer shows; a job for `run_job`, which yields words about progress.

    Parameters
    ----------
    layer : napari.layers.Image
        A 2D layer.
    model, device : str
        As in the catalog; as `napari_cxr.inference.device` takes it.
    lungs : napari.layers.Labels, optional
        The layer with its lungs. What a person has edited there is what counts.
    """
    edit = edit_number(lungs) if lungs is not None else 0
    field = edited_field(lungs) if lungs is not None and edit else None
    radiograph = yield from radiograph_behind(layer)
    radiograph = yield from as_scored(radiograph, model)
    return (yield from classify_radiograph(radiograph, model, device, field, edit))


def explain(
    layer: Image, answer: ExplainedPrediction, model: str, device: str, method: str, against: str
) -> Job[ExplainedPrediction]:
    """Explain a result by another method; a job for `run_job`, which yields words about progress.

    Parameters
    ----------
    layer : napari.layers.Image
        The layer that was classified.
    answer : ExplainedPrediction
        Its result, whose probabilities and lungs stay.
    model, device
        As they were for the result.
    method, against : str
        As of `Classifier.explain`.
    """
    radiograph = yield from radiograph_behind(layer)
    radiograph = yield from as_scored(radiograph, model)
    _, heatmaps, edge_fractions, locations, on_markers = yield from shared_torch().run(
        'explain',
        model=model,
        device=device,
        radiograph=radiograph,
        method=method,
        against=against,
        field=answer.field,
    )
    return replace(
        answer,
        heatmaps=tuple(heatmaps),
        edge_fractions=tuple(edge_fractions),
        lungs=replace(answer.lungs, locations=tuple(locations)),
        on_markers=tuple(on_markers),
    )


def check(
    layer: Image, answer: ExplainedPrediction, label: str, model: str, device: str
) -> Job[HeatmapChecks]:
    """Check the heatmap of a class, see `check_heatmap`; arguments as of `explain`."""
    radiograph = yield from radiograph_behind(layer)
    radiograph = yield from as_scored(radiograph, model)
    return (
        yield from shared_torch().run(
            'check',
            model=model,
            device=device,
            radiograph=radiograph,
            label=label,
            method=answer.method,
            against=answer.against,
            field=answer.field,
        )
    )


def classify_radiograph(
    radiograph: Radiograph,
    model: str,
    device: str,
    field: LungField | None = None,
    edit: int = 0,
) -> Job[ExplainedPrediction]:
    """Classify a radiograph and explain the result; a part of jobs.

    Parameters
    ----------
    radiograph : Radiograph
        A single frame.
    model, device
        As of `classify`.
    field : LungField, optional
        Its lungs, where a person has edited them.
    edit : int
        See `HeatmapsByLungs`.
    """
    classified = yield from run_on_model(
        'classify', model, device, radiograph=radiograph, field=field
    )
    return _explained(classified, edit, *model_performance(model))


def _explained(
    classified: Any, edit: int, performance: str, demonstration: bool
) -> ExplainedPrediction:
    """Put together what the job returned, with the lung fraction of a uniform map."""
    prediction, heatmaps, edge_fractions, field, locations, on_markers = classified
    uniform = uniform_lung_fraction(heatmaps[0], lung_labels(field) > 0, field.shape)
    return ExplainedPrediction(
        prediction,
        tuple(heatmaps),
        tuple(edge_fractions),
        field,
        HeatmapsByLungs(tuple(locations), uniform, field.source, field.implausible, edit),
        performance,
        demonstration,
        tuple(on_markers),
    )
