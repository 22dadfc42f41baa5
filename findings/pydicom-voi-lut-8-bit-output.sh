#!/usr/bin/env bash
# pydicom 3.0.2 (numpy 2.4.6)
#
# Expected: a VOI LUT that maps 512 input values to 8-bit output maps each input by its own entry.
#
# What happens: apply_voi holds the index into the table in the type of the table's output. With
# 8-bit output an index above 255 loses its upper bits, so input 300 takes entry 44. The result
# has the right type and range and no warning is given.
#
# Why it matters: a VOI LUT may have from 8 to 16 bits of output, whatever the depth of its input
# (PS3.3 C.11.2.1.1). Everything brighter than entry 255 is folded back into the dark, again and
# again: the radiograph is shown as bands, and a network is fed with them.
#
# What we do: we build the display table ourselves, in a type that holds every index.
#
# Seen on 2026-11-30 (Linux x86-64, Python 3.11):
#   pydicom 3.0.2
#   input         [0, 2, 255, 256, 300, 511]
#   by hand       [0, 1, 127, 128, 150, 255]
#   8-bit output  [0, 1, 127, 0, 22, 127]
#   10-bit output [0, 1, 127, 128, 150, 255]
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
from pydicom.pixels import apply_voi


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


inputs = np.array([[0, 2, 255, 256, 300, 511]], np.uint16)
table = np.arange(512) // 2
ds = radiograph(inputs, 9)
item = Dataset()
item.add_new('LUTDescriptor', 'US', [512, 0, 8])
item.add_new('LUTData', 'OW', table.astype('<u2').tobytes())
ds.VOILUTSequence = [item]
narrow = apply_voi(inputs, ds)
item['LUTDescriptor'].value = [512, 0, 10]  # the same entries, said to have 10 bits
wide = apply_voi(inputs, ds)
print('pydicom', pydicom.__version__)
print('input        ', inputs[0].tolist())
print('by hand      ', table[inputs[0]].tolist())
print('8-bit output ', narrow[0].tolist())
print('10-bit output', wide[0].tolist())
if narrow[0].tolist() != [0, 1, 127, 0, 22, 127] or wide[0].tolist() != table[inputs[0]].tolist():
    sys.exit('The behaviour has changed.')
PYTHON
