"""The files in which this package keeps the weights of its small networks."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import as_file, files
from typing import Any

import numpy as np

__all__ = ['read_card', 'read_weights']


@cache
def read_card(name: str, entry: str) -> dict[str, Any]:
    """Return an entry of what a weights file says of itself."""
    from safetensors import safe_open

    with as_file(files('napari_cxr.lungs') / name) as path, safe_open(path, 'numpy') as file:
        said: dict[str, Any] = json.loads(file.metadata()[entry])
        return said


@cache
def read_weights(name: str) -> dict[str, np.ndarray]:
    """Read the weights once, in single precision; they are kept in half precision."""
    from safetensors.numpy import load_file

    with as_file(files('napari_cxr.lungs') / name) as path:
        return {name: np.asarray(w, dtype=np.float32) for name, w in load_file(path).items()}
