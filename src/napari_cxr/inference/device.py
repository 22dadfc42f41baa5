"""Which processor the network runs on, and why; and what happens when its memory is full.

A full memory is recognised whoever reports it, and batches are halved until they fit. torch is
imported only where a GPU may be there, since importing it takes seconds and hundreds of megabytes.
"""

from __future__ import annotations

import ctypes
import platform
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from napari_cxr.output_text import get_logger

__all__ = [
    'Device',
    'DeviceUnavailable',
    'OutOfMemory',
    'choose_device',
    'is_out_of_memory',
    'may_use_gpu',
    'raising_out_of_memory',
    'run_in_batches_that_fit',
    'supports_bfloat16',
    'use_full_precision',
]


class DeviceUnavailable(Exception):
    """The requested device is not available; the message says which ones are."""


@dataclass(frozen=True)
class Device:
    """A device and the reason for it.

    Parameters
    ----------
    name : str
        As torch writes it: 'cuda:0', 'mps', 'cpu'.
    reason : str
        A few plain words: the GPU's name, or why it is the CPU.
    """

    name: str
    reason: str


def choose_device(name: str = 'auto') -> Device:
    """Return the device that a person chose, if it is available.

    Parameters
    ----------
    name : str
        'auto', 'cpu', 'cuda', 'cuda:N' or 'mps'.

    Raises
    ------
    DeviceUnavailable
        If it names a device that this machine, or this build of torch, lacks.
    """
    if name == 'auto':
        if reason := _why_no_gpu():
            return Device('cpu', f'CPU: {reason}')
        reason = _why_not_cuda()
        for candidate in ('cuda', 'mps'):
            if _is_there(candidate):
                try:
                    return choose_device(candidate)
                except DeviceUnavailable as unavailable:
                    reason = str(unavailable)
        return Device('cpu', f'CPU: {reason}')
    if name == 'cpu':
        return Device('cpu', 'CPU, as chosen')
    if name == 'mps':
        if not _is_there('mps'):
            raise DeviceUnavailable('This machine has no Apple GPU that torch can use.')
        return _tried(Device('mps', 'Apple GPU'))
    kind, _, index = name.partition(':')
    if kind != 'cuda' or (index and not index.isdecimal()):
        raise DeviceUnavailable(
            f'There is no device {name!r}: choose auto, cpu, cuda, cuda:N or mps.'
        )
    if not _is_there('cuda'):
        raise DeviceUnavailable(f'CUDA cannot be used: {_why_not_cuda()}.')
    import torch

    number = int(index or 0)
    if number >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise DeviceUnavailable(f'There is no cuda:{number}: torch sees {count} CUDA device(s).')
    return _tried(Device(f'cuda:{number}', torch.cuda.get_device_name(number)))


def may_use_gpu(name: str) -> bool:
    """Tell whether `choose_device` may return a GPU for this name, without importing torch."""
    return name != 'cpu' and not (name == 'auto' and _why_no_gpu())


def supports_bfloat16(kind: str) -> bool:
    """Tell whether a kind of device, 'cpu', 'cuda' or 'mps', has instructions for bfloat16.

    Without them it is emulated, and slower than float32.
    """
    import torch

    if kind == 'cuda':
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if kind == 'cpu':
        known: dict[str, Any] = getattr(torch.cpu, 'get_capabilities', dict)()
        return bool(known.get('avx512_bf16') or known.get('amx_bf16'))
    return False


def use_full_precision(device: Device) -> None:
    """Let a GPU compute float32 at full precision in this process.

    By default torch lets NVIDIA's GPUs since Ampere round the factors of convolutions to 10
    bits (TF32). Answers would then differ from those of the CPU, and be called float32 in a
    table; for speed there is bfloat16, which tables name as such. See
    https://pytorch.org/docs/stable/notes/cuda.html, "TensorFloat-32 on Ampere devices".
    """
    if device.name.startswith('cuda'):
        import torch

        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False


def _tried(device: Device) -> Device:
    """Return a GPU on which torch can compute; raises DeviceUnavailable.

    That it is there says little: this build of torch may have no code for it, another
    program may have taken it for itself, or filled its memory.
    """
    import torch

    try:
        torch.ones(1, device=device.name).add(1).item()
    except RuntimeError as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip('.')
        raise DeviceUnavailable(
            f'torch cannot compute on {device.name}, {device.reason} ({reason}): see what else '
            'uses it, install a build of torch that is made for it, or choose the CPU.'
        ) from None
    return device


