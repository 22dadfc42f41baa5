"""The grey-scale chain against values worked out by hand from PS3.3 C.11."""

import numpy as np
import pytest
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
