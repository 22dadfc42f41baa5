"""The predictions of a training run, as a table to evaluate by.

Of a run in folds, such as one that leaves each source out in turn, every image is judged by the
network that has not seen its source.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from napari_cxr.evaluation.evaluation_table import EvaluationTable
from napari_cxr.evaluation.score_tables import CombinedScores
from napari_cxr.inference.label_rule import known_and_unknown
from napari_cxr.output_text import from_csv_cell
from napari_cxr.scoring.input_lists import ListingError
from napari_cxr.scoring.score_row import ScoringRun
from napari_cxr.settings_file import LARGEST_TABLE, read_settings
from napari_cxr.training.model_evaluation import PREDICTIONS_FILE, Predictions, read_predictions

__all__ = ['is_run_folder', 'read_run']

_SPLIT_FILE = 'split.csv'


def is_run_folder(folder: Path) -> bool:
    """Return whether a folder is that of a finished run, or of one in folds."""
    return any(True for _ in _folds(folder))


def _folds(folder: Path) -> Iterator[Path]:
    """Yield the folders with predictions: those of the folds, or of the run itself."""
    if not (folder / 'recipe.toml').is_file():
        return
    if (folder / PREDICTIONS_FILE).is_file():
        yield folder
        return
    for fold in sorted(folder.iterdir()):
        if (fold / PREDICTIONS_FILE).is_file() and (fold / _SPLIT_FILE).is_file():
            yield fold


def read_run(folder: Path) -> CombinedScores:
    """Read the predictions of a run.

    Parameters
    ----------
    folder : Path
        Of a run, or of a run in folds, of which the test images of all folds are taken together.

    Returns
    -------
    CombinedScores
        With the test images; of a run without folds also the validation images, by which
        thresholds can be chosen.

    Raises
    ------
    ListingError
        If a file is missing or damaged, or there is no test image.
    """
    folds = list(_folds(folder))
    wanted = ('test',) if len(folds) > 1 else ('val', 'test')
    images: dict[str, tuple[str, str, str, str]] = {}  # split, patient, source, label
    rows: list[np.ndarray] = []
    labels: tuple[str, ...] = ()
    hashed = hashlib.sha256()
    for fold in folds:
        try:
            predictions = read_predictions(fold)
            told = _table(fold / PREDICTIONS_FILE)
            groups = {row['image']: row['group'] for row in _table(fold / _SPLIT_FILE)}
            hashed.update(read_settings(fold / PREDICTIONS_FILE, LARGEST_TABLE).encode())
        except (OSError, ValueError, KeyError) as error:
            raise ListingError(f'The run in {fold} cannot be read ({error}).') from None
        labels = labels or predictions.labels
        order = [predictions.labels.index(label) for label in labels]
        for i, place, row in _chosen(predictions, told, wanted):
            if place not in images:
                patient = groups.get(place) or place
                images[place] = (predictions.splits[i], patient, row['source'], row['label'])
                rows.append(predictions.probabilities[i, order])
    if not any(split == 'test' for split, *_ in images.values()):
        raise ListingError(f'The run in {folder} has no test images.')
    said = [known_and_unknown(label) for *_, label in images.values()]
    truth = np.array([[label in one for label in labels] for one, _ in said], dtype=bool)
    given = np.array([[label not in one for label in labels] for _, one in said], dtype=bool)
    probabilities = np.array(rows).reshape(len(rows), len(labels))
    multilabel = bool((truth.sum(axis=1) != 1).any()) or not np.allclose(
        probabilities.sum(axis=1), 1, atol=1e-3
    )
    name = folder.resolve().name
    sources = tuple(source for _, _, source, _ in images.values())
    table = EvaluationTable(
        labels=labels,
        multilabel=multilabel,
        images=tuple(images),
        paths=('',) * len(images),
        truth=truth,
        patients=tuple(f'run {patient}' for _, patient, _, _ in images.values()),
        splits=tuple(split for split, *_ in images.values()),
        columns={'source': sources} if any(sources) else {},
        probabilities={name: probabilities},
        given=None if given.all() else given,
    )
    run = ScoringRun(name, hashed.hexdigest()[:12], labels, {}, '', multilabel=multilabel)
    return CombinedScores(table, {name: run}, {name: ('',) * len(images)})


def _chosen(
    predictions: Predictions, told: list[dict[str, str]], wanted: tuple[str, ...]
) -> Iterator[tuple[int, str, dict[str, str]]]:
    for i, (image, row) in enumerate(zip(predictions.images, told, strict=True)):
        if predictions.splits[i] in wanted:
            yield i, image, row


def _table(path: Path) -> list[dict[str, str]]:
    text = read_settings(path, LARGEST_TABLE)
    return [
        {name: from_csv_cell(cell or '') for name, cell in row.items() if name}
        for row in csv.DictReader(io.StringIO(text, newline=''))
    ]
