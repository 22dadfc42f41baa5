"""Real and odd files, where they are at hand: each opens, or says why not.

Reading runs in a child process, since a malformed stream can abort a native
decoder and would take the test run with it.
"""

import csv
import json
import subprocess
import sys

import pytest

CHILD = """
import csv, json, sys
from pathlib import Path
from napari_cxr import dicom
from napari_cxr.radiograph import UnreadableImage

folder = Path(sys.argv[1])
for row in csv.DictReader((folder / 'manifest.csv').open(encoding='utf-8')):
    found = {'path': row['path']}
    try:
        image = dicom.read(folder / row['path'], secret=b'x' * 32)
        found |= {
            'shape': image.values.shape,
            'inverted': image.inverted,
            'refusal': image.refusal,
            'view': image.geometry.view,
            'limits': image.presets[0].limits,
            'mean': float(image.values.mean()),
            'shown': [float(image.to_display().min()), float(image.to_display().max())],
        }
    except UnreadableImage as error:
        found['error'] = str(error)
    print(json.dumps(found))
"""


def outcomes(folder):
    done = subprocess.run(
        [sys.executable, '-c', CHILD, str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = {row['path']: row for row in map(json.loads, done.stdout.splitlines())}
    with (folder / 'manifest.csv').open(encoding='utf-8') as file:
        expected = list(csv.DictReader(file))
    assert set(found) == {row['path'] for row in expected}
    return found, expected


@pytest.fixture(scope='module')
def odd(cxr_data):
    return outcomes(cxr_data / 'dicom_odd')


@pytest.fixture(scope='module')
def chests(cxr_data):
    return outcomes(cxr_data / 'dicom_cxr')


def test_every_odd_file_is_an_image_or_a_sentence(odd):
    found, _ = odd
    for row in found.values():
        if 'error' in row:
            assert row['error'].endswith('.')
            assert '\n' not in row['error']
        else:
            assert 0 <= row['shown'][0] <= row['shown'][1] <= 1


def test_whatever_pydicom_decodes_opens_in_its_size(odd):
    found, expected = odd
    for row in expected:
        if row['pydicom_decode'].startswith('ok'):
            size = [int(row['rows']), int(row['cols'])]
            shape = found[row['path']]['shape']
            assert size in (shape[-2:], shape[-3:-1]), row['path']


def test_no_image_of_another_modality_goes_unrefused(odd):
    found, expected = odd
    for row in expected:
        if row['modality'] in ('CT', 'MR', 'US', 'NM', 'PT', 'SEG', 'XA'):
            outcome = found[row['path']]
            assert outcome.get('refusal') or outcome.get('error'), row['path']


def test_radiographs_open_as_they_should(chests):
    found, expected = chests
    for row in expected:
        outcome = found[row['path']]
        if row['path'] == '966.dcm':  # its JPEG 2000 stream is damaged
            assert 'damaged' in outcome['error']
            continue
        assert outcome['shape'] == [int(row['rows']), int(row['cols'])]
        assert outcome['refusal'] == ''
        assert outcome['inverted'] is (row['photometric'] == 'MONOCHROME1')
        assert outcome['view'] == (row['view'] or 'unknown')
        if row['window_center']:
            center, width = float(row['window_center']), float(row['window_width'])
            # C.11.2.1.2.1, LINEAR: from c - 0.5 - (w-1)/2 to c - 0.5 + (w-1)/2
            half = (width - 1) / 2
            assert outcome['limits'] == pytest.approx([center - 0.5 - half, center - 0.5 + half])
        else:
            assert outcome['limits'] == pytest.approx([0, 2 ** int(row['bits_stored']) - 1])
