#!/usr/bin/env bash
# pydicom 3.0.2 (numpy 2.4.6)
#
# Expected: Presentation LUT Shape INVERSE, which a MONOCHROME1 DX object must have, turns the
# range of the values over, for all images of a detector alike: 500 of 12 bits becomes 4095 - 500.
#
# What happens: apply_presentation_lut subtracts from the largest value that this one array holds.
# 500 becomes 500 in an image whose brightest pixel is 1000, and 3500 in one that reaches 4000.
#
# Why it matters: one bright letter L or R in the corner changes the grey of the whole lung after
# inversion. Two radiographs of one patient cannot be compared, a threshold or a network trained
# on one kind of image meets another, and cropping changes the pixels that remain.
#
# What we do: polarity is turned once, after the VOI LUT, by the range of the table and not by
# the data of the image.
#
# Seen on 2026-11-30 (Linux x86-64, Python 3.11):
#   pydicom 3.0.2
#   500 in an image that reaches 1000 becomes 500
#   500 in an image that reaches 4000 becomes 3500
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    'pydicom==3.0.2' 'numpy==2.4.6'
cd "$work"
"$work/venv/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
import pydicom
from pydicom.pixels import apply_presentation_lut


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


print('pydicom', pydicom.__version__)
seen = []
for brightest in (1000, 4000):
    pixels = np.full((4, 4), 500, np.uint16)
    pixels[0, 0] = brightest
    polarity = {'PhotometricInterpretation': 'MONOCHROME1', 'PresentationLUTShape': 'INVERSE'}
    ds = radiograph(pixels, 12, **polarity)
    seen.append(int(apply_presentation_lut(pixels, ds)[3, 3]))
    print(f'500 in an image that reaches {brightest} becomes {seen[-1]}')
if seen != [500, 3500]:
    sys.exit('The behaviour has changed.')
PYTHON
