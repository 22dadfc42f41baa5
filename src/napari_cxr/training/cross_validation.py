"""One recipe on several splits: each fold a run of its own, then a summary of all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from napari_cxr.checkpoint.file import write_whole
from napari_cxr.training.events import Event, Finished, RunsDone
from napari_cxr.training.folds_summary import Images, summarise_folds, write_summary
from napari_cxr.training.recipe import Recipe
from napari_cxr.training.run_folder import RunFolder
from napari_cxr.training.runs import row_of
from napari_cxr.training.splits import Split
from napari_cxr.training.start_model import FILE

__all__ = ['TrainFold', 'cross_validate']

#: Trains on one split: the fold's recipe and split, its folder, its name in events, and
#: whether to resume.
TrainFold = Callable[[Recipe, Split, Path, str, bool], Iterator[Event]]


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
        name; beside them ``recipe.toml``, ``summary.json``, ``summary.csv`` and
        ``result.json``.
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
        with the summary as metrics. Its path is empty: none of the folds' models is the
        result. The summary says how well the recipe does; the best of the folds would be
        chosen by the images that it was measured on. Any of them can be taken, each with
        the figures of its own test part on its card.

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
    if not run.begun:
        run.keep_model(model)
        with run.writing():
            write_whole(folder / 'recipe.toml', recipe.to_toml().encode())
    for done, (name, split) in enumerate(splits, start=1):
        place = folder / name
        if not (place / 'result.json').is_file():  # which is the last that a run writes
            begun = place.is_dir() and any(place.iterdir())
            own = _of_fold(recipe, images, done - 1, name, split)
            events = train_fold(own, split, place, f'{run.name}/{name}', begun)
            with closing(events):  # type: ignore[type-var]  # a generator, or an iterator
                yield from events
        yield RunsDone(run.name, done, len(splits), row_of(place, f'{run.name}/{name}'))
    summary = summarise_folds(images, splits, folder, recipe)
    with run.writing():
        write_summary(folder, summary)
        (folder / FILE).unlink(missing_ok=True)
    yield Finished(run.name, '', 0, summary['metrics'])


def _of_fold(recipe: Recipe, images: Images, place: int, name: str, split: Split) -> Recipe:
    alone = {'split.then_all': False}
    if recipe.split.method == 'k-fold':
        return recipe.with_changes({'split.fold': int(name.removeprefix('fold-')), **alone})
    sets = recipe.split.left_out
    left_out = sets[place] if sets else (images.dataset.samples[split.test[0]].source,)
    return recipe.with_changes({'split.left_out': [list(left_out)], **alone})
