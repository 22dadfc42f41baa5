"""The table that was on show when napari was closed, one click away."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QPushButton, QWidget

from napari_cxr.plugin.batch.problems import is_begun

__all__ = ['OpenAgain']

#: Pixels beside its words.
_BESIDE = 16


class OpenAgain(QPushButton):
    """A button that names a table; hidden while there is none.

    Parameters
    ----------
    parent : QWidget, optional
        Qt parent.
    """

    #: The table that shall be opened.
    wanted = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._table = ''
        self.setMinimumHeight(28)
        self.clicked.connect(lambda: self.wanted.emit(self._table))
        self.offer('')

    def offer(self, table: str) -> None:
        """Offer to open a table, finished or not; one that is gone, or empty, is not offered."""
        there = bool(table) and (Path(table).is_file() or is_begun(table))
        self._table = table if there else ''
        words = f'Open {Path(table).name} again'
        self.setAccessibleName(words)
        self.setToolTip(f'The table that was on show last:\n{table}')
        self._fit()
        self.setVisible(there)

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Shorten the name where there is no room for it."""
        super().resizeEvent(event)
        self._fit()

    def minimumSizeHint(self) -> QSize:
        """Return the height that it needs, and no width: a name can be long."""
        return QSize(0, super().minimumSizeHint().height())

    def _fit(self) -> None:
        self.setText(
            self.fontMetrics().elidedText(
                self.accessibleName(), Qt.TextElideMode.ElideMiddle, self.width() - _BESIDE
            )
        )
