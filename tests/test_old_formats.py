"""What version 0.1.0 left on people's disks is opened and gone on with; see its README.txt."""

import csv
import json
import os
import shutil
import subprocess
import sys
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from napari_cxr.checkpoint import catalog, load, read_card
from napari_cxr.checkpoint.card_page import card_markdown
from napari_cxr.cli import app
from napari_cxr.scoring.annotation.reading_list import ReadingList
from napari_cxr.scoring.table_reader import read_rows
from napari_cxr.training import Recipe, TrainingError, index, recipe_of
from napari_cxr.training.run_table import run_row, run_rows
from napari_cxr.training.sweep import Sweep, find

OLD = Path(__file__).parent / 'fixtures' / 'version_0_1'
#: Columns that tell of the machine and the hour, not of the result.
TIMES = ('seconds', 'utilisation', 'execution_time', 'minutes_per_epoch')
#: Another processor adds up in another order.
NEAR = 1e-4
CLASSES = ('normal', 'pneumonia')
PARAMETERS = {
    'texture': ['--labels', 'folders', '--decision', 'youden'],
    'findings': ['--labels', 'findings.csv'],
}


@pytest.fixture
def old(tmp_path, monkeypatch) -> Path:
    """A copy of the folder, as the current one; the models in it are the person's own."""
    copy = tmp_path / 'old'
    shutil.copytree(OLD, copy)
    monkeypatch.chdir(copy)
    monkeypatch.setenv('NAPARI_CXR_MODELS', str(copy / 'models'))
    monkeypatch.setenv('NAPARI_CXR_CACHE', str(tmp_path / 'cache'))
    return copy


def command(*words):
    result = CliRunner().invoke(app, [*map(str, words), '--device', 'cpu'])
    return result.exit_code, result.output


def texts_of(path) -> list[dict]:
    """The rows of a CSV, without what tells of the machine."""
    with Path(path).open(newline='', encoding='utf-8') as file:
        rows = list(csv.DictReader(file))
    return [{key: value for key, value in row.items() if key not in TIMES} for row in rows]


