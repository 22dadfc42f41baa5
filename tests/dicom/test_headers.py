"""Files that are DICOM, are not, are cut, or bite."""

import contextlib
import io
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian, RLELossless

from napari_cxr import dicom
from napari_cxr.decoding_memory import NotEnoughMemory, granted
from napari_cxr.dicom import headers, recognise
from napari_cxr.dicom.pixels import is_lossy
from napari_cxr.radiograph import UnreadableImage


def headless(path):
    """Cut preamble and file meta information off."""
    data = path.read_bytes()
    length = struct.unpack_from('<I', data, 140)[0]
    path.write_bytes(data[144 + length :])
    return path


@pytest.mark.parametrize(
    'syntax', ['1.2.840.10008.1.2.1', ImplicitVRLittleEndian, ExplicitVRBigEndian]
)
def test_without_preamble_and_meta(write, syntax):
    path = write(transfer_syntax=syntax)
    values = dicom.read(path).values
    path = headless(path)
    assert dicom.is_dicom(path)
    image = dicom.read(path)
    np.testing.assert_array_equal(image.values, values)
    assert image.provenance.transfer_syntax


def test_what_is_cut_off_within_its_compressed_pixels_is_called_so(write):
    path = write(np.arange(4096, dtype=np.uint16).reshape(64, 64), transfer_syntax=RLELossless)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(UnreadableImage, match='was cut off'):
        dicom.read(path)


def test_content_decides_not_the_name(write, tmp_path):
    path = write(name='IM0001')
    assert dicom.is_dicom(path)
    for name, content in {
        'text.dcm': b'DICM is only four letters here, and there is no preamble before them.',
        'empty.dcm': b'',
        'short.dcm': b'\x08\0',
        'zeros.dcm': bytes(2000),
        'random.dcm': np.random.default_rng(0).bytes(4000),
        'png.dcm': b'\x89PNG\r\n\x1a\n' + bytes(300),
    }.items():
        (tmp_path / name).write_bytes(content)
        assert not dicom.is_dicom(tmp_path / name)
        with pytest.raises(UnreadableImage):
            dicom.read(tmp_path / name)
    assert not dicom.is_dicom(tmp_path)
    assert not dicom.is_dicom(tmp_path / 'nothing')


@pytest.mark.parametrize(
    ('content', 'says'),
    [
        (b'<!DOCTYPE html><html><body>404</body></html>' + b' ' * 300, 'web page'),
        (b'\n\n<html lang="en">' + b' ' * 300, 'web page'),
        (b'', 'empty'),
        (b'%PDF-1.7' + b' ' * 300, 'PDF'),
        (b'PK\x03\x04' + bytes(300), 'ZIP'),
        (b'hello' * 100, 'not DICOM, PNG'),
        (bytes(128) + b'DICM', 'nothing after'),
    ],
)
def test_what_is_no_dicom_is_named(tmp_path, content, says):
    path = tmp_path / 'image.dcm'
    path.write_bytes(content)
    with pytest.raises(UnreadableImage, match=says):
        dicom.read(path)


def test_missing_file(tmp_path):
    with pytest.raises(UnreadableImage, match='no such file'):
        dicom.read(tmp_path / 'none.dcm')


def test_every_truncation_is_an_error_or_an_image(write):
    path = write()
    data = path.read_bytes()
    for length in range(0, len(data), 37):
        path.write_bytes(data[:length])
        with pytest.raises(UnreadableImage):
            dicom.read(path)


def test_mutations_never_raise_anything_else(write):
    path = write()
    data = path.read_bytes()
    rng = np.random.default_rng(0)
    opened = 0
    for _ in range(300):
        changed = bytearray(data)
        for place in rng.integers(128, len(data), 4):
            changed[place] = rng.integers(256)
        path.write_bytes(changed)
        with contextlib.suppress(UnreadableImage):
            opened += dicom.read(path).values.size > 0
    assert 0 < opened < 300


