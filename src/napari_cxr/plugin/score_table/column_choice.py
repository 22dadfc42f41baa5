"""Which columns of the table of scores a person wants, where and how wide: remembered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import quote, unquote

from qtpy.QtCore import QObject, Qt, Signal
from qtpy.QtGui import QAction, QKeyEvent, QMouseEvent
from qtpy.QtWidgets import QMenu, QWidget

from napari_cxr.plugin.preferences import preferences, save_preferences
from napari_cxr.plugin.score_table.score_columns import PICTURE, ScoreColumn
from napari_cxr.plugin.score_table.score_rows import ScoreRows

__all__ = ['ColumnChoice']

#: Without it, nobody knows which row is which.
_ALWAYS = 'file'
#: Shown while it says what the order is, unless a person has chosen otherwise.
_WITH_ORDER = 'uncertainty'
#: Keys that choose what a menu offers.
_CHOOSE = (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space)


class ColumnChoice(QObject):
    """Columns that are shown if there is anything in them, as far as a person wants them.

    Parameters
    ----------
    parent : QObject, optional
        Qt parent.

    Attributes
    ----------
    pictures : bool
        Whether small pictures are shown; not remembered, because they take time.
    widths : dict of str to int
        Pixels of the columns whose edge a person has dragged.
    """

    #: Other columns are wanted, or otherwise.
    changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        chosen = preferences('batch')
        self.pictures = False
        self._wanted = {unquote(word[1:]): word[0] == '+' for word in chosen.columns.split()}
        self._order = [unquote(word) for word in chosen.column_order.split()]
        self.widths: dict[str, int] = {}
        for word in chosen.column_widths.split():
            key, _, width = word.rpartition('=')
            if width.isdecimal():
                self.widths[unquote(key)] = int(width)

    def shown(self, columns: Sequence[ScoreColumn], rows: ScoreRows, sorted_by: str) -> list[str]:
        """Return the keys of the columns to show; one in which no row has anything is not."""
        return [column.key for column in columns if self._is_shown(column, rows, sorted_by)]

    def show(self, key: str, shown: bool) -> None:
        """Show or hide a column, and remember it."""
        if key == PICTURE:
            self.pictures = shown
        else:
            self._wanted[key] = shown
            self._keep()
        self.changed.emit()

    def arranged(self, keys: Sequence[str]) -> list[str]:
        """Return columns in the order that a person wants.

        One that nobody has moved stays behind the column that it usually stands behind.
        """
        placed = [key for key in self._order if key in keys]
        for i, key in enumerate(keys):
            if key not in placed:
                placed.insert(placed.index(keys[i - 1]) + 1 if i else 0, key)
        return placed

    def keep_order(self, keys: Sequence[str]) -> None:
        """Remember in which order columns stand."""
        self._order = list(keys)
        self._keep()

    def keep_widths(self, widths: Mapping[str, int]) -> None:
        """Remember how wide some columns are."""
        self.widths |= widths
        self._keep()

    def forget_width(self, key: str) -> None:
        """Let a column be as wide as what is in it."""
        self.widths.pop(key, None)
        self._keep()

    def reset(self) -> None:
        """Forget everything that a person wanted."""
        for wants in (self._wanted, self.widths, self._order):
            wants.clear()
        self._keep()
        self.changed.emit()

    def menu(
        self, columns: Sequence[ScoreColumn], rows: ScoreRows, sorted_by: str, parent: QWidget
    ) -> QMenu:
        """Return a menu of the columns, those that are shown ticked."""
        menu = _StayingMenu(parent)
        menu.setToolTipsVisible(True)
        for column in columns:
            if column.key in (PICTURE, _ALWAYS) or not _is_filled(column, rows):
                continue
            action = QAction('Number' if column.key == 'number' else column.title, menu)
            action.setCheckable(True)
            action.setChecked(self._is_shown(column, rows, sorted_by))
            action.setToolTip(column.about)
            action.toggled.connect(lambda on, key=column.key: self.show(key, on))
            menu.addAction(action)
        menu.addSeparator()
        usual = QAction('Usual columns', menu)
        usual.setToolTip('Show the usual columns, in the usual order and as wide as they need')
        usual.triggered.connect(self.reset)
        usual.setEnabled(self._differs)
        menu.triggered.connect(lambda: usual.setEnabled(self._differs))
        menu.addAction(usual)
        menu.aboutToHide.connect(menu.deleteLater)
        return menu

    @property
    def _differs(self) -> bool:
        return bool(self._wanted or self.widths or self._order)

    def _keep(self) -> None:
        save_preferences(
            'batch',
            columns=' '.join(f'{"+-"[not on]}{quote(key)}' for key, on in self._wanted.items()),
            column_order=' '.join(map(quote, self._order)),
            column_widths=' '.join(f'{quote(key)}={px}' for key, px in self.widths.items()),
        )

    def _is_shown(self, column: ScoreColumn, rows: ScoreRows, sorted_by: str) -> bool:
        if column.key == PICTURE:
            return self.pictures
        if column.key == _ALWAYS:
            return True
        usually = column.shown or column.key == _WITH_ORDER == sorted_by
        return self._wanted.get(column.key, usually) and _is_filled(column, rows)


class _StayingMenu(QMenu):
    """Stays open when a box is ticked: people tick several in a row."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._pressed: QAction | None = None

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Remember where: the button that has opened the menu is let go over it, too."""
        self._pressed = self._under(event)
        super().mousePressEvent(event)

    def mouseReleaseEvent(self, event: QMouseEvent | None) -> None:
        """Tick the box under the pointer; everything else as in any menu."""
        action, self._pressed = self._pressed, None
        if not (action is self._under(event) and _tick(action)):
            super().mouseReleaseEvent(event)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Tick the chosen box with Return or the space bar."""
        chooses = event is not None and event.key() in _CHOOSE
        if not (chooses and _tick(self.activeAction())):
            super().keyPressEvent(event)

    def _under(self, event: QMouseEvent | None) -> QAction | None:
        return self.actionAt(event.position().toPoint()) if event is not None else None


def _tick(action: QAction | None) -> bool:
    """Tick a box, or untick it; return whether there was one."""
    if action is None or not action.isCheckable() or not action.isEnabled():
        return False
    action.trigger()
    return True


def _is_filled(column: ScoreColumn, rows: ScoreRows) -> bool:
    """Return whether a column has anything in it, or will have."""
    will = column.kind in ('answer', 'bar')
    will |= column.key == 'called' and rows.run.decision
    will |= column.key in ('answer', 'above')  # there are such columns only where there are rules
    return will or rows.has(column.key)
