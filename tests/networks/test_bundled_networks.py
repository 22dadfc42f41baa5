"""The network of fixed filters: its statistics against scipy's filters and values by hand."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import nn

from napari_cxr import networks
from napari_cxr.explain.gradcam import grad_cam
from napari_cxr.networks.bundled_networks import FlipAveraged, lite0_stages


@pytest.fixture(scope='module')
def stages():
    torch.manual_seed(0)
    stages = nn.Sequential(lite0_stages(3))
    with torch.no_grad():
        for module in stages.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(std=0.1)
                module.running_var.uniform_(0.5, 2)
    return stages.eval()


@pytest.mark.parametrize('size', [(224, 224), (97, 130)])
def test_it_answers_as_the_same_stages_of_timm(stages, size):
    import timm

    theirs = timm.create_model('tf_efficientnet_lite0', pretrained=False)
    block = theirs.blocks[5][0]
    cut = nn.Sequential(
        theirs.conv_stem, theirs.bn1, *theirs.blocks[:5], block.conv_pw, block.bn1
    ).eval()
    values = stages.state_dict().values()
    cut.load_state_dict(dict(zip(cut.state_dict(), values, strict=True)))
    x = torch.rand(2, 3, *size)
    with torch.no_grad():
        expected, found = cut(x), stages(x)
    assert expected.std() > 0.01
    torch.testing.assert_close(found, expected)


def test_image_and_mirror_image_answer_alike():
    torch.manual_seed(0)
    network = networks.create('lite0_stride16_flip', 1, 1, (64, 96)).eval()
    x = torch.rand(2, 1, 64, 96)
    with torch.no_grad():
        map_, _ = network.features(x)
        turned, _ = network.features(x.flip(-1))
        torch.testing.assert_close(turned.flip(-1), map_)
        torch.testing.assert_close(network(x.flip(-1)), network(x))
        # The mean of both images' own logits.
        inner = network.stages['both_ways'].inner
        each = [network.head(inner(view)) for view in (x, x.flip(-1))]
    torch.testing.assert_close(network(x), sum(each) / 2)


def test_its_cells_lie_symmetrically():
    network = networks.create('lite0_stride16_flip', 1, 1, (224, 224))
    grid = network.grid(224, 224)
    assert (grid.cells, grid.jump) == ((14, 14), (16, 16))
    # From edge to edge: columns because of the mirror image, rows because an odd pixel of
    # padding counts half on either side.
    for start in grid.start:
        assert start + (start + 13 * 16) == 223


def test_a_map_is_the_closed_form_of_the_averaged_map():
    torch.manual_seed(0)
    network = networks.create('lite0_stride16_flip', 1, 1, (64, 64)).eval()
    x = torch.rand(1, 1, 64, 64)
    _, maps = grad_cam(network, x)
    with torch.no_grad():
        features, _ = network.features(x)
    weights = network.closed_form()
    expected = torch.einsum('c,chw->hw', weights[0], features[0]).relu() / features[0, 0].numel()
    torch.testing.assert_close(maps[0, 0], expected)


def test_it_refuses_what_is_too_small():
    with pytest.raises(ValueError, match='32 pixels'):
        networks.create('lite0_stride16_flip', 1, 1, (16, 64))


def test_a_map_that_stays_mirrored_has_no_place():
    class Mirrored(nn.Module):
        def forward(self, x):
            return x.flip(-1)

    network = networks.StagedNetwork(
        {'conv': nn.Conv2d(1, 2, 3), 'mirror': Mirrored()}, nn.Flatten(), classes=2, channels=1
    )
    with pytest.raises(networks.Untraceable, match='mirrored'):
        network.grid(16, 16)


def test_flip_averaging_of_anything():
    module = FlipAveraged(nn.Conv2d(1, 1, (1, 2), bias=False))
    module.inner.weight.data[:] = torch.tensor([1.0, 0.0])
    # Straight it takes the left pixel of each two, turned round the right one.
    assert module(torch.tensor([[[[1.0, 2.0, 5.0]]]])).tolist() == [[[[1.5, 3.5]]]]


@pytest.fixture
def network():
    torch.manual_seed(0)
    return networks.create('lung_texture', 3, 1, (80, 80)).eval()


def lungs(noise, seed=0):
    """Two rectangular lungs with coarse texture, 0 outside."""
    rng = np.random.default_rng(seed)
    image = np.zeros((80, 80), np.float32)
    coarse = gaussian_filter(rng.standard_normal((80, 80)), 3)
    image[8:72, 6:36] = image[8:72, 44:74] = 0.4
    image[image > 0] += (noise * coarse / coarse.std())[image > 0]
    return np.clip(image, 0, 1).astype(np.float32)


def as_input(*images):
    return torch.from_numpy(np.stack(images))[:, None]


def statistics(network, *images):
    head, seen = network.head, []
    hook = head.scale.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    network(as_input(*images))
    hook.remove()
    return seen[0].detach().numpy()


def test_it_has_twelve_weights(network):
    assert sum(p.numel() for p in network.parameters()) == 3 * 3 + 3


def test_statistics_against_scipy(network):
    image = lungs(0.1)
    inside = (image > 0).astype(float)
    smooth = [
        gaussian_filter(image.astype(float), sigma, mode='constant', truncate=3)
        / np.maximum(gaussian_filter(inside, sigma, mode='constant', truncate=3), 1e-6)
        for sigma in (3, 6, 12)
    ]
    bands = [(a - b)[image > 0] for a, b in pairwise(smooth)]
    expected = [
        *(0.5 * np.log((band**2).mean()) for band in bands),
        np.log((bands[0] ** 4).mean() / (bands[0] ** 2).mean() ** 2),
    ]
    np.testing.assert_allclose(statistics(network, image)[0], expected, atol=2e-3)


def test_amplitude_and_concentration_mean_what_they_say(network):
    flat, weak, strong = (statistics(network, lungs(noise))[0] for noise in (0, 0.02, 0.08))
    # Four times as strong is log 4 more, and as concentrated.
    np.testing.assert_allclose(strong - weak, [np.log(4), np.log(4), 0], atol=0.02)
    assert flat[0] < weak[0] - 3
    patch = lungs(0.02)
    patch[20:28, 12:20] += 0.3
    assert statistics(network, patch)[0, 2] > weak[2] + 0.5


def test_what_is_outside_the_lungs_and_how_much_that_is_does_not_matter(network):
    image = lungs(0.05)
    smaller = image.copy()
    smaller[:, 40:] = 0
    marked = image.copy()
    marked[0:4, 38:42] = 1 / 128
    np.testing.assert_allclose(
        statistics(network, marked)[0], statistics(network, image)[0], atol=1e-5
    )
    # One lung alone has nearly the statistics of both: no sum over pixels.
    assert np.abs(statistics(network, smaller)[0] - statistics(network, image)[0]).max() < 0.5


def test_an_image_without_lungs_gives_numbers(network):
    assert torch.isfinite(network(as_input(np.zeros((80, 80), np.float32)))).all()


def test_half_precision_outside_changes_nothing(network):
    x = as_input(lungs(0.02))
    with torch.autocast('cpu', torch.bfloat16):
        half = network.features(x)[0]
    torch.testing.assert_close(half.float(), network.features(x)[0])


def test_heatmap_lies_where_the_texture_is_and_where_it_belongs(network):
    with torch.no_grad():
        network.head.linear.weight.copy_(torch.tensor([[1.0, 0, 0], [-1, 0, 0], [0, 0, 1]]))
    image = lungs(0.005)
    image[20:30, 50:60] += 0.3
    maps = grad_cam(network, as_input(image))[1][0].numpy()
    grid = network.grid(80, 80)
    assert grid.cells == maps.shape[1:] == (20, 20)
    row, column = np.unravel_index(maps[0].argmax(), maps[0].shape)
    y, x = grid.centre(row, column)
    assert 18 <= y <= 32 and 48 <= x <= 62
    # Against it speak the quiet parts of the lungs, and nothing outside of them.
    assert maps[1][2:18, 2:9].mean() > 5 * maps[1][4:8, 12:16].mean()
    assert maps[1][:, 9:11].max() < 1e-3 * maps[1].max()


def test_three_channels_that_are_alike_are_as_one(network):
    coloured = networks.create('lung_texture', 3, 3, (80, 80)).eval()
    x = as_input(lungs(0.05))
    torch.testing.assert_close(
        coloured.features(x.repeat(1, 3, 1, 1))[0], network.features(x)[0], atol=1e-7, rtol=1e-4
    )


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match='40 pixels'):
        networks.create('lung_texture', 3, 1, (32, 80))