def test_deflated_bomb_is_stopped_on_the_way(write, monkeypatch):
    path = write(transfer_syntax='1.2.840.10008.1.2.1.99')
    data = path.read_bytes()
    start = 144 + struct.unpack_from('<I', data, 140)[0]
    packer = zlib.compressobj(wbits=-15)
    bomb = packer.compress(bytes(1 << 26)) + packer.flush()
    path.write_bytes(data[:start] + bomb)
    monkeypatch.setattr(headers, 'MAX_DATASET_BYTES', 1 << 22)
    largest = 0
    real = zlib.decompressobj

    class Watched:
        def __init__(self, *args):
            self.inner, self.total = real(*args), 0

        def __getattr__(self, name):
            return getattr(self.inner, name)

        def decompress(self, *args):
            nonlocal largest
            part = self.inner.decompress(*args)
            self.total += len(part)
            largest = max(largest, self.total)
            return part

    monkeypatch.setattr(headers.zlib, 'decompressobj', Watched)
    with pytest.raises(UnreadableImage, match='unpacks to far more'):
        dicom.read(path)
    assert largest <= (1 << 22) + (1 << 20)  # one portion beyond the limit, of 64 MiB


def test_a_deflated_file_is_measured_before_it_is_kept(write, monkeypatch):
    """64 MiB in 64 KiB of which a file may take 40: not one byte of it is kept."""
    path = write(transfer_syntax='1.2.840.10008.1.2.1.99')
    data = path.read_bytes()
    start = 144 + struct.unpack_from('<I', data, 140)[0]
    packer = zlib.compressobj(wbits=-15)
    path.write_bytes(data[:start] + packer.compress(bytes(1 << 26)) + packer.flush())
    tracemalloc.start()
    try:
        with granted(40 << 20), pytest.raises(NotEnoughMemory) as caught:
            dicom.read(path)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 8 << 20
    assert caught.value.needed > 2 * (1 << 26), 'as it is inflated, and once more as it is parsed'


def test_a_file_larger_than_its_memory_is_not_read(write, monkeypatch):
    path = write(np.zeros((1024, 1024), np.uint16))
    monkeypatch.setattr(headers, '_parse', lambda source: pytest.fail('it was read'))
    with granted(33 << 20), pytest.raises(NotEnoughMemory):
        dicom.read(path)


def test_no_memory_is_not_called_damage(write, monkeypatch):
    def parse(source, **options):
        raise MemoryError

    monkeypatch.setattr(headers, 'dcmread', parse)
    with pytest.raises(UnreadableImage, match='not enough memory'):
        dicom.read(write())


def test_damaged_deflate_stream(write):
    path = write(transfer_syntax='1.2.840.10008.1.2.1.99')
    data = bytearray(path.read_bytes())
    data[-200:] = b'\xff' * 200
    path.write_bytes(data)
    with pytest.raises(UnreadableImage):
        dicom.read(path)


def test_deep_nesting_is_an_error_not_a_crash(write):
    path = write()
    start = struct.pack('<HH2sHI', 0x0040, 0xA730, b'SQ', 0, 0xFFFFFFFF)
    start += struct.pack('<HHI', 0xFFFE, 0xE000, 0xFFFFFFFF)
    end = struct.pack('<HHI', 0xFFFE, 0xE00D, 0) + struct.pack('<HHI', 0xFFFE, 0xE0DD, 0)
    path.write_bytes(path.read_bytes() + start * 5000 + end * 5000)
    with pytest.raises(UnreadableImage, match='nested too deeply'):
        dicom.read(path)


def test_file_beyond_the_limit(write, monkeypatch):
    monkeypatch.setattr(headers, 'MAX_DATASET_BYTES', 100)
    with pytest.raises(UnreadableImage, match='too large'):
        dicom.read(write())


