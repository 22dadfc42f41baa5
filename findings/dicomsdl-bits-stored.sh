#!/usr/bin/env bash
# dicomsdl 0.109.4, files made by pydicom 3.0.2
#
# Expected: with Bits Allocated 16 and Bits Stored 12 a pixel is its lower 12 bits, and with Pixel
# Representation 1 the twelfth bit is the sign (PS3.5 8.1.1). What stands in the other four bits
# does not count: older files keep an overlay there.
#
# What happens: dicomsdl takes all 16 bits. A signed -100 reads as 3996, and a pixel with an
# overlay bit has 32768 added. Rescale is then applied to that. pydicom reads both rightly.
#
# Why it matters: with signed pixels the darkest values turn into the brightest. An overlay in
# bit 15 makes annotations part of the image, and scaled from minimum to maximum the radiograph
# below them is nearly black. Both are allowed in CR, and old archives hold the second.
#
# What we do: pixels are shifted, masked and sign-extended by High Bit and Bits Stored.
#
# Seen on 2026-11-30 (Linux x86-64, Python 3.11):
#   dicomsdl 0.109.4 pydicom 3.0.2
#   signed  dicomsdl [3996, 0, 2000] pydicom [-100, 0, 2000]
#   overlay dicomsdl [32868, 0, 2000] pydicom [100, 0, 2000]
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    'dicomsdl==0.109.4' 'pydicom==3.0.2' 'numpy==2.4.6'
cd "$work"
"$work/venv/bin/python" -W ignore - <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
import dicomsdl
import pydicom


def radiograph(pixels, bits, **elements):
    """A small CR object, explicit VR little endian, with the elements given."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = '1.2.840.10008.5.1.4.1.1.1'
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    ds.StudyInstanceUID, ds.SeriesInstanceUID = generate_uid(), generate_uid()
    ds.Modality, ds.InstanceNumber = 'CR', 1
    ds.Rows, ds.Columns = pixels.shape
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, 'MONOCHROME2'
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8 * pixels.itemsize, bits, bits - 1
    ds.PixelRepresentation = int(pixels.dtype.kind == 'i')
    for name, value in elements.items():
        setattr(ds, name, value)
    ds.PixelData = pixels.tobytes()
    return ds


print('dicomsdl', version('dicomsdl'), 'pydicom', pydicom.__version__)
twelve_bits = (np.array([[-100, 0, 2000]] * 2) & 0xFFF).astype(np.uint16)
overlay = np.array([[0x8000 | 100, 0, 2000]] * 2, np.uint16)
seen = {}
for name, pixels, signed in (('signed', twelve_bits, 1), ('overlay', overlay, 0)):
    radiograph(pixels, 12, PixelRepresentation=signed).save_as('a.dcm', enforce_file_format=True)
    by_dicomsdl = dicomsdl.open('a.dcm').pixelData(storedvalue=True)[0].tolist()
    by_pydicom = pydicom.dcmread('a.dcm').pixel_array[0].tolist()
    seen[name] = by_dicomsdl, by_pydicom
    print(f'{name:7} dicomsdl {by_dicomsdl} pydicom {by_pydicom}')
if seen != {
    'signed': ([3996, 0, 2000], [-100, 0, 2000]),
    'overlay': ([32868, 0, 2000], [100, 0, 2000]),
}:
    sys.exit('The behaviour has changed.')
PYTHON
