"""LUT descriptors of any value representation, and what of a VOI LUT's output is white."""

import numpy as np
import pytest
from pydicom.config import IGNORE
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from napari_cxr import dicom
from napari_cxr.dicom.headers import Header
from napari_cxr.dicom.lut_data import Descriptor, apply_palette, read_descriptor, read_table
from napari_cxr.radiograph import UnreadableImage

RAMP = np.arange(50000)
SIGNED = np.array([[-25000, -24999, -1, 0, 15000, 24999]], dtype=np.int16)
SYNTAXES = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]


def described(values, vr='US'):
    item = Dataset()
    # unchecked, as implicit VR reads it
    item.add(DataElement('LUTDescriptor', vr, values, validation_mode=IGNORE))
    return item


@pytest.mark.parametrize(
    ('values', 'vr', 'signed', 'span', 'expected'),
    [
        ([256, 0, 8], 'US', False, (0, 255), Descriptor(256, 0, 8)),
        ([0, 0, 16], 'US', False, (0, 65535), Descriptor(65536, 0, 16)),
        # 50000 entries from -25000: as signed numbers -15536, -25000
        ([-15536, -25000, 16], 'SS', True, (-32768, 32767), Descriptor(50000, -25000, 16, True)),
        ([50000, 40536, 16], 'US', True, (-32768, 32767), Descriptor(50000, -25000, 16, True)),
        # unsigned values, of which the first was read as signed: 40000 is -25536
        ([100, -25536, 12], 'SS', False, (0, 65535), Descriptor(100, 40000, 12, True)),
        # the sign by Pixel Representation leads outside what the values can be: -1024 is meant
        ([4096, 64512, 12], 'US', False, (-1024, 3071), Descriptor(4096, -1024, 12, True)),
        ([4096, -1024, 12], 'SS', False, (-1024, 3071), Descriptor(4096, -1024, 12)),
        # a table whose last entry is the least value lies inside; one that ends before it,
        # or begins after the greatest value, does not
        # a first entry below 2**15 has one sign only, and one that lies nowhere the stated one
        ([10, 300, 8], 'US', False, (0, 99), Descriptor(10, 300, 8)),
        ([10, -300, 8], 'SS', True, (0, 99), Descriptor(10, -300, 8)),
        ([10, 32767, 8], 'US', True, (-99999, 99999), Descriptor(10, 32767, 8)),
        ([10, 32768, 8], 'US', True, (-99999, 99999), Descriptor(10, -32768, 8, True)),
        # as far as a word goes, either way
        ([-32768, -32768, -32768], 'SS', True, (-9, 9), Descriptor(32768, -32768, 32768, True)),
        ([65535, 65535, 65535], 'US', False, (0, 65535), Descriptor(65535, 65535, 65535)),
        ([1, 0, 8], 'US', False, (0, 255), Descriptor(1, 0, 8)),
        ([36, 65500, 8], 'US', True, (-1, 99), Descriptor(36, -36, 8, True)),
        ([36, 65500, 8], 'US', True, (0, 65535), Descriptor(36, 65500, 8)),
        ([36, 65500, 8], 'US', False, (-99, 65500), Descriptor(36, 65500, 8)),
        ([36, 65500, 8], 'US', False, (-99, 65499), Descriptor(36, -36, 8, True)),
    ],
)
def test_each_value_has_its_own_sign(values, vr, signed, span, expected):
    assert (
        read_descriptor(described(values, vr), 'LUTDescriptor', *span, signed=signed) == expected
    )


@pytest.mark.parametrize(
    ('values', 'vr'),
    [
        ([1, 2], 'US'),
        ([1, 2, 3, 4], 'US'),
        ([1.5, 0, 8], 'DS'),
        (['8', 'x', '8'], 'LO'),
        ([65536, 0, 8], 'UL'),
        ([1, 0, 65536], 'UL'),
        ([1, -32769, 8], 'SL'),
        ([1, -40000, 8], 'SL'),
    ],
)
def test_what_is_no_descriptor(values, vr):
    found = read_descriptor(described(values, vr), 'LUTDescriptor', -99999, 99999, signed=False)
    assert found is None


def entries(data, vr='US', entries=2, depth=8, order='<', signed=False, first=0):
    item = described([entries, first, depth], 'SS' if first < 0 else 'US')
    item.add(DataElement('LUTData', vr, data, validation_mode=IGNORE))
    found = read_table(item, order, -99999, 99999, signed=signed)
    return None if found is None else found[1].tolist()


