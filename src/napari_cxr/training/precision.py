"""In which precision a device computes a forward pass."""

from __future__ import annotations

from contextlib import nullcontext

import torch

from napari_cxr.inference.device import computes_bfloat16

__all__ = ['autocast', 'precision_of']


def precision_of(wanted: str, device: torch.device) -> torch.dtype | None:
    """Return the type of a recipe's `precision` on a device; None for single precision."""
    if wanted == 'float32':
        return None
    if wanted == 'bfloat16':
        return torch.bfloat16
    return torch.bfloat16 if computes_bfloat16(device.type) else None


def autocast(
    precision: torch.dtype | None, device: torch.device
) -> torch.autocast | nullcontext[None]:
    """Return a context that computes in a precision."""
    return nullcontext() if precision is None else torch.autocast(device.type, precision)
