import json
from dataclasses import replace

import pytest
from made_up_runs import LABELS, epoch, metrics, started, write_run

from napari_cxr.checkpoint import Card
from napari_cxr.inference import Preprocessing
from napari_cxr.plugin.runs.run_files import read_run_history
from napari_cxr.plugin.runs.run_messages import next_step_text, result_text
from napari_cxr.plugin.runs.training_history import RunHistory, RunPhase
from napari_cxr.training.training_events import RunsDone, TrainingFinished


@pytest.fixture
def card():
    return Card(
        name='made-up',
        title='Made up',
        architecture='resnet18',
        labels=LABELS,
        channels=1,
        preprocessing=Preprocessing(64, 64).to_dict(),
        data={'epoch': 3},
        metrics=metrics(),
    )


def test_a_run_is_read_back_from_its_folder(tmp_path, card):
    folder = write_run(tmp_path / 'a run', epochs=5, card=card)
    history = read_run_history(folder)
    assert history.phase is RunPhase.FINISHED and history.name == 'a run'
    training = history.current_training
    assert training.planned == 5 and training.labels == LABELS
    assert training.best.epoch == 3  # as the card says, not as the marks do
    for number in range(1, 6):
        written = epoch('a run', number, 5, number <= 4)
        assert training.epochs[number] == written
    assert 'Best epoch 3' in result_text(history)


def test_a_cross_validated_run_is_read_back(tmp_path, card):
    for n in (1, 2):
        write_run(tmp_path / 'cv' / f'fold-{n}', card=card)
    history = read_run_history(tmp_path / 'cv')
    assert list(history.trainings) == ['cv/fold-1', 'cv/fold-2'] and history.has_several_trainings
    # Without a recipe of its own it is a sweep, with one they are folds.
    assert history.sweep
    (tmp_path / 'cv' / 'recipe.toml').write_text('name = "made-up"\n')
    found = {'metrics': metrics((0.9, 0.8, 0.95))}
    (tmp_path / 'cv' / 'summary.json').write_text(json.dumps(found))
    history = read_run_history(tmp_path / 'cv')
    assert not history.sweep and 'all their test images 0.900 [0.800, 0.950]' in result_text(
        history
    )
    assert 'train once more' in next_step_text(history)


def test_a_run_on_everything_after_the_folds_is_the_result(tmp_path, card):
    folds = {'folds': 2, 'averaged': True, **metrics((0.9, 0.8, 0.95), measured_on='sources')}
    whole = replace(card, metrics=folds)
    for n in (1, 2):
        write_run(tmp_path / 'cv' / f'without-{n}', card=card)
    write_run(tmp_path / 'cv' / 'all', card=whole)
    (tmp_path / 'cv' / 'recipe.toml').write_text('name = "made-up"\n')
    (tmp_path / 'cv' / 'summary.json').write_text(json.dumps({'metrics': folds}))
    read = read_run_history(tmp_path / 'cv')
    assert list(read.trainings) == ['cv/without-1', 'cv/without-2', 'cv/all']
    assert read.current == 'cv/all'  # whose model is offered
    assert read.summary.path == str(tmp_path / 'cv' / 'all' / 'best.safetensors')
    assert result_text(read).startswith(
        '2 models, macro AUC on average 0.900 [0.800, 0.950], from'
    )
    assert 'The model of the last run is the result' in next_step_text(read)
    told = RunHistory('cv')
    for number, name in enumerate(read.trainings, start=1):
        told.add(started(name))
        told.add(TrainingFinished(name, 'best', 3, read.trainings[name].metrics))
        told.add(RunsDone('cv', number, 3, {}))
    told.add(TrainingFinished('cv', 'best', 3, folds))
    told.end(RunPhase.FINISHED)
    assert result_text(told) == result_text(read) and next_step_text(told) == next_step_text(read)


