"""The maps of a stage are what it returns, and lie where their cells look."""

import numpy as np
import pytest
import torch
from torch import nn

from napari_cxr import explain
from napari_cxr.explain.feature_maps import stage_grid, uniform_grid
from napari_cxr.networks import StagedNetwork, Untraceable


def maps_of(values):
    values = np.array(values, dtype=np.float32)
    return explain.FeatureMaps(values, np.eye(3), 'layer1', 'made up')


def test_maps_are_what_the_stage_returns(calibrate):
    network = calibrate('resnet10').train()
    x = torch.randn(2, 1, 96, 80)
    seen = {}
    hook = network.stages['layer2'].register_forward_hook(
        lambda module, args, out: seen.update(out=out.detach())
    )
    maps = explain.stage_maps(network, x, 'layer2')
    hook.remove()
    assert torch.equal(maps, seen['out']) and maps.shape[0] == 2 and maps.ndim == 4
    assert network.training and all(m.training for m in network.modules())
    last = explain.stage_maps(network, x, network.stage_names[-1])
    with torch.no_grad():
        torch.testing.assert_close(last, network.eval().features(x)[0])


def test_cells_of_each_stage_lie_where_they_look(calibrate):
    network = calibrate('resnet10')
    # A ResNet's strides of 2 with symmetric padding keep the first cell on the first pixel.
    for stage, jump in (('layer1', 4), ('layer2', 8), ('layer3', 16), ('layer4', 32)):
        grid = stage_grid(network, stage, 97, 97)
        assert grid.start == (0, 0) and grid.jump == (jump, jump), stage
        shape = explain.stage_maps(network, torch.zeros(1, 1, 97, 97), stage).shape
        assert grid.cells == tuple(shape[2:])
    assert stage_grid(network, 'layer4', 97, 97) == network.grid(97, 97)


def test_a_stage_that_cannot_be_traced_says_so():
    class Rolled(nn.Module):
        def forward(self, x):
            return x.roll(2, -1)

    stages = [('conv', nn.Conv2d(1, 2, 3, padding=1)), ('roll', Rolled())]
    network = StagedNetwork(stages, nn.Flatten(), classes=2, channels=1)
    assert stage_grid(network, 'conv', 8, 8).jump == (1, 1)
    with pytest.raises(Untraceable, match="'roll'"):
        stage_grid(network, 'roll', 8, 8)


def test_even_cells_by_hand():
    grid = uniform_grid((4, 2), 100, 100)
    # Cells of 25 x 50 pixels; the first one's centre is (12, 24.5).
    assert grid.centre(0, 0) == (12, 24.5) and grid.centre(3, 1) == (87, 74.5)


def test_unknown_stages_are_named(calibrate):
    with pytest.raises(ValueError, match='layer1'):
        explain.stage_maps(calibrate('resnet10'), torch.zeros(1, 1, 64, 64), 'layer9')


def test_what_is_no_map_is_refused():
    stages = [('flat', nn.Flatten()), ('conv', nn.Unflatten(1, (1, 8, 8)))]
    network = StagedNetwork(stages, nn.Flatten(), classes=64, channels=1)
    with pytest.raises(ValueError, match='no maps'):
        explain.stage_maps(network, torch.zeros(1, 1, 8, 8), 'flat')


def test_dead_filters_by_hand():
    first = np.zeros((4, 2, 2), dtype=np.float32)
    first[1, 0, 0] = 1  # alive
    first[2] = 0.5  # one value everywhere
    assert explain.dead_filters([first]).tolist() == [True, False, True, True]
    second = np.zeros((4, 3, 2), dtype=np.float32)
    second[2] = 0.7  # constant here too, but another constant
    second[3, 1, 1] = 2
    assert explain.dead_filters([second]).tolist() == [True, True, True, False]
    assert explain.dead_filters([first, second]).tolist() == [True, False, False, False]


def test_one_cell_is_dead_only_at_zero():
    one = np.array([0.0, 3.0], dtype=np.float32).reshape(2, 1, 1)
    assert explain.dead_filters([one]).tolist() == [True, False]


def test_dead_filters_of_a_real_network(calibrate):
    network = calibrate('resnet10')
    with torch.no_grad():  # a filter whose ReLU never opens
        network.stages['layer3'][-1].bn2.bias[5] = -1000
    maps = explain.stage_maps(network, torch.randn(3, 1, 96, 96), 'layer3').numpy()
    assert explain.dead_filters(list(maps))[5]
    assert explain.dead_filters(list(maps)).sum() == 1


def test_activity_is_the_mean_size():
    maps = maps_of([[[1, -1], [2, 0]], [[0, 0], [0, 0]]])
    assert maps.activity().tolist() == [1, 0]


@pytest.mark.parametrize('values', [np.zeros((2, 2)), np.full((1, 2, 2), np.nan)])
def test_nonsense_is_refused(values):
    with pytest.raises(ValueError, match=r'\w'):
        maps_of(values)
