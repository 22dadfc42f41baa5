"""Converted stages are tried in a process of their own before they run in this one.

OpenVINO 2026.4 never comes back from preparing some networks for bfloat16 (seen with
`lung_texture`, whose kernels are long), and code made for a processor at run time can end a
process. Neither can be caught; a process can be ended.
"""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from napari_cxr.inference.engines import engine

__all__ = ['trying']

#: How often to look whether the process is done, in seconds.
_LOOK = 0.1


def trying(
    library: str,
    precision: str,
    onnx: bytes,
    threads: int,
    shape: Sequence[int],
    limit: float,
) -> Generator[str, None, None]:
    """Run one batch in a process of its own; yields the library's name while it runs.

    Parameters
    ----------
    library, precision, onnx, threads
        As of `napari_cxr.inference.engines.engine`.
    shape : sequence of int
        Of the batch.
    limit : float
        Seconds after which it is held to hang.

    Raises
    ------
    RuntimeError
        If it does not run there; the message says why.
    """
    with tempfile.TemporaryDirectory(prefix='napari-cxr-') as folder:
        path = Path(folder) / 'stages.onnx'
        path.write_bytes(onnx)
        process = subprocess.Popen(
            [
                *(sys.executable, '-P', '-m', __name__, library, precision, str(path)),
                *(str(number) for number in (math.ceil(limit), threads, *shape)),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            end = time.monotonic() + limit
            while process.poll() is None:
                if time.monotonic() > end:
                    raise RuntimeError(f'It was not ready after {limit:.0f} seconds.')
                yield library
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_LOOK)
        finally:
            process.kill()
            process.wait()
    if process.returncode:
        raise RuntimeError('It does not run this network.')


def _main() -> None:
    library, precision, path, limit, threads, *shape = sys.argv[1:]
    # What a terminal sends to all is the parent's to answer; should that be killed, this
    # ends nevertheless.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, 'alarm'):  # on Windows nothing like it
        signal.alarm(max(1, int(limit)))
    run = engine(library, precision, Path(path).read_bytes(), int(threads))
    run(np.zeros([int(n) for n in shape], np.float32))
    # Without what these libraries do at the end, which is not what is tried.
    os._exit(0)


if __name__ == '__main__':
    _main()
