"""Weights in a safetensors file of another program."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from napari_cxr.checkpoint.foreign.refusal import ForeignFileError

__all__ = ['is_safetensors', 'read_safetensors']

_LONGEST_HEADER = 16 << 20
#: As numpy knows them; bfloat16 is read below.
_TYPES = {'F64': '<f8', 'F32': '<f4', 'F16': '<f2', 'I64': '<i8', 'I32': '<i4', 'U8': '<u1'}


def is_safetensors(data: memoryview) -> bool:
    """Return whether a file begins as one of safetensors: a length, and JSON of that length."""
    length = int.from_bytes(data[:8], 'little')
    return length <= min(len(data) - 8, _LONGEST_HEADER) and bytes(data[8:9]) == b'{'


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Return the tensors of a file; raises ForeignFileError where it is damaged."""
    found: dict[str, np.ndarray] = {}
    try:
        with safe_open(path, framework='numpy') as opened:
            places = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118
            for name, place in places.items():
                kind = place.get_dtype()
                if kind in _TYPES:
                    found[name] = opened.get_tensor(name)
                elif kind != 'BF16':
                    raise ForeignFileError(f'It holds a tensor of type {kind}, not of weights.')
            lacking = [name for name in places if name not in found]
        if lacking:
            found |= _halves(path, lacking)
    except (SafetensorError, OSError):
        raise ForeignFileError('It is cut off or damaged.') from None
    if not found:
        raise ForeignFileError('There are no weights in it.')
    return found


def _halves(path: Path, names: list[str]) -> dict[str, np.ndarray]:
    """Return tensors of bfloat16, which numpy does not know, in single precision."""
    with safe_open(path, framework='pt') as opened:
        return {name: opened.get_tensor(name).float().numpy() for name in names}