def test_dicomdir_is_told_apart(write):
    index = write(name='DICOMDIR', PixelData=None, DirectoryRecordSequence=[Dataset()])
    data = index.read_bytes()
    stated = b'1.2.840.10008.5.1.4.1.1.1.1\0'
    # Media Storage Directory Storage, padded to the length of the class it replaces.
    index.write_bytes(data.replace(stated, b'1.2.840.10008.1.3.10'.ljust(len(stated), b'\0')))
    assert dicom.is_dicom(index)
    assert dicom.is_directory(index)
    assert not dicom.is_directory(write(name='two.dcm'))
    with pytest.raises(UnreadableImage, match='DICOMDIR'):
        dicom.read(index)


@pytest.mark.parametrize(
    ('elements', 'says'),
    [
        ({'Modality': 'SR'}, 'structured report'),
        ({'Modality': 'PR'}, 'presentation state'),
        ({'EncapsulatedDocument': b'%PDF'}, 'document'),
        (
            {'SOPClassUID': '1.2.840.10008.5.1.4.1.1.481.5', 'Rows': None},
            r'contains no image; it is of the kind “RT Plan”\.$',
        ),
        ({'SOPClassUID': '1.2.3.4', 'Rows': None}, 'no image'),
        ({}, 'no pixel data'),
    ],
)
def test_objects_without_an_image_are_named(write, elements, says):
    path = write(PixelData=None, **elements)
    with pytest.raises(UnreadableImage, match=says):
        dicom.read(path)


def test_messages_are_one_sentence_without_the_path(tmp_path):
    path = tmp_path / 'SECRETNAME.dcm'
    path.write_bytes(b'x' * 500)
    with pytest.raises(UnreadableImage) as error:
        dicom.read(path)
    message = str(error.value)
    assert message.endswith('.')
    assert '\n' not in message
    assert 'SECRET' not in message


def test_meta_group_is_walked_whatever_its_encoding(write):
    path = write()
    with path.open('rb') as file:
        meta, start = recognise.file_meta(file)
        file.seek(start)
        assert struct.unpack('<H', file.read(2))[0] == 0x0008
    assert recognise.meta_uid(meta, 0x0010) == '1.2.840.10008.1.2.1'


def test_recognising_reads_little_of_a_file_meta_that_does_not_end(tmp_path, monkeypatch):
    path = tmp_path / 'endless.dcm'
    empty = struct.pack('<HH2sH', 0x0002, 0x0013, b'SH', 0)
    path.write_bytes(bytes(128) + b'DICM' + 20_000 * empty)
    read = []

    class Counting(io.FileIO):
        def read(self, size=-1):
            read.append(super().read(size))
            return read[-1]

    monkeypatch.setattr(Path, 'open', lambda self, *_, **__: Counting(self))
    assert not recognise.is_directory(path)
    assert recognise.is_dicom(path)
    assert sum(map(len, read)) < 64 * 1024
    monkeypatch.undo()
    with pytest.raises(UnreadableImage, match='header is damaged'):
        dicom.read(path)


def test_functional_groups_and_values_of_a_broken_data_set():
    from napari_cxr.dicom import elements

    dataset = Dataset()
    assert elements.numbers(dataset, 'WindowCenter') == []
    assert elements.integer(dataset, 'Rows') is None
    assert elements.items(dataset, 'VOILUTSequence') == []
    dataset.Rows = 5
    assert elements.integer(dataset, 'Rows') == 5
    dataset['Rows'].value = [5, 0]
    assert elements.integer(dataset, 'Rows') is None


CR = '1.2.840.10008.5.1.4.1.1.1'

DX = '1.2.840.10008.5.1.4.1.1.1.1'

SC = '1.2.840.10008.5.1.4.1.1.7'


