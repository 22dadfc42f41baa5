"""One recipe on several splits: each fold a run of its own, then a summary of all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from napari_cxr.checkpoint import read_card
from napari_cxr.checkpoint.file import write_whole
from napari_cxr.training.events import Event, Finished, RunsDone
from napari_cxr.training.folds import Images, read_folds
from napari_cxr.training.folds_result import entries_of
from napari_cxr.training.folds_summary import summarise_folds, write_summary
from napari_cxr.training.recipe import Recipe
from napari_cxr.training.run_folder import RunFolder
from napari_cxr.training.runs import ALL, row_of
from napari_cxr.training.splits import Split, splits_of
from napari_cxr.training.start_model import FILE

__all__ = ['TrainFold', 'cross_validate']

#: Trains on one split: the fold's recipe and split, its folder, its name in events, whether
#: to resume, and, of the run on all images, what its card shall say (see `entries_of`).
TrainFold = Callable[
    [Recipe, Split, Path, str, bool, dict[str, Any] | None],
    Iterator[Event],
]


def cross_validate(
    images: Images,
    splits: Sequence[tuple[str, Split]],
    recipe: Recipe,
    out: str | Path,
    train_fold: TrainFold,
    *,
    model: Path | None = None,
    resume: bool = False,
) -> Iterator[Event]:
    """Train once on each of several splits, and sum up what the test parts say.

    Parameters
    ----------
    images : Images
        What the splits divide.
    splits : sequence of (str, Split)
        As `splits_of` makes them from the recipe; test parts may share images.
    recipe : Recipe
        What every fold does.
    out : str or Path
        New or empty, unless resumed. Each fold is a run in a sub-folder of its split's
        name, and that on all images one in ``all``; beside them ``recipe.toml``,
        ``summary.json``, ``summary.csv`` and ``result.json``.
    train_fold : callable
        Trains one. The recipe that it gets names the fold, so that what the fold's folder
        and card hold makes this model again, and no other.
    model : Path, optional
        The file that the folds start from; kept until all are finished.
    resume : bool
        Whether to go on: finished folds are kept, one that was cut off is resumed.

    Yields
    ------
    Event
        Each fold's, by the name 'RUN/FOLD', and `RunsDone` after it; at last `Finished`
        with the summary as metrics.

        Without `split.then_all` its path is empty: none of the folds' models is the
        result. The summary says how well the recipe does; the best of the folds would be
        chosen by the images that it was measured on. Any of them can be taken, each with
        the figures of its own test part on its card.

        With it, one more run follows, 'RUN/all', on all images but for the share that is
        held out for its curves. Its model is the result: its card has the folds' figures,
        and what `entries_of` fits on their answers.

    Raises
    ------
    TrainingError
        If the folder cannot be used, is finished, or holds folds of another recipe or of
        other images.
    DatasetError, RecipeError, DeviceUnavailable
        As `train`.
    """
    run = RunFolder(Path(out), recipe, resume=resume)
    folder = run.path
    last = _on_all(images, recipe) if recipe.split.then_all else None
    if not run.begun:
        run.keep_model(model)
        with run.writing():
            write_whole(folder / 'recipe.toml', recipe.to_toml().encode())
    total = len(splits) + (last is not None)

    def train(
        number: int, own: Recipe, split: Split, name: str, entries: dict[str, Any] | None = None
    ) -> Iterator[Event]:
        place, called = folder / name, f'{run.name}/{name}'
        if not (place / 'result.json').is_file():  # which is the last that a run writes
            begun = place.is_dir() and any(place.iterdir())
            events = train_fold(own, split, place, called, begun, entries)
            with closing(events):  # type: ignore[type-var]  # a generator, or an iterator
                yield from events
        yield RunsDone(run.name, number, total, row_of(place, called))

    for number, (name, split) in enumerate(splits, start=1):
        yield from train(number, _of_fold(recipe, images, number - 1, name, split), split, name)
    folds = read_folds(images, splits, folder)
    summary = summarise_folds(images, folds, splits[0][1].kind, recipe)
    path, epoch = '', 0
    if last is not None:
        entries = entries_of(images.dataset, folds, recipe, summary['metrics'])
        yield from train(total, *last, ALL, entries)
        path = str(folder / ALL / 'best.safetensors')
        epoch = read_card(path).data['epoch']
    with run.writing():
        write_summary(folder, summary)
        (folder / FILE).unlink(missing_ok=True)
    yield Finished(run.name, path, epoch, summary['metrics'])


def _on_all(images: Images, recipe: Recipe) -> tuple[Recipe, Split]:
    """Return how to learn from all images: as a recipe that makes the same weights by itself."""
    own = recipe.with_changes(
        {
            'split.method': 'holdout',
            'split.test': 0.0,
            'split.fold': 0,
            'split.left_out': [],
            'split.then_all': False,
        }
    )
    ((_, split),) = splits_of(images.dataset, own.split, recipe.seed)
    return own, split


def _of_fold(recipe: Recipe, images: Images, place: int, name: str, split: Split) -> Recipe:
    alone = {'split.then_all': False}
    if recipe.split.method == 'k-fold':
        return recipe.with_changes({'split.fold': int(name.removeprefix('fold-')), **alone})
    sets = recipe.split.left_out
    left_out = sets[place] if sets else (images.dataset.samples[split.test[0]].source,)
    return recipe.with_changes({'split.left_out': [list(left_out)], **alone})
