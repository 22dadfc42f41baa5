"""A map lies where the network looked: the gradient of each cell is the judge."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torchvision.ops import SqueezeExcitation

from napari_cxr import networks
from napari_cxr.explain import Heatmap, cell_to_input, cell_to_radiograph, grad_cam, input_bounds
from napari_cxr.inference import Preprocessing
from napari_cxr.networks import Grid
from napari_cxr.radiograph import Radiograph

SEVERAL = ('densenet121', 'efficientnet_b0', 'mobilenet_v3_large', 'resnet10', 'resnet50')


def enlarged(grid, size):
    """Return where enlarging the map to the size of the input draws the cells."""
    step = size / np.array(grid.cells)
    matrix = np.diag([*step, 1.0])
    matrix[:2, 2] = 0.5 * step - 0.5
    return matrix


def is_depthwise(network):
    return any(isinstance(m, nn.Conv2d) and m.groups > 1 for m in network.modules())


def only_local(network):
    """Hold squeeze-and-excitation gates constant.

    They look at the whole image alike, which is no place: their share of the gradient
    would pull every cell towards the middle.
    """
    for module in network.modules():
        if isinstance(module, SqueezeExcitation):
            module.scale_activation.register_forward_hook(lambda *args: args[-1].detach())
    return network.requires_grad_(False)


def evened(network):
    """Give every kernel one positive weight, and pools the mean, so that only geometry counts."""
    for parent in list(network.modules()):
        if isinstance(parent, nn.Conv2d):
            nn.init.constant_(parent.weight, 1 / parent.weight[0].numel())
        for name, pool in list(parent.named_children()):
            if isinstance(pool, nn.MaxPool2d):
                mean = nn.AvgPool2d(pool.kernel_size, pool.stride, pool.padding, pool.ceil_mode)
                parent.set_submodule(name, mean)
    return only_local(network.eval())


def centroid(network, image, cell, through=lambda image: image):
    """Return the centroid of |dA/dx| of a cell, all channels, in pixels (y, x) of the image."""
    image = image.requires_grad_()
    feature_map, _ = network.features(through(image))
    (gradient,) = torch.autograd.grad(feature_map[:, :, cell[0], cell[1]].sum(), image)
    weight = gradient.abs().sum((0, 1)).double()
    weight /= weight.sum()
    y = (weight.sum(1) * torch.arange(len(weight))).sum()
    x = (weight.sum(0) * torch.arange(weight.shape[1])).sum()
    return np.array([float(y), float(x)])


def drawn(matrix, cell):
    return (matrix @ [*cell, 1])[:2]


def off_by(calibrate, name, size, repeats):
    """Return how many cells the gradient lies from our place, and from the enlarged one's."""
    ours, naive = [], []
    for seed in range(repeats):
        network = only_local(calibrate(name, seed))
        grid = network.grid(size, size)
        cell = grid.cells[0] // 2, grid.cells[1] // 2
        found = centroid(network, torch.randn(1, 1, size, size), cell)
        ours.append((found - drawn(cell_to_input(grid), cell)) / grid.jump)
        naive.append((found - drawn(enlarged(grid, size), cell)) / grid.jump)
    return np.abs(np.mean(ours, axis=0)), np.abs(np.mean(naive, axis=0))


def by_cost(name):
    """Depthwise kernels are lopsided, each in its own way: a mean over many is needed."""
    with torch.device('meta'):
        depthwise = is_depthwise(networks.create(name, 2))
    marks = pytest.mark.slow if depthwise else ()
    return pytest.param(name, *((640, 12) if depthwise else (448, 2)), marks=marks, id=name)


@pytest.mark.parametrize(('name', 'size', 'repeats'), [by_cost(name) for name in SEVERAL])
def test_every_network_looks_where_its_cells_are_drawn(calibrate, name, size, repeats):
    ours, _ = off_by(calibrate, name, size, repeats)
    assert ours.max() < 0.1


def test_enlarging_the_map_misplaces_resnet50(calibrate):
    _, naive = off_by(calibrate, 'resnet50', 448, 1)
    assert naive.min() > 0.4


@pytest.mark.parametrize('name', SEVERAL)
def test_geometry_alone_agrees_to_a_hundredth_of_a_cell(name):
    network = evened(networks.create(name, 2))
    grid = network.grid(448, 320)
    cell = grid.cells[0] // 2, grid.cells[1] // 2
    found = centroid(network, torch.ones(1, 1, 448, 320), cell)
    assert np.abs((found - drawn(cell_to_input(grid), cell)) / grid.jump).max() < 0.01


FITS = [
    Preprocessing(256, 320, 'crop', border=0.08, stretch=None),
    Preprocessing(320, 256, 'stretch', stretch=None),
    Preprocessing(320, 320, 'pad', stretch=None),
]


