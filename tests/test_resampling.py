"""Resampling strip by strip, against Pillow on the whole image, and of a reduced one in place."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from napari_cxr.radiograph import LookupTable, Radiograph, Window
from napari_cxr.resampling import resample, resample_array, resample_padding


def by_pillow(image, height, width):
    picture = Image.fromarray(np.ascontiguousarray(image))
    return np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR))


def noise(shape=(201, 150), top=4096, dtype=np.uint16):
    return np.random.default_rng(5).integers(0, top, shape).astype(dtype)


RAMP = np.linspace(1, 0, 4096, dtype=np.float32) ** 2
PRESETS = [
    Window(2048, 3000),
    Window(2048, 300),  # most pixels are black or white
    Window(1000, 1),
    Window(2048, 800, 'SIGMOID'),
    LookupTable(0, RAMP),
    Window.spanning(0, 4095),
    Window.spanning(-50000, 90000),
]


@pytest.mark.parametrize('preset', PRESETS)
@pytest.mark.parametrize('inverted', [False, True])
def test_it_is_what_pillow_makes_of_the_whole_image(preset, inverted):
    one = Radiograph(noise(), (preset,), inverted=inverted)
    expected = by_pillow(one.to_display(), 31, 40)
    np.testing.assert_allclose(resample(one, (0, 0, 201, 150), 31, 40), expected, atol=1e-6)


@pytest.mark.parametrize('dtype', [np.uint8, np.int16, np.int32, np.float32, np.float64, bool])
def test_types_of_values(dtype):
    values = noise(top=2 if dtype is bool else 120, dtype=dtype)
    one = replace(Radiograph.from_array(values), presets=(Window(40, 70), Window.spanning(0, 1)))
    for preset in (0, 1):
        expected = by_pillow(one.to_display(preset), 31, 40)
        found = resample(one, (0, 0, 201, 150), 31, 40, preset)
        np.testing.assert_allclose(found, expected, atol=1e-6)
        assert found.dtype == np.float32


def test_numbers_that_are_none_count_as_black():
    values = noise().astype(np.float32)
    values[20:40, 30:50] = np.nan
    values[3, 3] = np.inf
    one = Radiograph(values, (Window(2048, 3000),))
    expected = by_pillow(one.to_display(), 31, 40)
    np.testing.assert_allclose(resample(one, (0, 0, 201, 150), 31, 40), expected, atol=1e-6)


def test_colour():
    one = Radiograph.from_array(noise((60, 50, 3), 256, np.uint8))
    expected = by_pillow(one.to_display(), 16, 20)
    np.testing.assert_allclose(resample(one, (0, 0, 60, 50), 16, 20), expected, atol=1e-6)


@pytest.mark.parametrize('size', [(31, 40), (300, 200), (201, 150), (1, 1), (64, 7), (2500, 33)])
def test_a_part_is_cut_out_before(size):
    padding = noise(top=9) == 0
    one = Radiograph(noise(), (Window(2048, 3000),), inverted=True, padding=padding)
    part = np.s_[11:170, 20:141]
    expected = by_pillow(one.to_display()[part], *size)
    np.testing.assert_allclose(resample(one, (11, 20, 170, 141), *size), expected, atol=1e-6)
    covered = by_pillow(padding[part].astype(np.float32), *size)
    found = resample_padding(one, (11, 20, 170, 141), *size)
    assert found is not None
    np.testing.assert_allclose(found, covered, atol=1e-6)
    assert resample_padding(replace(one, padding=None), (0, 0, 9, 9), 3, 3) is None


def surface(y, x):
    """A plane, of which a low band is every step-th pixel to the last digit."""
    return 10.0 + 3.0 * y + 2.0 * x


@pytest.mark.parametrize('shape', [(256, 200), (255, 197), (253, 198), (254, 199)])
@pytest.mark.parametrize('step', [2, 4, 8])
def test_a_reduced_image_stands_where_the_whole_one_does(shape, step):
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    whole = Radiograph(surface(y, x), (Window.spanning(0, 2000),))
    reduced = replace(whole, values=whole.values[::step, ::step], step=step, full_shape=shape)
    for part in ((0, 0, *shape), (40, 31, 200, 161)):
        a, b = (resample(one, part, 12, 10) for one in (whole, reduced))
        # The filter has few taps in the reduced one; at the rim it leans inwards.
        pixel = (surface(1, 1) - surface(0, 0)) / 2000
        assert np.abs(a - b)[1:-1, 1:-1].max() < 0.1 * step * pixel
        assert abs((a - b)[1:-1, 1:-1].mean()) < 0.05 * step * pixel
        # As blocks it would lie (step - 1) / 2 pixels further down and to the right.
        shifted = replace(reduced, step=1, full_shape=None)
        there = [edge / step for edge in part]
        c = resample(shifted, (there[0], there[1], there[2], there[3]), 12, 10)
        assert (c - a)[1:-1, 1:-1].mean() < -0.4 * (step - 1) * pixel


def test_padding_of_a_reduced_image():
    padding = np.zeros((100, 100), bool)
    padding[:, :40] = True
    whole = Radiograph(noise((100, 100)), (Window(2048, 3000),), padding=padding)
    half = replace(
        whole,
        values=whole.values[::2, ::2],
        padding=padding[::2, ::2],
        step=2,
        full_shape=(100, 100),
    )
    a, b = (resample_padding(one, (0, 0, 100, 100), 5, 5) for one in (whole, half))
    assert a is not None and b is not None
    np.testing.assert_allclose(a, b, atol=0.06)
    assert (resample(half, (0, 0, 100, 100), 5, 5)[:, 0] == 0).all()


def test_an_array_goes_on_beyond_its_edge():
    image = np.full((20, 30), 0.3, np.float32)
    image[:, 15:] = 0.9
    found = resample_array(image, (0.25, 0.25, 20.25, 30.25), 5, 6)
    assert found.dtype == np.float32 and found.shape == (5, 6)
    assert (found[:, -1] == np.float32(0.9)).all() and (found[:, 0] == np.float32(0.3)).all()
    inside = by_pillow(image, 5, 6)
    np.testing.assert_allclose(resample_array(image, (0, 0, 20, 30), 5, 6), inside, atol=1e-6)
