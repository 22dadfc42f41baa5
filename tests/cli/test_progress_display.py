"""What running commands draw on the terminal, and how Ctrl-C stops them."""

import io
import signal
import sys

import pytest

from napari_cxr.cli import progress_display
from napari_cxr.cli.progress_display import DelayedInterrupt, ScoringDisplay
from napari_cxr.scoring import (
    RowScored,
    ScoreRow,
    ScoringFinished,
    ScoringProgress,
    ScoringStarted,
    write_partial_table,
)
from napari_cxr.scoring.score_row import ScoringRun


def test_what_was_stopped_before_the_first_row_names_no_table(tmp_path, capsys):
    out = tmp_path / 't.csv'
    ScoringDisplay(['score', 'x']).stopped(out, lambda: write_partial_table(out))
    said = capsys.readouterr().err
    assert said == 'Stopped. No row is done yet. Resume with: napari-cxr score x --resume\n'
    ScoringDisplay(['score', 'x', '--resume']).stopped(out, lambda: 1200)
    assert f'{out} holds the 1,200 rows so far. Resume with: napari-cxr score x --resume' in (
        capsys.readouterr().err
    )


def test_how_to_go_on_is_told_with_paths_that_look_like_options_and_with_very_many(capsys):
    ScoringDisplay(['score', '--out', 't.csv', '--', '-x.png']).stopped('t.csv', lambda: 1)
    said = capsys.readouterr().err
    assert 'holds the 1 row so far' in said
    assert said.endswith('napari-cxr score --out t.csv --resume -- -x.png\n')
    ScoringDisplay(['score', *map(str, range(20_000))]).stopped('t.csv', lambda: 2)
    said = capsys.readouterr().err
    assert said.endswith('Resume with the same command and --resume.\n') and len(said) < 200


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
        interrupts.raise_if_pending()
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            interrupts.raise_if_pending()
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
            interrupts.raise_if_pending()
    assert halfway.getvalue() == 'half a line'


def test_quiet_scoring_prints_failures_and_the_result_and_verbose_every_file(capsys):
    def events():
        yield ScoringStarted(2, 0, 0, ScoringRun('tiny', 'abc', ('a', 'b'), {}, '1'), 'cpu', 8)
        yield RowScored(ScoreRow(0, 'x.png', 'scored', label='a'))
        yield RowScored(ScoreRow(1, 'y.png', 'error', error='It is cut off.'))
        yield ScoringFinished('t.csv', 2, 1)

    ScoringDisplay(['score'], quiet=True).show(events())
    out, err = capsys.readouterr()
    assert err.splitlines() == ['y.png: It is cut off.', '1 of 2 files were scored.']
    assert out == 't.csv\n'
    ScoringDisplay(['score'], verbose=True).show(events())
    lines = capsys.readouterr().err.splitlines()
    assert lines[:3] == ['2 files; tiny on cpu', 'x.png: a', 'y.png: It is cut off.']
