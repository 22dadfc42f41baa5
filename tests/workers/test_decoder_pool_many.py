"""Several decoders at once: all files come back, whatever some of them do."""

import os
import signal
import sys
import threading

import numpy as np
import pytest

from napari_cxr import samples
from napari_cxr.inference import Preprocessing
from napari_cxr.scoring import PreparedImage, PrepareOptions
from napari_cxr.scoring.image_preparation import prepare_image
from napari_cxr.training.training_image import TrainingImage, UnusableImage, decode_image
from napari_cxr.workers import worker_process
from napari_cxr.workers.decoder_pool import DecoderPool

PREPROCESSING = Preprocessing(40, 32)
#: Longer than any test may take, in seconds.
NEVER = 10_000.0


@pytest.fixture(scope='module')
def pool():
    pool = DecoderPool(2)
    yield pool
    pool.close()


@pytest.fixture
def paths(tmp_path):
    return [written(tmp_path / f'{i}.dcm', i) for i in range(8)]


@pytest.fixture
def small(paths):
    """Two of them."""
    return paths[:2]


def written(path, seed, **attributes):
    """Write a file of noise, which costs no time to make."""
    pixels = np.random.default_rng(seed).integers(0, 4096, (48, 40)).astype(np.uint16)
    return samples.write_phantom_dicom(path, pixels=pixels, seed=seed, attributes=attributes)