@pytest.mark.parametrize(
    ('data', 'more', 'expected'),
    [
        # numbers, and among them such as were read with the wrong sign
        ([7, 300], {}, [7, 300]),
        ([7, -1], {'vr': 'SS', 'depth': 16}, [7, 65535]),
        ([7, 300, 9], {}, [7, 300]),
        (7, {'entries': 1}, [7]),
        # words in bytes, in either order, and the byte that is beyond
        (b'\x01\x02\x03\x04', {'vr': 'OW', 'depth': 16}, [0x0201, 0x0403]),
        (b'\x01\x02\x03\x04', {'vr': 'OW', 'depth': 16, 'order': '>'}, [0x0102, 0x0304]),
        (b'\x01\x02\x03\x04\x05', {'vr': 'OW', 'depth': 16}, [0x0201, 0x0403]),
        # 8 bits two to a word, low byte first whatever the order of words
        (b'\x01\x02', {'vr': 'OW'}, [1, 2]),
        (b'\x02\x01', {'vr': 'OW', 'order': '>'}, [1, 2]),
        ([0x0201], {}, [1, 2]),
        ([0x0201, 0x0003], {'entries': 3}, [1, 2, 3]),
        # one to a word where there are enough; one alone is no pair; 9 bits are not packed
        (b'\x01\x02\x03\x04', {'vr': 'OW'}, [0x0201, 0x0403]),
        ([0x0201], {'entries': 1}, [0x0201]),
        ([0x0201], {'depth': 9}, None),
        # too few, none at all, and what is no number
        ([1], {'entries': 3}, None),
        ([0x0201, 0x0403], {'entries': 5}, None),
        ([], {}, None),
        (None, {}, None),
        (['a', 'b'], {'vr': 'LO'}, None),
    ],
)
def test_entries_of_a_table(data, more, expected):
    assert entries(data, **more) == expected


def test_the_first_entry_of_a_table_follows_the_sign_of_the_pixels():
    item = described([2, 40000, 8])
    item.add(DataElement('LUTData', 'US', [7, 8]))
    firsts = [read_table(item, '<', -99999, 99999, signed=s)[0].first for s in (False, True)]
    assert firsts == [40000, -25536]
    assert read_table(described([1, 2]), '<', 0, 1, signed=False) is None


def test_entries_are_words_of_this_machine():
    item = described([2, 0, 16])
    item.add(DataElement('LUTData', 'OW', b'\x01\x02\x03\x04'))
    table = read_table(item, '>', 0, 9, signed=False)[1]
    assert table.dtype == np.uint16 and table.dtype.isnative


@pytest.mark.parametrize('syntax', SYNTAXES)
@pytest.mark.parametrize('sequence', ['ModalityLUTSequence', 'VOILUTSequence'])
def test_more_than_32767_entries_in_either_encoding(write, lut, syntax, sequence):
    item = lut(-25000, RAMP, 16, vr='SS')
    path = write(
        SIGNED,
        bits=16,
        transfer_syntax=syntax,
        WindowCenter=None,
        WindowWidth=None,
        **{sequence: [item]},
    )
    image = dicom.read(path)
    offset = SIGNED.astype(int) + 25000
    if sequence == 'ModalityLUTSequence':
        np.testing.assert_array_equal(image.values, offset)
    else:
        assert len(image.presets[0].table) == 50000
        np.testing.assert_allclose(image.to_display(), offset / 49999, atol=1e-6)
    repaired = any('wrong sign' in note for note in image.notes)
    assert repaired is (syntax == ImplicitVRLittleEndian)


def test_a_palette_of_many_entries_in_implicit_vr(write):
    colours = {}
    for name, top in (('Red', 65535), ('Green', 0), ('Blue', 0)):
        key = f'{name}PaletteColorLookupTable'
        colours[f'{key}Descriptor'] = [40000, 0, 16]
        table = np.linspace(0, top, 40000).astype('<u2')
        colours[f'{key}Data'] = table.tobytes()
    stored = np.array([[0, 20000, 39999]], dtype=np.uint16)
    path = write(
        stored,
        bits=16,
        transfer_syntax=ImplicitVRLittleEndian,
        photometric='PALETTE COLOR',
        PresentationLUTShape=None,
        **colours,
    )
    image = dicom.read(path)
    assert image.is_colour
    np.testing.assert_array_equal(image.values[0, :, 0], [0, 128, 255])


@pytest.mark.parametrize(
    ('entries', 'depth', 'white'),
    [
        ([40, 120, 180], 8, 255),  # reaches neither end of 8 bits
        ([3, 50, 90], 8, 255),  # 8 bits are those of a screen
        ([600, 2000, 3500], 12, 4095),
        ([0, 2000, 4000], 16, 4000),  # 16 bits are stated for entries of 12
        ([100, 2000, 4000], 16, 4000),
        ([0, 30000, 50000], 16, 50000),
        ([9000, 30000, 50000], 16, 65535),  # starts away from black: the whole word is meant
        ([0, 500, 1000], 12, 1000),
        ([0, 500, 1000], 8, 1023),  # 8 bits are stated for entries of 10
        ([0, 500, 1000], 77, 1023),
        ([0, 500, 1000], 17, 1023),
        ([0, 100, 200], 9, 200),
        ([0, 50, 90], 7, 127),
    ],
)
def test_what_is_white_follows_from_the_third_value(write, lut, entries, depth, white):
    stored = np.array([[0, 1, 2]], dtype=np.uint16)
    image = dicom.read(write(stored, VOILUTSequence=[lut(0, entries, depth)]))
    np.testing.assert_allclose(image.to_display()[0], np.array(entries) / white, atol=1e-6)


