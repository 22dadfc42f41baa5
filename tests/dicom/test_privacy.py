"""Pseudonyms, the secret behind them, and that nothing else of a person gets out."""

import json
import os
import stat
import sys
import threading
import warnings

import pydicom
import pytest

from napari_cxr import dicom, image_files, samples
from napari_cxr.dicom import privacy
from napari_cxr.radiograph import UnreadableImage

A, B = b'a' * 32, b'b' * 32


def test_same_patient_same_pseudonym_and_another_key_another(write):
    one = dicom.read(write(PatientID='X1', SOPInstanceUID='1.2.3', name='a'), secret=A)
    two = dicom.read(write(PatientID='X1 ', SOPInstanceUID='1.2.4', name='b'), secret=A)
    other_key = dicom.read(write(PatientID='X1', name='c'), secret=B)
    first, second = one.provenance.pseudonyms, two.provenance.pseudonyms
    assert first['patient'] == second['patient']
    assert first['instance'] != second['instance']
    assert first['patient'] != other_key.provenance.pseudonyms['patient']
    assert set(first) == {'patient', 'study', 'series', 'instance'}


def test_the_issuer_is_part_of_the_key(write):
    ids = {
        dicom.read(write(PatientID='7', IssuerOfPatientID=issuer), secret=A).provenance.pseudonyms[
            'patient'
        ]
        for issuer in (None, 'HOSPITAL A', 'HOSPITAL B')
    }
    assert len(ids) == 3


def test_parts_cannot_be_confused():
    one, two = pydicom.Dataset(), pydicom.Dataset()
    one.IssuerOfPatientID, one.PatientID = 'AB', 'C'
    two.IssuerOfPatientID, two.PatientID = 'A', 'BC'
    names = [privacy.pseudonyms(each, b'', A)['patient'] for each in (one, two)]
    assert names[0] != names[1]


def test_nameless_images_are_not_pooled(write):
    ids = {
        dicom.read(write(PatientID=missing, SOPInstanceUID=uid), secret=A).provenance.pseudonyms[
            'patient'
        ]
        for missing, uid in ((None, '1.2.1'), ('', '1.2.2'), ('  ', '1.2.3'))
    }
    assert len(ids) == 3


def test_without_any_uid_the_pixels_stand_for_the_instance():
    bare = pydicom.Dataset()
    assert privacy.pseudonyms(bare, b'pixels', A) == privacy.pseudonyms(bare, b'pixels', A)
    assert privacy.pseudonyms(bare, b'pixels', A) != privacy.pseudonyms(bare, b'others', A)


def test_the_secret_is_made_once_and_is_readable_by_its_owner_alone(own_secret):
    secret = privacy.user_secret()
    assert len(secret) == 32
    assert own_secret.read_bytes() == secret == privacy.user_secret()
    if sys.platform != 'win32':
        assert stat.S_IMODE(own_secret.stat().st_mode) == 0o600
    assert os.listdir(own_secret.parent) == [own_secret.name]


def test_many_that_start_at_once_agree(own_secret):
    found, start = [], threading.Barrier(8)

    def run():
        start.wait()
        found.append(privacy.user_secret())

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert set(found) == {own_secret.read_bytes()}


def test_a_folder_that_cannot_be_written_gives_a_secret_of_the_process(tmp_path):
    (tmp_path / 'file').write_bytes(b'in the way')
    inside = tmp_path / 'file' / 'pseudonyms.key'
    assert privacy.user_secret(inside) == privacy.user_secret(inside)
    assert len(privacy.user_secret(inside)) == 32


def test_a_damaged_secret_is_neither_used_nor_overwritten(tmp_path):
    path = tmp_path / 'pseudonyms.key'
    path.write_bytes(b'short')
    assert len(privacy.user_secret(path)) == 32
    assert path.read_bytes() == b'short'


MARKERS = {
    'PatientName': 'SECRETNAME^A',
    'PatientID': 'SECRETID',
    'PatientBirthDate': '19510203',
    'AccessionNumber': 'SECRETACC',
    'InstitutionName': 'SECRETHOSPITAL',
    'StudyDescription': 'SECRETSTUDY',
    'ReferringPhysicianName': 'SECRETDOCTOR',
    'StationName': 'SECRETSTATION',
}


def test_nothing_of_the_person_is_in_the_radiograph(write):
    image = dicom.read(write(**MARKERS))
    everything = repr(image.provenance) + repr(image.notes) + repr(image.presets)
    assert 'SECRET' not in everything
    assert '19510203' not in everything


