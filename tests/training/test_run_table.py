"""What counts as positive in the table of runs."""

import csv
import json
import os

import pytest
from finished_runs import write_epochs, write_model

from napari_cxr.checkpoint import Card, digest
from napari_cxr.training.recipe import Recipe
from napari_cxr.training.run_table import (
    RUN_COLUMNS,
    negative_class,
    outcomes,
    run_row,
    run_rows,
    write_run_table,
)


@pytest.mark.parametrize(
    ('labels', 'negative'),
    [
        (('NORMAL', 'PNEUMONIA'), 'NORMAL'),
        (('COVID', 'NOCOVID'), 'NOCOVID'),
        (('covid-19', 'non-covid-19'), 'non-covid-19'),
        (('Effusion', 'No Finding'), 'No Finding'),
        (('covid19', 'rest'), 'rest'),
        # No disease is without disease because its name begins like "no".
        (('covid19', 'nodule'), None),
        (('bacterial', 'viral'), None),
    ],
)
def test_the_class_without_the_disease(labels, negative):
    assert negative_class(labels) == negative


def card(labels, confusion=None, on='test', counts=None, multilabel=False):
    figures = {'classes': {label: {'counts': c} for label, c in (counts or {}).items()}}
    if confusion:
        figures['confusion'] = confusion
    return Card(
        name='small',
        title='',
        architecture='resnet10',
        labels=labels,
        channels=1,
        multilabel=multilabel,
        preprocessing={'height': 9, 'width': 9},
        metrics={'measured_on': on, 'model': {'all': figures}},
    )


def test_sagars_counts():
    found = outcomes(card(('NORMAL', 'PNEUMONIA'), [[191, 43], [13, 377]]))
    assert found == {'tp': 377, 'fp': 43, 'tn': 191, 'fn': 13}


def test_without_a_telling_name_the_second_of_two_is_positive():
    found = outcomes(card(('bacterial', 'viral'), [[7, 3], [1, 9]]))
    assert found == {'tp': 9, 'fp': 3, 'tn': 7, 'fn': 1}


def test_of_three_a_disease_taken_for_another_was_found():
    # Zhong's matrix: rows COVID-19, normal, pneumonia.
    found = outcomes(
        card(('covid19', 'normal', 'pneumonia'), [[98, 0, 2], [9, 197, 36], [5, 42, 351]])
    )
    assert found == {'tp': 98 + 2 + 5 + 351, 'fp': 9 + 36, 'tn': 197, 'fn': 42}


def test_without_a_class_without_disease_and_with_several_labels_counts_are_added():
    counts = {
        'a': {'tp': 1, 'fp': 2, 'tn': 3, 'fn': 4},
        'b': {'tp': 10, 'fp': 20, 'tn': 30, 'fn': 40},
    }
    total = {'tp': 11, 'fp': 22, 'tn': 33, 'fn': 44}
    assert outcomes(card(('a', 'b', 'c'), [[1] * 3] * 3, counts=counts)) == total
    assert outcomes(card(('a', 'b'), counts=counts, multilabel=True)) == total


def test_what_was_not_measured_on_test_images_is_not_known():
    assert outcomes(card(('a', 'b'), [[1, 2], [3, 4]], on='val')) == {}
    assert outcomes(card(('a', 'b'), multilabel=True)) == {}


METRICS = {'measured_on': 'test', 'model': {'all': {'confusion': [[191, 43], [13, 377]]}}}


def begin(folder, recipe):
    folder.mkdir(parents=True)
    (folder / 'recipe.toml').write_text(recipe.to_toml())


def finish(folder, recipe, metrics=METRICS):
    begin(folder, recipe)
    write_epochs(folder)
    write_model(folder, recipe, ('normal', 'pneumonia'), metrics)
    result = {'status': 'finished', 'trainable': 18}
    (folder / 'result.json').write_text(json.dumps(result))


