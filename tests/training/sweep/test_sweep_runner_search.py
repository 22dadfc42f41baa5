"""Optuna proposes and prunes; a search that was cut off goes on with the same trials."""

import csv
import sys
from contextlib import closing

import pytest

from napari_cxr.training import RecipeError
from napari_cxr.training.sweep import Range, Sweep, sweep
from napari_cxr.training.training_events import BatchDone, EpochDone, RunsDone

BASE = """
name = "search"
metric = "loss"
[base]
network = "small_resnet"
epochs = 2
precision = "float32"
batch = 4
input = { height = 33, width = 33 }
data = { duplicates = false }
[search]
"""
RANDOM = (
    BASE
    + """
trials = 3
sampler = "random"
[search.ranges]
"optimiser.learning_rate" = { low = 1e-4, high = 1e-2, log = true }
batch = { low = 3, high = 5 }
"""
)


def rows(out):
    with (out / 'runs.csv').open(newline='') as file:
        return list(csv.DictReader(file))


@pytest.fixture(autouse=True)
def optuna():
    return pytest.importorskip('optuna')


def test_ranges_know_whole_numbers_and_survive():
    search = Sweep.from_toml(RANDOM).search
    assert search.ranges['batch'] == Range(low=3, high=5) and search.ranges['batch'].whole
    assert not search.ranges['optimiser.learning_rate'].whole
    assert Sweep.from_toml(Sweep.from_toml(RANDOM).to_toml()).search == search


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_every_trial_is_a_run_and_a_row(folder, tmp_path):
    out = tmp_path / 'out'
    events = list(sweep(folder, Sweep.from_toml(RANDOM), out, 'cpu'))
    ends = [(e.done, e.total, e.row['run']) for e in events if isinstance(e, RunsDone)]
    assert ends == [(1, 3, 'trial-001'), (2, 3, 'trial-002'), (3, 3, 'trial-003')]
    found = rows(out)
    assert {row['status'] for row in found} <= {'finished', 'given up'}
    assert len({row['optimiser.learning_rate'] for row in found}) == 3
    for row in found:
        assert 1e-4 <= float(row['optimiser.learning_rate']) <= 1e-2
        assert row['batch'] in '345' and float(row['lr']) == pytest.approx(
            float(row['optimiser.learning_rate'])
        )
    # Nothing in it is pickled.
    kinds = {path.suffix for path in out.rglob('*') if path.is_file()}
    assert not kinds & {'.pkl', '.pickle', '.pt', '.pth', '.bin'}
    assert all(line.startswith('{') for line in (out / 'search.log').read_text().splitlines())


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_grid_of_choices_ends_by_itself(folder, tmp_path):
    text = BASE + 'sampler = "grid"\nranges = { batch = { choices = [4, 6] } }\n'
    out = tmp_path / 'out'
    list(sweep(folder, Sweep.from_toml(text), out, 'cpu'))
    assert sorted(row['batch'] for row in rows(out)) == ['4', '6']


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_trial_that_was_cut_off_goes_on(folder, tmp_path):
    out = tmp_path / 'out'
    plan = Sweep.from_toml(RANDOM)
    with closing(sweep(folder, plan, out, 'cpu')) as events:
        for event in events:
            if isinstance(event, BatchDone) and event.run == 'trial-002' and event.epoch == 2:
                break
    assert [row['run'] for row in rows(out)] == ['trial-001']
    again = list(sweep(folder, plan, out, 'cpu', resume=True))
    assert [e.epoch for e in again if isinstance(e, EpochDone) and e.run == 'trial-002'] == [2]
    ends = [e.row['run'] for e in again if isinstance(e, RunsDone)]
    assert ends[0] == 'trial-002' and len(rows(out)) == 3
    # A search that goes on does not draw what it has drawn.
    assert len({row['optimiser.learning_rate'] for row in rows(out)}) == 3


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_trial_that_falls_behind_is_given_up(folder, tmp_path, optuna, monkeypatch):
    # Optuna's own judgement is Optuna's; here each trial is behind after one epoch.
    monkeypatch.setattr(optuna.pruners.MedianPruner, 'prune', lambda *_: True)
    out = tmp_path / 'out'
    events = list(sweep(folder, Sweep.from_toml(RANDOM), out, 'cpu'))
    assert [e.epoch for e in events if isinstance(e, EpochDone)] == [1, 1, 1]
    assert [row['status'] for row in rows(out)] == ['given up'] * 3


def test_without_optuna_the_way_to_it_is_told(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'optuna', None)
    with pytest.raises(RecipeError, match=r'pip install "napari-cxr\[search\]"'):
        list(sweep(folder, Sweep.from_toml(RANDOM), tmp_path / 'out', 'cpu'))