def test_the_description_holds_no_uid_and_no_pseudonym(write):
    image = dicom.read(write(**MARKERS))
    text = json.dumps(image_files.describe(image))
    assert 'SECRET' not in text
    for hidden in (*image.provenance.uids.values(), *image.provenance.pseudonyms.values()):
        assert hidden not in text


def test_values_in_warnings_of_pydicom_are_not_shown(write, capfd, caplog, recwarn):
    path = write(StudyDate='20010203')
    path.write_bytes(path.read_bytes().replace(b'20010203', b'SECRET!!'))
    with caplog.at_level(0):
        assert dicom.read(path).values.shape == (8, 8)
    captured = capfd.readouterr()
    assert 'SECRET' not in captured.out + captured.err + caplog.text
    assert not any('SECRET' in str(warning.message) for warning in recwarn.list)


def test_free_text_of_windows_and_codes_is_not_passed_on(tmp_path):
    from napari_cxr import image_files, samples

    path = tmp_path / 'a.dcm'
    samples.write_phantom_dicom(
        path,
        shape=(40, 32),
        attributes={
            'WindowCenter': [100, 200],
            'WindowWidth': [50, 60],
            'WindowCenterWidthExplanation': ['DOE JANE 19470102', 'NORMAL'],
            'Modality': 'DOEJANE',
            'BodyPartExamined': 'DOE JANE',
        },
    )
    radiograph = image_files.read(path)
    assert 'DOE' not in str(image_files.describe(radiograph)) + repr(
        radiograph.provenance.modality
    )
    assert [preset.explanation for preset in radiograph.presets] == ['', 'NORMAL']


@pytest.mark.parametrize(
    ('given', 'kept'),
    [
        ('WINDOW1', 'WINDOW1'),
        ('Lung / soft 2', 'Lung / soft 2'),
        ('Doe', ''),
        ('1947', ''),
        ('', ''),
    ],
)
def test_names_of_windows(given, kept):
    assert privacy.window_name(given) == kept


#: Elements whose value decides whether and how an image is read, and so may end in an error.
DECIDING = {
    'PhotometricInterpretation': 'ZQXK MARKER',
    'Modality': 'ZQXK',
    'SOPClassUID': '1.2.826.0.1.3680043.9.99.1234567',
    'PresentationLUTShape': 'ZQXK MARKER',
    'PixelIntensityRelationship': 'ZQXK',
    'ViewPosition': 'ZQXK',
    'PatientOrientation': ['ZQXK', 'MARKER'],
    'BodyPartExamined': 'ZQXK MARKER',
    'PresentationIntentType': 'ZQXK MARKER',
    'SpecificCharacterSet': 'ZQXK MARKER',
    'ConversionType': 'ZQXK',
    'ShutterShape': 'ZQXK',
    'VOILUTFunction': 'ZQXK',
    'RescaleType': 'ZQXK',
    'LossyImageCompression': 'ZQXK',
    'WindowCenterWidthExplanation': 'ZQXK',
}


@pytest.mark.parametrize('without_pixels', [False, True])
@pytest.mark.parametrize('keyword', [*DECIDING, 'TransferSyntaxUID'])
def test_no_value_of_a_header_is_quoted(tmp_path, keyword, without_pixels):
    path = tmp_path / 'a.dcm'
    samples.write_phantom_dicom(path, shape=(64, 64))
    dataset = pydicom.dcmread(path)
    if without_pixels:
        del dataset.PixelData
    if keyword == 'TransferSyntaxUID':
        # Bytes are replaced, because pydicom would not write what it does not know.
        planted = '1.2.826.0.1.36.1'
        dataset.save_as(path)
        content = path.read_bytes()
        uid = dataset.file_meta.TransferSyntaxUID.encode()
        assert content.count(uid) == 1
        path.write_bytes(content.replace(uid, planted.encode().ljust(len(uid), b'1')[: len(uid)]))
    else:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            setattr(dataset, keyword, DECIDING[keyword])
            dataset.save_as(path)
    try:
        radiograph = dicom.read(path)
    except UnreadableImage as error:
        said = str(error)
    else:
        said = ' '.join([radiograph.refusal, *radiograph.notes])
    for planted in ('ZQXK', 'MARKER', '1.2.826.0.1'):
        assert planted not in said


def test_a_pipe_in_the_place_of_the_secret_stops_nothing(tmp_path):
    pytest.importorskip('fcntl')
    os.mkfifo(tmp_path / 'secret')
    one, two = (privacy.user_secret(tmp_path / 'secret') for _ in range(2))
    assert one == two and len(one) == 32
