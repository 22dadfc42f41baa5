import json
import math
from dataclasses import replace

import pytest
from made_up_runs import LABELS, batch, epoch, folds, metrics, started, whole_run, write_run

from napari_cxr.checkpoint import Card
from napari_cxr.inference import Preprocessing
from napari_cxr.plugin.runs.run_messages import (
    heading_text,
    next_step_text,
    position_text,
    result_text,
    speed_text,
    warnings_text,
)
from napari_cxr.plugin.runs.training_history import RunHistory, RunPhase
from napari_cxr.training.training_events import (
    ImageSkipped,
    ReadingProgress,
    RunsDone,
    TrainingFinished,
)


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def time():
    return Clock()


@pytest.fixture
def history(time):
    history = RunHistory('run', clock=time)
    history.begin()
    return history


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


def test_reading_tells_share_and_time_left(history, time):
    history.add(ReadingProgress('run', 0, 400))
    assert (
        history.phase is RunPhase.READING and history.share == 0 and history.seconds_left is None
    )
    time.now += 10
    history.add(ReadingProgress('run', 100, 400))
    assert history.share == 0.25
    assert history.seconds_left == 30  # 100 images in 10 s, 300 are left
    time.now += 4
    assert history.seconds_left == 26 and history.elapsed == 14
    assert (
        position_text(history) == 'Image 100 of 400' and speed_text(history) == 'about 25 s left'
    )


def test_an_epoch_and_batch_in_words(history, time):
    history.add(started())
    history.add(epoch(number=1))
    history.add(epoch(number=2))
    history.add(batch(epoch=3))
    assert heading_text(history) == 'Training'
    assert position_text(history) == 'Epoch 3 of 28, batch 12 of 50'
    assert speed_text(history) == '41 images/s, about 12 min left, 93 % of the processor'
    assert history.share == pytest.approx((2 + 12 / 50) / 28)
    time.now += 120
    assert '10 min left' in speed_text(history)
    time.now += 10_000
    assert history.seconds_left == 0


def test_what_nobody_knows_is_not_said(history):
    history.add(started(device='cuda:0'))
    history.add(epoch(number=1, utilisation=math.nan))
    history.add(batch(epoch=2, left=math.nan, speed=math.nan))
    assert speed_text(history) == ''
    history.add(epoch(number=2, utilisation=0.5))
    history.add(batch(epoch=3, left=math.nan, speed=2.34))
    assert speed_text(history) == '2.3 images/s, 50 % of the GPU'


def test_curves_best_epoch_and_the_end(history):
    for event in whole_run():
        history.add(event)
    course = history.course
    numbers, values = course.curve('val_loss')
    assert numbers == list(range(1, 29)) and values[0] == epoch(number=1).val_loss
    assert course.curve('') == ([], [])
    assert course.best.epoch == 17 and course.last.epoch == 28
    assert course.labels == LABELS and course.last.confusion[0][0] == 88
    assert history.skipped == [ImageSkipped('run', 'image 17', 'A lateral view.')]
    assert history.share == 1
    assert result_text(history) == (
        'Best epoch 17, test macro AUC 0.957 [0.941, 0.971], against 0.969 for a classifier '
        'that sees no anatomy.'
    )
    assert 'no evidence' in warnings_text(history)


def test_a_model_that_is_kept_because_it_is_the_last_is_not_called_the_best(history):
    history.add(started())
    for number in (1, 2):  # every one of them is marked where selection.metric is 'last'
        history.add(epoch(number=number))
    history.phase = RunPhase.STOPPING
    assert next_step_text(history) == 'The model of the last epoch is kept.'
    history.end(RunPhase.STOPPED)
    assert next_step_text(history).startswith('The last model, of epoch 2, is kept.')
    history.add(TrainingFinished('run', 'best', 2, metrics()))
    assert result_text(history).startswith('Epoch 2, test')
    history.course.finished = None
    history.add(epoch(number=3, best=False))
    history.phase = RunPhase.STOPPING
    assert next_step_text(history) == 'The best model so far is kept.'
    history.end(RunPhase.STOPPED)
    assert next_step_text(history).startswith('The best model so far, of epoch 2, is kept.')


