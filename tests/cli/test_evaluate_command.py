"""`napari-cxr evaluate` on finished tables of scores, which needs no network."""

import json
import sys

import imageio.v3 as iio
import numpy as np
import pytest
from typer.testing import CliRunner

from napari_cxr import samples
from napari_cxr.cli import app
from napari_cxr.scoring.score_row import ScoreRow, ScoringRun
from napari_cxr.scoring.table_writer import write_table


@pytest.fixture
def scores(tmp_path):
    """60 images of two hospitals, of which one has nearly all the sick."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(60):
        sick = i % 2 == 1
        east = sick != (i % 10 == 0)
        p = float(1 / (1 + np.exp(-(2 * (2 * east - 1) + rng.normal()))))
        truth = 'sick' if sick else 'well'
        rows.append(
            ScoreRow(
                number=i,
                path=f'{i}.png',
                status='scored',
                label='sick' if p > 0.5 else 'well',
                probabilities=(p, 1 - p),
                truth=truth,
                source='east' if east else 'west',
            )
        )
    run = ScoringRun('toy', '0' * 12, ('sick', 'well'), {}, '0', truth=True)
    write_table(tmp_path / 'scores.csv', rows, run)
    return tmp_path / 'scores.csv'


def call(*arguments):
    return CliRunner().invoke(app, ['evaluate', *map(str, arguments)])


def test_what_matters_is_printed_first(scores, tmp_path):
    result = call(scores, '--out', tmp_path / 'report', '--prevalence', 0.1, '--cost', 5, '-q')
    assert result.exit_code == 0, result.output
    first, *_, last = result.stdout.splitlines()
    assert first.startswith('STOP: Knowing only where an image comes from')
    assert 'will not hold in another' in first
    assert last.endswith('report.html')
    content = json.loads((tmp_path / 'report' / 'metrics.json').read_text())
    assert content['settings']['cost'] == 5
    again = call('--again', tmp_path / 'report', '-q')
    assert again.exit_code == 0
    assert 'figures are the same' in again.stdout


@pytest.mark.skipif(sys.platform == 'win32', reason='limits of a process')
def test_without_room_the_report_stays_what_it_was(scores, tmp_path):
    import resource

    report = tmp_path / 'report'
    assert call(scores, '--out', report, '-q').exit_code == 0
    before = {path.name: path.read_bytes() for path in report.iterdir()}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before['report.html']) - 1000, hard))
    try:
        result = call(scores, '--out', report, '--cost', 5, '-q')
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert result.exit_code == 1
    assert 'make room, and give the same command again' in result.output
    assert {path.name: path.read_bytes() for path in report.iterdir()} == before


def test_a_figure_that_was_changed_fails(scores, tmp_path):
    call(scores, '--out', tmp_path / 'report', '-q')
    path = tmp_path / 'report' / 'metrics.json'
    content = json.loads(path.read_text())
    content['models']['toy']['mcc']['value'] += 0.01
    path.write_text(json.dumps(content))
    result = call('--again', tmp_path / 'report', '-q')
    assert result.exit_code == 1
    assert 'models.toy.mcc.value' in result.output


@pytest.mark.parametrize(
    ('arguments', 'said'),
    [
        ((), 'Name models'),
        (('cxr-opacity',), 'Name a folder'),
        (('cxr-opacity', '--out', 'x'), 'Name the images after the model'),
        (('.', '--out', 'x'), 'Name a model before the images'),
        (('no such model', '.', '--out', 'x'), 'no such model'),
        (('cxr-opacity', '.', '--out', 'x', '--class', 'opacity'), 'CLASS=LABEL'),
        (('--again', 'nowhere'), 'nowhere is no folder of a report'),
    ],
)
def test_wrong_usage_is_told_in_a_sentence(arguments, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = call(*arguments)
    assert result.exit_code == 2
    assert said in ' '.join(result.output.replace('│', ' ').split())


def test_shortcut_tests_need_images(scores, tmp_path):
    result = call(scores, '--out', tmp_path / 'report', '--shortcut-tests', '-q')
    assert result.exit_code == 2
    assert 'Give models and the images' in ' '.join(result.output.replace('│', ' ').split())
    assert not (tmp_path / 'report').exists()


def test_shortcut_tests_print_their_verdict_and_their_page(model_file, tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_DATA_HOME', str(tmp_path / 'user-data'))
    for number, label in enumerate(('covid19', 'normal', 'pneumonia') * 2):
        (tmp_path / 'images' / label).mkdir(parents=True, exist_ok=True)
        pixels = samples.phantom((96, 80), seed=number // 3)
        pixels[: 2 * (number + 1)] = 0  # no two are copies of each other
        iio.imwrite(tmp_path / 'images' / label / f'{number}.png', np.uint8(255 * pixels))
    more = ('--shortcut-tests', '--no-baselines', '--no-gallery', '--workers', 1, '-q')
    more += ('--device', 'cpu', '--include-doubtful')
    result = call(model_file, tmp_path / 'images', '--out', tmp_path / 'report', *more)
    assert result.exit_code == 0, result.output
    assert 'Shortcut tests of tiny: There are too few patients' in result.stdout
    report, page = result.stdout.splitlines()[-2:]
    assert (report, page) == tuple(
        str(tmp_path / 'report' / name) for name in ('report.html', 'shortcuts.html')
    )
    found = json.loads((tmp_path / 'report' / 'shortcuts.json').read_text())['models']['tiny']
    assert found['images'] == 6 and len(found['changes']) == 8


def said_by(result):
    return ' '.join(result.output.replace('│', ' ').split())


def test_another_evaluation_does_not_take_the_place_of_a_report(scores, tmp_path):
    out = tmp_path / 'report'
    assert call(scores, '--out', out, '-q').exit_code == 0
    before = (out / 'metrics.json').read_bytes()
    other = tmp_path / 'others.csv'
    other.write_bytes(scores.read_bytes().replace(b'0' * 12, b'1' * 12))
    for arguments in ((other,), (scores, '--include-doubtful'), (scores, '--class', 'sick=well')):
        result = call(*arguments, '--out', out, '-q')
        assert result.exit_code == 2
        assert 'holds the report of another evaluation (toy by scores' in said_by(result)
    assert (out / 'metrics.json').read_bytes() == before
    # The same again is no other one, also with another prevalence.
    assert call(scores, '--out', out, '-q', '--prevalence', 0.2).exit_code == 0
    assert json.loads((out / 'metrics.json').read_text())['settings']['prevalence'] == 0.2


def test_what_is_wrong_with_files_is_a_sentence(scores, tmp_path):
    out = tmp_path / 'report'
    call(scores, '--out', out, '-q')
    result = call(scores, '--again', out)
    assert result.exit_code == 2 and 'leave out' in said_by(result)
    (out / 'metrics.json').write_text('{"form": 1, "models": {')
    result = call('--again', out, '-q')
    assert result.exit_code == 2
    assert 'metrics.json is damaged, it is no longer JSON' in said_by(result)
    assert 'column' not in said_by(result)
    for place in (scores, scores / 'inside'):
        result = call(scores, '--out', place, '-q')
        assert result.exit_code == 2
        assert 'is a file, not a folder' in said_by(result)
        assert 'Name another folder for the results.' in said_by(result)


def test_a_probability_is_from_0_to_1(scores, tmp_path):
    first, second, rest = scores.read_text().split('\n', 2)
    cells, names = second.split(','), first.split(',')
    cells[names.index('p_sick')] = '7.5'
    scores.write_text('\n'.join([first, ','.join(cells), rest]))
    result = call(scores, '--out', tmp_path / 'report', '-q')
    assert result.exit_code == 2
    assert 'Row 1 of scores.csv gives sick the probability 7.5' in said_by(result)


@pytest.mark.parametrize('command', ['agreement', 'experts', 'evaluate', 'audit'])
def test_exit_statuses_are_in_the_help(command):
    assert 'Exit status: 0 done' in CliRunner().invoke(app, [command, '--help']).output
