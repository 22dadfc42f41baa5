"""Any network of torchvision and timm by name, or the reason why not."""

import copy

import pytest
import torch
from torch import nn

from napari_cxr import networks
from napari_cxr.networks import Grid, NotStaged
from napari_cxr.networks.auto_split import split_library_model
from napari_cxr.networks.heads import AverageLinear
from napari_cxr.networks.library_models import LibraryModel

SYMMETRIC = Grid((0.0, 0.0), (32.0, 32.0), (2, 2))


# Grids: symmetric kernels of stride 2 look at 0; patches of 4, then of 2, at (32 - 1) / 2;
# valid ones of 11 (stride 4, padded by 2) and pools of 3 at 3 + 4 + 8.
@pytest.mark.parametrize(
    ('name', 'averaging', 'channels', 'grid'),
    [
        ('torchvision:regnet_y_400mf', True, 440, SYMMETRIC),
        ('torchvision:shufflenet_v2_x0_5', True, 1024, SYMMETRIC),
        ('torchvision:mobilenet_v2', True, 1280, SYMMETRIC),
        ('torchvision:squeezenet1_1', False, 512, None),
        ('torchvision:alexnet', False, 256, Grid((15.0,) * 2, (16.0,) * 2, (3, 3))),
        ('timm:regnety_002', True, 368, SYMMETRIC),
        ('timm:resnet10t', True, 512, None),
        ('timm:mobilenetv3_small_050', False, 288, SYMMETRIC),
        ('timm:convnext_atto', False, 320, Grid((15.5,) * 2, (32.0,) * 2, (2, 2))),
        ('timm:repvgg_a0', True, 1280, SYMMETRIC),  # two convolutions read the image
    ],
)
def test_a_network_that_is_a_chain_works(name, averaging, channels, grid):
    torch.manual_seed(0)
    network = networks.create(name, 3, 1, (64, 64)).eval()
    assert isinstance(network.head, AverageLinear) == averaging
    assert (network.arch, network.channels, len(network.stage_names) >= 3) == (name, 1, True)
    with torch.no_grad():
        feature_map, _ = network.features(torch.randn(2, 1, 64, 64))
        assert network.head(feature_map).shape == (2, 3)
    assert feature_map.shape[1] == channels
    assert grid is None or network.grid(64, 64) == grid


@pytest.mark.parametrize('name', ['torchvision:densenet121', 'timm:resnet18'])
def test_it_is_the_network_of_the_library(name):
    stock = split_library_model(name, (64, 64))
    torch.manual_seed(0)
    theirs = stock.library_network(3).eval()
    x = torch.randn(2, 3, 64, 64)
    torch.manual_seed(0)
    ours = networks.create(name, 3, 3, (64, 64)).eval()
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x), rtol=1e-5, atol=1e-6)


def test_a_head_that_averages_fits_any_of_them():
    network = networks.create('timm:convnext_atto', 2, 1, (64, 64), {'kind': 'average'})
    assert network.closed_form().shape == (2, 320)


@pytest.mark.slow
def test_channels_last_maps_are_turned():
    network = networks.create('timm:swin_s3_tiny_224', 2, 3, (224, 224)).eval()
    with torch.no_grad():
        assert network.features(torch.zeros(1, 3, 224, 224))[0].shape == (1, 768, 7, 7)
    with pytest.raises(networks.Untraceable, match='reshapes rows and columns'):
        network.grid(224, 224)


@pytest.mark.parametrize(
    ('name', 'size', 'why'),
    [
        ('timm:vit_tiny_patch16_224', 224, "between 'patch_embed' and 'pos_drop'"),
        (
            'timm:vit_tiny_patch16_224',
            64,
            'does not take images of 64 x 64 pixels; choose another',
        ),
        ('timm:hrnet_w18_small', 64, "part 'stage2' takes more than one input"),
    ],
)
def test_what_is_no_chain_is_refused_with_the_reason(name, size, why):
    with pytest.raises(NotStaged, match=f'^{name} .*{why}'):
        networks.create(name, 2, 1, (size, size))


@pytest.mark.parametrize(
    ('name', 'why'),
    [
        (
            'torchvision:resnet_18',
            'torchvision has no classification network .* Did you mean resnet18',
        ),
        ('torchvision:fcn_resnet50', 'no classification network'),
        ('timm:regnety_0002', 'timm has no network .* Did you mean regnety_002'),
        ('timm:resnet18.no_such_tag', 'Invalid pretrained tag'),
        ('timm:hf-hub:somebody/something', 'timm has no network'),
        ('keras:vgg16', 'There is no network'),
    ],
)
def test_a_name_that_no_library_has(name, why):
    with pytest.raises(ValueError, match=why):
        networks.create(name, 2)


def test_trying_it_out_draws_nothing():
    torch.manual_seed(0)
    split_library_model('timm:resnet10t', (64, 64)).library_network(2)
    expected = torch.rand(1)
    torch.manual_seed(0)
    networks.create('timm:resnet10t', 2, 3, (64, 64))
    assert torch.rand(1) == expected


class Whole(nn.Module):
    """A network whose parts a test may run as it likes."""

    def __init__(self, run):
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3, stride=2)
        self.fc = nn.Linear(4, 2)
        self.run = run

    def forward(self, x):
        return self.run(self, x)


def cut(run):
    stock = split_library_model('timm:made_up', (16, 16))
    return LibraryModel('timm', 'made_up', stock.split).split(copy.deepcopy(Whole(run)))


def test_small_steps_between_parts_are_found():
    stages, head = cut(lambda m, x: m.fc(m.two(m.one(x)).relu().mean((2, 3))))
    assert [[type(m) for m in s] for s in stages.values()] == [[nn.Conv2d], [nn.Conv2d, nn.ReLU]]
    assert isinstance(head, AverageLinear)


@pytest.mark.parametrize(
    ('run', 'why'),
    [
        (lambda m, x: m.fc(m.two(m.one(x) * 2).mean((2, 3))), "between 'one' and 'two'"),
        (lambda m, x: m.fc(m.two(m.one(x + 1)).mean((2, 3))), "between the image and 'one'"),
        (lambda m, x: m.fc(m.two(m.one(x)).mean((2, 3))) ** 2, "'fc' and the logits"),
        (lambda m, x: m.fc(m.two(m.two(m.one(x))).mean((2, 3))), "runs its part 'two' twice"),
        (lambda m, x: m.fc(x.new_ones(2, 4)), 'the image and'),
        (lambda m, x: x.mean((2, 3)), 'no parts'),
        (lambda m, x: m.one(x), 'no part|head'),
    ],
)
def test_where_the_chain_breaks_is_said(run, why):
    with pytest.raises(NotStaged, match=f'made_up cannot be split .*{why}'):
        cut(run)
