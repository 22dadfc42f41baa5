"""The methods that make heatmaps, by name.

Every method takes a network, a batch and target classes, and returns logits and one map for
each image and target, as `napari_cxr.explain.gradcam.grad_cam` does. Other packages add theirs
through the entry-point group ``napari_cxr.explanation_methods``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from napari_cxr.entry_points import EXPLANATION_METHODS, installed
from napari_cxr.explain.gradcam import grad_cam

if TYPE_CHECKING:
    from torch import Tensor

    from napari_cxr.networks import StagedNetwork

__all__ = ['ExplanationMethod', 'method', 'names']

#: Takes a network, a batch and the target classes; returns logits and maps, as `grad_cam`.
ExplanationMethod: TypeAlias = Callable[
    ['StagedNetwork', 'Tensor', Sequence[int] | None], tuple['Tensor', 'Tensor']
]

_METHODS: dict[str, ExplanationMethod] = {
    'Grad-CAM': grad_cam,
}


def names() -> tuple[str, ...]:
    """Return the names that `method` knows, the default first, those of other packages last."""
    return (*_METHODS, *sorted(installed(EXPLANATION_METHODS, _METHODS)))


def method(name: str) -> ExplanationMethod:
    """Return the method of that name.

    Raises
    ------
    ValueError
        If there is none.
    """
    if name in _METHODS:
        return _METHODS[name]
    others = installed(EXPLANATION_METHODS, _METHODS)
    if name not in others:
        raise ValueError(
            f'There is no explanation method {name!r}; there is {", ".join(names())}.'
        )
    return others[name]
