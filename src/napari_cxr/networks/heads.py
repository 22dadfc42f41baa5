"""Heads that several networks share: from a feature map to logits."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ['AverageLinear', 'average_then']


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

    def forward(self, feature_map: Tensor) -> Tensor:
        """Map (N, C, h, w) to logits (N, K)."""
        logits: Tensor = self.linear(self.dropout(feature_map.mean(dim=(2, 3))))
        return logits


def average_then(*layers: nn.Module) -> nn.Sequential:
    """Return a head that averages each channel and hands (N, C) to `layers`."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(1), *layers)
