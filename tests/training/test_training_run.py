"""A whole run on images that a network can learn: events, files, repeatability."""

import csv
import errno
import hashlib
import json
import os
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_cxr import image_files
from napari_cxr.checkpoint import load, read_card
from napari_cxr.inference.classifier import Classifier
from napari_cxr.inference.cpu import keep_freed_memory
from napari_cxr.training import (
    BatchDone,
    DatasetError,
    EpochDone,
    ImageSkipped,
    ReadingProgress,
    Recipe,
    RecipeError,
    TrainingError,
    TrainingFinished,
    TrainingStarted,
    WarningRaised,
    checkpointing,
    divide,
    index,
    train,
)
from napari_cxr.training.checkpointing import CheckpointWriter
from napari_cxr.training.model_evaluation import read_predictions
from napari_cxr.training.optimization import image_weights
from napari_cxr.training.recipe import (
    DataRecipe,
    LossRecipe,
    OptimiserRecipe,
    ScheduleRecipe,
    SelectionRecipe,
    SplitRecipe,
    StoppingRecipe,
)
from napari_cxr.training.training_image import read_in_process
from napari_cxr.training.training_run import TrainingRun, explain_out_of_memory


@pytest.fixture
def finished(folder, recipe, tmp_path):
    out = tmp_path / 'runs' / 'one'
    return out, list(train(index(folder), recipe, out, 'cpu'))


def test_events_come_in_order_and_say_what_happened(finished):
    out, events = finished
    kinds = [type(event) for event in events if not isinstance(event, ReadingProgress)]
    epoch = [BatchDone] * 3 + [EpochDone]  # twelve images in batches of four
    assert kinds == [TrainingStarted, *epoch, *epoch, *[WarningRaised] * 2, TrainingFinished]
    first, warning = [event.text for event in events if isinstance(event, WarningRaised)]
    assert 'sees no anatomy' in first, 'its grey levels tell which side is bright'
    assert 'not calibrated' in warning, 'on two patients of a class'
    assert {event.run for event in events} == {'one'}
    started = next(event for event in events if isinstance(event, TrainingStarted))
    assert started.labels == ('left', 'right')
    assert started.counts['train'] == {'left': 6, 'right': 6}
    assert (started.split_kind, started.device, started.precision) == (
        'by patient',
        'cpu',
        'float32',
    )
    assert [e.epoch for e in events if isinstance(e, EpochDone)] == [1, 2]
    assert events[-1].path == str(out / 'best.safetensors')


def test_the_card_holds_figures_by_source_beside_the_baseline(finished, recipe):
    card = read_card(finished[0] / 'best.safetensors')
    assert card.metrics == json.loads(json.dumps(finished[1][-1].metrics))
    assert card.metrics['measured_on'] == 'test'
    assert card.metrics['model'].keys() == {'all', 'a', 'b'}
    for baseline in card.metrics['baselines'].values():
        assert baseline.keys() == {'all', 'a', 'b'}
    assert card.metrics['model']['all']['images'] == 8
    assert card.data['split'] == 'by patient'
    assert card.data['counts']['a']['left'] == {'train': 4, 'test': 2}
    assert card.recipe == recipe.to_dict()
    assert card.preprocessing == recipe.input.to_dict()
    assert card.operating_points == {}, 'two patients of each class are too few'
    assert len(card.metrics['cautions']) == 2  # of the baseline, and of few patients
    assert 'not for clinical use' in card.intended_use


def test_thresholds_come_from_what_the_model_sees_in_use(finished, folder):
    out, _ = finished
    classifier = Classifier.load(out / 'best.safetensors', 'cpu', 'torch')
    paths = {
        hashlib.sha256(path.read_bytes()).hexdigest()[:16]: path for path in folder.rglob('*.png')
    }
    found = read_predictions(out)
    assert len(found.images) > 8
    for image, expected in zip(found.images, found.probabilities, strict=True):
        radiograph = image_files.read(paths[image], classifier.preprocessing.least_decoded)
        (prediction,) = classifier.predict([radiograph])
        assert prediction.probabilities == pytest.approx(expected, abs=1e-6)


