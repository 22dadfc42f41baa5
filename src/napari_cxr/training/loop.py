"""The training run: a generator of events. Closing it ends the run cleanly."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from napari_cxr import __version__, files
from napari_cxr.checkpoint import Card, Checkpoint, load, save
from napari_cxr.inference.device import choose_device
from napari_cxr.radiograph import Radiograph
from napari_cxr.training.cache import Cache, Progress, fill
from napari_cxr.training.dataset import Dataset
from napari_cxr.training.evaluate import counts_by_split, describe_data, judge
from napari_cxr.training.events import (
    BatchDone,
    Event,
    Finished,
    Reading,
    Skipped,
    Started,
)
from napari_cxr.training.recipe import Recipe
from napari_cxr.training.run import Run, new_network
from napari_cxr.training.run_folder import RunFolder, TrainingError
from napari_cxr.training.splits import divide

__all__ = ['measure', 'train']

_READING_EVERY = 25  # images between two events


def train(
    dataset: Dataset,
    recipe: Recipe,
    out: str | Path,
    device: str = 'auto',
    *,
    read: Callable[[Path], Radiograph] | None = None,
) -> Iterator[Event]:
    """Train a network and leave its best checkpoint, with a full card, in a folder.

    On the CPU the same recipe, images and number of threads give the same
    weights, bit for bit.

    Parameters
    ----------
    dataset : Dataset
        As `index` found it.
    recipe : Recipe
        Everything else that decides the result.
    out : str or Path
        The run's folder, new or empty. ``best.safetensors`` is the result.
    device : str
        'auto', 'cpu', 'cuda' or 'mps'.
    read : callable, optional
        From a path to a Radiograph; `napari_cxr.files.read` in this process by
        default. Pass one that asks a decoder process where files may be hostile.

    Yields
    ------
    Event
        `Reading` and `Skipped` (unreadable files, lateral views), `Started`, then
        `BatchDone` and `EpochDone`, and `Finished` with the path of the checkpoint.

    Raises
    ------
    DatasetError, RecipeError, TrainingError, DeviceUnavailable
        If the run cannot start; if the loss, the validation figure or the weights stop
        being finite numbers.
    """
    reading = files.read if read is None else read
    chosen = choose_device(device)
    folder = RunFolder(Path(out))
    network = new_network(recipe, len(dataset.labels))  # a wrong name shows before the reading
    dataset, cache = yield from _read(dataset, recipe, reading, folder.name)
    split = divide(dataset, recipe.split, recipe.seed)
    digests = cache.digests()
    run = Run(network, dataset, recipe, split, cache, torch.device(chosen.name))
    precision = 'float32' if run.precision is None else 'bfloat16'
    with folder.writing():
        folder.write_recipe(recipe)
        folder.write_split(dataset, digests, split.names())
        folder.write_environment(chosen.name, precision, torch.get_num_threads())
    data = describe_data(dataset, split, digests)
    yield Started(
        run=folder.name,
        labels=dataset.labels,
        counts=counts_by_split(dataset, split),
        split_kind=split.kind,
        network=recipe.network,
        parameters=sum(p.numel() for p in run.network.parameters()),
        trainable=sum(p.numel() for p in run.network.parameters() if p.requires_grad),
        epochs=recipe.epochs,
        batches=run.batches,
        epoch=run.epoch,
        device=chosen.name,
        precision=precision,
    )
    while run.epoch < recipe.epochs:
        started = time.perf_counter()
        for batch, loss, speed in run.steps():
            yield BatchDone(folder.name, run.epoch + 1, batch, run.batches, loss, speed, math.nan)
        event = run.finish_epoch(folder.name, time.perf_counter() - started)
        state = run.judged.state_dict()
        with folder.writing():
            card = _card(recipe, dataset, data, run.epoch)
            save(folder.last, state, card)
            if event.best:
                save(folder.best, state, card, halve=recipe.card.halve)
            folder.add_epoch(event)
        yield event
    # The file itself is measured, as anyone will load it.
    with folder.writing():
        stored = load(folder.best)
        final = _card(recipe, dataset, data, run.best_epoch, measure(run, stored))
        save(folder.best, stored.tensors, final, halve=recipe.card.halve)
    yield Finished(folder.name, str(folder.best), run.best_epoch, final.metrics)


def measure(run: Run, stored: Checkpoint) -> dict[str, Any]:
    """Measure a stored model on a run's images; return its card's entries, as `judge` does."""
    network = run.place(stored.network())
    logits = run.logits(network, np.arange(len(run.dataset.samples)))
    return judge(run.dataset, run.split, run.cache, logits, run.recipe.seed)


def _read(
    dataset: Dataset, recipe: Recipe, read: Callable[[Path], Radiograph], run: str
) -> Generator[Event, None, tuple[Dataset, Cache]]:
    """Yield events; return the data set of readable images, and their content."""
    total = len(dataset.samples)
    cache: Cache | None = None
    for step in fill(dataset, recipe.input, read):
        if isinstance(step, Cache):
            cache = step
        elif isinstance(step, Progress) and step.reason:
            yield Skipped(run, dataset.name_of(step.place), step.reason)
        elif step.place % _READING_EVERY == 0 or step.place == total - 1:
            yield Reading(run, step.place + 1, total)
    if cache is None or len(cache.unreadable) == total:
        raise TrainingError(f'None of the {total} images could be used.')
    read_of = {s.label for i, s in enumerate(dataset.samples) if i not in cache.unreadable}
    for label in dataset.labels:
        if label not in read_of:
            raise TrainingError(f'No image of the class {label!r} could be used.')
    return dataset.without(list(cache.unreadable)), cache


def _card(
    recipe: Recipe,
    dataset: Dataset,
    data: dict[str, Any],
    epoch: int,
    entries: dict[str, Any] | None = None,
) -> Card:
    words = recipe.card
    return Card(
        name=words.name or recipe.name,
        title=words.title or recipe.title,
        architecture=recipe.network,
        labels=dataset.labels,
        channels=recipe.input.channels,
        preprocessing=recipe.input.to_dict(),
        recipe=recipe.to_dict(),
        data={**data, 'epoch': epoch},
        licence=words.licence,
        attribution=words.attribution,
        intended_use=words.intended_use,
        not_measured=words.not_measured,
        created=datetime.now(UTC).date().isoformat(),
        version=__version__,
        **(entries or {}),
    )
