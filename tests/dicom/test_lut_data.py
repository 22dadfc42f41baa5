"""LUT descriptors of any value representation, and what of a VOI LUT's output is white."""

import numpy as np
import pytest
from pydicom.config import IGNORE
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from napari_cxr import dicom
from napari_cxr.dicom.lut_data import Descriptor, read_descriptor

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


@pytest.mark.parametrize('values', [[1, 2], [1, 2, 3, 4]])
def test_what_is_no_descriptor(values):
    assert read_descriptor(described(values), 'LUTDescriptor', 0, 1, signed=False) is None


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
    ],
)
def test_what_is_white_follows_from_the_third_value(write, lut, entries, depth, white):
    stored = np.array([[0, 1, 2]], dtype=np.uint16)
    image = dicom.read(write(stored, VOILUTSequence=[lut(0, entries, depth)]))
    np.testing.assert_allclose(image.to_display()[0], np.array(entries) / white, atol=1e-6)
