"""The grey-scale chain against values worked out by hand from PS3.3 C.11."""

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from napari_cxr import dicom
from napari_cxr.radiograph import LookupTable, Window

ROW = np.array([[0, 1, 2, 3, 1023, 2047, 2048, 4095]], dtype=np.uint16)


def test_identity_keeps_the_stored_type(write):
    image = dicom.read(write(ROW))
    assert image.values.dtype == np.uint16
    np.testing.assert_array_equal(image.values, ROW)


def test_whole_intercept_keeps_integers_and_may_go_below_zero(write):
    image = dicom.read(write(ROW, RescaleSlope='1', RescaleIntercept='-1024'))
    assert image.values.dtype == np.int16  # -1024..3071 by 12 bits stored
    np.testing.assert_array_equal(image.values[0, [0, 4, 7]], [-1024, -1, 3071])


def test_slope_makes_floats_and_the_range_follows(write):
    image = dicom.read(
        write(ROW, RescaleSlope='0.5', RescaleIntercept='10', WindowCenter=None, WindowWidth=None)
    )
    assert image.values.dtype == np.float32
    np.testing.assert_allclose(image.values[0, [1, 7]], [10.5, 2057.5])
    # 12 bits: 0 -> 10, 4095 -> 2057.5; the image itself plays no part.
    assert image.presets[0].limits == pytest.approx((10, 2057.5))


def test_negative_slope_turns_the_range_round(write):
    image = dicom.read(
        write(ROW, RescaleSlope='-1', RescaleIntercept='0', WindowCenter=None, WindowWidth=None)
    )
    assert image.presets[0].limits == pytest.approx((-4095, 0))
    np.testing.assert_allclose(image.to_display()[0, [0, 7]], [1, 0], atol=1e-6)


@pytest.mark.parametrize('slope', ['0', 'x', ''])
def test_broken_rescale_is_left_out_with_a_note(write, slope, tmp_path):
    path = write(ROW, RescaleSlope='7.5', RescaleIntercept='0')
    raw = path.read_bytes().replace(b'7.5 ', f'{slope:<4}'.encode())
    path.write_bytes(raw)
    image = dicom.read(path)
    np.testing.assert_array_equal(image.values, ROW)
    if slope:
        assert any('rescale' in note for note in image.notes)


def test_modality_lut_sequence_replaces_slope_and_intercept(write, lut):
    # C.11.1.1: entry i belongs to input first + i; below and beyond, the ends.
    item = lut(2, [100, 300, 900, 1000], 12)
    image = dicom.read(write(ROW, ModalityLUTSequence=[item], WindowCenter=None, WindowWidth=None))
    np.testing.assert_array_equal(image.values, [[100, 100, 100, 300, 1000, 1000, 1000, 1000]])
    # Stored values 0..4095 reach all four entries.
    assert image.presets[0].limits == pytest.approx((100, 1000))


def test_modality_lut_range_is_what_stored_values_can_reach(write, lut):
    item = lut(0, list(range(0, 600, 2)), 16)
    stored = np.array([[0, 5, 255]], dtype=np.uint8)
    image = dicom.read(
        write(stored, bits=8, ModalityLUTSequence=[item], WindowCenter=None, WindowWidth=None)
    )
    # 300 entries up to 598, but 8 bits reach entry 255 -> 510 at most.
    assert image.presets[0].limits == pytest.approx((0, 510))


def test_enhanced_multi_frame_rescale_of_each_frame(write):
    frames = np.stack([ROW, ROW])
    groups = []
    for slope, intercept in (('1', '0'), ('2', '5')):
        inner = Dataset()
        inner.RescaleSlope, inner.RescaleIntercept = slope, intercept
        outer = Dataset()
        outer.PixelValueTransformationSequence = [inner]
        groups.append(outer)
    image = dicom.read(
        write(
            frames,
            PerFrameFunctionalGroupsSequence=groups,
            RescaleSlope=None,
            RescaleIntercept=None,
            WindowCenter=None,
            WindowWidth=None,
        )
    )
    np.testing.assert_array_equal(image.values[0], ROW)
    np.testing.assert_array_equal(image.values[1], 2.0 * ROW + 5)
    assert image.presets[0].limits == pytest.approx((0, 8195))  # 2 * 4095 + 5


