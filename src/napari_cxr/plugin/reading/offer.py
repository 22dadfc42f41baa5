"""What can be said of a row, offered or not, without the focus getting lost."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtWidgets import QApplication, QWidget

__all__ = ['Offer']


class Offer:
    """Enables and disables parts of a panel together.

    Qt hands the focus of what is disabled to whatever comes next, be it a text field that
    takes the keys. Here the panel has it meanwhile, and what had it gets it back.

    Parameters
    ----------
    panel : QWidget
        What can have the focus.
    parts : sequence of QWidget
        In the panel.
    """

    def __init__(self, panel: QWidget, parts: Sequence[QWidget]) -> None:
        self._panel, self._parts = panel, parts
        self._left: QWidget | None = None

    def show(self, ready: bool) -> None:
        """Offer the parts, or do not."""
        focused = QApplication.focusWidget()
        if not ready and focused and any(part.isAncestorOf(focused) for part in self._parts):
            self._left = focused
            self._panel.setFocus()
        for part in self._parts:
            part.setEnabled(ready)
        if ready and self._left is not None:
            if focused is self._panel:
                self._left.setFocus()
            self._left = None

    def forget(self) -> None:
        """Forget what had the focus: it may go."""
        self._left = None
