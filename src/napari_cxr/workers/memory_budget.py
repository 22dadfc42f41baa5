"""All decoders together keep to the memory that is free: who may decode, with how much of it.

A file is let in with what most files need. A decoder that finds in a header that its file needs
more says so before it allocates anything, and the file is let in anew when that much is free.
Processes tell each other what they have granted, by a small file for each.
"""

from __future__ import annotations

import contextlib
import os
import stat
import struct
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from napari_cxr.decoding_memory import NotEnoughMemory, free_memory

__all__ = [
    'MEMORY',
    'SECONDS',
    'DecoderLimits',
    'Grant',
    'MemoryBudget',
    'SharedGrants',
    'given_limits',
    'limit_memory',
    'shared_budget',
    'take_limits',
]

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

#: Variables of the environment, which the options of commands and the preferences set.
MEMORY, SECONDS = 'NAPARI_CXR_DECODER_MEMORY', 'NAPARI_CXR_DECODER_SECONDS'

#: A file's time by the clock, as a multiple of the time that it may have a core.
TOTAL = 2

#: What a file is let in with at most and at least: a radiograph of 20 megapixels, or of 4.
USUAL, _LEAST = 512 << 20, 128 << 20

#: What of the free memory is left to others.
_SPARE = 0.1

#: How far the address space may grow beyond what was granted: thread stacks, libraries that are
#: loaded on the way. It is virtual, and next to none of it is memory.
_SLACK = 512 << 20

#: How often it is tried, a millisecond apart, to look at what others have: each takes less.
_KNOCKS = 10

#: How often it is looked whether there is room, and for how long decoders of other processes are
#: waited for where this one has none at work, in seconds.
_POLL, _PATIENCE = 0.05, 120.0


@dataclass(frozen=True)
class DecoderLimits:
    """What decoding may take.

    Parameters
    ----------
    memory : int
        Bytes for all decoders together; 0 for what is free.
    seconds : float
        For which one file may have a core. By the clock it may take `TOTAL` times as many,
        waits for a core and a second attempt included.
    """

    memory: int = 0
    seconds: float = 60.0

    @property
    def total(self) -> float:
        """Seconds by the clock."""
        return TOTAL * self.seconds

    @classmethod
    def from_environment(cls) -> DecoderLimits:
        """Read the limits that the person has set; see `MEMORY` (in GB) and `SECONDS`.

        Raises
        ------
        ValueError
            If one of them is no number, or none that makes sense.
        """
        return cls(
            int(1e9 * _number(MEMORY, 'GB', 0.0, 0.0, 1e6)),
            _number(SECONDS, 'seconds', cls.seconds, 1.0, 86_400.0),
        )


def given_limits() -> dict[str, str]:
    """Return what the environment says of limits, to be handed to another process."""
    return {name: os.environ[name] for name in (MEMORY, SECONDS) if name in os.environ}


def take_limits(given: dict[str, str]) -> None:
    """Let the environment of this process say what that of another says."""
    for name in (MEMORY, SECONDS):
        os.environ.pop(name, None)
        if name in given:
            os.environ[name] = given[name]


def _number(name: str, unit: str, default: float, least: float, most: float) -> float:
    text = os.environ.get(name, '').strip()
    try:
        value = float(text) if text else default
    except ValueError:
        value = float('nan')
    if not least <= value <= most:
        raise ValueError(
            f'{name} is {text!r}, which is not a number of {unit} from {least:g} to {most:g}: '
            'change it or unset it.'
        )
    return value


def limit_memory(allowance: int) -> None:
    """Bound the address space of this process, where the system allows it.

    Parameters
    ----------
    allowance : int
        Bytes by which it may grow. Where an estimate was wrong, the file ends here and not
        the machine.
    """
    try:
        import resource

        pages = int(Path('/proc/self/statm').read_text().split()[0])
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        limit = pages * resource.getpagesize() + allowance + _SLACK
        limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    except (ImportError, ValueError, OSError):  # Windows, and macOS, which has no such limit
        return


class Grant:
    """Memory that a file may take, until it is given back.

    Attributes
    ----------
    size : int
        Bytes.
    """

    def __init__(self, size: int, give_back: Callable[[Grant], None]) -> None:
        self.size = size
        self._give_back = give_back
        self._pid: int | None = None
        self._before = 0

    def watch(self, pid: int | None) -> None:
        """Take note of the process that will use it, if it is there already."""
        self._before = 0 if pid is None else _resident(pid)
        self._pid = pid if self._before else None

    @property
    def unused(self) -> int:
        """Bytes that are not allocated yet; the others are not free any more."""
        used = 0 if self._pid is None else _resident(self._pid) - self._before
        return self.size - min(max(used, 0), self.size)

    def __enter__(self) -> Grant:
        return self

    def __exit__(self, *_: object) -> None:
        self._give_back(self)


def _resident(pid: int) -> int:
    """Return the memory that a process holds, in bytes; 0 if it is gone."""
    import psutil

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


