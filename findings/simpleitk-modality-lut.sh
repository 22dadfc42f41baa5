#!/usr/bin/env bash
# SimpleITK 2.5.7, files made by pydicom 3.0.2
#
# Expected: ReadImage gives modality values. Where a CR or secondary capture carries a Modality LUT
# Sequence instead of Rescale Slope and Intercept, the stored values go through that table
# (DICOM PS3.3 C.11.1), as pydicom's apply_modality_lut does.
#
# What happens: the sequence is ignored and stored values come back, without a warning, though
# Rescale Slope and Intercept of the same image would have been applied.
#
# Why it matters: digitised film and some CR readers store log or inverse values and repair them
# by this table. With a falling table the image is a negative, bones dark, and no tag that a
# caller would look at says so: Photometric Interpretation is MONOCHROME2 in both cases.
#
# What we do: the Modality LUT is applied in either of its two forms before anything else.
#
# Seen on 2026-12-01 (Linux x86-64, Python 3.11):
#   SimpleITK 2.5.7
#   slope 2, intercept -100: SimpleITK [-100, 100, 3900, 8090], pydicom [-100, 100, 3900, 8090]
#   falling table of 16 bits: SimpleITK [0, 100, 2000, 4095], pydicom [65520, 63920, 33520, 0]
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
import pydicom
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels import apply_modality_lut
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian, generate_uid

stored = [0, 100, 2000, 4095]


def radiograph():
    """A 12-bit CR image of two equal rows."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    ds.StudyInstanceUID, ds.SeriesInstanceUID = generate_uid(), generate_uid()
    ds.Modality, ds.InstanceNumber = 'CR', 1
    ds.Rows, ds.Columns = 2, len(stored)
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, 'MONOCHROME2'
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.PixelData = np.array([stored] * 2, '<u2').tobytes()
    return ds


def read(ds):
    """The first row by SimpleITK and by pydicom."""
    ds.save_as('a.dcm', enforce_file_format=True)
    again = pydicom.dcmread('a.dcm')
    ours = apply_modality_lut(again.pixel_array, again)[0]
    theirs = sitk.GetArrayFromImage(sitk.ReadImage('a.dcm'))[0, 0]
    return [int(value) for value in theirs], [int(value) for value in ours]


print('SimpleITK', sitk.Version.VersionString())
rescaled = radiograph()
rescaled.RescaleSlope, rescaled.RescaleIntercept, rescaled.RescaleType = '2', '-100', 'US'
one = read(rescaled)
print(f'slope 2, intercept -100: SimpleITK {one[0]}, pydicom {one[1]}')

tabled = radiograph()
table = Dataset()
table.add_new('LUTDescriptor', 'US', [4096, 0, 16])
table.ModalityLUTType = 'OD'
table.add_new('LUTData', 'US', [16 * (4095 - at) for at in range(4096)])
tabled.ModalityLUTSequence = [table]
two = read(tabled)
print(f'falling table of 16 bits: SimpleITK {two[0]}, pydicom {two[1]}')
if one[0] != one[1] or two != (stored, [65520, 63920, 33520, 0]):
    sys.exit('The behaviour has changed.')
PYTHON
