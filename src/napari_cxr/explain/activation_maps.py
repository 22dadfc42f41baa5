"""Class activation maps besides Grad-CAM that follow from the last feature map and the head.

With y the logit of a class, `A` the feature map after its activation and g = dy / dA:

- Grad-CAM++ (Chattopadhay et al. 2018, arXiv:1710.11063) weights channel k by the sum of
  ``relu(g) a`` over its cells, with ``a = g^2 / (2 g^2 + S g^3) = 1 / (2 + S g)`` for a class
  score exp(y), `S` the sum of the channel (equation 19 there). It supposes a map that is
  nowhere negative.
- HiResCAM (Draelos and Carin 2020, arXiv:2011.08891): ``relu(sum_k g A_k)``, cell by cell. For
  a linear head its sum before the relu is the logit without the bias.
- LayerCAM (Jiang et al. 2021, IEEE Trans Image Process 30:5875): ``relu(sum_k relu(g) A_k)``.
- EigenCAM (Muhammad and Yeasin 2020, arXiv:2008.00299): the map on the first right singular
  vector of the matrix of cells and channels. It knows no class.

Where a head averages the map and is linear, g is the same in all cells, so that Grad-CAM and
HiResCAM are one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from napari_cxr.explain.activation_gradients import (
    activations,
    check_targets,
    head_gradients,
    plain_arithmetic,
    run_head,
)
from napari_cxr.networks import StagedNetwork
from napari_cxr.networks.eval_mode import evaluating

__all__ = ['eigen_cam', 'grad_cam_plus_plus', 'hires_cam', 'layer_cam']


def grad_cam_plus_plus(
    network: StagedNetwork, x: Tensor, targets: Sequence[int] | None = None
) -> tuple[Tensor, Tensor]:
    """Return logits and Grad-CAM++ maps; arguments and result as of `grad_cam`."""

    def combine(feature_map: Tensor, gradients: Tensor) -> Tensor:
        sums = feature_map.sum(dim=(2, 3))[:, None, :, None, None]
        # Only rising cells count. Where a map with negative values brings the denominator to
        # zero or below, the formula has no meaning, and 2 is what it is for small gradients.
        denominator = 2 + sums * gradients
        alpha = torch.where(denominator > 0, denominator, 2.0).reciprocal()
        weights = (gradients.relu() * alpha).sum(dim=(3, 4))
        return torch.einsum('ntc,nchw->nthw', weights, feature_map)

    return _by_gradients(network, x, targets, combine)


def hires_cam(
    network: StagedNetwork, x: Tensor, targets: Sequence[int] | None = None
) -> tuple[Tensor, Tensor]:
    """Return logits and HiResCAM maps; arguments and result as of `grad_cam`."""
    return _by_gradients(
        network, x, targets, lambda feature_map, g: (g * feature_map[:, None]).sum(dim=2)
    )


def layer_cam(
    network: StagedNetwork, x: Tensor, targets: Sequence[int] | None = None
) -> tuple[Tensor, Tensor]:
    """Return logits and LayerCAM maps; arguments and result as of `grad_cam`."""
    return _by_gradients(
        network, x, targets, lambda feature_map, g: (g.relu() * feature_map[:, None]).sum(dim=2)
    )


def eigen_cam(
    network: StagedNetwork, x: Tensor, targets: Sequence[int] | None = None
) -> tuple[Tensor, Tensor]:
    """Return logits and EigenCAM maps, the same for all classes; otherwise as `grad_cam`.

    A singular vector has no sign. Of a map that is nowhere negative all its entries have one,
    which is taken as positive; of others, the sign that makes the sum of the map positive.
    """
    chosen = check_targets(network.num_classes, targets)
    with evaluating(network):
        found = activations(network, x)
        with plain_arithmetic(x.device):
            cells = found.feature_map.flatten(2).transpose(1, 2)  # (N, cells, C)
            # The projection on the first right vector is the first left one times its value.
            left, values, _ = torch.linalg.svd(cells, full_matrices=False)
            projection = left[..., 0] * values[:, :1]
            projection = projection * projection.sum(dim=1, keepdim=True).sign()
            maps = projection.reshape(len(x), 1, *found.feature_map.shape[2:])
            logits = run_head(network.head, found)
            return logits, maps.relu().repeat(1, len(chosen), 1, 1)


def _by_gradients(
    network: StagedNetwork,
    x: Tensor,
    targets: Sequence[int] | None,
    combine: Callable[[Tensor, Tensor], Tensor],
) -> tuple[Tensor, Tensor]:
    """Return logits and the positive part of what `combine` makes of map and gradients."""
    chosen = check_targets(network.num_classes, targets)
    with evaluating(network):
        found = activations(network, x)
        logits, gradients = head_gradients(network.head, found, chosen)
        with plain_arithmetic(x.device):
            return logits, combine(found.feature_map, gradients).relu()
