"""Reading through a decoder process: hostile files become errors, and the next one opens."""

import os
import signal
import struct
import sys
import threading
import time
import zlib

import numpy as np
import pytest

from napari_cxr import image_files, samples
from napari_cxr.decoding_memory import MemoryNeed, is_passing
from napari_cxr.inference import Preprocessing
from napari_cxr.lungs.frontal_check import FrontalCheck
from napari_cxr.radiograph import UnreadableImage
from napari_cxr.scoring import PrepareOptions
from napari_cxr.workers.decoder_pool import Decoder, DecoderPool
from napari_cxr.workers.memory_budget import USUAL, DecoderLimits, MemoryBudget
from napari_cxr.workers.worker_process import WorkerDied


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


def end_in_the_middle(worker, number):
    """Have a decoder end in the middle of its next file: meanwhile it can't answer."""
    worker.call('ready')
    os.kill(worker.pid, signal.SIGSTOP)

    def end(pid=worker.pid):
        os.kill(pid, number)
        os.kill(pid, signal.SIGCONT)

    threading.Timer(0.3, end).start()
    return worker.pid


@pytest.mark.skipif(sys.platform == 'win32', reason='signals')
def test_a_decoder_that_dies_of_a_file_is_replaced(decoder, good):
    pid = end_in_the_middle(decoder._worker, signal.SIGABRT)
    with pytest.raises(UnreadableImage, match='gave up'):
        decoder.read(good)
    assert decoder.read(good).shape == (48, 40)
    assert decoder._worker.pid != pid


@pytest.mark.skipif(sys.platform == 'win32', reason='signals')
def test_a_file_whose_decoder_was_killed_from_outside_is_read_all_the_same(decoder, good):
    pid = end_in_the_middle(decoder._worker, signal.SIGKILL)
    assert decoder.read(good).shape == (48, 40)
    assert decoder._worker.pid != pid


@pytest.mark.skipif(sys.platform == 'win32', reason='signals')
def test_killed_from_outside_twice_is_said(decoder, good, monkeypatch):
    real = decoder._worker.run

    def killed(job, **arguments):
        with monkeypatch.context() as patch:
            patch.setattr(decoder._worker, 'run', real)
            end_in_the_middle(decoder._worker, signal.SIGKILL)
        return real(job, **arguments)

    monkeypatch.setattr(decoder._worker, 'run', killed)
    with pytest.raises(UnreadableImage, match='ended from outside, and again') as caught:
        decoder.read(good)
    assert is_passing(str(caught.value))
    monkeypatch.undo()
    assert decoder.read(good).shape == (48, 40)


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
def test_its_memory_is_bounded_by_what_was_granted(decoder, good, monkeypatch):
    monkeypatch.setattr(decoder, '_budget', MemoryBudget(lambda: 400 << 20))
    decoder.read(good)
    with open(f'/proc/{decoder._worker.pid}/limits') as limits:
        (line,) = [line for line in limits if line.startswith('Max address space')]
    with open(f'/proc/{decoder._worker.pid}/statm') as status:
        size = int(status.read().split()[0]) * os.sysconf('SC_PAGE_SIZE')
    # 360 of 400 MiB, and half a gigabyte of address space for libraries and stacks
    assert 0 < int(line.split()[3]) - size <= (360 << 20) + (512 << 20)


def test_what_does_not_fit_into_memory_is_a_sentence_and_not_the_end(
    decoder, tmp_path, good, monkeypatch
):
    """Only its header is large: 8192 x 8192 pixels of 8 bits."""
    monkeypatch.setattr(decoder, '_budget', MemoryBudget(lambda: 400 << 20))
    write_png_header(tmp_path / 'large.png', 8192)
    with pytest.raises(UnreadableImage, match=r'takes about 57\d MB .* can have 377 MB') as caught:
        decoder.read(tmp_path / 'large.png')
    assert is_passing(str(caught.value))
    assert decoder.read(good).shape == (48, 40)
    monkeypatch.setattr(decoder, '_budget', MemoryBudget(lambda: 4 << 30))
    with pytest.raises(UnreadableImage, match='damaged'):  # it may be decoded, and is empty
        decoder.read(tmp_path / 'large.png')


def write_png_header(path, side):
    header = struct.pack('>IIBBBBB', side, side, 8, 0, 0, 0, 0)
    data = b'\x89PNG\r\n\x1a\n'
    for kind, content in ((b'IHDR', header), (b'IDAT', zlib.compress(bytes(9))), (b'IEND', b'')):
        check = struct.pack('>I', zlib.crc32(kind + content))
        data += struct.pack('>I', len(content)) + kind + content + check
    path.write_bytes(data)


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


