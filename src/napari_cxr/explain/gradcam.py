"""Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391, equations 1 and 2).

With y the logit of a class and `A` the feature map of the last stage after its
activation, ``H = relu(sum_k a_k A_k)`` where ``a_k`` is the mean over the Z cells of
``dy / dA_k``. The target is the logit: where a probability saturates, its gradient is
zero in single precision and the map would be, too.

torch is imported with the first map, not with this module.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from napari_cxr.explain.activation_gradients import (
    activations,
    check_targets,
    head_gradients,
    ordinary,
    plain_arithmetic,
    run_head,
)

if TYPE_CHECKING:
    from torch import Tensor

    from napari_cxr.networks import StagedNetwork

__all__ = ['grad_cam']


def grad_cam(
    network: StagedNetwork, x: Tensor, targets: Sequence[int] | None = None
) -> tuple[Tensor, Tensor]:
    """Return the logits of a batch and where each class comes from.

    The stages run once, in evaluation mode and without gradients, in the precision
    that the caller chose; the head and its gradient run in single precision at least.
    For heads that average and are linear no gradient is needed at all, since
    ``a_k = W_k / Z``. Modes and gradients of the network stay as they are.

    Parameters
    ----------
    network : StagedNetwork
        Trained, on the device of `x`.
    x : Tensor, shape (N, channels, height, width)
        The network's input.
    targets : sequence of int, optional
        Which logits to explain; by default all.

    Returns
    -------
    logits : Tensor, shape (N, K)
    maps : Tensor, shape (N, T, h, w)
        Not normalised, 0 or above, in the order of `targets`.

    Raises
    ------
    ValueError
        If a target is not a logit of the network.
    """
    import torch

    from napari_cxr.networks.eval_mode import evaluating

    chosen = check_targets(network.num_classes, targets)
    with evaluating(network):
        found = activations(network, x)
        feature_map = found.feature_map
        weights = network.closed_form()
        if weights is None:
            logits, gradients = head_gradients(network.head, found, chosen)
            by_image = gradients.mean(dim=(3, 4))
        with plain_arithmetic(x.device):
            if weights is not None:
                logits = run_head(network.head, found)
                by_class = ordinary(weights, feature_map.dtype)[chosen]
                by_image = (by_class / feature_map[0, 0].numel()).expand(len(x), -1, -1)
            maps = torch.einsum('ntc,nchw->nthw', by_image, feature_map)
            return logits, maps.relu()
