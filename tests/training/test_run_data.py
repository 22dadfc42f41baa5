"""What a network is given: from the disk, or from images that stay on the device."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from labelled_images import dataset_of, write_image

from napari_cxr.inference.preprocessing import Preprocessing
from napari_cxr.training import Recipe, RecipeError, index
from napari_cxr.training.augmentation import augment, draw
from napari_cxr.training.data_preparation import prepare
from napari_cxr.training.recipe import AugmentationRecipe, DataRecipe
from napari_cxr.training.run_data import (
    EpochItems,
    NetworkInputs,
    RunData,
    fits_in_memory,
    read_images,
)
from napari_cxr.training.splits import Split, splits_of
from napari_cxr.training.training_events import ImageSkipped, WarningRaised

CPU = torch.device('cpu')


@pytest.mark.parametrize('bits', [8, 16])
def test_images_that_stay_are_the_same_and_are_read_once(folder, recipe, bits, monkeypatch):
    recipe = replace(recipe, data=DataRecipe(bits=bits))
    events = prepare(index(folder), recipe, None, 'run')
    while True:
        try:
            next(events)
        except StopIteration as end:
            material = end.value
            break
    ((_, split),) = splits_of(material.dataset, recipe.split, recipe.seed)
    data = RunData(material, split)
    items = EpochItems.of(data.dataset, split, recipe)
    read = []
    plain = RunData.images
    monkeypatch.setattr(RunData, 'images', lambda d, p: read.extend(p.tolist()) or plain(d, p))
    staying = NetworkInputs(data, items, recipe, CPU, stay=True)
    places = np.array([3, 1, 3, 7])
    first = staying.unchanged(places)
    assert sorted(read) == [1, 3, 7]
    again = staying.unchanged(np.array([7, 3]))
    assert sorted(read) == [1, 3, 7]
    pixels = material.images(places).astype(np.float32) / (2**bits - 1)
    mean, std = recipe.input.mean[0], recipe.input.std[0]
    np.testing.assert_allclose(first[:, 0].numpy(), (pixels - mean) / std, atol=1e-5)
    assert torch.equal(again, first[[3, 0]])
    elsewhere = NetworkInputs(data, items, recipe, CPU)
    assert torch.equal(elsewhere.unchanged(places), first)
    assert torch.equal(elsewhere.augmented(places, 1), staying.augmented(places, 1))


def test_on_the_cpu_nothing_stays():
    assert not fits_in_memory(CPU, 1)


def test_on_a_gpu_half_of_what_is_free_may_be_taken(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'mem_get_info', lambda device: (1000, 4000))
    gpu = torch.device('cuda')
    assert fits_in_memory(gpu, 500)
    assert not fits_in_memory(gpu, 501)


LABELS = ['a'] * 2 + ['b'] * 10


def items_of(tmp_path, labels=LABELS, **entries):
    dataset = dataset_of(tmp_path, labels)
    nothing = np.zeros(0, int)
    split = Split(np.arange(len(labels)), nothing, nothing, 'by image')
    return EpochItems.of(dataset, split, Recipe('some', 'resnet10', batch=4, seed=3, **entries))


def test_shuffled_takes_each_image_once_and_another_order_each_epoch(tmp_path):
    items = items_of(tmp_path)
    first, second = items.epoch(0), items.epoch(1)
    assert [len(part) for part in first] == [4, 4, 4]
    assert sorted(np.concatenate(first)) == list(range(12))
    assert list(np.concatenate(first)) != list(np.concatenate(second))
    assert all((a == b).all() for a, b in zip(first, items.epoch(0), strict=True))


def test_no_batch_holds_one_image(tmp_path):
    items = items_of(tmp_path, ['a', 'b', 'a', 'b', 'a'])
    assert [len(part) for part in items.epoch(0)] == [3, 2]
    three = items_of(tmp_path / 'three', ['a', 'b', 'a'])
    assert [len(part) for part in three.epoch(0)] == [3]


def test_balanced_draws_classes_alike_and_tells_repeats_apart(tmp_path):
    items = items_of(tmp_path, sampler='balanced')
    drawn = np.concatenate([np.concatenate(items.epoch(k)) for k in range(200)])
    share = np.isin(items.places(drawn), (0, 1)).mean()
    assert share == pytest.approx(0.5, abs=0.04)  # 2400 draws: four standard deviations
    np.testing.assert_allclose(items.often, [3, 3] + [0.6] * 10)
    epoch = np.concatenate(items.epoch(0))
    assert len(epoch) == 12
    assert len(set(epoch.tolist())) == 12  # no two would be changed alike


def test_several_labels_are_balanced_by_label(tmp_path):
    items = items_of(tmp_path, ['a', 'b', 'b', 'a|b'], sampler='balanced')
    # a: one of two, b: one of three; four draws.
    np.testing.assert_allclose(items.often, [1, 2 / 3, 2 / 3, 5 / 3])


def test_images_without_any_label_are_drawn_as_often_as_a_label(tmp_path):
    items = items_of(tmp_path, ['a', 'b', 'b', 'a|b', '', ''], sampler='balanced')
    # Three classes of two draws: a: one of two images, b: one of three, none: one of two.
    np.testing.assert_allclose(items.often, [1, 2 / 3, 2 / 3, 5 / 3, 1, 1])


def test_doubling_adds_a_copy_that_is_changed_once_and_for_all(tmp_path):
    plan = AugmentationRecipe(rotation=30, shift=0.2, only=('a',), doubled=True)
    items = items_of(tmp_path, augmentation=plan)
    assert Counter(items.places(items.items).tolist()) == {0: 2, 1: 2} | dict.fromkeys(
        range(2, 12), 1
    )
    chosen = np.array([0, 12, 5])  # an image, its copy, one of the other class
    images = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    changed = items.augment(images, chosen, epoch=4)
    assert torch.equal(changed[[0, 2]], images[[0, 2]])
    assert torch.equal(changed[1:2], augment(images[1:2], draw(plan, 3, 0, [12])))
    assert torch.equal(changed, items.augment(images, chosen, epoch=7))


def test_only_some_classes_are_changed_anew_each_epoch(tmp_path):
    plan = AugmentationRecipe(rotation=30, shift_rgb=0.2, only=('a',))
    colour = Preprocessing(8, 8, channels=3, mean=(0.5,) * 3, std=(0.25,) * 3)
    items = items_of(tmp_path, augmentation=plan, input=colour)
    assert len(items.items) == 12
    images = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    changed = items.augment(images, np.array([1, 5]), epoch=4)
    assert changed.shape == (2, 3, 8, 8)
    assert torch.equal(changed[1], images[1].expand(3, 8, 8))
    assert torch.equal(changed[:1], augment(images[:1], draw(plan, 3, 4, [1])))
    assert not torch.equal(changed, items.augment(images, np.array([1, 5]), epoch=5))


def test_a_class_that_is_not_there_is_refused(tmp_path):
    plan = AugmentationRecipe(rotation=30, only=('c',))
    with pytest.raises(RecipeError, match="'c', which does not exist; the classes are a, b"):
        items_of(tmp_path, augmentation=plan)


def test_files_that_a_table_does_not_find_are_said_and_logged_without_folders(folder, recipe):
    for name in ('DOE^JOHN', 'ROE^JANE'):
        write_image(folder / name / 'twice.png', 'left', 0)
    with (folder / 'manifest.csv').open('a') as file:
        file.write('twice.png,left,p1,train,a,PA\ngone.png,right,p2,train,a,PA\n')
    events = read_images(index(folder), recipe, None, 'run')
    skipped = []
    while True:
        try:
            event = next(events)
        except StopIteration as end:
            images, remarks = end.value
            break
        if isinstance(event, ImageSkipped):
            skipped.append((event.path, event.reason))
    assert len(images.digests) == 24
    place = 'in DOE^JOHN and ROE^JANE: write the path with its folder into the table.'
    assert skipped == [
        ('twice.png', f'twice.png exists twice, {place}'),
        ('gone.png', 'There is no such file.'),
    ]
    assert not any('DOE' in remark for remark in remarks)
    assert [r for r in remarks if r.startswith('Image skipped')] == [
        'Image skipped (1): The table names no file.',
        'Image skipped (2): The table names no file.',
    ]


def test_sources_that_predict_the_class_are_said_before_training(folder, recipe, tmp_path):
    rows = ['path,label,source']
    for place in sorted(folder.glob('*/*.png')):
        rows.append(f'{place},{place.parent.name},hospital of {place.parent.name}')
    (tmp_path / 'table.csv').write_text('\n'.join(rows))
    dataset = index(tmp_path / 'table.csv')

    def said(recipe):
        return [
            event.text
            for event in read_images(dataset, recipe, None, 'run')
            if isinstance(event, WarningRaised)
        ]

    assert any(text.startswith('Source predicts class') for text in said(recipe))
    held_out = recipe.with_changes({'split.method': 'leave-source-out'})
    assert not any(text.startswith('Source predicts class') for text in said(held_out))
