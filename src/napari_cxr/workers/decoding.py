"""Reading files through a decoder process, for callers that want a radiograph or an error."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from napari_cxr.radiograph import Radiograph, UnreadableImage
from napari_cxr.workers.process import JobFailed, WorkerDied, WorkerProcess

__all__ = ['Decoder', 'shared_decoder']

T = TypeVar('T')


class Decoder:
    """A decoder process that is replaced when a file kills or hangs it.

    Parameters
    ----------
    timeout : float
        Seconds that one file may take.
    """

    def __init__(self, timeout: float = 60.0) -> None:
        self._worker = WorkerProcess('decoder')
        self._timeout = timeout

    def start(self) -> None:
        """Start the process ahead of the first file; returns at once."""
        self._worker.start()

    def read(self, path: str | Path) -> Radiograph:
        """Read one image file of any kind.

        Raises
        ------
        UnreadableImage
            If it holds no image, or the decoder died or took too long.
        """
        return self._call('read', path)

    def describe(self, path: str | Path) -> dict[str, Any]:
        """Return what `napari-cxr info` prints; raises as `read`."""
        return self._call('describe', path)

    def close(self) -> None:
        """End the process."""
        self._worker.close()

    def _call(self, job: str, path: str | Path) -> Any:
        try:
            return self._worker.call(job, timeout=self._timeout, path=str(path))
        except JobFailed as error:
            if error.kind == UnreadableImage.__name__:
                raise UnreadableImage(str(error)) from None
            if error.kind == 'MemoryError':
                raise UnreadableImage('Decoding it would take too much memory.') from None
            raise UnreadableImage(f'It could not be decoded ({error.kind}).') from error
        except WorkerDied as error:
            raise UnreadableImage(f'The decoder had to give up on this file. {error}') from error
        except OSError as error:
            raise UnreadableImage(f'No decoder could be started: {error.strerror}.') from error


@cache
def shared_decoder() -> Decoder:
    """Return the decoder that this process uses for single files."""
    return Decoder()
