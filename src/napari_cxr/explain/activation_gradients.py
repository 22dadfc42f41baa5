"""What every class activation map is made of: the last feature map, and the head's gradients.

The stages run once, in evaluation mode and without gradients, in the precision that the caller
chose; the head and its gradients run in single precision at least. The target is the logit:
where a probability saturates, its gradient is zero in single precision.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from napari_cxr.networks import StagedNetwork

__all__ = [
    'Activations',
    'activations',
    'check_targets',
    'head_gradients',
    'ordinary',
    'plain_arithmetic',
    'run_head',
]


@dataclass(frozen=True, eq=False)
class Activations:
    """What the head of a network reads, as tensors that autograd accepts.

    Parameters
    ----------
    feature_map : Tensor, shape (N, C, h, w)
        What the last stage returns, after its activation.
    earlier : tuple of Tensor
        What the head reads besides.
    """

    feature_map: Tensor
    earlier: tuple[Tensor, ...]


def check_targets(outputs: int, targets: Sequence[int] | None) -> list[int]:
    """Return the targets, all outputs by default; ValueError where one is no output."""
    targets = range(outputs) if targets is None else targets
    if not targets or any(not 0 <= t < outputs for t in targets):
        raise ValueError(
            f'Targets are classes from 0 to {outputs - 1}, at least one; got {list(targets)}.'
        )
    return list(targets)


@contextmanager
def plain_arithmetic(device: torch.device) -> Iterator[None]:
    """Compute without autocast, outside of inference mode, and without gradients.

    Inference tensors cannot enter autograd, so the head's part leaves that mode.
    """
    import torch

    with (
        torch.autocast(device.type, enabled=False),
        torch.inference_mode(False),
        torch.no_grad(),
    ):
        yield


def activations(network: StagedNetwork, x: Tensor) -> Activations:
    """Run the stages of a network, which must be in evaluation mode, without gradients.

    Parameters
    ----------
    network : StagedNetwork
        Trained, on the device of `x`.
    x : Tensor, shape (N, channels, height, width)
        The network's input.
    """
    import torch

    with torch.no_grad():
        feature_map, earlier = network.features(x)
    precision = torch.promote_types(feature_map.dtype, torch.float32)
    with plain_arithmetic(x.device):
        return Activations(
            ordinary(feature_map, precision), tuple(ordinary(e, precision) for e in earlier)
        )


def head_gradients(
    head: nn.Module, found: Activations, targets: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Return the logits, and the gradient of each target's logit in each cell.

    Parameters
    ----------
    head : Module
        Of the network, in evaluation mode; its gradients stay as they are.
    found : Activations
        Its input.
    targets : sequence of int
        Which logits.

    Returns
    -------
    logits : Tensor, shape (N, K)
    gradients : Tensor, shape (N, T, C, h, w)
    """
    import torch

    with plain_arithmetic(found.feature_map.device), torch.enable_grad():
        leaf = found.feature_map.detach().requires_grad_(True)
        logits = run_head(head, Activations(leaf, found.earlier))
        gradients = []
        for i, k in enumerate(targets):
            # The images of a batch do not meet in evaluation mode, so the gradient of
            # the sum holds each image's own.
            (gradient,) = torch.autograd.grad(
                logits[:, k].sum(), leaf, retain_graph=i + 1 < len(targets)
            )
            gradients.append(gradient)
    return logits.detach(), torch.stack(gradients, dim=1)


def run_head(head: nn.Module, found: Activations) -> Tensor:
    """Run the head in the precision of the map, with none of its weights in the graph."""
    import torch

    feature_map = found.feature_map
    state = {
        name: ordinary(value, feature_map.dtype)
        for name, value in (*head.named_parameters(), *head.named_buffers())
    }
    logits: Tensor = torch.func.functional_call(head, state, (feature_map, *found.earlier))
    return logits


def ordinary(value: Tensor, precision: torch.dtype) -> Tensor:
    """Return a tensor that autograd accepts, detached, floats in the given precision."""
    if value.is_floating_point():
        value = value.to(precision)
    return value.clone() if value.is_inference() else value.detach()
