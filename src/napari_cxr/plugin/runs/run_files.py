"""Read back what a run has left on disk, whole or half-written. No Qt and no torch."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path
from typing import Any

from napari_cxr.plugin.runs.run_course import Course
from napari_cxr.training.events import EpochDone, Finished
from napari_cxr.training.half_written import card_of, json_of, toml_of
from napari_cxr.training.runs import ALL

__all__ = ['read_course', 'read_courses', 'read_summary']

_NUMBERS = tuple(
    field.name for field in dataclasses.fields(EpochDone) if field.type in ('float', float)
)


def read_courses(folder: Path) -> dict[str, Course]:
    """Return the run in a folder, or those in its sub-folders, by name.

    Parameters
    ----------
    folder : Path
        Of one run, of a cross-validated one, or of a sweep.

    Raises
    ------
    OSError
        If it cannot be listed.
    """
    found = (path for path in folder.iterdir() if path.is_dir())
    inside = sorted(found, key=lambda path: (path.name == ALL, path))  # as they are trained
    if _holds_run(folder) or not any(_holds_run(path) for path in inside):
        course = read_course(folder, folder.name)
        return {course.name: course} if course.epochs or course.finished else {}
    courses = (read_course(p, f'{folder.name}/{p.name}') for p in inside if _holds_run(p))
    return {course.name: course for course in courses}


def read_summary(folder: Path, name: str) -> Finished | None:
    """Return what was measured over all folds of a run, None where it was not."""
    metrics = json_of(folder / 'summary.json').get('metrics')
    if not isinstance(metrics, dict):
        return None
    result = folder / ALL / 'best.safetensors'
    return Finished(name, str(result) if result.is_file() else '', 0, metrics)


def read_course(folder: Path, name: str) -> Course:
    """Return one run, as far as its files can be read.

    Parameters
    ----------
    folder : Path
        With ``metrics.csv``, ``recipe.toml``, ``result.json``, ``best.safetensors``; each
        may be missing or cut off.
    name : str
        What to call it.
    """
    planned = toml_of(folder / 'recipe.toml').get('epochs', 0)
    planned = planned if isinstance(planned, int) else 0
    epochs = {
        epoch.epoch: epoch for epoch in _epochs(folder / 'metrics.csv', name, max(planned, 0))
    }
    card = card_of(folder / 'best.safetensors')
    result = json_of(folder / 'result.json')
    course = Course(name, card.labels if card is not None else (), planned, epochs=epochs)
    # The card is filled in when all epochs are over, in one stroke.
    metrics = (card.metrics if card is not None else {}) or result.get('metrics')
    if isinstance(metrics, dict) and metrics:
        told = card.data.get('epoch') if card is not None else None
        best = told if isinstance(told, int) else course.best.epoch if course.best else 0
        path = str(folder / 'best.safetensors') if card is not None else ''
        course.finished = Finished(name, path, best, metrics)
    return course


def _holds_run(folder: Path) -> bool:
    return (folder / 'metrics.csv').is_file()


def _epochs(path: Path, run: str, epochs: int) -> list[EpochDone]:
    """Return the whole lines of a ``metrics.csv``."""
    try:
        # Its last line counts once its end is there.
        text = path.read_bytes().decode('utf-8', 'replace').rpartition('\n')[0]
    except OSError:
        return []
    found = []
    for row in csv.DictReader(text.splitlines()):
        try:
            found.append(_epoch(row, run, epochs))
        except (KeyError, TypeError, ValueError):
            continue
    return found


def _epoch(row: dict[str, Any], run: str, epochs: int) -> EpochDone:
    numbers: dict[str, Any] = {name: float(row.get(name) or 'nan') for name in _NUMBERS}
    number = int(row['epoch'])
    return EpochDone(
        run=run,
        epoch=number,
        epochs=max(epochs, number),
        best=row.get('best') == 'True',
        confusion=_confusion(row.get('confusion') or ''),
        **numbers,
    )


def _confusion(text: str) -> tuple[tuple[int, ...], ...]:
    lines = [line.split() for line in text.split('/') if line.strip()]
    if any(len(line) != len(lines) for line in lines):
        return ()
    return tuple(tuple(int(cell) for cell in line) for line in lines)