def _is_there(kind: str) -> bool:
    import torch

    return torch.cuda.is_available() if kind == 'cuda' else torch.backends.mps.is_available()


_NO_GPU_SUPPORT = 'torch is built without GPU support'
_NO_DRIVER = 'no usable GPU or driver'


def _why_not_cuda() -> str:
    import torch

    if torch.version.hip is None and torch.version.cuda is None:
        return _NO_GPU_SUPPORT
    return _NO_DRIVER


#: The library of NVIDIA's driver, by system.
_DRIVERS = {'linux': 'libcuda.so.1', 'win32': 'nvcuda.dll'}


def _why_no_gpu() -> str:
    """Return why torch can find no GPU here, without importing it; nothing where it may.

    What torch was built for stands in a file of its own; the driver's library is loaded, but
    not started.
    """
    if 'torch' in sys.modules:  # which knows better, and is there already
        return ''
    found = find_spec('torch')
    if found is None or found.origin is None:
        return ''
    if (sys.platform, platform.machine()) == ('darwin', 'arm64'):
        return ''
    try:
        text = Path(found.origin).with_name('version.py').read_text(encoding='utf-8')
    except OSError:
        return ''
    built_for = {
        kind for kind in ('cuda', 'hip') if re.search(rf"^{kind}\b[^=\n]*= *['\"]", text, re.M)
    }
    if not built_for:
        return _NO_GPU_SUPPORT
    driver = _DRIVERS.get(sys.platform)
    if built_for == {'cuda'} and driver is not None:
        try:
            ctypes.CDLL(driver)
        except OSError:
            return _NO_DRIVER
    return ''


log = get_logger(__name__)

#: What messages say where no class of exceptions exists: those of torch on the CPU (Linux,
#: then Windows) and on Apple's GPUs, of cuBLAS and cuDNN, of ONNX Runtime and OpenVINO.
_OUT_OF_MEMORY_TEXTS = (
    "can't allocate memory",
    'not enough memory',
    'out of memory',
    'alloc_failed',
    'allocation_failed',
    'failed to allocate',
    'bad_alloc',
    'bad allocation',
)


class OutOfMemory(Exception):
    """Not even one image fits into the device's memory."""


def is_out_of_memory(error: Exception) -> bool:
    """Return whether an error of torch, ONNX Runtime or OpenVINO means that memory is full."""
    torch = sys.modules.get('torch')
    if isinstance(error, MemoryError):
        return True
    if torch is not None and isinstance(error, torch.OutOfMemoryError):
        return True
    message = str(error).lower()
    return any(text in message for text in _OUT_OF_MEMORY_TEXTS)


@contextmanager
def raising_out_of_memory(device: str) -> Iterator[None]:
    """Raise `OutOfMemory` for any error inside that means that memory is full.

    Parameters
    ----------
    device : str
        Whose memory it is, as torch writes it.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise _full(device) from None


def run_in_batches_that_fit(
    run: Callable[[np.ndarray], tuple[np.ndarray, ...]],
    images: np.ndarray,
    at_most: int,
    device: str,
) -> tuple[list[np.ndarray], int]:
    """Run a batch, whole or in parts that fit into memory.

    Parameters
    ----------
    run : callable
        Takes a part of the batch; returns arrays of as many rows.
    images : ndarray of float32, shape (n, channels, height, width)
        The batch.
    at_most : int
        Images that run at once at most; 0 for all.
    device : str
        As torch writes it.

    Returns
    -------
    list of ndarray of float32
        What `run` returns, for the whole batch.
    int
        How many ran at once at the end.

    Raises
    ------
    OutOfMemory
        If not even one image fits.
    """
    size, start = min(at_most or len(images), len(images)), 0
    parts: list[tuple[np.ndarray, ...]] = []
    while start < len(images):
        try:
            parts.append(run(images[start : start + size]))
            start += size
        except Exception as error:  # each library has types of its own
            if not is_out_of_memory(error):
                raise
            if size == 1:
                raise _full(device) from None
            size = (size + 1) // 2
            log.warning('out of memory: continuing with batches of %d', size)
    return [np.concatenate(each) for each in zip(*parts, strict=True)], size


def _full(device: str) -> OutOfMemory:
    if device == 'cpu':
        return OutOfMemory(
            'The memory of this computer is full. Close other programs that use it.'
        )
    return OutOfMemory(
        f'The memory of {device} is full. '
        'Close other programs that use it, or choose the CPU as the device.'
    )
