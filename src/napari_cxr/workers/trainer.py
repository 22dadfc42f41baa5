"""The training worker's jobs: look at a labelled folder, and train on it."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cxr import networks
from napari_cxr.training import Event, Recipe
from napari_cxr.training.survey import Survey

if TYPE_CHECKING:
    from napari_cxr.workers.decoding import DecoderPool

__all__ = ['network_names', 'preview', 'survey', 'train']


def network_names() -> tuple[str, ...]:
    """Return the names of the networks that recipes can name."""
    return networks.names()


def survey(source: str, recipe: dict[str, Any]) -> Generator[Event, None, Survey]:
    """See `napari_cxr.training.survey.survey`."""
    from napari_cxr.training.survey import survey

    with _decoders() as read, closing(survey(source, Recipe.from_dict(recipe), read)) as events:
        return (yield from events)


def preview(paths: Sequence[str], recipe: dict[str, Any]) -> np.ndarray:
    """Return images as they are and as the first epoch may change them.

    Parameters
    ----------
    paths : sequence of str
        Their files; those that cannot be read are left out.
    recipe : dict
        As `Recipe.to_dict`.

    Returns
    -------
    ndarray
        As `napari_cxr.training.preview.preview` makes it.
    """
    from napari_cxr.training.preview import preview

    plan = Recipe.from_dict(recipe)
    with _decoders() as read:
        decoded = dict(read([(i, Path(p)) for i, p in enumerate(paths)], plan.input, 8))
    images = [decoded[i].image for i in sorted(decoded) if not isinstance(decoded[i], str)]
    return preview(np.stack(images), plan, plan.seed)


def train(
    source: str, recipe: dict[str, Any] | None, out: str, device: str
) -> Iterator[Event]:
    """See `napari_cxr.training.train`; without a recipe the run in `out` is taken up again."""
    from napari_cxr.training import index, train
    from napari_cxr.training.run_folder import recipe_of

    plan = recipe_of(Path(out)) if recipe is None else Recipe.from_dict(recipe)
    with _decoders() as read:
        dataset = index(source, plan.data)
        events = train(dataset, plan, out, device, read=read, resume=recipe is None)
        with closing(events):
            yield from events


@contextmanager
def _decoders() -> Iterator[DecoderPool]:
    from napari_cxr.workers.decoding import DecoderPool

    pool = DecoderPool()
    try:
        yield pool
    finally:
        pool.close()
