""""""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from napari_cxr.lungs import downscale
from napari_cxr.lungs.lung_network import unet_forward
from napari_cxr.radiograph import Radiograph, UnreadableImage, Window

WIDTHS = (4, 6, 9)


def random_weights(rng):
    """Weights of a U-Net of three levels, which torch reads as they are."""
    tensors = {}

    def block(name, channels, width):
        for number, fan in ((0, channels), (1, width)):
            kernels = rng.normal(0, (2 / (9 * fan)) ** 0.5, (width, fan, 3, 3))
            tensors[f'{name}.{number}.weight'] = kernels.astype(np.float32)
            tensors[f'{name}.{number}.bias'] = rng.normal(0, 0.3, width).astype(np.float32)

    for level, (channels, width) in enumerate(zip((1, *WIDTHS[:-1]), WIDTHS, strict=True)):
        block(f'down.{level}', channels, width)
    for level, (deep, flat) in enumerate(((9, 6), (6, 4))):
        block(f'up.{level}', deep + flat, flat)
    tensors['out.weight'] = rng.normal(0, 1, (3, 4)).astype(np.float32)
    tensors['out.bias'] = rng.normal(0, 1, 3).astype(np.float32)
    return tensors


def in_torch(tensors, image):
    t = {name: torch.from_numpy(tensor) for name, tensor in tensors.items()}

    def block(name, x):
        for number in (0, 1):
            kernels, bias = t[f'{name}.{number}.weight'], t[f'{name}.{number}.bias']
            x = F.relu(F.conv2d(x, kernels, bias, padding=1))
        return x

    first = block('down.0', (torch.from_numpy(image)[None, None] - 0.5) / 0.25)
    second = block('down.1', F.max_pool2d(first, 2))
    x = block('down.2', F.max_pool2d(second, 2))
    for name, beside in (('up.0', second), ('up.1', first)):
        x = F.interpolate(x, scale_factor=2, mode='bilinear', align_corners=False)
        x = block(name, torch.cat([x, beside], dim=1))
    return F.conv2d(x, t['out.weight'][:, :, None, None], t['out.bias'])[0].numpy()


@pytest.mark.parametrize('shape', [(48, 32), (4, 4), (20, 64)])
def test_it_computes_what_torch_computes(shape):
    rng = np.random.default_rng(3)
    tensors, image = random_weights(rng), rng.random(shape, dtype=np.float32)
    expected = in_torch(tensors, image)
    assert expected.std() > 0.3
    found = unet_forward(tensors, image)
    assert found.dtype == np.float32 and found.shape == (3, *shape)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_an_image_that_cannot_be_halved_is_refused():
    tensors = random_weights(np.random.default_rng(0))
    with pytest.raises(ValueError, match='multiples of 4'):
        unet_forward(tensors, np.zeros((16, 18), np.float32))


def test_percentiles_become_black_and_white():
    values = np.random.default_rng(0).normal(500, 20, (64, 64)).astype(np.int16)
    view = downscale(Radiograph.from_array(values), 64)
    assert view.shape == (64, 64) and view.dtype == np.float32
    low, high = np.percentile(values, (0.5, 99.5))
    np.testing.assert_allclose(view, np.clip((values - low) / (high - low), 0, 1), atol=2e-3)


@pytest.mark.parametrize('shape', [(64, 64), (530, 700), (2055, 1331)])
def test_a_ramp_stays_a_ramp_whatever_the_size(shape):
    rows = (np.arange(shape[0]) + 0.5) / shape[0]
    columns = (np.arange(shape[1]) + 0.5) / shape[1]
    values = 0.1 + 0.3 * rows[:, None] + 0.5 * columns[None]
    view = downscale(Radiograph.from_array(values), 32)
    places = (np.arange(32) + 0.5) / 32
    expected = 0.1 + 0.3 * places[:, None] + 0.5 * places[None]
    # The filter is cut off at the edges; inside, a ramp is what it was, but for the ends.
    inner = np.s_[3:-3, 3:-3]
    slope = np.polyfit(expected[inner].ravel(), view[inner].ravel(), 1)
    np.testing.assert_allclose(np.polyval(slope, expected[inner]), view[inner], atol=3e-3)
    assert slope[0] > 1


def test_blocks_are_averaged_not_skipped():
    # Single bright pixels in a large image: skipping rows would show some and lose others.
    values = np.zeros((640, 640), np.float32)
    values[::5, ::5] = 1
    values[:320] += 0.5
    view = downscale(Radiograph.from_array(values), 16)
    assert np.ptp(view[1:7, 1:-1]) < 0.05 and np.ptp(view[9:15, 1:-1]) < 0.05


def test_window_and_polarity_count_once():
    values = np.tile(np.arange(256, dtype=np.uint8), (256, 1))
    plain = Radiograph.from_array(values)
    inverted = replace(plain, inverted=True)
    np.testing.assert_allclose(downscale(inverted, 32), 1 - downscale(plain, 32), atol=1e-6)
    windowed = replace(plain, presets=(*plain.presets, Window.spanning(100, 140)))
    view = downscale(windowed, 32, preset=1)
    assert (view[:, :12] == 0).all() and (view[:, 18:] == 1).all()
    assert not (downscale(windowed, 32)[:, 4:12] == 0).any()


def test_padding_is_black_and_does_not_count():
    rng = np.random.default_rng(0)
    values = rng.integers(1000, 1100, (640, 640)).astype(np.int16)
    padding = np.zeros(values.shape, bool)
    padding[:, :200] = True
    values[padding] = 32000
    view = downscale(replace(Radiograph.from_array(values), padding=padding), 32)
    assert (view[:, :9] == 0).all()
    assert 0.3 < view[:, 11:].mean() < 0.7 and view[:, 11:].std() > 0.05


def test_colour_is_seen_in_grey():
    y, x = np.mgrid[:600, :600] / 600
    grey = (127 + 100 * np.sin(7 * x) * np.cos(5 * y)).astype(np.uint8)
    coloured = np.repeat(grey[..., None], 3, axis=2)
    one, other = (downscale(Radiograph.from_array(values), 32) for values in (grey, coloured))
    np.testing.assert_allclose(one, other, atol=0.01)


def test_a_blank_image_stays_blank():
    assert np.ptp(downscale(Radiograph.from_array(np.full((50, 40), 7, np.uint8)), 16)) == 0


def test_several_frames_are_refused():
    with pytest.raises(UnreadableImage, match='several frames'):
        downscale(Radiograph.from_array(np.zeros((2, 8, 8), np.uint8)), 16)
