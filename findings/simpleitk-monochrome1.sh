#!/usr/bin/env bash
# SimpleITK 2.5.7, files made by pydicom 3.0.2
#
# Expected: ReadImage gives the modality values: stored value x Rescale Slope + Rescale Intercept.
# pydicom, GDCM 3.2.6 itself (gdcm.ImageReader) and dicomsdl leave the polarity to the caller.
#
# What happens: a MONOCHROME1 image is turned over before the rescale, by the range of Bits Stored:
# stored 0 with slope 2 and intercept -100 reads as 8090 instead of -100. The metadata of the image
# still say MONOCHROME1.
#
# Why it matters: whoever looks at the tag and inverts, as one has to with every other reader, ends
# up with a negative. And the values are no longer those of the rescale: a window from the header,
# a threshold or a table made with pydicom does not fit them.
#
# What we do: pixels are read by pydicom, the Modality LUT comes first, and the polarity is turned
# once, after the VOI LUT.
#
# Seen on 2026-11-30 (Linux x86-64, Python 3.11):
#   SimpleITK 2.5.7
#   MONOCHROME2: stored [0, 100, 2000, 4095] read [-100, 100, 3900, 8090], tag MONOCHROME2
#   MONOCHROME1: stored [0, 100, 2000, 4095] read [8090, 7890, 4090, -100], tag MONOCHROME1
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    'SimpleITK==2.5.7' 'pydicom==3.0.2' 'numpy==2.4.6'
cd "$work"
"$work/venv/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
import SimpleITK as sitk


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


print('SimpleITK', sitk.Version.VersionString())
pixels = np.array([[0, 100, 2000, 4095]] * 2, np.uint16)
seen = {}
for photometric in ('MONOCHROME2', 'MONOCHROME1'):
    ds = radiograph(
        pixels,
        12,
        PhotometricInterpretation=photometric,
        RescaleSlope='2',
        RescaleIntercept='-100',
    )
    ds.save_as('a.dcm', enforce_file_format=True)
    image = sitk.ReadImage('a.dcm')
    seen[photometric] = sitk.GetArrayFromImage(image)[0, 0].tolist()
    tag = image.GetMetaData('0028|0004').strip()
    print(f'{photometric}: stored {pixels[0].tolist()} read {seen[photometric]}, tag {tag}')
    assert tag == photometric
if seen != {'MONOCHROME2': [-100, 100, 3900, 8090], 'MONOCHROME1': [8090, 7890, 4090, -100]}:
    sys.exit('The behaviour has changed.')
PYTHON
