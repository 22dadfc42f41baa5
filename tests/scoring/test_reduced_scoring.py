"""JPEG 2000 in a folder run: decoded in part, said in the table, the same in every way."""

import csv
import json

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import JPEG2000Lossless

from napari_cxr import image_files
from napari_cxr.samples import write_phantom_dicom
from napari_cxr.scoring import ScoringError, ScoringSettings, list_items, prepare_here, score
from napari_cxr.scoring.journal import journal_of
from napari_cxr.scoring.table_reader import read_rows


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A radiograph of 800 x 640 in JPEG 2000, and the same without compression."""
    root = tmp_path_factory.mktemp('two')
    plain = write_phantom_dicom(root / 'plain.dcm', shape=(800, 640), seed=2)
    dataset = dcmread(plain)
    dataset.compress(JPEG2000Lossless, generate_instance_uid=False)
    dataset.save_as(root / 'wavelet.dcm')
    return root


def scored(folder, classifier, out, **settings):
    items = list_items([folder], None)
    resume = settings.pop('resume', False)
    how = ScoringSettings(**settings)
    list(score(items, classifier, out, prepare_here, how, resume=resume))
    with out.open(newline='') as file:
        return {row['path'].rpartition('/')[2]: row for row in csv.DictReader(file)}


def test_the_table_says_how_each_file_was_decoded(folder, classifier, tmp_path):
    fast = scored(folder, classifier, tmp_path / 'fast.csv')
    full = scored(folder, classifier, tmp_path / 'full.csv', full_resolution=True)
    assert {name: row['decoded'] for name, row in fast.items()} == {
        'plain.dcm': '1',
        'wavelet.dcm': '1/2',
    }
    assert {row['decoded'] for row in full.values()} == {'1'}
    for column in (name for name in full['plain.dcm'] if name.startswith('p_')):
        assert full['plain.dcm'][column] == full['wavelet.dcm'][column]
        a, b = (float(rows['wavelet.dcm'][column]) for rows in (fast, full))
        assert 0 < abs(a - b) < 0.02
    # And a reader of the table finds it again.
    assert [row.decoded for row in read_rows(tmp_path / 'fast.csv')[1]] == ['1', '1/2']


def test_predict_and_explain_give_the_same_probabilities(folder, classifier, tmp_path):
    rows = scored(folder, classifier, tmp_path / 'one.csv')
    path = folder / 'wavelet.dcm'
    radiograph = image_files.read(path, classifier.preprocessing.least_decoded)
    predicted = classifier.predict([radiograph])[0]
    explained, heatmaps = classifier.explain(radiograph)
    whole, whole_maps = classifier.explain(image_files.read(path))
    assert (predicted.decoded, explained.decoded, whole.decoded) == ('1/2', '1/2', '1')
    for label, p, q in zip(
        predicted.labels, predicted.probabilities, explained.probabilities, strict=True
    ):
        assert p == pytest.approx(float(rows['wavelet.dcm'][f'p_{label}']), abs=1e-6)
        assert q == pytest.approx(p, abs=1e-6)
    for one, other in zip(heatmaps, whole_maps, strict=True):
        np.testing.assert_array_equal(one.to_radiograph, other.to_radiograph)
        assert one.input_bounds == other.input_bounds


def test_a_run_keeps_its_way_of_decoding(folder, classifier, tmp_path):
    out = tmp_path / 'begun.csv'
    events = score(
        list_items([folder], None), classifier, out, prepare_here, ScoringSettings(batch=1)
    )
    for event in events:
        if type(event).__name__ == 'RowScored':
            break
    events.close()
    with pytest.raises(ScoringError, match='another choice of full resolution'):
        scored(folder, classifier, out, batch=1, resume=True, full_resolution=True)
    rows = scored(folder, classifier, out, batch=1, resume=True)
    assert rows['wavelet.dcm']['decoded'] == '1/2'


def test_a_run_from_before_goes_on_in_full(folder, classifier, tmp_path):
    """Its journal says nothing of decoding, since all files were decoded in full."""
    from napari_cxr.scoring.append_log import decode_line, encode_line

    out = tmp_path / 'old.csv'
    events = score(
        list_items([folder], None), classifier, out, prepare_here, ScoringSettings(batch=1)
    )
    next(event for event in events if type(event).__name__ == 'RowScored')
    events.close()
    first = journal_of(out).read_bytes().partition(b'\n')[0]
    header = json.loads(decode_line(first + b'\n'))
    assert header.pop('decoded') is True and header.pop('full_resolution') is False
    journal_of(out).write_bytes(encode_line(json.dumps(header, separators=(',', ':'))))
    rows = scored(folder, classifier, out, batch=1, resume=True)
    assert 'decoded' not in rows['wavelet.dcm']
    # So does its table, for files that are new.
    plain = rows['plain.dcm']['path']
    lines = out.read_text().splitlines(keepends=True)
    out.write_text(''.join(line for line in lines if 'wavelet' not in line))
    again = scored(folder, classifier, out, batch=1, resume=True)
    assert 'decoded' not in again['wavelet.dcm'] and again['plain.dcm']['path'] == plain
    probability = next(name for name in again['plain.dcm'] if name.startswith('p_'))
    assert again['plain.dcm'][probability] == again['wavelet.dcm'][probability]


def test_lungs_picture_and_shape_are_of_the_whole_image(folder, classifier):
    from napari_cxr.scoring.image_preparation import PrepareOptions, prepare_image

    options = {'lungs': True, 'picture': True}
    full, fast = (
        prepare_image(
            folder / 'wavelet.dcm',
            PrepareOptions(classifier.preprocessing, full_resolution=whole, **options),
        )
        for whole in (True, False)
    )
    assert (full.decoded, fast.decoded) == ('1', '1/2')
    assert full.shape == fast.shape == (800, 640)
    np.testing.assert_array_equal(full.to_radiograph, fast.to_radiograph)
    assert full.picture is not None and fast.picture is not None
    assert full.picture.shape == fast.picture.shape
    difference = np.abs(full.picture.astype(int) - fast.picture)
    assert difference.mean() < 2
    assert full.lungs is not None and fast.lungs is not None
    assert fast.lungs.shape == (800, 640)
    same = full.lungs.labels() == fast.lungs.labels()
    assert same.mean() > 0.995
    assert [w.code for w in full.warnings] == [w.code for w in fast.warnings]