class FakeWorker:
    """A decoder whose answers are given: values, or errors that it raises."""

    pid = None

    def __init__(self, *answers, seconds=0.0):
        self.answers, self.seconds, self.asked = list(answers), seconds, []

    def run(self, job, **arguments):
        self.asked.append(arguments)
        yield None
        time.sleep(self.seconds)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def faked(*answers, free=10 << 30, **options):
    decoder = Decoder(timeout=50.0)
    decoder._worker, decoder._budget = FakeWorker(*answers, **options), MemoryBudget(lambda: free)
    return decoder, decoder._worker


KILLED = WorkerDied('ended', 'exit code -9', from_outside=True)
ABORTED = WorkerDied('ended', 'exit code -6')
NO_MEMORY = WorkerDied('ended', 'what():  std::bad_alloc')
ALL = int(0.9 * (10 << 30))


def test_a_file_is_let_in_with_what_files_usually_need():
    decoder, worker = faked('radiograph')
    assert decoder.read('a.dcm') == 'radiograph'
    (asked,) = worker.asked
    assert (asked.pop('path'), asked.pop('least')) == ('a.dcm', None)
    assert asked == {'timeout': 50.0, 'total': 100.0, 'allowance': USUAL}


def test_a_file_that_needs_more_is_let_in_with_that():
    decoder, worker = faked(MemoryNeed(2 << 30), MemoryNeed(3 << 30), 'radiograph')
    assert decoder.read('a.dcm') == 'radiograph'
    assert [asked['allowance'] for asked in worker.asked] == [USUAL, 2 << 30, 3 << 30]


def test_a_decoder_that_always_wants_more_is_not_believed():
    decoder, worker = faked(*(MemoryNeed((600 + i) << 20) for i in range(100)))
    with pytest.raises(UnreadableImage, match='takes about'):
        decoder.read('a.dcm')
    assert len(worker.asked) <= 5


@pytest.mark.parametrize('died', [KILLED, NO_MEMORY, MemoryNeed(0)])
def test_what_ran_out_of_memory_is_tried_once_more_with_all_of_it(died):
    decoder, worker = faked(died, 'radiograph')
    assert decoder.read('a.dcm') == 'radiograph'
    assert [asked['allowance'] for asked in worker.asked] == [USUAL, ALL]
    decoder, worker = faked(died, died, 'radiograph')
    with pytest.raises(UnreadableImage) as caught:
        decoder.read('a.dcm')
    assert is_passing(str(caught.value)) and 'try again' in str(caught.value)
    assert len(worker.asked) == 2


def test_what_a_file_does_to_its_decoder_is_not_tried_again():
    decoder, worker = faked(ABORTED, 'radiograph')
    with pytest.raises(UnreadableImage, match='gave up') as caught:
        decoder.read('a.dcm')
    assert len(worker.asked) == 1 and not is_passing(str(caught.value))


def test_the_time_of_a_second_attempt_is_what_is_left_of_the_first():
    decoder, worker = faked(KILLED, 'radiograph', seconds=0.2)
    decoder.read('a.dcm')
    first, second = (asked['total'] for asked in worker.asked)
    assert first == 100.0 and second <= 99.8


def test_decoders_together_keep_to_the_memory_that_is_free():
    """Eight files of 3 GiB for four decoders, and 10 GiB: never more than three at once."""
    lock, at_work, most = threading.Lock(), [], []

    class Large(FakeWorker):
        def run(self, job, *, allowance, **arguments):
            yield None
            if allowance < 3 << 30:
                return MemoryNeed(3 << 30)
            with lock:
                at_work.append(allowance)
                most.append(sum(at_work))
            time.sleep(0.05)
            with lock:
                at_work.remove(allowance)
            raise ABORTED

    pool = DecoderPool(4)
    pool._workers, pool._budget = [Large() for _ in range(4)], MemoryBudget(lambda: 10 << 30)
    items = [(number, 'a.dcm') for number in range(8)]
    found = [one for one in pool.prepare(items, PrepareOptions(Preprocessing(8, 8))) if one]
    assert sorted(number for number, _ in found) == list(range(8))
    assert len(most) == 8 and max(most) <= ALL


def test_limits_that_make_no_sense_are_said(monkeypatch):
    monkeypatch.setenv('NAPARI_CXR_DECODER_SECONDS', 'soon')
    with pytest.raises(ValueError, match=r"NAPARI_CXR_DECODER_SECONDS is 'soon', which is not a"):
        DecoderPool(1)


def test_time_is_bounded_by_what_the_person_has_set(monkeypatch):
    monkeypatch.setenv('NAPARI_CXR_DECODER_SECONDS', '7')
    decoder, worker = faked('radiograph')
    decoder._timeout = None
    decoder.read('a.dcm')
    assert (worker.asked[0]['timeout'], worker.asked[0]['total']) == (7.0, 14.0)
    assert DecoderLimits.from_environment().total == 14.0


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