def test_a_sound_result_is_not_doubted(history):
    history.add(started())
    history.add(TrainingFinished('run', 'best', 2, metrics(baseline=0.7)))
    assert warnings_text(history) == ''
    history.add(TrainingFinished('run', 'best', 2, metrics(baseline=0.7, measured_on='val')))
    assert 'validation macro AUC' in result_text(history) and 'no test split' in warnings_text(
        history
    )
    history.add(TrainingFinished('run', 'best', 2, metrics(baseline=0.7, split='by image')))
    assert 'one by one' in warnings_text(history)


@pytest.mark.parametrize('found', [{}, {'model': None}, {'model': {'all': {'macro_auc': [None]}}}])
def test_figures_that_are_missing(history, found):
    history.add(started())
    history.add(TrainingFinished('run', 'best', 2, found))
    assert result_text(history) in ('', 'Epoch 2.') and not warnings_text(history)


def test_measuring_follows_the_last_epoch(history):
    history.add(started(epochs=2))
    history.add(epoch(number=2, epochs=2))
    assert history.phase is RunPhase.MEASURING and position_text(history) == 'Epoch 2 of 2'


def test_stopping_stays_until_it_has_stopped(history, time):
    history.add(started())
    history.phase = RunPhase.STOPPING
    history.add(batch())
    assert history.phase is RunPhase.STOPPING and history.at_work
    assert 'left' not in speed_text(history)
    time.now += 5
    history.end(RunPhase.STOPPED)
    time.now += 50
    assert history.elapsed == 5 and not history.at_work


def test_resuming_keeps_the_epochs_before_and_replaces_those_after(history):
    for event in whole_run(epochs=6, best=5):
        history.add(event)
    history.begin()
    history.add(started(epochs=6, epoch=3))
    assert sorted(history.course.epochs) == [1, 2, 3] and history.course.finished is None
    assert history.course.best.epoch == 3 and history.course.epoch == 4
    assert history.share == 0.5