def prepared(fit, image):
    """Fit an image as `Preprocessing` does, in torch, so that gradients go through it."""
    rows, columns = image.shape[2:]
    top, left = round(rows * fit.border), round(columns * fit.border)
    image = image[:, :, top : rows - top, left : columns - left]
    rows, columns = image.shape[2:]
    height, width = fit.height, fit.width
    if fit.fit == 'crop':
        keep = (
            min(rows, round(columns * height / width)),
            min(columns, round(rows * width / height)),
        )
        top, left = (rows - keep[0]) // 2, (columns - keep[1]) // 2
        image = image[:, :, top : top + keep[0], left : left + keep[1]]
    if fit.fit == 'pad':
        scale = min(height / rows, width / columns)
        height, width = round(rows * scale), round(columns * scale)
    image = functional.interpolate(image, (height, width), mode='bilinear', antialias=True)
    up, aside = (fit.height - height) // 2, (fit.width - width) // 2
    margins = (aside, fit.width - width - aside, up, fit.height - height - up)
    return functional.pad(image, margins)


@pytest.mark.parametrize('fit', FITS, ids=lambda fit: fit.fit)
@pytest.mark.parametrize('shape', [(700, 560), (500, 801)])
def test_through_crop_resize_and_padding(fit, shape):
    network = evened(networks.create('resnet10', 2))
    array = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    ready = fit.apply(Radiograph.from_array(array))
    image = torch.from_numpy(array / np.float32(255))[None, None]
    torch.testing.assert_close(
        prepared(fit, image)[0, 0], torch.tensor(ready.image), rtol=0, atol=1e-3
    )
    grid = network.grid(fit.height, fit.width)
    matrix = cell_to_radiograph(grid, ready.to_radiograph)
    cell = grid.cells[0] // 2, grid.cells[1] // 2
    found = centroid(
        network, torch.ones(1, 1, *shape), cell, through=lambda image: prepared(fit, image)
    )
    assert np.abs((found - drawn(matrix, cell)) / np.diag(matrix)[:2]).max() < 0.02


@pytest.mark.parametrize('cell', [(1, 2), (6, 5), (3, 0)])
def test_a_lit_patch_is_where_the_map_peaks(cell):
    network = evened(networks.create('resnet10', 2))
    nn.init.constant_(network.head.linear.weight, 1.0)
    fit = Preprocessing(256, 256, 'crop', stretch=None, mean=(0.0,), std=(1.0,))
    # The middle 512 x 512 of 600 x 512 pixels, halved: cell i looks at 32 i of the input, the
    # middle between pixels 64 i and 64 i + 1, and the rows start at 44.
    y, x = 44 + 64 * cell[0], 64 * cell[1]
    array = np.zeros((600, 512), dtype=np.uint8)
    array[max(y - 3, 0) : y + 5, max(x - 3, 0) : x + 5] = 255
    ready = fit.apply(Radiograph.from_array(array))
    logits, maps = grad_cam(network, torch.from_numpy(fit.normalise(ready.image[None])), [0])
    heatmap = Heatmap(
        maps[0, 0].numpy(),
        cell_to_radiograph(network.grid(256, 256), ready.to_radiograph),
        'lit',
        0.5,
        float(logits[0, 0]),
        'Grad-CAM',
        'even',
        input_bounds(ready.to_radiograph, 256, 256),
    )
    peak = np.unravel_index(heatmap.sample_on((600, 512)).argmax(), (600, 512))
    assert np.abs(np.subtract(peak, (y + 0.5, x + 0.5))).max() <= 1


def test_a_flipped_image_has_a_flipped_map(calibrate):
    network = calibrate('resnet10')
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.data = (module.weight.data + module.weight.data.flip(3)) / 2
    # 129 columns have 5 cells at 0, 32 .. 128: symmetric about the middle.
    x = torch.randn(1, 1, 97, 129)
    _, maps = grad_cam(network, x)
    _, flipped = grad_cam(network, x.flip(3))
    assert maps.max() > 0 and not torch.allclose(maps, maps.flip(3), atol=1e-3 * float(maps.max()))
    torch.testing.assert_close(flipped.flip(3), maps, rtol=0, atol=1e-5 * float(maps.max()))


def test_matrices_by_hand():
    grid = Grid(start=(14.0, 3.0), jump=(32.0, 16.0), cells=(7, 10))
    np.testing.assert_array_equal(cell_to_input(grid), [[32, 0, 14], [0, 16, 3], [0, 0, 1]])
    # The input is the radiograph halved, from pixel 100 of its columns on.
    halved = np.array([[2, 0, 0.5], [0, 2, 100.5], [0, 0, 1]])
    np.testing.assert_array_equal(
        cell_to_radiograph(grid, halved), [[64, 0, 28.5], [0, 32, 106.5], [0, 0, 1]]
    )
    assert input_bounds(halved, 224, 160) == (-0.5, 99.5, 447.5, 419.5)