@pytest.mark.parametrize(
    ('sop_class', 'modality', 'refused'),
    [
        (CR, 'CR', ''),
        (CR, 'OT', ''),  # the class says more than a careless Modality
        ('1.2.840.10008.5.1.4.1.1.1.1', 'DX', ''),
        (SC, 'CR', ''),
        (SC, 'DX', ''),
        (SC, 'RG', ''),
        (SC, 'DR', ''),
        (SC, 'OT', ''),
        (SC, '', ''),
        (SC, 'MG', 'mammogram'),
        ('1.2.840.10008.5.1.4.1.1.1.2', 'MG', 'mammogram'),
        ('1.2.840.10008.5.1.4.1.1.1.3', 'IO', 'dental'),
        ('1.2.840.10008.5.1.4.1.1.2', 'CT', 'This is a CT image, not a projection radiograph.'),
        (SC, 'CT', 'CT'),
        ('1.2.840.10008.5.1.4.1.1.2', 'CR', 'CT'),  # and more than a wrong one
        ('1.2.840.10008.5.1.4.1.1.4', 'MR', 'an MR image'),
        ('1.2.840.10008.5.1.4.1.1.6.1', 'US', 'ultrasound'),
        ('1.2.840.10008.5.1.4.1.1.20', 'NM', 'nuclear'),
        ('1.2.840.10008.5.1.4.1.1.128', 'PT', 'PET'),
        ('1.2.840.10008.5.1.4.1.1.66.4', 'SEG', 'segmentation'),
        ('1.2.840.10008.5.1.4.1.1.12.1', 'XA', 'angiography'),
        (SC, 'XC', 'photograph'),
        (SC, 'QQ', 'of another or unknown modality'),
        (CR, 'MG', 'mammogram'),
        (DX, 'MG', 'mammogram'),
        (CR, 'IO', 'dental'),
        (DX, 'PX', 'dental'),
        (SC, 'PX', 'dental'),
        (DX, 'BMD', 'bone density'),
        (CR, 'BMD', 'bone density'),
        (SC, 'BMD', 'bone density'),
        ('1.2.840.10008.5.1.4.1.1.13.1.4', 'MG', 'mammogram'),
        ('1.2.840.10008.5.1.4.1.1.30', 'OT', 'a parametric map'),
        ('1.2.840.10008.5.1.4.1.1.30', 'DX', 'a parametric map'),
        ('1.2.840.10008.5.1.4.1.1.13.1.2', 'DX', 'X-Ray 3D Craniofacial'),
        ('1.2.840.10008.5.1.4.1.1.501.2.1', 'DX', 'DICOS'),
        ('1.2.840.10008.5.1.4.1.1.77.1.5.1', 'OP', 'ophthalmic'),
    ],
)
def test_refusal(write, sop_class, modality, refused):
    image = dicom.read(write(SOPClassUID=sop_class, Modality=modality))
    assert (refused in image.refusal) if refused else image.refusal == ''
    doubtful = sop_class == SC and modality in ('OT', '')
    assert any('does not say' in note for note in image.notes) is doubtful


def test_fluoroscopy_of_several_frames_is_refused_a_single_one_noted(write):
    rf = '1.2.840.10008.5.1.4.1.1.12.2'
    frames = np.zeros((2, 8, 8), np.uint16)
    assert 'fluoroscopy' in dicom.read(write(frames, SOPClassUID=rf, Modality='RF')).refusal
    single = dicom.read(write(frames[0], SOPClassUID=rf, Modality='RF'))
    assert single.refusal == ''
    assert any('fluoroscopy' in note for note in single.notes)


@pytest.mark.parametrize(
    ('part', 'noted'),
    [('CHEST', False), ('THORAX', False), ('', False), ('RIB', False), ('HAND', True)],
)
def test_body_part(write, part, noted):
    image = dicom.read(write(BodyPartExamined=part, AnatomicRegionSequence=None))
    assert image.refusal == ''
    assert any('body part' in note for note in image.notes) is noted


