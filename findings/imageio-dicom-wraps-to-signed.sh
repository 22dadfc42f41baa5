#!/usr/bin/env bash
# imageio 2.38.1 (its own DICOM plugin), files made by pydicom 3.0.2
#
# Expected: Rescale Slope 1 and Rescale Intercept 0 change nothing. A DX object must have both
# (PS3.3 C.8.11.3).
#
# What happens: where both elements are there, the plugin turns the unsigned pixels into the signed
# type of the same width, and the upper half of the range wraps round: 128 of 8 bits reads as -128,
# 40000 of 16 bits as -25536. Without the two elements the same pixels are right.
#
# Why it matters: in an 8-bit radiograph the bright half (mediastinum, bones, consolidation) turns
# darker than the lungs. napari 0.9.2 opens *.dcm through this plugin.
#
# What we do: we decode with the type the header declares, and the Modality LUT is computed in
# a type that holds the result.
#
# Seen on 2026-11-30 (Linux x86-64, Python 3.11):
#   imageio 2.38.1
#   u1 no rescale  uint8 [0, 127, 128, 255]
#   u1 rescale 1/0 int8 [0, 127, -128, -1]
#   u2 no rescale  uint16 [0, 32767, 32768, 40000]
#   u2 rescale 1/0 int16 [0, 32767, -32768, -25536]
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    'imageio==2.38.1' 'pydicom==3.0.2' 'numpy==2.4.6'
mkdir "$work/files"
cd "$work/files"  # the plugin would read the files of the environment too
"$work/venv/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
import imageio
import imageio.v3 as iio


def radiograph(pixels, bits, **elements):
    """A small DX object, explicit VR little endian, with the elements given."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = '1.2.840.10008.5.1.4.1.1.1.1'
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    ds.StudyInstanceUID, ds.SeriesInstanceUID = generate_uid(), generate_uid()
    ds.Modality, ds.InstanceNumber = 'DX', 1
    ds.Rows, ds.Columns = pixels.shape
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, 'MONOCHROME2'
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8 * pixels.itemsize, bits, bits - 1
    ds.PixelRepresentation = int(pixels.dtype.kind == 'i')
    for name, value in elements.items():
        setattr(ds, name, value)
    ds.PixelData = pixels.tobytes()
    return ds


print('imageio', imageio.__version__)
seen = {}
for dtype, values in (('u1', [0, 127, 128, 255]), ('u2', [0, 32767, 32768, 40000])):
    pixels = np.array([values] * 2, dtype)
    for rescaled in (False, True):
        rescale = {'RescaleSlope': '1', 'RescaleIntercept': '0'} if rescaled else {}
        ds = radiograph(pixels, 8 * pixels.itemsize, **rescale)
        ds.save_as('a.dcm', enforce_file_format=True)
        read = iio.imread('a.dcm')
        seen[dtype, rescaled] = read[0].tolist()
        print(dtype, 'rescale 1/0' if rescaled else 'no rescale ', read.dtype, read[0].tolist())
if seen != {
    ('u1', False): [0, 127, 128, 255],
    ('u1', True): [0, 127, -128, -1],
    ('u2', False): [0, 32767, 32768, 40000],
    ('u2', True): [0, 32767, -32768, -25536],
}:
    sys.exit('The behaviour has changed.')
PYTHON
