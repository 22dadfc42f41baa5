"""The training run: a generator of events. Closing it ends the run cleanly."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import torch

from napari_cxr.checkpoint import load, save
from napari_cxr.inference.device import Device, choose_device
from napari_cxr.training.cache import Reader
from napari_cxr.training.checkpoints import Checkpoints
from napari_cxr.training.cross_validation import cross_validate
from napari_cxr.training.dataset import Dataset
from napari_cxr.training.distributed import Ranks, device_of_rank, joined
from napari_cxr.training.evaluate import counts_by_split, describe_data
from napari_cxr.training.events import (
    BatchDone,
    Event,
    Finished,
    Reading,
    Started,
)
from napari_cxr.training.frozen import frozen_stages
from napari_cxr.training.prepare import Material
from napari_cxr.training.recipe import Recipe
from napari_cxr.training.run import Run
from napari_cxr.training.run_card import card_of, measure
from napari_cxr.training.run_data import RunData, read_images
from napari_cxr.training.run_folder import RunFolder, TrainingError, split_table
from napari_cxr.training.splits import Split, splits_of
from napari_cxr.training.start import credits_of, new_network
from napari_cxr.training.start_model import find_model
from napari_cxr.training.state import load_state, notes_of

__all__ = ['fit', 'train']


def train(
    dataset: Dataset,
    recipe: Recipe,
    out: str | Path,
    device: str = 'auto',
    *,
    read: Reader | None = None,
    resume: bool = False,
) -> Generator[Event, None, None]:
    """Train a network and leave its best checkpoint, with a full card, in a folder.

    On the CPU the same recipe, images and number of threads give the same weights, bit
    for bit, also where the run was stopped or cut off and resumed.

    Parameters
    ----------
    dataset : Dataset
        As `index` found it.
    recipe : Recipe
        Everything else that decides the result.
    out : str or Path
        The run's folder, new or empty. ``best.safetensors`` is the result. Where the recipe
        asks for several splits, each is a run in a sub-folder; see `cross_validate`.
    device : str
        'auto', 'cpu', 'cuda' or 'mps'.
    read : Reader, optional
        Who decodes; one by one in this process by default. Pass a pool of decoder
        processes where files may be hostile.
    resume : bool
        Whether to go on with the run in `out`, which must be of the same recipe and data;
        where there is none yet, it begins.

    Yields
    ------
    Event
        `Reading`, `Skipped` (files that cannot be used) and `Warned`, `Started`, then
        `BatchDone` and `EpochDone`, and `Finished` with the path of the checkpoint.

    Raises
    ------
    DatasetError, RecipeError, TrainingError, DeviceUnavailable
        If the run cannot start; if the loss, the validation figure or the weights stop
        being finite numbers; if memory or disk are full.
    """
    chosen = choose_device(device_of_rank(device))
    with (
        joined(chosen.name) as ranks,
        closing(_train(dataset, recipe, Path(out), chosen, read, resume, ranks)) as events,
    ):
        if ranks.first:
            yield from events
        else:
            for _ in events:  # the same steps, in silence
                pass


def _train(
    dataset: Dataset,
    recipe: Recipe,
    path: Path,
    device: Device,
    read: Reader | None,
    resume: bool,
    ranks: Ranks,
) -> Generator[Event, None, None]:
    # What is wrong with folder, network and weights shows before the reading.
    recipe, model = find_model(recipe, path)
    RunFolder(path, recipe, resume=resume, writes=ranks.first)
    frozen_stages(new_network(recipe, dataset.labels, model, empty=resume), recipe, epoch=0)
    if not ranks.first:
        ranks.wait()  # until the first has read all images; then they are in the cache
    material, remarks = yield from read_images(dataset, recipe, read, path.name)
    if ranks.first:
        ranks.wait()
    splits = splits_of(material.dataset, recipe.split, recipe.seed)

    def train_on(
        own: Recipe,
        split: Split,
        place: Path,
        name: str,
        begun: bool,
        entries: dict[str, Any] | None = None,
    ) -> Generator[Event, None, None]:
        return fit(
            material,
            split,
            own,
            place,
            device,
            name=name,
            model=model,
            resume=begun,
            remarks=remarks,
            ranks=ranks,
            entries=entries,
        )

    if len(splits) == 1 and not recipe.split.then_all:
        yield from train_on(recipe, splits[0][1], path, '', resume)
    elif ranks.count > 1:
        raise TrainingError(
            'Several processes train one fold at a time; set split.fold, or name one set in '
            'split.left_out, without split.then_all.'
        )
    else:
        yield from cross_validate(
            material, splits, recipe, path, train_on, model=model, resume=resume
        )


def fit(
    material: Material,
    split: Split,
    recipe: Recipe,
    out: Path,
    device: Device,
    *,
    name: str = '',
    model: Path | None = None,
    resume: bool = False,
    remarks: tuple[str, ...] = (),
    ranks: Ranks | None = None,
    entries: dict[str, Any] | None = None,
) -> Generator[Event, None, None]:
    """Train on images that are read already: one run, or one fold of several.

    Parameters
    ----------
    material, split
        The images and their division.
    recipe, out, resume
        As of `train`.
    device : Device
        As `choose_device` returned it.
    name : str
        Of the run, for its events; that of its folder by default.
    model : Path, optional
        The file that it starts from, see `find_model`.
    remarks : tuple of str
        Sentences for the log, without names of files.
    ranks : Ranks, optional
        The processes that share the run; by default there is one.
    entries : dict, optional
        What its card shall say, where folds were measured in its place; by default it is
        measured itself.
    """
    ranks = Ranks() if ranks is None else ranks
    folder = RunFolder(out, recipe, resume=resume, writes=ranks.first)
    name = name or folder.name
    data = RunData(material, split)
    table = split_table(data.dataset, data.material.digests, data.split.names())
    notes = notes_of(folder.state) if folder.begun and folder.state.exists() else None
    if folder.begun:
        folder.check_split(table)
    network = new_network(recipe, data.dataset.labels, model, empty=notes is not None)
    run = Run(network, data, recipe, torch.device(device.name), folder.path, ranks)
    precision = 'float32' if run.precision is None else 'bfloat16'
    if notes is not None:
        load_state(folder.state, run)
    ranks.wait()  # until all have read what was there
    if folder.begun:
        folder.go_on(notes)
        folder.log(f'Resumed after {run.progress.epoch} epochs and {run.progress.batch} steps.')
    else:
        folder.keep_model(model)
        folder.begin(table, _environment(device, precision, recipe))
        folder.log(f'Begun with {len(data.dataset.samples)} images on {device.name}.')
    for remark in remarks:
        folder.log(remark)
    described = describe_data(data.dataset, data.split, list(data.material.digests))
    yield Started(
        run=name,
        labels=data.dataset.labels,
        counts=counts_by_split(data.dataset, data.split),
        split_kind=data.split.kind,
        network=recipe.network,
        parameters=sum(p.numel() for p in run.network.parameters()),
        trainable=_trainable(run),
        epochs=recipe.epochs,
        batches=run.batches,
        epoch=run.progress.epoch,
        device=device.name,
        precision=precision,
    )
    credit = credits_of(recipe, model)
    kept = Checkpoints(run, folder, lambda epoch: card_of(run, described, epoch, None, credit))
    try:
        yield from _epochs(run, folder, kept, name)
    except GeneratorExit:
        kept.write()
        folder.log(f'Stopped in epoch {run.progress.epoch + 1}, after {run.progress.batch} steps.')
        raise
    except TrainingError as error:
        with suppress(TrainingError):  # where the disk is full, that is what is said already
            kept.best()
            folder.log(f'Ended: {error}')
        raise
    if not ranks.first:
        return
    # The file itself is measured, as anyone will load it.
    with folder.writing():
        stored = load(folder.best)
        epoch = stored.card.data['epoch']
        told = entries or measure(run, stored, folder.path)
        final = card_of(run, described, epoch, told, credit)
        save(folder.best, stored.tensors, final, halve=recipe.card.halve)
    folder.log(
        f'Finished after {run.progress.epoch} epochs; the weights of epoch {epoch} are kept.'
    )
    folder.end(
        {
            'status': 'finished',
            'epochs': run.progress.epoch,
            'best_epoch': epoch,
            'parameters': sum(p.numel() for p in run.network.parameters()),
            'trainable': _trainable(run),
            'metrics': final.metrics,
        }
    )
    yield Finished(name, str(folder.best), epoch, final.metrics)


def _epochs(run: Run, folder: RunFolder, kept: Checkpoints, name: str) -> Iterator[Event]:
    while not run.finished:
        for done, total in run.settle():
            yield Reading(name, done, total)
        for step in run.steps():
            kept.batch_done()
            yield BatchDone(
                run=name,
                epoch=run.progress.epoch + 1,
                batch=step.batch,
                batches=run.batches,
                loss=step.loss,
                images_per_second=step.speed,
                seconds_left=step.seconds_left,
            )
        event = run.finish_epoch(name)
        folder.add_epoch(event)
        kept.epoch_done(event)
        yield event
    kept.best()
    kept.last()


def _trainable(run: Run) -> int:
    """Return the parameters that learn in the first epoch."""
    frozen = frozen_stages(run.network, run.recipe, epoch=0)
    still = sum(p.numel() for name in frozen for p in run.network.stages[name].parameters())
    return sum(p.numel() for p in run.network.parameters()) - still


def _environment(device: Device, precision: str, recipe: Recipe) -> dict[str, Any]:
    return {
        'device': device.name,
        'gpu': torch.cuda.get_device_name(device.name) if 'cuda' in device.name else None,
        'precision': precision,
        'threads': torch.get_num_threads(),
        'seed': recipe.seed,
    }
