"""The training run: a generator of events. Closing it ends the run cleanly."""

from __future__ import annotations

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
from napari_cxr.training.run import Run
from napari_cxr.training.run_data import RunData
from napari_cxr.training.run_folder import RunFolder, TrainingError
from napari_cxr.training.splits import divide
from napari_cxr.training.start import head_entries, new_network

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
    # What is wrong with the network shows before the reading.
    network = new_network(recipe, len(dataset.labels))
    dataset, cache = yield from _read(dataset, recipe, reading, folder.name)
    split = divide(dataset, recipe.split, recipe.seed)
    data = RunData(
        dataset, split, cache.images.__getitem__, cache.features, cache.digests()
    ).for_recipe(recipe)
    run = Run(network, data, recipe, torch.device(chosen.name))
    yield from _fit(run, folder, chosen.name)


def _fit(run: Run, folder: RunFolder, device: str) -> Iterator[Event]:
    """Take all epochs, and measure what comes out."""
    recipe, data = run.recipe, run.data
    precision = 'float32' if run.precision is None else 'bfloat16'
    with folder.writing():
        folder.write_recipe(recipe)
        folder.write_split(data.dataset, data.digests, data.split.names())
        folder.write_environment(device, precision, torch.get_num_threads())
    described = describe_data(data.dataset, data.split, data.digests)
    yield Started(
        run=folder.name,
        labels=data.dataset.labels,
        counts=counts_by_split(data.dataset, data.split),
        split_kind=data.split.kind,
        network=recipe.network,
        parameters=sum(p.numel() for p in run.network.parameters()),
        trainable=sum(p.numel() for p in run.network.parameters() if p.requires_grad),
        epochs=recipe.epochs,
        batches=run.batches,
        epoch=run.progress.epoch,
        device=device,
        precision=precision,
    )
    while not run.finished:
        for step in run.steps():
            yield BatchDone(
                run=folder.name,
                epoch=run.progress.epoch + 1,
                batch=step.batch,
                batches=run.batches,
                loss=step.loss,
                images_per_second=step.speed,
                seconds_left=step.seconds_left,
            )
        event = run.finish_epoch(folder.name)
        state = run.judged.state_dict()
        with folder.writing():
            card = _card(run, described, event.epoch)
            save(folder.last, state, card)
            if event.best:
                save(folder.best, state, card, halve=recipe.card.halve)
            folder.add_epoch(event)
        yield event
    # The file itself is measured, as anyone will load it.
    with folder.writing():
        stored = load(folder.best)
        epoch = stored.card.data['epoch']
        final = _card(run, described, epoch, measure(run, stored))
        save(folder.best, stored.tensors, final, halve=recipe.card.halve)
    yield Finished(folder.name, str(folder.best), epoch, final.metrics)


def measure(run: Run, stored: Checkpoint) -> dict[str, Any]:
    """Measure a stored model on a run's images; return its card's entries, as `judge` does."""
    data = run.data
    network = run.place(stored.network())
    logits = run.logits(network, np.arange(len(data.dataset.samples)))
    return judge(data.dataset, data.split, data, logits, run.recipe.seed)


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
    run: Run, described: dict[str, Any], epoch: int, entries: dict[str, Any] | None = None
) -> Card:
    recipe, dataset, words = run.recipe, run.data.dataset, run.recipe.card
    return Card(
        name=words.name or recipe.name,
        title=words.title or recipe.title,
        architecture=recipe.network,
        labels=dataset.labels,
        channels=recipe.input.channels,
        several=dataset.several,
        head=head_entries(recipe),
        preprocessing=recipe.input.to_dict(),
        recipe=recipe.to_dict(),
        data={**described, 'epoch': epoch},
        licence=words.licence,
        attribution=words.attribution,
        intended_use=words.intended_use,
        not_measured=words.not_measured,
        created=datetime.now(UTC).date().isoformat(),
        version=__version__,
        **(entries or {}),
    )