def test_novas_columns_come_first():
    published = (
        'execution_time minutes_per_epoch acc val_acc auc val_auc loss val_loss input_shape '
        'filter batch activation_output epochs optimizer lr'
    )
    assert ' '.join(RUN_COLUMNS).startswith(published)


def test_a_finished_run(tmp_path, recipe):
    finish(tmp_path / 'one', recipe)
    row = run_row(tmp_path / 'one')
    assert tuple(row) == RUN_COLUMNS
    assert row == {
        'execution_time': 2.5,
        'minutes_per_epoch': pytest.approx(2.5 / 3),
        # Of the second epoch, which was kept.
        'acc': 0.7,
        'val_acc': 0.8,
        'auc': 0.75,
        'val_auc': 0.85,
        'loss': 0.7,
        'val_loss': 0.6,
        'input_shape': '33x33x1',
        'filter': 3,
        'batch': 4,
        'activation_output': 'softmax',
        'epochs': 3,
        'optimizer': 'adamw',
        'lr': 0.001,
        'run': 'one',
        'recipe': 'small',
        'network': 'small_resnet',
        'depth': 5,
        'parameters': 4 * 49 + 8 * 4 * 9 + 8 * 8 * 9 + 64 + 8 + 16,
        'trainable': 18,
        'tp': 377,
        'fp': 43,
        'tn': 191,
        'fn': 13,
        'heatmap_peak_in_lung': None,
        'heatmap_lung_lift': None,
        'status': 'finished',
    }


def test_one_unit_answers_by_a_sigmoid(tmp_path, recipe):
    single = recipe.with_changes({'loss.name': 'binary cross-entropy', 'head.single': True})
    finish(tmp_path / 'one', single)
    assert run_row(tmp_path / 'one')['activation_output'] == 'sigmoid'


def test_half_written_folders(tmp_path, recipe):
    begin(tmp_path / 'new', recipe)
    row = run_row(tmp_path / 'new')
    assert (row['status'], row['epochs'], row['val_auc']) == ('running', 0, None)
    assert row['parameters'] is None and row['batch'] == 4
    write_epochs(tmp_path / 'new')
    with (tmp_path / 'new' / 'metrics.csv').open('a') as file:
        file.write('4,0.1')  # being written
    (tmp_path / 'new' / 'result.json').write_text('{"stat')
    (tmp_path / 'new' / 'best.safetensors').write_bytes(b'\x00' * 5)
    row = run_row(tmp_path / 'new')
    assert (row['status'], row['epochs'], row['val_auc']) == ('running', 3, 0.85)
    # Nothing was written for an hour: nobody is at work any more.
    for path in (tmp_path / 'new').iterdir():
        os.utime(path, (path.stat().st_mtime - 3600,) * 2)
    assert run_row(tmp_path / 'new')['status'] == 'stopped'
    for sentence, status in (('Stopped in epoch 4.', 'stopped'), ('Ended: Full.', 'failed')):
        line = f'2026-11-21T11:00:00+00:00 Begun.\n2026-11-21T11:05:00+00:00 {sentence}\n'
        (tmp_path / 'new' / 'log.txt').write_text(line)
        assert run_row(tmp_path / 'new')['status'] == status
    (tmp_path / 'new' / 'recipe.toml').write_text('name = "sma')
    assert run_row(tmp_path / 'new')['batch'] is None


