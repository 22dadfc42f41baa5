"""A list of a network's stages to choose from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from qtpy.QtWidgets import QComboBox

__all__ = ['StageChoice']


class StageChoice(QComboBox):
    """Stages, first to last, with the number and size of their maps; off while empty."""

    def __init__(self) -> None:
        super().__init__()
        self.setToolTip(
            'The stage of the network, first to last: how many filters it has, and into how '
            'many cells it divides the image'
        )
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(8)
        self.setEnabled(False)

    @property
    def current(self) -> str:
        """Name of the chosen stage; empty if there is none."""
        return cast(str, self.currentData() or '')

    def show_stages(self, shapes: Sequence[tuple[str, int, int, int]]) -> None:
        """List stages, the last one chosen.

        Parameters
        ----------
        shapes : sequence of (str, int, int, int)
            Name, filters, rows and columns of each.
        """
        self.clear()
        for name, filters, rows, columns in shapes:
            self.addItem(f'{name} · {filters} × {columns} × {rows}', name)
        self.setCurrentIndex(self.count() - 1)
        self.setEnabled(bool(shapes))
