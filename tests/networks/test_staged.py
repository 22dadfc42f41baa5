"""Stages and a head."""

import pytest
import torch
from torch import nn

from napari_cxr import networks
from napari_cxr.networks import NotStaged, StagedNetwork
from napari_cxr.networks.heads import AverageLinear, average_then


class ReadsTwo(nn.Module):
    """A head that concatenates an earlier map with the last, pooled."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4 + 8, 3)

    def forward(self, feature_map, early):
        return self.linear(torch.cat([early.amax((2, 3)), feature_map.mean((2, 3))], dim=1))


def two_stages():
    return {
        'one': nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(inplace=True)),
        'two': nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(4, 8, 3, stride=2), nn.ELU()),
    }


def test_stages_run_in_order_and_the_head_gets_what_it_reads():
    stages = two_stages()
    network = StagedNetwork(stages, ReadsTwo(), classes=3, channels=1, reads=['one'])
    x = torch.randn(2, 1, 12, 12)
    feature_map, earlier = network.features(x)
    assert network.stage_names == ('one', 'two')
    torch.testing.assert_close(earlier[0], stages['one'](x))
    torch.testing.assert_close(feature_map, stages['two'](stages['one'](x)))
    torch.testing.assert_close(network(x), network.head(feature_map, *earlier))


def test_no_stage_overwrites_what_another_returned():
    stages = {
        'one': nn.Conv2d(1, 2, 1, bias=False),
        'two': nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(2, 8, 1)),
    }
    nn.init.constant_(stages['one'].weight, -1.0)
    network = StagedNetwork(
        stages, average_then(nn.Linear(8, 3)), classes=3, channels=1, reads=['one']
    )
    _, (early,) = network.features(torch.ones(1, 1, 4, 4))
    assert early.max() == -1


@pytest.mark.parametrize('name', networks.names())
def test_no_network_works_in_place(name):
    with torch.device('meta'):
        network = networks.create(name, 2)
    assert not any(getattr(module, 'inplace', False) for module in network.modules())


@pytest.mark.parametrize('reads', [(), ('one',), ('two', 'one')])
def test_stages_can_be_run_in_two_parts(reads):
    stages = {'one': nn.Conv2d(1, 2, 3), 'two': nn.Conv2d(2, 4, 3), 'three': nn.Conv2d(4, 3, 3)}
    network = StagedNetwork(stages, nn.Identity(), classes=3, channels=1, reads=reads)
    x = torch.randn(2, 1, 12, 12)
    feature_map, earlier = network.features(x)
    assert [e.shape[1] for e in earlier] == [{'one': 2, 'two': 4}[name] for name in reads]
    for name in network.stage_names:
        first = network.features_up_to(name, x)
        before = network.stage_names[: network.stage_names.index(name)]
        assert len(first) == 1 + sum(r in before for r in reads)
        again, read = network.features_from(name, *first)
        torch.testing.assert_close((again, *read), (feature_map, *earlier), rtol=0, atol=0)


def test_parts_are_the_stages_and_then_the_head():
    network = StagedNetwork(two_stages(), ReadsTwo(), classes=3, channels=1, reads=['one'])
    assert [name for name, _ in network.parts()] == ['one', 'two', 'head']
    assert network.parts()[-1][1] is network.head
    assert network.shapes(12, 14) == {'one': (4, 10, 12), 'two': (8, 4, 5)}
    assert network.depth == 3


def test_without_a_stage_there_is_no_network():
    with pytest.raises(NotStaged, match='at least one stage'):
        StagedNetwork({}, nn.Identity(), classes=1, channels=1)


@pytest.mark.parametrize('reads', ['two', 'three'])
def test_the_head_reads_stages_before_the_last_only(reads):
    with pytest.raises(NotStaged, match=f"reads '{reads}'.*are one"):
        StagedNetwork(two_stages(), ReadsTwo(), classes=3, channels=1, reads=[reads])


def test_a_last_stage_that_returns_no_map_is_refused():
    stages = {'flat': nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten())}
    network = StagedNetwork(stages, nn.Linear(4, 2), classes=2, channels=1)
    with pytest.raises(NotStaged, match=r"'flat', returns shape \(1, 144\).*feature map"):
        network(torch.zeros(1, 1, 8, 8))


def test_closed_form_is_the_linear_layer_of_an_averaging_head():
    network = networks.create('resnet10', 3)
    assert network.closed_form() is network.head.linear.weight
    assert tuple(network.closed_form().shape) == (3, 512)


def test_a_head_with_a_hidden_layer_has_no_closed_form():
    assert networks.create('mobilenet_v3_large', 3).closed_form() is None


def test_another_head_keeps_the_stages():
    network = networks.create('resnet10', 2).eval()
    other = network.with_head(AverageLinear(512, 4), classes=4).eval()
    assert other.num_classes == 4
    assert other.arch == 'resnet10'
    assert all(other.stages[n] is network.stages[n] for n in network.stage_names)
    assert other(torch.zeros(1, 1, 32, 32)).shape == (1, 4)
    assert network(torch.zeros(2, 1, 32, 32)).shape == (2, 2)


def test_the_grid_of_a_size_is_worked_out_once():
    network = networks.create('resnet10', 2)
    assert network.grid(64, 96) is network.grid(64, 96)
    assert network.grid(64, 96).cells == (2, 3)
    assert network.grid(96, 64).cells == (3, 2)
