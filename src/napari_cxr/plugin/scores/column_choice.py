"""Which columns of the table of scores a person wants, remembered from one session to the next."""

from __future__ import annotations

from urllib.parse import quote, unquote

from qtpy.QtCore import QObject, Signal
from qtpy.QtGui import QAction
from qtpy.QtWidgets import QMenu, QWidget

from napari_cxr.plugin.scores.columns import PICTURE, Column
from napari_cxr.plugin.scores.rows import ScoreRows
from napari_cxr.plugin.settings import preferences, remember

__all__ = ['ColumnChoice']

#: Without it, nobody knows which row is which.
_ALWAYS = 'file'


class ColumnChoice(QObject):
    """Columns that are shown if there is anything in them, as far as a person wants them.

    Parameters
    ----------
    parent : QObject, optional
        Qt parent.
    """

    #: Other columns are wanted.
    changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.pictures = False
        self._wanted: dict[str, bool] = {}
        for word in preferences('batch').columns.split():
            self._wanted[unquote(word[1:])] = word[0] == '+'

    def shown(self, columns: tuple[Column, ...], rows: ScoreRows) -> list[str]:
        """Return the keys of the columns to show; one in which no row has anything is not."""
        return [column.key for column in columns if self._is_shown(column, rows)]

    def show(self, key: str, shown: bool) -> None:
        """Show or hide a column, and remember it."""
        if key == PICTURE:
            self.pictures = shown
        else:
            self._wanted[key] = shown
            words = (f'{"+-"[not on]}{quote(key)}' for key, on in self._wanted.items())
            remember('batch', columns=' '.join(words))
        self.changed.emit()

    def menu(self, columns: tuple[Column, ...], rows: ScoreRows, parent: QWidget) -> QMenu:
        """Return a menu of the columns, those that are shown ticked."""
        menu = QMenu(parent)
        menu.setToolTipsVisible(True)
        for column in columns:
            if column.key in (PICTURE, _ALWAYS) or not _is_filled(column, rows):
                continue
            action = QAction('Number' if column.key == 'number' else column.title, menu)
            action.setCheckable(True)
            action.setChecked(self._is_shown(column, rows))
            action.setToolTip(column.about)
            action.toggled.connect(lambda on, key=column.key: self.show(key, on))
            menu.addAction(action)
        menu.aboutToHide.connect(menu.deleteLater)
        return menu

    def _is_shown(self, column: Column, rows: ScoreRows) -> bool:
        if column.key == PICTURE:
            return self.pictures
        if column.key == _ALWAYS:
            return True
        return self._wanted.get(column.key, column.shown) and _is_filled(column, rows)


def _is_filled(column: Column, rows: ScoreRows) -> bool:
    """Return whether a column has anything in it, or will have."""
    return column.kind in ('answer', 'bar') or rows.has(column.key)
