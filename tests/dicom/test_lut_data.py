"""LUT descriptors of any value representation, and what of a VOI LUT's output is white."""

import numpy as np
import pytest
from pydicom.config import IGNORE
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from napari_cxr import dicom
from napari_cxr.dicom.lut_data import Descriptor, read_descriptor, read_table

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
