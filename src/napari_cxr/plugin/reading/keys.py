"""The keys of reading: one a class, and those to agree, to pass by and to take back."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Qt
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import QAbstractButton, QApplication, QWidget

from napari_cxr.plugin.reading.buttons import KEYS

if TYPE_CHECKING:
    from napari_cxr.plugin.reading.panel import ReadingPanel

__all__ = ['ReadingKeys']


class ReadingKeys(QObject):
    """Shortcuts of a widget that work a reading panel.

    Qt gives a key to a text field that has the focus before any shortcut, so that what is
    typed there labels nothing. None of the keys but the digits means anything in napari where
    an image layer is chosen.

    Parameters
    ----------
    panel : ReadingPanel
        What they work.
    scope : QWidget
        Where they work: while it or something in it has the focus.
    """

    def __init__(self, panel: ReadingPanel, scope: QWidget) -> None:
        super().__init__(scope)
        self._panel, self._scope = panel, scope
        self._shortcuts: list[QShortcut] = []
        for place, key in enumerate(KEYS):
            self._add(key, partial(panel.choose, place))
        self._add('Space', self._agree)
        self._add('U', panel.say_unsure)
        self._add('N', panel.begin_note)
        self._add('J', lambda: panel.step.emit(1), repeat=True)
        self._add('K', lambda: panel.step.emit(-1), repeat=True)
        self._add('Ctrl+Z', panel.undo, repeat=True)
        self._add('Ctrl+Shift+Z', panel.redo, repeat=True)

    def set_enabled(self, enabled: bool) -> None:
        """Let the keys work, or leave them to others: to the tools of a layer with lungs, say."""
        for shortcut in self._shortcuts:
            shortcut.setEnabled(enabled)

    def _add(self, key: str, slot: Callable[[], object], repeat: bool = False) -> None:
        shortcut = QShortcut(QKeySequence(key), self._scope)
        shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        shortcut.setAutoRepeat(repeat)  # a key that is held down labels one image
        shortcut.activated.connect(slot)
        self._shortcuts.append(shortcut)

    def _agree(self) -> None:
        """Agree, unless the space bar is to press the button that has the focus."""
        focused = QApplication.focusWidget()
        if isinstance(focused, QAbstractButton):
            focused.click()
        else:
            self._panel.agree()
