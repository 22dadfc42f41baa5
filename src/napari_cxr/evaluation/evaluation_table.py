"""What an evaluation computes from: labels and predictions of each image, as arrays and as CSV.

``predictions.csv`` beside a report is this table, so every number of the report can be computed
again from it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from napari_cxr.messages import message_type
from napari_cxr.output_text import from_csv_cell
from napari_cxr.scoring.table_writer import csv_line
from napari_cxr.settings_file import LARGEST_TABLE, read_settings

__all__ = ['PREDICTIONS_FILE', 'EvaluationTable', 'predictions_text', 'read_predictions']

PREDICTIONS_FILE = 'predictions.csv'

#: Columns of every such table; then come those by which a report is divided, 'by NAME', and
#: the probabilities, 'p LABEL of CLASSIFIER'.
_FIXED = ('image', 'split', 'patient', 'truth')
_BY, _P, _OF = 'by ', 'p ', ' of '


@message_type
@dataclass(frozen=True, eq=False)
class EvaluationTable:
    """Labels and predictions of n images for K classes.

    Parameters
    ----------
    labels : tuple of str
        The classes.
    multilabel : bool
        Whether an image can have several of them, or none.
    images : tuple of str, length n
        How each is named without its path: 16 digits of the SHA-256 of its file, or 'row N'
        where there is only a table of scores.
    paths : tuple of str, length n
        The files, for a list to open; empty texts where they are not known. Not written.
    truth : ndarray of bool, shape (n, K)
        Which classes each image has.
    patients : tuple of str, length n
        What tells patients apart; an image of nobody known has a name of its own.
    splits : tuple of str, length n
        'train', 'val', 'test' or empty.
    columns : dict of str to tuple of str
        By what a report is divided: 'source', 'view' and others, as far as they are known.
    probabilities : dict of str to ndarray, shape (n, K)
        By the name of the classifier: the models, then the baselines.
    """

    labels: tuple[str, ...]
    multilabel: bool
    images: tuple[str, ...]
    paths: tuple[str, ...]
    truth: np.ndarray
    patients: tuple[str, ...]
    splits: tuple[str, ...]
    columns: dict[str, tuple[str, ...]] = field(default_factory=dict)
    probabilities: dict[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def classes(self) -> np.ndarray:
        """The truth as metrics take it: class numbers (n,), or bool (n, K) with several labels."""
        return self.truth if self.multilabel else self.truth.argmax(axis=1)

    @property
    def strata(self) -> list[int]:
        """The class of each image, within which patients are resampled; with several, one."""
        return [0] * len(self) if self.multilabel else self.truth.argmax(axis=1).tolist()

    def subset(self, chosen: np.ndarray | Sequence[int]) -> EvaluationTable:
        """Return some of the images, by a mask or by their places."""
        places = np.asarray(chosen)
        places = np.flatnonzero(places) if places.dtype == bool else places.astype(np.intp)
        rows = places.tolist()
        return replace(
            self,
            images=tuple(self.images[i] for i in rows),
            paths=tuple(self.paths[i] for i in rows),
            truth=self.truth[places],
            patients=tuple(self.patients[i] for i in rows),
            splits=tuple(self.splits[i] for i in rows),
            columns={k: tuple(v[i] for i in rows) for k, v in self.columns.items()},
            probabilities={k: p[places] for k, p in self.probabilities.items()},
        )

    def with_classifier(self, name: str, probabilities: np.ndarray) -> EvaluationTable:
        """Return the table with the probabilities of one more classifier."""
        return replace(self, probabilities={**self.probabilities, name: probabilities})

    def values(self, column: str) -> list[str]:
        """Return the distinct entries of a column, sorted, without the empty one."""
        return sorted(set(self.columns.get(column, ())) - {''})


def predictions_text(table: EvaluationTable) -> str:
    """Return the table as CSV, without file names.

    Probabilities have so many digits that reading brings back the same numbers.
    """
    names = [*_FIXED, *(f'{_BY}{name}' for name in table.columns)]
    names += [f'{_P}{k}{_OF}{name}' for name in table.probabilities for k in table.labels]
    lines = io.StringIO()
    lines.write(csv_line(names))
    for i in range(len(table)):
        truth = '|'.join(k for k, has in zip(table.labels, table.truth[i], strict=True) if has)
        cells = [table.images[i], table.splits[i], table.patients[i], truth]
        cells += [values[i] for values in table.columns.values()]
        numbers = [repr(float(p)) for ps in table.probabilities.values() for p in ps[i]]
        lines.write(csv_line([*cells, *numbers]))
    return lines.getvalue()


def read_predictions(
    path: Path, labels: Sequence[str], classifiers: Sequence[str], *, multilabel: bool
) -> EvaluationTable:
    """Read what `predictions_text` returned.

    Parameters
    ----------
    path : Path
        The file.
    labels, classifiers : sequence of str
        The classes, and the classifiers whose probabilities are in it.
    multilabel : bool
        Whether an image can have several labels.

    Raises
    ------
    OSError
        If it cannot be opened.
    ValueError
        If it is not such a table; the message says what is missing.
    """
    text = read_settings(path, LARGEST_TABLE)
    names, *rows = list(csv.reader(io.StringIO(text, newline=''))) or [[]]
    cells = [dict(zip(map(from_csv_cell, names), row, strict=False)) for row in rows]
    wanted = [*_FIXED, *(f'{_P}{k}{_OF}{name}' for name in classifiers for k in labels)]
    if lacking := [name for name in wanted if name not in names]:
        raise ValueError(f'{path.name} has no column {lacking[0]!r}')
    if any(len(row) != len(names) for row in rows):
        raise ValueError(f'{path.name} is not whole')
    truth = np.array([_has(from_csv_cell(row['truth']), labels) for row in cells], dtype=bool)
    by = [name for name in names if name.startswith(_BY)]
    return EvaluationTable(
        labels=tuple(labels),
        multilabel=multilabel,
        images=tuple(row['image'] for row in cells),
        paths=('',) * len(cells),
        truth=truth.reshape(len(cells), len(labels)),
        patients=tuple(row['patient'] for row in cells),
        splits=tuple(row['split'] for row in cells),
        columns={n.removeprefix(_BY): tuple(from_csv_cell(r[n]) for r in cells) for n in by},
        probabilities={
            name: np.array(
                [[float(row[f'{_P}{k}{_OF}{name}']) for k in labels] for row in cells]
            ).reshape(len(cells), len(labels))
            for name in classifiers
        },
    )


def _has(cell: str, labels: Sequence[str]) -> list[bool]:
    said = set(cell.split('|'))
    return [label in said for label in labels]
