"""Tables of predictions, and tables of scores as `napari-cxr score` writes them."""

import numpy as np
import pytest

from napari_cxr.evaluation.evaluation_table import EvaluationTable
from napari_cxr.scoring.score_row import ScoreRow, ScoringRun
from napari_cxr.scoring.table_writer import write_table


@pytest.fixture(autouse=True)
def own_data_folder(tmp_path, monkeypatch):
    """Leave the person's ledgers alone."""
    monkeypatch.setenv('XDG_DATA_HOME', str(tmp_path / 'user-data'))


@pytest.fixture
def table_of():
    """Make a table: truth by class name, probabilities by classifier, and columns."""

    def make(
        labels, truth, probabilities, *, multilabel=False, patients=None, split='', **columns
    ):
        n = len(truth)
        said = [set(one.split('|')) for one in truth]
        return EvaluationTable(
            labels=tuple(labels),
            multilabel=multilabel,
            images=tuple(f'{i:016x}' for i in range(n)),
            paths=('',) * n,
            truth=np.array([[label in one for label in labels] for one in said], dtype=bool),
            patients=tuple(patients or (f'p{i}' for i in range(n))),
            splits=(split,) * n,
            columns={name: tuple(values) for name, values in columns.items()},
            probabilities={k: np.asarray(p, float) for k, p in probabilities.items()},
        )

    return make


@pytest.fixture
def scores_of(tmp_path):
    """Write a table of scores: a label, a split, a source and probabilities for each image."""

    def write(labels, rows, name='scores', model='one', split=True):
        run = ScoringRun(
            model=model,
            model_hash=f'{sum(map(ord, model)):012x}',
            labels=tuple(labels),
            preprocessing={},
            version='0',
            truth=True,
            patients=True,
            splits=split,
        )
        made = [
            ScoreRow(
                number=i,
                path=f'images/{i}.png',
                status='scored',
                label=labels[int(np.argmax(row['p']))],
                probabilities=tuple(float(p) for p in row['p']),
                truth=row['truth'],
                source=row.get('source', ''),
                patient=row.get('patient', ''),
                split=row.get('split', ''),
            )
            for i, row in enumerate(rows)
        ]
        path = tmp_path / f'{name}.csv'
        write_table(path, made, run)
        return path

    return write