def test_the_run_folder_holds_the_run_and_no_patient(finished, recipe):
    out = finished[0]
    names = {path.name for path in out.iterdir()}
    (events,) = [name for name in names if name.startswith('events.out.tfevents.')]
    assert names - {events} == {
        'recipe.toml',
        'log.txt',
        'result.json',
        'split.csv',
        'environment.json',
        'metrics.csv',
        'predictions.csv',
        'best.safetensors',
        'last.safetensors',
        'final-state.safetensors',
    }
    everything = b''.join(path.read_bytes() for path in out.iterdir())
    assert b'DOE^JOHN' not in everything
    assert b'.png' not in everything
    rows = list(csv.DictReader((out / 'split.csv').read_text().splitlines()))
    assert len({row['image'] for row in rows}) == 24
    assert [row['split'] for row in rows].count('test') == 8
    assert len({row['group'] for row in rows}) == 12
    lines = list(csv.DictReader((out / 'metrics.csv').read_text().splitlines()))
    assert [line['epoch'] for line in lines] == ['1', '2']
    counts = {name: int(cell) for name, cell in lines[1].items() if name.startswith('confusion')}
    labels = ('left', 'right')
    assert list(counts) == [f'confusion_{a}_{b}' for a in labels for b in labels]
    assert sum(counts.values()) == [row['split'] for row in rows].count('val')
    environment = json.loads((out / 'environment.json').read_text())
    assert environment['threads'] == torch.get_num_threads()
    assert (environment['seed'], environment['device'], environment['gpu']) == (5, 'cpu', None)
    assert re.fullmatch(r'events\.out\.tfevents\.\d+\.0', events)  # without the machine's name


def test_the_same_recipe_gives_the_same_weights_bit_for_bit(finished, folder, recipe, tmp_path):
    torch.manual_seed(99)  # a program's own random state plays no part
    list(train(index(folder), recipe, tmp_path / 'two', 'cpu'))
    other = replace(recipe, seed=6)
    list(train(index(folder), other, tmp_path / 'three', 'cpu'))
    first, second, third = (
        load(out / 'last.safetensors').tensors
        for out in (finished[0], tmp_path / 'two', tmp_path / 'three')
    )
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not all(torch.equal(first[name], third[name]) for name in first)


def test_it_learns(folder, recipe, tmp_path):
    recipe = replace(recipe, epochs=12, selection=SelectionRecipe('loss'))
    *_, last = train(index(folder), recipe, tmp_path / 'out', 'cpu')
    assert last.metrics['model']['all']['accuracy'][0] == 1
    # Grey values alone do not tell left from right, but the border's brightness does.
    assert last.metrics['baselines']['format only']['all']['accuracy'][0] == 1


def test_the_best_checkpoint_is_that_of_the_best_epoch(folder, recipe, tmp_path):
    recipe = replace(recipe, epochs=6, selection=SelectionRecipe('loss'))
    events = list(train(index(folder), recipe, tmp_path / 'out', 'cpu'))
    epochs = [event for event in events if isinstance(event, EpochDone)]
    best = min(epochs, key=lambda event: event.val_loss)
    assert events[-1].epoch == best.epoch
    assert read_card(tmp_path / 'out' / 'best.safetensors').data['epoch'] == best.epoch
    assert [e.epoch for e in epochs if e.best][-1] == best.epoch


def test_of_epochs_with_the_same_figure_the_one_with_the_least_loss_is_kept(
    folder, recipe, tmp_path
):
    recipe = replace(recipe, epochs=12, selection=SelectionRecipe('macro_auc'))
    events = list(train(index(folder), recipe, tmp_path / 'out', 'cpu'))
    epochs = [event for event in events if isinstance(event, EpochDone)]
    highest = max(event.val_macro_auc for event in epochs)
    tied = [event for event in epochs if event.val_macro_auc == highest]
    assert len(tied) > 1 and tied[0].val_loss > tied[-1].val_loss
    assert events[-1].epoch == min(tied, key=lambda event: event.val_loss).epoch