def test_what_went_before_is_filled_in(tmp_path, card):
    write_run(tmp_path / 'run' / 'fold-1', card=card)
    write_run(tmp_path / 'run' / 'fold-2', epochs=3, planned=5)
    history = RunHistory('run')
    history.add(started('run/fold-2', epochs=5, epoch=2))
    history.add(epoch('run/fold-2', 3, 5, val_loss=7.0))
    history.fill(read_run_history(tmp_path / 'run'))
    assert list(history.trainings) == ['run/fold-1', 'run/fold-2']
    assert sorted(history.current_training.epochs) == [1, 2, 3]
    assert history.current_training.epochs[3].val_loss == 7  # what has happened since counts


def test_half_written_files_give_what_is_whole(tmp_path):
    folder = write_run(tmp_path / 'run', epochs=3, planned=9)
    path = folder / 'metrics.csv'
    path.write_bytes(path.read_bytes()[:-20])
    (folder / 'recipe.toml').write_text('epochs = ')
    (folder / 'result.json').write_text('{"metrics": ')
    (folder / 'best.safetensors').write_bytes(b'\x00\x01')
    history = read_run_history(folder)
    assert sorted(history.current_training.epochs) == [1, 2]
    assert history.phase is RunPhase.STOPPED and history.current_training.best.epoch == 2


@pytest.mark.parametrize(
    ('columns', 'cells', 'matrix'),
    [
        ('confusion_a_a,confusion_a_b,confusion_b_a,confusion_b_b', '3,1,0,2', ((3, 1), (0, 2))),
        ('confusion', '3 1 / 0 2', ((3, 1), (0, 2))),  # of version 0.1
        ('confusion_a_a,confusion_a_b', '3,1', ()),  # a part of it
        ('loss', '1.5', ()),
    ],
)
def test_the_confusion_matrix_of_an_epoch(tmp_path, columns, cells, matrix):
    (tmp_path / 'metrics.csv').write_text(f'epoch,best,{columns}\n1,True,{cells}\n')
    assert read_run_history(tmp_path).current_training.epochs[1].confusion == matrix


@pytest.mark.parametrize('content', [None, b'', b'epoch,best\n', b'\xff\xfe\x00', b'a,b\n1,2\n'])
def test_a_folder_without_epochs_is_an_empty_history(tmp_path, content):
    if content is not None:
        (tmp_path / 'metrics.csv').write_bytes(content)
    history = read_run_history(tmp_path)
    assert (
        history.phase is RunPhase.EMPTY
        and history.current_training is None
        and result_text(history) == ''
    )


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(OSError, match='nowhere'):
        read_run_history(tmp_path / 'nowhere')


@pytest.mark.slow
def test_a_real_run_is_the_same_from_its_events_and_from_its_folder(tmp_path, monkeypatch):
    import numpy as np
    from PIL import Image

    from napari_cxr.training import Recipe, index, train

    monkeypatch.setenv('NAPARI_CXR_CACHE', str(tmp_path / 'cache'))
    random = np.random.default_rng(0)
    for i in range(40):
        path = tmp_path / 'images' / ('left', 'right')[i % 2] / f'{i}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        values = random.integers(0, 120, (40, 40), np.uint8)
        values[:, slice(0, 20) if i % 2 else slice(20, 40)] += 100
        Image.fromarray(values).save(path)
    recipe = Recipe.from_dict(
        {'name': 'small', 'network': 'resnet10', 'epochs': 2, 'batch': 8,
         'precision': 'float32', 'input': {'height': 33, 'width': 33}}
    )  # fmt: skip
    history = RunHistory('run')
    history.begin()
    for event in train(index(tmp_path / 'images'), recipe, tmp_path / 'run', 'cpu'):
        history.add(event)
    history.end(RunPhase.FINISHED)
    read = read_run_history(tmp_path / 'run')
    assert read.phase is RunPhase.FINISHED and len(read.current_training.epochs) == 2
    assert read.current_training.labels == history.current_training.labels == ('left', 'right')
    for number, known in history.current_training.epochs.items():
        assert repr(read.current_training.epochs[number]) == repr(
            known
        )  # NaN is not equal to itself
    assert result_text(read) == result_text(history)
    # Both reach the same figure, and the second has the lower loss.
    assert result_text(read).startswith('Epoch 2, test macro AUC 1.000')