def test_the_same_as_in_this_process(pool, paths):
    (paths[2].parent / 'empty.dcm').touch()
    paths[2] = paths[2].parent / 'empty.dcm'
    items = [(10 * i, path) for i, path in enumerate(paths)]
    for bits in (8, 16):
        found = dict(pool(items, PREPROCESSING, bits))
        assert sorted(found) == [number for number, _ in items]
        reason = found.pop(20)
        assert isinstance(reason, UnusableImage) and 'empty' in reason
        for number, there in found.items():
            here = decode_image(paths[number // 10], PREPROCESSING, bits)
            np.testing.assert_array_equal(there.image, here.image)
            assert there.image.dtype == here.image.dtype
            np.testing.assert_array_equal(there.features, here.features)
            np.testing.assert_array_equal(there.thumbnail, here.thumbnail)
            assert there.size == here.size


def test_patients_are_told_apart_by_all_decoders_alike(pool, tmp_path):
    items = []
    for i in range(6):
        named = f'DOE{i % 3}' if i < 5 else ''
        items.append((i, written(tmp_path / f'{i}.dcm', i, PatientID=named)))
    found = dict(pool(items, PREPROCESSING, 8))
    patients = [found[i].patient for i in range(6)]
    assert patients[0] == patients[3] and patients[1] == patients[4]
    assert len(set(patients[:3])) == 3 and not any('DOE' in p for p in patients)
    assert patients[5] == ''


def test_no_file_is_no_work(pool):
    assert list(pool([], PREPROCESSING, 8)) == []


@pytest.mark.skipif(sys.platform == 'win32', reason='signals')
def test_a_file_that_kills_its_decoder_is_a_reason_and_the_rest_comes(pool, paths):
    for worker in pool._workers:
        worker.call('ready')
    victim = pool._workers[0].pid
    os.kill(victim, signal.SIGSTOP)  # so it dies in the middle of a file for certain
    threading.Timer(0.3, abort, (victim,)).start()
    found = dict(pool(list(enumerate(paths)), PREPROCESSING, 8))
    reasons = [result for result in found.values() if isinstance(result, str)]
    assert len(found) == 8 and len(reasons) == 1
    assert 'gave up' in reasons[0]
    assert not isinstance(reasons[0], UnusableImage), 'another time it may work'


def abort(pid):
    """Have a process that is stopped crash."""
    os.kill(pid, signal.SIGABRT)
    os.kill(pid, signal.SIGCONT)


@pytest.mark.skipif(sys.platform == 'win32', reason='signals')
def test_a_decoder_that_is_killed_from_outside_costs_no_file(pool, paths):
    for worker in pool._workers:
        worker.call('ready')
    victim = pool._workers[0].pid
    os.kill(victim, signal.SIGSTOP)
    threading.Timer(0.3, os.kill, (victim, signal.SIGKILL)).start()
    found = dict(pool(list(enumerate(paths)), PREPROCESSING, 8))
    assert len(found) == 8 and all(isinstance(one, TrainingImage) for one in found.values())


@pytest.mark.skipif(sys.platform == 'win32', reason='signals')
def test_a_file_that_hangs_is_a_reason_and_the_rest_comes(paths, monkeypatch):
    pool = DecoderPool(2)
    for worker in pool._workers:
        worker.call('ready')
    hangs, limits = pool._workers[0], iter([0.5])  # the others may take their time
    run = hangs.run

    def limited(job, timeout, **arguments):
        return run(job, timeout=next(limits, timeout), **arguments)

    monkeypatch.setattr(hangs, 'run', limited)
    os.kill(hangs.pid, signal.SIGSTOP)
    found = dict(pool(list(enumerate(paths)), PREPROCESSING, 8))
    assert sum(isinstance(r, TrainingImage) for r in found.values()) == 7
    assert any(isinstance(r, str) and 'longer than' in r for r in found.values())
    pool.close()
    assert not any(worker.alive for worker in pool._workers)


@pytest.mark.skipif(sys.platform == 'win32', reason='signals')
def test_closing_it_ends_the_wait_even_if_a_decoder_hangs(paths):
    pool = DecoderPool(2, timeout=NEVER)
    for worker in pool._workers:
        worker.call('ready')
    os.kill(pool._workers[0].pid, signal.SIGSTOP)
    results = pool(list(enumerate(paths)), PREPROCESSING, 8)
    next(results)
    results.close()
    pool.close()
    # It goes on with new decoders.
    found = dict(pool(list(enumerate(paths)), PREPROCESSING, 8))
    assert all(isinstance(result, TrainingImage) for result in found.values())
    pool.close()


@pytest.mark.parametrize(('lungs', 'picture'), [(False, False), (True, False), (True, True)])
def test_files_are_prepared_for_scoring_as_in_this_process(pool, small, lungs, picture):
    wanted = PrepareOptions(PREPROCESSING, lungs=lungs, picture=picture, identify=True)
    (small[1].parent / 'empty.dcm').touch()
    items = [(7, small[0]), (9, small[1].parent / 'empty.dcm'), (11, small[1])]
    found = dict(result for result in pool.prepare(iter(items), wanted) if result is not None)
    assert sorted(found) == [7, 9, 11] and 'empty' in found[9]
    for number, path in ((7, small[0]), (11, small[1])):
        there, here = found[number], prepare_image(path, wanted)
        assert isinstance(there, PreparedImage)
        np.testing.assert_array_equal(there.image, here.image)
        np.testing.assert_array_equal(there.to_radiograph, here.to_radiograph)
        assert (there.shape, there.view) == (here.shape, here.view) == ((48, 40), 'PA')
        assert there.warnings == here.warnings and there.identity == here.identity
        assert there.identity['patient_id']
        assert (there.lungs is not None, there.picture is not None) == (lungs, picture)
        if picture:
            np.testing.assert_array_equal(there.picture, here.picture)
        if lungs:
            np.testing.assert_array_equal(there.lungs.left, here.lungs.left)


def test_files_are_taken_only_as_fast_as_results_are(pool, small):
    taken = []

    def items():
        for number in range(1000):
            taken.append(number)
            yield number, small[0]

    results = pool.prepare(items(), PrepareOptions(PREPROCESSING))
    seen = [result for result in (next(results) for _ in range(40)) if result is not None]
    results.close()
    assert len(taken) <= len(seen) + 8 + 2 + 2, 'the queue, one in each hand, one at each door'


@pytest.mark.skipif(sys.platform == 'win32', reason='signals')
def test_while_all_decoders_hang_preparing_can_be_closed(small):
    pool = DecoderPool(1, timeout=NEVER)
    pool._workers[0].call('ready')
    os.kill(pool._workers[0].pid, signal.SIGSTOP)
    results = pool.prepare(iter([(0, small[0])]), PrepareOptions(PREPROCESSING))
    assert next(results) is None
    results.close()
    pool.close()
    assert not pool._workers[0].alive


@pytest.mark.parametrize('after', [0, 1])
def test_what_ends_a_thread_of_the_pool_reaches_whoever_waits(small, monkeypatch, after):
    started, real = [], worker_process.Child.__init__

    def starting(one, *arguments):
        started.append(one)
        if len(started) > after:
            raise RuntimeError("can't start new thread")
        real(one, *arguments)

    monkeypatch.setattr(worker_process.Child, '__init__', starting)
    pool = DecoderPool(2)
    # Of one million files, so that it ends only if it is told to.
    items = ((number, small[0]) for number in range(1_000_000))
    with pytest.raises(RuntimeError, match="can't start"):
        for _ in pool.prepare(items, PrepareOptions(PREPROCESSING)):
            pass
    pool.close()


def test_a_listing_that_fails_on_the_way_says_so(pool, small):
    def items():
        yield 0, small[0]
        raise KeyError('gone')

    with pytest.raises(KeyError, match='gone'):
        for _ in pool.prepare(items(), PrepareOptions(PREPROCESSING)):
            pass


def test_a_thread_that_cannot_be_started_is_said(monkeypatch):
    def start(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, 'start', start)
    with pytest.raises(RuntimeError, match="can't start"):
        next(DecoderPool(2).prepare(iter([]), PrepareOptions(PREPROCESSING)))


def test_as_many_as_there_are_cores():
    assert 1 <= len(DecoderPool()._workers) <= os.cpu_count()
    assert len(DecoderPool(3)._workers) == 3
