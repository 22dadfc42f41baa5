"""Converted stages are tried in a process of their own before they run in this one.

OpenVINO 2026.4 never comes back from preparing some networks for bfloat16 (seen with
`lung_texture`, whose kernels are long), and code made for a processor at run time can end a
process. Neither can be caught; a process can be ended. So it also says how they answer and
how long they take, and only the library that is chosen is ever loaded in this process.
"""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from napari_cxr.inference.backends.runtimes import create_runtime

if TYPE_CHECKING:
    from napari_cxr.inference.backends.backend import Backend

__all__ = ['NotInTime', 'Trial', 'Tried']

#: Batches that are timed, and the seconds after which no further one is.
_ROUNDS, _ENOUGH = 7, 0.3
#: Whether a process can be ended when its time is up; on Windows there is nothing like it.
_SIGNALS = hasattr(signal, 'setitimer')


class NotInTime(RuntimeError):
    """It was not ready in time, which on a busy machine says nothing."""


@dataclass(frozen=True)
class Tried:
    """How converted stages answer, and what they cost.

    Parameters
    ----------
    outputs : tuple of ndarray
        Of the stages.
    ready, seconds : float
        Processor time until a batch could run, and of a batch.
    """

    outputs: tuple[np.ndarray, ...]
    ready: float
    seconds: float


class Trial:
    """A process that runs a batch, and times some more.

    Parameters
    ----------
    way : Way
        Its library, and what that computes in.
    onnx, threads
        As of `napari_cxr.inference.backends.runtimes.create_runtime`.
    x : ndarray of float32, shape (N, channels, height, width)
        The batch.
    limit : float
        Seconds of processor time after which it is held to hang; of time by the clock it
        may take twice as much.
    """

    def __init__(
        self, way: Backend, onnx: bytes, threads: int, x: np.ndarray, limit: float
    ) -> None:
        self.way = way
        self._limit = limit
        self._until = time.monotonic() + 2 * limit
        self._folder = tempfile.TemporaryDirectory(prefix='napari-cxr-')
        try:
            folder = Path(self._folder.name)
            (folder / 'stages.onnx').write_bytes(onnx)
            np.save(folder / 'x.npy', x)
            words = (way.library, way.precision, str(folder))
            numbers = (str(max(1, math.ceil(limit))), str(threads))
            self._process = subprocess.Popen(
                [sys.executable, '-P', '-m', __name__, *words, *numbers],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                creationflags=getattr(subprocess, 'CREATE_NO_WINDOW', 0),
            )
        except BaseException:
            self._folder.cleanup()
            raise

    def ended(self, within: float) -> bool:
        """Tell whether it has come to its end, within so many seconds.

        Raises
        ------
        NotInTime
            If it has not although it should have.
        """
        try:
            self._process.wait(within)
        except subprocess.TimeoutExpired:
            if time.monotonic() > self._until:
                raise NotInTime(f'It was not ready after {2 * self._limit:.0f} seconds.') from None
            return False
        return True

    def result(self) -> Tried:
        """Return what came of it; raises RuntimeError if it does not run there."""
        if _SIGNALS and self._process.returncode == -signal.SIGPROF:
            raise RuntimeError(f'It was not ready after {self._limit:.0f} seconds of work.')
        if self._process.returncode:
            raise RuntimeError('It does not run this network.')
        folder = Path(self._folder.name)
        said = json.loads((folder / 'said.json').read_text())
        with np.load(folder / 'outputs.npz', allow_pickle=False) as outputs:
            return Tried(tuple(outputs.values()), said['ready'], said['seconds'])

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()


def _main() -> None:
    library, precision, folder, limit, threads = sys.argv[1:]
    # What a terminal sends to all is the parent's to answer; should that be killed, this
    # ends nevertheless.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if _SIGNALS:
        signal.setitimer(signal.ITIMER_PROF, int(limit))
        signal.alarm(3 * int(limit))
    x = np.load(Path(folder, 'x.npy'), allow_pickle=False)
    onnx = Path(folder, 'stages.onnx').read_bytes()
    begun = time.process_time()
    run = create_runtime(library, precision, onnx, int(threads), batch=len(x))
    ready = time.process_time() - begun
    outputs = run(x)
    if _SIGNALS:  # while it is set, the clock of the processor's time goes by jumps
        signal.setitimer(signal.ITIMER_PROF, 0)
    times: list[float] = []
    while len(times) < _ROUNDS and sum(times) < _ENOUGH:
        begun = time.process_time()
        run(x)
        times.append(time.process_time() - begun)
    np.savez(Path(folder, 'outputs.npz'), *outputs)
    Path(folder, 'said.json').write_text(json.dumps({'ready': ready, 'seconds': median(times)}))
    # Without what these libraries do at the end, which is not what is tried.
    os._exit(0)


if __name__ == '__main__':
    _main()
