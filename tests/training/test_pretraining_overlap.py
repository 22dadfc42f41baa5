"""Runs that start from a model which has seen their images, or their collection."""

from dataclasses import replace
from pathlib import Path

import pytest

from napari_cxr.checkpoint import catalog, load, read_card, save
from napari_cxr.checkpoint.model_images import packed_digests, sources_known_to
from napari_cxr.training import Dataset, Sample
from napari_cxr.training.pretraining_overlap import pretraining_warnings
from napari_cxr.training.recipe import Recipe


def dataset_of(*sources):
    samples = [
        Sample(Path(f'{i}.png'), 'ab'[i % 2], str(i), source=s) for i, s in enumerate(sources)
    ]
    return Dataset(Path(), tuple(samples), grouped=True)


@pytest.fixture
def start(model_file, tmp_path):
    """A model that was trained on four images, of which one was held out."""
    stored = load(model_file)
    packed = packed_digests([f'{i}' * 16 for i in range(4)], ['train', 'train', 'val', 'test'])
    data = {'fingerprint': 'f', 'counts': {'COVID-CXNet': {}}, 'image_hashes': packed}
    card = replace(stored.card, data=data, attribution=('NIH Clinical Center, ChestX-ray14',))
    save(tmp_path / 'start.safetensors', stored.tensors, card)
    return tmp_path / 'start.safetensors'


def test_images_that_the_start_was_trained_on_are_counted(start):
    recipe = Recipe(name='r', network='resnet10', weights=str(start))
    images = dataset_of('nih', 'nih', 'nih', 'nih')
    (said,) = pretraining_warnings(recipe, images, [f'{i}' * 16 for i in (0, 2, 3, 9)], start)
    assert 'trained on, or chosen by, 2 of these 4 images' in said and 'too high' in said


def test_otherwise_the_collection_is_named(start):
    recipe = Recipe(name='r', network='resnet10', weights=str(start))
    digests = ['8' * 16, '9' * 16]
    (said,) = pretraining_warnings(recipe, dataset_of('nih', 'covidcxnet'), digests, start)
    assert 'was trained on images of covidcxnet, nih.' in said
    assert pretraining_warnings(recipe, dataset_of('elsewhere', ''), digests, start) == []


@pytest.mark.parametrize('weights', ['random', 'pretrained', 'no-such-model'])
def test_without_a_model_nothing_is_said(weights):
    recipe = Recipe(name='r', network='resnet10', weights=weights)
    assert pretraining_warnings(recipe, dataset_of('nih', 'nih'), ['0' * 16, '1' * 16]) == []


def test_bundled_models_know_their_sources():
    card = read_card(catalog.resolve('cxr-opacity'))
    assert sources_known_to(card, {'nih', 'Kermany', 'hannover', '', 'on'}) == ['Kermany', 'nih']