class MemoryBudget:
    """Lets files in, first come, first served, while there is memory for them.

    Parameters
    ----------
    free : callable
        Tells how many bytes are free.
    shared : SharedGrants, optional
        What decoders of other processes were granted.
    patience : float
        Seconds for which those are waited for.
    """

    def __init__(
        self,
        free: Callable[[], int] = free_memory,
        shared: SharedGrants | None = None,
        patience: float = _PATIENCE,
    ) -> None:
        self._free, self._shared, self._patience = free, shared, patience
        self._lock = threading.Condition()
        self._queue: deque[object] = deque()
        self._grants: set[Grant] = set()

    def admit(
        self, wanted: int = 0, *, decoders: int = 1, alone: bool = False
    ) -> Generator[None, None, Grant]:
        """Wait until a file may be decoded.

        Parameters
        ----------
        wanted : int
            Bytes that it needs; 0 for what files usually need, or less where there is less.
        decoders : int
            How many share the memory.
        alone : bool
            Whether to wait until nobody else decodes, and to get all there is.

        Returns
        -------
        generator
            Yields None while it waits; its return value is what it was granted, as a context
            manager.

        Raises
        ------
        NotEnoughMemory
            If nobody else decodes and still that much is not free.
        """
        ticket = object()
        began = time.monotonic()
        with self._lock:
            self._queue.append(ticket)
        try:
            while True:
                waited = time.monotonic() - began
                with self._lock:
                    grant = self._try(ticket, wanted, decoders, alone, waited)
                    if grant is not None:
                        return grant
                    self._lock.wait(_POLL)  # until another has come in or gone, or to look again
                yield None
        finally:
            with self._lock:
                self._queue.remove(ticket)
                self._lock.notify_all()

    def _try(
        self, ticket: object, wanted: int, decoders: int, alone: bool, waited: float
    ) -> Grant | None:
        if self._queue[0] is not ticket:
            return None
        with self._others() as others:
            if others is None:
                return None
            if waited > self._patience:  # what they hold is not free; what they may take is
                others = 0
            busy = sum(grant.size for grant in self._grants) + others
            # What a decoder has allocated of its grant is missing in what is free already. Of
            # other processes only their grants are known.
            promised = sum(grant.unused for grant in self._grants) + others
            free = int((1 - _SPARE) * self._free())
            limit = DecoderLimits.from_environment().memory
            most = min(free, limit) if limit else free
            room = max(min(free - promised, limit - busy) if limit else free - promised, 0)
            size = wanted or max(_LEAST, min(USUAL, most // decoders))
            if not wanted and room >= _LEAST:  # rather less than to wait; it may ask for more
                size = min(size, room)
            if busy and (alone or size > room):
                return None
            if wanted > room:
                raise NotEnoughMemory(wanted, room)
            if not wanted and (alone or size > room):
                size = room
            grant = Grant(size, self._take_back)
            self._grants.add(grant)
            self._tell()
            return grant

    def _take_back(self, grant: Grant) -> None:
        with self._lock:
            self._grants.discard(grant)
            self._tell()
            self._lock.notify_all()

    def _tell(self) -> None:
        if self._shared is not None:
            self._shared.tell(sum(grant.size for grant in self._grants))

    def _others(self) -> contextlib.AbstractContextManager[int | None]:
        return contextlib.nullcontext(0) if self._shared is None else self._shared.others()


class SharedGrants:
    """What processes of one person tell each other: how much memory their decoders may take.

    Each process has a file in one folder, which is locked as long as it lives; so what a killed
    process had told is not believed for ever.

    Parameters
    ----------
    folder : Path
        The folder, which is made if it is not there.
    """

    _FORM = struct.Struct('<q')

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        at = folder.lstat()
        if not stat.S_ISDIR(at.st_mode) or at.st_uid != os.getuid():
            raise PermissionError('another person has made this folder')
        self._folder = folder
        self._door = os.open(folder / 'door', os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        fcntl.flock(self._door, fcntl.LOCK_EX)  # nobody looks before the file is locked
        try:
            self._own, name = tempfile.mkstemp(prefix='grants-', dir=folder)
            self._path = Path(name)
            fcntl.flock(self._own, fcntl.LOCK_EX)
        finally:
            fcntl.flock(self._door, fcntl.LOCK_UN)

    @contextlib.contextmanager
    def others(self) -> Generator[int | None, None, None]:
        """Give what others were granted, who wait meanwhile; None while another is here."""
        for _ in range(_KNOCKS):
            with contextlib.suppress(OSError):
                fcntl.flock(self._door, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            time.sleep(0.001)
        else:  # it may be stopped
            yield None
            return
        try:
            paths = self._folder.glob('grants-*')
            yield sum(self._granted(path) for path in paths if path != self._path)
        finally:
            fcntl.flock(self._door, fcntl.LOCK_UN)

    def tell(self, size: int) -> None:
        """Tell others how much was granted here."""
        with contextlib.suppress(OSError):
            os.pwrite(self._own, self._FORM.pack(size), 0)

    def close(self) -> None:
        """Take the own file away."""
        for handle in (self._own, self._door):
            with contextlib.suppress(OSError):
                os.close(handle)
        self._path.unlink(missing_ok=True)

    def _granted(self, path: Path) -> int:
        try:
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        except OSError:
            return 0
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            path.unlink(missing_ok=True)  # its process is gone
        except OSError:
            told = os.read(handle, self._FORM.size)
            return max(0, *self._FORM.unpack(told)) if len(told) == self._FORM.size else 0
        finally:
            os.close(handle)
        return 0


@cache
def shared_budget() -> MemoryBudget:
    """Return the budget of this process's decoders, which knows of those of other processes."""
    shared = None
    if fcntl is not None:
        with contextlib.suppress(OSError):
            folder = Path(tempfile.gettempdir(), f'napari-cxr-memory-{os.getuid()}')
            shared = SharedGrants(folder)
    return MemoryBudget(shared=shared)
