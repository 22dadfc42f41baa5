"""A folder is indexed once; what is kept of it names nobody."""

import json
import os
import zlib
from contextlib import closing

import numpy as np
import pytest

from napari_cxr.radiograph import UnreadableImage
from napari_cxr.samples import write_phantom_dicom
from napari_cxr.studies import study_index as module
from napari_cxr.studies.study_index import IndexDone, IndexGrown, index_studies
from napari_cxr.user_cache import cache_folder
from napari_cxr.workers.decoder_pool import Decoder

PIXELS = np.zeros((20, 16), np.uint16)


@pytest.fixture(scope='module')
def decoder():
    with closing(Decoder()) as one:
        yield one


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv('NAPARI_CXR_CACHE', str(tmp_path / 'cache'))


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / 'Smith^John' / 'disc'
    folder.mkdir(parents=True)
    for number, view in enumerate(('PA', 'LL', 'PA')):
        write_phantom_dicom(
            folder / f'IM{number}',
            pixels=PIXELS,
            view=view,
            seed=number,
            attributes={'PatientName': 'Smith^John', 'PatientID': 'MRN-4711'},
        )
    return folder


def run(source, decoder):
    events = [event for event in index_studies(source, decoder) if event is not None]
    assert isinstance(events[-1], IndexDone)
    return events


class Broken:
    """Stands for a decoder that must not be asked, or that dies of some files."""

    def __init__(self, decoder=None, deadly=()):
        self.decoder, self.deadly, self.asked = decoder, deadly, []

    def headers(self, paths):
        self.asked.append(list(paths))
        if self.decoder is None:
            raise AssertionError('nothing was new')
        if any(os.path.basename(path) in self.deadly for path in paths):
            yield None
            raise UnreadableImage('The decoder gave up on this file.')
        return (yield from self.decoder.headers(paths))


def test_images_in_order_of_their_paths(folder, decoder):
    *grown, done = run(folder, decoder)
    assert [os.path.basename(image.path) for image in done.images] == ['IM0', 'IM1', 'IM2']
    assert [image.header.view for image in done.images] == ['PA', 'lateral', 'PA']
    assert len({image.header.patient for image in done.images}) == 1
    assert all(isinstance(event, IndexGrown) for event in grown)
    assert sum(len(event.images) for event in grown) == 3
    assert (grown[-1].done, grown[-1].total) == (3, 3)


def test_a_second_time_nothing_is_read(folder, decoder):
    first = run(folder, decoder)[-1]
    second = run(folder, Broken())[-1]
    assert second.images == first.images
    assert (first.reused, second.reused) == (0, 3)


def test_only_what_is_new_or_changed_is_read(folder, decoder):
    run(folder, decoder)
    write_phantom_dicom(folder / 'IM1', pixels=np.zeros((24, 16), np.uint16), view='LL')
    write_phantom_dicom(folder / 'IM3', pixels=PIXELS)
    asked = Broken(decoder)
    done = run(folder, asked)[-1]
    assert sorted(os.path.basename(path) for batch in asked.asked for path in batch) == [
        'IM1',
        'IM3',
    ]
    assert done.images[1].header.rows == 24
    assert done.reused == 2


def test_what_is_kept_names_nobody(folder, decoder):
    run(folder, decoder)
    (kept,) = (cache_folder() / 'studies').iterdir()
    content = zlib.decompress(kept.read_bytes()[32:])
    for secret in (b'Smith', b'John', b'4711', b'MRN', b'disc', b'IM0'):
        assert secret not in content
        assert secret not in kept.name.encode()


def test_what_was_read_is_kept_when_it_is_stopped(folder, decoder, monkeypatch):
    monkeypatch.setattr(module, '_FIRST_BATCH', 1)
    job = index_studies(folder, decoder)
    for event in job:
        if isinstance(event, IndexGrown) and event.done == 1:
            break
    job.close()
    assert run(folder, decoder)[-1].reused == 1


@pytest.mark.parametrize(
    'content',
    [
        b'',
        b'napari-cxr studies 1\tpatient\nx',
        b'\xff',
        b'[' * 100_000,
        b'[HEAD]',
        b'[HEAD, [], []]',
        b'[HEAD, {"a": 1}, []' + b', []' * 13 + b']',
        b'[HEAD, {}, ["a"]' + b', ["b"]' * 13 + b']',
        b'[HEAD, {}, ["a", "b"]' + b', ["b"]' * 7 + b', [1]' * 6 + b']',
    ],
)
def test_a_damaged_index_is_made_anew(folder, decoder, content):
    run(folder, decoder)
    (kept,) = (cache_folder() / 'studies').iterdir()
    packed = zlib.compress(content.replace(b'HEAD', json.dumps(module._HEAD).encode()))
    import hashlib

    kept.write_bytes(hashlib.sha256(packed).digest() + packed)
    done = run(folder, decoder)[-1]
    assert len(done.images) == 3
    assert done.reused == 0


def test_a_file_that_ends_the_decoder_costs_itself_alone(folder, decoder):
    done = run(folder, Broken(decoder, deadly=('IM1',)))[-1]
    assert [os.path.basename(image.path) for image in done.images] == ['IM0', 'IM2']
    assert done.left_out == ((str(folder / 'IM1'), 'The decoder gave up on this file.'),)
    assert len(run(folder, decoder)[-1].images) == 3  # it may have passed


def test_pictures_other_files_and_damaged_ones(folder, decoder):
    from PIL import Image

    Image.fromarray(np.zeros((8, 8), np.uint8)).save(folder / 'a.png')
    (folder / 'notes.txt').write_text('nothing')
    (folder / '.hidden').write_text('nothing')
    (folder / 'Z').write_bytes(b'\0' * 128 + b'DICM' + b'\x02\x00\x10\x00UI\x04\x001.2\0' * 300)
    done = run(folder, decoder)[-1]
    assert [image.format for image in done.images] == ['DICOM', 'DICOM', 'DICOM', 'PNG']
    assert done.images[3].header is None
    assert done.others == 1
    ((path, reason),) = done.left_out
    assert path.endswith('Z')
    assert 'damaged' in reason


def test_a_pipe_is_passed_over(folder, decoder):
    os.mkfifo(folder / 'pipe')
    assert len(run(folder, decoder)[-1].images) == 3


def test_a_dicomdir(cxr_data, decoder):
    path = cxr_data / 'dicom_odd' / 'pydicom' / 'test_files' / 'dicomdirtests' / 'DICOMDIR'
    done = run(path, decoder)[-1]
    assert len(done.images) + len(done.left_out) == 31
    assert all('not there' in reason for _, reason in done.left_out)


def test_neither_folder_nor_dicomdir(folder, decoder):
    with pytest.raises(UnreadableImage, match='neither a folder nor a DICOMDIR'):
        run(folder / 'IM0', decoder)
