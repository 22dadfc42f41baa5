"""Windows of next to no width, and ranges of integers that no header bounds."""

import numpy as np
import pytest

from napari_cxr import dicom
from napari_cxr.plugin.layers import radiograph_layer_data
from napari_cxr.radiograph import Radiograph, Window

STEP = np.array([[1000, 1001, 1002, 4095]], dtype=np.uint16)


def on_screen(image):
    """Return what napari draws of a layer, grey in [0, 1]."""
    data, attributes, _ = radiograph_layer_data(image)
    low, high = attributes['contrast_limits']
    grey = np.clip((np.asarray(data, dtype=np.float64) - low) / (high - low), 0, 1)
    return 1 - grey if attributes['colormap'] == 'gray_r' else grey


@pytest.mark.parametrize('photometric', ['MONOCHROME1', 'MONOCHROME2'])
def test_a_linear_window_of_width_1_is_a_threshold_for_screen_and_network(write, photometric):
    # PS3.3 C.11.2.1.2.1: up to 1001.5 - 0.5 = 1001 black, above it white
    path = write(STEP, WindowCenter='1001.5', WindowWidth='1', photometric=photometric)
    image = dicom.read(path)
    white = [[0, 0, 1, 1]] if photometric == 'MONOCHROME2' else [[1, 1, 0, 0]]
    np.testing.assert_array_equal(image.to_display(), white)
    np.testing.assert_array_equal(on_screen(image), white)
    assert image.notes == ()


def test_a_threshold_in_fractions(write):
    # Values 500 and 500.5 to 2047.5; the threshold 500.2 - 0.5 lies between the two
    image = dicom.read(write(STEP, RescaleSlope='0.5', WindowCenter='1001.4', WindowWidth='1'))
    np.testing.assert_array_equal(image.to_display(), [[0, 0, 0, 1]])
    np.testing.assert_allclose(on_screen(image), [[0, 0, 0, 1]], atol=1e-3)
    image = dicom.read(write(STEP, RescaleSlope='0.5', WindowCenter='500.7', WindowWidth='1'))
    np.testing.assert_array_equal(image.to_display(), [[0, 1, 1, 1]])
    np.testing.assert_array_equal(on_screen(image), [[0, 1, 1, 1]])


@pytest.mark.parametrize(('center', 'width'), [('0.5', '1'), ('0.5', '0.99'), ('0.25', '0.5')])
def test_a_window_of_0_to_1_is_exact_and_says_so(write, center, width):
    image = dicom.read(
        write(STEP, RescaleSlope='0.0002442002442', WindowCenter=center, WindowWidth=width)
    )
    assert image.presets[0] == Window(float(center), float(width), 'LINEAR_EXACT', 'NORMAL')
    expected = np.clip((STEP / 4095 - float(center)) / float(width) + 0.5, 0, 1)
    np.testing.assert_allclose(image.to_display(), expected, atol=1e-5)
    np.testing.assert_allclose(on_screen(image), expected, atol=1e-5)
    assert any('LINEAR_EXACT' in note for note in image.notes)


def test_a_window_below_1_of_whole_numbers_is_left_out(write):
    image = dicom.read(write(STEP, WindowCenter='1001', WindowWidth='0.9'))
    assert image.presets[0].explanation == 'Full range'


@pytest.mark.parametrize(('bits', 'white'), [(32, 3500), (20, 3500), (12, 4095)])
def test_integers_of_32_bits_take_the_range_of_what_is_in_them(write, bits, white):
    stored = np.array([[100, 2000, 3500]], dtype=np.uint32)
    path = write(
        stored,
        BitsStored=bits,
        HighBit=bits - 1,
        WindowCenter=None,
        WindowWidth=None,
    )
    image = dicom.read(path)
    np.testing.assert_array_equal(image.values, stored)
    black = 100 if bits > 16 else 0
    expected = (stored - black) / (white - black)
    np.testing.assert_allclose(image.to_display(), expected, atol=1e-6)
    assert any('range was taken' in note for note in image.notes) is (bits > 16)


def test_padding_is_no_part_of_that_range(write):
    stored = np.array([[-(1 << 31), 100, 3500]], dtype=np.int32)
    image = dicom.read(
        write(
            stored,
            BitsStored=32,
            HighBit=31,
            PixelPaddingValue=-32768,
            WindowCenter=None,
            WindowWidth=None,
        )
    )
    assert image.padding is None  # 16 bits cannot name it
    stored[0, 0] = -32768
    image = dicom.read(
        write(
            stored,
            BitsStored=32,
            HighBit=31,
            PixelPaddingValue=-32768,
            WindowCenter=None,
            WindowWidth=None,
        )
    )
    np.testing.assert_allclose(image.to_display(), [[0, 0, 1]], atol=1e-6)


@pytest.mark.parametrize('dtype', [np.uint32, np.int32, np.int64, np.uint64])
@pytest.mark.parametrize('origin', [0, 1 << 30])
def test_long_integers_of_an_array(dtype, origin):
    values = np.array([[100, 2000, 3500]], dtype=dtype) + dtype(origin)
    image = Radiograph.from_array(values)
    np.testing.assert_allclose(image.to_display(), [[0, 1900 / 3400, 1]], atol=1e-6)
    assert any('range was taken' in note for note in image.notes)