def test_a_saturated_figure_does_not_stop_a_run_that_still_improves(folder, recipe, tmp_path):
    recipe = replace(recipe, epochs=8, stopping=StoppingRecipe(patience=2, metric='macro_auc'))
    events = list(train(index(folder), recipe, tmp_path / 'out', 'cpu'))
    epochs = [event for event in events if isinstance(event, EpochDone)]
    losses = [event.val_loss for event in epochs]
    assert losses == sorted(losses, reverse=True)
    assert len(epochs) == 8


def test_closing_ends_it_and_leaves_the_best_so_far(folder, recipe, tmp_path):
    before = torch.get_rng_state()
    events = train(index(folder), recipe, tmp_path / 'out', 'cpu')
    for event in events:
        if isinstance(event, BatchDone) and (event.epoch, event.batch) == (2, 2):
            events.close()
    assert load(tmp_path / 'out' / 'best.safetensors').network() is not None
    assert torch.equal(torch.get_rng_state(), before)
    assert len((tmp_path / 'out' / 'metrics.csv').read_text().splitlines()) == 2


def test_a_full_disk_is_said_and_the_best_so_far_stays(folder, recipe, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, 'No space left on device')

    out = tmp_path / 'out'
    monkeypatch.setattr(checkpointing, '_TIME_FRACTION', float('inf'))  # written after each epoch
    with pytest.raises(TrainingError, match='cannot be written to: No space left on device'):
        for event in train(index(folder), recipe, out, 'cpu'):
            if isinstance(event, EpochDone):
                monkeypatch.setattr(os, 'fsync', full)
    assert read_card(out / 'best.safetensors').data['epoch'] == 1


def test_an_unreadable_image_is_told_and_left_out(folder, recipe, tmp_path):
    (folder / 'left' / '0.png').write_bytes(b'nothing')
    events = list(train(index(folder), replace(recipe, epochs=1), tmp_path / 'out', 'cpu'))
    (skipped,) = [event for event in events if isinstance(event, ImageSkipped)]
    assert skipped.path == 'left/0.png'
    assert skipped.reason
    started = next(event for event in events if isinstance(event, TrainingStarted))
    assert started.counts['train'] == {'left': 5, 'right': 6}
    readings = [event for event in events if isinstance(event, ReadingProgress)]
    # All of them; then those to evaluate by, as the model will see them.
    assert [(one.done, one.total) for one in readings if one.done == one.total] == [
        (24, 24),
        (12, 12),
    ]


def test_a_class_that_cannot_be_read_stops_the_run_and_takes_no_folder(folder, recipe, tmp_path):
    def only_left(items, preprocessing, bits):
        left = [item for item in items if item[1].parent.name == 'left']
        yield from read_in_process(left, preprocessing, bits)
        yield from ((place, 'No.') for place, path in items if path.parent.name == 'right')

    with pytest.raises(DatasetError, match="class 'right'"):
        list(train(index(folder), recipe, tmp_path / 'out', 'cpu', read=only_left))
    list(train(index(folder), replace(recipe, epochs=1), tmp_path / 'out', 'cpu'))


def test_a_folder_with_other_files_is_refused_and_nothing_in_it_changes(folder, recipe, tmp_path):
    out = tmp_path / 'out'
    out.mkdir()
    (out / 'best.safetensors').write_bytes(b'precious')
    with pytest.raises(TrainingError, match='is not empty; choose a new or empty folder'):
        next(train(index(folder), recipe, out, 'cpu'))
    assert [path.read_bytes() for path in out.iterdir()] == [b'precious']


def test_a_folder_with_a_run_and_an_unknown_network_are_refused(finished, folder, recipe):
    with pytest.raises(TrainingError, match='already contains a run'):
        next(train(index(folder), recipe, finished[0], 'cpu'))
    with pytest.raises(RecipeError, match=r'network: There is no network .resnet11'):
        next(train(index(folder), replace(recipe, network='resnet11'), finished[0] / 'new', 'cpu'))


