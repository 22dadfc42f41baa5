"""Receptive-field arithmetic, against values worked out by hand."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from napari_cxr import networks
from napari_cxr.networks import Grid, Untraceable
from napari_cxr.networks.receptive_field import derive_grid


class Does(nn.Module):
    """A stage that is a function."""

    def __init__(self, function, *children):
        super().__init__()
        self.function = function
        self.children_ = nn.ModuleList(children)

    def forward(self, x):
        return self.function(x, *self.children_)


def grid_of(*modules, shape=(2, 33, 33)):
    return derive_grid([(f'stage{i}', m) for i, m in enumerate(modules)], shape)


def test_a_cell_looks_at_start_and_jumps():
    grid = Grid(start=(14.0, 3.0), jump=(32.0, 16.0), cells=(7, 14))
    assert grid.centre(2, 3) == (78.0, 51.0)


# start = ((k - 1) / 2 * d - p), jump = s, for the first layer.
@pytest.mark.parametrize(
    ('module', 'start', 'jump', 'cells'),
    [
        (nn.Conv2d(2, 2, 3), 1.0, 1.0, 31),
        (nn.Conv2d(2, 2, 3, padding=1), 0.0, 1.0, 33),
        (nn.Conv2d(2, 2, 4, stride=2), 1.5, 2.0, 15),
        (nn.Conv2d(2, 2, 3, dilation=4), 4.0, 1.0, 25),
        (nn.Conv2d(2, 2, 7, stride=2, padding=3, groups=2), 0.0, 2.0, 17),
        (nn.Conv2d(2, 2, 8, padding='same'), 0.5, 1.0, 33),
        (nn.MaxPool2d(2), 0.5, 2.0, 16),
        (nn.MaxPool2d(3, 2, padding=1), 0.0, 2.0, 17),
        (nn.MaxPool2d(2, ceil_mode=True), 0.5, 2.0, 17),
        (nn.AvgPool2d(3, 1, padding=1), 0.0, 1.0, 33),
        (nn.AvgPool2d(2), 0.5, 2.0, 16),
        (nn.AdaptiveAvgPool2d(11), 1.0, 3.0, 11),
        (nn.ZeroPad2d((3, 0, 3, 0)), -3.0, 1.0, 36),
        (nn.ReflectionPad2d(2), -2.0, 1.0, 37),
        (Does(lambda x: x[:, :, 1::2, 1::2]), 1.0, 2.0, 16),
        (nn.GELU(), 0.0, 1.0, 33),
        (nn.GroupNorm(2, 2), 0.0, 1.0, 33),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else None,
)
@pytest.mark.filterwarnings('ignore:Using padding=')
def test_one_operation(module, start, jump, cells):
    assert grid_of(module) == Grid((start, start), (jump, jump), (cells, cells))


@pytest.mark.parametrize(
    ('amounts', 'kernel', 'stride', 'start'),
    [
        # TensorFlow's 'same' before a stride: as if half a pixel were on either side.
        ((0, 1, 0, 1), 3, 2, (0.5, 0.5)),
        ((1, 2, 1, 2), 5, 2, (0.5, 0.5)),
        ((0, 1, 0, 0), 3, 2, (1.0, 0.5)),
        # Without a stride, evenly, or by more than one pixel: where the padding says.
        ((0, 1, 0, 1), 2, 1, (0.5, 0.5)),
        ((1, 1, 1, 1), 3, 2, (0.0, 0.0)),
        ((0, 2, 0, 2), 3, 2, (1.0, 1.0)),
    ],
)
def test_one_odd_pixel_of_padding_before_a_stride_counts_half(amounts, kernel, stride, start):
    module = nn.Sequential(nn.ZeroPad2d(amounts), nn.Conv2d(2, 2, kernel, stride))
    assert grid_of(module, shape=(2, 32, 32)).start == start


def test_each_axis_has_its_own_numbers():
    module = nn.Conv2d(2, 2, (3, 5), stride=(1, 2), padding=(1, 0), dilation=(1, 2))
    assert grid_of(module, shape=(2, 20, 33)) == Grid((0.0, 4.0), (1.0, 2.0), (20, 13))


def test_steps_are_taken_in_the_jump_reached_so_far():
    # The paper's twelve layers, valid convolutions: 24 cells at 17.5 + 8 i (224 pixels).
    def block(n):
        return nn.Sequential(nn.Conv2d(n, n, 3), nn.ReLU(), nn.Conv2d(n, n, 3), nn.MaxPool2d(2))

    grid = grid_of(block(2), block(2), block(2), shape=(2, 224, 224))
    assert grid == Grid((17.5, 17.5), (8.0, 8.0), (24, 24))


def test_a_shortcut_that_looks_elsewhere_pulls_the_cell_half_way():
    # A 3x3 convolution of stride 2 looks at 0, and the mean of two pixels at 0.5.
    module = Does(
        lambda x, a, b: a(x) + b(x),
        nn.Conv2d(2, 2, 3, stride=2, padding=1),
        nn.AvgPool2d(2, ceil_mode=True),
    )
    assert grid_of(module).start == (0.25, 0.25)


def test_joining_channels_of_branches_that_agree():
    module = Does(
        lambda x, a, b: torch.cat([a(x), b(x)], dim=1),
        nn.Conv2d(2, 2, 3, stride=2),
        nn.MaxPool2d(3, stride=2),
    )
    assert grid_of(module) == Grid((1.0, 1.0), (2.0, 2.0), (16, 16))


def test_channels_may_be_split_and_shuffled():
    def shuffle(x):
        a, b = x.chunk(2, dim=1)
        x = torch.cat([b, a], dim=1)
        return x.view(1, 2, 1, *x.shape[2:]).transpose(1, 2).reshape(x.shape)

    assert grid_of(nn.MaxPool2d(3, 2), Does(shuffle)).start == (1.0, 1.0)


def test_channels_last_layers_keep_their_place():
    block = Does(
        lambda x, norm, linear: linear(norm(x.permute(0, 2, 3, 1))).permute(0, 3, 1, 2),
        nn.LayerNorm(2),
        nn.Linear(2, 5),
    )
    assert grid_of(nn.MaxPool2d(2), block) == Grid((0.5, 0.5), (2.0, 2.0), (16, 16))


def test_squeeze_and_excitation_moves_nothing():
    gate = Does(
        lambda x, pool, conv: x * conv(pool(x)).sigmoid(),
        nn.AdaptiveAvgPool2d(1),
        nn.Conv2d(2, 2, 1),
    )
    assert grid_of(nn.MaxPool2d(2), gate) == Grid((0.5, 0.5), (2.0, 2.0), (16, 16))


@pytest.mark.parametrize(
    ('function', 'why'),
    [
        (lambda x: torch.roll(x, 1, dims=3), 'roll'),
        (lambda x: x.flatten(2).softmax(-1).view(x.shape), 'reshapes rows and columns'),
        (lambda x: functional.interpolate(x, scale_factor=2), 'upsample'),
        (lambda x: functional.linear(x, x.new_empty(7, 33)), 'mixes the columns'),
        (lambda x: x + x.mean(dim=3, keepdim=True), 'one axis'),
        (lambda x: torch.cat([x, x], dim=2), 'concatenates maps along'),
        (lambda x: x + x[:, :, :1], 'different sizes'),
        (lambda x: functional.conv_transpose2d(x, x.new_empty(2, 2, 2, 2)), 'transposed'),
        (lambda x: functional.adaptive_avg_pool2d(x, 10), 'unevenly'),
        (lambda x: functional.max_pool2d(x, 2, dilation=2), 'gaps'),
        (lambda x: x[..., ::2, ::2] + x[..., :17, :17], 'not equally far apart'),
        (lambda x: x + x.transpose(2, 3), 'layouts'),
        (lambda x: torch.stack([x, x]).sum(0), 'stack'),
    ],
)
def test_what_has_no_fixed_place_is_refused_with_the_reason(function, why):
    with pytest.raises(Untraceable, match=f"33 x 33 pixels, because of its stage 'stage1'.*{why}"):
        grid_of(nn.ReLU(), Does(function))


def test_branches_more_than_a_cell_apart_have_no_common_place():
    module = Does(lambda x: x[:, :, 4:, 4:] + x[:, :, :-4, :-4])
    with pytest.raises(Untraceable, match='more than a cell apart'):
        grid_of(module)


def test_stages_that_end_in_no_map_have_no_grid():
    with pytest.raises(Untraceable, match='does not return a feature map'):
        grid_of(nn.AdaptiveAvgPool2d(1))


def test_an_input_that_is_too_small_is_refused():
    with pytest.raises(Untraceable, match='4 x 3 pixels'):
        grid_of(nn.Conv2d(2, 2, 5), shape=(2, 3, 4))


def test_nothing_of_the_network_is_changed():
    network = networks.create('resnet10', 2)
    network.stages['layer1'].eval()
    modes = [m.training for m in network.modules()]
    before = {k: v.clone() for k, v in network.state_dict().items()}
    network.grid(96, 64)
    assert [m.training for m in network.modules()] == modes
    for name, value in network.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


# By hand: every stride of 2 sits in an odd kernel with symmetric padding, except
# DenseNet's three average pools of 2, which add 0.5 * (4 + 8 + 16).
STARTS = {
    'resnet10': 0.0,
    'resnet18': 0.0,
    'resnet50': 0.0,
    'mobilenet_v3_large': 0.0,
    'efficientnet_b0': 0.0,
    'densenet121': 14.0,
}


@pytest.mark.parametrize('name', STARTS)
def test_grids_of_the_networks_by_hand(name):
    grid = networks.create(name, 2).grid(224, 320)
    assert grid == Grid((STARTS[name],) * 2, (32.0, 32.0), (7, 10))


def test_vgg_and_convnext_look_where_they_are_drawn():
    import torchvision

    for name in ('vgg16', 'convnext_tiny'):
        with torch.device('meta'):
            stages = getattr(torchvision.models, name)(weights=None).features
        assert grid_of(stages, shape=(3, 224, 224)) == Grid((15.5,) * 2, (32.0,) * 2, (7, 7))


def test_networks_of_timm_need_nothing_but_their_features():
    timm = pytest.importorskip('timm')
    network = timm.create_model('legacy_xception', pretrained=False, num_classes=2)
    stage = Does(lambda x, whole: whole.forward_features(x), network)
    # Two valid 3x3 convolutions, the first of stride 2: 1 + 2; all else is symmetric.
    assert grid_of(stage, shape=(3, 299, 299)) == Grid((3.0,) * 2, (32.0,) * 2, (10, 10))
