"""Any file by its content, and the images of a folder."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from napari_cxr import image_files
from napari_cxr.dicom import privacy
from napari_cxr.radiograph import UnreadableImage
from napari_cxr.samples import write_phantom_dicom

PIXELS = np.arange(64, dtype=np.uint16).reshape(8, 8) * 60


@pytest.fixture(autouse=True)
def own_secret(tmp_path, monkeypatch):
    monkeypatch.setattr(privacy, 'secret_path', lambda: tmp_path / '.home' / 'secret')


def test_what_it_is_decides_how_it_is_read(tmp_path):
    dicom = write_phantom_dicom(tmp_path / 'looks_like.png', pixels=PIXELS)
    Image.fromarray(PIXELS).save(tmp_path / 'x.png')
    raster = (tmp_path / 'x.png').rename(tmp_path / 'looks_like.dcm')
    assert image_files.read(dicom).provenance.format == 'DICOM'
    assert image_files.read(str(raster)).provenance.format == 'PNG'


def test_what_is_neither_is_one_sentence(tmp_path):
    (tmp_path / 'a.dcm').write_text('<html><body>moved</body></html>')
    with pytest.raises(UnreadableImage, match='web page'):
        image_files.read(tmp_path / 'a.dcm')
    with pytest.raises(UnreadableImage, match='folder'):
        image_files.read(tmp_path)
    with pytest.raises(UnreadableImage, match='no such file'):
        image_files.read(tmp_path / 'none')


def test_images_of_a_folder(tmp_path):
    root = tmp_path / 'study'
    (root / 'B' / 'C').mkdir(parents=True)
    (root / '.hidden').mkdir()
    wanted = [
        write_phantom_dicom(root / 'B' / 'IM0001', pixels=PIXELS),
        write_phantom_dicom(root / 'B' / 'C' / 'x.dcm', pixels=PIXELS),
        root / 'a.png',
    ]
    Image.fromarray(PIXELS).save(root / 'a.png')
    write_phantom_dicom(root / '.hidden' / 'x.dcm', pixels=PIXELS)
    write_phantom_dicom(root / '.x.dcm', pixels=PIXELS)
    (root / 'notes.txt').write_text('text')
    (root / 'fake.dcm').write_text('text')
    (root / 'DICOMDIR').write_bytes(
        bytes(128)
        + b'DICM'
        + b'\x02\0\x02\0UI\x14\x001.2.840.10008.1.3.10'
        + b'\x04\0\x30\x11CS\x02\0AB'
    )
    assert image_files.find_images(root) == sorted(wanted)


def test_links_that_lead_back_end(tmp_path):
    root = tmp_path / 'study'
    (root / 'inner').mkdir(parents=True)
    (tmp_path / 'elsewhere').mkdir()
    write_phantom_dicom(root / 'inner' / 'one', pixels=PIXELS)
    write_phantom_dicom(tmp_path / 'elsewhere' / 'two', pixels=PIXELS)
    try:
        os.symlink(root, root / 'inner' / 'loop', target_is_directory=True)
        os.symlink(tmp_path / 'elsewhere', root / 'linked', target_is_directory=True)
        os.symlink(tmp_path / 'nowhere', root / 'dangling')
    except OSError:
        pytest.skip('no symbolic links here')
    names = [path.name for path in image_files.find_images(root)]
    assert names == ['one', 'two']


def test_a_folder_that_cannot_be_opened_is_listed_and_said(tmp_path, monkeypatch):
    root = tmp_path / 'study'
    (root / 'shut').mkdir(parents=True)
    write_phantom_dicom(root / 'one', pixels=PIXELS)
    scan = os.scandir

    def refused(path):
        if os.path.basename(path) == 'shut':
            raise PermissionError(13, 'Permission denied', path)
        return scan(path)

    monkeypatch.setattr(os, 'scandir', refused)
    monkeypatch.setattr(os, 'access', lambda path, _: os.path.basename(path) != 'shut')
    assert image_files.find_images(root) == [root / 'one']
    assert image_files.find_images(root, named=True) == [root / 'one', root / 'shut']
    with pytest.raises(UnreadableImage, match='folder cannot be opened'):
        image_files.read(root / 'shut')


def test_what_is_called_an_image_is_listed_unless_it_is_an_index(tmp_path):
    for name in ('a.png', 'b.DCM', 'c.txt', 'd'):
        (tmp_path / name).write_text('text')
    (tmp_path / 'index.dcm').write_bytes(
        bytes(128) + b'DICM' + b'\x02\0\x02\0UI\x14\x001.2.840.10008.1.3.10'
    )
    assert [path.name for path in image_files.find_images(tmp_path, named=True)] == [
        'a.png',
        'b.DCM',
    ]
    assert image_files.find_images(tmp_path) == []


def test_no_folder(tmp_path):
    with pytest.raises(NotADirectoryError):
        image_files.find_images(tmp_path / 'none')


def test_description_of_a_dicom_file(tmp_path):
    path = write_phantom_dicom(
        tmp_path / 'a.dcm',
        pixels=PIXELS,
        photometric='MONOCHROME1',
        attributes={
            'ImagerPixelSpacing': ['0.2', '0.1'],
            'WindowCenter': ['100', '200'],
            'WindowWidth': ['50', '60'],
            'WindowCenterWidthExplanation': ['SOFT', 'HARD'],
        },
    )
    found = image_files.describe(image_files.read(path))
    assert json.loads(json.dumps(found)) == found
    assert found == {
        'path': str(path),
        'format': 'DICOM',
        'size': [8, 8],
        'frames': None,
        'bits': 12,
        'geometry': {
            'spacing_mm': [0.2, 0.1],
            'spacing_source': 'at the detector',
            'aspect': 2.0,
        },
        'window': [
            {'function': 'LINEAR', 'center': 100.0, 'width': 50.0, 'explanation': 'SOFT'},
            {'function': 'LINEAR', 'center': 200.0, 'width': 60.0, 'explanation': 'HARD'},
        ],
        'polarity': 'lowest value white',
        'view': 'PA',
        'modality': 'DX',
        'transfer_syntax': 'Explicit VR Little Endian',
        'lossy': False,
        'refusal': '',
        'warnings': [],
    }


def test_description_of_a_raster(tmp_path):
    Image.fromarray(np.zeros((4, 5, 3), np.uint8)).save(tmp_path / 'a.jpg')
    found = image_files.describe(image_files.read(tmp_path / 'a.jpg'))
    assert (found['size'], found['polarity'], found['lossy']) == ([4, 5], 'colour', True)
    assert found['geometry']['spacing_mm'] is None
    assert json.dumps(found)


def test_a_dicom_file_with_a_tiff_header_in_its_preamble_is_dicom(tmp_path):
    path = tmp_path / 'both.dcm'
    write_phantom_dicom(path, shape=(40, 32))
    path.write_bytes(b'II*\0' + path.read_bytes()[4:])
    assert image_files.read(path).provenance.format == 'DICOM' and image_files.is_image(path)
