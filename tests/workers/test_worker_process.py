"""The primitive, with a role that a test plants in the child."""

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from napari_cxr import messages
from napari_cxr.messages import SharedFolder
from napari_cxr.radiograph import Radiograph, View
from napari_cxr.workers import worker_process
from napari_cxr.workers.worker_process import JobFailed, WorkerDied, WorkerProcess

JOBS = """
    import os, sys, time
    import numpy as np
    from napari_cxr.workers import child

    def double(array): return array * 2
    def echo(value): return value
    def count(n):
        for i in range(n):
            yield i
        return 'counted'
    def fail(): raise ValueError('no such thing')
    def die(): os.abort()
    def sleep(seconds): time.sleep(seconds)
    def forever():
        while True:
            time.sleep(0.01)
            yield 'on'
    def chatter():
        print('library output'); os.write(1, b'more of it')
        return 'clean'
    def modules(): return sorted(sys.modules)
    def pid(): return os.getpid()
    def folder(): return os.getcwd()
    def seconds(): return os.environ.get('NAPARI_CXR_DECODER_SECONDS', 'not set')
    def unsendable(): return object()
    def flood():
        for _ in range(500): os.write(2, bytes(100_000))
        os.abort()
    def babble():
        import gc
        from napari_cxr.messages import Channel
        (channel,) = [o for o in gc.get_objects() if isinstance(o, Channel)]
        channel._outgoing.write(b'\\x05\\0\\0\\0[1,2]'); channel._outgoing.flush()
        time.sleep(60)
    child.jobs_of = lambda role: {f.__name__: f for f in (
        double, echo, count, seconds, fail, die, sleep, forever, chatter, modules, pid, unsendable,
        folder, flood, babble)}
"""


@pytest.fixture
def own_jobs(tmp_path, monkeypatch):
    """Give the workers of a test the jobs above."""
    (tmp_path / 'sitecustomize.py').write_text(textwrap.dedent(JOBS))
    monkeypatch.setenv('PYTHONPATH', str(tmp_path), prepend=os.pathsep)


@pytest.fixture
def worker(own_jobs):
    """A worker whose jobs are those above."""
    worker = WorkerProcess('torch')
    yield worker
    worker.close()


def test_arrays_go_and_come_back(worker):
    array = np.arange(300_000, dtype='>u2').reshape(3, -1)
    np.testing.assert_array_equal(worker.call('double', array=array), array * 2)
    small = np.array([[1.5, np.nan]], dtype=np.float32)
    np.testing.assert_array_equal(worker.call('double', array=small), small * 2)


def test_our_types_cross_unharmed(worker):
    radiograph = Radiograph.from_array(np.arange(64, dtype=np.uint16).reshape(8, 8))
    back = worker.call('echo', value={'a': (radiograph, View.LATERAL, None, 1e300)})
    got, view, nothing, number = back['a']
    assert isinstance(got, Radiograph) and got.presets == radiograph.presets
    np.testing.assert_array_equal(got.values, radiograph.values)
    assert view is View.LATERAL and nothing is None and number == 1e300


def test_nothing_is_left_in_shared_memory(worker):
    worker.call('double', array=np.zeros(100_000))
    folder = worker._child._channel._shared
    assert list(folder.iterdir()) == []
    worker.close()
    assert not folder.exists()


def test_events_come_in_order_and_the_result_last(worker):
    events, run = [], worker.run('count', n=5)
    while True:
        try:
            event = next(run)
        except StopIteration as end:
            assert end.value == 'counted'
            break
        if event is not None:
            events.append(event)
    assert events == [0, 1, 2, 3, 4]


def test_an_error_leaves_the_worker_alive(worker):
    with pytest.raises(JobFailed, match='no such thing') as caught:
        worker.call('fail')
    assert caught.value.kind == 'ValueError' and 'Traceback' in caught.value.details
    pid = worker.pid
    assert worker.call('echo', value=1) == 1 and worker.pid == pid


def test_a_worker_that_aborts_is_replaced(worker):
    with pytest.raises(WorkerDied) as caught:
        worker.call('die')
    assert 'exit code' in caught.value.details
    assert worker.call('echo', value='again') == 'again'


@pytest.mark.skipif(sys.platform == 'win32', reason='signals')
def test_killed_from_outside_while_idle(worker):
    pid = worker.call('pid')
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while worker.alive:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert worker.call('pid') != pid


def test_a_job_that_takes_too_long_is_ended(worker):
    with pytest.raises(WorkerDied, match='longer than'):
        worker.call('sleep', timeout=1.0, seconds=60)
    assert worker.call('echo', value=2) == 2


def test_waiting_for_a_core_does_not_count_but_for_so_long(worker, monkeypatch):
    worker.call('pid')
    began = time.monotonic()
    monkeypatch.setattr(worker_process, '_waited_for_core', lambda pid: time.monotonic() - began)
    assert worker.call('sleep', timeout=0.3, seconds=0.8) is None
    with pytest.raises(WorkerDied, match='longer than 1 s, waits for the processor included'):
        worker.call('sleep', timeout=0.3, total=1.0, seconds=60)
    assert time.monotonic() - began < 60


