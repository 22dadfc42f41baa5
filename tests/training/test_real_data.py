"""The real collections are indexed rightly, and the bundled model does what its card says."""

from collections import Counter

import numpy as np
import pytest
import torch

from napari_cxr.checkpoint import catalog, load
from napari_cxr.image_files import read
from napari_cxr.inference import Preprocessing
from napari_cxr.training import divide, index
from napari_cxr.training.recipe import SplitRecipe


def test_the_manifests_are_read(cxr_data):
    dataset = index(cxr_data / 'cxr3')
    assert dataset.labels == ('covid19', 'normal', 'pneumonia')
    counts = Counter(sample.label for sample in dataset.samples)
    assert counts == {'covid19': 693, 'normal': 879, 'pneumonia': 881}
    split = divide(dataset, SplitRecipe('given'), 0)
    assert split.kind == 'by patient'
    assert [len(split.train), len(split.val), len(split.test)] == [1469, 369, 615]
    paediatric = index(cxr_data / 'kermany224')
    counts = Counter(sample.label for sample in paediatric.samples)
    assert counts == {'normal': 1304, 'pneumonia': 3457}
    assert paediatric.grouped


@pytest.mark.slow
def test_the_bundled_model_does_what_its_card_says(cxr_data):
    checkpoint = load(catalog.resolve('cxr3-resnet10'))
    card, network = checkpoint.card, checkpoint.network()
    preprocessing = Preprocessing.from_dict(card.preprocessing)
    samples = [s for s in index(cxr_data / 'cxr3').samples if s.split == 'test']
    right = []
    with torch.inference_mode():
        for start in range(0, len(samples), 32):
            part = samples[start : start + 32]
            images = np.stack([preprocessing.apply(read(s.path)).image for s in part])
            called = network(torch.from_numpy(preprocessing.normalise(images))).argmax(1)
            right += [card.labels[c] == s.label for c, s in zip(called, part, strict=True)]
    # The run measured 8-bit images; a few calls near a border may turn.
    stated = card.metrics['model']['all']['accuracy'][0]
    assert np.mean(right) == pytest.approx(stated, abs=0.01)
