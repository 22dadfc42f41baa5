"""A run that was stopped or killed, and then resumed, is the run that was not, bit for bit."""

import csv
import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from napari_cxr.checkpoint import load
from napari_cxr.training import (
    BatchDone,
    EpochDone,
    TrainingError,
    TrainingFinished,
    TrainingStarted,
    WarningRaised,
    checkpointing,
    index,
    train,
)
from napari_cxr.training.recipe import HeadRecipe, OptimiserRecipe, SelectionRecipe, StoppingRecipe
from napari_cxr.training.run_folder import recipe_of

#: Columns that tell of the machine, not of the run.
TIMES = ('seconds', 'utilisation')


@pytest.fixture(autouse=True)
def one_thread():
    """Another process computes the same only if it adds up in the same order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def recipe(recipe):
    """With everything that has a memory: averages, dropout, draws, waiting."""
    return replace(
        recipe,
        sampler='balanced',
        head=HeadRecipe('average', hidden=(8,), dropout=0.3),
        stopping=StoppingRecipe(5),
    )


def whole(folder, recipe, out):
    return list(train(index(folder), recipe, out, 'cpu'))


def stopped_after(folder, recipe, out, count, kind=BatchDone, **entries):
    """Close a run at its count-th event of a kind."""
    events = train(index(folder), recipe, out, 'cpu', **entries)
    for event in events:
        count -= isinstance(event, kind)
        if not count:
            events.close()


def resumed(folder, recipe, out):
    return list(train(index(folder), recipe, out, 'cpu', resume=True))


def assert_same(one, other):
    for name in ('best', 'last'):
        first, second = (load(out / f'{name}.safetensors') for out in (one, other))
        assert first.tensors.keys() == second.tensors.keys()
        for key in first.tensors:
            assert torch.equal(first.tensors[key], second.tensors[key]), (name, key)
        assert first.card.metrics == second.card.metrics
    tables = []
    for out in (one, other):
        rows = list(csv.DictReader((out / 'metrics.csv').read_text().splitlines()))
        tables.append([{k: v for k, v in row.items() if k not in TIMES} for row in rows])
    assert tables[0] == tables[1]
    assert not (other / 'state.safetensors').exists()


@pytest.mark.parametrize(
    ('optimiser', 'batches'),
    [
        (OptimiserRecipe(), 1),
        (OptimiserRecipe('sgd', 0.01, 0.001, 0.9), 3),
        (OptimiserRecipe('nadam', 0.002, 0.0), 4),
        (OptimiserRecipe('rmsprop', 0.001, 0.0, 0.5), 5),
    ],
    ids=lambda value: getattr(value, 'name', value),
)
def test_stopped_after_some_batches(folder, recipe, tmp_path, optimiser, batches):
    recipe = replace(recipe, optimiser=optimiser)
    whole(folder, recipe, tmp_path / 'one')
    stopped_after(folder, recipe, tmp_path / 'two', batches)
    events = resumed(folder, recipe, tmp_path / 'two')
    assert_same(tmp_path / 'one', tmp_path / 'two')
    started = next(event for event in events if isinstance(event, TrainingStarted))
    assert started.epoch == (batches - 1) // 3
    done = [event for event in events if isinstance(event, BatchDone)]
    assert len(done) == 6 - batches


def test_stopped_twice_and_between_epochs(folder, recipe, tmp_path):
    whole(folder, recipe, tmp_path / 'one')
    out = tmp_path / 'two'
    stopped_after(folder, recipe, out, 2)
    stopped_after(folder, recipe, out, 1, EpochDone, resume=True)
    stopped_after(folder, recipe, out, 1, TrainingStarted, resume=True)
    resumed(folder, recipe, out)
    assert_same(tmp_path / 'one', out)
    log = (out / 'log.txt').read_text()
    assert 'Stopped in epoch 1, after 2 steps.' in log
    assert 'Resumed after 1 epochs and 0 steps.' in log


def test_the_last_weights_are_kept_where_nothing_is_chosen(folder, recipe, tmp_path):
    recipe = replace(recipe, epochs=4, selection=SelectionRecipe('last', average=0.5))
    events = whole(folder, recipe, tmp_path / 'one')
    assert [event.best for event in events if isinstance(event, EpochDone)] == [True] * 4
    best, last = (load(tmp_path / 'one' / f'{name}.safetensors') for name in ('best', 'last'))
    assert best.card.data['epoch'] == events[-1].epoch == 4
    assert all(torch.equal(t, last.tensors[name]) for name, t in best.tensors.items())
    stopped_after(folder, recipe, tmp_path / 'two', 2, EpochDone)
    assert load(tmp_path / 'two' / 'best.safetensors').card.data['epoch'] == 2
    resumed(folder, recipe, tmp_path / 'two')
    assert_same(tmp_path / 'one', tmp_path / 'two')


KILLED = """
import json, os, signal, sys
import torch
from napari_cxr.training import BatchDone, EpochDone, Recipe, checkpointing, index, train