@pytest.mark.skipif(sys.platform == 'win32', reason='signals')
@pytest.mark.parametrize(
    ('number', 'from_outside'),
    [(signal.SIGKILL, True), (signal.SIGTERM, True), (signal.SIGABRT, False)],
)
def test_a_kill_from_outside_is_told_from_a_crash(worker, number, from_outside):
    pid, run = worker.call('pid'), worker.run('sleep', seconds=60)
    next(run)
    os.kill(pid, number)
    with pytest.raises(WorkerDied) as caught:
        list(run)
    assert caught.value.from_outside == from_outside


def test_what_we_end_ourselves_was_not_killed_from_outside(worker):
    run = worker.run('sleep', seconds=60)
    next(run)
    worker.close()
    with pytest.raises(WorkerDied) as closed:
        list(run)
    with pytest.raises(WorkerDied) as slow:
        worker.call('sleep', timeout=0.5, seconds=60)
    with pytest.raises(WorkerDied) as odd:
        worker.call('babble', timeout=20)
    assert not any(one.value.from_outside for one in (closed, slow, odd))


@pytest.mark.skipif(not os.path.exists('/proc/self/schedstat'), reason='only Linux tells')
def test_two_processes_on_one_core_wait_for_it():
    core = min(os.sched_getaffinity(0))
    busy = [subprocess.Popen([sys.executable, '-c', 'while True: pass']) for _ in range(2)]
    try:
        for process in busy:
            os.sched_setaffinity(process.pid, {core})
        deadline = time.monotonic() + 60
        while sum(worker_process._waited_for_core(process.pid) for process in busy) < 0.5:
            assert time.monotonic() < deadline
    finally:
        for process in busy:
            process.kill()
            process.wait()
    assert worker_process._waited_for_core(busy[0].pid) == 0


def test_limits_of_decoders_reach_a_process_that_runs_already(worker, monkeypatch):
    monkeypatch.delenv('NAPARI_CXR_DECODER_SECONDS', raising=False)
    assert worker.call('seconds') == 'not set'
    monkeypatch.setenv('NAPARI_CXR_DECODER_SECONDS', '7')
    assert worker.call('seconds') == '7'
    monkeypatch.delenv('NAPARI_CXR_DECODER_SECONDS')
    assert worker.call('seconds') == 'not set'


def test_closing_the_generator_cancels_and_keeps_the_worker(worker):
    run = worker.run('forever')
    assert any(event == 'on' for event in (next(run) for _ in range(1000)))
    pid = worker.pid
    run.close()
    assert worker.call('pid') == pid


def test_a_job_that_does_not_listen_is_killed(own_jobs):
    with closing(WorkerProcess('torch', grace=0.3)) as worker:
        pid = worker.call('pid')
        run = worker.run('sleep', seconds=60)
        assert next(run) is None  # a heartbeat, while there is nothing to report
        run.close()
        assert worker.call('pid') != pid


def test_closing_at_any_heartbeat_gives_the_turn_back(worker):
    first = worker.run('forever')
    next(first)
    waiting = worker.run('echo', value=1)
    assert next(waiting) is None  # for its turn
    waiting.close()
    first.close()
    after = worker.run('echo', value=2)
    with contextlib.suppress(StopIteration):  # it may be done already
        next(after)  # perhaps for the cancelled job
    after.close()
    assert worker.call('echo', value=3) == 3


def test_what_cannot_be_sent_hurts_no_one(worker, monkeypatch):
    pid = worker.call('pid')
    with pytest.raises(TypeError, match='cannot be sent'):
        worker.call('echo', value=object())
    assert worker.call('pid') == pid
    with pytest.raises(JobFailed, match='cannot be sent') as caught:
        worker.call('unsendable')
    assert caught.value.kind == 'TypeError' and worker.call('pid') == pid


def test_no_room_for_an_array_is_an_error_and_leaves_nothing(worker, monkeypatch):
    pid = worker.call('pid')
    folder = worker._child._channel._shared

    def full(path):
        raise OSError(28, 'No space left on device')

    class Array(np.ndarray):
        tofile = staticmethod(full)

    monkeypatch.setattr('numpy.ascontiguousarray', lambda a: a.view(Array))
    with pytest.raises(OSError, match='No space left'):
        worker.call('double', array=np.zeros(100_000))
    monkeypatch.undo()
    assert list(folder.iterdir()) == [] and worker.call('pid') == pid


def test_nonsense_from_the_worker_ends_it(worker):
    with pytest.raises(WorkerDied):
        worker.call('babble', timeout=20)
    assert worker.call('echo', value='again') == 'again'


