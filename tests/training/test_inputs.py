"""What a network is given: from the disk, or from images that stay on the device."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_cxr.training import index
from napari_cxr.training.inputs import Inputs, fits_beside
from napari_cxr.training.prepare import prepare
from napari_cxr.training.recipe import DataRecipe
from napari_cxr.training.run_data import RunData
from napari_cxr.training.sampling import Items
from napari_cxr.training.splits import splits_of

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
    items = Items.of(data.dataset, split, recipe)
    read = []
    plain = RunData.images
    monkeypatch.setattr(RunData, 'images', lambda d, p: read.extend(p.tolist()) or plain(d, p))
    staying = Inputs(data, items, recipe, CPU, stay=True)
    places = np.array([3, 1, 3, 7])
    first = staying.plain(places)
    assert sorted(read) == [1, 3, 7]
    again = staying.plain(np.array([7, 3]))
    assert sorted(read) == [1, 3, 7]
    pixels = material.images(places).astype(np.float32) / (2**bits - 1)
    mean, std = recipe.input.mean[0], recipe.input.std[0]
    np.testing.assert_allclose(first[:, 0].numpy(), (pixels - mean) / std, atol=1e-5)
    assert torch.equal(again, first[[3, 0]])
    elsewhere = Inputs(data, items, recipe, CPU)
    assert torch.equal(elsewhere.plain(places), first)
    assert torch.equal(elsewhere.changed(places, 1), staying.changed(places, 1))


def test_on_the_cpu_nothing_stays():
    assert not fits_beside(CPU, 1)


def test_on_a_gpu_half_of_what_is_free_may_be_taken(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'mem_get_info', lambda device: (1000, 4000))
    gpu = torch.device('cuda')
    assert fits_beside(gpu, 500)
    assert not fits_beside(gpu, 501)
