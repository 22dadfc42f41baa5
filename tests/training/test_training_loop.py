"""Folds one after another, kept when resumed, and summed up by hand."""

import csv
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from finished_runs import write_epochs, write_model
from labelled_images import write_image, write_table

from napari_cxr.checkpoint import load, read_card
from napari_cxr.checkpoint.card_page import card_markdown, headline
from napari_cxr.metrics import probabilities_of
from napari_cxr.training import (
    Dataset,
    Recipe,
    Sample,
    Split,
    TrainingError,
    TrainingFinished,
    TrainingStarted,
    index,
    train,
)
from napari_cxr.training.model_evaluation import (
    evaluate_model,
    read_predictions,
    true_labels,
    write_predictions,
)
from napari_cxr.training.run_table import run_rows
from napari_cxr.training.splits import splits_of
from napari_cxr.training.training_events import RunsDone
from napari_cxr.training.training_loop import cross_validate

FOLDS = ('fold-1', 'fold-2', 'fold-3')


@pytest.fixture
def recipe(recipe):
    """The small recipe, in three folds."""
    return recipe.with_changes({'split.method': 'k-fold', 'split.folds': 3})


@pytest.fixture
def images():
    """36 images of 18 patients, whose two images are in one fold."""
    samples = tuple(
        Sample(Path(f'{i}.png'), 'ab'[i // 2 % 2], f'patient {i // 2}', '', 'xy'[i // 6 % 2])
        for i in range(36)
    )
    return SimpleNamespace(
        dataset=Dataset(Path(), samples, grouped=True),
        digests=tuple(f'{i:04x}' for i in range(36)),
        features=np.random.default_rng(0).normal(size=(36, 4)),
    )


@pytest.fixture
def splits():
    fold = np.arange(36) // 12
    return [
        (
            FOLDS[k],
            Split(*(np.flatnonzero((fold - k) % 3 == part) for part in (1, 2, 0)), 'by patient'),
        )
        for k in range(3)
    ]


class Trainer:
    """Trains nothing: the k-th fold errs on its first k - 1 test images, and on one of val."""

    def __init__(self, images, recipe):
        self.images, self.recipe = images, recipe
        self.calls = []
        self.folds = FOLDS
        self.breaks_in = ''

    def __call__(self, recipe, split, folder, run, resume, entries):
        self.calls.append((run, resume))
        self.entries = entries
        folder.mkdir(exist_ok=True)
        (folder / 'recipe.toml').write_text(recipe.to_toml())
        write_epochs(folder)
        yield RunsDone(run, 0, 0)  # any event
        if folder.name == self.breaks_in:
            raise TrainingError('The light went out.')
        dataset = self.images.dataset
        truth = true_labels(dataset)
        if entries is not None:
            write_model(folder, self.recipe, dataset.labels, entries['metrics'])
            (folder / 'result.json').write_text('{"status": "finished"}')
            yield TrainingFinished(run, str(folder / 'best.safetensors'), 2, entries['metrics'])
            return
        wrong = split.test[: self.folds.index(folder.name)]
        logits = np.where(truth[:, None] == np.arange(2), 3.0, 0.0)
        logits[[*wrong, split.val[0]]] = logits[[*wrong, split.val[0]], ::-1]
        found = evaluate_model(dataset, split, self.images, logits, self.recipe)
        probabilities = probabilities_of(logits, False, found['temperature'], found['bias'])
        write_predictions(folder, dataset, split, self.images.digests, probabilities, logits)
        write_model(folder, self.recipe, dataset.labels, found['metrics'])
        (folder / 'result.json').write_text('{"status": "finished"}')
        yield TrainingFinished(run, str(folder / 'best.safetensors'), 2, found['metrics'])


@pytest.fixture
def trainer(images, recipe):
    return Trainer(images, recipe)


def test_each_fold_is_a_run_and_the_summary_is_over_all_of_them(
    tmp_path, images, splits, recipe, trainer
):
    out = tmp_path / 'crossed'
    events = list(cross_validate(images, splits, recipe, out, trainer))
    assert trainer.calls == [(f'crossed/{name}', False) for name in FOLDS]
    rows = [e for e in events if isinstance(e, RunsDone) and e.run == 'crossed']
    assert [(e.done, e.total, e.row['run']) for e in rows] == [
        (k, 3, f'crossed/fold-{k}') for k in (1, 2, 3)
    ]
    end = events[-1]
    assert (end.run, end.path, end.epoch) == ('crossed', '', 0)

    # Each folder knows which fold it is, so that it can be made again alone.
    own = Recipe.from_toml((out / 'fold-2' / 'recipe.toml').read_text())
    assert own == recipe.with_changes({'split.fold': 2})

    summary = json.loads((out / 'summary.json').read_text())
    assert summary['metrics'] == end.metrics
    # 12 of 12, 11 of 12, 10 of 12 are right.
    accuracy = summary['figures']['accuracy']
    assert accuracy == {'mean': 0.9167, 'sd': pytest.approx(1 / 12, abs=1e-4), 'folds': 3}
    assert [fold['figures']['accuracy'] for fold in summary['folds']] == [1, 0.9167, 0.8333]
    assert summary['folds'][2]['model'] == 'fold-3/best.safetensors'
    pooled = summary['metrics']['model']['all']
    assert (pooled['images'], pooled['patients']) == (36, 18)
    value, low, high = pooled['accuracy']
    # Between the exact intervals of 36 cases and of 18.
    assert value == 0.9167 and 0.68 < low < 0.7753 and 0.9825 < high < 0.999
    # The wrong ones: image 12 (a), 24 and 25 (a).
    assert pooled['confusion'] == [[15, 3], [0, 18]]
    # Images 12 and 24 begin a patient of class a; sources x and y have 18 images each.
    assert summary['metrics']['model']['x']['images'] == 18
    assert summary['metrics']['most_frequent_class'] == 0.5
    for baseline in summary['metrics']['baselines'].values():
        assert baseline['all']['images'] == 36
    assert 'The best fold' in summary['note']
    assert json.loads((out / 'result.json').read_text())['metrics'] == summary['metrics']

    with (out / 'summary.csv').open(newline='') as file:
        lines = {row['fold']: row for row in csv.DictReader(file)}
    assert lines['fold-2']['accuracy'] == '0.9167'
    assert lines['mean']['accuracy'] == '0.9167'
    assert float(lines['standard deviation']['accuracy']) == accuracy['sd']
    assert lines['all images']['sensitivity of a'] == '0.8333'
    assert float(lines['all images, 95 % from']['accuracy']) == low
    assert float(lines['all images, 95 % to']['accuracy']) == high


def test_it_goes_on_where_it_was_cut_off(tmp_path, images, splits, recipe, trainer):
    out = tmp_path / 'crossed'
    trainer.breaks_in = 'fold-2'
    with pytest.raises(TrainingError, match='light'):
        list(cross_validate(images, splits, recipe, out, trainer))
    trainer.breaks_in, trainer.calls = '', []
    events = list(cross_validate(images, splits, recipe, out, trainer, resume=True))
    assert trainer.calls == [('crossed/fold-2', True), ('crossed/fold-3', False)]
    done = [e.done for e in events if isinstance(e, RunsDone) and e.run == 'crossed']
    assert done == [1, 2, 3]
    whole = (out / 'summary.json').read_text()
    other = tmp_path / 'again'
    list(cross_validate(images, splits, recipe, other, trainer))
    assert (other / 'summary.json').read_text() == whole
    with pytest.raises(TrainingError, match='finished'):
        list(cross_validate(images, splits, recipe, out, trainer, resume=True))


def test_a_source_left_out_is_named_in_its_recipe(tmp_path, images, splits, recipe):
    source = np.array([sample.source for sample in images.dataset.samples])
    parts = [np.flatnonzero(source == name) for name in 'xy']
    sides = [
        (f'source-{name}', Split(other[:12], other[12:], own, 'by patient'))
        for name, own, other in (('x', *parts), ('y', *parts[::-1]))
    ]
    seen = []

    def train_fold(recipe, split, folder, run, resume, entries):
        seen.append((run, recipe.split.left_out, recipe.split.fold))
        yield RunsDone(run, 0, 0)
        raise TrainingError('Enough.')

    leaving = recipe.with_changes({'split.method': 'leave-source-out'})
    for _ in range(2):
        with pytest.raises(TrainingError, match='Enough'):
            list(cross_validate(images, sides, leaving, tmp_path / 'out', train_fold, resume=True))
        (tmp_path / 'out' / 'source-x').mkdir(exist_ok=True)
        (tmp_path / 'out' / 'source-x' / 'result.json').write_text('{}')
    assert seen == [('out/source-x', (('x',),), 0), ('out/source-y', (('y',),), 0)]


@pytest.fixture
def leaving(recipe):
    """The small recipe, leaving sources out in sets that overlap."""
    sets = [['x'], ['y'], ['x', 'z'], ['z', 'y']]
    changes = {'split.method': 'leave-source-out', 'split.left_out': sets, 'split.val': 0.34}
    return recipe.with_changes(changes | {'split.then_all': True})


@pytest.fixture
def overlapping(images, leaving, trainer):
    """Folds of 16 patients x, 16 y and 16 z, two images each, and who trains them."""
    samples = tuple(
        Sample(Path(f'{i}.png'), 'ab'[i // 2 % 2], f'patient {i // 2}', '', 'xyz'[i // 4 % 3])
        for i in range(96)
    )
    images.dataset = Dataset(Path(), samples, grouped=True)
    images.digests = tuple(f'{i:04x}' for i in range(96))
    images.features = np.random.default_rng(0).normal(size=(96, 4))
    splits = splits_of(images.dataset, leaving.split, leaving.seed)
    trainer.folds = tuple(name for name, _ in splits)
    return splits


def test_folds_that_share_images_are_averaged(tmp_path, images, overlapping, leaving, trainer):
    out = tmp_path / 'out'
    *_, last = cross_validate(images, overlapping, leaving, out, trainer)
    names = ['without-x', 'without-y', 'without-x-z', 'without-z-y']
    assert [run for run, _ in trainer.calls] == [f'out/{name}' for name in (*names, 'all')]
    found = last.metrics
    assert (found['measured_on'], found['folds'], found['averaged']) == (
        'sources left out',
        4,
        True,
    )
    # The k-th fold errs on k - 1 of its test images: 32, 32, 64 and 64 of them.
    accuracies = [1, 31 / 32, 62 / 64, 61 / 64]
    assert found['model']['all']['images'] == 96 and found['model']['all']['patients'] == 48
    assert found['model']['all']['accuracy'][0] == pytest.approx(np.mean(accuracies), abs=1e-4)
    # Source x: the first fold, and of the third those of x among its first two errors.
    of_x = [images.dataset.samples[i].source == 'x' for i in overlapping[2][1].test[:2]]
    expected = (1 + (32 - sum(of_x)) / 32) / 2
    assert found['model']['x']['accuracy'][0] == pytest.approx(expected, abs=1e-4)
    assert found['model']['x']['folds'] == 2
    for kind, baseline in found['baselines'].items():
        difference = found['differences'][kind]['all']['macro_auc']
        ours, theirs = found['model']['all']['macro_auc'][0], baseline['all']['macro_auc'][0]
        assert difference[0] == pytest.approx(ours - theirs, abs=2e-4)
        assert difference[1] < difference[0] < difference[2]
    third = found['by_fold']['without-x-z']
    assert third['sources'] == ['x', 'z'] and third['model'].keys() == {'all', 'x', 'z'}
    card = read_card(out / 'without-x-z' / 'best.safetensors')
    assert third['model']['all']['macro_auc'] == card.metrics['model']['all']['macro_auc']
    assert third['differences'] == card.metrics['differences']

    with (out / 'summary.csv').open(newline='') as file:
        lines = {row['fold']: row for row in csv.DictReader(file)}
    assert float(lines['mean']['accuracy']) == found['model']['all']['accuracy'][0]
    assert float(lines['mean, 95 % from']['accuracy']) == found['model']['all']['accuracy'][1]
    value = lines['without-x-z, x, model minus format only, 95 % to']['macro_auc']
    assert float(value) == third['differences']['format only']['x']['macro_auc'][2]
    assert 'all images' not in lines


def test_a_last_run_on_everything_gets_what_the_folds_say(
    tmp_path, images, overlapping, leaving, trainer
):
    out = tmp_path / 'out'
    leaving = leaving.with_changes({'calibration.method': 'temperature'})
    trainer.breaks_in = 'all'
    with pytest.raises(TrainingError, match='light'):
        list(cross_validate(images, overlapping, leaving, out, trainer))
    assert not (out / 'result.json').exists()
    trainer.breaks_in, trainer.calls = '', []
    events = list(cross_validate(images, overlapping, leaving, out, trainer, resume=True))
    assert trainer.calls == [('out/all', True)]
    done = [(e.done, e.total, e.row['run']) for e in events if isinstance(e, RunsDone) and e.total]
    assert done == [
        *((k, 5, f'out/{name}') for k, name in enumerate(trainer.folds, start=1)),
        (5, 5, 'out/all'),
    ]
    end = events[-1]
    assert (end.run, end.epoch) == ('out', 2)
    assert end.path == str(out / 'all' / 'best.safetensors')
    own = Recipe.from_toml((out / 'all' / 'recipe.toml').read_text())
    ((name, split),) = splits_of(images.dataset, own.split, own.seed)
    assert name == '' and not len(split.test)
    assert len(split.train) + len(split.val) == 96 and 24 <= len(split.val) <= 40
    summary = json.loads((out / 'summary.json').read_text())
    assert trainer.entries['metrics'] == end.metrics == summary['metrics']
    assert trainer.entries['recipe'] == leaving.to_dict()
    assert 'folder "all"' in summary['note']

    # Each image counts once: it is in two folds, and half in each.
    chosen, weights = [], []
    for (_, one), wrong in zip(overlapping, range(4), strict=True):
        chosen += [(int(i), place < wrong) for place, i in enumerate(one.test)]
    for i, _ in chosen:
        weights.append(1 / sum(i == other for other, _ in chosen))
    assert set(weights) == {1 / 2}
    right = sum(w for (_, wrong), w in zip(chosen, weights, strict=True) if not wrong) / 96
    # All logits differ by 3: sigmoid(3 / T) is the share that is right.
    expected = 3 / np.log(right / (1 - right))
    assert trainer.entries['temperature'] == pytest.approx(expected, rel=1e-3)
    # Of 48 images of class a, 6 halves are wrong: more than one in 20, less than one in 10.
    points = trainer.entries['operating_points']['a']
    # Halfway down to the next lower probability: there are two, and 0.
    assert points['sensitivity 0.90'] == pytest.approx(0.5, abs=1e-3)
    assert points['sensitivity 0.95'] == pytest.approx((1 - right) / 2, abs=1e-3)


def test_a_fold_is_closed_with_the_whole(tmp_path, images, splits, recipe):
    closed = []

    def train_fold(recipe, split, folder, run, resume, entries):
        try:
            yield RunsDone(run, 0, 0)
        finally:
            closed.append(run)

    events = cross_validate(images, splits, recipe, tmp_path / 'crossed', train_fold)
    next(events)
    events.close()
    assert closed == ['crossed/fold-1']


def test_other_recipes_and_other_images_are_not_mixed_in(
    tmp_path, images, splits, recipe, trainer
):
    out = tmp_path / 'crossed'
    trainer.breaks_in = 'fold-3'
    with pytest.raises(TrainingError, match='light'):
        list(cross_validate(images, splits, recipe, out, trainer))
    trainer.breaks_in = ''
    with pytest.raises(TrainingError, match='already contains a run'):
        list(cross_validate(images, splits, recipe, out, trainer))
    other = recipe.with_changes({'seed': 7})
    with pytest.raises(TrainingError, match='seed differs'):
        list(cross_validate(images, splits, other, out, trainer, resume=True))
    images.digests = ('new', *images.digests[1:])
    with pytest.raises(TrainingError, match='fold-1 was trained on other images'):
        list(cross_validate(images, splits, recipe, out, trainer, resume=True))


def test_predictions_name_no_file_and_come_back(tmp_path, images, splits):
    (_, split) = splits[0]
    probabilities = np.random.default_rng(1).dirichlet([1, 1], 36)
    logits = 10 * np.log(probabilities)
    write_predictions(tmp_path, images.dataset, split, images.digests, probabilities, logits)
    text = (tmp_path / 'predictions.csv').read_text()
    assert '.png' not in text and 'patient' not in text
    found = read_predictions(tmp_path)
    assert found.labels == ('a', 'b')
    assert set(found.splits) == {'val', 'test'} and len(found.images) == 24
    places = [int(name, 16) for name in found.images]
    np.testing.assert_allclose(found.probabilities, probabilities[places], rtol=1e-5)
    np.testing.assert_allclose(found.logits, logits[places], rtol=1e-5)
    (tmp_path / 'predictions.csv').write_text(text[:-20])
    with pytest.raises(ValueError, match='whole'):
        read_predictions(tmp_path)


@pytest.mark.slow
def test_real_training_in_folds(folder, tmp_path):
    data = index(folder)
    recipe = Recipe.from_dict(
        {
            'name': 'small',
            'network': 'small_resnet',
            'epochs': 1,
            'batch': 8,
            'precision': 'float32',
            'input': {'height': 33, 'width': 33},
            'split': {'method': 'k-fold', 'folds': 3, 'val': 0.34},
        }
    )
    out = tmp_path / 'crossed'
    events = list(train(data, recipe, out, 'cpu'))
    finished = [e for e in events if isinstance(e, TrainingFinished)]
    assert [e.run for e in finished] == [*(f'crossed/{name}' for name in FOLDS), 'crossed']
    # Every image was in one test part, and none was left out.
    assert finished[-1].metrics['model']['all']['images'] == 24
    (row,) = run_rows(tmp_path)
    assert (row['run'], row['status'], row['epochs']) == ('crossed', 'finished', 3)
    assert sum(row[name] for name in ('tp', 'fp', 'tn', 'fn')) == 24
    # The recipe in a fold's folder makes that fold's model, to the bit.
    own = Recipe.from_toml((out / 'fold-2' / 'recipe.toml').read_text())
    list(train(data, own, tmp_path / 'alone', 'cpu'))
    one, other = (load(p / 'best.safetensors') for p in (out / 'fold-2', tmp_path / 'alone'))
    assert one.card.metrics == other.card.metrics
    assert all(torch.equal(t, other.tensors[name]) for name, t in one.tensors.items())


@pytest.mark.slow
def test_real_training_without_sources_and_then_on_everything(folder, tmp_path):
    # Twice the images, of two more sources.
    rows = list(csv.DictReader((folder / 'manifest.csv').read_text().splitlines()))
    for i, row in enumerate(list(rows)):
        other = row | {'Path': f'{row["LABEL"]}/{i + 24}.png', 'source': 'cd'[i // 4 % 2]}
        write_image(folder / other['Path'], row['LABEL'], i + 24)
        rows.append(other | {'patient_id': f'{row["patient_id"]}, {other["source"]}'})
    write_table(folder / 'manifest.csv', rows)
    data = index(folder)
    plan = {'method': 'leave-source-out', 'left_out': [['a', 'c'], ['b', 'c']], 'val': 0.34}
    recipe = Recipe.from_dict(
        {
            'name': 'small',
            'network': 'small_resnet',
            'epochs': 1,
            'batch': 8,
            'precision': 'float32',
            'input': {'height': 33, 'width': 33},
            'split': plan | {'then_all': True},
            'selection': {'metric': 'last'},
        }
    )
    out = tmp_path / 'crossed'
    events = train(data, recipe, out, 'cpu')
    for event in events:  # it is stopped in the last run
        if isinstance(event, TrainingStarted) and event.run == 'crossed/all':
            events.close()
    assert not (out / 'all' / 'result.json').exists()
    events = list(train(data, recipe, out, 'cpu', resume=True))
    finished = [e for e in events if isinstance(e, TrainingFinished)]
    assert [e.run for e in finished] == ['crossed/all', 'crossed']
    assert finished[0].path == finished[1].path == str(out / 'all' / 'best.safetensors')
    card = read_card(finished[1].path)
    assert card.metrics == finished[0].metrics == finished[1].metrics
    assert card.metrics['measured_on'] == 'sources left out' and card.metrics['averaged']
    assert card.metrics['by_fold'].keys() == {'without-a-c', 'without-b-c'}
    assert Recipe.from_dict(card.recipe) == recipe
    assert card.data['images'] == 48 and card.data['counts'].keys() == set('abcd')
    assert card.temperature != 1 and card.operating_points.keys() == {'left', 'right'}
    page = card_markdown(card)
    assert 'On sources left out, by patient' in page
    assert '### Left out in without-b-c: b, c' in page
    assert 'on sources left out (mean of 2 folds)' in headline(card)
    (row,) = run_rows(tmp_path)
    assert (row['run'], row['status'], row['epochs']) == ('crossed', 'finished', 3)
    # The recipe in the last run's folder makes its weights, to the bit.
    own = Recipe.from_toml((out / 'all' / 'recipe.toml').read_text())
    list(train(data, own, tmp_path / 'alone', 'cpu'))
    one, other = (load(p / 'best.safetensors') for p in (out / 'all', tmp_path / 'alone'))
    assert all(torch.equal(t, other.tensors[name]) for name, t in one.tensors.items())