def test_a_free_text_body_part_is_not_repeated(write):
    path = write(BodyPartExamined='PLACEHOLDR', AnatomicRegionSequence=None)
    path.write_bytes(path.read_bytes().replace(b'PLACEHOLDR', b'Mr. Smith?'))
    image = dicom.read(path)
    assert any('body part' in note for note in image.notes)
    assert not any('SMITH' in note.upper() for note in image.notes)


def test_breast_is_a_mammogram_whatever_the_modality(write):
    assert (
        'mammogram'
        in dicom.read(write(Modality='RG', BodyPartExamined='BREAST', SOPClassUID=SC)).refusal
    )


def code(value):
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, 'SCT', 'x'
    return [item]


@pytest.mark.parametrize(
    ('region', 'part', 'view', 'refused'),
    [
        ('76752008', None, None, 'mammogram'),
        ('T-04000', 'CHEST', None, 'mammogram'),  # the code has the last word
        ('51185008', 'BREAST', None, 'mammogram'),
        (None, None, '399368009', 'mammogram'),
        (None, 'CHEST', '399368009', ''),
        ('38199008', None, None, 'teeth'),
        ('661005', 'CHEST', None, 'teeth'),
        (None, 'JAW', None, 'teeth'),
        ('51185008', None, None, ''),
    ],
)
def test_region_and_view_of_another_kind_of_radiograph(write, region, part, view, refused):
    image = dicom.read(
        write(
            AnatomicRegionSequence=code(region) if region else None,
            BodyPartExamined=part,
            ViewPosition=None,
            ViewCodeSequence=code(view) if view else None,
        )
    )
    assert (refused in image.refusal) if refused else image.refusal == ''


def test_the_structure_counts_as_the_region_does(write):
    image = dicom.read(
        write(AnatomicRegionSequence=None, PrimaryAnatomicStructureSequence=code('38199008'))
    )
    assert 'teeth' in image.refusal


@pytest.mark.parametrize(
    'said',
    [
        {'SOPClassUID': '1.2.840.10008.5.1.4.1.1.1.1.1'},
        {'SOPClassUID': CR, 'Modality': 'CR', 'PresentationIntentType': 'FOR PROCESSING'},
        {'PresentationIntentType': 'FOR PROCESSING'},
    ],
)
def test_raw_detector_image_is_noted(write, said):
    image = dicom.read(write(**said))
    assert any('for processing' in note for note in image.notes)


@pytest.mark.parametrize(
    ('syntax', 'stated', 'lossy'),
    [
        ('1.2.840.10008.1.2.1', '00', False),
        ('1.2.840.10008.1.2.1', '01', True),  # compressed before it got here
        ('1.2.840.10008.1.2.4.50', '00', True),
        ('1.2.840.10008.1.2.4.51', '', True),
        ('1.2.840.10008.1.2.4.70', '', False),
        ('1.2.840.10008.1.2.4.80', '', False),
        ('1.2.840.10008.1.2.4.81', '', True),
        ('1.2.840.10008.1.2.4.90', '', False),
        ('1.2.840.10008.1.2.4.91', '', True),
        ('1.2.840.10008.1.2.4.91', '00', False),
        ('1.2.840.10008.1.2.4.201', '', False),
        ('1.2.840.10008.1.2.4.203', '', True),
    ],
)
def test_lossy(syntax, stated, lossy):
    from pydicom.uid import UID

    from napari_cxr.dicom.headers import Header

    dataset = Dataset()
    dataset.LossyImageCompression = stated
    assert is_lossy(Header(dataset, UID(syntax))) is lossy


def test_provenance(write):
    provenance = dicom.read(write()).provenance
    assert provenance.format == 'DICOM'
    assert provenance.modality == 'DX'
    assert provenance.sop_class == 'Digital X-Ray Image Storage - For Presentation'
    assert provenance.transfer_syntax == 'Explicit VR Little Endian'
    assert provenance.photometric == 'MONOCHROME2'
    assert provenance.bits == 12
    assert set(provenance.uids) == {'study', 'series', 'instance', 'sop_class'}
