"""What a run's model answered on images that it did not learn from, as a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_cxr.checkpoint.file import write_whole
from napari_cxr.training.dataset import Dataset
from napari_cxr.training.splits import Split

__all__ = ['FILE', 'Predictions', 'read_predictions', 'write_predictions']

#: Its name in a run's folder.
FILE = 'predictions.csv'
_COLUMNS = ('image', 'split', 'source', 'label')


@dataclass(frozen=True, eq=False)
class Predictions:
    """Probabilities of n images.

    Parameters
    ----------
    labels : tuple of str
        The k classes.
    images : tuple of str
        A hash of each image's content.
    splits : tuple of str
        'val' or 'test'.
    probabilities : ndarray, shape (n, k)
        Calibrated on the validation split.
    logits : ndarray, shape (n, k)
        What the network put out.
    """

    labels: tuple[str, ...]
    images: tuple[str, ...]
    splits: tuple[str, ...]
    probabilities: np.ndarray
    logits: np.ndarray


def write_predictions(
    folder: Path,
    dataset: Dataset,
    split: Split,
    digests: Sequence[str],
    probabilities: np.ndarray,
    logits: np.ndarray,
) -> None:
    """Write ``predictions.csv`` of the validation and test images, and no name of a file.

    Parameters
    ----------
    folder : Path
        Of the run.
    dataset, split
        The images and their division.
    digests : sequence of str
        A hash of the content of each.
    probabilities, logits : ndarray, shape (n, classes)
        Of every image: calibrated, and as the network put them out.

    Raises
    ------
    OSError
        If it can't be written.
    """
    text = io.StringIO(newline='')
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow([*_COLUMNS, *dataset.labels, *(f'logit of {k}' for k in dataset.labels)])
    for name in ('val', 'test'):
        for place in getattr(split, name):
            sample = dataset.samples[place]
            numbers = [f'{p:.6g}' for p in (*probabilities[place], *logits[place])]
            writer.writerow([digests[place], name, sample.source, sample.label, *numbers])
    write_whole(folder / FILE, text.getvalue().encode())


def read_predictions(folder: Path) -> Predictions:
    """Read what `write_predictions` wrote.

    Raises
    ------
    OSError
        If there is none.
    ValueError
        If it was changed and is no such table any more.
    """
    with (folder / FILE).open(newline='', encoding='utf-8') as file:
        names, *rows = list(csv.reader(file)) or [[]]
    known, classes = len(_COLUMNS), (len(names) - len(_COLUMNS)) // 2
    if tuple(names[:known]) != _COLUMNS or any(len(row) != len(names) for row in rows):
        raise ValueError(f'{FILE} is not whole')
    numbers = np.array([row[known:] for row in rows], dtype=np.float64)
    return Predictions(
        labels=tuple(names[known : known + classes]),
        images=tuple(row[0] for row in rows),
        splits=tuple(row[1] for row in rows),
        probabilities=numbers[:, :classes],
        logits=numbers[:, classes:],
    )
