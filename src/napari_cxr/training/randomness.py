"""What torch draws, from a seed of one's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ['seeded']


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Draw from a seed on the CPU and on one device, and leave torch's state as it was."""
    devices = [device] if device.type == 'cuda' else []
    with torch.random.fork_rng(devices=devices):
        # Seeding every kind of device that there might be takes as long as a small step.
        torch.default_generator.manual_seed(seed)
        if device.type != 'cpu':
            torch.manual_seed(seed)
        yield
