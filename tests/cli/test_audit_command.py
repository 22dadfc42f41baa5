"""The audit on the command line: what it prints and what it writes."""

import errno
import json
import os

import imageio.v3 as iio
import numpy as np
import pytest
from typer.testing import CliRunner

from napari_cxr.cli import app
from napari_cxr.evaluation import audit_output


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv('NAPARI_CXR_CACHE', str(tmp_path / 'cache'))
    return lambda *words: CliRunner().invoke(app, ['audit', *map(str, words)])


@pytest.fixture
def folder(tmp_path):
    """Two classes of twelve images, told apart by the side that is bright; one is in both."""
    random = np.random.default_rng(0)
    for k, label in enumerate(('left', 'right')):
        (tmp_path / 'images' / label).mkdir(parents=True)
        for i in range(12):
            image = random.integers(60, 120, (40, 40))
            image[:, 20 * k : 20 * k + 20] += 90
            iio.imwrite(tmp_path / 'images' / label / f'{i}.png', image.astype(np.uint8))
    copied = (tmp_path / 'images' / 'left' / '0.png').read_bytes()
    (tmp_path / 'images' / 'right' / 'again.png').write_bytes(copied)
    return tmp_path / 'images'


def test_findings_are_printed_and_written(run, folder, tmp_path):
    done = run(folder, '--out', tmp_path / 'out')
    assert done.exit_code == 0, done.output
    assert '25 images, 2 classes: left, right.' in done.stdout
    assert '2 files are byte for byte copies' in done.stdout
    assert 'Could this alone give your AUC?' in done.stdout
    assert 'right: ' in done.stdout and 'again.png' in done.stdout  # its label is doubted
    written = json.loads((tmp_path / 'out' / 'audit.json').read_text())
    assert written['images'] == 25
    assert (tmp_path / 'out' / 'doubtful-labels.csv').is_file()
    again = run(folder, '--json')  # from the cache
    assert json.loads(again.stdout) == written


def test_findings_are_printed_where_the_disk_is_full(run, folder, tmp_path, monkeypatch):
    def full(path, content):
        raise OSError(errno.ENOSPC, 'No space left on device', str(path))

    monkeypatch.setattr(audit_output, 'write_atomic', full)
    done = run(folder, '--out', tmp_path / 'out')
    assert done.exit_code == 1
    assert 'Could this alone give your AUC?' in done.stdout
    assert 'cannot be written: No space left on device. Make room' in done.output


@pytest.mark.parametrize(
    ('words', 'said'),
    [
        (['nowhere'], 'neither a folder of images nor a CSV file'),
        (['.', '--auc', '7'], '--auc'),
    ],
)
def test_what_cannot_be_audited_is_said(run, words, said):
    done = run(*words)
    assert done.exit_code == 2 and said in done.output


def test_a_file_is_no_folder_for_results(run, folder, tmp_path):
    (tmp_path / 'file').touch()
    for place in (tmp_path / 'file', tmp_path / 'file' / 'inside'):
        done = run(folder, '--out', place)
        said = ' '.join(done.output.replace('│', ' ').split())
        assert done.exit_code == 2 and 'is a file, not a folder' in said
        assert 'Errno' not in said and '25 images' not in said  # it says so before the work


@pytest.mark.skipif(not hasattr(os, 'mkfifo'), reason='there are no named pipes on this system')
def test_a_pipe_is_not_waited_for(run, tmp_path):
    os.mkfifo(tmp_path / 'fifo.csv')
    done = run(tmp_path / 'fifo.csv')
    said = ' '.join(done.output.replace('│', ' ').split())
    assert done.exit_code == 2 and 'is a pipe or a device. Save what comes out' in said


def test_a_file_in_place_of_the_folder_for_heatmaps_is_told_before_any_work(tmp_path):
    (tmp_path / 'taken').write_text('mine')
    done = CliRunner().invoke(app, ['classify', 'none.png', '--heatmap', str(tmp_path / 'taken')])
    said = ' '.join(done.output.replace('│', ' ').split())
    assert done.exit_code == 2
    assert '--heatmap' in said and 'is a file, not a folder' in said
    assert (tmp_path / 'taken').read_text() == 'mine'


def test_one_warning_of_the_cache_is_enough(run, folder, tmp_path, monkeypatch):
    (tmp_path / 'file').touch()
    monkeypatch.setenv('NAPARI_CXR_CACHE', str(tmp_path / 'file' / 'cache'))
    done = run(folder)
    assert done.exit_code == 0
    assert done.output.count('cannot be used') == 1
