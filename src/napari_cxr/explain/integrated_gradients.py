"""Integrated gradients (Sundararajan, Taly and Yan 2017, arXiv:1703.01365).

The change of a logit from an image without anything on it to the radiograph, divided among the
pixels: gradients along the straight line between the two, times the difference. What all pixels
add sums up to that change, which no other method here promises.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

import numpy as np
import torch
from torch import Tensor

from napari_cxr.explain.activation_gradients import check_targets, ordinary
from napari_cxr.explain.perturbation_maps import mean_grey
from napari_cxr.networks import StagedNetwork
from napari_cxr.networks.eval_mode import evaluating

__all__ = ['attributions', 'integrated_gradients']

_STEPS = 32

#: Cells along each side of the map: single pixels are noise to the eye.
_CELLS = 28


def integrated_gradients(
    network: StagedNetwork, x: Tensor, targets: Sequence[int] | None = None
) -> Generator[float, None, tuple[Tensor, Tensor]]:
    """Return logits, and what each of 28 x 28 parts of the input adds to each class.

    Pixels are summed over each part, so that what speaks for and against a class within a part
    cancels; parts that speak against it are 0.

    Parameters
    ----------
    network, x, targets
        As of `grad_cam`.

    Yields
    ------
    float
        The fraction that is done.

    Returns
    -------
    logits : Tensor, shape (N, K)
    maps : Tensor, shape (N, T, 28, 28)
        0 or above; spread evenly over the input.
    """
    pixels = yield from attributions(network, x, targets)
    with evaluating(network), torch.no_grad():
        logits = network(x).float()
    maps = pixels
    for axis in (2, 3):
        count = min(_CELLS, maps.shape[axis])
        edges = np.linspace(0, maps.shape[axis], count + 1).round().astype(int)
        parts = torch.split(maps, np.diff(edges).tolist(), dim=axis)
        maps = torch.stack([part.sum(dim=axis) for part in parts], dim=axis)
    return logits, maps.relu()


def attributions(
    network: StagedNetwork,
    x: Tensor,
    targets: Sequence[int] | None = None,
    steps: int = _STEPS,
) -> Generator[float, None, Tensor]:
    """Return what each pixel adds to each logit, compared with the image's mean grey everywhere.

    Parameters
    ----------
    network, x, targets
        As of `grad_cam`.
    steps : int
        Points of the Gauss-Legendre rule along the line.

    Yields
    ------
    float
        The fraction that is done.

    Returns
    -------
    Tensor, shape (N, T, height, width)
        Summed over channels, positive or negative.
    """
    chosen = check_targets(network.num_classes, targets)
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    x = ordinary(x, torch.promote_types(x.dtype, torch.float32))
    grey = mean_grey(x)
    total = torch.zeros(len(x), len(chosen), *x.shape[1:], dtype=x.dtype, device=x.device)
    for i, (node, weight) in enumerate(zip((nodes + 1) / 2, weights / 2, strict=True)):
        # Gradient modes must not be held across a yield: they belong to the thread.
        with evaluating(network), torch.inference_mode(False), torch.enable_grad():
            leaf = (grey + float(node) * (x - grey)).detach().requires_grad_(True)
            logits = network(leaf)
            for j, k in enumerate(chosen):
                (gradient,) = torch.autograd.grad(
                    logits[:, k].sum(), leaf, retain_graph=j + 1 < len(chosen)
                )
                total[:, j] += float(weight) * gradient
        yield (i + 1) / steps
    return (total * (x - grey)[:, None]).sum(dim=2)
