"""In which precision a device computes a forward pass."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch

__all__ = ['autocast', 'precision_of']


def precision_of(wanted: str, device: torch.device) -> torch.dtype | None:
    """Return the type of a recipe's `precision` on a device; None for single precision."""
    if wanted == 'float32':
        return None
    if wanted == 'bfloat16':
        return torch.bfloat16
    if device.type == 'cuda':
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else None
    if device.type == 'cpu':
        # Without the instructions bfloat16 is emulated, and slower than single precision.
        known: dict[str, Any] = getattr(torch.cpu, 'get_capabilities', dict)()
        return torch.bfloat16 if known.get('avx512_bf16') or known.get('amx_bf16') else None
    return None


def autocast(
    precision: torch.dtype | None, device: torch.device
) -> torch.autocast | nullcontext[None]:
    """Return a context that computes in a precision."""
    return nullcontext() if precision is None else torch.autocast(device.type, precision)
