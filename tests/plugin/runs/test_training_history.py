import math

import pytest
from made_up_runs import LABELS, batch, epoch, folds, metrics, started, whole_run

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
    WarningRaised,
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


def test_reading_tells_share_and_time_left(history, time):
    history.add(ReadingProgress('run', 0, 400))
    assert (
        history.phase is RunPhase.READING
        and history.fraction == 0
        and history.seconds_left is None
    )
    time.now += 10
    history.add(ReadingProgress('run', 100, 400))
    assert history.fraction == 0.25
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
    assert history.fraction == pytest.approx((2 + 12 / 50) / 28)
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
    training = history.current_training
    numbers, values = training.values_by_epoch('val_loss')
    assert numbers == list(range(1, 29)) and values[0] == epoch(number=1).val_loss
    assert training.values_by_epoch('') == ([], [])
    assert training.best.epoch == 17 and training.last.epoch == 28
    assert training.labels == LABELS and training.last.confusion[0][0] == 88
    assert history.skipped == [ImageSkipped('run', 'image 17', 'A lateral view.')]
    assert history.fraction == 1
    assert result_text(history) == (
        'Best epoch 17, test macro AUC 0.957 [0.941, 0.971], compared with 0.969 for a '
        'classifier that sees no anatomy.'
    )
    assert 'no evidence' in warnings_text(history)


def test_what_the_card_says_of_a_result_is_said_once(history):
    said = 'The model is not shown to be better than a classifier that sees no anatomy.'
    history.add(started())
    history.add(WarningRaised('run', said))
    history.add(TrainingFinished('run', 'best', 2, {**metrics(), 'cautions': [said, 'Few.']}))
    # The run's own doubt about the baseline is in the card's words.
    assert warnings_text(history).split('\n') == [f'• {said}', '• Few.']


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
    history.current_training.finished = None
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
    assert (
        sorted(history.current_training.epochs) == [1, 2, 3]
        and history.current_training.finished is None
    )
    assert history.current_training.best.epoch == 3 and history.current_training.epoch == 4
    assert history.fraction == 0.5


def test_folds_are_told_apart_and_summed_up(history, time):
    history.total = 5
    events = list(folds())
    for event in events[: len(events) // 5 + 5]:
        history.add(event)
        time.now += 1
    assert heading_text(history) == 'Training · fold 2 of 5'
    assert history.done == 1 and 0.2 < history.fraction < 0.4
    first_ended = history.seconds_left
    assert first_ended > history.current_training.batch.seconds_left  # three more will follow
    for event in events:
        history.add(event)
    assert list(history.trainings) == [f'run/fold-{n}' for n in range(1, 6)]
    # 0.955, 0.960, 0.965, 0.970, 0.975
    assert result_text(history) == (
        '5 models, test macro AUC 0.965 on average, from 0.955 to 0.975, compared with 0.900 '
        'for a classifier that sees no anatomy.'
    )
    assert history.done == history.total == 5 and history.fraction == 1
    assert heading_text(history) == 'Summarising' and position_text(history) == ''
    history.add(TrainingFinished('run', '', 0, metrics((0.962, 0.95, 0.97), 0.91)))
    assert result_text(history) == (
        '5 models, macro AUC over all their test images 0.962 [0.950, 0.970], from 0.955 to '
        '0.975, compared with 0.910 for a classifier that sees no anatomy.'
    )


def test_a_sweep_of_unknown_length_names_its_best_run(history):
    for event in whole_run('a', epochs=4, best=4, shift=0.1):
        history.add(event)
    history.add(RunsDone('run', 1, 0, {}))
    history.add(started('b/fold-1'))
    history.add(RunsDone('b', 1, 5, {}))  # of its folds, not of the sweep
    assert history.has_several_trainings and history.fraction is None
    assert heading_text(history) == 'Training · b, fold 1 (2)' and history.sweep
    for event in whole_run('b-7', epochs=4, best=3):
        history.add(event)
    assert result_text(history).startswith(
        '2 runs; best on the validation images: b 7. Best epoch 3, test macro AUC 0.957'
    )
    assert history.place_of(history.trainings['run/b/fold-1']) == 'b/fold-1'
    assert history.best is history.trainings['run/b-7']