recipe, source, whole, *runs = sys.argv[1:]
torch.set_num_threads(1)
recipe = Recipe.from_toml(open(recipe).read())
checkpointing._TIME_FRACTION = float('inf')

def run(out, count, kind, every):
    checkpointing._INTERVAL = float(every)
    for event in train(index(source), recipe, out, 'cpu', resume=True):
        count -= type(event).__name__ == kind
        if not count:
            os.kill(os.getpid(), signal.SIGKILL)

list(train(index(source), recipe, whole, 'cpu'))
# Each run in a process of its own, which has imported all that a run needs.
for one in map(json.loads, runs):
    if not (child := os.fork()):
        try:
            run(*one)
        finally:
            sys.stderr.flush()
            os._exit(1)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL, one
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, 'fork'), reason='needs a signal that kills, and forks')
def test_killed(folder, recipe, tmp_path):
    recipe = replace(recipe, network='detl_cnn_average')  # which other processes know
    moments = {
        'state after each step': (2, 'BatchDone', -1),
        'no state yet': (2, 'BatchDone', 120),  # it begins anew
        'from the end of the first epoch': (5, 'BatchDone', 120),
        'between epochs': (2, 'EpochDone', 120),
        'finished': (1, 'TrainingFinished', 120),
    }
    (tmp_path / 'recipe.toml').write_text(recipe.to_toml())
    paths = [tmp_path / 'recipe.toml', folder, tmp_path / 'one']
    runs = [json.dumps([str(tmp_path / name), *moment]) for name, moment in moments.items()]
    command = [sys.executable, '-c', KILLED, *map(str, paths), *runs]
    ended = subprocess.run(command, capture_output=True, timeout=300)
    assert ended.returncode == 0, ended.stderr.decode()
    for name in moments:
        out = tmp_path / name
        if name == 'finished':
            with pytest.raises(TrainingError, match='is finished; there is nothing to resume'):
                resumed(folder, recipe, out)
        else:
            assert isinstance(resumed(folder, recipe, out)[-1], TrainingFinished)
        assert_same(tmp_path / 'one', out)


def test_a_folder_with_nothing_in_it_begins(folder, recipe, tmp_path):
    recipe = replace(recipe, epochs=1)
    out = tmp_path / 'out'
    out.mkdir()
    (out / 'split.csv').write_text('what a start that was cut off left')
    assert isinstance(resumed(folder, recipe, out)[-1], TrainingFinished)
    assert recipe_of(out) == recipe
    with pytest.raises(TrainingError, match='is finished'):
        resumed(folder, recipe, out)


@pytest.fixture
def cut_off(folder, recipe, tmp_path):
    stopped_after(folder, recipe, tmp_path / 'out', 2)
    return tmp_path / 'out'


def test_another_recipe_and_other_data_are_refused(folder, recipe, cut_off):
    other = replace(recipe, optimiser=OptimiserRecipe(learning_rate=0.5))
    with pytest.raises(TrainingError, match=r'another recipe.*optimiser\.learning_rate differs'):
        resumed(folder, other, cut_off)
    with pytest.raises(TrainingError, match=r'already contains a run.*or resume it'):
        whole(folder, recipe, cut_off)
    fewer = index(folder).drop([0])
    with pytest.raises(TrainingError, match='images, their labels or their patients have changed'):
        list(train(fewer, recipe, cut_off, 'cpu', resume=True))


