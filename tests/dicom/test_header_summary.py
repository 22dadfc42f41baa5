"""What a list of studies reads of a header, and what of it may be kept."""

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from napari_cxr.dicom import header_summary as module
from napari_cxr.dicom import read
from napari_cxr.dicom.header_summary import Identity, read_identity, summarize
from napari_cxr.dicom.headers import quiet
from napari_cxr.radiograph import UnreadableImage
from napari_cxr.samples import write_phantom_dicom

SECRET = bytes(range(32))
PIXELS = np.zeros((20, 16), np.uint16)
DAY = 86_400


def written(path, **attributes):
    attributes = {'SeriesNumber': 4, 'InstanceNumber': 2, **attributes}
    return write_phantom_dicom(path, pixels=PIXELS, attributes=attributes)


def test_what_it_says(tmp_path):
    path = written(tmp_path / 'a', PatientID='7', SeriesDescription='Chest PA soft')
    found = summarize(path, SECRET)
    assert found.modality == 'DX'
    assert found.view == 'PA'
    assert (found.rows, found.columns, found.frames) == (20, 16, 1)
    assert (found.series_number, found.image_number) == (4, 2)
    for text in (found.patient, found.study, found.series, found.instance):
        assert len(text) == 16
        int(text, 16)


def test_it_names_an_image_as_its_layer_does(tmp_path):
    path = written(tmp_path / 'a')
    assert read(path).provenance.pseudonyms['instance'].startswith(summarize(path).instance)


def test_nothing_of_the_identity_is_in_it(tmp_path):
    path = written(
        tmp_path / 'a',
        PatientName='Secret^Name',
        PatientID='SECRET-1',
        StudyDate='19991231',
        SeriesDescription='Secret Name chest',
        Modality='SECRET',
    )
    found = summarize(path, SECRET)
    assert 'secret' not in repr(found).lower()
    assert found.description == ''
    assert found.modality == ''
    assert found.taken // DAY != 730_119  # the ordinal of that day


def test_intervals_stay_right_and_dates_of_two_patients_do_not_compare(tmp_path):
    one, later, other = (
        summarize(written(tmp_path / name, PatientID=who, StudyDate=day, StudyTime='120000'))
        for name, who, day in (
            ('a', '1', '20200228'),
            ('b', '1', '20200301'),  # of a leap year
            ('c', '2', '20200228'),
        )
    )
    assert later.taken - one.taken == 2 * DAY
    assert one.taken % DAY == 12 * 3600
    assert other.taken != one.taken


def test_an_image_without_patient_has_none(tmp_path):
    found = summarize(written(tmp_path / 'a', PatientID=''), SECRET)
    assert found.patient == ''
    assert found.study


@pytest.mark.parametrize(
    'syntax',
    [
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
    ],
)
def test_every_encoding_says_the_same(tmp_path, syntax):
    plain = written(tmp_path / 'plain', PatientID='7')
    read_back, dataset = dcmread(plain), Dataset()
    for element in read_back:
        dataset.add(element)
    dataset.file_meta = read_back.file_meta
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(
        tmp_path / 'other',
        implicit_vr=syntax == ImplicitVRLittleEndian,
        little_endian=syntax != ExplicitVRBigEndian,
        enforce_file_format=True,
    )
    assert summarize(tmp_path / 'other', SECRET) == summarize(plain, SECRET)


def test_the_quick_way_says_what_the_thorough_one_says(cxr_data, monkeypatch):
    files = [path for path in sorted(cxr_data.glob('dicom_*/**/*')) if path.is_file()]
    quick = [said(path) for path in files]
    taken = sum(module._texts_of_start(path.read_bytes()[: 1 << 16]) is not None for path in files)
    assert taken > len(files) // 2  # else nothing is compared
    monkeypatch.setattr(module, '_texts_of_start', lambda start: None)
    assert quick == [said(path) for path in files]


def said(path):
    try:
        with quiet():
            return summarize(path, SECRET)
    except UnreadableImage as error:
        return str(error)


def test_a_view_that_only_a_code_tells(tmp_path):
    dataset = dcmread(written(tmp_path / 'a'))
    del dataset.ViewPosition
    dataset.save_as(tmp_path / 'b')
    assert summarize(tmp_path / 'b', SECRET).view == 'PA'


def test_what_is_wanted_may_stand_behind_a_long_element(tmp_path):
    dataset = dcmread(written(tmp_path / 'a'))
    dataset.private_block(0x0019, 'TEST', create=True).add_new(1, 'OB', bytes(200_000))
    dataset.save_as(tmp_path / 'b')
    assert summarize(tmp_path / 'b', SECRET).rows == 20


@pytest.mark.parametrize('content', [b'', b'\x89PNG\r\n\x1a\n', b'text' * 100])
def test_what_is_not_dicom(tmp_path, content):
    (tmp_path / 'a').write_bytes(content)
    assert summarize(tmp_path / 'a', SECRET) is None
    assert read_identity(tmp_path / 'a') is None


def test_an_object_without_pixels_is_no_image(tmp_path):
    dataset = dcmread(written(tmp_path / 'a'))
    del dataset.Rows, dataset.Columns, dataset.PixelData
    dataset.save_as(tmp_path / 'report')
    assert summarize(tmp_path / 'report', SECRET) is None


def test_whose_it_is(tmp_path):
    path = written(
        tmp_path / 'a',
        PatientName='Müller^Ada',
        SpecificCharacterSet='ISO_IR 192',
        PatientID='77',
        PatientBirthDate='19601231',
        PatientSex='F',
        StudyDate='20240315',
        StudyDescription='Chest two views',
        SeriesDescription='PA',
    )
    assert read_identity(path) == Identity(
        'Müller Ada', '77', '1960-12-31', 'F', '2024-03-15', 'Chest two views', 'PA'
    )


def test_a_missing_file_is_one_sentence(tmp_path):
    with pytest.raises(UnreadableImage, match='could not be opened'):
        summarize(tmp_path / 'none', SECRET)
