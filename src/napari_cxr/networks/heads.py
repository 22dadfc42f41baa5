"""Heads that several networks share: from a feature map to logits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ['AverageLinear', 'Contrast', 'HeadPlan', 'SingleOutput', 'average_then']

_MOST_UNITS = 65_536


class AverageLinear(nn.Module):
    """The mean of each channel, dropout, one linear layer.

    Its class activation maps have a closed form; see
    :meth:`napari_cxr.networks.StagedNetwork.closed_form`.

    Parameters
    ----------
    features : int
        Channels C of the feature map.
    classes : int
        Number of logits K.
    dropout : float
        Share of channels dropped in training.
    """

    def __init__(self, features: int, classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(features, classes)

    @classmethod
    def of(cls, linear: nn.Linear, dropout: float = 0.0) -> AverageLinear:
        """Return the head around a linear layer that is there already."""
        head = cls.__new__(cls)
        nn.Module.__init__(head)
        head.dropout, head.linear = nn.Dropout(dropout), linear
        return head

    def forward(self, feature_map: Tensor) -> Tensor:
        """Map (N, C, h, w) to logits (N, K)."""
        logits: Tensor = self.linear(self.dropout(feature_map.mean(dim=(2, 3))))
        return logits


class SingleOutput(nn.Module):
    """Two classes from a head with one output: logits (-z/2, z/2) of its logit z.

    Their softmax is (1 - s, s) with s the sigmoid of z, so the cross-entropy of the two is
    the binary cross-entropy of the one.

    Parameters
    ----------
    inner : Module
        Returns z, shape (N, 1).
    """

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, *maps: Tensor) -> Tensor:
        """Map what the inner head takes to logits (N, 2)."""
        half = self.inner(*maps) / 2
        return torch.cat([-half, half], dim=1)


class Contrast(nn.Module):
    """The logits of another head, each minus the logit of one class.

    Parameters
    ----------
    inner : Module
        Returns logits, shape (N, K).
    against : int
        The class whose logit is subtracted.
    """

    def __init__(self, inner: nn.Module, against: int) -> None:
        super().__init__()
        self.inner, self.against = inner, against

    def forward(self, *maps: Tensor) -> Tensor:
        """Map what the inner head takes to differences of logits, shape (N, K)."""
        logits: Tensor = self.inner(*maps)
        return logits - logits[:, self.against, None]


def average_then(*layers: nn.Module) -> nn.Sequential:
    """Return a head that averages each channel and hands (N, C) to `layers`."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(1), *layers)


@dataclass(frozen=True)
class HeadPlan:
    """The head that a recipe or a model's card asks for.

    Parameters
    ----------
    kind : {'own', 'average'}
        The network's own, or the mean of each channel and then `hidden`.
    hidden : tuple of int
        Units of the hidden layers, each with a ReLU.
    dropout : float
        Share of units dropped before the last layer.
    single : bool
        Whether two classes share one output; see `SingleOutput`.
    """

    kind: str = 'own'
    hidden: tuple[int, ...] = ()
    dropout: float = 0.0
    single: bool = False

    @classmethod
    def of(cls, entries: Mapping[str, Any], classes: int) -> HeadPlan:
        """Read the entries of a recipe's or a card's head.

        Raises
        ------
        ValueError
            If one is unknown or is not what it should be; the message names it.
        """
        unknown = set(entries) - {'kind', 'hidden', 'dropout', 'single'}
        if unknown:
            raise ValueError(
                f'A head has no entry {min(unknown)!r}; it has kind, hidden, dropout and single.'
            )
        kind, single = entries.get('kind', 'own'), entries.get('single', False)
        hidden, dropout = entries.get('hidden', ()), entries.get('dropout', 0.0)
        if kind not in ('own', 'average'):
            raise ValueError(f"head.kind must be 'own' or 'average', not {kind!r}.")
        if not isinstance(hidden, list | tuple) or not all(
            type(units) is int and 1 <= units <= _MOST_UNITS for units in hidden
        ):
            raise ValueError(f'head.hidden must be numbers of units from 1 to {_MOST_UNITS}.')
        if type(dropout) not in (int, float) or not 0 <= dropout < 1:
            raise ValueError('head.dropout must be at least 0 and below 1.')
        if kind == 'own' and (hidden or dropout):
            raise ValueError("head.hidden and head.dropout need head.kind = 'average'.")
        if type(single) is not bool:
            raise ValueError('head.single must be true or false.')
        if single and classes != 2:
            raise ValueError(
                f'head.single gives two classes one output, and there are {classes}; leave it out.'
            )
        return cls(kind, tuple(hidden), float(dropout), single)

    def averaging(self, features: int, outputs: int) -> nn.Module:
        """Return the head of kind 'average' for a map of so many channels.

        Without hidden layers it is an `AverageLinear`.
        """
        if not self.hidden:
            return AverageLinear(features, outputs, self.dropout)
        widths = (features, *self.hidden)
        layers: list[nn.Module] = []
        for before, units in zip(widths, self.hidden, strict=False):
            layers += [nn.Linear(before, units), nn.ReLU()]
        return average_then(*layers, nn.Dropout(self.dropout), nn.Linear(widths[-1], outputs))
