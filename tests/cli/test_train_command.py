"""Training on the command line: recipes listed, runs made, stopped and resumed, sweeps."""

import csv
import json
import signal
import tomllib

import imageio.v3 as iio
import numpy as np
import pytest
from typer.testing import CliRunner

from napari_cxr.checkpoint import load
from napari_cxr.cli import app
from napari_cxr.cli.command_options import changes_of
from napari_cxr.training.sweep import find

RECIPE = """
name = "small"
network = "resnet10"
epochs = 2
batch = 4
precision = "float32"
input = { height = 33, width = 33 }
data = { duplicates = false }
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv('NAPARI_CXR_CACHE', str(tmp_path / 'cache'))
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def folder(tmp_path):
    """Two classes of fourteen images, told apart by the side that is bright."""
    random = np.random.default_rng(0)
    for k, label in enumerate(('left', 'right')):
        (tmp_path / 'images' / label).mkdir(parents=True)
        for i in range(14):
            image = random.integers(60, 120, (40, 40))
            image[:, 20 * k : 20 * k + 20] += 90
            iio.imwrite(tmp_path / 'images' / label / f'{i}.png', image.astype(np.uint8))
    return tmp_path / 'images'


@pytest.fixture
def recipe(tmp_path):
    (tmp_path / 'small.toml').write_text(RECIPE)
    return tmp_path / 'small.toml'


def test_values_are_toml_or_bare_words():
    settings = [
        'epochs=5', 'optimiser.learning_rate=1e-4', 'weights=random', 'title="a = b"',
        'data.classes.covid19=["covid", "sars"]', 'card.halve=true', 'weights=runs/a/best.x',
    ]  # fmt: skip
    assert changes_of(settings[:-1]) == {
        'epochs': 5,
        'optimiser.learning_rate': 1e-4,
        'weights': 'random',
        'title': 'a = b',
        'data.classes.covid19': ['covid', 'sars'],
        'card.halve': True,
    }
    assert changes_of(settings[-1:]) == {'weights': 'runs/a/best.x'}
    assert changes_of(None) == {}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_run_with_changes_and_what_it_says(run, folder, recipe, tmp_path):
    out = tmp_path / 'run'
    result = run(
        'train', folder, '--recipe', recipe, '--out', out, '--device', 'cpu',
        '--set', 'epochs=1', '--set', 'optimiser.name=sgd',
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == str(out / 'best.safetensors')
    kept = tomllib.loads((out / 'recipe.toml').read_text())
    assert kept['epochs'] == 1 and kept['optimiser']['name'] == 'sgd'
    assert 'resnet10, 4,900,546 parameters' in result.stderr and '1/1  loss' in result.stderr
    assert 'by image' in result.stderr
    again = run('train', folder, '--recipe', recipe, '--out', out)
    assert again.exit_code == 2 and 'already contains a run' in again.stderr
    # A finished run that is resumed has not failed.
    again = run('train', folder, '--out', out, '--resume')
    assert again.exit_code == 0 and 'is finished' in again.stderr
    assert again.stdout == result.stdout
    wrong = run('train', folder, '--out', out, '--resume', '--epochs', '1')
    assert wrong.exit_code == 2 and 'has done 1 epochs' in ' '.join(wrong.stderr.split())
    longer = run('train', folder, '--out', out, '--resume', '--epochs', '2', '--device', 'cpu')
    assert longer.exit_code == 0, longer.output
    assert 'The run goes on after epoch 1 to epoch 2. The learning rate rises' in longer.stderr
    assert '2/2  loss' in longer.stderr and '1/2  loss' not in longer.stderr
    assert longer.stdout == result.stdout
    listed = run('runs', tmp_path, '--json')
    assert [json.loads(line)['status'] for line in listed.stdout.splitlines()] == ['finished']
    assert run('runs', out).stdout.splitlines()[1].startswith('run  finished  small')


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_control_c_says_how_to_go_on(run, folder, recipe, tmp_path, monkeypatch):
    from napari_cxr.cli import training_display
    from napari_cxr.training import EpochDone

    out = tmp_path / 'run'
    take = training_display.TrainingDisplay.show_event

    def interrupted(self, event):
        take(self, event)
        if isinstance(event, EpochDone):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training_display.TrainingDisplay, 'show_event', interrupted)
        result = run('train', folder, '--recipe', recipe, '--out', out)
    assert result.exit_code == 1 and result.stdout == ''
    said = result.stderr
    assert f'Resume with: napari-cxr train {folder} --out {out} --resume' in said
    result = run('train', folder, '--out', out, '--resume')
    assert result.exit_code == 0, result.output
    assert '2/2  loss' in result.stderr and '1/2  loss' not in result.stderr


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_control_c_within_a_step_keeps_the_whole_state(run, folder, recipe, tmp_path, monkeypatch):
    from napari_cxr.training.training_run import TrainingRun

    out = tmp_path / 'run'
    step = TrainingRun._step
    before = signal.getsignal(signal.SIGINT)  # ignored, where a shell started us in the background

    def interrupted(self, items):
        if self.progress.epoch == 1:
            signal.raise_signal(signal.SIGINT)
        return step(self, items)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingRun, '_step', interrupted)
        result = run('train', folder, '--recipe', recipe, '--out', out)
    assert result.exit_code == 1
    assert 'Stopping after this step' in result.stderr and 'Resume with' in result.stderr
    assert (out / 'best.safetensors').is_file() and (out / 'state.safetensors').is_file()
    assert 'Stopped in epoch 2, after 1 steps' in (out / 'log.txt').read_text()
    assert signal.getsignal(signal.SIGINT) is before
    assert run('train', folder, '--out', out, '--resume').exit_code == 0
    other = tmp_path / 'other'
    assert run('train', folder, '--recipe', recipe, '--out', other).exit_code == 0
    assert (
        load(out / 'last.safetensors').tensors.keys()
        == load(other / 'last.safetensors').tensors.keys()
    )
    for name, tensor in load(other / 'last.safetensors').tensors.items():
        assert tensor.equal(load(out / 'last.safetensors').tensors[name]), name


def test_control_c_before_the_first_step_says_what_to_do(
    run, folder, recipe, tmp_path, monkeypatch
):
    from napari_cxr.cli import training_display

    def interrupted(self, event):
        raise KeyboardInterrupt

    out = tmp_path / 'a run'
    monkeypatch.setattr(training_display.TrainingDisplay, 'show_event', interrupted)
    result = run('train', folder, '--recipe', recipe, '--out', out)
    assert result.exit_code == 1
    assert 'give the same command again' in result.stderr
    result = run('train', folder, '--out', out, '--resume')
    assert result.exit_code == 2 and 'There is no run to resume' in result.stderr


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_sweep_ends_with_1_if_a_run_failed(run, folder, tmp_path):
    plan = tmp_path / 'plan.toml'
    plan.write_text(
        'name = "two"\n[base]\n' + RECIPE.replace('name = "small"', '')
        + '[[runs]]\nname = "good"\n[[runs]]\nname = "bad"\nweights = "no-such-model"\n'
    )  # fmt: skip
    out = tmp_path / 'out'
    result = run('sweep', folder, '--sweep', plan, '--out', out, '--set', 'epochs=1')
    assert result.exit_code == 1
    assert result.stdout.strip() == str(out / 'good' / 'best.safetensors')
    assert '2 of 2: bad failed.' in result.stderr and 'no-such-model' in result.stderr
    with (out / 'runs.csv').open(newline='') as file:
        assert {r['run']: r['status'] for r in csv.DictReader(file)} == {
            'good': 'finished',
            'bad': 'failed',
        }
    assert find(out / 'sweep.toml').base.epochs == 1
    again = run('sweep', folder, '--out', out, '--resume')
    assert '1 of 2: good finished.' in again.stderr and again.exit_code == 1


def test_a_folder_that_is_not_empty_is_wrong_usage(run, folder, recipe):
    result = run('train', folder, '--recipe', recipe, '--out', folder)
    assert result.exit_code == 2 and 'is not empty' in result.stderr


def test_runs_are_compared_the_best_first(run, tmp_path):
    for name, areas in (('weak', (0.6, 0.7)), ('strong', (0.8, 0.9)), ('begun', ())):
        (tmp_path / name).mkdir()
        (tmp_path / name / 'recipe.toml').write_text('name = "small"\nnetwork = "resnet10"\n')
        lines = [f'{n},{area},True' for n, area in enumerate(areas, start=1)]
        text = '\n'.join(['epoch,val_macro_auc,best', *lines, ''])
        (tmp_path / name / 'metrics.csv').write_text(text)
    result = run('runs', tmp_path)
    assert result.exit_code == 0, result.output
    titles, *rows = (line.split() for line in result.stdout.splitlines())
    assert titles[:6] == ['run', 'status', 'recipe', 'network', 'epochs', 'val_auc']
    assert [(row[0], row[5]) for row in rows] == [
        ('strong', '0.9000'), ('weak', '0.7000'), ('begun', '-'),
    ]  # fmt: skip
    result = run('runs', tmp_path / 'weak', tmp_path / 'strong', '--json')
    names = [json.loads(line)['run'] for line in result.stdout.splitlines()]
    assert names == [f'{tmp_path / "strong"}/strong', f'{tmp_path / "weak"}/weak']


def test_runs_of_a_folder_that_is_empty_or_missing(run, tmp_path):
    result = run('runs', tmp_path)
    assert (result.exit_code, result.stdout) == (0, '') and 'no runs' in result.stderr
    result = run('runs', tmp_path / 'nowhere')
    assert result.exit_code == 2 and 'nowhere' in result.stderr


def test_columns_and_epochs_go_into_the_recipe(run, tmp_path, recipe, monkeypatch):
    from napari_cxr.training import training_loop

    table = tmp_path / 'list.csv'
    table.write_text('Datei;Befund\na.png;x\nb.png;y\n')
    for name in 'ab':
        iio.imwrite(tmp_path / f'{name}.png', np.zeros((9, 9), np.uint8))
    seen = []

    def train(dataset, plan, *_, **__):
        seen.append((dataset.labels, plan.epochs, plan.data.columns))
        yield from ()

    monkeypatch.setattr(training_loop, 'train', train)
    words = ['train', table, '--out', tmp_path / 'run', '--recipe', recipe]
    result = run(*words)
    assert result.exit_code == 2 and 'no column' in result.stderr
    result = run(
        *words, '--path-column', 'Datei', '--label-column', 'Befund', '--epochs', '7'
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert seen == [(('x', 'y'), 7, {'path': 'Datei', 'label': 'Befund'})]
    result = run('train', table, '--out', tmp_path / 'run', '--resume', '--path-column', 'x')
    assert result.exit_code == 2 and 'keeps the recipe' in result.stderr


def test_each_source_is_left_out_by_one_option(run, folder, recipe, tmp_path):
    out = tmp_path / 'run'
    result = run('train', folder, '--recipe', recipe, '--out', out, '--leave-one-source-out')
    assert result.exit_code == 2  # these folders have no sources
    said = ' '.join(result.output.replace('│', ' ').split())
    assert 'The recipe holds a source out, but 28 of 28 images have no source' in said
    again = run('train', folder, '--out', out, '--resume', '--leave-one-source-out')
    assert 'A resumed run keeps the recipe' in ' '.join(again.output.replace('│', ' ').split())