def test_a_dropped_worker_takes_process_and_folder_along(own_jobs):
    worker = WorkerProcess('torch')
    pid, folder = worker.call('pid'), worker._child._channel._shared
    del worker
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not folder.exists()


def test_what_libraries_print_does_not_break_the_line(worker):
    assert worker.call('chatter') == 'clean'


def test_a_line_without_end_is_not_kept(worker):
    with pytest.raises(WorkerDied) as caught:
        worker.call('flood')
    assert len(caught.value.details) < 300_000, 'of 50 MB'


def test_a_process_that_cannot_be_started_leaves_no_folder(monkeypatch, tmp_path):
    monkeypatch.setattr(messages, '_memory_directory', lambda: str(tmp_path))
    monkeypatch.setattr(sys, 'executable', str(tmp_path / 'gone'))
    with pytest.raises(FileNotFoundError):
        WorkerProcess('decoder').start()
    assert not list(tmp_path.iterdir())


def test_a_process_that_cannot_be_killed_keeps_nobody(worker, monkeypatch):
    """It waits for a disk that has gone away."""
    worker.call('pid')
    one, killed = worker._child.process, []
    folder = worker._child._channel._shared
    waits = one.wait

    def wait(timeout=None):
        raise subprocess.TimeoutExpired('decoder', timeout)

    with monkeypatch.context() as patch:
        patch.setattr(one, 'wait', wait)
        patch.setattr(one, 'kill', lambda: killed.append(True))
        worker.close()
    assert killed and not folder.exists() and not worker.alive
    waits()


@pytest.mark.skipif(sys.platform == 'win32', reason='locks')
def test_what_killed_processes_left_is_removed_by_the_next(monkeypatch, tmp_path):
    monkeypatch.setattr(messages, '_memory_directory', lambda: str(tmp_path))
    messages._remove_what_is_left.cache_clear()
    left, alive = SharedFolder(), SharedFolder()
    young = tmp_path / f'{messages._PREFIX}young'
    other = tmp_path / 'napari-cxr-other'
    for folder in (left.path, alive.path, young, other):
        folder.mkdir(exist_ok=True)
        (folder / 'image.bin').write_bytes(b'pixels')
    for folder in (left.path, alive.path, other):
        os.utime(folder, (0, 0))
    os.close(left._lock)  # as the system does when a process ends
    SharedFolder().remove()
    assert left.path.exists(), 'it is looked for once in a process'
    messages._remove_what_is_left.cache_clear()
    SharedFolder().remove()
    assert set(tmp_path.iterdir()) == {alive.path, young, other}
    alive.remove()
    assert not alive.path.exists()


def test_two_threads_take_turns(worker):
    first = worker.run('forever')
    next(first)
    second = worker.run('echo', value='mine')
    assert next(second) is None
    first.close()
    with pytest.raises(StopIteration) as end:
        while True:
            next(second)
    assert end.value.value == 'mine'


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='process groups')
def test_the_child_ends_when_its_parent_has_gone(tmp_path):
    script = tmp_path / 'parent.py'
    script.write_text(
        'from napari_cxr.workers.worker_process import WorkerProcess\n'
        "import os; w = WorkerProcess('decoder'); w.call('ready')\n"
        'print(w.pid, flush=True); os._exit(0)\n'
    )
    out = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)
    pid = int(out.stdout)
    for _ in range(200):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail('the child outlived its parent')


@pytest.mark.skipif(sys.platform == 'win32', reason='signals')
def test_ctrl_c_is_for_the_parent(worker):
    pid = worker.call('pid')
    os.kill(pid, signal.SIGINT)
    assert worker.call('pid') == pid
    os.kill(pid, signal.SIGINT)
    assert worker.call('sleep', seconds=0) is None and worker.call('pid') == pid


@pytest.mark.parametrize(
    ('role', 'held'), [('decoder', ''), ('inference', ''), ('torch', 'torch')]
)
def test_each_role_holds_what_it_needs(role, held):
    """torchvision takes as long to import as torch does."""
    code = (
        'import sys; from napari_cxr.workers.child import jobs_of; jobs_of(sys.argv[1]); '
        "print(*{'torch', 'torchvision', 'timm'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, '-c', code, role], capture_output=True, text=True)
    assert done.stdout.strip() == held, done.stderr


def test_an_unknown_class_is_refused():
    from napari_cxr.messages import Channel

    channel = Channel(None, None, None, 'x')
    with pytest.raises(KeyError):
        channel._unpack({'type': 'Popen', 'fields': {}})
    with pytest.raises(TypeError, match='cannot be sent'):
        channel._pack(object(), [])


def test_relative_paths_begin_where_they_do_for_the_parent(worker, tmp_path, monkeypatch):
    """A notebook changes folders while the process goes on."""
    for name in ('one', 'two'):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        assert Path(worker.call('folder')) == tmp_path / name
    (tmp_path / 'two').rmdir()
    assert worker.call('double', array=np.array([2])) == 4