def test_a_loss_that_is_no_number_is_said(folder, recipe, tmp_path, monkeypatch):
    def broken(logits, *_, **__):
        return logits.sum(1) * np.nan

    monkeypatch.setattr(torch.nn.functional, 'cross_entropy', broken)
    with pytest.raises(TrainingError, match='not a finite number in epoch 1'):
        list(train(index(folder), recipe, tmp_path / 'out', 'cpu'))


def test_answers_that_are_no_number_are_said(folder, recipe, tmp_path, monkeypatch):
    def nothing(run, places, answer):
        return torch.full((len(places), 2), torch.nan)

    monkeypatch.setattr(TrainingRun, '_in_batches', nothing)
    with pytest.raises(TrainingError, match='not finite numbers after epoch 1; use a lower'):
        list(train(index(folder), recipe, tmp_path / 'out', 'cpu'))


def test_a_validation_figure_that_is_no_number_is_said(folder, recipe, tmp_path, monkeypatch):
    monkeypatch.setattr('napari_cxr.metrics.classification.macro_auc', lambda *_, **__: np.nan)
    recipe = replace(recipe, selection=SelectionRecipe('macro_auc'))
    with pytest.raises(TrainingError, match="'macro_auc' is undefined after epoch 1"):
        list(train(index(folder), recipe, tmp_path / 'out', 'cpu'))


def test_weights_that_cannot_be_kept_are_said(folder, recipe, tmp_path, monkeypatch):
    plain = CheckpointWriter.epoch_done

    def enlarged(kept, event):
        # Too large for half precision; with batch norm behind it the answers stay finite.
        next(kept._run.evaluated.parameters()).data.mul_(1e9)
        plain(kept, event)

    monkeypatch.setattr(CheckpointWriter, 'epoch_done', enlarged)
    recipe = replace(recipe, epochs=1, card=replace(recipe.card, halve=True))
    with pytest.raises(TrainingError, match=r'model cannot be saved: .* not finite'):
        list(train(index(folder), recipe, tmp_path / 'out', 'cpu'))


def test_halved_storage_and_the_words_of_its_card(folder, recipe, tmp_path):
    words = {
        'name': 'tiny',
        'title': 'A small one',
        'licence': 'CC0-1.0',
        'attribution': ('Nobody',),
        'intended_use': 'Tests.',
        'not_measured': ('Anything else.',),
    }
    card = replace(recipe.card, halve=True, **words)
    recipe = replace(recipe, network='resnet10', epochs=1, card=card)  # whose file is its weights
    list(train(index(folder), recipe, tmp_path / 'out', 'cpu'))
    half, full = (tmp_path / 'out' / f'{n}.safetensors' for n in ('best', 'last'))
    assert half.stat().st_size < 0.6 * full.stat().st_size
    card = read_card(half)
    assert {name: getattr(card, name) for name in words} == words


def test_weights_make_classes_and_sources_count_alike(folder):
    dataset = index(folder)
    samples = list(dataset.samples)
    # Nine training images left: right 6 (a 4, b 2), left 3 (a 2, b 1).
    gone = [0, 2, 8]
    assert {samples[i].label for i in gone} == {'left'}
    dataset = dataset.drop(gone)
    split = divide(dataset, SplitRecipe(), 0)
    weights = image_weights(dataset, LossRecipe(weights='class and source'), split.train)
    sums = {}
    for i in split.train:
        key = (dataset.samples[i].label, dataset.samples[i].source)
        sums[key] = sums.get(key, 0) + weights[i]
    assert sums == pytest.approx(dict.fromkeys(sums, 9 / 4))
    weights = image_weights(dataset, LossRecipe(weights='class'), split.train)
    assert sorted(set(weights[split.train].round(4))) == [0.75, 1.5]
    assert set(image_weights(dataset, LossRecipe(weights='none'), split.train)) == {1}


