"""The decoder's jobs: from a file to a radiograph, where a hostile file can do no harm."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from napari_cxr import files
from napari_cxr.radiograph import Radiograph

__all__ = ['decode', 'describe', 'limit_memory', 'read', 'ready']

#: Enough for a 200-megapixel radiograph in floating point; a bomb ends here.
MEMORY_LIMIT = 6 * 1024**3


def limit_memory() -> None:
    """Bound the address space of this process, where the system allows it."""
    try:
        import resource
    except ImportError:  # Windows
        return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = MEMORY_LIMIT if hard == resource.RLIM_INFINITY else min(MEMORY_LIMIT, hard)
    try:
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    except (ValueError, OSError):  # macOS refuses a limit on the address space
        return


def ready() -> bool:
    """Answer, so that a caller knows that the imports are done."""
    return True


def read(path: str) -> Radiograph:
    """Read one file; see `napari_cxr.files.read`."""
    return files.read(path)


def describe(path: str) -> dict[str, Any]:
    """Read one file and return what its header and pixels say, without the pixels."""
    return files.describe(files.read(path))


def decode(path: str, preprocessing: dict[str, Any], bits: int) -> dict[str, Any]:
    """Read one file for training; see `napari_cxr.training.cache.decode`."""
    from napari_cxr.inference.preprocessing import Preprocessing
    from napari_cxr.training import cache

    decoded = cache.decode(path, Preprocessing.from_dict(preprocessing), bits)
    return {field.name: getattr(decoded, field.name) for field in fields(decoded)}
