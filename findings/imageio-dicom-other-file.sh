#!/usr/bin/env bash
# imageio 2.38.1 (its own DICOM plugin), files made by pydicom 3.0.2
#
# Expected: imread(path) returns the pixels of that path.
#
# What happens: the plugin searches the folder of the file and all folders below, sorts what it
# finds into series and returns the first series. Three radiographs of three people in one
# folder: whichever of them is named, the picture is the same one. Nothing is raised, and what
# is returned says no word of it.
#
# Why it matters: napari 0.9.2 opens *.dcm through imageio.v3.imread, so without a DICOM plugin of
# its own it shows another patient's radiograph under the name of the file that was clicked. A
# folder of one-image studies is just how chest radiographs are exported.
#
# What we do: our reader claims DICOM files and opens each by its own path; what it cannot show it
# says, and does not hand on. In a script, name it: viewer.open(path, plugin='napari-cxr').
#
# Seen on 2026-11-30 (Linux x86-64, Python 3.11):
#   imageio 2.38.1
#   stored [[100], [200], [300]], read [[100], [100], [100]]
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


for number in (1, 2, 3):
    pixels = np.full((4, 5), 100 * number, np.uint16)
    ds = radiograph(
        pixels,
        12,
        PatientID=f'P{number}',
        StudyInstanceUID=f'1.2.3.{number}',
        SeriesInstanceUID=f'1.2.3.{number}.1',
    )
    ds.save_as(f'IM{number}.dcm', enforce_file_format=True)
shown = [np.unique(iio.imread(f'IM{number}.dcm')).tolist() for number in (1, 2, 3)]
print('imageio', imageio.__version__)
print('stored [[100], [200], [300]], read', shown)
if not shown[0] == shown[1] == shown[2]:
    sys.exit('The behaviour has changed.')
PYTHON