def test_linear_window_by_the_formula(write):
    image = dicom.read(write(ROW, WindowCenter='2048', WindowWidth='4096'))
    # C.11.2.1.2.1: y = (x - (c - 0.5)) / (w - 1) + 0.5
    expected = [(x - 2047.5) / 4095 + 0.5 for x in ROW[0].tolist()]
    np.testing.assert_allclose(image.to_display()[0], expected, atol=1e-6)


def test_linear_exact_and_linear_differ(write):
    narrow = {'WindowCenter': '2', 'WindowWidth': '2'}
    linear = dicom.read(write(ROW, **narrow)).to_display()[0, :4]
    exact = dicom.read(write(ROW, VOILUTFunction='LINEAR_EXACT', **narrow)).to_display()[0, :4]
    # LINEAR: black up to c - 0.5 - (w-1)/2 = 1, white beyond c - 0.5 + (w-1)/2 = 2.
    np.testing.assert_allclose(linear, [0, 0, 1, 1], atol=1e-6)
    # LINEAR_EXACT: y = (x - c) / w + 0.5, black up to 1, white beyond 3.
    np.testing.assert_allclose(exact, [0, 0, 0.5, 1], atol=1e-6)


def test_sigmoid_by_the_formula(write):
    image = dicom.read(write(ROW, VOILUTFunction='SIGMOID', WindowCenter='2', WindowWidth='4'))
    # C.11.2.1.3.1: 1 / (1 + exp(-4 (x - 2) / 4)); x = 0 -> 1/(1+e^2), x = 3 -> 1/(1+e^-1)
    np.testing.assert_allclose(
        image.to_display()[0, :4], [0.119203, 0.268941, 0.5, 0.731059], atol=1e-5
    )


def test_several_windows_are_presets_with_their_names(write):
    image = dicom.read(
        write(
            ROW,
            WindowCenter=['2048', '1000'],
            WindowWidth=['4096', '500'],
            WindowCenterWidthExplanation=['NORMAL', 'HARDER'],
        )
    )
    assert [(w.center, w.width, w.explanation) for w in image.presets] == [
        (2048, 4096, 'NORMAL'),
        (1000, 500, 'HARDER'),
    ]


@pytest.mark.parametrize(
    ('broken', 'left'),
    [
        ({'WindowCenter': ['10', '20'], 'WindowWidth': ['5']}, [(10, 5)]),
        ({'WindowCenter': ['10', '20'], 'WindowWidth': ['0', '5']}, [(20, 5)]),
        ({'WindowCenter': ['10'], 'WindowWidth': ['-3']}, []),
        ({'WindowCenter': ['10'], 'WindowWidth': ['5'], 'VOILUTFunction': 'CUBIC'}, []),
        ({'WindowCenter': '10', 'WindowWidth': ''}, []),
    ],
)
def test_broken_windows_are_left_out_with_a_note(write, broken, left):
    image = dicom.read(write(ROW, **broken))
    assert any('window' in note for note in image.notes)
    if left:
        assert [(w.center, w.width) for w in image.presets] == left
    else:
        assert image.presets == (Window.spanning(0, 4095, 'Full range'),)


@pytest.mark.parametrize(
    ('function', 'width'), [('LINEAR', 1), ('LINEAR_EXACT', 0.5), ('SIGMOID', 0.5)]
)
def test_the_least_width_depends_on_the_function(write, function, width):
    # C.11.2.1.2.1: at least 1 for LINEAR; C.11.2.1.2.2 and C.11.2.1.3.1: above 0
    image = dicom.read(
        write(ROW, WindowCenter='10', WindowWidth=str(width), VOILUTFunction=function)
    )
    assert image.presets == (Window(10, width, function, 'NORMAL'),)
    assert image.notes == ()


def test_empty_windows_and_function_mean_none_and_linear(write):
    image = dicom.read(write(ROW, WindowCenter='', WindowWidth=''))
    assert image.presets[0].explanation == 'Full range'
    assert image.notes == ()
    image = dicom.read(write(ROW, VOILUTFunction=''))
    assert image.presets[0].function == 'LINEAR'


