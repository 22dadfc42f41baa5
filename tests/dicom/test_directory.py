"""Which files a DICOMDIR lists, under the names that they got on the way from a disc."""

import pytest
from pydicom import dcmread
from pydicom.config import IGNORE
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from napari_cxr.dicom import directory as module
from napari_cxr.dicom.directory import listed_images
from napari_cxr.radiograph import UnreadableImage
from napari_cxr.workers.decoder_pool import listed_images as listed_in_a_decoder


def record(kind, file_id=None, *, used=0xFFFF, after=0, below=0):
    made = Dataset()
    made.OffsetOfTheNextDirectoryRecord = after
    made.RecordInUseFlag = used
    made.OffsetOfReferencedLowerLevelDirectoryEntity = below
    made.DirectoryRecordType = kind
    if file_id:
        made.add(DataElement('ReferencedFileID', 'CS', file_id, validation_mode=IGNORE))
    return made


def write_directory(folder, records):
    dataset = Dataset()
    dataset.DirectoryRecordSequence = records
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = '1.2.840.10008.1.3.10'
    dataset.file_meta.MediaStorageSOPInstanceUID = '1.2.3'
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.save_as(folder / 'DICOMDIR', enforce_file_format=True)
    return folder / 'DICOMDIR'


@pytest.mark.parametrize(
    'on_disk',
    [
        'CHEST/XR12',
        'chest/xr12',
        'CHEST/xr12',
        'chest/XR12',
        'CHEST/XR12.dcm',
        'Chest/Xr12.DCM',
        'CHEST/XR12.;1',
        'CHEST/XR12;1',
        'chest/xr12.',
        'CHEST/XR12.ima',
    ],
)
@pytest.mark.parametrize('file_id', [['CHEST', 'XR12'], 'CHEST/XR12'])
def test_names_on_disk(tmp_path, on_disk, file_id):
    file = tmp_path / on_disk
    file.parent.mkdir()
    file.touch()
    (file.parent / 'XR123').touch()  # begins alike
    path = write_directory(tmp_path, [record('IMAGE', file_id)])
    (found,) = listed_images(path)
    assert found.samefile(file)


def test_the_exact_name_goes_first(tmp_path):
    for name in ('XR1', 'xr1', 'XR1.dcm', 'XR1.'):
        (tmp_path / name).touch()
    assert listed_images(write_directory(tmp_path, [record('IMAGE', 'XR1')])) == [tmp_path / 'XR1']


def test_a_file_that_is_not_there_is_listed_where_it_should_be(tmp_path):
    path = write_directory(tmp_path, [record('IMAGE', ['CHEST', 'XR12'])])
    assert listed_images(path) == [tmp_path / 'CHEST' / 'XR12']


def test_a_folder_is_listed_once(tmp_path, monkeypatch):
    (tmp_path / 'img').mkdir()
    for n in range(40):
        (tmp_path / 'img' / f'i{n}.dcm').touch()
    records = [record('IMAGE', ['IMG', f'I{n}']) for n in range(40)]
    path = write_directory(tmp_path, records)
    calls = []
    listdir = module.os.listdir
    monkeypatch.setattr(module.os, 'listdir', lambda at: calls.append(at) or listdir(at))
    assert len(listed_images(path)) == 40
    assert len(calls) == 2


def test_records_that_are_not_in_use(tmp_path):
    records = [record('IMAGE', 'A'), record('IMAGE', 'B', used=0), record('IMAGE', 'C')]
    assert [p.name for p in listed_images(write_directory(tmp_path, records))] == ['A', 'C']
    with pytest.raises(UnreadableImage, match='lists no image'):
        listed_images(write_directory(tmp_path, [record('IMAGE', 'B', used=0)]))


def test_what_is_below_a_record_that_is_not_in_use(tmp_path):
    # A patient not in use with two images, then one in use with one; offsets are to items.
    records = [
        record('PATIENT', used=0),
        record('IMAGE', 'A'),
        record('IMAGE', 'B'),
        record('PATIENT'),
        record('IMAGE', 'C'),
    ]
    path = write_directory(tmp_path, records)
    at = [item.seq_item_tell for item in dcmread(path).DirectoryRecordSequence]
    for index, after, below in ((0, 3, 1), (1, 2, None), (3, None, 4)):
        records[index].OffsetOfTheNextDirectoryRecord = 0 if after is None else at[after]
        lower = 0 if below is None else at[below]
        records[index].OffsetOfReferencedLowerLevelDirectoryEntity = lower
    path = write_directory(tmp_path, records)
    assert [item.seq_item_tell for item in dcmread(path).DirectoryRecordSequence] == at
    assert [p.name for p in listed_images(path)] == ['C']


def test_records_in_a_circle_end(tmp_path):
    records = [record('PATIENT', used=0), record('IMAGE', 'A'), record('IMAGE', 'B')]
    path = write_directory(tmp_path, records)
    at = [item.seq_item_tell for item in dcmread(path).DirectoryRecordSequence]
    records[0].OffsetOfReferencedLowerLevelDirectoryEntity = at[1]
    records[1].OffsetOfTheNextDirectoryRecord = at[1]
    records[1].OffsetOfReferencedLowerLevelDirectoryEntity = at[0]
    assert [p.name for p in listed_images(write_directory(tmp_path, records))] == ['B']


@pytest.mark.parametrize(
    'file_id', [['..', 'X'], '/etc/passwd', 'A/../../B', ['C:', 'X'], ['A\\..', 'X']]
)
def test_what_leads_outside_is_refused(tmp_path, file_id):
    path = write_directory(tmp_path, [record('IMAGE', file_id)])
    with pytest.raises(UnreadableImage, match='outside'):
        listed_images(path)


def test_deep_nesting_is_a_sentence(tmp_path):
    path = write_directory(tmp_path, [record('IMAGE', 'A')])
    data = path.read_bytes()
    deep = b'\xfe\xff\x00\xe0\xff\xff\xff\xff\x04\x00\x20\x12SQ\0\0\xff\xff\xff\xff' * 3000
    start = data.index(b'\x04\x00\x20\x12SQ')
    path.write_bytes(data[:start] + b'\x04\x00\x20\x12SQ\0\0\xff\xff\xff\xff' + deep)
    with pytest.raises(UnreadableImage):
        listed_images(path)


def test_it_is_parsed_in_a_decoder(tmp_path, monkeypatch):
    (tmp_path / 'a.dcm').touch()
    path = write_directory(tmp_path, [record('IMAGE', 'A')])
    monkeypatch.setattr(module, 'read_header', lambda path: pytest.fail('was parsed here'))
    assert listed_in_a_decoder(path) == [tmp_path / 'a.dcm']
    with pytest.raises(UnreadableImage, match='no such file'):
        listed_in_a_decoder(tmp_path / 'none')
