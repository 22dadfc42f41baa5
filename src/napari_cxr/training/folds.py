"""What the folds of a run left: their cards, and what they said of their test images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from napari_cxr.checkpoint import Card, CheckpointError, read_card
from napari_cxr.metrics.together import Part
from napari_cxr.training.dataset import Dataset
from napari_cxr.training.evaluate import guesses_of, truth_of
from napari_cxr.training.predictions import read_predictions
from napari_cxr.training.run_folder import TrainingError
from napari_cxr.training.splits import Split

__all__ = ['Fold', 'Images', 'how_often', 'read_folds']


class Images(Protocol):
    """All images of a data set, whichever fold they are for."""

    @property
    def dataset(self) -> Dataset:
        """What they are."""

    @property
    def digests(self) -> Sequence[str]:
        """A hash of each one's content."""

    @property
    def features(self) -> np.ndarray:
        """What the no-anatomy baselines see of each."""


@dataclass(frozen=True, eq=False)
class Fold:
    """One fold that has ended.

    Parameters
    ----------
    name : str
        Of its folder.
    card : Card
        Of its model.
    part : Part
        What model and baselines say of its test images.
    logits : ndarray, shape (n, classes)
        The model's, of these images, before any temperature.
    """

    name: str
    card: Card
    part: Part
    logits: np.ndarray


def read_folds(images: Images, splits: Sequence[tuple[str, Split]], folder: Path) -> list[Fold]:
    """Read the folds of a run.

    Parameters
    ----------
    images : Images
        What was divided.
    splits : sequence of (str, Split)
        The folds' names and divisions.
    folder : Path
        In which each has its run folder.

    Raises
    ------
    TrainingError
        If a fold's files are missing or of other images.
    """
    truth = truth_of(images.dataset)
    folds = []
    for name, split in splits:
        card = _card(folder / name)
        places, probabilities, logits = _answers(images, split, folder / name)
        guesses = guesses_of(images, truth, split.train, places, len(images.dataset.labels))
        folds.append(Fold(name, card, Part(places, probabilities, guesses), logits))
    return folds


def how_often(folds: Sequence[Fold], total: int) -> np.ndarray:
    """Return in how many folds each of so many images was tested, shape (total,)."""
    return np.bincount(np.concatenate([fold.part.places for fold in folds]), minlength=total)


def _card(folder: Path) -> Card:
    try:
        card = read_card(folder / 'best.safetensors')
    except (CheckpointError, OSError) as error:
        raise TrainingError(f'The model of {folder.name} cannot be read: {error}') from None
    if card.metrics.get('measured_on') != 'test':
        raise TrainingError(
            f'{folder.name} was not measured on test images; delete its folder and resume.'
        )
    return card


def _answers(
    images: Images, split: Split, folder: Path
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return places of a fold's test images, its model's probabilities of them, and logits."""
    changed = TrainingError(
        f'{folder.name} was trained on other images than there are now; start in a new folder, '
        'or delete that of the fold and resume.'
    )
    try:
        found = read_predictions(folder)
    except (OSError, ValueError):
        raise TrainingError(
            f'The predictions of {folder.name} cannot be read; delete its folder and resume.'
        ) from None
    if found.labels != images.dataset.labels:
        raise changed
    where: dict[str, list[int]] = {}
    for place in split.test[::-1]:  # so that copies of an image are taken in their order
        where.setdefault(images.digests[place], []).append(int(place))
    rows = [i for i, name in enumerate(found.splits) if name == 'test']
    try:
        places = [where[found.images[i]].pop() for i in rows]
    except (KeyError, IndexError):
        raise changed from None
    return np.array(places, dtype=np.intp), found.probabilities[rows], found.logits[rows]
