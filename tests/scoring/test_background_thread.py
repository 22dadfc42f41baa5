"""Work in a thread, which nobody has to wait for."""

import subprocess
import sys
import threading

import pytest

from napari_cxr.scoring.background_thread import BackgroundThread, in_background


def drive(waiting):
    beats = 0
    while True:
        try:
            next(waiting)
        except StopIteration as end:
            return beats, end.value
        beats += 1


def test_the_result_comes_and_time_passes_meanwhile():
    go_on = threading.Event()
    waiting = in_background(lambda _: go_on.wait(60) and 7)
    assert next(waiting) is None
    go_on.set()
    assert drive(waiting)[1] == 7


def test_what_it_raises_is_raised_to_whoever_waits():
    def fail(_):
        raise KeyError('x')

    with pytest.raises(KeyError):
        drive(in_background(fail))


def test_closed_it_tells_the_work_and_waits_a_moment():
    ended = []

    def work(unwanted):
        unwanted.wait(60)
        ended.append(True)

    waiting = in_background(work)
    next(waiting)
    waiting.close()
    assert ended == [True]


def test_one_looks_without_waiting():
    go_on = threading.Event()
    work = BackgroundThread(lambda _: go_on.wait(60))
    assert not work.ended()
    go_on.set()
    assert work.ended(60) and work.result() is True


def test_the_program_does_not_end_before_what_cannot_bear_it():
    code = (
        'import threading\n'
        'from napari_cxr.scoring.background_thread import in_background\n'
        'left = threading.Event()\n'
        'def work(unwanted):\n'
        '    left.wait(60)\n'
        '    threading.main_thread().join()\n'
        "    print('done', flush=True)\n"
        'waiting = in_background(work, daemon=False)\n'
        'next(waiting)\n'
        'left.set()\n'
        'waiting.close()\n'
    )
    ended = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert (ended.stdout, ended.stderr, ended.returncode) == ('done\n', '', 0)
