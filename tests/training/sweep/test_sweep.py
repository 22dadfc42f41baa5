"""Runs by list and by grid; what is done is kept, what failed is told, what is cut off goes on."""

import csv
from contextlib import closing

import pytest

from napari_cxr.training import DatasetError, RecipeError, TrainingError
from napari_cxr.training import recipe as recipes
from napari_cxr.training.sweep import Sweep, find, names, sweep
from napari_cxr.training.sweep.sweep_runner import write_sweep_table
from napari_cxr.training.training_events import BatchDone, EpochDone, RunsDone

HEAD = """
name = "trial"
metric = "macro_f1"
[base]
network = "resnet10"
epochs = 3
precision = "float32"
batch = 4
input = { height = 33, width = 33 }
data = { duplicates = false }
"""


def names_and(place, plan):
    table, _, entry = place.partition('.')
    return [(r.name, getattr(getattr(r.recipe, table), entry)) for r in plan.runs]


@pytest.mark.parametrize('name', names())
def test_shipped_sweeps_read_and_write(name):
    plan = find(name)
    assert plan.name == name and plan.title
    assert Sweep.from_toml(plan.to_toml()) == plan
    assert {run.recipe.name for run in plan.runs} == {f'{name}-{r.name}' for r in plan.runs}


def test_nova_has_the_nineteen_runs_of_the_paper():
    runs = find('nova').runs
    assert len(runs) == 19
    assert [run.recipe.network.startswith('nova_cnn') for run in runs] == [True] * 14 + [False] * 5
    networks = [run.recipe.network for run in runs[14:]]
    assert networks == ['legacy_xception', 'inception_v3', 'densenet169', 'vgg16', 'inception_v3']
    assert [run.recipe.epochs for run in runs[14:]] == [30, 30, 30, 30, 100]
    # Its best run: 40 epochs of RMSprop at 1e-4, batches of 50, 256 x 256 pixels.
    ninth = runs[8].recipe
    assert (ninth.epochs, ninth.batch, ninth.input.height) == (40, 50, 256)
    assert (ninth.optimiser.name, ninth.optimiser.learning_rate) == ('rmsprop', 1e-4)
    assert ninth == recipes.find('nova-custom-cnn').with_changes({'name': ninth.name})


def test_kth_has_five_networks_by_two_sizes_by_frozen_or_not_by_augmented_or_not():
    for name in ('kth-covid-or-not', 'kth-covid-or-viral'):
        runs = [run.recipe for run in find(name).runs]
        assert len(runs) == 40
        kinds = {
            (r.network, r.head.hidden, r.freeze.thaw_after > 0, r.augmentation.changes)
            for r in runs
        }
        assert len(kinds) == 40
        # 300 pixels of which 38 are cut off on each side are 224.
        assert {300 - 2 * round(300 * r.input.border) for r in runs} == {224}
        assert {r.split.folds for r in runs} == {4}


def test_a_grid_is_every_combination():
    text = HEAD + '[grid]\nbatch = [4, 8]\n"optimiser.learning_rate" = [1e-3, 1e-2]\n'
    plan = Sweep.from_toml(text)
    assert names_and('optimiser.learning_rate', plan) == [
        ('1-4-0.001', 1e-3),
        ('2-4-0.01', 1e-2),
        ('3-8-0.001', 1e-3),
        ('4-8-0.01', 1e-2),
    ]
    assert [run.recipe.batch for run in plan.runs] == [4, 4, 8, 8]


def test_runs_change_only_what_they_name_and_may_have_a_base_of_their_own():
    text = (
        HEAD
        + """
[[runs]]
name = "dotted"
augmentation.rotation = 5.0
[[runs]]
base = "zhong"
augmentation = { rotation = 6.0, flip = 0.0 }
data.classes = { a = ["x"], b = ["y"] }
[[runs]]
name = "quoted"
"augmentation.rotation" = 7.0
"""
    )
    plan = Sweep.from_toml(text)
    found = names_and('augmentation.rotation', plan)
    assert found == [('dotted', 5.0), ('2', 6.0), ('quoted', 7.0)]
    zhong = plan.runs[1].recipe
    assert zhong.network == 'zhong_cnn' and zhong.augmentation.brightness == 0.1
    assert zhong.data.classes == {'a': ('x',), 'b': ('y',)}
    changed = plan.with_changes({'epochs': 1})
    assert [run.recipe.epochs for run in changed.runs] == [1, 1, 1]
    assert Sweep.from_toml(changed.to_toml()) == changed


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('name = ', 'not TOML'),
        ('name = "a"\n', 'lacks base'),
        ('base = "zhong"\n', 'lacks name'),
        (HEAD, 'made of runs'),
        (HEAD + '[[runs]]\n[search]\nranges = {batch = {choices = [2]}}\n', 'not of both'),
        (HEAD.replace('trial', '../up') + '[[runs]]\n', 'name must be'),
        (HEAD.replace('macro_f1', 'luck') + '[[runs]]\n', 'metric must be one of'),
        ('colour = 3\n' + HEAD + '[[runs]]\n', 'colour is no entry of a sweep'),
        (HEAD + '[[runs]]\nname = "a/b"\n', r'runs\.name'),
        (HEAD + '[[runs]]\nname = "a"\n[[runs]]\nname = "a"\n', "'a' must be that of one run"),
        (HEAD + '[[runs]]\nname = "a"\nepoch = 3\n', "Run 'a': epoch is no entry .* epochs"),
        (HEAD + '[[runs]]\nname = "a"\nepochs = 0\n', "Run 'a': epochs must be"),
        (HEAD + '[grid]\nbatch = 4\n', r'grid\.batch must be a list'),
        (HEAD + '[grid]\nbatch = []\n', r'grid\.batch must be a list'),
        (HEAD + '[search]\ntrials = 2\n', r'search\.ranges'),
        (HEAD + '[search]\nranges = {batch = {low = 4}}\n', 'the numbers low and high'),
        (HEAD + '[search]\nranges = {batch = {low = 8, high = 4}}\n', 'lower number'),
        (HEAD + '[search]\nranges = {seed = {low = 0, high = 4, log = true}}\n', 'log scale'),
        (HEAD + '[search]\nranges = {epoch = {low = 4, high = 8}}\n', 'epoch is no entry'),
        (
            HEAD + '[search]\nsampler = "grid"\nranges = {batch = {low = 4, high = 8}}\n',
            'choices, for a grid',
        ),
    ],
)
def test_nonsense_is_refused_by_name(text, message):
    with pytest.raises(RecipeError, match=message):
        Sweep.from_toml(text)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(RecipeError, match=r"no sweep 'nothing'.*nova"):
        find('nothing')


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
    assert rows['a']['network'] == 'resnet10' and float(rows['a']['val_loss']) > 0
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
    with pytest.raises(TrainingError, match='holds no sweep'):
        next(sweep(folder, three, out, 'cpu', resume=True))
    (tmp_path / 'file').touch()
    with pytest.raises(TrainingError, match='cannot be written'):
        next(sweep(folder, three, tmp_path / 'file' / 'out', 'cpu'))
