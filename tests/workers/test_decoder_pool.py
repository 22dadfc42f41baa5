"""Reading through a decoder process: hostile files become errors, and the next one opens."""

import os
import signal
import sys
import threading
import zlib

import numpy as np
import pytest

from napari_cxr import image_files, samples
from napari_cxr.lungs.frontal_check import FrontalCheck
from napari_cxr.radiograph import UnreadableImage
from napari_cxr.workers.decoder_pool import Decoder


@pytest.fixture(scope='module')
def decoder():
    decoder = Decoder()
    yield decoder
    decoder.close()


@pytest.fixture
def good(tmp_path):
    path = tmp_path / 'good.dcm'
    samples.write_phantom_dicom(path, shape=(48, 40))
    return path


def test_the_same_as_in_this_process(decoder, good):
    here, there = image_files.read(good), decoder.read(good)
    np.testing.assert_array_equal(there.values, here.values)
    assert there.presets == here.presets and there.geometry == here.geometry
    assert there.provenance.pseudonyms == here.provenance.pseudonyms
    told, expected = decoder.describe(good), image_files.describe(here)
    assert set(told.pop('lungs')) == {'source', 'share_of_image'}
    frontal = told.pop('frontal')
    warned = FrontalCheck(frontal['likely'], frontal['score']).message
    expected['warnings'] += [warned] if warned else []
    assert told == expected


def test_an_unreadable_file_keeps_its_sentence(decoder, tmp_path, good):
    (tmp_path / 'empty.dcm').touch()
    with pytest.raises(UnreadableImage, match='empty'):
        decoder.read(tmp_path / 'empty.dcm')
    assert decoder.read(good).shape == (48, 40)


@pytest.mark.skipif(sys.platform == 'win32', reason='signals and named pipes')
def test_a_decoder_that_dies_is_replaced(decoder, tmp_path, good):
    decoder.read(good)
    pid = decoder._worker.pid
    os.kill(pid, signal.SIGSTOP)
    # It can't answer, so it dies in the middle of this file for certain.
    threading.Timer(0.3, os.kill, (pid, signal.SIGKILL)).start()
    with pytest.raises(UnreadableImage, match='gave up'):
        decoder.read(good)
    assert decoder.read(good).shape == (48, 40)
    assert decoder._worker.pid != pid


@pytest.mark.skipif(sys.platform == 'win32', reason='signals')
def test_a_decoder_that_hangs_is_replaced(good):
    decoder = Decoder(timeout=1.0)
    decoder._worker.call('ready')
    pid = decoder._worker.pid
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(UnreadableImage, match='longer than'):
        decoder.read(good)
    assert decoder._worker.pid is None
    decoder.close()


@pytest.mark.skipif(sys.platform != 'linux', reason='a bound on the address space')
def test_its_memory_is_bounded(decoder):
    from napari_cxr.workers.decoder_jobs import MEMORY_LIMIT

    decoder._worker.call('ready')
    with open(f'/proc/{decoder._worker.pid}/limits') as limits:
        (line,) = [line for line in limits if line.startswith('Max address space')]
    assert int(line.split()[3]) <= MEMORY_LIMIT


@pytest.mark.skipif(sys.platform != 'linux', reason='/proc is of Linux')
def test_several_decoders_do_not_take_each_other_s_cores(decoder):
    decoder._worker.call('ready')
    with open(f'/proc/{decoder._worker.pid}/environ') as environment:
        assert 'OPENBLAS_NUM_THREADS=1' in environment.read().split('\0')


def test_a_bomb_is_an_error_and_not_the_end(decoder, tmp_path, good):
    """A deflated data set that would unpack to far more than any radiograph."""
    header = good.read_bytes()[:128] + b'DICM'
    uid = b'1.2.840.10008.1.2.1.99'
    meta = b'\x02\x00\x10\x00UI' + len(uid).to_bytes(2, 'little') + uid
    header += b'\x02\x00\x00\x00UL\x04\x00' + len(meta).to_bytes(4, 'little') + meta
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = b''.join(squeeze.compress(bytes(1 << 24)) for _ in range(80)) + squeeze.flush()
    (tmp_path / 'bomb.dcm').write_bytes(header + body)
    with pytest.raises(UnreadableImage, match='unpacks to far more'):
        decoder.read(tmp_path / 'bomb.dcm')
    assert decoder.read(good).shape == (48, 40)


@pytest.mark.slow
def test_every_odd_file_is_an_image_or_a_sentence(decoder, cxr_data):
    """366 files from public test suites: every syntax, truncated, bombs, no images at all."""
    paths = [p for p in (cxr_data / 'dicom_odd').rglob('*') if p.is_file() and p.suffix != '.csv']
    opened = 0
    for path in paths:
        try:
            decoder.read(path)
            opened += 1
        except UnreadableImage as error:
            assert str(error).strip().endswith('.'), (path.name, error)
    assert opened > 200 and len(paths) > 300
