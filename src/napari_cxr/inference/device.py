"""Which processor the network runs on, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

__all__ = ['Device', 'DeviceUnavailable', 'choose_device', 'compute_in_full', 'computes_bfloat16']


class DeviceUnavailable(Exception):
    """The device that was asked for is not there; the message says what is."""


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
    """Turn a person's choice into a device that is there.

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
    number = int(index or 0)
    if number >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise DeviceUnavailable(f'There is no cuda:{number}: torch sees {count} CUDA device(s).')
    return _tried(Device(f'cuda:{number}', torch.cuda.get_device_name(number)))


def computes_bfloat16(kind: str) -> bool:
    """Tell whether a kind of device, 'cpu', 'cuda' or 'mps', has instructions for bfloat16.

    Without them it is emulated, and slower than single precision.
    """
    if kind == 'cuda':
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if kind == 'cpu':
        known: dict[str, Any] = getattr(torch.cpu, 'get_capabilities', dict)()
        return bool(known.get('avx512_bf16') or known.get('amx_bf16'))
    return False


def compute_in_full(device: Device) -> None:
    """Let a GPU compute single precision in full, for this process.

    By itself torch lets NVIDIA's GPUs since Ampere round the factors of convolutions to 10
    bits (TF32). Answers would then differ from those of the CPU, and be called float32 in a
    table; whoever wants less for speed has bfloat16, which is named so. See
    https://pytorch.org/docs/stable/notes/cuda.html, "TensorFloat-32 on Ampere devices".
    """
    if device.name.startswith('cuda'):
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False


def _tried(device: Device) -> Device:
    """Return a GPU on which torch can compute; raises DeviceUnavailable.

    That it is there says little: this build of torch may have no code for it, another
    program may have taken it for itself, or filled its memory.
    """
    try:
        torch.ones(1, device=device.name).add(1).item()
    except RuntimeError as error:
        said = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip('.')
        raise DeviceUnavailable(
            f'torch cannot compute on {device.name}, {device.reason} ({said}): see what else '
            'uses it, install a build of torch that is made for it, or choose the CPU.'
        ) from None
    return device


def _is_there(kind: str) -> bool:
    return torch.cuda.is_available() if kind == 'cuda' else torch.backends.mps.is_available()


def _why_not_cuda() -> str:
    if torch.version.hip is None and torch.version.cuda is None:
        return 'this build of torch has no GPU support'
    return 'torch found no usable GPU or driver'
