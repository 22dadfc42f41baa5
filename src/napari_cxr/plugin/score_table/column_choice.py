"""Which columns of the score table are shown, their order and widths; saved as preferences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import quote, unquote

from qtpy.QtCore import QObject, Qt, Signal
from qtpy.QtGui import QAction, QKeyEvent, QMouseEvent
from qtpy.QtWidgets import QMenu, QWidget

from napari_cxr.plugin.preferences import preferences, save_preferences
from napari_cxr.plugin.score_table.score_columns import PICTURE, ScoreColumn
from napari_cxr.plugin.score_table.score_rows import ScoreRows
from napari_cxr.plugin.widgets.text import button_text, plain_tip

__all__ = ['ColumnChoice']

#: Always shown: without it rows cannot be told apart.
_ALWAYS = 'file'
#: Shown of a table that is read blinded, besides.
_BLINDED = ('read', 'note')
#: Shown while the table is sorted by it, unless the user has chosen otherwise.
_WITH_ORDER = 'uncertainty'
#: Keys that trigger an action of a menu.
_CHOOSE = (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space)


class ColumnChoice(QObject):
    """Shows the columns that are not empty, as far as the user wants them.

    Parameters
    ----------
    parent : QObject, optional
        Qt parent.

    Attributes
    ----------
    pictures : bool
        Whether thumbnails are shown; not saved, because they take time.
    doubtful : bool
        Whether predictions of doubtful images are shown; not saved, as in the Classify dock.
    blinded : bool
        Whether only columns are shown that tell nothing of the images.
    widths : dict of str to int
        Widths in pixels of the columns that the user has resized.
    """

    #: The choice has changed.
    changed = Signal()
    #: Whether predictions of doubtful images are to be shown.
    doubtful_wanted = Signal(bool)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        chosen = preferences('batch')
        self.pictures = self.doubtful = self.blinded = False
        self._wanted = {unquote(word[1:]): word[0] == '+' for word in chosen.columns.split()}
        self._order = [unquote(word) for word in chosen.column_order.split()]
        self.widths: dict[str, int] = {}
        for word in chosen.column_widths.split():
            key, _, width = word.rpartition('=')
            if width.isdecimal():
                self.widths[unquote(key)] = int(width)

    def shown(self, columns: Sequence[ScoreColumn], rows: ScoreRows, sorted_by: str) -> list[str]:
        """Return the keys of the columns to show; empty columns are left out."""
        return [column.key for column in columns if self._is_shown(column, rows, sorted_by)]

    def show(self, key: str, shown: bool) -> None:
        """Show or hide a column, and save that."""
        if key == PICTURE:
            self.pictures = shown
        else:
            self._wanted[key] = shown
            self._save()
        self.changed.emit()

    def arranged(self, keys: Sequence[str]) -> list[str]:
        """Return columns in the order that the user has chosen.

        A column that was not moved follows the column that it follows by default.
        """
        placed = [key for key in self._order if key in keys]
        for i, key in enumerate(keys):
            if key not in placed:
                placed.insert(placed.index(keys[i - 1]) + 1 if i else 0, key)
        return placed

    def save_order(self, keys: Sequence[str]) -> None:
        """Save the order of the columns."""
        self._order = list(keys)
        self._save()

    def save_widths(self, widths: Mapping[str, int]) -> None:
        """Save the widths of some columns."""
        self.widths |= widths
        self._save()

    def forget_width(self, key: str) -> None:
        """Fit a column to its contents again."""
        self.widths.pop(key, None)
        self._save()

    def reset(self) -> None:
        """Return to the default columns, order and widths."""
        for wants in (self._wanted, self.widths, self._order):
            wants.clear()
        self._save()
        self.changed.emit()

    def menu(
        self, columns: Sequence[ScoreColumn], rows: ScoreRows, sorted_by: str, parent: QWidget
    ) -> QMenu:
        """Return a menu of the columns, with those that are shown checked."""
        menu = _StayingMenu(parent)
        menu.setToolTipsVisible(True)
        for column in columns:
            if column.key in (PICTURE, _ALWAYS) or not _is_filled(column, rows):
                continue
            title = 'Number' if column.key == 'number' else column.title
            action = QAction(button_text(title), menu)
            action.setCheckable(True)
            action.setChecked(self._is_shown(column, rows, sorted_by))
            action.setToolTip(plain_tip(column.about))
            action.toggled.connect(lambda on, key=column.key: self.show(key, on))
            menu.addAction(action)
        menu.addSeparator()
        if rows.flags['doubted'].values.any():
            doubtful = QAction('Predictions of doubtful images', menu)
            doubtful.setCheckable(True)
            doubtful.setChecked(self.doubtful)
            doubtful.setToolTip('They are withheld, because the model is not made for such images')
            doubtful.toggled.connect(self.reveal_doubtful)
            menu.addAction(doubtful)
        default = QAction('Default columns', menu)
        default.setToolTip('Show the default columns, in their order and fitted to their contents')
        default.triggered.connect(self.reset)
        default.setEnabled(self._differs)
        menu.triggered.connect(lambda: default.setEnabled(self._differs))
        menu.addAction(default)
        menu.aboutToHide.connect(menu.deleteLater)
        return menu

    def reveal_doubtful(self, revealed: bool) -> None:
        """Show the predictions of doubtful images, or withhold them."""
        self.doubtful = revealed
        self.doubtful_wanted.emit(revealed)

    @property
    def _differs(self) -> bool:
        return bool(self._wanted or self.widths or self._order)

    def _save(self) -> None:
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
        if self.blinded:
            return column.key in _BLINDED and _is_filled(column, rows)
        by_default = column.shown or column.key == _WITH_ORDER == sorted_by
        return self._wanted.get(column.key, by_default) and _is_filled(column, rows)


class _StayingMenu(QMenu):
    """A menu that stays open when an action is checked, so that several can be."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._pressed: QAction | None = None

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Remember the action: the button that opened the menu may be released over another."""
        self._pressed = self._under(event)
        super().mousePressEvent(event)

    def mouseReleaseEvent(self, event: QMouseEvent | None) -> None:
        """Check the action under the pointer; otherwise as in any menu."""
        action, self._pressed = self._pressed, None
        if not (action is self._under(event) and _toggle(action)):
            super().mouseReleaseEvent(event)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Check the current action with Return or the space bar."""
        chooses = event is not None and event.key() in _CHOOSE
        if not (chooses and _toggle(self.activeAction())):
            super().keyPressEvent(event)

    def _under(self, event: QMouseEvent | None) -> QAction | None:
        return self.actionAt(event.position().toPoint()) if event is not None else None


def _toggle(action: QAction | None) -> bool:
    """Check or uncheck an action; return whether it can be."""
    if action is None or not action.isCheckable() or not action.isEnabled():
        return False
    action.trigger()
    return True


def _is_filled(column: ScoreColumn, rows: ScoreRows) -> bool:
    """Return whether a column has contents, or will have."""
    always = column.kind in ('answer', 'bar')
    always |= column.key == 'called' and rows.run.decision
    # These columns exist only where the model has a label rule, or prediction sets.
    always |= column.key in ('answer', 'above', 'possible')
    return always or rows.has(column.key)
