"""Shortcut tests on planted data.

What is expected was written down before the first run:

- A network trained with a marker in the corner of every diseased image is called out by 'only the
  frame', 'lungs removed' and 'frame replaced'; since the marker is the only thing that it knows,
  by 'only the lungs' and 'text and markers masked' as well. It is not called out by resolution or
  compression, which leave the marker there.
- A network trained on an opacity in a lung is called out by none. (The first run called it out by
  'only the lungs', and told the classes apart, the wrong way round, without lungs: what was taken
  away became the mean grey of the whole image, which an opacity brightens, and lungs in an even
  grey are unlike anything that a network knows. Both changes were made another way.)
- Where the classes come from two sources, of which one draws its images darker, the source can be
  told from the image without lungs; where both draw alike it cannot.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import binary_dilation
from torch import nn

from napari_cxr.evaluation.image_changes import CHANGES, InputBatch
from napari_cxr.evaluation.shortcut_tests import (
    ChangedPredictions,
    predict_batch,
    shortcut_tests,
    source_interval,
)
from napari_cxr.networks import StagedNetwork
from napari_cxr.networks.heads import AverageLinear

SIDE = 48


def chests(number, planted, seed):
    """Return images with two dark lungs, half of them with something planted, and the truth."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SIDE, :SIDE] / SIDE
    lungs = np.zeros((SIDE, SIDE), bool)
    for middle in (0.32, 0.68):
        lungs |= ((rows - 0.52) / 0.3) ** 2 + ((columns - middle) / 0.13) ** 2 < 1
    images = 0.55 + 0.05 * random.standard_normal((number, SIDE, SIDE))
    images[:, lungs] -= 0.3
    markers = np.zeros(images.shape, bool)
    ill = np.arange(number) % 2 == 1
    for image, marked in zip(images[1::2], markers[1::2], strict=True):
        if planted == 'marker':
            image[1:4, 1:4] = 1
            marked[0:5, 0:5] = True
        else:
            y, x = random.uniform(0.4, 0.64), random.choice([0.32, 0.68])
            image += 0.45 * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * 0.05**2))
    return np.clip(images, 0, 1).astype(np.float32), lungs, markers, ill


def trained(images, ill):
    torch.manual_seed(0)
    stages = {
        'one': nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()),
        'two': nn.Sequential(
            nn.Conv2d(8, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU()
        ),
        'three': nn.Sequential(
            nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.BatchNorm2d(16), nn.ReLU()
        ),
    }
    network = StagedNetwork(stages, AverageLinear(16, 2), classes=2, channels=1)
    x, y = torch.from_numpy(images[:, None]) - 0.5, torch.from_numpy(ill.astype(np.int64))
    optimiser = torch.optim.Adam(network.parameters(), lr=0.003)
    for step in range(150):
        some = torch.randperm(len(x), generator=torch.Generator().manual_seed(step))[:32]
        optimiser.zero_grad()
        nn.functional.cross_entropy(network(x[some]), y[some], label_smoothing=0.1).backward()
        optimiser.step()
    network.eval()  # its batch norms have seen every step

    @torch.no_grad()
    def answer(images):
        feature_map, _ = network.features(torch.from_numpy(images[:, None]) - 0.5)
        logits = network.head(feature_map)
        return logits.softmax(1).numpy(), feature_map.mean((2, 3)).numpy()

    return answer


def drained(steps):
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def outcome(planted):
    images, _, _, ill = chests(160, planted, seed=1)
    answer = trained(images, ill)
    images, lungs, markers, ill = chests(80, planted, seed=2)
    order = np.random.default_rng(3).permutation(len(images))
    images, markers, ill = images[order], markers[order], ill[order]
    batches = [
        InputBatch(
            images[i : i + 16], np.broadcast_to(lungs, (16, SIDE, SIDE)), markers[i : i + 16]
        )
        for i in range(0, len(images), 16)
    ]
    parts = [drained(predict_batch(batch, answer)) for batch in batches]
    found = ChangedPredictions.joined(parts)
    truth = ill[:, None] == [False, True]
    return shortcut_tests(found, truth, [str(i) for i in range(len(ill))])


