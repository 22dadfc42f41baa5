#!/usr/bin/env bash
# SimpleITK 2.5.7, files made by pydicom 3.0.2
#
# Expected: GetSpacing is Pixel Spacing where a radiograph has it. For CR and DX, DICOM keeps
# Imager Pixel Spacing for distances at the detector, and Pixel Spacing for the value that was
# corrected or calibrated (PS3.3 10.7.1).
#
# What happens: for CR and DX, Pixel Spacing is not read at all. Alone it gives a spacing of 1 mm
# without a word; beside Imager Pixel Spacing the detector's value wins, though the file says that
# it was calibrated with an object of known size.
#
# Why it matters: a heart of 1,200 pixels, which is 144 mm, is 1,200 mm wide in the first case and
# 173 mm in the second. Plugins built on ITK inherit it. A ratio survives; a length, an area, or a
# resampling to a fixed pixel size does not.
#
# What we do: the spacing is taken from the header by us, calibrated values first, and where it
# came from is shown; no spacing means pixels, never 1 mm.
#
# Seen on 2026-11-30 (Linux x86-64, Python 3.11):
#   SimpleITK 2.5.7
#   DX {'ImagerPixelSpacing': "['0.144', '0.144']"} read 0.144
#   DX {'PixelSpacing': "['0.12', '0.12']", 'PixelSpacingCalibrationType': 'FIDUCIAL'} read 1.0
#   DX {'PixelSpacing': "['0.12', '0.12']", 'PixelSpacingCalibrationType': 'FIDUCIAL',
#     'ImagerPixelSpacing': "['0.144', '0.144']"} read 0.144
#   CR {'ImagerPixelSpacing': "['0.144', '0.144']"} read 0.144
#   CR {'PixelSpacing': "['0.12', '0.12']", 'PixelSpacingCalibrationType': 'FIDUCIAL'} read 1.0
#   CR {'PixelSpacing': "['0.12', '0.12']", 'PixelSpacingCalibrationType': 'FIDUCIAL',
#     'ImagerPixelSpacing': "['0.144', '0.144']"} read 0.144
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


print('SimpleITK', sitk.Version.VersionString())
calibrated = {'PixelSpacing': ['0.12', '0.12'], 'PixelSpacingCalibrationType': 'FIDUCIAL'}
detector = {'ImagerPixelSpacing': ['0.144', '0.144']}
kinds = {'DX': '1.2.840.10008.5.1.4.1.1.1.1', 'CR': '1.2.840.10008.5.1.4.1.1.1'}
seen = []
for modality, sop_class in kinds.items():
    for spacing in (detector, calibrated, calibrated | detector):
        ds = radiograph(np.zeros((4, 4), np.uint16), 12, **spacing)
        ds.Modality = modality
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = sop_class
        ds.save_as('a.dcm', enforce_file_format=True)
        seen.append(round(sitk.ReadImage('a.dcm').GetSpacing()[0], 6))
        print(modality, {k: str(v) for k, v in spacing.items()}, 'read', seen[-1])
if seen != [0.144, 1.0, 0.144] * 2:
    sys.exit('The behaviour has changed.')
PYTHON
