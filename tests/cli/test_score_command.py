"""``napari-cxr score``, as a person runs it."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import replace

import imageio.v3 as iio
import numpy as np
import pytest
from typer.testing import CliRunner

from napari_cxr.checkpoint import read_card
from napari_cxr.checkpoint.model_file import replace_card
from napari_cxr.cli import app
from napari_cxr.inference.backends.backend import backend_names, find_backend

#: As in a terminal; a shell that starts us in the background lets us ignore Ctrl-C.
LISTENING = (
    'import signal\n'
    'signal.signal(signal.SIGINT, signal.default_int_handler)\n'
    'from napari_cxr.cli import main\n'
    'main()\n'
)


@pytest.fixture
def folder(tmp_path):
    """Images of two classes, which differ in what is bright."""
    rng = np.random.default_rng(0)
    for i in range(6):
        name = 'normal' if i % 2 else 'pneumonia'
        (tmp_path / 'images' / name).mkdir(parents=True, exist_ok=True)
        iio.imwrite(
            tmp_path / 'images' / name / f'{i}.png', rng.integers(0, 256, (60, 52), np.uint8)
        )
    return tmp_path / 'images'


@pytest.fixture
def run(model_file):
    def invoke(*arguments):
        words = ['score', *arguments, '--model', model_file, '--device', 'cpu']
        return CliRunner().invoke(app, [str(word) for word in words])

    return invoke


def rows_of(path):
    with path.open(newline='') as file:
        return list(csv.DictReader(file))


def test_a_folder_becomes_a_table_with_figures(run, folder, tmp_path):
    out = tmp_path / 't.csv'
    result = run(
        folder, '--out', out, '--labels', 'folders', '--workers', '2', '--batch-size', '4',
        '--heatmaps', tmp_path / 'maps', '--include-doubtful',
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    rows = rows_of(out)
    assert len(rows) == 6 and all(row['status'] == 'scored' for row in rows)
    assert [row['truth'] for row in rows] == ['normal'] * 3 + ['pneumonia'] * 3
    assert len(list((tmp_path / 'maps').glob('*.png'))) == 6
    assert result.stdout.splitlines()[-1] == str(out)
    assert re.search(r'6 images with a label .*accuracy \d\.\d{3} \[.*macro AUC', result.stdout)
    assert re.search(r'pneumonia \(3\): AUC .*sensitivity .*specificity', result.stdout)
    assert '6 of 6 files were scored' in result.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        'images', 'maps', 't.csv', 't.metrics.json',
    ]  # fmt: skip
    stored = json.loads((tmp_path / 't.metrics.json').read_text())
    assert (stored['form'], stored['table'], stored['model']) == (1, 't.csv', 'tiny')
    assert stored['metrics']['images'] == 6 and stored['unmeasured_images'] == 0
    said = re.search(r'accuracy (\d\.\d{3})', result.stdout)[1]
    assert f'{stored["metrics"]["accuracy"][0]:.3f}' == said


def test_scoring_what_the_model_was_trained_on_is_said_and_counted(folder, model_file, tmp_path):
    from napari_cxr.checkpoint import load, save
    from napari_cxr.checkpoint.model_images import CARD_ENTRY, image_digest, packed_digests

    images = [folder / ('normal' if i % 2 else 'pneumonia') / f'{i}.png' for i in range(6)]
    splits = ['train', 'train', 'val', 'test', '', '']
    base = load(model_file)
    packed = packed_digests([image_digest(path) for path in images], splits)
    card = replace(base.card, data={'fingerprint': '0' * 64, CARD_ENTRY: packed})
    save(tmp_path / 'own.safetensors', base.tensors, card)

    def run(*words):
        command = ['score', folder, '--model', tmp_path / 'own.safetensors', '--device', 'cpu']
        command += ['--labels', 'folders', '--include-doubtful', *words]
        return CliRunner().invoke(app, [str(word) for word in command])

    result = run('--out', tmp_path / 't.csv', '--quiet')
    assert result.exit_code == 0, result.output
    assert 'The model was trained on 2 and was selected by 1 of these 6 images' in result.stderr
    assert 'own 2 training images and 1 validation images (3): accuracy ' in result.stdout
    by_name = {os.path.basename(r['path']): r['model_split'] for r in rows_of(tmp_path / 't.csv')}
    assert by_name == {path.name: split for path, split in zip(images, splits, strict=True)}
    stored = json.loads((tmp_path / 't.metrics.json').read_text())['metrics']
    assert stored['images'] == 6 and stored['unseen']['images'] == 3
    assert stored['unseen']['metrics']['images'] == 3

    result = run('--out', tmp_path / 'test.csv', '--split', 'test')
    assert result.exit_code == 0, result.output
    assert "1 of 6 files are in the split 'test'" in result.stderr
    assert [os.path.basename(r['path']) for r in rows_of(tmp_path / 'test.csv')] == ['3.png']
    assert not (tmp_path / 'test.metrics.json').exists()  # one image, so one class
    result = run('--out', tmp_path / 'u.csv', '--split', 'tset')
    assert result.exit_code == 2 and 'choose train, val or test' in result.stderr


def test_where_heatmaps_lie_without_pictures_in_single_precision(run, folder, tmp_path):
    out = tmp_path / 't.csv'
    result = run(folder, '--out', out, '--lung-share', '--precision', 'float32')
    assert result.exit_code == 0, result.output
    for row in rows_of(out):
        assert row['precision'] == 'float32' and 'heatmap' not in row
        assert 0 <= float(row['heatmap_lung_share']) <= 1 and row['lung_field']
    assert sorted(p.name for p in tmp_path.iterdir()) == ['images', 't.csv']
    result = run(folder, '--out', tmp_path / 'u.csv', '--precision', 'float8')
    assert result.exit_code == 2 and 'float8' in result.stderr


def test_two_runs_of_one_command_give_the_same_bytes(run, folder, model_file, tmp_path):
    """Nothing is measured that could come out another way the next time, or somewhere else."""
    words = ['score', str(folder), '--out', str(tmp_path / '0.csv'), '--model', str(model_file)]
    words += ['--device', 'cpu', '--batch-size', '4']
    command = [sys.executable, '-m', 'napari_cxr', *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    again = run(folder, '--out', tmp_path / '1.csv', '--batch-size', '4')
    assert again.exit_code == 0, again.stderr
    tables = [(tmp_path / f'{number}.csv').read_bytes() for number in range(2)]
    assert tables[0] == tables[1]
    assert {row['backend'] for row in rows_of(tmp_path / '1.csv')} <= set(backend_names())


@pytest.mark.parametrize(
    ('words', 'said'),
    [
        (
            ['fast'],
            "no backend 'fast': choose ONNX Runtime, OpenVINO, torch channels_last or torch",
        ),
        (['ONNX Runtime', '--precision', 'bfloat16'], 'ONNX Runtime does not compute in bfloat16'),
    ],
)
def test_status_2_for_an_unknown_backend(run, folder, tmp_path, words, said):
    result = run(folder, '--out', tmp_path / 't.csv', '--backend', *words)
    assert result.exit_code == 2
    assert said in ' '.join(result.stderr.replace('│', ' ').split())


def test_status_2_for_a_backend_that_is_not_installed(run, folder, tmp_path, monkeypatch):
    from napari_cxr.inference.backends import backend

    monkeypatch.setattr(backend, 'find_spec', lambda package: None)
    result = run(folder, '--out', tmp_path / 't.csv', '--backend', 'openvino')
    said = ' '.join(result.stderr.replace('│', ' ').split())
    assert result.exit_code == 2 and 'OpenVINO needs onnx and openvino, not installed here' in said
    assert 'Here there is torch channels_last, torch.' in said
    assert not list(tmp_path.glob('t.csv*'))


@pytest.mark.parametrize('name', ['torch', 'channels-last'])
def test_the_backend_that_was_asked_for_is_in_each_row(run, folder, tmp_path, name):
    result = run(folder, '--out', tmp_path / 't.csv', '--backend', name)
    assert result.exit_code == 0, result.output
    expected = find_backend(name).name
    assert {row['backend'] for row in rows_of(tmp_path / 't.csv')} == {expected}
    assert ('with torch channels_last' in result.stderr) == (expected != 'torch')


def test_status_1_if_a_file_fails_and_the_others_have_their_rows(run, folder, tmp_path):
    (folder / 'broken.dcm').write_text('<html>')
    out = tmp_path / 't.csv'
    (tmp_path / 'list.txt').write_text('none.png\n')
    result = run(folder, tmp_path / 'list.txt', '--out', out)
    assert result.exit_code == 1, result.output
    failed = {os.path.basename(r['path']): r['error'] for r in rows_of(out) if r['error']}
    assert 'web page' in failed['broken.dcm'] and 'no such file' in failed['none.png'].lower()
    assert len(rows_of(out)) == 8 and '6 of 8 files' in result.stderr
    assert f'{folder / "broken.dcm"}: ' in result.stderr, 'told as it happens'


@pytest.mark.parametrize(
    ('wrong', 'said'),
    [
        (['--out', 't.csv', '--scheduler', 'nix'], 'address of a Dask scheduler with its port'),
        (['--out', 't.xls'], 'called .csv'),
        (['--out', 't.csv', '--batch-size', '0'], 'neither'),
        (['--out', 't.csv', '--batch-size', 'many'], 'neither'),
        (['--out', 't.csv', '--workers', '0'], 'workers'),
        (
            ['--out', 't.csv', '--labels', 'none'],
            "There is no table none: labels are a table, or 'folders'",
        ),
        (['--out', 't.csv', '--decision', 'sensitivity=0.95'], 'none at all'),
        (['--out', 't.csv', '--heatmaps', 'maps'], 'of another table'),
        (['--out', 't.csv', '--heatmaps', 'images/maps'], 'taken for radiographs'),
        (['none', '--out', 't.csv'], 'no file or folder none'),
        (['x' * 300, '--out', 't.csv'], 'File name too long'),
        (['--out', f'{"x" * 245}.csv'], 'File name too long'),
        (['--out', 'there.csv'], 'exists'),
        (['--out', 'there.csv', '--resume'], 'there.csv'),
        ([], '--out'),
    ],
)
def test_status_2_for_wrong_usage(run, folder, wrong, said, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'there.csv').touch()
    (tmp_path / 'maps').mkdir()
    (tmp_path / 'maps' / '0000001-x.npz').touch()
    result = run(folder, *wrong)
    assert result.exit_code == 2 and result.stdout == ''
    assert said in result.stderr
    assert not (tmp_path / 't.csv.journal').exists()


def test_wrong_usage_is_told_before_torch_is_imported(folder, tmp_path):
    wrong = [
        ['--model', 'none'],
        ['--device', 'tpu'],
        ['--decision', 'sensitivity=2'],
        ['--heatmaps', 'images'],
        ['--labels', 'none.csv'],
        ['--scheduler', 'nix'],
        ['none'],
    ]
    commands = [['score', str(folder), '--out', 't.csv', *words] for words in wrong]
    script = f"""
