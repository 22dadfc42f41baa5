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

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

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

    chosen = _checked(network.num_classes, targets)
    with evaluating(network):
        with torch.no_grad():
            feature_map, earlier = network.features(x)
        precision = torch.promote_types(feature_map.dtype, torch.float32)
        # Inference tensors cannot enter autograd, so the head's part leaves that mode.
        with (
            torch.autocast(x.device.type, enabled=False),
            torch.inference_mode(False),
            torch.no_grad(),
        ):
            feature_map = _ordinary(feature_map, precision)
            earlier = tuple(_ordinary(e, precision) for e in earlier)
            weights = network.closed_form()
            if weights is not None:
                logits = _run_head(network.head, feature_map, earlier)
                channel_weights = _ordinary(weights, precision) / feature_map[0, 0].numel()
                maps = torch.einsum('tc,nchw->nthw', channel_weights[chosen], feature_map)
            else:
                logits, channel_weights = _differentiate(
                    network.head, feature_map, earlier, chosen
                )
                maps = torch.einsum('ntc,nchw->nthw', channel_weights, feature_map)
            return logits, maps.relu()


def _checked(outputs: int, targets: Sequence[int] | None) -> list[int]:
    """Return the targets, all of them by default."""
    targets = range(outputs) if targets is None else targets
    if not targets or any(not 0 <= t < outputs for t in targets):
        raise ValueError(
            f'Targets are classes from 0 to {outputs - 1}, at least one; got {list(targets)}.'
        )
    return list(targets)


def _differentiate(
    head: nn.Module,
    feature_map: Tensor,
    earlier: tuple[Tensor, ...],
    chosen: list[int],
) -> tuple[Tensor, Tensor]:
    """Return logits (N, K) and the mean gradient of each target (N, T, C)."""
    import torch

    with torch.enable_grad():
        leaf = feature_map.detach().requires_grad_(True)
        logits = _run_head(head, leaf, earlier)
        means = []
        for i, k in enumerate(chosen):
            # The images of a batch do not meet in evaluation mode, so the gradient of
            # the sum holds each image's own.
            (gradient,) = torch.autograd.grad(
                logits[:, k].sum(), leaf, retain_graph=i + 1 < len(chosen)
            )
            means.append(gradient.mean(dim=(2, 3)))
    return logits.detach(), torch.stack(means, dim=1)


def _run_head(head: nn.Module, feature_map: Tensor, earlier: tuple[Tensor, ...]) -> Tensor:
    """Run the head in the precision of the map, with none of its weights in the graph."""
    import torch

    state = {
        name: _ordinary(value, feature_map.dtype)
        for name, value in (*head.named_parameters(), *head.named_buffers())
    }
    logits: Tensor = torch.func.functional_call(head, state, (feature_map, *earlier))
    return logits


def _ordinary(value: Tensor, precision: torch.dtype) -> Tensor:
    """Return a tensor that autograd accepts, detached, floats in the given precision."""
    if value.is_floating_point():
        value = value.to(precision)
    return value.clone() if value.is_inference() else value.detach()
