"""What ``train`` and ``sweep`` print."""

import pytest

from napari_cxr.cli import training_display
from napari_cxr.cli.training_display import TrainingDisplay, result_lines
from napari_cxr.training.training_events import (
    BatchDone,
    ImageSkipped,
    ReadingProgress,
    RunsDone,
    TrainingFinished,
    TrainingStarted,
)

STARTED = TrainingStarted(
    run='run',
    labels=('normal', 'pneumonia'),
    network='resnet10',
    counts={'train': {'normal': 8, 'pneumonia': 6}, 'val': {'normal': 2, 'pneumonia': 2}},
    split_kind='by patient',
    parameters=4_900_546,
    trainable=1026,
    epochs=2,
    batches=50,
    epoch=0,
    device='cpu',
    precision='float32',
)
METRICS = {
    'measured_on': 'test',
    'model': {'all': {'images': 36, 'accuracy': [0.9, 0.8, 0.95], 'macro_auc': [0.93, 0.9, 0.96]}},
    'baselines': {
        'format only': {'all': {'macro_auc': [0.61, 0.5, 0.72], 'accuracy': [0.5, None, None]}},
        'format and grey levels': {'all': {'macro_auc': [0.88, 0.8, 0.94]}},
    },
}


def show(*events, **options):
    display = TrainingDisplay(**options)
    display.show(iter(events))
    return display


def test_the_summary_of_folds_is_words_and_no_path(capsys):
    figures = {'images': 36, 'accuracy': [0.9, 0.8, 0.95], 'macro_auc': [None, None, None]}
    metrics = {'folds': 3, 'model': {'all': figures}}
    display = show(
        TrainingFinished('crossed/fold-3', 'made/best.safetensors', 2),
        TrainingFinished('crossed', '', 0, metrics),
    )
    out, err = capsys.readouterr()
    assert not display.failed
    assert out == 'made/best.safetensors\n'
    assert 'All 3 folds, 36 images: accuracy 0.900 [0.800, 0.950].' in err
    assert 'macro AUC' not in err and "none of the folds' models is the result" in err


def test_the_model_of_all_images_is_named_once(capsys):
    figures = {'images': 36, 'accuracy': [0.9, 0.8, 0.95], 'macro_auc': [0.7, 0.6, 0.8]}
    metrics = {'folds': 3, 'averaged': True, 'model': {'all': figures}}
    path = 'crossed/all/best.safetensors'
    ends = [
        TrainingFinished('crossed/all', path, 2, metrics),
        TrainingFinished('crossed', path, 2, metrics),
    ]
    assert not show(*ends).failed
    out, err = capsys.readouterr()
    assert out == f'{path}\n'
    assert err.count('Mean over 3 folds, 36 images: accuracy 0.900') == 1
    assert f'the result is {path}, which was trained on all images' in err


def test_under_torchrun_only_the_first_process_speaks(monkeypatch, capsys):
    monkeypatch.setenv('RANK', '1')
    assert not show(TrainingFinished('run', 'x/best.safetensors', 1)).failed
    assert capsys.readouterr() == ('', '')
    monkeypatch.setenv('RANK', '0')
    show(TrainingFinished('run', 'x/best.safetensors', 1))
    assert capsys.readouterr().out == 'x/best.safetensors\n'


def test_the_result_stands_beside_its_baselines(capsys):
    show(STARTED, TrainingFinished('run', 'x/best.safetensors', 2, METRICS))
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert lines[0].startswith('run: resnet10, 4,900,546 parameters, 1,026 trainable; on cpu')
    assert lines[1:4] == [
        'train: normal 8, pneumonia 6',
        'val: normal 2, pneumonia 2',
        'split by patient',
    ]
    beside = 'format only 0.610 [0.500, 0.720], format and grey levels 0.880 [0.800, 0.940]'
    assert lines[4:] == [
        'Test images, 36, with 95 % intervals:',
        f'  macro AUC 0.930 [0.900, 0.960]; baselines without anatomy: {beside}',
        '  accuracy 0.900 [0.800, 0.950]; baselines without anatomy: format only 0.500',
    ]
    assert out == 'x/best.safetensors\n'


@pytest.mark.parametrize('metrics', [{}, {'model': None}, {'model': {'all': {'images': 3}}}])
def test_what_was_not_measured_is_left_out(metrics):
    assert result_lines(metrics) == []


def test_validation_images_are_called_so():
    lines = result_lines(METRICS | {'measured_on': 'val', 'baselines': {}})
    assert lines[0] == 'Validation images (there is no test split), 36, with 95 % intervals:'
    assert lines[1] == '  macro AUC 0.930 [0.900, 0.960]'


def test_without_a_terminal_there_is_a_line_a_minute(monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr(training_display.time, 'monotonic', lambda: now[0])

    def events():
        for done in (0, 100, 200):
            now[0] += 40
            yield ReadingProgress('run', done, 300)
        yield STARTED
        for batch in range(1, 5):
            now[0] += 25
            yield BatchDone('run', 1, batch, 50, 0.7, 41.0, 185.0)

    TrainingDisplay().show(events())
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == 'Reading: 100 of 300'
    assert lines[5:] == [
        'Epoch 1: 1 of 50  41 images/s  3:05 left',
        'Epoch 1: 4 of 50  41 images/s  3:05 left',
    ]


def test_quiet_prints_warnings_failures_and_paths(capsys):
    events = (
        ImageSkipped('run', 'a.png', 'It is cut off.'),
        STARTED,
        RunsDone('run', 1, 2, {'run': 'good', 'status': 'finished'}),
        RunsDone('run', 2, 2, {'run': 'bad', 'status': 'failed', 'reason': 'No memory.'}),
        TrainingFinished('run', 'x/best.safetensors', 2, METRICS),
    )
    display = show(*events, quiet=True)
    out, err = capsys.readouterr()
    assert err.splitlines() == [
        'left out: a.png: It is cut off.',
        '2 of 2: bad failed. No memory.',
    ]
    assert out == 'x/best.safetensors\n' and display.failed and display.started


def test_verbose_prints_every_step(capsys):
    show(STARTED, BatchDone('run', 1, 12, 50, 0.6931, 41.0, float('nan')), verbose=True)
    assert capsys.readouterr().err.splitlines()[-1] == (
        'epoch 1, batch 12 of 50: loss 0.6931  41 images/s'
    )
