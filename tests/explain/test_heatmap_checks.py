"""Checks of heatmaps whose outcome is known beforehand."""

import numpy as np
import pytest
import torch
from torch import nn

from napari_cxr.explain.heatmap_checks import (
    HeatmapChecks,
    cascading_randomisation,
    deletion_and_insertion,
)
from napari_cxr.networks import StagedNetwork
from napari_cxr.networks.heads import AverageLinear


def drained(steps):
    seen = []
    while True:
        try:
            seen.append(next(steps))
        except StopIteration as end:
            assert seen == sorted(seen) and seen[-1] == pytest.approx(1)
            return end.value


def test_a_map_of_the_image_alone_stays_and_one_of_the_weights_goes():
    torch.manual_seed(0)
    stages = {
        'one': nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU()),
        'shape': nn.AvgPool2d(2),
        'two': nn.Sequential(nn.Conv2d(16, 16, 3, padding=1), nn.ReLU()),
    }
    network = StagedNetwork(stages, AverageLinear(16, 2), classes=2, channels=1).eval()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    x = torch.randn(1, 1, 32, 32)
    parts, grad_cam = drained(cascading_randomisation(network, x, 1, 'Grad-CAM'))
    assert parts == ('head', 'two', 'one'), 'a stage without weights is no step'
    assert grad_cam[-1] < 0.3
    _, eigen_cam = drained(cascading_randomisation(network, x, 1, 'EigenCAM'))
    assert eigen_cam[0] == pytest.approx(1), 'which knows nothing of the head'
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def bright_spot(size=48):
    image = np.full((size, size), 0.2, np.float32)
    image[10:18, 28:36] = 1
    return image


def answer(images):
    """What the images show of the spot."""
    return images[:, 10:18, 28:36].mean(axis=(1, 2))


def test_deleting_what_an_answer_rests_on_is_faster_than_other_places():
    image = bright_spot()
    marked = np.zeros_like(image)
    marked[9:19, 27:37] = 1
    curves = drained(deletion_and_insertion(image, marked, answer))
    deletion, insertion, random_deletion, random_insertion = curves
    assert deletion[0] == 1 and deletion[-1] == pytest.approx(image.mean())
    assert insertion[-1] == 1 and insertion[0] < 0.6
    # The spot is a thirty-sixth of the image: gone with the first twelfth.
    assert deletion[1] == pytest.approx(image.mean()) and insertion[1] == 1
    assert random_deletion.shape == random_insertion.shape == (9, 13)
    checks = HeatmapChecks('spot', 'by hand', ('head',), (0.1,), *curves)
    assert [verdict.passed for verdict in checks.verdicts] == [True, True, True]
    assert '9 of 9 random places' in checks.verdicts[1].text


def test_a_map_of_somewhere_else_does_not_pass():
    image = bright_spot()
    elsewhere = np.zeros_like(image)
    elsewhere[30:44, 4:18] = 1
    curves = drained(deletion_and_insertion(image, elsewhere, answer))
    checks = HeatmapChecks('spot', 'by hand', ('head', 'one'), (0.9, 0.8), *curves)
    assert checks.verdicts[0].passed is False
    assert checks.verdicts[1].passed is not True and checks.verdicts[2].passed is not True
    assert 'It shows the image' in checks.verdicts[0].text
