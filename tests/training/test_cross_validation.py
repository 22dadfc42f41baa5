"""Folds one after another, kept when resumed, and summed up by hand."""

import csv
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from finished_runs import write_epochs, write_model

from napari_cxr.checkpoint import load
from napari_cxr.metrics import probabilities_of, wilson
from napari_cxr.training import (
    Dataset,
    Finished,
    Recipe,
    Sample,
    Split,
    TrainingError,
    index,
    train,
)
from napari_cxr.training.cross_validation import cross_validate
from napari_cxr.training.evaluate import judge, truth_of
from napari_cxr.training.events import RunsDone
from napari_cxr.training.predictions import read_predictions, write_predictions
from napari_cxr.training.runs import rows_of

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
        features=np.random.default_rng(0).normal(size=(36, 44)),
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
        self.breaks_in = ''

    def __call__(self, recipe, split, folder, run, resume):
        self.calls.append((run, resume))
        folder.mkdir(exist_ok=True)
        (folder / 'recipe.toml').write_text(recipe.to_toml())
        write_epochs(folder)
        yield RunsDone(run, 0, 0)  # any event
        if folder.name == self.breaks_in:
            raise TrainingError('The light went out.')
        dataset = self.images.dataset
        truth = truth_of(dataset)
        wrong = split.test[: FOLDS.index(folder.name)]
        logits = np.where(truth[:, None] == np.arange(2), 3.0, 0.0)
        logits[[*wrong, split.val[0]]] = logits[[*wrong, split.val[0]], ::-1]
        found = judge(dataset, split, self.images, logits, 0)
        probabilities = probabilities_of(logits, False, found['temperature'])
        write_predictions(folder, dataset, split, self.images.digests, probabilities)
        write_model(folder, self.recipe, dataset.labels, found['metrics'])
        (folder / 'result.json').write_text('{"status": "finished"}')
        yield Finished(run, str(folder / 'best.safetensors'), 2, found['metrics'])


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
    assert pooled['accuracy'] == wilson(33 / 36, 18).to_list()
    # The wrong ones: image 12 (a), 24 and 25 (a).
    assert pooled['confusion'] == [[15, 3], [0, 18]]
    # Images 12 and 24 begin a patient of class a; sources x and y have 18 images each.
    assert summary['metrics']['model']['x']['images'] == 18
    assert summary['metrics']['most_frequent_class'] == 0.5
    for baseline in summary['metrics']['baselines'].values():
        assert baseline['all']['images'] == 36
    assert 'best of the folds' in summary['note']
    assert json.loads((out / 'result.json').read_text())['metrics'] == summary['metrics']

    with (out / 'summary.csv').open(newline='') as file:
        lines = {row['fold']: row for row in csv.DictReader(file)}
    assert lines['fold-2']['accuracy'] == '0.9167'
    assert lines['mean']['accuracy'] == '0.9167'
    assert float(lines['standard deviation']['accuracy']) == accuracy['sd']
    assert lines['all images']['sensitivity of a'] == '0.8333'
    low, high = wilson(33 / 36, 18).to_list()[1:]
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

    def train_fold(recipe, split, folder, run, resume):
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


def test_a_fold_is_closed_with_the_whole(tmp_path, images, splits, recipe):
    closed = []

    def train_fold(recipe, split, folder, run, resume):
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
    with pytest.raises(TrainingError, match='already holds a run'):
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
    write_predictions(tmp_path, images.dataset, split, images.digests, probabilities)
    text = (tmp_path / 'predictions.csv').read_text()
    assert '.png' not in text and 'patient' not in text
    found = read_predictions(tmp_path)
    assert found.labels == ('a', 'b')
    assert set(found.splits) == {'val', 'test'} and len(found.images) == 24
    places = [int(name, 16) for name in found.images]
    np.testing.assert_allclose(found.probabilities, probabilities[places], rtol=1e-5)
    (tmp_path / 'predictions.csv').write_text(text[:-20])
    with pytest.raises(ValueError, match='whole'):
        read_predictions(tmp_path)


@pytest.mark.slow
def test_real_training_in_folds(folder, tmp_path):
    data = index(folder)
    recipe = Recipe.from_dict(
        {
            'name': 'small',
            'network': 'resnet10',
            'epochs': 1,
            'batch': 8,
            'precision': 'float32',
            'input': {'height': 33, 'width': 33},
            'split': {'method': 'k-fold', 'folds': 3, 'val': 0.34},
        }
    )
    out = tmp_path / 'crossed'
    events = list(train(data, recipe, out, 'cpu'))
    finished = [e for e in events if isinstance(e, Finished)]
    assert [e.run for e in finished] == [*(f'crossed/{name}' for name in FOLDS), 'crossed']
    # Every image was in one test part, and none was left out.
    assert finished[-1].metrics['model']['all']['images'] == 24
    (row,) = rows_of(tmp_path)
    assert (row['run'], row['status'], row['epochs']) == ('crossed', 'finished', 3)
    assert sum(row[name] for name in ('tp', 'fp', 'tn', 'fn')) == 24
    # The recipe in a fold's folder makes that fold's model, to the bit.
    own = Recipe.from_toml((out / 'fold-2' / 'recipe.toml').read_text())
    list(train(data, own, tmp_path / 'alone', 'cpu'))
    one, other = (load(p / 'best.safetensors') for p in (out / 'fold-2', tmp_path / 'alone'))
    assert one.card.metrics == other.card.metrics
    assert all(torch.equal(t, other.tensors[name]) for name, t in one.tensors.items())
