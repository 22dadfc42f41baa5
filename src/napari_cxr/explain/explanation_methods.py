"""The methods that make heatmaps, by name.

Every method takes a network, a batch and target classes, and returns logits and one map for
each image, as `napari_cxr.explain.gradcam.grad_cam` does; a further one is a function and a
line here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from napari_cxr.explain.gradcam import grad_cam
from napari_cxr.networks import StagedNetwork

__all__ = ['ExplanationMethod', 'method', 'names']

#: Takes a network, a batch and the target classes; returns logits and maps, as `grad_cam`.
ExplanationMethod = Callable[[StagedNetwork, Tensor, Sequence[int] | None], tuple[Tensor, Tensor]]

_METHODS: dict[str, ExplanationMethod] = {
    'Grad-CAM': grad_cam,
}


def names() -> tuple[str, ...]:
    """Return the names that `method` knows, the default first."""
    return tuple(_METHODS)


def method(name: str) -> ExplanationMethod:
    """Return the method of that name.

    Raises
    ------
    ValueError
        If there is none.
    """
    if name not in _METHODS:
        raise ValueError(f'There is no method {name!r} for maps; there is {", ".join(_METHODS)}.')
    return _METHODS[name]
