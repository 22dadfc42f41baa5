"""Who may decode, with how much memory; the machine's memory is a number that the test gives."""

import os
import threading
import time

import pytest

from napari_cxr.decoding_memory import NotEnoughMemory
from napari_cxr.workers import memory_budget
from napari_cxr.workers.memory_budget import USUAL, DecoderLimits, MemoryBudget, SharedGrants

MB = 1_000_000


def admitted(budget, *arguments, **options):
    """Return a grant, or None where it would have to be waited for."""
    attempt = budget.admit(*arguments, **options)
    try:
        next(attempt)
    except StopIteration as end:
        return end.value
    attempt.close()
    return None


@pytest.fixture
def budget():
    return MemoryBudget(lambda: 1000 * MB)  # of which 900 are given out


def test_the_sum_of_what_is_granted_stays_within_what_is_free(budget):
    first = admitted(budget, 400 * MB)
    second = admitted(budget, 400 * MB)
    assert first.size == second.size == 400 * MB
    assert admitted(budget, 200 * MB) is None
    with first:
        pass
    assert admitted(budget, 500 * MB).size == 500 * MB


def test_what_a_decoder_has_allocated_counts_once(monkeypatch):
    held = {7: 80 * MB}
    monkeypatch.setattr(memory_budget, '_resident', lambda pid: held.get(pid, 0))
    # 900 MB may be used of 1000 MB; what the decoder takes is missing in what is free.
    budget = MemoryBudget(lambda: 1000 * MB - (held.get(7, 80 * MB) - 80 * MB))
    with admitted(budget, 400 * MB) as grant:
        grant.watch(7)
        assert grant.unused == 400 * MB
        held[7] += 300 * MB
        assert grant.unused == 100 * MB
        # 90 % of 700 MB are 630 MB, of which 100 MB are promised.
        with admitted(budget, 530 * MB) as other:
            assert admitted(budget, 1 * MB) is None
        assert other.unused == 530 * MB
        monkeypatch.setenv(memory_budget.MEMORY, '0.5')  # a person's limit counts what was granted
        assert admitted(budget, 101 * MB) is None
        monkeypatch.delenv(memory_budget.MEMORY)
        del held[7]  # it was killed
        assert grant.unused == 400 * MB


def test_what_never_fits_is_refused_once_nobody_else_decodes(budget):
    with admitted(budget, 100 * MB):
        assert admitted(budget, 950 * MB) is None, 'more may be free when the other is done'
    with pytest.raises(NotEnoughMemory, match=r'about 950 MB .* can have 900 MB'):
        admitted(budget, 950 * MB)


def test_an_unknown_file_gets_its_share_and_the_last_one_less(budget):
    assert admitted(MemoryBudget(lambda: 64 << 30), decoders=8).size == USUAL
    grants = [admitted(budget, decoders=4) for _ in range(5)]
    assert [grant and grant.size for grant in grants] == [225 * MB] * 4 + [None]
    for grant in grants[:2]:
        with grant:
            pass
    assert admitted(budget).size == 450 * MB, 'rather less than to wait'
    assert admitted(MemoryBudget(lambda: 50 * MB)).size == 45 * MB, 'alone it may try'


def test_alone_means_that_nobody_else_decodes_and_all_there_is(budget):
    with admitted(budget, 100 * MB):
        assert admitted(budget, alone=True) is None
    with admitted(budget, alone=True) as all_of_it:
        assert all_of_it.size == 900 * MB
        assert admitted(budget, 10 * MB) is None
    assert admitted(budget, 10 * MB).size == 10 * MB


def test_first_come_first_served(budget):
    """A large file is not kept waiting by small ones that would still fit."""
    running = admitted(budget, 500 * MB)
    large = budget.admit(600 * MB)
    next(large)
    assert admitted(budget, 10 * MB) is None
    with running:
        pass
    with pytest.raises(StopIteration) as end:
        next(large)
    assert end.value.value.size == 600 * MB
    assert admitted(budget, 10 * MB).size == 10 * MB


def test_who_no_longer_waits_keeps_nobody(budget):
    running = admitted(budget, 500 * MB)
    large = budget.admit(600 * MB)
    next(large)
    large.close()
    assert admitted(budget, 300 * MB).size == 300 * MB
    with running:
        pass


