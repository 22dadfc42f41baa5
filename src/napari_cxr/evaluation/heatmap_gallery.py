"""A few heatmaps of each class for a report: the surest right and the surest wrong answers."""

from __future__ import annotations

import base64
import io
import tempfile
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_cxr.evaluation.evaluation_table import EvaluationTable
from napari_cxr.metrics.classification import one_hot, predicted_labels
from napari_cxr.scoring import ScoringError, ScoringSettings, score
from napari_cxr.scoring.heatmap_files import heatmap_path
from napari_cxr.scoring.input_lists import Item

if TYPE_CHECKING:
    from napari_cxr.inference.classifier import Classifier
    from napari_cxr.scoring.image_preparation import ImagePreparer

__all__ = ['GalleryGroup', 'GalleryPicture', 'choose_images', 'heatmap_gallery']

#: Pictures of a class: so many that the model recognises, and so many that it does not.
_EACH = 3
#: Columns of a picture; a report is to be sent by mail.
_SIDE = 240


@dataclass(frozen=True)
class GalleryPicture:
    """One picture of a report.

    Parameters
    ----------
    source : str
        A data URL.
    text : str
        What the model says of it.
    """

    source: str
    text: str


@dataclass(frozen=True)
class GalleryGroup:
    """Pictures of one class, recognised or not.

    Parameters
    ----------
    name : str
        What they have in common.
    pictures : tuple of GalleryPicture
        The surest answers first.
    """

    name: str
    pictures: tuple[GalleryPicture, ...]


def choose_images(
    table: EvaluationTable, classifier: str, thresholds: Sequence[float] | None = None
) -> dict[str, list[int]]:
    """Choose images to show: of each class the surest right and the surest wrong answers.

    Parameters
    ----------
    table : EvaluationTable
        The images that were evaluated by.
    classifier : str
        The model's name in it.
    thresholds : sequence of float, optional
        With several labels, from which probability each is predicted.

    Returns
    -------
    dict of str to list of int
        By what they have in common; rows of the table, one of a patient.
    """
    scores = table.probabilities[classifier]
    labels = list(table.labels)
    predicted = one_hot(predicted_labels(scores, table.multilabel, thresholds), len(labels))
    out: dict[str, list[int]] = {}
    for k, label in enumerate(labels):
        has, called, p = table.truth[:, k], predicted[:, k], scores[:, k]
        out[f'{label}, recognised'] = _surest(has & called, -p, table)
        out[f'{label}, missed'] = _surest(has & ~called, p, table)
        if table.multilabel:
            out[f'no {label}, taken for it'] = _surest(~has & called, -p, table)
    return {name: rows for name, rows in out.items() if rows}


def _surest(which: np.ndarray, order: np.ndarray, table: EvaluationTable) -> list[int]:
    found: dict[str, int] = {}
    rows = np.flatnonzero(which)
    for i in rows[np.argsort(order[rows], kind='stable')].tolist():
        found.setdefault(table.patients[i], i)
        if len(found) == _EACH:
            break
    return list(found.values())


def heatmap_gallery(
    table: EvaluationTable,
    name: str,
    load: Callable[[], Classifier],
    prepare: ImagePreparer,
    settings: ScoringSettings,
    thresholds: Sequence[float] | None = None,
) -> Generator[None, None, list[GalleryGroup]]:
    """Make the pictures of a model for a report; empty if they cannot be made.

    Parameters
    ----------
    table : EvaluationTable
        The images that were evaluated by, with their paths.
    name : str
        The model's name in it.
    load : callable
        Returns the model.
    prepare : ImagePreparer
        What decodes the images.
    settings : ScoringSettings
        How they were scored.
    thresholds : sequence of float, optional
        As of `choose_images`.
    """
    chosen = choose_images(table, name, thresholds)
    rows = sorted({row for group in chosen.values() for row in group})
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, 'heatmaps')
        items = [Item(table.paths[row]) for row in rows]
        how = replace(settings, heatmaps=folder, images=None)
        try:
            events = score(items, load(), Path(place, 'scores.csv'), prepare, how)
            with closing(events):
                for _ in events:
                    yield None
        except ScoringError:
            return []
        files = {
            row: heatmap_path(folder, number, table.paths[row]) for number, row in enumerate(rows)
        }
        pictures = {row: _data_url(path) for row, path in files.items() if path.is_file()}
    return [
        GalleryGroup(
            group,
            tuple(
                GalleryPicture(pictures[row], _said(table, name, row))
                for row in found
                if row in pictures
            ),
        )
        for group, found in chosen.items()
    ]


def _data_url(path: Path) -> str:
    from PIL import Image

    with Image.open(path) as picture:
        small = picture.convert('RGB')
    small.thumbnail((_SIDE, 2 * _SIDE))
    held = io.BytesIO()
    small.save(held, 'JPEG', quality=80)
    return f'data:image/jpeg;base64,{base64.b64encode(held.getvalue()).decode("ascii")}'


def _said(table: EvaluationTable, name: str, row: int) -> str:
    shares: Mapping[str, float] = dict(
        zip(table.labels, table.probabilities[name][row].tolist(), strict=True)
    )
    highest = sorted(shares, key=lambda label: -shares[label])[:2]
    return ', '.join(f'{label} {shares[label]:.0%}' for label in highest)
