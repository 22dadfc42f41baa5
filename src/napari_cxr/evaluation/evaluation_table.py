"""What an evaluation computes from: labels and predictions of each image, as arrays and as CSV.

``predictions.csv`` beside a report is this table, so every number of the report can be computed
again from it.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from napari_cxr.inference.label_rule import UNKNOWN_MARK
from napari_cxr.messages import message_type
from napari_cxr.output_text import from_csv_cell
from napari_cxr.scoring.table_writer import csv_line
from napari_cxr.settings_file import LARGEST_TABLE, read_settings

__all__ = [
    'HEATMAP_MEASURES',
    'PREDICTIONS_FILE',
    'EvaluationTable',
    'predictions_text',
    'read_predictions',
]

PREDICTIONS_FILE = 'predictions.csv'

#: What is known of the heatmap of each image's answer, as attributes of a `ScoreRow`.
HEATMAP_MEASURES = (
    *('peak_in_lung', 'half_peak_lung_fraction', 'lung_share', 'lung_share_if_even'),
    *('frame_share', 'marker_fraction', 'marker_fraction_uniform'),
)

#: Columns of every such table; then come those by which a report is divided, 'by NAME', and
#: the probabilities, 'p LABEL of CLASSIFIER'.
_FIXED = ('image', 'split', 'patient', 'truth')
_BY, _P, _OF, _HEATMAP = 'by ', 'p ', ' of ', 'heatmap '


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
    given : ndarray of bool, shape (n, K), optional
        With several labels, of which it is known whether the image has them; others count in no
        metric. All by default.
    heatmaps : dict of str to ndarray, shape (n, 7)
        By the name of the model, `HEATMAP_MEASURES` of the heatmap of each image's answer; NaN
        where one is not known. Models of which nothing is known are not there.
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
    given: np.ndarray | None = None
    heatmaps: dict[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def classes(self) -> np.ndarray:
        """The truth as metrics take it: class numbers (n,), or bool (n, K) with several labels."""
        return self.truth if self.multilabel else self.truth.argmax(axis=1)

    @property
    def known(self) -> np.ndarray:
        """Of which labels it is known whether an image has them, bool (n, K)."""
        return np.ones_like(self.truth) if self.given is None else self.given

    @property
    def varies(self) -> bool:
        """Whether there is something to tell apart: a class that some have and some have not."""
        has = (self.truth & self.known).any(axis=0)
        return bool((has & (~self.truth & self.known).any(axis=0)).any())

    def of_class(self, label: str) -> EvaluationTable:
        """Return the images of which it is known whether they have a class."""
        return self if self.given is None else self.subset(self.given[:, self.labels.index(label)])

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
            given=None if self.given is None else self.given[places],
            heatmaps={k: values[places] for k, values in self.heatmaps.items()},
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
    names += [f'{_HEATMAP}{one}{_OF}{name}' for name in table.heatmaps for one in HEATMAP_MEASURES]
    lines = io.StringIO()
    lines.write(csv_line(names))
    for i in range(len(table)):
        cells_of = zip(table.labels, table.truth[i], table.known[i], strict=True)
        truth = '|'.join(
            k if known else f'{k}{UNKNOWN_MARK}' for k, has, known in cells_of if has or not known
        )
        cells = [table.images[i], table.splits[i], table.patients[i], truth]
        cells += [values[i] for values in table.columns.values()]
        numbers = [repr(float(p)) for ps in table.probabilities.values() for p in ps[i]]
        found = [value for values in table.heatmaps.values() for value in values[i].tolist()]
        located = ['' if math.isnan(value) else repr(value) for value in found]
        lines.write(csv_line([*cells, *numbers, *located]))
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
    unknown = [
        _has(from_csv_cell(row['truth']), [f'{label}{UNKNOWN_MARK}' for label in labels])
        for row in cells
    ]
    given = ~np.array(unknown, dtype=bool).reshape(len(cells), len(labels))
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
        given=None if given.all() else given,
        heatmaps={
            name: np.array(
                [[float(row[column] or 'nan') for column in columns] for row in cells]
            ).reshape(len(cells), len(columns))
            for name in classifiers
            for columns in [[f'{_HEATMAP}{one}{_OF}{name}' for one in HEATMAP_MEASURES]]
            if columns[0] in names
        },
    )


def _has(cell: str, labels: Sequence[str]) -> list[bool]:
    said = set(cell.split('|'))
    return [label in said for label in labels]
