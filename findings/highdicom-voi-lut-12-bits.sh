#!/usr/bin/env bash
# highdicom 0.28.2, files made by pydicom 3.0.2
#
# Expected: a VOI LUT may have entries of 8 to 16 bits (DICOM PS3.3 C.11.2.1.1), 10 and 12 being
# what the displays of digital radiography call for; Image.get_frame(apply_voi_transform=True)
# applies it.
#
# What happens: only 8 and 16 bits are known to it. With any other number the call raises
# "RuntimeError: Invalid LUT descriptor.", though the file is valid and its table holds 16-bit words
# as the standard asks.
#
# Why it matters: a loop over a folder of DX images "for presentation" stops at devices that send
# their curve as a 12-bit table, or, where errors are caught, leaves these out: a device or hospital
# less in the data.
#
# What we do: the third value of the descriptor gives the range of the output, from 8 to 16.
#
# Seen on 2026-12-01 (Linux x86-64, Python 3.11):
#   highdicom 0.28.2
#   10 bits: RuntimeError: Invalid LUT descriptor.
#   12 bits: RuntimeError: Invalid LUT descriptor.
#   14 bits: RuntimeError: Invalid LUT descriptor.
#   16 bits: 0 to 1
#   12 bits by pydicom: 0 to 4080
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    'highdicom==0.28.2' 'pydicom==3.0.2' 'numpy==2.4.6'
cd "$work"
"$work/venv/bin/python" -W ignore - <<'PYTHON'
import sys

import highdicom
import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels import apply_voi_lut
from pydicom.uid import (
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    generate_uid,
)


def radiograph(bits):
    """A 12-bit DX image with a VOI LUT of 256 entries from stored value 1000 on."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = DigitalXRayImageStorageForPresentation
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    ds.StudyInstanceUID, ds.SeriesInstanceUID = generate_uid(), generate_uid()
    ds.Modality, ds.SeriesNumber, ds.InstanceNumber = 'DX', 1, 1
    for name in ('PatientName', 'PatientID', 'PatientBirthDate', 'PatientSex', 'StudyDate'):
        setattr(ds, name, '')
    for name in ('StudyTime', 'StudyID', 'AccessionNumber', 'ReferringPhysicianName'):
        setattr(ds, name, '')
    ds.Manufacturer = ''
    ds.Rows = ds.Columns = 8
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, 'MONOCHROME2'
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.PresentationLUTShape = 'IDENTITY'
    table = Dataset()
    table.add_new('LUTDescriptor', 'US', [256, 1000, bits])
    table.add_new('LUTData', 'US', [at * 2 ** (bits - 8) for at in range(256)])
    ds.VOILUTSequence = [table]
    ds.PixelData = (np.arange(64) * 50).astype('<u2').tobytes()
    return ds


print('highdicom', highdicom.__version__)
seen = {}
for bits in (10, 12, 14, 16):
    radiograph(bits).save_as(f'{bits}.dcm', enforce_file_format=True)
    try:
        frame = highdicom.imread(f'{bits}.dcm').get_frame(1, apply_voi_transform=True)
        seen[bits] = f'{frame.min():g} to {frame.max():g}'
    except RuntimeError as error:
        seen[bits] = f'RuntimeError: {error}'
    print(f'{bits} bits: {seen[bits]}')
again = pydicom.dcmread('12.dcm')
values = apply_voi_lut(again.pixel_array, again)
print(f'12 bits by pydicom: {values.min()} to {values.max()}')
refused = 'RuntimeError: Invalid LUT descriptor.'
if any(seen[bits] != refused for bits in (10, 12, 14)) or seen[16] != '0 to 1':
    sys.exit('The behaviour has changed.')
PYTHON