def test_folds_are_told_apart_and_summed_up(history, time):
    history.total = 5
    events = list(folds())
    for event in events[: len(events) // 5 + 5]:
        history.add(event)
        time.now += 1
    assert heading_text(history) == 'Training · fold 2 of 5'
    assert history.done == 1 and 0.2 < history.share < 0.4
    first_ended = history.seconds_left
    assert first_ended > history.course.batch.seconds_left  # three more will follow
    for event in events:
        history.add(event)
    assert list(history.courses) == [f'run/fold-{n}' for n in range(1, 6)]
    # 0.955, 0.960, 0.965, 0.970, 0.975
    assert result_text(history) == (
        '5 models, test macro AUC 0.965 on average, from 0.955 to 0.975, against 0.900 for a '
        'classifier that sees no anatomy.'
    )
    assert history.done == history.total == 5 and history.share == 1
    assert heading_text(history) == 'Summing up' and position_text(history) == ''
    history.add(TrainingFinished('run', '', 0, metrics((0.962, 0.95, 0.97), 0.91)))
    assert result_text(history) == (
        '5 models, macro AUC over all their test images 0.962 [0.950, 0.970], from 0.955 to '
        '0.975, against 0.910 for a classifier that sees no anatomy.'
    )


def test_a_sweep_of_unknown_length_names_its_best_run(history):
    for event in whole_run('a', epochs=4, best=4, shift=0.1):
        history.add(event)
    history.add(RunsDone('run', 1, 0, {}))
    history.add(started('b/fold-1'))
    history.add(RunsDone('b', 1, 5, {}))  # of its folds, not of the sweep
    assert history.several and history.share is None
    assert heading_text(history) == 'Training · b, fold 1 (2)' and history.sweep
    for event in whole_run('b-7', epochs=4, best=3):
        history.add(event)
    assert result_text(history).startswith(
        '2 runs; best on the validation images: b 7. Best epoch 3, test macro AUC 0.957'
    )
    assert history.place_of(history.courses['run/b/fold-1']) == 'b/fold-1'
    assert history.best is history.courses['run/b-7']


def test_a_run_is_read_back_from_its_folder(tmp_path, card):
    folder = write_run(tmp_path / 'a run', epochs=5, card=card)
    history = RunHistory.from_folder(folder)
    assert history.phase is RunPhase.FINISHED and history.name == 'a run'
    course = history.course
    assert course.planned == 5 and course.labels == LABELS
    assert course.best.epoch == 3  # as the card says, not as the marks do
    for number in range(1, 6):
        written = epoch('a run', number, 5, number <= 4)
        assert course.epochs[number] == written
    assert 'Best epoch 3' in result_text(history)


def test_a_cross_validated_run_is_read_back(tmp_path, card):
    for n in (1, 2):
        write_run(tmp_path / 'cv' / f'fold-{n}', card=card)
    history = RunHistory.from_folder(tmp_path / 'cv')
    assert list(history.courses) == ['cv/fold-1', 'cv/fold-2'] and history.several
    # Without a recipe of its own it is a sweep, with one they are folds.
    assert history.sweep
    (tmp_path / 'cv' / 'recipe.toml').write_text('name = "made-up"\n')
    found = {'metrics': metrics((0.9, 0.8, 0.95))}
    (tmp_path / 'cv' / 'summary.json').write_text(json.dumps(found))
    history = RunHistory.from_folder(tmp_path / 'cv')
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
    read = RunHistory.from_folder(tmp_path / 'cv')
    assert list(read.courses) == ['cv/without-1', 'cv/without-2', 'cv/all']
    assert read.current == 'cv/all'  # whose model is offered
    assert read.summary.path == str(tmp_path / 'cv' / 'all' / 'best.safetensors')
    assert result_text(read).startswith(
        '2 models, macro AUC on average 0.900 [0.800, 0.950], from'
    )
    assert 'The model of the last run is the result' in next_step_text(read)
    told = RunHistory('cv')
    for number, name in enumerate(read.courses, start=1):
        told.add(started(name))
        told.add(TrainingFinished(name, 'best', 3, read.courses[name].metrics))
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
    history.fill(RunHistory.from_folder(tmp_path / 'run'))
    assert list(history.courses) == ['run/fold-1', 'run/fold-2']
    assert sorted(history.course.epochs) == [1, 2, 3]
    assert history.course.epochs[3].val_loss == 7  # what has happened since counts


def test_half_written_files_give_what_is_whole(tmp_path):
    folder = write_run(tmp_path / 'run', epochs=3, planned=9)
    path = folder / 'metrics.csv'
    path.write_bytes(path.read_bytes()[:-20])
    (folder / 'recipe.toml').write_text('epochs = ')
    (folder / 'result.json').write_text('{"metrics": ')
    (folder / 'best.safetensors').write_bytes(b'\x00\x01')
    history = RunHistory.from_folder(folder)
    assert sorted(history.course.epochs) == [1, 2]
    assert history.phase is RunPhase.STOPPED and history.course.best.epoch == 2


@pytest.mark.parametrize('content', [None, b'', b'epoch,best\n', b'\xff\xfe\x00', b'a,b\n1,2\n'])
def test_a_folder_without_epochs_is_an_empty_history(tmp_path, content):
    if content is not None:
        (tmp_path / 'metrics.csv').write_bytes(content)
    history = RunHistory.from_folder(tmp_path)
    assert (
        history.phase is RunPhase.EMPTY and history.course is None and result_text(history) == ''
    )


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(OSError, match='nowhere'):
        RunHistory.from_folder(tmp_path / 'nowhere')


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
    read = RunHistory.from_folder(tmp_path / 'run')
    assert read.phase is RunPhase.FINISHED and len(read.course.epochs) == 2
    assert read.course.labels == history.course.labels == ('left', 'right')
    for number, known in history.course.epochs.items():
        assert repr(read.course.epochs[number]) == repr(known)  # NaN is not equal to itself
    assert result_text(read) == result_text(history)
    # Both reach the same figure, and the second has the lower loss.
    assert result_text(read).startswith('Epoch 2, test macro AUC 1.000')
