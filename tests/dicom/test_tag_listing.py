"""The table of a header: what it shows, and what it keeps to itself."""

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.config import IGNORE
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from napari_cxr.dicom.tag_listing import HIDDEN, list_tags
from napari_cxr.radiograph import UnreadableImage
from napari_cxr.samples import write_phantom_dicom

SECRETS = {
    'PatientName': 'Secret^Ada',
    'PatientID': 'SECRET-1',
    'PatientBirthDate': '19700102',
    'PatientSex': 'F',
    'AccessionNumber': 'SECRET-2',
    'StudyDescription': 'Secret wish',
    'InstitutionName': 'Secret Hospital',
    'StudyDate': '19991231',
    'StudyTime': '235959',
    'StationName': 'SECRET-ROOM',
    'ImageComments': 'Secret comment',
    'SOPInstanceUID': '1.2.3.4711',
    'WindowCenterWidthExplanation': 'Secret window',
}


@pytest.fixture
def path(tmp_path):
    path = write_phantom_dicom(
        tmp_path / 'a', pixels=np.zeros((8, 8), np.uint16), attributes=SECRETS
    )
    dataset = dcmread(path)
    dataset.add(DataElement('BodyPartExamined', 'CS', 'Secret chest', validation_mode=IGNORE))
    block = dataset.private_block(0x0019, 'ACME', create=True)
    block.add_new(1, 'LO', 'Secret setting')
    block.add_new(2, 'SQ', [Dataset()])
    block[2].value[0].PatientID = 'SECRET-3'
    block[2].value[0].InstanceNumber = 4712
    person = Dataset()
    person.CodeValue, person.CodeMeaning = 'SECRET-4', 'Secret physician'
    reader = Dataset()
    reader.PersonIdentificationCodeSequence = [person]
    dataset.OperatorIdentificationSequence = [reader]
    dataset.save_as(path)
    return path


def values(rows):
    return {row.name: row.value for row in rows}


def test_what_is_technical_is_shown(path):
    found = values(list_tags(path))
    assert found['Rows'] == '8'
    assert found['Modality'] == 'DX'
    assert found['Photometric Interpretation'] == 'MONOCHROME2'
    assert found['Manufacturer'] == 'napari-cxr'
    assert found['Imager Pixel Spacing'] == '0.4\\0.4'
    assert found['SOP Class UID'].endswith('(Digital X-Ray Image Storage - For Presentation)')
    assert found['Pixel Data'] == '128 bytes'


def test_nothing_of_the_identity_is_shown(path):
    rows = list_tags(path)
    text = ' '.join(row.value for row in rows).lower()
    for secret in ('secret', '1970', '1999', '235959', '4711', '4712'):
        assert secret not in text
    assert values(rows)["Patient's Name"] == HIDDEN
    assert values(rows)["Patient's Sex"] == HIDDEN
    assert all(row.hidden == (row.value == HIDDEN) for row in rows)


def test_all_of_it_is_shown_when_asked_for(path):
    rows = list_tags(path, identity=True)
    found = values(rows)
    assert found["Patient's Name"] == 'Secret^Ada'
    assert found['Station Name'] == 'SECRET-ROOM'
    assert 'Secret setting' in [row.value for row in rows if row.private]
    assert not any(row.hidden for row in rows)


def test_sequences_and_their_items(path):
    rows = list_tags(path)
    at = next(i for i, row in enumerate(rows) if row.name == 'Anatomic Region Sequence')
    assert rows[at].value == '1 item'
    assert [(row.depth, row.name, row.value) for row in rows[at + 1 : at + 4]] == [
        (1, 'Code Value', '51185008'),
        (1, 'Coding Scheme Designator', 'SCT'),
        (1, 'Code Meaning', 'Thorax'),
    ]


def test_a_broken_value_is_a_row(path):
    content = path.read_bytes()
    at = content.index(b'\x28\x00\x10\x00US\x02\x00')  # Rows
    path.write_bytes(content[: at + 4] + b'FD' + content[at + 6 :])
    assert any('cannot be read' in row.value for row in list_tags(path))


def test_what_is_not_dicom_is_refused(tmp_path):
    (tmp_path / 'a').write_text('nothing')
    with pytest.raises(UnreadableImage):
        list_tags(tmp_path / 'a')


def test_every_file_can_be_listed(cxr_data):
    refused = listed = 0
    for path in sorted((cxr_data / 'dicom_odd' / 'pydicom').rglob('*.dcm')):
        try:
            rows = list_tags(path)
        except UnreadableImage:
            refused += 1
            continue
        listed += 1
        assert all(isinstance(row.value, str) for row in rows)
    assert listed > 5 * refused
