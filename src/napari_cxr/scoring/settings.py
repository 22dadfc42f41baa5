"""How to score."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from napari_cxr.inference.label_rule import LabelRule
from napari_cxr.scoring.decision import Decision

__all__ = ['Settings']


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How to score.

    Parameters
    ----------
    batch : int
        Images that the network takes at once; 0 to choose by device and size of the input.
    heatmaps : Path, optional
        Folder for a picture of each file's heatmap, and its numbers.
    shares : bool
        Whether to say where heatmaps lie; with `heatmaps` in any case.
    precision : {'auto', 'float32'}
        Whether the fastest way to run the network may be one of reduced precision.
    decision : Decision, optional
        Thresholds, for a column of the classes that reach them; where an image can have several
        labels they decide the label, in the place of the card's.
    identify : bool
        Whether patients are named in the table.
    retry_errors : bool
        Whether rows with errors are made again when a table is gone on with.
    """

    batch: int = 0
    heatmaps: Path | None = None
    shares: bool = False
    precision: Literal['auto', 'float32'] = 'auto'
    decision: Decision | None = None
    identify: bool = False
    retry_errors: bool = False

    @property
    def with_shares(self) -> bool:
        """Whether to say where heatmaps lie."""
        return self.shares or self.heatmaps is not None

    def rule(self, rule: LabelRule) -> LabelRule:
        """Return how probabilities become labels, by a model's own rule and the decision."""
        return rule if self.decision is None else self.decision.applied(rule)
