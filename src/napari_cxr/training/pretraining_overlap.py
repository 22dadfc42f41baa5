"""What the weights that a run starts from have seen of its images, and of their sources.

Importing this imports no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from napari_cxr.checkpoint import CheckpointError, catalog, read_card
from napari_cxr.checkpoint.model_images import ModelImages, sources_known_to
from napari_cxr.training.dataset import Dataset
from napari_cxr.training.recipe import Recipe

__all__ = ['pretraining_warnings']


def pretraining_warnings(
    recipe: Recipe, dataset: Dataset, digests: Sequence[str], model: Path | None = None
) -> list[str]:
    """Return warnings where the weights that a run starts from know its images.

    Metrics on images, or on a collection, that the start has been trained on are too high.

    Parameters
    ----------
    recipe : Recipe
        Its `weights`.
    dataset : Dataset
        The images.
    digests : sequence of str
        Of each image, as `image_digest` names it.
    model : Path, optional
        The file that the run starts from, where it is no model of the catalog.

    Returns
    -------
    list of str
        Empty for random weights, for those of photographs, and where nothing is known.
    """
    if recipe.weights in ('random', 'pretrained'):
        return []
    try:
        path = model or catalog.resolve(recipe.weights.partition('@')[0])
        card = read_card(path)
    except (CheckpointError, OSError):
        return []
    start = f'{card.name}, from which this run starts,'
    images = ModelImages.of_model(path, card)
    seen = 0
    if images is not None:
        seen = sum(images.split_of(own) in ('train', 'val') for own in digests)
    if seen:
        text = (
            f'{start} was trained on, or chosen by, {seen:,} of these {len(digests):,} images, so '
            'metrics on them are too high. Start from other weights, or judge the result by '
            'other images.'
        )
        return [text]
    sources = sources_known_to(card, {sample.source for sample in dataset.samples})
    if not sources:
        return []
    text = (
        f'{start} was trained on images of {", ".join(sources)}. It knows how that collection '
        'looks, so metrics on it are too high for a hospital that it has not seen.'
    )
    return [text]