@pytest.mark.parametrize('name', ['split.csv', 'recipe.toml', 'state.safetensors'])
def test_damage_is_told(folder, recipe, cut_off, name):
    content = (cut_off / name).read_bytes()
    (cut_off / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(TrainingError, match=rf'{name}.* damaged'):
        resumed(folder, recipe, cut_off)


def test_a_state_of_an_earlier_version_goes_on(folder, recipe, cut_off, tmp_path):
    from safetensors import safe_open
    from safetensors.torch import save_file

    path = cut_off / 'state.safetensors'
    with safe_open(path, framework='pt') as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        content = json.loads(file.metadata()['napari_cxr.state'])
    del content['progress']['best_loss'], content['progress']['least_loss']
    save_file(tensors, path, metadata={'napari_cxr.state': json.dumps(content)})
    resumed(folder, recipe, cut_off)
    whole(folder, recipe, tmp_path / 'one')
    assert_same(tmp_path / 'one', cut_off)


def test_a_full_disk_at_a_stop_is_told_and_the_state_before_stays(
    folder, recipe, tmp_path, monkeypatch
):
    out = tmp_path / 'out'
    monkeypatch.setattr(checkpointing, '_TIME_FRACTION', float('inf'))  # a state after each epoch
    events = train(index(folder), recipe, out, 'cpu')
    next(event for event in events if isinstance(event, EpochDone))
    next(events)

    def full(*_):
        raise OSError(28, 'No space left on device')

    with monkeypatch.context() as patch:
        patch.setattr('os.fsync', full)
        before = (out / 'state.safetensors').read_bytes()
        with pytest.raises(TrainingError, match='cannot be written to: No space left'):
            events.close()
        assert (out / 'state.safetensors').read_bytes() == before
    whole(folder, recipe, tmp_path / 'one')
    resumed(folder, recipe, out)
    assert_same(tmp_path / 'one', out)


def test_short_epochs_are_not_slowed_by_writing(folder, recipe, tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(checkpointing, 'save_state', lambda path, *_: written.append(path.name))
    monkeypatch.setattr(checkpointing, '_TIME_FRACTION', 1e-9)
    events = whole(folder, replace(recipe, epochs=4), tmp_path / 'out')
    assert not written
    best = [event.epoch for event in events if isinstance(event, EpochDone) and event.best][-1]
    assert events[-1].epoch == best  # it waited in memory
    assert json.loads((tmp_path / 'out' / 'result.json').read_text())['best_epoch'] == best


def test_tensorboard_sees_each_epoch_once(folder, recipe, tmp_path):
    out = tmp_path / 'out'
    stopped_after(folder, recipe, out, 2, EpochDone)
    (out / 'state.safetensors').unlink()  # it begins anew, and writes both epochs again
    resumed(folder, recipe, out)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    seen = EventAccumulator(str(out)).Reload()
    rows = list(csv.DictReader((out / 'metrics.csv').read_text().splitlines()))
    for tag, column in (('loss/validation', 'val_loss'), ('learning rate', 'learning_rate')):
        found = {event.step: event.value for event in seen.Scalars(tag)}
        assert [event.step for event in seen.Scalars(tag)] == [1, 2]
        assert [found[1], found[2]] == pytest.approx([float(row[column]) for row in rows])


def test_without_tensorboard_there_are_no_event_files_and_no_complaint(
    folder, recipe, tmp_path, monkeypatch
):
    for name in [name for name in sys.modules if name.partition('.')[0] == 'tensorboard']:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, 'tensorboard', None)  # importing it raises ImportError
    out = tmp_path / 'out'
    stopped_after(folder, recipe, out, 1, EpochDone)
    events = resumed(folder, recipe, out)
    warned = [event.text for event in events if isinstance(event, WarningRaised)]
    assert not any('ensor' in text for text in warned)
    assert 'ensor' not in (out / 'log.txt').read_text()
    assert not list(out.glob('events.out.*'))
    rows = list(csv.DictReader((out / 'metrics.csv').read_text().splitlines()))
    assert [row['epoch'] for row in rows] == ['1', '2']
