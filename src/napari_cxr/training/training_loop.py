"""Training as a generator of events; closing it stops the run cleanly.

If a recipe asks for several splits, each fold is a run of its own, and a summary of all
folds follows.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch

from napari_cxr.checkpoint import load, read_card, save
from napari_cxr.checkpoint.model_file import write_atomic
from napari_cxr.inference.device import Device, choose_device
from napari_cxr.training.checkpointing import (
    CheckpointWriter,
    build_card,
    load_state,
    measure_model,
    read_metadata,
    save_state,
)
from napari_cxr.training.data_preparation import LoadedImages
from napari_cxr.training.dataset import Dataset
from napari_cxr.training.distributed import Ranks, device_of_rank, join_processes
from napari_cxr.training.fold_results import (
    FoldImages,
    final_model_entries,
    final_recipe,
    fold_recipe,
    read_folds,
    summarise_folds,
    write_summary,
)
from napari_cxr.training.inference_images import cache_inference_images
from napari_cxr.training.model_evaluation import counts_by_split, describe_data
from napari_cxr.training.network_setup import credits_of, frozen_stages, new_network
from napari_cxr.training.pretraining_overlap import pretraining_warnings
from napari_cxr.training.recipe import Recipe
from napari_cxr.training.run_data import RunData, read_images
from napari_cxr.training.run_extension import continuations
from napari_cxr.training.run_folder import (
    FINAL_STATE_FILE,
    START_MODEL_FILE,
    RunFolder,
    TrainingError,
    find_model,
    split_table,
)
from napari_cxr.training.run_table import FINAL_MODEL, run_row
from napari_cxr.training.splits import Split, splits_of
from napari_cxr.training.training_events import (
    BatchDone,
    ReadingProgress,
    RunsDone,
    TrainingEvent,
    TrainingFinished,
    TrainingStarted,
    WarningRaised,
)
from napari_cxr.training.training_image import ImageReader
from napari_cxr.training.training_run import TrainingRun

__all__ = ['TrainFold', 'cross_validate', 'fit', 'train']

#: Trains on one split: given the fold's recipe and split, its folder, its name in events,
#: whether to resume, and, for the run on all images, the entries of its card (see
#: `final_model_entries`).
TrainFold = Callable[
    [Recipe, Split, Path, str, bool, dict[str, Any] | None],
    Iterator[TrainingEvent],
]


def cross_validate(
    images: FoldImages,
    splits: Sequence[tuple[str, Split]],
    recipe: Recipe,
    out: str | Path,
    train_fold: TrainFold,
    *,
    model: Path | None = None,
    resume: bool = False,
) -> Iterator[TrainingEvent]:
    """Train once on each of several splits, and summarise the metrics of the test parts.

    Parameters
    ----------
    images : FoldImages
        The images that the splits divide.
    splits : sequence of (str, Split)
        As `splits_of` makes them from the recipe; test parts may overlap.
    recipe : Recipe
        The recipe of every fold.
    out : str or Path
        New or empty, unless resumed. Each fold is a run in a sub-folder of its split's
        name, and that on all images one in ``all``; beside them ``recipe.toml``,
        ``summary.json``, ``summary.csv`` and ``result.json``.
    train_fold : callable
        Trains on one split. The recipe that it gets names the fold, so the recipe in the
        fold's folder and card makes this model again, and no other.
    model : Path, optional
        The file that the folds start from; a copy is kept until all are finished.
    resume : bool
        Whether to continue: finished folds are kept, an unfinished one is resumed.

    Yields
    ------
    TrainingEvent
        Each fold's, under the name 'RUN/FOLD', and `RunsDone` after it; finally
        `TrainingFinished` with the summary as metrics.

        Without `split.then_all` its path is empty: none of the folds' models is the
        result. The summary says how well the recipe does; the best of the folds would be
        chosen by the images that it was evaluated on. Any of them can be used, each with
        the metrics of its own test part on its card.

        With it, one more run follows, 'RUN/all', on all images except the fraction that is
        held out for its curves. Its model is the result: its card has the folds' metrics,
        and what `final_model_entries` fits on their predictions.

    Raises
    ------
    TrainingError
        If the folder cannot be used, is finished, or contains folds of another recipe or
        of other images.
    DatasetError, RecipeError, DeviceUnavailable
        As `train`.
    """
    run = RunFolder(Path(out), recipe, resume=resume)
    folder = run.path
    last = final_recipe(images, recipe) if recipe.split.then_all else None
    if not run.started:
        run.keep_model(model)
        with run.writing():
            write_atomic(folder / 'recipe.toml', recipe.to_toml().encode())
    total = len(splits) + (last is not None)

    def train(
        number: int, own: Recipe, split: Split, name: str, entries: dict[str, Any] | None = None
    ) -> Iterator[TrainingEvent]:
        fold, full_name = folder / name, f'{run.name}/{name}'
        if not (fold / 'result.json').is_file():  # the last file that a run writes
            started = fold.is_dir() and any(fold.iterdir())
            events = train_fold(own, split, fold, full_name, started, entries)
            with closing(events):  # type: ignore[type-var]  # a generator, or an iterator
                yield from events
        yield RunsDone(run.name, number, total, run_row(fold, full_name))

    for number, (name, split) in enumerate(splits, start=1):
        yield from train(number, fold_recipe(recipe, images, number - 1, name, split), split, name)
    folds = read_folds(images, splits, folder)
    summary = summarise_folds(images, folds, splits[0][1].kind, recipe)
    path, epoch = '', 0
    if last is not None:
        entries = final_model_entries(images.dataset, folds, recipe, summary['metrics'])
        summary['metrics'] = entries['metrics']
        yield from train(total, *last, FINAL_MODEL, entries)
        path = str(folder / FINAL_MODEL / 'best.safetensors')
        epoch = read_card(path).data['epoch']
    with run.writing():
        write_summary(folder, summary)
        (folder / START_MODEL_FILE).unlink(missing_ok=True)
    yield TrainingFinished(run.name, path, epoch, summary['metrics'])


def train(
    dataset: Dataset,
    recipe: Recipe,
    out: str | Path,
    device: str = 'auto',
    *,
    read: ImageReader | None = None,
    resume: bool = False,
    keep_state: bool = True,
) -> Generator[TrainingEvent, None, None]:
    """Train a network and leave its best checkpoint, with a full card, in a folder.

    On the CPU the same recipe, images and number of threads give the same weights, bit
    for bit, even if the run was stopped or killed and resumed.

    Parameters
    ----------
    dataset : Dataset
        As `index` found it.
    recipe : Recipe
        Everything else that determines the result.
    out : str or Path
        The run's folder, new or empty. ``best.safetensors`` is the result. If the recipe
        asks for several splits, each is a run in a sub-folder; see `cross_validate`.
    device : str
        'auto', 'cpu', 'cuda' or 'mps'.
    read : ImageReader, optional
        What decodes the files; by default this process, one by one. For untrusted files,
        pass a pool of decoder processes.
    resume : bool
        Whether to continue the run in `out`, which must have the same recipe and data; if
        there is none, it starts.
    keep_state : bool
        Whether a finished run keeps its optimiser, to go on for more epochs; folds do not.

    Yields
    ------
    TrainingEvent
        `ReadingProgress`, `ImageSkipped` (files that cannot be used) and `WarningRaised`,
        `TrainingStarted`, then `BatchDone` and `EpochDone`, and `TrainingFinished` with the
        path of the checkpoint.

    Raises
    ------
    DatasetError, RecipeError, TrainingError, DeviceUnavailable
        If the run cannot start; if the loss, the validation metric or the weights are no
        longer finite; if memory or disk are full.
    """
    chosen = choose_device(device_of_rank(device))
    with (
        join_processes(chosen.name) as ranks,
        closing(
            _train(dataset, recipe, Path(out), chosen, read, resume, ranks, keep_state)
        ) as events,
    ):
        if ranks.first:
            yield from events
        else:
            for _ in events:  # the same steps, without reporting them
                pass


def _train(
    dataset: Dataset,
    recipe: Recipe,
    path: Path,
    device: Device,
    read: ImageReader | None,
    resume: bool,
    ranks: Ranks,
    keep_state: bool,
) -> Generator[TrainingEvent, None, None]:
    # Problems with folder, network and weights show before images are read.
    recipe, model = find_model(recipe, path)
    RunFolder(path, recipe, resume=resume, writes=ranks.first)
    frozen_stages(new_network(recipe, dataset.labels, model, empty=resume), recipe, epoch=0)
    if not ranks.first:
        ranks.wait()  # until the first has read all images into the cache
    images, remarks = yield from read_images(dataset, recipe, read, path.name)
    for text in pretraining_warnings(recipe, images.dataset, images.digests, model):
        yield WarningRaised(path.name, text)
        remarks = (*remarks, text)
    if ranks.first:
        ranks.wait()
    splits = splits_of(images.dataset, recipe.split, recipe.split_seed)
    single = len(splits) == 1 and not recipe.split.then_all

    def train_on(
        own: Recipe,
        split: Split,
        folder: Path,
        name: str,
        started: bool,
        entries: dict[str, Any] | None = None,
    ) -> Generator[TrainingEvent, None, None]:
        return fit(
            images,
            split,
            own,
            folder,
            device,
            name=name,
            model=model,
            resume=started,
            remarks=remarks,
            ranks=ranks,
            entries=entries,
            keep_state=keep_state and single,
        )

    if single:
        yield from train_on(recipe, splits[0][1], path, '', resume)
    elif ranks.count > 1:
        raise TrainingError(
            'Several processes can only train one fold at a time; set split.fold, or one set '
            'in split.left_out, without split.then_all.'
        )
    else:
        yield from cross_validate(
            images, splits, recipe, path, train_on, model=model, resume=resume
        )


def fit(
    images: LoadedImages,
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
    keep_state: bool = False,
) -> Generator[TrainingEvent, None, None]:
    """Train on images that have been read: one run, or one fold of several.

    Parameters
    ----------
    images, split
        The images and their split.
    recipe, out, resume, keep_state
        As of `train`.
    device : Device
        As `choose_device` returned it.
    name : str
        The run's name in its events; that of its folder by default.
    model : Path, optional
        The file that it starts from, see `find_model`.
    remarks : tuple of str
        Sentences for the log, without file names.
    ranks : Ranks, optional
        The processes that share the run; by default this one alone.
    entries : dict, optional
        Entries of its card, if folds were evaluated in its place; by default it is
        evaluated itself.
    """
    ranks = Ranks() if ranks is None else ranks
    folder = RunFolder(out, recipe, resume=resume, writes=ranks.first)
    name = name or folder.name
    data = RunData(images, split)
    table = split_table(data.dataset, data.loaded.digests, data.split.names())
    resumable = folder.started and folder.state.exists()
    metadata = read_metadata(folder.state) if resumable else None
    if folder.started:
        folder.check_split(table)
    continued = continuations(folder.path) if folder.started else []
    network = new_network(recipe, data.dataset.labels, model, empty=metadata is not None)
    run = TrainingRun(network, data, recipe, torch.device(device.name), folder.path, ranks)
    precision = 'float32' if run.precision is None else 'bfloat16'
    if metadata is not None:
        load_state(folder.state, run)
        if continued and continued[-1]['after'] == run.progress.epoch and not run.progress.batch:
            run.progress.waited = 0  # or a run that has stopped early would stop at once
    ranks.wait()  # until all have read what was there
    if folder.started:
        folder.resume(metadata)
        folder.log(f'Resumed after {run.progress.epoch} epochs and {run.progress.batch} steps.')
    else:
        folder.keep_model(model)
        folder.start(table, _environment(device, precision, recipe))
        folder.log(f'Started with {len(data.dataset.samples)} images on {device.name}.')
    for remark in remarks:
        folder.log(remark)
    if entries is None and ranks.first:
        evaluated = np.concatenate([split.val, split.test])
        yield from cache_inference_images(images, evaluated, name)
    described = describe_data(data.dataset, data.split, list(data.loaded.digests))
    described |= {'continued': continued} if continued else {}
    yield TrainingStarted(
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
    if continued and folder.best.is_file():  # the file that it started from may be gone
        credit = credit or read_card(folder.best).attribution
    checkpoints = CheckpointWriter(
        run, folder, lambda epoch: build_card(run, described, epoch, None, credit)
    )
    try:
        yield from _epochs(run, folder, checkpoints, name)
    except GeneratorExit:
        checkpoints.write()
        folder.log(f'Stopped in epoch {run.progress.epoch + 1}, after {run.progress.batch} steps.')
        raise
    except TrainingError as error:
        with suppress(TrainingError):  # a full disk has been reported already
            checkpoints.best()
            folder.log(f'Ended: {error}')
        raise
    if not ranks.first:
        return
    with folder.writing():  # the file itself is evaluated, as anyone will load it
        stored = load(folder.best)
        epoch = stored.card.data['epoch']
        measured = entries or measure_model(run, stored, folder.path)
        if overlap := pretraining_warnings(recipe, images.dataset, images.digests, model):
            known = measured['metrics'].get('cautions', ())
            measured = {
                **measured,
                'metrics': {**measured['metrics'], 'cautions': [*overlap, *known]},
            }
        final = build_card(run, described, epoch, measured, credit)
        save(folder.best, stored.tensors, final, halve=recipe.card.halve)
        if keep_state:
            save_state(folder.path / FINAL_STATE_FILE, run, folder.metadata())
    for caution in final.metrics.get('cautions', ()):
        folder.log(caution)
        yield WarningRaised(name, caution)
    folder.log(
        f'Finished after {run.progress.epoch} epochs; the weights of epoch {epoch} are kept.'
    )
    folder.finish(
        {
            'status': 'finished',
            'epochs': run.progress.epoch,
            'best_epoch': epoch,
            'parameters': sum(p.numel() for p in run.network.parameters()),
            'trainable': _trainable(run),
            'metrics': final.metrics,
        }
    )
    yield TrainingFinished(name, str(folder.best), epoch, final.metrics)


def _epochs(
    run: TrainingRun, folder: RunFolder, checkpoints: CheckpointWriter, name: str
) -> Iterator[TrainingEvent]:
    while not run.finished:
        for done, total in run.prepare_epoch():
            yield ReadingProgress(name, done, total)
        for step in run.steps():
            checkpoints.batch_done()
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
        folder.add_epoch(event, run.data.dataset.labels)
        checkpoints.epoch_done(event)
        yield event
    checkpoints.best()
    checkpoints.last()


def _trainable(run: TrainingRun) -> int:
    """Return the number of parameters that are trained in the first epoch."""
    frozen = frozen_stages(run.network, run.recipe, epoch=0)
    fixed = sum(p.numel() for name in frozen for p in run.network.stages[name].parameters())
    return sum(p.numel() for p in run.network.parameters()) - fixed


def _environment(device: Device, precision: str, recipe: Recipe) -> dict[str, Any]:
    return {
        'device': device.name,
        'gpu': torch.cuda.get_device_name(device.name) if 'cuda' in device.name else None,
        'precision': precision,
        'threads': torch.get_num_threads(),
        'seed': recipe.seed,
    }
