"""The training worker's jobs: look at a labelled folder, and train on it."""

from __future__ import annotations

import tomllib
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cxr import networks
from napari_cxr.training.dataset_survey import Survey
from napari_cxr.training.recipe import Recipe
from napari_cxr.training.sweep.sweep_runner import PLAN
from napari_cxr.training.training_events import TrainingEvent

if TYPE_CHECKING:
    from napari_cxr.workers.decoder_pool import DecoderPool

__all__ = ['network_names', 'preview', 'survey', 'train']


def network_names() -> tuple[str, ...]:
    """Return the names of the networks that recipes can name."""
    return networks.names()


def survey(source: str, recipe: dict[str, Any]) -> Generator[TrainingEvent, None, Survey]:
    """See `napari_cxr.training.dataset_survey.survey`."""
    from napari_cxr.training.dataset_survey import survey

    with _decoders() as read, closing(survey(source, Recipe.from_dict(recipe), read)) as events:
        return (yield from events)


def preview(paths: Sequence[str], labels: Sequence[str], recipe: dict[str, Any]) -> np.ndarray:
    """Return images as they are and as the first epoch may change them.

    Parameters
    ----------
    paths : sequence of str
        Their files; those that cannot be read are left out.
    labels : sequence of str
        Their labels, several joined by '|'.
    recipe : dict
        As `Recipe.to_dict`.

    Returns
    -------
    ndarray
        As `napari_cxr.training.augmentation.preview` makes it.
    """
    from napari_cxr.training.augmentation import preview

    plan = Recipe.from_dict(recipe)
    with _decoders() as read:
        decoded = dict(read([(i, Path(p)) for i, p in enumerate(paths)], plan.input, 8))
    found = {i: one.image for i, one in sorted(decoded.items()) if not isinstance(one, str)}
    images = np.stack(list(found.values()))
    return preview(images, plan, plan.seed, [labels[i] for i in found])


def train(source: str, plan: str, out: str, device: str) -> Iterator[TrainingEvent]:
    """Train, or do the runs of a sweep.

    Parameters
    ----------
    source : str
        As `napari_cxr.training.index` takes it.
    plan : str
        A recipe or a sweep, as TOML; empty to take up again what `out` holds.
    out : str
        Folder of the run or the sweep.
    device : str
        'auto', 'cpu', 'cuda' or 'mps'.
    """
    sweeps = 'base' in tomllib.loads(plan) if plan else (Path(out) / PLAN).is_file()
    yield from (_sweep if sweeps else _train)(source, plan, Path(out), device)


def _sweep(source: str, plan: str, out: Path, device: str) -> Iterator[TrainingEvent]:
    from napari_cxr.training.sweep import Sweep, sweep

    text = plan or (out / PLAN).read_text(encoding='utf-8')
    with _decoders() as read:
        events = sweep(source, Sweep.from_toml(text), out, device, read=read, resume=not plan)
        with closing(events):
            yield from events


def _train(source: str, plan: str, out: Path, device: str) -> Iterator[TrainingEvent]:
    from napari_cxr.inference.cpu import keep_freed_memory
    from napari_cxr.training.dataset_index import index
    from napari_cxr.training.run_folder import recipe_of
    from napari_cxr.training.training_loop import train

    recipe = Recipe.from_toml(plan) if plan else recipe_of(out)
    keep_freed_memory()
    with _decoders() as read:
        dataset = index(source, recipe.data)
        events = train(dataset, recipe, out, device, read=read, resume=not plan)
        with closing(events):  # type: ignore[type-var]
            yield from events


@contextmanager
def _decoders() -> Iterator[DecoderPool]:
    from napari_cxr.workers.decoder_pool import DecoderPool

    pool = DecoderPool()
    try:
        yield pool
    finally:
        pool.close()
