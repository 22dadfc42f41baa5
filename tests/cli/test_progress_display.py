"""What running commands draw on the terminal, and how Ctrl-C stops them."""

import io
import signal
import sys

import pytest

from napari_cxr.cli import progress_display
from napari_cxr.cli.progress_display import DelayedInterrupt, ScoringDisplay, show_training
from napari_cxr.scoring import (
    ScoringFinished,
    ScoringProgress,
    ScoringStarted,
    write_partial_table,
)
from napari_cxr.scoring.score_row import ScoringRun
from napari_cxr.training import TrainingFinished


def test_the_summary_of_folds_is_words_and_no_path(capsys):
    figures = {'images': 36, 'accuracy': [0.9, 0.8, 0.95], 'macro_auc': [None, None, None]}
    metrics = {'folds': 3, 'model': {'all': figures}}
    failed = show_training(
        iter(
            [
                TrainingFinished('crossed/fold-3', 'made/best.safetensors', 2),
                TrainingFinished('crossed', '', 0, metrics),
            ]
        )
    )
    out, err = capsys.readouterr()
    assert not failed
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
    assert not show_training(iter(ends))
    out, err = capsys.readouterr()
    assert out == f'{path}\n'
    assert err.count('Mean over 3 folds, 36 images: accuracy 0.900') == 1
    assert f'the result is {path}, which learnt from all images' in err


def test_what_was_stopped_before_the_first_row_names_no_table(tmp_path, capsys):
    out = tmp_path / 't.csv'
    ScoringDisplay(['score', 'x']).stopped(out, lambda: write_partial_table(out))
    said = capsys.readouterr().err
    assert said == 'Stopped. No row is done yet. Go on with: napari-cxr score x --resume\n'
    ScoringDisplay(['score', 'x', '--resume']).stopped(out, lambda: 1200)
    assert f'{out} holds the 1,200 rows so far. Go on with: napari-cxr score x --resume' in (
        capsys.readouterr().err
    )


def test_how_to_go_on_is_told_with_paths_that_look_like_options_and_with_very_many(capsys):
    ScoringDisplay(['score', '--out', 't.csv', '--', '-x.png']).stopped('t.csv', lambda: 1)
    said = capsys.readouterr().err
    assert 'holds the 1 row so far' in said
    assert said.endswith('napari-cxr score --out t.csv --resume -- -x.png\n')
    ScoringDisplay(['score', *map(str, range(20_000))]).stopped('t.csv', lambda: 2)
    said = capsys.readouterr().err
    assert said.endswith('Go on with the same command and --resume.\n') and len(said) < 200


def test_without_a_terminal_a_line_now_and_then_says_how_far_it_is(monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr(progress_display.time, 'monotonic', lambda: now[0])

    def events():
        yield ScoringStarted(900, 0, 0, ScoringRun('tiny', 'abc', ('a', 'b'), {}, '1'), 'cpu', 8)
        for done in range(0, 900, 100):
            now[0] += 25
            yield ScoringProgress(done, 3, 900, 4.0, (900 - done) / 4)
        yield ScoringFinished('t.csv', 900, 3)

    progress_display.ScoringDisplay(['score']).show(events())
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        '900 files; tiny on cpu',
        '200 of 900  4.0 images/s  2:55 left  3 failed',
        '500 of 900  4.0 images/s  1:40 left  3 failed',
        '800 of 900  4.0 images/s  0:25 left  3 failed',
        '897 of 900 files were scored.',
    ]


def test_images_that_were_not_measured_are_counted(capsys):
    def events(unmeasured):
        yield ScoringStarted(1, 0, 0, ScoringRun('tiny', 'abc', ('a', 'b'), {}, '1'), 'cpu', 8)
        yield ScoringFinished('t.csv', 1, 0, unknown=('c',), unmeasured=unmeasured)

    for count, said in ((1, '1 image,'), (1234, '1,234 images,')):
        ScoringDisplay(['score']).show(events(count))
        assert f'Not measured: {said} because the model has no such label' in (
            told := capsys.readouterr().err
        )
        assert told.startswith('1 file;') and '1 of 1 file was scored.' in told


def test_a_second_control_c_comes_through():
    with DelayedInterrupt() as interrupts:
        interrupts.look()
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            interrupts.look()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_control_c_in_the_middle_of_a_line_stops_like_any_other(monkeypatch):
    class Halfway(io.StringIO):
        asked = False

        def write(self, text):
            if self.asked:  # as a buffered file says it
                raise RuntimeError('reentrant call inside <_io.BufferedWriter>')
            self.asked = True
            signal.raise_signal(signal.SIGINT)
            self.asked = False
            return super().write(text)

    halfway = Halfway()
    monkeypatch.setattr(sys, 'stderr', halfway)
    with DelayedInterrupt() as interrupts:
        sys.stderr.write('half a line')
        with pytest.raises(KeyboardInterrupt):
            interrupts.look()
    assert halfway.getvalue() == 'half a line'


def test_under_torchrun_only_the_first_process_speaks(monkeypatch, capsys):
    monkeypatch.setenv('RANK', '1')
    assert not show_training(iter([TrainingFinished('run', 'x/best.safetensors', 1)]))
    assert capsys.readouterr() == ('', '')
    monkeypatch.setenv('RANK', '0')
    show_training(iter([TrainingFinished('run', 'x/best.safetensors', 1)]))
    assert capsys.readouterr().out == 'x/best.safetensors\n'
