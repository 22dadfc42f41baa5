"""How much memory the decoding of a file may take, asked before that much is allocated.

In a decoder process that is what its parent granted for the file, see
`napari_cxr.workers.memory_budget`; elsewhere it is what is free on the machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from napari_cxr.messages import message_type
from napari_cxr.radiograph import UnreadableImage

__all__ = [
    'ENDED_FROM_OUTSIDE',
    'LATER',
    'MemoryNeed',
    'NotEnoughMemory',
    'check_memory',
    'free_memory',
    'granted',
    'is_passing',
]

#: What the radiograph itself takes beside its stored pixels, such as padding, in bytes a pixel;
#: and what a job that looks at it takes: floating point, small pictures, the lungs. Measured on
#: images of 9 to 36 megapixels, and rounded up.
_AT_ONCE, LATER = 2, 14

#: Bytes that any file may take besides.
_FIXED = 32 << 20

_granted: ContextVar[tuple[int, int] | None] = ContextVar('granted', default=None)

#: How the reasons begin that lie in the machine at that moment, and not in a file.
ENDED_FROM_OUTSIDE = 'The process that decoded this file was ended from outside'
_TOO_LITTLE = 'Decoding this image takes'


@message_type
@dataclass(frozen=True)
class MemoryNeed:
    """A decoder's answer in place of a result: the file needs more than was granted.

    Parameters
    ----------
    needed : int
        Bytes, by the file's header; 0 where they are not known, because what was granted ran
        out on the way.
    """

    needed: int


class NotEnoughMemory(UnreadableImage):
    """A file that needs more memory than can be had; another time it may fit.

    Parameters
    ----------
    needed : int
        Bytes; 0 where it is not known how many.
    available : int
        Bytes that can be had.
    """

    def __init__(self, needed: int, available: int) -> None:
        about = f'about {_size(needed)} of memory' if needed else 'more memory than there is'
        super().__init__(
            f'{_TOO_LITTLE} {about}, and decoders can have {_size(available)}: close other '
            'programs, or raise the limit if one is set, and try again.'
        )
        self.needed, self.available = needed, available


def is_passing(reason: str) -> bool:
    """Tell whether the reason why a file gave no image lies in the machine, not in the file."""
    return reason.startswith((ENDED_FROM_OUTSIDE, _TOO_LITTLE))


def _size(count: int) -> str:
    return f'{count / 1e9:.1f} GB' if count >= 1e9 else f'{count / 1e6:.0f} MB'


@contextmanager
def granted(allowance: int, later: int = LATER) -> Iterator[None]:
    """Bound what `check_memory` lets through.

    Parameters
    ----------
    allowance : int
        Bytes that a file may take.
    later : int
        Bytes that are taken for each pixel once the image is decoded.
    """
    token = _granted.set((allowance, later))
    try:
        yield
    finally:
        _granted.reset(token)


def check_memory(held: int, pixels: int = 0) -> None:
    """Refuse to go on with a file that would take more memory than it may.

    Parameters
    ----------
    held : int
        Bytes that decoding itself takes at once: what was read of the file, stored pixels,
        what lies between.
    pixels : int
        Pixels of all frames.

    Raises
    ------
    NotEnoughMemory
        If it is too much.
    """
    allowance, later = _granted.get() or (free_memory(), 0)
    needed = _FIXED + held + (_AT_ONCE + later) * pixels
    if needed > allowance:
        raise NotEnoughMemory(needed, allowance)


def free_memory(
    groups: Path = Path('/proc/self/cgroup'), mounted: Path = Path('/sys/fs/cgroup')
) -> int:
    """Return how many bytes can still be had on this machine, or in this container.

    Parameters
    ----------
    groups : Path
        Where Linux lists the control groups of this process.
    mounted : Path
        Where it shows them.
    """
    import psutil

    free = int(psutil.virtual_memory().available)
    return max(0, min([free, *_free_in_groups(groups, mounted)]))


def _free_in_groups(groups: Path, mounted: Path) -> Iterator[int]:
    """Yield what each control group that limits this process has left.

    https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files, and
    https://docs.kernel.org/admin-guide/cgroup-v1/memory.html for the older kind.
    """
    try:
        lines = groups.read_text(encoding='utf-8').splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        _, _, rest = line.partition(':')
        controllers, _, path = rest.partition(':')
        if not controllers:
            root, names = mounted, ('memory.max', 'memory.current', 'inactive_file')
        elif 'memory' in controllers.split(','):
            root = mounted / 'memory'
            names = 'memory.limit_in_bytes', 'memory.usage_in_bytes', 'total_inactive_file'
        else:
            continue
        # In a container the path may be the host's, and only the root is there.
        parts = [part for part in path.split('/') if part not in ('', '.', '..')]
        for depth in range(len(parts) + 1):
            left = _free_in_group(root.joinpath(*parts[:depth]), *names)
            if left is not None:
                yield left


def _free_in_group(group: Path, limit: str, usage: str, cached: str) -> int | None:
    """Return what a group has left; files that the kernel can drop from its cache are free."""
    try:
        most = int((group / limit).read_text())  # the word "max" where there is no limit
        used = int((group / usage).read_text())
        entries = dict(
            line.split(' ', 1) for line in (group / 'memory.stat').read_text().splitlines()
        )
        return most - max(used - int(entries.get(cached, 0)), 0)
    except (OSError, ValueError):
        return None