def test_a_limit_of_the_person_goes_before_what_is_free(budget, monkeypatch):
    monkeypatch.setenv('NAPARI_CXR_DECODER_MEMORY', '0.3')
    with admitted(budget, 200 * MB):
        assert admitted(budget, 200 * MB) is None
    with pytest.raises(NotEnoughMemory, match='can have 300 MB'):
        admitted(budget, 400 * MB)


@pytest.mark.parametrize('text', ['much', '-1', 'nan'])
def test_a_limit_that_is_no_number_is_said(monkeypatch, text):
    monkeypatch.setenv('NAPARI_CXR_DECODER_MEMORY', text)
    with pytest.raises(ValueError, match='not a number of GB from 0'):
        DecoderLimits.from_environment()


def test_what_is_set_nowhere_is_all_that_is_free_and_two_minutes(monkeypatch):
    for name in (memory_budget.MEMORY, memory_budget.SECONDS):
        monkeypatch.delenv(name, raising=False)
    limits = DecoderLimits.from_environment()
    assert (limits.memory, limits.seconds, limits.total) == (0, 60.0, 120.0)


needs_locks = pytest.mark.skipif(memory_budget.fcntl is None, reason='file locks')


@needs_locks
def test_processes_know_what_others_were_granted(tmp_path):
    ours = MemoryBudget(lambda: 1000 * MB, SharedGrants(tmp_path / 'grants'))
    theirs = MemoryBudget(lambda: 1000 * MB, SharedGrants(tmp_path / 'grants'))
    grant = admitted(theirs, 600 * MB)
    assert admitted(ours, 400 * MB) is None
    assert admitted(ours, 300 * MB).size == 300 * MB
    with grant:
        assert admitted(ours, alone=True) is None


@needs_locks
def test_others_that_never_end_are_waited_for_only_so_long(tmp_path):
    theirs = MemoryBudget(lambda: 1000 * MB, SharedGrants(tmp_path / 'grants'))
    kept = admitted(theirs, 600 * MB)
    ours = MemoryBudget(lambda: 1000 * MB, SharedGrants(tmp_path / 'grants'), patience=0.2)
    attempt, began = ours.admit(400 * MB), time.monotonic()
    with pytest.raises(StopIteration) as end:
        while True:
            next(attempt)
    assert end.value.value.size == 400 * MB and time.monotonic() - began >= 0.2
    with kept:
        pass


@needs_locks
def test_what_a_process_that_was_killed_had_told_is_not_believed(tmp_path):
    folder = tmp_path / 'grants'
    gone, ours = SharedGrants(folder), SharedGrants(folder)
    gone.tell(900 * MB)
    with ours.others() as told:
        assert told == 900 * MB
    os.close(gone._own)  # as the system does when a process ends
    with ours.others() as told:
        assert told == 0
    assert not gone._path.exists()
    ours.close()
    assert not ours._path.exists()


@needs_locks
def test_two_processes_do_not_decide_at_once(tmp_path):
    ours, theirs = SharedGrants(tmp_path / 'grants'), SharedGrants(tmp_path / 'grants')
    with ours.others() as told:
        assert told == 0
        with theirs.others() as meanwhile:
            assert meanwhile is None
    with theirs.others() as after:
        assert after == 0


@needs_locks
def test_a_folder_of_another_kind_is_not_used(tmp_path):
    (tmp_path / 'elsewhere').mkdir()
    (tmp_path / 'grants').symlink_to(tmp_path / 'elsewhere')
    with pytest.raises(PermissionError):
        SharedGrants(tmp_path / 'grants')


def test_many_threads_never_have_more_than_there_is(budget):
    lock, now, most = threading.Lock(), [], []

    def decode():
        attempt = budget.admit(250 * MB)
        try:
            while True:
                next(attempt)
        except StopIteration as end:
            with end.value as grant:
                with lock:
                    now.append(grant.size)
                    most.append(sum(now))
                time.sleep(0.01)
                with lock:
                    now.remove(grant.size)

    threads = [threading.Thread(target=decode) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) == 12 and max(most) <= 900 * MB