import sys
from napari_cxr.cli import app
sys.modules['torch'] = None
for words in {commands!r}:
    try:
        app(words)
    except SystemExit as end:
        assert end.code == 2, (words, end.code)
"""
    ended = subprocess.run(
        [sys.executable, '-c', script], capture_output=True, text=True, cwd=folder.parent
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.count('Invalid value') == len(wrong)
    assert [path.name for path in tmp_path.iterdir()] == ['images']


def test_a_finished_table_that_is_resumed_has_not_failed(run, folder, tmp_path):
    """A line of cron is no failure each night because of one file that has failed long ago."""
    (folder / 'broken.png').write_text('<html>')
    out = tmp_path / 't.csv'
    assert run(folder, '--out', out).exit_code == 1
    before = out.read_bytes()
    again = run(folder, '--out', out, '--resume')
    assert again.exit_code == 0, again.output
    assert '1 row failed before: --retry-errors scores' in again.stderr
    assert out.read_bytes() == before
    (folder / 'z.png').write_text('<html>')  # a new one fails
    assert run(folder, '--out', out, '--resume').exit_code == 1
    assert run(folder, '--out', out, '--resume', '--retry-errors').exit_code == 1
    for name in ('broken', 'z'):
        (folder / f'{name}.png').write_bytes((folder / 'normal' / '1.png').read_bytes())
    assert run(folder, '--out', out, '--resume', '--retry-errors').exit_code == 0
    assert {row['status'] for row in rows_of(out)} == {'scored'}


def test_nothing_to_resume_is_begun_and_said(run, folder, tmp_path):
    out = tmp_path / 't.csv'
    result = run(folder / 'normal', '--out', out, '--resume')
    assert result.exit_code == 0 and f'Nothing was begun as {out} yet' in result.stderr


def test_the_journal_of_another_list_is_wrong_usage(run, folder, tmp_path, model_file):
    from napari_cxr.inference.classifier import Classifier
    from napari_cxr.scoring import ScoringStarted, list_items, score
    from napari_cxr.scoring.image_preparation import prepare_here

    out = tmp_path / 't.csv'
    items = list_items([folder])
    events = score(items, Classifier.load(model_file, 'cpu'), out, prepare_here)
    while not isinstance(next(events), ScoringStarted):
        pass
    events.close()
    (folder / 'normal' / '1.png').unlink()
    result = run(folder, '--out', out, '--resume')
    assert result.exit_code == 2 and 'another list of files' in result.stderr


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(sys.platform == 'win32', reason='signals')
def test_ctrl_c_keeps_the_rows_makes_no_file_unreadable_and_says_how_to_go_on(
    run, folder, model_file, tmp_path
):
    (folder / 'a.png').write_text('<html>')  # first: its line tells that scoring goes on
    for i in range(300):
        (folder / f'b{i:03}.png').symlink_to(folder / 'normal' / '1.png')
    whole, out = tmp_path / 'whole.csv', tmp_path / 't.csv'
    assert run(folder, '--workers', '2', '--out', whole).exit_code == 1
    words = [sys.executable, '-c', LISTENING, 'score', str(folder), '--workers', '2']
    words += ['--model', str(model_file), '--device', 'cpu', '--out', str(out)]
    with subprocess.Popen(
        words, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as going:
        lines = []
        for line in going.stderr:
            lines.append(line)
            if 'web page' in line:
                os.killpg(going.pid, signal.SIGINT)  # as a terminal does: decoders get it, too
        assert going.wait() == 1, lines
    said = ''.join(lines)
    assert 'Resume with: napari-cxr score' in said and said.rstrip().endswith('--resume')
    kept = rows_of(out)
    assert 1 <= len(kept) < 307
    assert [row['path'] for row in kept if row['error']] == [str(folder / 'a.png')]
    resumed = run(folder, '--workers', '2', '--out', out, '--resume')
    assert resumed.exit_code == 1 and f'{len(kept):,} of them done already' in resumed.stderr
    assert out.read_bytes() == whole.read_bytes()


@pytest.mark.skipif(sys.platform == 'win32', reason='signals')
def test_a_file_that_kills_its_decoder_is_a_row(run, folder, tmp_path, monkeypatch):
    from napari_cxr.workers.worker_process import WorkerProcess

    real, killed = WorkerProcess.run, []

    def run_job(self, job, **arguments):
        if job == 'prepare' and not killed:
            self.call('ready')
            killed.append(self.pid)
            os.kill(self.pid, signal.SIGSTOP)  # so it dies in the middle of a file for certain
            threading.Timer(0.3, os.kill, (self.pid, signal.SIGABRT)).start()
            threading.Timer(0.4, os.kill, (self.pid, signal.SIGCONT)).start()
        return real(self, job, **arguments)

    monkeypatch.setattr(WorkerProcess, 'run', run_job)
    result = run(folder, '--out', tmp_path / 't.csv', '--workers', '1')
    assert result.exit_code == 1, result.output
    rows = rows_of(tmp_path / 't.csv')
    failed = [row for row in rows if row['status'] == 'error']
    assert len(rows) == 6 and len(failed) == 1 and 'gave up' in failed[0]['error']


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.skipif(sys.platform == 'win32', reason='signals')
@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_wait_for_no_batch_under_way(folder, model_file, tmp_path, number):
    (folder / 'a.png').write_text('<html>')
    endless = (
        'import sys, time\n'
        'from napari_cxr.scoring.batching import BatchScorer\n'
        'BatchScorer.score_batch = lambda *_: print("under way", file=sys.stderr, flush=True) or '
        'time.sleep(600)\n'
    )
    words = [sys.executable, '-c', endless + LISTENING, 'score', str(folder), '--workers', '1']
    words += ['--out', str(tmp_path / 't.csv'), '--model', str(model_file), '--batch-size', '2']
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as going:
        for line in going.stderr:
            if 'under way' in line:
                going.send_signal(number)
                break
        going.stderr.read()
        assert going.wait() == 1
    assert [row['status'] for row in rows_of(tmp_path / 't.csv')] == ['error']


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.skipif(sys.platform == 'win32', reason='signals')
def test_ctrl_c_before_the_first_file_says_how_to_go_on_and_ends_at_once(
    folder, model_file, tmp_path
):
    out = tmp_path / 't.csv'
    words = [sys.executable, '-c', LISTENING, 'score', str(folder), '--out', str(out)]
    words += ['--model', str(model_file), '--labels', 'folders']
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as going:
        for line in going.stderr:
            if 'have a label' in line:  # torch is imported next
                going.send_signal(signal.SIGINT)
                break
        said = going.stderr.read()
        assert going.wait() == 1
    assert 'No row is done yet. Resume with: napari-cxr score' in said and not out.exists()


def test_status_1_of_a_stopped_run_is_in_the_help():
    said = CliRunner().invoke(app, ['score', '--help']).output
    assert 'some files failed or the run was stopped' in ' '.join(said.split())


def test_a_few_images_are_said_to_be_few(run, folder, tmp_path):
    words = ['--labels', 'folders', '--include-doubtful']
    result = run(folder, '--out', tmp_path / 't.csv', *words)
    assert result.exit_code == 0, result.output
    assert 'Few images: normal 3, pneumonia 3. With fewer than 5' in result.stdout
    assert re.search(r'macro AUC \d\.\d{3} \(no interval: too few\)\n', result.stdout)
    assert re.search(r'normal \(3\): AUC \d\.\d{3} \(no interval: too few\), sens', result.stdout)
    headings = '               covid19  normal  pneumonia\n'
    assert f'predicted label):\n{headings}' in result.stdout
    counts = re.findall(r'^    (covid19|normal|pneumonia) +(\d) +(\d) +(\d)$', result.stdout, re.M)
    assert [label for label, *_ in counts] == ['covid19', 'normal', 'pneumonia']
    assert [sum(map(int, row)) for _, *row in counts] == [0, 3, 3]


def test_folders_of_one_finding_are_measured_with_and_without_what_cannot_be_said(
    folder, tmp_path, findings_file
):
    (folder / 'normal').rename(folder / 'no_opacity')
    (folder / 'pneumonia').rename(folder / 'opacity')
    # Half of what it says lies on each side of the threshold, and some of it in the band.
    points = {'opacity': {'Youden': 0.4}}
    band = {'opacity': [0.0001, 0.4]}
    model = findings_file(
        ['opacity'], [0.4], operating_points=points, decision='Youden', undecided=band
    )
    out = tmp_path / 't.csv'
    words = ['score', folder, '--out', out, '--labels', 'folders', '--model', model]
    words.append('--include-doubtful')
    result = CliRunner().invoke(app, [str(word) for word in (*words, '--device', 'cpu')])
    assert result.exit_code == 0, result.output
    rows = rows_of(out)
    assert {row['truth'] for row in rows} == {'opacity', 'no_opacity'}
    undecided = [row for row in rows if row['answer'] == 'cannot say']
    assert all(row['label'] == 'no opacity' for row in undecided)
    assert re.search(r'opacity \(3; threshold 0\.4\): AUC .*sensitivity .*spec', result.stdout)
    assert undecided, 'the test is about these'
    assert f'Cannot say: {len(undecided)} of 6 images, a share of ' in result.stdout


def test_probabilities_hold_at_the_stated_prevalence(model_file, run, folder, tmp_path):
    result = run(folder, '--out', tmp_path / 't.csv', '--prior', 'normal=0.9')
    assert result.exit_code == 2 and 'does not say for which prevalence' in result.output
    assert not (tmp_path / 't.csv').exists()
    stated = tmp_path / 'stated.safetensors'
    shutil.copyfile(model_file, stated)
    prevalence = {'covid19': 0.2, 'normal': 0.3, 'pneumonia': 0.5}
    replace_card(stated, replace(read_card(stated), prevalence=prevalence))

    def call(name, *words):
        arguments = ['score', folder, '--out', tmp_path / name, '--model', stated, *words]
        return CliRunner().invoke(app, [str(a) for a in [*arguments, '--device', 'cpu', '-q']])

    wrong = call('wrong.csv', '--prior', 'normal')
    assert wrong.exit_code == 2 and 'CLASS=FRACTION' in wrong.output
    assert call('card.csv').exit_code == 0
    assert call('there.csv', '--prior', 'normal=0.9').exit_code == 0
    for before, after in zip(
        rows_of(tmp_path / 'card.csv'), rows_of(tmp_path / 'there.csv'), strict=False
    ):
        old, new = (float(row['p_normal']) for row in (before, after))
        # The odds move by those of the prevalence: 9 to 1 instead of 3 to 7.
        assert new / (1 - new) == pytest.approx(old / (1 - old) * 9 * 7 / 3, rel=1e-4)
        assert float(after['prevalence_normal']) == 0.9
