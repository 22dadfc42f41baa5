"""No slot of the GUI thread waits for a worker: held by reading the code, and by running it."""

import ast
from pathlib import Path

import pytest

import napari_cxr.plugin

PLUGIN = Path(napari_cxr.plugin.__file__).parent
#: What waits: running or calling a job, reading through the decoder, and Qt's and Python's waits.
WAITING = {
    'run',
    'call',
    'read',
    'describe',
    'sleep',
    'wait',
    'waitForDone',
    'acquire',
    'find_lungs',
}
#: napari asks a reader, or a sample, for its layers in the GUI thread, and wants them when it
#: returns.
SYNCHRONOUS_BY_NAPARI = {'reader.py', 'sample_data.py', 'demo.py'}
#: Runs when Python ends.
FAREWELL = {'end_worker'}


def waits(function: ast.AST) -> set[str]:
    """Names of the waiting methods that a function calls itself."""
    found = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            of_a_thread = node.func.attr == 'join' and not node.args  # a string's takes one
            if node.func.attr in WAITING or of_a_thread:
                found.add(node.func.attr)
    return found


def is_job(function: ast.FunctionDef) -> bool:
    """Whether it is a generator: calling one runs nothing, and `run_job` drives it in a thread."""
    return any(isinstance(node, ast.Yield | ast.YieldFrom) for node in ast.walk(function))


@pytest.mark.parametrize(
    'path',
    sorted(path for path in PLUGIN.rglob('*.py') if path.name not in SYNCHRONOUS_BY_NAPARI),
    ids=lambda path: str(path.relative_to(PLUGIN)),
)
def test_only_jobs_wait(path):
    for node in ast.walk(ast.parse(path.read_text('utf-8'))):
        if isinstance(node, ast.FunctionDef) and not is_job(node) and node.name not in FAREWELL:
            assert not waits(node), f'{path}: {node.name} waits'


def test_the_reading_of_the_code_sees_a_wait():
    bad = ast.parse("def slot(self):\n    shared_torch().call('classify')")
    assert waits(bad) == {'call'}


def test_jobs_never_run_in_the_gui_thread(qtbot, dock, monkeypatch):
    import threading

    import numpy as np

    from napari_cxr.workers.worker_process import WorkerProcess

    real, threads = WorkerProcess.run, []

    def run(self, job, **arguments):
        threads.append(threading.current_thread() is threading.main_thread())
        return real(self, job, **arguments)

    monkeypatch.setattr(WorkerProcess, 'run', run)
    dock.viewer.add_image(np.zeros((80, 80), np.uint8))
    with qtbot.waitSignal(dock.settled, timeout=150_000):
        dock.classify()
    assert threads and not any(threads)