def test_all_runs_below_a_folder(tmp_path, recipe):
    finish(tmp_path / 'b', recipe)
    finish(tmp_path / 'a' / 'deep', recipe)
    begin(tmp_path / 'c', recipe)
    finish(tmp_path / 'c' / 'fold-1', recipe)
    finish(tmp_path / 'c' / 'fold-2', recipe)
    write_epochs(tmp_path / 'c' / 'fold-2', [(0.1, 0.9, 0.9, 0.2, 0.6, 0.65, 30.0, True)])
    (tmp_path / 'notes').mkdir()
    rows = run_rows(tmp_path)
    assert [row['run'] for row in rows] == ['a/deep', 'b', 'c']
    folds = rows[2]
    assert folds['val_acc'] == pytest.approx(0.7) and folds['val_auc'] == pytest.approx(0.75)
    assert (folds['execution_time'], folds['epochs'], folds['tp']) == (3.0, 4, 754)
    # Its folds have ended, but nobody has summed them up.
    assert folds['status'] == 'stopped'
    (tmp_path / 'c' / 'summary.json').write_text('{"folds": []}')
    assert run_row(tmp_path / 'c')['status'] == 'finished'
    assert [row['run'] for row in run_rows(tmp_path / 'c')] == ['fold-1', 'fold-2']
    assert [row['run'] for row in run_rows(tmp_path / 'b')] == ['b']


def test_the_table_as_a_file(tmp_path, recipe):
    finish(tmp_path / 'one', recipe)
    begin(tmp_path / 'two', recipe)
    rows = run_rows(tmp_path)
    rows[1]['reason'] = 'A full disk.'
    write_run_table(rows, tmp_path / 'runs.csv')
    with (tmp_path / 'runs.csv').open(newline='') as file:
        one, two = csv.DictReader(file)
    assert tuple(one) == (*RUN_COLUMNS, 'reason')
    assert (one['tp'], one['reason']) == ('377', '')
    assert (two['tp'], two['reason']) == ('', 'A full disk.')


def test_whatever_lies_in_a_run_folder_costs_its_own_cells(tmp_path):
    pytest.importorskip('fcntl')
    names = ('recipe.toml', 'result.json', 'metrics.csv', 'log.txt', 'best.safetensors')
    for number, name in enumerate(names):
        run = tmp_path / f'pipe{number}'
        run.mkdir()
        (run / 'recipe.toml').write_text('name = "mine"\n')
        (run / name).unlink(missing_ok=True)
        os.mkfifo(run / name)
    deep = tmp_path / 'deep'
    deep.mkdir()
    (deep / 'recipe.toml').write_text('name = ' + '[' * 10**5)
    (deep / 'result.json').write_text('[' * 10**5)
    (deep / 'metrics.csv').symlink_to('/dev/zero')
    (deep / 'log.txt').symlink_to(deep / 'log.txt')
    good = tmp_path / 'good'
    good.mkdir()
    (good / 'recipe.toml').write_text('name = "mine"\nbatch = 8\n')
    rows = {row['run']: row for row in run_rows(tmp_path)}
    assert rows['good']['batch'] == 8
    assert set(rows) == {'good', 'deep', *(f'pipe{n}' for n in range(1, 5))}  # without a recipe
    assert rows['deep']['recipe'] is None and rows['deep']['epochs'] == 0


def test_where_heatmaps_lie_stands_beside_the_accuracy(tmp_path):
    run = tmp_path / 'run'
    run.mkdir()
    write_model(run, Recipe(name='small', network='resnet10'), ('a', 'b'))
    assert run_row(run)['heatmap_peak_in_lung'] is None
    lift = {'value': 1.8, 'interval': None}
    located = {
        'images': 4,
        'peak_in_lung': {'value': 0.75, 'interval': [0.2, 0.99]},
        'measures': {'half_peak_lung_fraction': {'lift': lift}},
    }
    hashed = digest(run / 'best.safetensors')[:12]
    (run / 'evaluation').mkdir()
    report = run / 'evaluation' / 'metrics.json'
    other = {'model_hash': '0' * 12, 'heatmaps': {'peak_in_lung': {'value': 0.1}}}
    own = {'model_hash': hashed, 'heatmaps': located}
    report.write_text(json.dumps({'models': {'other': other, 'own': own}}))
    row = run_row(run)
    assert (row['heatmap_peak_in_lung'], row['heatmap_lung_lift']) == (0.75, 1.8)
    report.write_text(json.dumps({'models': {'other': other, 'own': 3}}))
    assert run_row(run)['heatmap_peak_in_lung'] is None