def coloured(indices, channels, *, first=0, depth=8, signed=0, segmented=False, entries=None):
    """Apply a palette whose entries stand in words of 16 bits, or in bytes."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.PixelRepresentation = signed
    for name, table in zip(('Red', 'Green', 'Blue'), channels, strict=True):
        keyword = f'{name}PaletteColorLookupTable'
        descriptor = DataElement(
            f'{keyword}Descriptor',
            'US',
            [entries or len(table), first, depth],
            validation_mode=IGNORE,
        )
        dataset.add(descriptor)
        if segmented:  # one discrete segment, PS3.3 C.7.9.2.2.1
            words = np.array([0, len(table), *table], '<u2')
            setattr(dataset, f'Segmented{keyword}Data', words.tobytes())
        else:
            setattr(dataset, f'{keyword}Data', np.asarray(table).tobytes())
    return apply_palette(np.asarray(indices), Header(dataset, ExplicitVRLittleEndian))


def words(*entries):
    return np.array(entries, '<u2')


def test_indices_beyond_a_palette_take_its_ends():
    red, green, blue = words(10, 20, 30), words(1, 2, 3), words(7, 8, 9)
    found, is_colour = coloured([0, 2, 3, 4, 9], [red, green, blue], first=2)
    assert is_colour and found.dtype == np.uint8
    expected = [[10, 1, 7], [10, 1, 7], [20, 2, 8], [30, 3, 9], [30, 3, 9]]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize('segmented', [False, True])
def test_the_upper_bits_of_a_palette_count(segmented):
    red, green, blue = words(0x1234, 0xFFFF), words(0x00FF, 0x0100), words(0, 0)
    found, is_colour = coloured([[0, 1]], [red, green, blue], depth=16, segmented=segmented)
    assert is_colour and found.dtype == np.uint8
    np.testing.assert_array_equal(found, [[[0x12, 0, 0], [0xFF, 1, 0]]])


def test_eight_bits_in_words_are_not_cut_and_more_are():
    found, _ = coloured([0, 1], [words(0, 255), words(9, 9), words(0, 0)])
    np.testing.assert_array_equal(found, [[0, 9, 0], [255, 9, 0]])
    found, _ = coloured([0, 1], [words(0, 256), words(9, 9), words(0, 0)])
    np.testing.assert_array_equal(found, [[0, 0, 0], [1, 0, 0]])
    octets = np.array([5, 6], np.uint8)
    found, _ = coloured([0, 1], [octets, octets, octets[::-1]])
    np.testing.assert_array_equal(found, [[5, 5, 6], [6, 6, 5]])


@pytest.mark.parametrize('odd', [0, 1, 2])
def test_one_channel_that_differs_makes_it_colour(odd):
    channels = [words(3, 4, 5)] * 3
    greys, is_colour = coloured([[2, 0]], channels)
    assert not is_colour
    np.testing.assert_array_equal(greys, [[5, 3]])
    channels[odd] = words(3, 4, 6)
    found, is_colour = coloured([[2, 0]], channels)
    assert is_colour and found.shape == (1, 2, 3)


def test_a_palette_of_signed_indices_begins_below_zero():
    red, green = words(10, 20, 30), words(0, 0, 0)
    found, _ = coloured([-2, -1, 0], [red, green, green], first=65534, signed=1)
    np.testing.assert_array_equal(found[:, 0], [10, 20, 30])
    # Of unsigned ones the same descriptor begins near the end.
    found, _ = coloured([65533, 65534, 65535], [red, green, green], first=65534)
    np.testing.assert_array_equal(found[:, 0], [10, 10, 20])


def test_a_palette_that_is_not_there_is_said():
    for dataset in (Dataset(), described([1, 2])):
        with pytest.raises(UnreadableImage) as error:
            apply_palette(np.zeros((1, 1), np.uint8), Header(dataset, ExplicitVRLittleEndian))
        assert str(error.value) == 'The colour palette of this image is missing or broken.'


def test_the_byte_that_makes_a_palette_even_is_no_entry():
    red, black = np.array([10, 20, 30, 99], np.uint8), np.zeros(4, np.uint8)
    found, _ = coloured([2, 3], [red, black, black], entries=3)
    np.testing.assert_array_equal(found[:, 0], [30, 30])


def test_a_palette_whose_number_of_entries_is_signed_by_mistake_is_read():
    # Unsigned by PS3.3 C.7.6.3.1.5, whatever the file says: -25536 are 40000 entries.
    ramp, black = np.arange(40000, dtype='<u2'), np.zeros(40000, '<u2')
    found, _ = coloured([39999], [ramp, black, black], depth=16, entries=-25536)
    np.testing.assert_array_equal(found, [[39999 >> 8, 0, 0]])
