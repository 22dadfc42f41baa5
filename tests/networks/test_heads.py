"""Heads that a recipe asks for."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from napari_cxr import networks
from napari_cxr.networks.heads import AverageLinear


def made(head, classes=2, name='resnet10', side=64):
    torch.manual_seed(0)
    return networks.create(name, classes, 1, (side, side), head).eval()


def count(module):
    return sum(p.numel() for p in module.parameters())


def test_without_hidden_layers_the_average_keeps_its_closed_form():
    network = made({'kind': 'average', 'dropout': 0.3}, 3, 'mobilenet_v3_large')
    assert isinstance(network.head, AverageLinear)
    assert network.closed_form().shape == (3, 960)
    assert network.head.dropout.p == 0.3


def test_hidden_layers_by_hand():
    network = made({'kind': 'average', 'hidden': [64, 8], 'dropout': 0.5}, 3)
    one, two, three = (m for m in network.head if isinstance(m, nn.Linear))
    feature_map, _ = network.features(torch.randn(2, 1, 64, 64))
    expected = three(two(one(feature_map.mean((2, 3))).relu()).relu())
    torch.testing.assert_close(network.head(feature_map), expected)
    assert count(network.head) == 512 * 64 + 64 + 64 * 8 + 8 + 8 * 3 + 3
    assert [m.p for m in network.head if isinstance(m, nn.Dropout)] == [0.5]


@pytest.mark.parametrize(
    ('name', 'head'),
    [
        ('resnet10', {'single': True}),
        ('zhong_cnn', {'single': True}),
        ('resnet10', {'kind': 'average', 'single': True}),
        ('resnet10', {'kind': 'average', 'hidden': (4,), 'single': True}),
    ],
)
def test_one_output_for_two_classes_is_a_sigmoid(name, head):
    network = made(head, 2, name, 40)
    x, y = torch.randn(4, 1, 40, 40), torch.tensor([0, 1, 1, 0])
    logits = network(x)
    z = network.head.inner(*_unpacked(network.features(x)))[:, 0]
    assert network.num_classes == 2
    assert z.abs().min() > 1e-6
    torch.testing.assert_close(logits.softmax(1)[:, 1], z.sigmoid())
    torch.testing.assert_close(
        functional.cross_entropy(logits, y),
        functional.binary_cross_entropy_with_logits(z, y.float()),
    )


def test_an_average_head_reads_no_earlier_stage():
    network = made({'kind': 'average'}, 3, 'zhong_cnn', 40)
    assert network.reads == ()
    assert network.features(torch.zeros(1, 1, 40, 40))[1] == ()
    assert network.closed_form().shape == (3, 128)


def test_the_network_can_be_explained_with_one_output():
    from napari_cxr.explain import grad_cam

    network = made({'single': True}, 2)
    _, maps = grad_cam(network, torch.randn(1, 1, 64, 64))
    assert maps.shape == (1, 2, 2, 2)
    assert (maps[:, 0] * maps[:, 1]).max() == 0


@pytest.mark.parametrize(
    ('head', 'classes', 'why'),
    [
        ({'units': 3}, 2, "no entry 'units'"),
        ({'kind': 'max'}, 2, "'own' or 'average', not 'max'"),
        ({'kind': 'average', 'hidden': [0]}, 2, '1 to 65536'),
        ({'kind': 'average', 'hidden': [True]}, 2, '1 to 65536'),
        ({'kind': 'average', 'hidden': 3}, 2, '1 to 65536'),
        ({'kind': 'average', 'dropout': 1.0}, 2, 'below 1'),
        ({'hidden': [3]}, 2, "need head.kind = 'average'"),
        ({'single': 1}, 2, 'true or false'),
        ({'single': True}, 3, 'there are 3; leave it out'),
    ],
)
def test_a_wrong_entry_is_named(head, classes, why):
    with pytest.raises(ValueError, match=why):
        made(head, classes)


def _unpacked(features):
    feature_map, earlier = features
    return feature_map, *earlier
