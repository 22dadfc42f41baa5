"""The state of a network in a file of torch or safetensors, as arrays; needs no torch.

torch writes two forms: since 1.6 a zip archive with a pickle and one entry a storage, before
that pickles one after the other and then the storages. Both hold a pickle that Python would
run; here `Machine` reads it. Arrays are views of the mapped file, so what is described but
not used costs nothing.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from napari_cxr.checkpoint.foreign.legacy_form import read_legacy
from napari_cxr.checkpoint.foreign.refusal import ForeignFileError
from napari_cxr.checkpoint.foreign.safetensors_form import is_safetensors, read_safetensors
from napari_cxr.checkpoint.foreign.walk import state_of
from napari_cxr.checkpoint.foreign.zip_form import read_zip

__all__ = ['LARGEST_FILE', 'ForeignState', 'read_state']

#: Bytes. The largest network that can be cut into stages here has about 1.4 GB.
LARGEST_FILE = 2 << 30


@dataclass(frozen=True, eq=False)
class ForeignState:
    """What a file says of a network.

    Parameters
    ----------
    tensors : dict of str to ndarray
        By name. Views of the file, of the type that they are stored in; bfloat16 as float32.
    attributes : dict
        Texts, numbers and lists of them that the network itself carries, where the file
        holds a whole network; such as the names of its labels.
    form : {'zip', 'legacy', 'safetensors'}
        How the file is written.
    """

    tensors: dict[str, np.ndarray]
    attributes: dict[str, Any] = field(default_factory=dict)
    form: str = ''


def read_state(path: str | Path) -> ForeignState:
    """Read the weights in a file that another program wrote, and run nothing of it.

    Parameters
    ----------
    path : str or Path
        A state dict, a whole network or a Lightning checkpoint that torch saved, in either
        of its forms; or a safetensors file.

    Raises
    ------
    ForeignFileError
        If it is none of these, asks for a name that is not on the list, is damaged, or is
        unreasonably large.
    """
    path = Path(path)
    try:
        with path.open('rb') as file:
            size = path.stat().st_size
            if not path.is_file():
                raise ForeignFileError(f'{path.name} is not a file.')
            if size > LARGEST_FILE:
                raise ForeignFileError(
                    f'{path.name} has {size / 1e9:.1f} GB, more than weights of a network need; '
                    'it was not opened.'
                )
            if size < 16:
                raise ForeignFileError(f'{path.name} is too small to hold weights.')
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise ForeignFileError(f'{path.name} cannot be read: {error.strerror}.') from error
    data = memoryview(mapped)  # lives as long as the arrays do
    try:
        return _read(path, data)
    except ForeignFileError as error:
        raise ForeignFileError(f'{path.name} was not read. {error}') from None


def _read(path: Path, data: memoryview) -> ForeignState:
    start = bytes(data[:2])
    if start == b'PK':
        found, arrays, form = *read_zip(path, data), 'zip'
    elif start[:1] == b'\x80':
        found, arrays, form = *read_legacy(data), 'legacy'
    elif is_safetensors(data):
        return ForeignState(read_safetensors(path), form='safetensors')
    else:
        raise ForeignFileError(
            'It is neither a file of torch (.pt, .pth, .ckpt) nor of safetensors.'
        )
    tensors, attributes = state_of(found, arrays)
    if not tensors:
        raise ForeignFileError('There are no weights in it.')
    return ForeignState(tensors, attributes, form)
