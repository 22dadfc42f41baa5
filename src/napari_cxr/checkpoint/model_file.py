"""The file that holds a model: safetensors, with the card in its metadata.

The format is a header length (8 bytes, little endian), a JSON header with the name, type,
shape and place of each tensor, and the numbers; see https://huggingface.co/docs/safetensors.
The library checks that the places fit the file; everything here is checked before a network is
built from it: the shapes that the card's network would have are compared with those in the file
before anything of their size is allocated. A card can be replaced while the tensors stay byte
for byte what they are.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeVar

from safetensors import SafetensorError, safe_open

from napari_cxr.checkpoint.card import Card, CheckpointError
from napari_cxr.settings_file import open_regular

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from napari_cxr.networks import StagedNetwork

__all__ = [
    'CARD_KEY',
    'Checkpoint',
    'ModelFile',
    'digest',
    'load',
    'open_atomic',
    'open_model',
    'read_card',
    'replace_card',
    'save',
    'write_atomic',
]

T = TypeVar('T')

#: Under which name the card stands in the file's metadata.
CARD_KEY = 'napari_cxr.card'

#: Bytes of a header, and tensors that it may name; the largest networks have a few thousand.
_LONGEST_HEADER = 8 << 20
_MOST_TENSORS = 20_000

#: Numbers by which a library's network may exceed a file and still be tried out: 400 MB.
_MORE = 100_000_000

#: Seconds of processor time that building a network from somebody's card may take.
_LONGEST_BUILD = 120.0

_NOT_ONE = '{} is not a .safetensors file, or it is cut off or damaged.'

_STORED = ('F16', 'F32', 'F64', 'I64')


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A model's card and its tensors.

    Parameters
    ----------
    card : Card
        What it is.
    tensors : dict of str to Tensor
        The network's state, floats in single precision, on the CPU.
    sha256 : str
        Of the file it was read from, in hexadecimal; empty if it was not.
    """

    card: Card
    tensors: dict[str, Tensor]
    sha256: str = ''

    def network(self) -> StagedNetwork:
        """Build the network and put the weights into it.

        Returns
        -------
        StagedNetwork
            On the CPU, in evaluation mode.

        Raises
        ------
        CheckpointError
            If there is no such architecture, the tensors do not fit it, or it takes minutes
            to build.
        """
        import torch

        from napari_cxr import networks

        card = self.card
        size = (card.preprocessing['height'], card.preprocessing['width'])
        plan = (card.architecture, len(card.labels), card.channels, size, card.head)
        try:
            with (
                torch.random.fork_rng(devices=[]),  # the random weights are thrown away
                networks.time_limit(_LONGEST_BUILD),
            ):
                wanted = networks.declared_shapes(*plan)
                if wanted is not None:
                    self._refuse_other_shapes(wanted)
                elif networks.library_elements(card.architecture, size) > self._elements + _MORE:
                    raise CheckpointError(
                        f'The weights of {card.name!r} do not fit {card.architecture}, which is '
                        'far larger than the file.'
                    )
                network = networks.create(*plan)
        except ValueError as error:
            raise CheckpointError(
                f'The model {card.name!r} needs a network that this version does not have: {error}'
            ) from None
        self._refuse_other_shapes({n: tuple(t.shape) for n, t in network.state_dict().items()})
        network.load_state_dict(self.tensors)
        return network.eval()

    @property
    def _elements(self) -> int:
        return sum(tensor.numel() for tensor in self.tensors.values())

    def _refuse_other_shapes(self, wanted: Mapping[str, tuple[int, ...]]) -> None:
        """Compare the tensors with what a network would have."""
        found = {name: tuple(t.shape) for name, t in self.tensors.items()}
        odd = sorted(n for n in wanted.keys() | found.keys() if wanted.get(n) != found.get(n))
        if odd:
            others = f' and {len(odd) - 1} other tensors are' if len(odd) > 1 else ' is'
            raise CheckpointError(
                f'The weights of {self.card.name!r} do not fit {self.card.architecture}: '
                f'{odd[0][:80]}{others} missing, unexpected or of another shape.'
            )

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the tensors as arrays."""
        return {name: tensor.numpy() for name, tensor in self.tensors.items()}


@dataclass(frozen=True, eq=False)
class ModelFile:
    """A model's card, and its weights where they lie: in its file. Needs no torch.

    Parameters
    ----------
    path : Path
        The file.
    card : Card
        What it is.
    sha256 : str
        Of the file, in hexadecimal.
    """

    path: Path
    card: Card
    sha256: str

    def network(self) -> StagedNetwork:
        """Build the network in torch; see `Checkpoint.network`."""
        checkpoint = load(self.path)
        if checkpoint.sha256 != self.sha256:
            raise CheckpointError(f'{self.path.name} has just been replaced; try again.')
        return checkpoint.network()

    def arrays(self) -> dict[str, np.ndarray]:
        """Read the tensors, floats in single precision; raises CheckpointError as `load`."""
        import numpy as np
        from safetensors.numpy import load as from_bytes

        arrays = dict(_read_tensors(self.path, from_bytes, self.sha256)[0])
        for name, array in arrays.items():
            if not np.isfinite(array).all():
                raise _not_finite(self.path, name)
            if array.dtype.kind == 'f':
                arrays[name] = array.astype(np.float32, copy=False)
        return arrays


def save(
    path: str | Path, tensors: Mapping[str, Tensor], card: Card, *, halve: bool = False
) -> None:
    """Write a checkpoint, whole or not at all.

    A power cut or a full disk leaves the file that was there before.

    Parameters
    ----------
    path : str or Path
        Where to; the folder must exist.
    tensors : mapping of str to Tensor
        A network's ``state_dict()``.
    card : Card
        What it is.
    halve : bool
        Whether to store matrices and kernels in half precision: a file of half
        the size, for shipping. Vectors (batch norm, biases) keep theirs.

    Raises
    ------
    CheckpointError
        If a number is not finite, or too large for half precision.
    OSError
        If it can't be written.
    """
    import torch
    from safetensors.torch import save as to_bytes

    stored = {}
    for name, tensor in tensors.items():
        value = tensor.detach().to('cpu').contiguous()
        if halve and value.ndim > 1 and value.is_floating_point():
            value = value.to(torch.float16)
        if not bool(torch.isfinite(value).all()):
            raise CheckpointError(
                f'The tensor {name!r} holds numbers that are not finite; nothing was saved.'
            )
        stored[name] = value
    # One entry only: of several the library writes a random order, and equal runs shall give
    # equal bytes.
    write_atomic(Path(path), to_bytes(stored, metadata={CARD_KEY: card.to_json()}))


def read_card(path: str | Path) -> Card:
    """Read the card of a checkpoint, and nothing else of it; needs no torch.

    Raises
    ------
    CheckpointError
        If the file is missing, is not a checkpoint, is cut off, or its card is wrong.
    """
    path = Path(path)
    shapes = {}
    try:
        with open_regular(path) as file:
            start, size = file.read(8), os.fstat(file.fileno()).st_size
        length = int.from_bytes(start, 'little')
        if len(start) < 8 or length > size - 8:
            raise CheckpointError(_NOT_ONE.format(path.name))
        if length > _LONGEST_HEADER:
            raise CheckpointError(f'{path.name} has a far longer header than a model has.')
        with safe_open(path, framework='numpy') as opened:
            metadata = opened.metadata() or {}
            names = opened.keys()
            if len(names) > _MOST_TENSORS:
                raise CheckpointError(f'{path.name} has far more tensors than a model has.')
            for name in names:
                part = opened.get_slice(name)
                shapes[name] = tuple(part.get_shape())
                if (kind := part.get_dtype()) not in _STORED:
                    raise CheckpointError(
                        f'{path.name} holds the tensor {name[:80]!r} of type {kind}, '
                        'which no model of napari-cxr has.'
                    )
    except OSError as error:
        raise CheckpointError(f'{path.name} cannot be read: {error.strerror}.') from error
    except SafetensorError:
        raise CheckpointError(_NOT_ONE.format(path.name)) from None
    if CARD_KEY not in metadata:
        raise CheckpointError(
            f'{path.name} has no model card: it was not made by napari-cxr, so the meaning of '
            'its outputs is unknown.'
        )
    try:
        card = Card.from_json(metadata[CARD_KEY])
        _refuse_other_outputs(card, set(shapes.values()))
    except CheckpointError as error:
        raise CheckpointError(f'{path.name}: {error}') from None
    return card


def _refuse_other_outputs(card: Card, shapes: set[tuple[int, ...]]) -> None:
    """Refuse a card whose labels or hidden layers are not those of the tensors.

    What can be told without building the network, and so without torch; the network's own
    shapes are compared when it is built.
    """
    outputs = 1 if card.head.get('single') else len(card.labels)
    widths = [*card.head.get('hidden', ()), outputs]
    for before, after in pairwise(widths):
        if (after, before) not in shapes:
            raise CheckpointError(
                f'The card speaks of a layer from {before:,} to {after:,} units, which the file '
                'does not hold.'
            )
    matrices = [shape for shape in shapes if len(shape) > 1]
    if matrices and not any(outputs in shape for shape in matrices):
        raise CheckpointError(
            f'The card lists {len(card.labels)} labels, but no tensor in the file has as many '
            'outputs.'
        )


def load(path: str | Path) -> Checkpoint:
    """Read a checkpoint. Nothing in the file is run or unpickled.

    Raises
    ------
    CheckpointError
        As `read_card`, and if a number in it is not finite.
    """
    card = read_card(path)
    import torch
    from safetensors.torch import load as from_bytes

    tensors, sha256 = _read_tensors(Path(path), from_bytes)
    for name, tensor in tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            raise _not_finite(Path(path), name)
        if tensor.is_floating_point():
            tensors[name] = tensor.float()
    return Checkpoint(card, tensors, sha256)


def open_model(path: str | Path) -> ModelFile:
    """Read the card of a model's file and its SHA-256; raises CheckpointError as `read_card`."""
    path = Path(path)
    card = read_card(path)
    try:
        return ModelFile(path, card, digest(path))
    except OSError as error:
        raise CheckpointError(f'{path.name} cannot be read: {error.strerror}.') from error