@pytest.mark.slow
def test_a_marker_in_the_corner_is_called_out():
    found = outcome('marker')
    assert found.auc.value > 0.95 and found.with_markers == 40
    assert {'only the frame', 'lungs removed', 'frame replaced'} <= set(found.called_out)
    assert {'only the lungs', 'text and markers masked'} <= set(found.called_out)
    assert not {'half the resolution', 'JPEG of low quality'} & set(found.called_out)
    assert found.verdict.startswith('The model takes a shortcut')


@pytest.mark.slow
def test_an_opacity_in_a_lung_is_called_out_by_none():
    found = outcome('opacity')
    assert found.auc.value > 0.95
    assert found.called_out == ()
    assert found.verdict == 'No test speaks for a shortcut.'


def test_changes_by_hand():
    images = np.linspace(0, 1, 50 * 50, dtype=np.float32).reshape(1, 50, 50)
    images = np.concatenate([images, 1 - images])
    lungs, markers = np.zeros((2, 2, 50, 50), bool)
    lungs[:, 20:30, 20:30] = True
    markers[0, 2:5, 2:5] = True
    batch = InputBatch(images, lungs, markers)
    changed = {change.name: change.apply(batch) for change in CHANGES}
    assert all(each.shape == images.shape for each in changed.values())
    around = images[0][~binary_dilation(lungs[0], iterations=2)].mean()
    assert changed['lungs removed'][0, 25, 25] == pytest.approx(around)
    assert changed['lungs removed'][0, 0, 0] == 0
    brighter = replace(batch, images=np.where(lungs, 1, images).astype(np.float32))
    removed = CHANGES[1].apply(brighter)
    np.testing.assert_array_equal(removed, changed['lungs removed'])  # nothing tells of them
    assert changed['only the lungs'][0, 25, 25] == images[0, 25, 25]
    assert changed['only the lungs'][0, 0, 0] == images[1, 0, 0]
    # 8 % of 50 are 4 pixels.
    assert changed['only the frame'][0, 3, 25] == images[0, 3, 25]
    assert changed['only the frame'][0, 4, 25] == changed['only the frame'][0, 25, 25]
    assert changed['frame replaced'][0, 3, 25] == images[1, 3, 25]
    assert changed['frame replaced'][0, 4, 25] == images[0, 4, 25]
    assert changed['text and markers masked'][0, 3, 3] == pytest.approx(images[0, 3, 3], abs=0.07)
    np.testing.assert_array_equal(changed['text and markers masked'][1], images[1])
    np.testing.assert_array_equal(changed['mirrored'], images[:, :, ::-1])
    assert np.abs(changed['JPEG of low quality'] - images).max() < 0.1
    assert np.abs(changed['half the resolution'] - images).mean() < 0.02


def test_sources_are_told_apart_by_what_differs():
    random = np.random.default_rng(0)
    features = random.standard_normal((60, 5))
    sources = ['a', 'b', ''] * 20
    patients = [f'{i // 6}{i % 3}' for i in range(60)]
    alike = source_interval(features, sources, patients)
    assert alike.low < 0.5 < alike.high
    features[np.array(sources) == 'a', 2] += 4
    assert source_interval(features, sources, patients).low > 0.8
    assert source_interval(features, ['a'] * 60, patients) is None


def test_few_patients_give_no_verdict():
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]])
    found = ChangedPredictions(
        probabilities,
        {change.name: probabilities for change in CHANGES},
        np.zeros((3, 2)),
        np.zeros((3, 256)),
        0,
    )
    truth = np.array([[True, False], [False, True], [False, True]])
    tests = shortcut_tests(found, truth, ['1', '2', '3'])
    assert {change.called_out for change in tests.changes} == {None}
    assert 'too few patients' in tests.verdict
    assert replace(tests, changes=()).called_out == ()
