"""A map in place."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import nn
from torch.nn import functional
from torchvision.ops import SqueezeExcitation

from napari_cxr import networks
from napari_cxr.explain import cell_to_input, cell_to_radiograph, grad_cam, input_bounds
from napari_cxr.explain.heatmap import (
    Heatmap,
    full_colour,
)
from napari_cxr.inference import Preprocessing
from napari_cxr.networks import Grid
from napari_cxr.radiograph import Radiograph


def placed(values, jump=(1.0, 1.0), start=(0.0, 0.0), **more):
    matrix = np.array([[jump[0], 0, start[0]], [0, jump[1], start[1]], [0, 0, 1.0]])
    values = np.asarray(values, dtype=np.float32)
    return Heatmap(values, matrix, 'covid19', 0.7, 1.2, 'Grad-CAM', 'small', **more)


def test_normalised_by_its_own_maximum():
    np.testing.assert_array_equal(placed([[0, 1], [2, 4]]).normalised(), [[0, 0.25], [0.5, 1]])


def test_a_map_of_zeros_stays_one():
    heatmap = placed(np.zeros((3, 3)))
    assert not heatmap.normalised().any()
    assert heatmap.frame_fraction((30, 30)) is None
    assert heatmap.fraction_in(np.ones((30, 30), dtype=bool)) is None


def test_samples_are_linear_between_centres_and_constant_beyond():
    # Cells look at rows 1 and 5 and at columns 2 and 4.
    sampled = placed([[0, 8], [4, 12]], jump=(4, 2), start=(1, 2)).sample_on((7, 7))
    rows = [0, 0, 1, 2, 3, 4, 4]
    columns = [0, 0, 0, 4, 8, 8, 8]
    np.testing.assert_allclose(sampled, np.add.outer(rows, columns), atol=1e-5)
    assert sampled.dtype == np.float32


def test_samples_are_those_of_scipy_on_any_raster():
    rng = np.random.default_rng(0)
    heatmap = placed(rng.random((7, 5)), jump=(41.3, 38.7), start=(17.5, -3.2))
    raster = np.array([[1.7, 0, 4.1], [0, 2.3, -20.0], [0, 0, 1]])
    expected = ndimage.affine_transform(
        heatmap.values,
        np.linalg.inv(heatmap.to_radiograph) @ raster,
        output_shape=(150, 110),
        order=1,
        mode='nearest',
    )
    np.testing.assert_allclose(heatmap.sample_at(raster, (150, 110)), expected, atol=1e-6)


def test_a_map_of_one_cell_is_even():
    assert np.unique(placed([[3]], jump=(32, 32), start=(9, 9)).sample_on((20, 30))) == [3]


def test_nothing_is_said_about_what_the_network_did_not_see():
    sampled = placed([[1, 1], [1, 1]], input_bounds=(1.5, -0.5, 4.5, 2.5)).sample_on((7, 5))
    expected = np.zeros((7, 5))
    expected[2:5, :3] = 1
    np.testing.assert_array_equal(sampled, expected)


def test_share_in_a_region():
    heatmap = placed([[1, 1], [1, 1]], jump=(4, 4), start=(1, 1))
    mask = np.zeros((8, 8))
    mask[:4, :2] = 1
    assert heatmap.fraction_in(mask) == pytest.approx(8 / 64)
    assert heatmap.fraction_in(mask / 2) == pytest.approx(4 / 64)
    assert heatmap.fraction_in(np.ones((8, 8), dtype=bool)) == pytest.approx(1)
    with pytest.raises(ValueError, match='rows and columns'):
        heatmap.fraction_in(np.ones(8))


def test_share_in_a_region_of_a_large_radiograph():
    # The map rises evenly from 0 at row 0 to 1 at row 1999: a quarter of it lies in the
    # upper half, and of that a half in the left half.
    heatmap = placed([[0, 0], [1, 1]], jump=(1999, 1499))
    mask = np.zeros((2000, 1500), dtype=np.uint8)
    mask[:1000, :750] = 1
    assert heatmap.fraction_in(mask) == pytest.approx(1 / 8, abs=2e-3)
    assert heatmap.fraction_in(mask[::5, ::5] > 0, mask.shape) == pytest.approx(1 / 8, abs=2e-3)


def test_a_coarse_region_stretches_over_the_radiograph():
    # Two cells of 4 x 8 pixels each; the map is all in the left half of the upper one.
    heatmap = placed([[1]], input_bounds=(-0.5, -0.5, 3.5, 3.5))
    assert heatmap.fraction_in(np.array([[1], [0]]), (8, 8)) == pytest.approx(1)
    # Cells are sampled at their centres: the third of eight columns is the last one seen.
    columns = np.arange(8)[None] == 3
    assert heatmap.fraction_in(columns, (8, 8)) == pytest.approx(1 / 4)


def test_an_even_map_lies_where_the_network_saw_something():
    heatmap = placed(
        [[0, 0], [0, 5]], jump=(4, 4), start=(1, 1), input_bounds=(-0.5, -0.5, 3.5, 7.5)
    )
    mask = np.zeros((8, 8))
    mask[:, :2] = 1
    assert heatmap.uniform().fraction_in(mask) == pytest.approx(2 / 8)
    assert heatmap.uniform().label == heatmap.label


@pytest.mark.parametrize('shape', [(100, 100), (2500, 2048), (60, 300)])
def test_an_even_map_has_the_frame_s_share_of_the_area(shape):
    assert placed([[2, 2], [2, 2]], jump=(9, 9)).frame_fraction(shape) == pytest.approx(
        1 - 0.84**2, abs=1e-4
    )


def test_a_peak_in_the_corner_is_in_the_frame_and_one_in_the_middle_is_not():
    values = np.zeros((101, 101))
    values[3, 97] = 1
    assert placed(values, jump=(4, 4), start=(1.5, 1.5)).frame_fraction((404, 404)) > 0.99
    values = np.zeros((101, 101))
    values[50, 50] = 1
    assert placed(values, jump=(4, 4), start=(1.5, 1.5)).frame_fraction((404, 404)) < 0.01


def test_the_frame_is_that_of_what_the_network_saw():
    # Of 100 x 100 pixels the network saw the middle 50 x 50. On the whole radiograph none
    # of its map could lie in the frame, whatever it looks at.
    even = placed(
        [[1, 1], [1, 1]], jump=(25, 25), start=(37, 37), input_bounds=(24.5, 24.5, 74.5, 74.5)
    )
    assert even.frame_fraction((100, 100)) == pytest.approx(1 - 0.84**2, abs=1e-4)


def test_padding_around_the_radiograph_is_no_part_of_the_frame():
    # 50 x 100 pixels in a square input: 25 rows of nothing above and below.
    values = np.ones((4, 4))
    padded = placed(values, jump=(25, 25), start=(-13, 12), input_bounds=(-25.5, -0.5, 74.5, 99.5))
    assert padded.frame_fraction((50, 100)) == pytest.approx(1 - 0.84**2, abs=1e-4)


@pytest.mark.parametrize(
    ('values', 'why'),
    [
        (np.zeros(4), 'rows and columns'),
        (np.zeros((0, 4)), 'rows and columns'),
        (np.array([[1.0, np.nan]]), 'finite'),
        (np.array([[1.0, np.inf]]), 'finite'),
        (np.array([[1.0, -1.0]]), 'at least 0'),
    ],
)
def test_what_is_no_map_is_refused(values, why):
    with pytest.raises(ValueError, match=why):
        placed(values)


def test_a_matrix_of_another_shape_is_refused():
    with pytest.raises(ValueError, match='3x3'):
        Heatmap(np.ones((2, 2)), np.eye(2), 'normal', 0.5, 0.0, 'Grad-CAM', 'small')


def test_a_matrix_that_turns_the_map_is_refused():
    turned = np.array([[0, 1.0, 0], [1, 0, 0], [0, 0, 1]])
    with pytest.raises(ValueError, match='straight'):
        Heatmap(np.ones((2, 2), np.float32), turned, 'covid19', 0.7, 1.2, 'Grad-CAM', 'small')


def test_importing_a_heatmap_imports_no_torch():
    code = 'import sys; from napari_cxr.explain import Heatmap; print("torch" in sys.modules)'
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == 'False'


def test_full_colour_is_the_strongest_of_the_most_probable_class():
    answer, other = placed([[0, 2]]), replace(placed([[0, 9]]), label='normal', probability=0.3)
    assert full_colour([other, answer]) == 2
    assert full_colour([other, replace(answer, values=np.zeros((1, 2), np.float32))]) == 9
    assert full_colour([replace(answer, values=np.zeros((1, 2), np.float32))]) == 0
    assert full_colour([]) == 0


def test_the_peak_is_the_strongest_cell_within_what_the_network_saw():
    values = np.zeros((3, 4))
    values[2, 3] = 5
    # Its centre is row 2 * 10 + 4, column 3 * 10 + 4.
    heatmap = placed(values, jump=(10, 10), start=(4, 4))
    assert heatmap.peak() == (24, 34)
    seen = replace(heatmap, input_bounds=(-0.5, -0.5, 29.5, 31.5))
    assert seen.peak() == (24, 31.5)
    assert placed(np.zeros((3, 3))).peak() is None
    assert placed(np.ones((3, 3))).peak() is None


def test_whether_a_model_crops():
    whole = placed(np.ones((2, 2)))
    assert not whole.crops((40, 80))
    assert not replace(whole, input_bounds=(-0.5, -20.5, 39.5, 99.5)).crops((40, 80))
    assert replace(whole, input_bounds=(3.5, -0.5, 39.5, 79.5)).crops((40, 80))
    assert replace(whole, input_bounds=(-0.5, -0.5, 39.5, 70.5)).crops((40, 80))


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