def _read_tensors(
    path: Path, from_bytes: Callable[[bytes], dict[str, T]], wanted: str = ''
) -> tuple[dict[str, T], str]:
    """Return the tensors of a file and its SHA-256, which must be the one that is wanted."""
    try:
        with open_regular(path) as file:
            content = file.read()
        sha256 = hashlib.sha256(content).hexdigest()
        if wanted and sha256 != wanted:
            raise CheckpointError(f'{path.name} has just been replaced; try again.')
        return from_bytes(content), sha256
    except OSError as error:
        raise CheckpointError(f'{path.name} cannot be read: {error.strerror}.') from error
    except SafetensorError:
        raise CheckpointError(_NOT_ONE.format(path.name)) from None


def _not_finite(path: Path, name: str) -> CheckpointError:
    return CheckpointError(f'{path.name} is damaged: {name[:80]!r} is not finite.')


def digest(path: str | Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, so that it survives a power cut; raises OSError."""
    with open_atomic(path) as file:
        file.write(content)


@contextmanager
def open_atomic(path: Path) -> Iterator[IO[bytes]]:
    """Give a file to write to, which takes its name only when all is written.

    Where writing ends with an exception, there is what was there before.

    Parameters
    ----------
    path : Path
        Its name; the folder must exist.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    # In the same folder, because os.replace is atomic within one file system only.
    handle, name = tempfile.mkstemp(prefix=f'.{path.name}.', suffix='.part', dir=path.parent)
    try:
        with os.fdopen(handle, 'wb') as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes a private file; a model is as readable as any other.
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise
    if hasattr(os, 'O_DIRECTORY'):  # so that the new name survives a power cut too
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


_ALIGNED = 8  # bytes; tensors begin at a multiple, as the format's own library has it


def replace_card(path: str | Path, card: Card) -> None:
    """Give a checkpoint another card; whole, or it keeps the one that it has.

    Only the header is written anew. Its entries keep their order, so the same card gives the
    same bytes each time, which the library's own writer does not promise.

    Parameters
    ----------
    path : str or Path
        The model's file.
    card : Card
        Its new card; labels, network and input stay those of the tensors.

    Raises
    ------
    CheckpointError
        If the file is not a checkpoint.
    ValueError
        If the card is of another network.
    OSError
        If it can't be written.
    """
    path = Path(path)
    before = read_card(path)
    for name in ('architecture', 'labels', 'channels', 'multilabel', 'head', 'preprocessing'):
        if getattr(before, name) != getattr(card, name):
            raise ValueError(f'{path.name} has another {name}; only its description can change')
    content = path.read_bytes()
    length = int.from_bytes(content[:8], 'little')
    header = json.loads(content[8 : 8 + length])
    metadata = header['__metadata__']
    header['__metadata__'] = {
        name: card.to_json() if name == CARD_KEY else metadata[name] for name in sorted(metadata)
    }
    written = json.dumps(header, ensure_ascii=False, separators=(',', ':')).encode()
    written += b' ' * (-len(written) % _ALIGNED)
    start = len(written).to_bytes(8, 'little')
    write_atomic(path, start + written + content[8 + length :])