def test_it_ends_early_when_nothing_gets_better(folder, recipe, tmp_path):
    # A rate of next to nothing: the first epoch stays the best but for chance.
    recipe = replace(
        recipe,
        network='resnet10',
        epochs=9,
        optimiser=OptimiserRecipe('sgd', 1e-9, 0.0),
        schedule=ScheduleRecipe('constant'),
        selection=SelectionRecipe('macro_f1'),
        stopping=StoppingRecipe(2, 'balanced_accuracy'),
        augmentation=replace(recipe.augmentation, noise=0),
    )
    events = list(train(index(folder), recipe, tmp_path / 'out', 'cpu'))
    epochs = [event for event in events if isinstance(event, EpochDone)]
    figures = [event.val_balanced_accuracy for event in epochs]
    best = figures.index(max(figures))
    assert len(epochs) == best + 3 < 9
    assert [e.val_macro_f1 for e in epochs if e.best][-1] == max(e.val_macro_f1 for e in epochs)


@pytest.mark.parametrize('name', ['adam', 'nadam', 'rmsprop', 'sgd'])
def test_every_optimiser_lowers_the_loss(folder, recipe, tmp_path, name):
    momentum = 0.9 if name == 'sgd' else 0.0
    rate = 0.1 if name == 'sgd' else 2e-3 if name == 'rmsprop' else 1e-2
    recipe = replace(
        recipe, epochs=4, optimiser=OptimiserRecipe(name, rate, 1e-4, momentum), batch=6
    )
    events = list(train(index(folder), recipe, tmp_path / 'out', 'cpu'))
    losses = [event.train_loss for event in events if isinstance(event, EpochDone)]
    assert losses[-1] < 0.8 * losses[0]


def test_time_left_counts_down_and_figures_of_training_are_there(finished):
    batches = [event for event in finished[1] if isinstance(event, BatchDone)]
    assert all(event.seconds_left > 0 for event in batches)
    assert batches[-1].seconds_left < batches[0].seconds_left
    for event in finished[1]:
        if isinstance(event, EpochDone):
            assert 0 <= event.train_macro_auc <= 1
            assert 0 <= event.utilisation <= 1


def test_balance_leaves_out_training_images_of_the_larger_class(folder, recipe, tmp_path):
    recipe = replace(recipe, epochs=1, data=DataRecipe(balance=True))
    dataset = index(folder, recipe.data).drop([0, 2])  # two of the training split
    events = list(train(dataset, recipe, tmp_path / 'out', 'cpu'))
    started = next(event for event in events if isinstance(event, TrainingStarted))
    assert started.counts['train'] == {'left': 4, 'right': 4}
    rows = list(csv.DictReader((tmp_path / 'out' / 'split.csv').read_text().splitlines()))
    assert len(rows) == 22
    assert [row['split'] for row in rows].count('') == 2


RECIPE = Recipe('some', 'resnet10', batch=64)


@pytest.mark.parametrize(
    'error',
    [
        MemoryError(),
        torch.OutOfMemoryError('CUDA out of memory.'),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 8 bytes"),
        RuntimeError('CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`'),
    ],
)
def test_a_lack_of_memory_names_batch_and_size(error):
    with (
        pytest.raises(TrainingError, match=r'A batch of 64 images of 224 x 224 .* smaller batch'),
        explain_out_of_memory(RECIPE, torch.device('cpu')),
    ):
        raise error


def test_what_torch_really_says_is_known():
    with (
        pytest.raises(TrainingError, match='does not fit'),
        explain_out_of_memory(RECIPE, torch.device('cpu')),
    ):
        torch.empty(1 << 60, dtype=torch.uint8)


def test_other_errors_pass():
    with (
        pytest.raises(RuntimeError, match='shapes'),
        explain_out_of_memory(RECIPE, torch.device('cpu')),
    ):
        raise RuntimeError('shapes cannot be multiplied')


def test_elsewhere_than_on_linux_nothing_is_asked_of_the_allocator(monkeypatch):
    monkeypatch.setattr('sys.platform', 'win32')
    assert keep_freed_memory() is False
