"""Runs by list and by grid; what is done is kept, what failed is told, what is cut off goes on."""

import csv
from contextlib import closing

import pytest

from napari_cxr.training import DatasetError, TrainingError
from napari_cxr.training.sweep import Sweep, sweep
from napari_cxr.training.sweep.sweep_runner import write_sweep_table
from napari_cxr.training.training_events import BatchDone, EpochDone, RunsDone

HEAD = """
name = "trial"
metric = "macro_f1"
[base]
network = "small_resnet"
epochs = 3
precision = "float32"
batch = 4
input = { height = 33, width = 33 }
data = { duplicates = false }
"""


@pytest.fixture
def three():
    """Three runs, of which the second starts from a model that is not there."""
    return Sweep.from_toml(
        HEAD + '[[runs]]\nname = "a"\nepochs = 1\n'
        '[[runs]]\nname = "b"\nweights = "no-such-model"\n[[runs]]\nname = "c"\nepochs = 2\n'
    )


def table(out):
    with (out / 'runs.csv').open(newline='') as file:
        return {row['run']: row for row in csv.DictReader(file)}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_run_that_fails_is_a_row_and_the_next_begins(folder, three, tmp_path):
    out = tmp_path / 'out'
    events = list(sweep(folder, three, out, 'cpu'))
    ends = [event for event in events if isinstance(event, RunsDone)]
    assert [(end.done, end.total, end.row['run']) for end in ends] == [
        (1, 3, 'a'),
        (2, 3, 'b'),
        (3, 3, 'c'),
    ]
    rows = table(out)
    assert [rows[name]['status'] for name in 'abc'] == ['finished', 'failed', 'finished']
    assert 'no-such-model' in rows['b']['reason'] and rows['a']['reason'] == ''
    assert [rows[name]['epochs'] for name in 'ac'] == ['1', '2']
    assert rows['a']['network'] == 'small_resnet' and float(rows['a']['val_loss']) > 0
    assert (out / 'c' / 'best.safetensors').is_file()

    with pytest.raises(TrainingError, match='not empty'):
        next(sweep(folder, three, out, 'cpu'))
    with pytest.raises(TrainingError, match='another sweep'):
        next(sweep(folder, three.with_changes({'seed': 9}), out, 'cpu', resume=True))
    # Once more: the two that are done are left alone, the other one is tried again.
    before = (out / 'c' / 'best.safetensors').stat().st_mtime_ns
    again = list(sweep(folder, three, out, 'cpu', resume=True))
    assert not [event for event in again if isinstance(event, EpochDone)]
    assert [e.row['status'] for e in again if isinstance(e, RunsDone)] == [
        'finished', 'failed', 'finished',
    ]  # fmt: skip
    assert (out / 'c' / 'best.safetensors').stat().st_mtime_ns == before


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_sweep_that_was_closed_goes_on_where_it_stopped(folder, three, tmp_path):
    out = tmp_path / 'out'
    with closing(sweep(folder, three, out, 'cpu')) as events:
        for event in events:
            if isinstance(event, BatchDone) and event.run == 'c' and event.epoch == 2:
                break
    assert set(table(out)) == {'a', 'b'}
    again = list(sweep(folder, three, out, 'cpu', resume=True))
    # The first epoch of c was kept.
    assert [e.epoch for e in again if isinstance(e, EpochDone) and e.run == 'c'] == [2]
    assert table(out)['c']['status'] == 'finished'


def test_a_table_that_cannot_be_written_ends_no_sweep(tmp_path):
    (tmp_path / 'runs.csv').mkdir()  # in the way
    [warning] = write_sweep_table(tmp_path, [{'run': 'a'}])
    assert 'runs.csv cannot be written' in warning.text
    (tmp_path / 'runs.csv').rmdir()
    assert not list(write_sweep_table(tmp_path, [{'run': 'a'}]))
    assert table(tmp_path)['a']['status'] == ''


def test_several_processes_are_refused(folder, three, tmp_path, monkeypatch):
    monkeypatch.setenv('WORLD_SIZE', '2')
    with pytest.raises(TrainingError, match='one by one'):
        next(sweep(folder, three, tmp_path / 'out', 'cpu'))


def test_what_no_run_can_do_shows_before_the_first(folder, three, tmp_path):
    from napari_cxr.inference.device import DeviceUnavailable

    out = tmp_path / 'out'
    with pytest.raises(DatasetError):
        next(sweep(tmp_path / 'nowhere', three, out, 'cpu'))
    with pytest.raises(DeviceUnavailable):
        next(sweep(folder, three, out, 'abacus'))
    assert not out.exists()
    with pytest.raises(TrainingError, match='contains no sweep to resume'):
        next(sweep(folder, three, out, 'cpu', resume=True))
    (tmp_path / 'file').touch()
    with pytest.raises(TrainingError, match='cannot be written'):
        next(sweep(folder, three, tmp_path / 'file' / 'out', 'cpu'))