def assert_alike(one, other):
    """Whether two nested values are the same, but for the last digits of numbers."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_alike(one[key], other[key])
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_alike(a, b)
    else:
        try:
            assert float(one) == pytest.approx(float(other), abs=NEAR, nan_ok=True)
        except (TypeError, ValueError):
            assert one == other


def test_a_finished_table_of_one_label(old):
    run, found = read_rows(old / 'scores' / 'texture.csv')
    rows = list(found)
    assert (run.model, run.model_hash, run.version) == ('texture', '7d10a90e7154', '0.1.0')
    assert run.labels == ('normal', 'pneumonia') and not run.multilabel
    assert run.decision and run.shares and run.identify and run.truth and not run.heatmaps
    assert run.preprocessing['lungs'] == 'only' and run.preprocessing['height'] == 48
    assert Counter(row.status for row in rows) == {'scored': 16, 'error': 1}
    assert Counter(row.truth for row in rows) == {'normal': 9, 'pneumonia': 8}
    first, broken, last = rows[0], rows[8], rows[16]
    assert (first.path, first.label, first.called) == (
        'images/normal/00.png',
        'pneumonia',
        ('normal',),
    )
    assert first.probabilities == (0.4532521, 0.5467479)
    assert (first.lung_share, first.frame_share) == (0.8554153, 0.1096784)
    assert (first.lung_field, first.device, first.precision) == ('network', 'cpu', 'float32')
    assert broken.path == 'images/normal/broken.png' and 'web page' in broken.error
    assert last.called == ('pneumonia',) and last.probabilities == (0.4328073, 0.5671927)
    named = [row.identity['patient_name'] for row in rows if row.identity]
    assert named == ['Phantom^Made of Numbers'] * 2


def test_a_finished_table_of_several_labels(old):
    run, found = read_rows(old / 'scores' / 'findings.jsonl')
    rows = list(found)
    assert run.labels == ('No finding', 'effusion', 'opacity') and run.multilabel
    assert run.label_rule.thresholds == (0.5, 0.5, 0.5) and run.patients
    assert len(rows) == 16 and rows[15].truth == 'effusion|opacity' and rows[15].patient == '8'
    assert rows[0].above == ('No finding', 'effusion') and rows[0].answer == 'No finding'
    assert rows[0].probabilities == (0.5220304, 0.5039444, 0.4940449)


def test_a_table_in_parquet_with_heatmaps(old):
    pytest.importorskip('pyarrow')
    run, found = read_rows(old / 'scores' / 'two.parquet')
    rows = list(found)
    assert run.heatmaps and [row.heatmap for row in rows] == [
        'scores/heatmaps/0000001-00.png',
        'scores/heatmaps/0000002-01.png',
    ]
    assert rows[1].probabilities == (0.4362834, 0.5637166)
    with np.load(old / 'scores' / 'heatmaps' / '0000001-00.npz') as maps:
        assert {'to_radiograph', 'normal', 'pneumonia'} == set(maps)


@pytest.mark.parametrize(
    ('name', 'done'), [('texture-stopped.csv', 9), ('findings-stopped.jsonl', 12)]
)
def test_a_stopped_table_with_and_without_its_journal(old, name, done):
    run, found = read_rows(old / 'scores' / name)
    kept = list(found)
    assert len(kept) == done
    _, whole = read_rows(old / 'scores' / name.replace('-stopped', ''))
    for row, same in zip(kept, whole, strict=False):
        assert (row.path, row.label, row.truth) == (same.path, same.label, same.truth)
        assert row.probabilities == pytest.approx(same.probabilities, abs=1e-6)
    (old / 'scores' / f'{name}.journal').unlink()
    run_of_table, so_far = read_rows(old / 'scores' / name)
    assert [row.path for row in so_far] == [row.path for row in kept]
    assert (run_of_table.model, run_of_table.labels) == (run.model, run.labels)


def moved(journal: Path):
    """Let a journal of relative paths begin where its copy lies."""
    head, _, rest = journal.read_bytes().partition(b'\n')
    header = head[9:].replace(b'/tmp/napari-cxr-0.1', os.getcwd().encode())
    journal.write_bytes(b'%08x %s\n' % (zlib.crc32(header), header) + rest)


@pytest.mark.parametrize(
    ('name', 'ending', 'images', 'total', 'done'),
    [('texture', 'csv', 'images', 17, 9), ('findings', 'jsonl', 'findings.csv', 16, 12)],
)
def test_scoring_goes_on_where_it_was_stopped(old, name, ending, images, total, done):
    out = old / 'scores' / f'{name}-stopped.{ending}'
    moved(out.with_name(f'{out.name}.journal'))
    status, said = command(
        'score', images, '--out', out, '--model', name, '--batch-size', 4, '--lung-share',
        '--identify', '--workers', 1, '--resume', *PARAMETERS[name],
    )  # fmt: skip
    assert status == (name == 'texture'), said  # one of its files is no image
    assert f'{done} of them done already' in said
    assert not out.with_name(f'{out.name}.journal').exists()
    _, found = read_rows(out)
    _, whole = read_rows(old / 'scores' / f'{name}.{ending}')
    rows, expected = list(found), list(whole)
    assert len(rows) == len(expected) == total
    for row, same in zip(rows, expected, strict=True):
        assert (row.path, row.label, row.called, row.above, row.truth, row.patient) == (
            same.path,
            same.label,
            same.called,
            same.above,
            same.truth,
            same.patient,
        )
        assert row.probabilities == pytest.approx(same.probabilities, abs=NEAR)
        assert row.lung_share == pytest.approx(same.lung_share, abs=0.01)


def test_a_finished_table_takes_what_is_new(old):
    out = old / 'scores' / 'texture.csv'
    before = texts_of(out)
    shutil.copy(old / 'images' / 'normal' / '00.png', old / 'images' / 'pneumonia' / '99.png')
    status, said = command(
        'score', 'images', '--out', out, '--model', 'texture', '--batch-size', 4, '--lung-share',
        '--identify', '--workers', 1, '--resume', *PARAMETERS['texture'],
    )  # fmt: skip
    assert status == 0 and '17 of them done already' in said, said
    assert '1 row failed before' in said, said
    after = texts_of(out)
    assert len(after) == 18
    for row, same in zip(after, before, strict=False):
        assert {key: row[key] for key in same} == same
    assert after[17]['path'] == 'images/pneumonia/99.png'
    assert_alike(after[17]['p_normal'], after[0]['p_normal'])


@pytest.mark.parametrize(
    ('table', 'said', 'agreed', 'classes'),
    [
        ('texture.csv', ('pneumonia',), ('normal',), {'normal', 'pneumonia'}),
        ('findings.jsonl', ('effusion', 'opacity'), (), {'No finding', 'effusion', 'opacity'}),
    ],
)
def test_labels_and_notes(old, table, said, agreed, classes):
    run, rows = read_rows(old / 'scores' / table)
    paths = [row.path for row in rows if row.status == 'scored']
    reading = ReadingList.open(old / 'scores' / table, run.labels)
    try:
        first, second, third, fourth, fifth = (reading.get(path) for path in paths[:5])
        assert first.labels == said and first.read and not first.agreed
        assert second.labels == agreed and second.agreed and second.note == 'rotated; “schräg”'
        assert third.unsure and fourth is None
        assert fifth.note == 'look again' and not fifth.read
        assert first.when.startswith('2026-11-30T11:0') and not reading.damaged
        assert reading.undoable == paths[4]
        assert reading.undo() == paths[4] and reading.get(paths[4]) is None
        assert {label for _, entry in reading for label in entry.labels} <= classes
    finally:
        reading.close()
    exported = index(old / f'{Path(table).stem}-read.csv')
    assert [sample.label for sample in exported.samples] == [
        '|'.join(said),
        '|'.join(agreed) or 'No finding',
    ]


def test_checkpoints_and_their_cards(old):
    one, two = (read_card(old / 'models' / f'{n}.safetensors') for n in ('texture', 'findings'))
    assert (one.architecture, one.labels, one.multilabel) == (
        'lung_texture',
        ('normal', 'pneumonia'),
        False,
    )
    assert one.title == 'Two classes of drawn radiographs' and one.licence == 'CC0-1.0'
    assert one.temperature == pytest.approx(6.3715533823)
    assert one.operating_points['normal']['Youden'] == pytest.approx(0.4422055903)
    assert one.metrics['model']['all']['accuracy'] == [0.5, 0.15, 0.85]
    assert one.recipe['optimiser']['learning_rate'] == 0.5 and one.data['epoch'] == 2
    assert two.labels == ('No finding', 'effusion', 'opacity') and two.multilabel
    assert two.thresholds == (0.5, 0.5, 0.5) and two.negative_label == 'No finding'
    assert 'Two classes of drawn radiographs' in card_markdown(one)


@pytest.mark.parametrize(
    ('name', 'form', 'temperature'),
    [('form-1', 1, 19.9998704421), ('texture', 2, 6.3715533823)],
)
def test_cards_of_both_forms(old, name, form, temperature):
    path = old / 'models' / f'{name}.safetensors'
    assert f'\\"form\\": {form},'.encode() in path.read_bytes()[:200]
    card = read_card(path)
    assert card.name == 'texture' and card.temperature == pytest.approx(temperature)
    network = load(path).network()
    assert sum(p.numel() for p in network.parameters()) == 8


def test_a_model_says_what_it_said(old):
    status, said = command('classify', 'images/pneumonia/05.dcm', '--model', 'texture', '--json')
    assert status == 0, said
    row = json.loads(said.splitlines()[-1])
    assert row['label'] == 'pneumonia'
    assert row['p_pneumonia'] == pytest.approx(0.5688306, abs=NEAR)


def test_the_models_that_a_person_lists(old):
    found = {entry.name: entry for entry in catalog.entries()}
    assert found['texture'].origin == 'yours' and found['texture'].card.title
    ward = found['ward']
    assert (ward.origin, ward.size, ward.path, ward.error) == ('download', 9424, None, '')
    assert ward.url == 'https://models.example/findings.safetensors'
    assert ward.summary['labels'] == ['effusion', 'opacity']
    assert found['txrv'].weights == 'all' and found['txrv'].needs_download
    (old / 'models' / 'downloads').mkdir()
    shutil.copy(old / 'models' / 'findings.safetensors', 'models/downloads/ward.safetensors')
    assert catalog.resolve('ward') == old / 'models' / 'downloads' / 'ward.safetensors'


def test_recipes_and_a_sweep_in_toml(old):
    read = {
        path.stem: Recipe.from_toml(path.read_text(encoding='utf-8'))
        for path in (old / 'recipes').glob('*.toml')
        if not path.stem.endswith('.sweep')
    }
    assert len(read) == 6 and all(recipe.name == name for name, recipe in read.items())
    for recipe in read.values():
        assert Recipe.from_toml(recipe.to_toml()) == recipe
    texture, folds, zhong = read['texture'], read['folds'], read['zhong']
    assert (texture.epochs, texture.batch, texture.seed) == (2, 4, 3)
    assert texture.input.lungs == 'only' and texture.augmentation.rotation == 5.0
    assert texture.selection.average == 0.5 and texture.stopping.patience == 5
    assert (folds.split.method, folds.split.folds, folds.split.then_all) == ('k-fold', 2, True)
    assert read['findings'].weights == 'models/texture.safetensors'
    assert read['bundled-lung-texture'].split.left_out[0] == ('hannover', 'nih')
    assert zhong.network == 'zhong_cnn' and read['start-fine-tuning'].weights == 'pretrained'
    sweep = Sweep.from_toml((old / 'recipes' / 'rates.sweep.toml').read_text(encoding='utf-8'))
    assert [(run.name, run.recipe.optimiser.learning_rate) for run in sweep.runs] == [
        ('rate-0.1', 0.1),
        ('rate-1.0', 1.0),
    ]


def test_finished_runs_in_the_table_of_runs(old):
    assert {row['run']: (row['status'], row['epochs']) for row in run_rows(old / 'runs')} == {
        'findings': ('finished', 3),
        'findings-stopped': ('stopped', 1),
        'folds': ('finished', 3),
        'folds-stopped': ('stopped', 1),
        'rates/rate-0.1': ('finished', 1),
        'rates/rate-1.0': ('finished', 1),
        'rates-stopped/rate-0.1': ('finished', 1),
        'texture': ('finished', 2),
        'texture-stopped': ('stopped', 1),
    }
    row = run_row(old / 'runs' / 'texture')
    assert row['val_loss'] == pytest.approx(0.8697923229) and row['acc'] == 0.875
    assert (row['tp'], row['fp'], row['tn'], row['fn']) == (2, 2, 0, 0)
    assert (row['network'], row['optimizer'], row['lr']) == ('lung_texture', 'adamw', 0.5)
    row = run_row(old / 'runs' / 'findings')
    assert (row['activation_output'], row['parameters']) == ('sigmoid', 12)
    assert [row['run'] for row in run_rows(old / 'runs' / 'folds')] == ['fold-1', 'fold-2', 'all']
    assert run_row(old / 'runs' / 'folds')['loss'] == pytest.approx(0.6659004938648)
    assert recipe_of(old / 'runs' / 'texture').epochs == 2
    assert recipe_of(old / 'runs' / 'findings-stopped').weights.startswith('texture@sha256:')


def test_a_finished_run_is_not_begun_again(old):
    from napari_cxr.training import train

    os.remove('images/normal/broken.png')
    with pytest.raises(TrainingError, match='is finished; there is nothing to resume'):
        recipe = recipe_of('runs/texture')
        list(train(index('images'), recipe, 'runs/texture', 'cpu', resume=True))


@pytest.mark.parametrize(
    ('name', 'images', 'epochs'), [('texture', 'images', 2), ('findings', 'findings.csv', 3)]
)
def test_training_goes_on_where_it_was_stopped(old, name, images, epochs):
    shutil.rmtree(old / 'models')  # a run has all that it needs in its folder
    os.remove('images/normal/broken.png')
    out = old / 'runs' / f'{name}-stopped'
    status, said = command('train', images, '--out', out, '--resume')
    assert status == 0, said
    assert 'Resumed after 1 epochs and 1 steps.' in (out / 'log.txt').read_text()
    whole = old / 'runs' / name
    rows = texts_of(out / 'metrics.csv')
    assert len(rows) == epochs
    assert_alike(rows, texts_of(whole / 'metrics.csv'))
    one, other = (load(folder / 'best.safetensors') for folder in (out, whole))
    for key, tensor in other.tensors.items():
        np.testing.assert_allclose(one.tensors[key].numpy(), tensor.numpy(), atol=NEAR)
    hashes = one.card.data['image_hashes']  # cards of version 0.1 lack them
    assert one.card.data == other.card.data | {'image_hashes': hashes}
    results = [json.loads((folder / 'result.json').read_text()) for folder in (out, whole)]
    assert {**results[0], 'metrics': 0} == {**results[1], 'metrics': 0}
    assert not (out / 'state.safetensors').exists()


def test_folds_go_on_where_they_were_stopped(old):
    os.remove('images/normal/broken.png')
    out, whole = old / 'runs' / 'folds-stopped', old / 'runs' / 'folds'
    kept = (out / 'fold-1' / 'best.safetensors').read_bytes()
    status, said = command('train', 'images', '--out', out, '--resume')
    assert status == 0, said
    assert (out / 'fold-1' / 'best.safetensors').read_bytes() == kept
    for fold in ('fold-2', 'all'):  # started now, so their matrix has columns of its own
        rows, before = (texts_of(f / fold / 'metrics.csv') for f in (out, whole))
        for row in rows:
            counts = [row.pop(f'confusion_{a}_{b}') for a in CLASSES for b in CLASSES]
            row['confusion'] = f'{counts[0]} {counts[1]} / {counts[2]} {counts[3]}'
        assert_alike(rows, before)
    summaries = [json.loads((f / 'summary.json').read_text()) for f in (out, whole)]
    assert summaries[0].keys() == summaries[1].keys()
    # The first version had fewer metrics, and calibrated on a handful of images.
    figures = [summary['figures'] for summary in summaries]
    same = [n for n in figures[1] if not n.startswith(('calibration_error', 'mean_prob'))]
    assert len(same) > 5
    assert_alike(*({name: found[name] for name in same} for found in figures))
    assert (
        read_card(out / 'all' / 'best.safetensors').metrics['measured_on']
        == (read_card(whole / 'all' / 'best.safetensors').metrics['measured_on'])
    )


def test_a_sweep_goes_on_where_it_was_stopped(old):
    os.remove('images/normal/broken.png')
    assert find(old / 'runs' / 'rates' / 'sweep.toml').name == 'rates'
    out, whole = old / 'runs' / 'rates-stopped', old / 'runs' / 'rates'
    kept = (out / 'rate-0.1' / 'best.safetensors').read_bytes()
    assert len(texts_of(out / 'runs.csv')) == 1
    status, said = command('sweep', 'images', '--out', out, '--resume')
    assert status == 0, said
    assert (out / 'rate-0.1' / 'best.safetensors').read_bytes() == kept
    rows, before = texts_of(out / 'runs.csv'), texts_of(whole / 'runs.csv')
    for row in rows:  # the later version has two columns more, of an evaluation that was not made
        assert (row.pop('heatmap_peak_in_lung'), row.pop('heatmap_lung_lift')) == ('', '')
    assert_alike(rows, before)


PREFERENCES = """
from napari_cxr.plugin.preferences import preferences
classify, batch, train = (preferences(name) for name in ('classify', 'batch', 'train'))
print(classify.model, classify.device, classify.opacity, classify.lungs)
print(batch.table, batch.shares, batch.batch, batch.precision)
print(batch.columns, '/', batch.column_order, '/', batch.column_widths)
print(train.recipe, train.runs, preferences('runs').hidden, preferences('layers').file_names)
"""


def test_preferences_of_the_docks(old, monkeypatch):
    # In a process of its own: napari reads its settings once.
    monkeypatch.setenv('NAPARI_CONFIG', str(old / 'settings' / 'napari.yaml'))
    done = subprocess.run([sys.executable, '-c', PREFERENCES], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        'texture cpu 0.7 True',
        'scores/texture.csv False 16 float32',
        '+frame_share -view / answer file / file=200',
        'start-fine-tuning runs tp fp True',
    ]