def test_one_broken_number_does_not_spoil_its_neighbour(write):
    path = write(ROW, WindowCenter=['1234.5', '2000'], WindowWidth=['500', '600'])
    path.write_bytes(path.read_bytes().replace(b'1234.5', b'12#4.5'))
    image = dicom.read(path)
    assert [(w.center, w.width) for w in image.presets] == [(2000, 600)]


def test_voi_lut_by_hand(write, lut):
    item = lut(1, [10, 20, 40, 50], 8)
    image = dicom.read(write(ROW, VOILUTSequence=[item]))
    table, window = image.presets
    assert isinstance(table, LookupTable)
    assert isinstance(window, Window)  # both offered, the table first
    assert table.explanation == 'NORMAL TABLE'
    # Inputs 0 1 2 3 and beyond; 8 bits of output: v / 255.
    expected = np.array([10, 10, 20, 40, 50, 50, 50, 50]) / 255
    np.testing.assert_allclose(image.to_display()[0], expected, atol=1e-6)


def test_voi_lut_of_8_bits_and_more_than_256_entries(write, lut):
    # pydicom's apply_voi returns 0, 6, 2, 14, 15 here: its index takes the output's type.
    entries = (np.arange(1024) // 4).astype(np.uint8)
    item = lut(0, entries, 8)
    image = dicom.read(write([[0, 27, 75, 251, 1023]] * 2, VOILUTSequence=[item]))
    np.testing.assert_allclose(image.to_display()[0] * 255, [0, 6, 18, 62, 255], atol=1e-4)


@pytest.mark.parametrize('odd', [False, True])
def test_8_bit_entries_packed_two_to_a_word(write, lut, odd):
    entries = [0, 1, 2, 4, 5] if odd else [0, 1, 2, 4]
    data = bytes(entries) + b'\0' * (len(entries) % 2)
    item = lut(0, entries, 8, data=data)
    image = dicom.read(write(ROW, VOILUTSequence=[item]))
    np.testing.assert_allclose(image.presets[0].table, np.array(entries) / 255, atol=1e-6)


def test_table_of_65536_entries_says_0(write, lut):
    item = lut(0, np.arange(65536), 16)
    image = dicom.read(write(ROW, VOILUTSequence=[item]))
    assert len(image.presets[0].table) == 65536
    assert image.to_display()[0, 7] == pytest.approx(4095 / 65535)


def test_table_of_words_in_big_endian(write, lut):
    item = lut(1, [10, 20, 40, 50], 8, data=np.array([10, 20, 40, 50], '>u2').tobytes())
    path = write(ROW, VOILUTSequence=[item], transfer_syntax='1.2.840.10008.1.2.2')
    expected = np.array([10, 10, 20, 40, 50, 50, 50, 50]) / 255
    np.testing.assert_allclose(dicom.read(path).to_display()[0], expected, atol=1e-6)


def test_depth_wider_than_the_entries_does_not_darken(write, lut):
    # Agfa writes 16 bits for entries that end at 4095.
    item = lut(0, np.arange(4096), 16)
    assert dicom.read(write(ROW, VOILUTSequence=[item])).to_display()[0, 7] == 1


def test_first_entry_below_zero_written_unsigned(write, lut):
    # Modality values -1024..3071; a table from -1024 is written as 64512.
    item = lut(64512, np.arange(4096), 12)
    image = dicom.read(write(ROW, RescaleIntercept='-1024', VOILUTSequence=[item]))
    assert image.presets[0].first == -1024
    np.testing.assert_allclose(image.to_display()[0, [0, 7]], [0, 1])


@pytest.mark.parametrize(
    'item',
    [
        {'first': 0, 'entries': [3, 3, 3], 'depth': 8},  # flat
        {'first': 0, 'entries': [1, 2], 'depth': 12, 'count': 40},  # cut short
    ],
)
def test_broken_voi_lut_is_left_out_with_a_note(write, lut, item):
    image = dicom.read(write(ROW, VOILUTSequence=[lut(**item)]))
    assert isinstance(image.presets[0], Window)
    assert any('VOI LUT' in note for note in image.notes)


@pytest.mark.parametrize(
    ('photometric', 'shape', 'inverted', 'contradicts'),
    [
        ('MONOCHROME2', 'IDENTITY', False, False),
        ('MONOCHROME2', None, False, False),
        ('MONOCHROME2', 'INVERSE', False, True),
        ('MONOCHROME1', 'INVERSE', True, False),
        ('MONOCHROME1', None, True, False),
        ('MONOCHROME1', 'IDENTITY', True, True),
    ],
)
def test_polarity_is_turned_once(write, photometric, shape, inverted, contradicts):
    image = dicom.read(write(ROW, photometric=photometric, PresentationLUTShape=shape))
    assert image.inverted is inverted
    assert any('polarity' in note for note in image.notes) is contradicts
    ends = image.to_display()[0, [0, 7]]
    np.testing.assert_allclose(ends, [1, 0] if inverted else [0, 1], atol=1e-6)


def test_inversion_does_not_depend_on_the_maximum_of_the_image(write):
    dim = np.array([[0, 100]], dtype=np.uint16)
    shown = dicom.read(write(dim, photometric='MONOCHROME1')).to_display()
    np.testing.assert_allclose(shown, [[1, 1 - 100 / 4095]], atol=1e-6)


def test_padding_is_black_either_way_and_no_part_of_the_range(write):
    for photometric in ('MONOCHROME1', 'MONOCHROME2'):
        path = write(ROW, photometric=photometric, PixelPaddingValue=4095)
        image = dicom.read(path)
        np.testing.assert_array_equal(image.padding, ROW == 4095)
        assert image.to_display()[0, 7] == 0


def test_padding_range_either_way_round(write):
    for value, limit in ((1, 3), (3, 1)):
        path = write(ROW, PixelPaddingValue=value, PixelPaddingRangeLimit=limit)
        np.testing.assert_array_equal(dicom.read(path).padding, (ROW >= 1) & (ROW <= 3))


def test_padding_below_zero_is_found_before_the_rescale(write):
    stored = np.array([[-2000, 0, 50]], dtype=np.int16)
    image = dicom.read(write(stored, bits=16, PixelPaddingValue=-2000, RescaleIntercept='-1024'))
    np.testing.assert_array_equal(image.padding, [[True, False, False]])


def test_padding_that_no_pixel_has_is_none(write):
    assert dicom.read(write(ROW, PixelPaddingValue=77)).padding is None


# Which type the values get, and how far they reach.


@pytest.mark.parametrize(
    ('stored', 'bits', 'intercept', 'dtype'),
    [
        (np.uint8, 7, 128, np.uint8),  # 128..255
        (np.uint8, 7, 129, np.uint16),
        (np.uint8, 7, -1, np.int8),  # -1..126
        (np.uint8, 8, -128, np.int8),  # -128..127
        (np.uint8, 8, -129, np.int16),
        (np.uint16, 15, 32768, np.uint16),  # 32768..65535
        (np.uint16, 15, 32769, np.int32),
        (np.uint16, 16, -32768, np.int16),  # -32768..32767
        (np.uint16, 16, -32769, np.int32),
        (np.int8, 8, 128, np.uint8),  # 0..255
        (np.int16, 16, 32768, np.uint16),  # 0..65535
        (np.uint16, 16, 2147418112, np.int32),  # ..2**31 - 1
        (np.uint16, 16, 2147418113, np.int64),
    ],
)
def test_the_narrowest_type_that_holds_every_value(write, stored, bits, intercept, dtype):
    low = -(1 << (bits - 1)) if np.dtype(stored).kind == 'i' else 0
    ends = np.array([[low, low + 3, low + (1 << bits) - 1]], dtype=stored)
    image = dicom.read(write(ends, bits=bits, RescaleSlope='1', RescaleIntercept=str(intercept)))
    assert image.values.dtype == dtype
    np.testing.assert_array_equal(image.values, ends.astype(np.int64) + intercept)


def test_an_intercept_that_no_integer_holds(write):
    image = dicom.read(write(ROW, RescaleSlope='1', RescaleIntercept='1e20'))
    assert image.values.dtype == np.float32
    np.testing.assert_array_equal(image.values, np.full(ROW.shape, np.float32(1e20)))


@pytest.mark.parametrize(
    ('slope', 'intercept', 'expected'),
    [('1', '-16777216.5', [[0.5, 2.5]]), ('2', '-33554434', [[0, 4]])],
)
def test_long_integers_are_rescaled_before_they_lose_digits(write, slope, intercept, expected):
    stored = np.array([[16777217, 16777219]], dtype=np.uint32)
    elements = {'BitsStored': 32, 'HighBit': 31}
    image = dicom.read(write(stored, RescaleSlope=slope, RescaleIntercept=intercept, **elements))
    assert image.values.dtype == np.float32
    np.testing.assert_array_equal(image.values, expected)


def test_slope_or_intercept_may_stand_alone(write):
    image = dicom.read(write(ROW, RescaleSlope='2', RescaleIntercept=None))
    np.testing.assert_array_equal(image.values, ROW * 2.0)
    image = dicom.read(write(ROW, RescaleSlope=None, RescaleIntercept='5'))
    np.testing.assert_array_equal(image.values, ROW + 5)
    assert image.values.dtype == np.uint16
    assert image.notes == ()


def test_a_broken_intercept_takes_its_slope_along(write):
    path = write(ROW, RescaleSlope='2', RescaleIntercept='-1.25')
    path.write_bytes(path.read_bytes().replace(b'-1.25', b'-1#25'))
    image = dicom.read(path)
    np.testing.assert_array_equal(image.values, ROW)
    assert len([note for note in image.notes if 'rescale' in note]) == 1


def rescaled(*lines):
    """Functional groups that rescale each frame."""
    groups = []
    for slope, intercept in lines:
        inner, outer = Dataset(), Dataset()
        inner.RescaleSlope, inner.RescaleIntercept = slope, intercept
        outer.PixelValueTransformationSequence = [inner]
        groups.append(outer)
    return {
        'PerFrameFunctionalGroupsSequence': groups,
        'RescaleSlope': None,
        'RescaleIntercept': None,
        'WindowCenter': None,
        'WindowWidth': None,
    }


@pytest.mark.parametrize('shape', [(3, 1, 8), (2, 8)])
def test_rescales_that_are_not_one_a_frame_are_those_of_the_first(write, shape):
    stored = np.broadcast_to(ROW, shape)
    image = dicom.read(write(stored, **rescaled(('2', '5'), ('3', '0'))))
    np.testing.assert_array_equal(image.values, 2.0 * stored + 5)
    assert image.presets[0].limits == pytest.approx((5, 8195))


@pytest.mark.parametrize('lines', [[('2', '5')], [('2', '5'), ('2', '5'), ('0', '1')]])
def test_a_rescale_for_all_frames_and_one_that_is_broken(write, lines):
    stored = np.stack([ROW] * 3)
    image = dicom.read(write(stored, **rescaled(*lines)))
    np.testing.assert_array_equal(image.values[:2], 2.0 * stored[:2] + 5)
    broken = len(lines) == 3
    np.testing.assert_array_equal(image.values[2], ROW if broken else 2.0 * ROW + 5)
    assert any('rescale' in note for note in image.notes) is broken


@pytest.mark.parametrize('kind', ['float32', 'float64'])
def test_values_in_floats_are_taken_as_they_are(write, kind):
    values = np.array([[-1.5, 0.25, np.nan, np.inf, 7]], dtype=kind)
    keyword = 'FloatPixelData' if kind == 'float32' else 'DoubleFloatPixelData'
    elements = {
        'PixelData': None,
        keyword: values.tobytes(),
        'Rows': 1,
        'Columns': 5,
        'BitsAllocated': values.dtype.itemsize * 8,
        'BitsStored': None,
        'HighBit': None,
        'PixelRepresentation': None,
        'WindowCenter': None,
        'WindowWidth': None,
        'RescaleSlope': '3',  # no part of such an object
    }
    image = dicom.read(write(**elements))
    np.testing.assert_array_equal(image.values, values)
    assert image.presets[0].limits == pytest.approx((-1.5, 7))


# Tables.


def test_the_first_modality_lut_counts_and_a_broken_one_is_noted(write, lut):
    good, other = lut(0, [5, 6], 8), lut(0, [7, 8], 8)
    image = dicom.read(write(ROW, ModalityLUTSequence=[good, other]))
    np.testing.assert_array_equal(image.values, np.where(ROW > 0, 6, 5))
    broken = lut(0, [5], 8, count=40)
    image = dicom.read(
        write(ROW, ModalityLUTSequence=[broken, other], RescaleSlope='1', RescaleIntercept='3')
    )
    np.testing.assert_array_equal(image.values, ROW + 3)
    assert any('Modality LUT' in note and 'left out' in note for note in image.notes)


def test_a_modality_lut_of_unsigned_values_begins_where_it_says(write, lut):
    # As a signed number the first would be -25536, and so long a table would reach 0 from there.
    stored = np.array([[39999, 40000, 40001, 65535]], dtype=np.uint16)
    item = lut(40000, np.arange(30000) + 1, 16)
    image = dicom.read(write(stored, bits=16, ModalityLUTSequence=[item]))
    np.testing.assert_array_equal(image.values, [[1, 1, 2, 25536]])
    assert image.notes == ()


def test_a_modality_lut_of_signed_values_written_unsigned_is_repaired(write, lut):
    stored = np.array([[-3, -2, -1, 5]], dtype=np.int16)
    item = lut(65534, [10, 20, 30], 16)
    image = dicom.read(
        write(
            stored,
            bits=16,
            ModalityLUTSequence=[item],
            WindowCenter=None,
            WindowWidth=None,
        )
    )
    np.testing.assert_array_equal(image.values, [[10, 10, 20, 30]])
    assert image.presets[0].limits == pytest.approx((10, 30))
    assert image.notes == (
        'The Modality LUT of this file had a number with the wrong sign, which was repaired.',
    )


@pytest.mark.parametrize(
    ('first', 'limits'),
    [
        (-100, (100, 355)),  # 0..255 reach the entries 100 to 355
        (200, (0, 55)),
        (-399, (399, 399)),  # only the last
        (255, (0, 0)),
    ],
)
def test_the_range_of_a_modality_lut_at_either_end(write, lut, first, limits):
    item = lut(first, np.arange(400), 16, vr='SS')
    stored = np.array([[0, 255]], dtype=np.uint8)
    image = dicom.read(
        write(stored, bits=8, ModalityLUTSequence=[item], WindowCenter=None, WindowWidth=None)
    )
    np.testing.assert_array_equal(image.values, [limits])
    assert image.presets[0].limits == pytest.approx(limits)


def test_a_voi_lut_of_signed_values(write, lut):
    stored = np.array([[-2, -1, 0, 1]], dtype=np.int16)
    # 65535 entries from -2 on; as an unsigned number 65534 nothing would lie inside.
    item = lut(65534, np.arange(60000), 16)
    image = dicom.read(write(stored, bits=16, VOILUTSequence=[item]))
    assert image.presets[0].first == -2
    np.testing.assert_allclose(image.to_display()[0] * 59999, [0, 1, 2, 3], atol=0.01)
    assert image.notes == (
        'The VOI LUT of this file had a number with the wrong sign, which was repaired.',
    )


@pytest.mark.parametrize('kind', ['u', 'i'])
def test_where_a_voi_lut_begins_follows_from_pixel_representation(write, lut, kind):
    # Values 0..65535 either way, and the table lies among them with either sign.
    stored = np.array([[0, 1]], dtype=np.dtype(f'{kind}2'))
    item = lut(40000, np.arange(30000), 16)
    shift = '32768' if kind == 'i' else '0'
    path = write(stored, bits=16, RescaleIntercept=shift, VOILUTSequence=[item])
    assert dicom.read(path).presets[0].first == (-25536 if kind == 'i' else 40000)


def test_voi_luts_and_windows_of_a_functional_group_come_after_those_of_the_whole(write, lut):
    def group(center):
        inner, outer = Dataset(), Dataset()
        inner.WindowCenter, inner.WindowWidth = center, '50'
        inner.VOILUTSequence = [lut(int(center), [1, 2], 8)]
        outer.FrameVOILUTSequence = [inner]
        return outer

    frames = np.stack([ROW, ROW])
    image = dicom.read(
        write(
            frames,
            PerFrameFunctionalGroupsSequence=[group('7'), group('8')],
            VOILUTSequence=[lut(0, [1, 2], 8)],
            WindowCenter='9',
            WindowWidth='40',
        )
    )
    firsts = [p.first for p in image.presets if isinstance(p, LookupTable)]
    centers = [p.center for p in image.presets if isinstance(p, Window)]
    assert (firsts, centers) == ([0, 7], [9, 7])
    assert [type(p) for p in image.presets] == [LookupTable, LookupTable, Window, Window]


def test_what_a_window_is_called(write):
    image = dicom.read(
        write(
            ROW,
            WindowCenter=['10', '20', '30'],
            WindowWidth=['5', '6', '7'],
            WindowCenterWidthExplanation=['NORMAL', 'Doe^Jane'],
        )
    )
    assert [w.explanation for w in image.presets] == ['NORMAL', '', '']
    assert image.notes == ()


# Windows of fractions.


@pytest.mark.parametrize(
    ('slope', 'width', 'function'),
    [
        # Up to four widths of 1; beyond them LINEAR is a threshold.
        (3.99 / 4095, '1', 'LINEAR_EXACT'),
        (4.01 / 4095, '1', 'LINEAR'),
        (2 / 4095, '0.5', 'LINEAR_EXACT'),
        # A width below 1 is never LINEAR, where there are fractions.
        (40 / 4095, '0.5', 'LINEAR_EXACT'),
    ],
)
def test_from_how_narrow_a_range_on_a_window_is_one_of_fractions(write, slope, width, function):
    image = dicom.read(
        write(ROW, RescaleSlope=f'{slope:.9f}', WindowCenter='1', WindowWidth=width)
    )
    assert [(w.width, w.function) for w in image.presets] == [(float(width), function)]
    assert any('LINEAR_EXACT' in note for note in image.notes) is (function != 'LINEAR')


@pytest.mark.parametrize(('width', 'kept'), [('0.2490234375', True), ('0.2490234374', False)])
def test_four_widths_are_few_where_no_value_is_a_fraction(write, width, kept):
    # The values could reach 255 / 256, which is 4 * 0.2490234375.
    path = write(
        np.zeros((1, 2), dtype=np.uint8),
        bits=8,
        RescaleSlope='0.00390625',
        WindowCenter='0.5',
        WindowWidth=width,
    )
    assert (dicom.read(path).presets[0].explanation == 'NORMAL') is kept


def test_a_narrow_window_of_whole_numbers_in_floats_is_left_out(write):
    image = dicom.read(write(ROW, RescaleSlope='2', WindowCenter='1', WindowWidth='0.5'))
    assert [p.explanation for p in image.presets] == ['Full range']
    assert [note for note in image.notes if 'LINEAR_EXACT' in note] == []


# Padding.


def test_padding_of_zero(write):
    np.testing.assert_array_equal(dicom.read(write(ROW, PixelPaddingValue=0)).padding, ROW == 0)


def test_padding_that_is_all_of_the_image_is_none(write):
    stored = np.full((2, 3), 9, dtype=np.uint16)
    assert dicom.read(write(stored, PixelPaddingValue=9)).padding is None


def test_a_limit_of_padding_without_a_value_is_none(write):
    assert dicom.read(write(ROW, PixelPaddingRangeLimit=3)).padding is None


def test_padding_written_with_the_wrong_sign(write):
    for stored, vr, number in (
        (np.array([[-2000, 0]], dtype=np.int16), 'US', 63536),
        (np.array([[63536, 0]], dtype=np.uint16), 'SS', -2000),
        (np.array([[65535, 0]], dtype=np.uint16), 'SS', -1),
        (np.array([[-32768, 0]], dtype=np.int16), 'US', 32768),
    ):
        path = write(stored, bits=16)
        dataset = dcmread(path)
        dataset.add(DataElement('PixelPaddingValue', vr, number))
        dataset.save_as(path)
        np.testing.assert_array_equal(dicom.read(path).padding, [[True, False]])


# What is left out is said, in these words.


@pytest.mark.parametrize(
    ('elements', 'note'),
    [
        (
            {'RescaleSlope': '0', 'RescaleIntercept': '5'},
            'The rescale slope or intercept of this file is broken and was left out.',
        ),
        (
            {'VOILUTFunction': 'ROUND', 'WindowCenter': '9', 'WindowWidth': '4'},
            'The windows of this file have an unknown function and were left out.',
        ),
        (
            {'WindowCenter': ['9', '8'], 'WindowWidth': '4'},
            'A window of this file has no centre or no width and was left out.',
        ),
        (
            {'WindowCenter': '9', 'WindowWidth': None},
            'A window of this file has no centre or no width and was left out.',
        ),
        (
            {'WindowCenter': '9', 'WindowWidth': '0'},
            'A window of this file has an impossible centre or width; left out.',
        ),
        (
            {'VOILUTFunction': 'SIGMOID', 'WindowCenter': '9', 'WindowWidth': '0'},
            'A window of this file has an impossible centre or width; left out.',
        ),
        (
            {'RescaleSlope': '0.0002', 'WindowCenter': '0.5', 'WindowWidth': '1'},
            (
                'A LINEAR window of this file is too narrow for its values, which are fractions; '
                'it was applied as LINEAR_EXACT.'
            ),
        ),
    ],
)
def test_what_is_said_of_windows_and_slopes_that_cannot_be_meant(write, elements, note):
    image = dicom.read(write(ROW, **elements))
    assert image.notes == (note,)


@pytest.mark.parametrize(
    ('sequence', 'note'),
    [
        ('ModalityLUTSequence', 'The Modality LUT of this file is broken and was left out.'),
        ('VOILUTSequence', 'A VOI LUT of this file is broken and was left out.'),
    ],
)
def test_what_is_said_of_a_table_that_is_broken(write, lut, sequence, note):
    item = lut(0, [1, 2, 3], 16)
    item.LUTDescriptor = [4, 0, 16]
    image = dicom.read(write(ROW, **{sequence: [item]}))
    assert image.notes == (note,)


def test_a_frame_without_a_slope_keeps_its_values(write):
    def group(**elements):
        inner, outer = Dataset(), Dataset()
        for keyword, value in elements.items():
            setattr(inner, keyword, value)
        outer.PixelValueTransformationSequence = [inner]
        return outer

    frames = np.array([[[1, 2]], [[3, 4]], [[5, 6]]], dtype=np.uint16)
    groups = [group(RescaleSlope='2', RescaleIntercept='1'), group(), group(RescaleIntercept='7')]
    image = dicom.read(write(frames, PerFrameFunctionalGroupsSequence=groups))
    np.testing.assert_array_equal(image.values, [[[3, 5]], [[3, 4]], [[12, 13]]])


def test_windows_without_a_name_have_none(write):
    image = dicom.read(
        write(
            ROW,
            WindowCenter=['10', '20'],
            WindowWidth=['5', '6'],
            WindowCenterWidthExplanation='NORMAL',
        )
    )
    assert [w.explanation for w in image.presets] == ['NORMAL', '']


@pytest.mark.parametrize('limit', [None, ['12', '900']])
def test_of_several_padding_values_the_first_counts(write, limit):
    """Both elements have one value, PS3.3 C.7.5.1.1.2."""
    stored = np.array([[10, 11, 12, 500, 900]], dtype=np.uint16)
    path = write(
        stored,
        PixelPaddingValue=[10, 500],
        PixelPaddingRangeLimit=None if limit is None else [int(n) for n in limit],
    )
    mask = dicom.read(path).padding
    assert mask is not None
    expected = [True, False, False, False, False] if limit is None else [True] * 3 + [False] * 2
    np.testing.assert_array_equal(mask, [expected])
