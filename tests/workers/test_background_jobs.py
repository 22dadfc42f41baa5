"""The scoring worker: a table, a stop and what is left of it, a resumption, and figures."""

import csv
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest

from napari_cxr import samples
from napari_cxr.scoring import (
    RowScored,
    ScoreRow,
    ScoringFinished,
    ScoringMeasured,
    ScoringPreparing,
    ScoringProgress,
    ScoringStarted,
    table_writer,
    write_partial_table,
)
from napari_cxr.scoring.journal import journal_of
from napari_cxr.scoring.score_row import ScoringRun
from napari_cxr.workers.background_jobs import measure
from napari_cxr.workers.worker_process import JobFailed, WorkerProcess

SETTINGS = {
    'batch': 2,
    'shares': False,
    'heatmaps': '',
    'precision': 'float32',
    'decision': '',
    'identify': False,
}


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Two class folders with nine images, and a file that is none."""
    root = tmp_path_factory.mktemp('images')
    for i in range(9):
        pixels = np.uint8(255 * samples.phantom((60, 52), seed=i))
        label = ('normal', 'pneumonia')[i % 2]
        (root / label).mkdir(exist_ok=True)
        iio.imwrite(root / label / f'{i}.png', pixels)
    (root / 'normal' / 'broken.png').write_text('<html>moved</html>')
    return root


@pytest.fixture(scope='module')
def worker():
    worker = WorkerProcess('torch', grace=1, background=True)
    yield worker
    worker.close()


@pytest.fixture
def job(folder, model_file, tmp_path):
    return {
        'paths': [str(folder)],
        'labels': 'folders',
        'out': str(tmp_path / 'table.csv'),
        'model': str(model_file),
        'device': 'cpu',
        'settings': SETTINGS,
        'workers': 1,
    }


def events_of(run):
    return [event for event in run if event is not None]


def table_of(job):
    with open(job['out'], newline='') as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_a_folder_is_scored_and_measured(worker, job):
    events = events_of(worker.run('score', **job))
    kinds = [type(event) for event in events]
    assert kinds[:2] == [ScoringPreparing, ScoringPreparing]
    assert kinds.index(ScoringStarted) < kinds.index(RowScored)
    run = next(event for event in events if isinstance(event, ScoringStarted)).run
    assert run.truth and run.labels == ('covid19', 'normal', 'pneumonia')
    rows = {event.row.path: event.row for event in events if isinstance(event, RowScored)}
    end = events[-1]
    assert isinstance(end, ScoringFinished) and (end.total, end.failed) == (10, 1)
    assert end.metrics['images'] == 9
    assert {row['path'] for row in table_of(job)} == rows.keys()
    assert worker.call('measure', table=job['out']) == ScoringMeasured(end.metrics, (), 0)
    # With what a person says instead: all but one are what they were called.
    scored = [row for row in rows.values() if row.status == 'scored']
    said = {row.path: row.label for row in scored}
    said[scored[0].path] = next(label for label in run.labels if label != scored[0].label)
    metrics = worker.call('measure', table=job['out'], truths=said).metrics
    assert metrics['images'] == 9 and metrics['accuracy'][0] == pytest.approx(8 / 9, abs=1e-3)


@pytest.mark.slow
def test_a_stopped_run_leaves_a_table_and_goes_on(worker, job):
    with closing(worker.run('score', **job)) as run:
        for event in run:
            if isinstance(event, ScoringProgress) and event.done >= 2:
                break
    worker.call('device', name='cpu')  # whose turn comes when the journal has been let go
    done = write_partial_table(job['out'])
    assert 2 <= done < 10 and len(table_of(job)) == done
    rest = events_of(worker.run('score', resume=True, **job))
    started = next(event for event in rest if isinstance(event, ScoringStarted))
    assert started.done == done
    assert sum(isinstance(event, RowScored) for event in rest) == 10 - done
    assert len(table_of(job)) == 10 and not journal_of(Path(job['out'])).exists()


@pytest.mark.parametrize(
    ('change', 'kind', 'words'),
    [
        ({'paths': ['/no/such/folder.txt']}, 'ListingError', 'cannot be opened'),
        ({'labels': '/no/such.csv'}, 'ListingError', 'There is no table /no/such.csv'),
        ({'model': 'nobody'}, 'CheckpointError', 'no model'),
        ({'settings': SETTINGS | {'decision': 'youden'}}, 'DecisionError', 'no operating point'),
        ({'out': '/no/folder/table.csv'}, 'ScoringError', 'no folder'),
        ({'out': 'table.doc'}, 'ScoringError', 'is called .csv'),
    ],
)
def test_what_cannot_be_scored_is_one_clear_sentence(worker, job, change, kind, words):
    with pytest.raises(JobFailed, match=words) as caught:
        worker.call('score', **(job | change))
    assert caught.value.kind == kind


def test_who_has_none_of_several_findings_is_measured(tmp_path):
    out = tmp_path / 't.csv'
    rows = [
        ScoreRow(i, f'{i}.png', 'scored', label='a', probabilities=(p, 0.9))
        for i, p in enumerate((0.8, 0.3, 0.6, 0.2))
    ]
    table_writer.write_table(out, rows, ScoringRun('tiny', 'abc', ('a', 'b'), {}, '1'))
    given = {'0.png': 'a', '1.png': '', '2.png': ''}
    measured = measure(str(out), given)
    found = measured.metrics
    assert found['images'] == 3 and measured == ScoringMeasured(found, (), 0)
    assert found['classes']['a']['counts'] == {'tp': 1, 'fp': 1, 'tn': 1, 'fn': 0}
    one_each = [replace(row, probabilities=(0.25, 0.75)) for row in rows]
    table_writer.write_table(out, one_each, ScoringRun('tiny', 'abc', ('a', 'b'), {}, '1'))
    assert measure(str(out), given | {'3.png': 'b'}).metrics['images'] == 2, 'one must be named'
