"""The papers' own networks: their numbers of parameters, and what they compute."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from napari_cxr import networks
from napari_cxr.networks import Grid


def made(name, classes, side, channels=3, head=None):
    with torch.device('meta'):
        return networks.create(name, classes, channels, (side, side), head)


def count(network):
    return sum(p.numel() for p in network.parameters())


#: What the papers' code prints, and for DETL's sizes what its layers add up to.
PUBLISHED = [
    ('nova_cnn', 256, 1, 17_019_073),
    ('nova_cnn', 150, 1, 6_795_457),
    ('nova_cnn_k5', 256, 1, 17_446_593),
    ('nova_cnn_k8', 256, 1, 18_488_673),
    ('nova_cnn_k12', 256, 1, 20_626_273),
    ('zhong_cnn', 80, 3, 63_148_835),
    ('detl_cnn', 64, 2, 844_706),
    ('detl_cnn', 128, 2, 5_039_010),
    ('detl_cnn', 150, 2, 7_693_218),
    ('detl_cnn', 224, 2, 19_194_786),
    ('detl_cnn', 256, 2, 26_010_530),
    ('detl_cnn_average', 64, 2, 353_186),
]


@pytest.mark.parametrize(('name', 'side', 'classes', 'parameters'), PUBLISHED)
def test_number_of_parameters(name, side, classes, parameters):
    assert count(made(name, classes, side)) == parameters


def test_number_of_parameters_by_hand():
    kernels = 64 * (3 * 32 + 32 * 64 + 64 * 128 + 3 * 128 * 128)
    biases = 32 + 64 + 4 * 128
    layers = 4 * 4 * 128 * 512 + 512 + 513
    assert count(made('nova_cnn_k8_deep', 1, 256)) == kernels + biases + layers
    assert count(made('detl_cnn_average', 2, 64, channels=1)) == 352_610
    assert count(made('nova_cnn', 2, 256, head={'single': True})) == 17_019_073


@pytest.mark.parametrize(
    ('name', 'depth'),
    [('nova_cnn', 6), ('nova_cnn_k8_deep', 8), ('zhong_cnn', 13), ('detl_cnn', 9)],
)
def test_depth(name, depth):
    assert made(name, 2, 64).depth == depth


SMALL = {
    'nova_cnn': (50, (7, 7)),  # 50, 25, 13, 7
    'nova_cnn_k5': (48, (6, 6)),
    'nova_cnn_k8': (50, (7, 7)),
    'nova_cnn_k8_deep': (64, (2, 2)),
    'nova_cnn_k12': (48, (6, 6)),
    'zhong_cnn': (40, (5, 5)),
    'detl_cnn': (60, (8, 8)),  # 56 / 2, 24 / 2, 8
    'detl_cnn_average': (60, (8, 8)),
}


@pytest.mark.parametrize('name', SMALL)
def test_they_return_their_classes_and_a_map(name):
    side, cells = SMALL[name]
    network = networks.create(name, 3, 1, (side, side)).eval()
    x = torch.randn(2, 1, side, side)
    with torch.no_grad():
        feature_map, earlier = network.features(x)
        logits = network(x)
        torch.testing.assert_close(network.head(feature_map, *earlier), logits)
    assert logits.shape == (2, 3)
    assert tuple(feature_map.shape[2:]) == cells == network.grid(side, side).cells
    assert network.size == (side, side)
    assert logits.std(dim=0).max() > 1e-4  # random weights that let the image through


@pytest.mark.parametrize('kernel', [3, 8])
def test_nova_computes_what_keras_does(kernel):
    torch.manual_seed(0)
    network = networks.create('nova_cnn' if kernel == 3 else 'nova_cnn_k8', 2, 1, (50, 50)).eval()
    for p in network.parameters():
        nn.init.normal_(p, std=0.05)
    x = torch.randn(2, 1, 50, 50)
    low, high = (kernel - 1) // 2, kernel - 1 - (kernel - 1) // 2
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    first, last = (m for m in network.head if isinstance(m, nn.Linear))
    y = x
    for number, layer in enumerate(convolutions):
        y = functional.conv2d(
            functional.pad(y, (low, high, low, high)), layer.weight, layer.bias
        ).relu()
        if number and y.shape[2] % 2:  # 'same': what is missing at the end never wins
            y = functional.pad(y, (0, 1, 0, 1), value=-torch.inf)
        y = functional.max_pool2d(y, 2)
    y = last(first(y.flatten(1)).relu())
    torch.testing.assert_close(network(x), y)


def test_zhong_reads_the_maxima_of_four_pooled_levels_and_the_last_in_full():
    torch.manual_seed(0)
    network = networks.create('zhong_cnn', 3, 1, (40, 40)).eval()
    x, levels = torch.randn(2, 1, 40, 40), []
    y = x
    convolutions = iter(m for m in network.modules() if isinstance(m, nn.Conv2d))
    for repeats in (2, 2, 3, 3):
        for _ in range(repeats):
            y = functional.elu(next(convolutions)(y))
        last = y
        y = functional.max_pool2d(y, 2)
        levels.append(y.flatten(2).max(2).values)
    first, second, third = (m for m in network.head.modules() if isinstance(m, nn.Linear))
    y = functional.elu(first(torch.cat([*levels, last.flatten(1)], dim=1)))
    torch.testing.assert_close(network(x), third(functional.elu(second(y))))


def centroid(network, side, cell):
    """Return the centroid of |dA/dx| of a cell where only geometry counts: kernels are even."""
    for module in list(network.modules()):
        if isinstance(module, nn.Conv2d):
            nn.init.constant_(module.weight, 1 / module.weight[0].numel())
            nn.init.zeros_(module.bias)
        for name, pool in list(module.named_children()):
            if isinstance(pool, nn.MaxPool2d):
                mean = nn.AvgPool2d(2, ceil_mode=pool.ceil_mode)
                module.set_submodule(name, mean)
    x = torch.ones(1, 1, side, side, requires_grad=True)
    feature_map, _ = network.features(x)
    (gradient,) = torch.autograd.grad(feature_map[0, :, cell, cell].sum(), x)
    weight = gradient[0, 0].abs().double()
    places = torch.arange(side).double()
    return np.array([(weight.sum(d) @ places / weight.sum()).item() for d in (1, 0)])


# The deep network's cells look at more than 400 pixels; its operations are the same.
@pytest.mark.parametrize('name', [n for n in SMALL if n != 'nova_cnn_k8_deep'])
def test_cells_look_where_their_gradient_lies(name):
    side = 230  # odd on the way: 230, 115, 58, 29
    with torch.device('meta'):  # the weights of its flattened map are many
        network = networks.create(name, 2, 1, (side, side))
    network = network.with_head(nn.Identity(), 2, reads=()).to_empty(device='cpu').eval()
    grid = network.grid(side, side)
    cell = grid.cells[0] // 2
    found = centroid(network, side, cell)
    np.testing.assert_allclose(found, grid.centre(cell, cell), atol=0.02 * grid.jump[0])


def test_grids_by_hand():
    # Pools of two add half a step each: 0.5 + 1 + 2; an even kernel half a cell of its level.
    assert made('nova_cnn', 2, 256, 1).grid(256, 256) == Grid((3.5,) * 2, (8.0,) * 2, (32, 32))
    even = 0.5 * (1 + 2 + 4 + 8)
    assert made('nova_cnn_k8', 2, 256, 1).grid(256, 256).start == (3.5 + even,) * 2
    assert made('zhong_cnn', 2, 80, 1).grid(80, 80) == Grid((3.5,) * 2, (8.0,) * 2, (10, 10))
    # Valid 3x3 convolutions look one cell further each: 2 + 0.5 + 4 + 1 + 8.
    assert made('detl_cnn', 2, 224, 1).grid(224, 224) == Grid((15.5,) * 2, (4.0,) * 2, (49, 49))


def test_an_image_that_is_too_small_is_refused():
    with pytest.raises(
        ValueError, match=r"'block3' does not accept .* 20 x 20 pixels; choose another"
    ):
        networks.create('detl_cnn', 2, 1, (20, 20))
