"""Keyboard shortcuts of annotation, and where they work.

There is one for each class, and others to agree, to change the row and to undo. They work in the
dock and, once a row is open, in the canvas and the docks beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from napari.components import ViewerModel
from napari.layers import Labels, Points, Shapes
from qtpy.QtCore import QEvent, QKeyCombination, QObject, Qt
from qtpy.QtGui import QKeyEvent, QKeySequence, QShortcut
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QDockWidget,
    QLineEdit,
    QMainWindow,
    QPlainTextEdit,
    QTabWidget,
    QTextEdit,
    QWidget,
)

from napari_cxr.plugin.annotation.annotation_controls import CLASS_KEYS
from napari_cxr.plugin.annotation.annotation_panel import AnnotationPanel
from napari_cxr.plugin.background import when_destroyed

__all__ = ['AnnotationShortcuts', 'ShortcutScope']

#: Widgets in which keys type or choose something.
_TYPED = (QComboBox, QLineEdit, QAbstractSpinBox, QTextEdit, QPlainTextEdit)


class AnnotationShortcuts(QObject):
    """Shortcuts in a widget that control an annotation panel while it, or its tab, is visible.

    If another tab is in front, a shortcut brings the panel forward. A key that is not for the
    panel goes to the focused widget, as if there were no shortcuts. Except for the digits, none
    of the keys has a meaning in napari while an image layer is selected.

    Parameters
    ----------
    panel : AnnotationPanel
        The panel that they control.
    scope : QWidget
        They work while this widget, or a child of it, has the focus.
    is_suspended : callable, optional
        Whether the keys are needed otherwise now, as by the tools of a labels layer.
    """

    def __init__(
        self,
        panel: AnnotationPanel,
        scope: QWidget,
        is_suspended: Callable[[], bool] | None = None,
    ) -> None:
        super().__init__(scope)
        self._panel, self._scope, self._is_suspended = panel, scope, is_suspended
        self._shortcuts: list[QShortcut] = []
        for place, key in enumerate(CLASS_KEYS):
            self._add(key, partial(panel.choose, place))
        self._add('Space', panel.agree)
        self._add('U', panel.mark_unsure)
        self._add('X', panel.ask_unusable)
        self._add('N', panel.begin_note)
        self._add('J', lambda: panel.step.emit(1), repeat=True)
        self._add('K', lambda: panel.step.emit(-1), repeat=True)
        self._add('Ctrl+Z', panel.undo, repeat=True)
        self._add('Ctrl+Shift+Z', panel.redo, repeat=True)
        scope.installEventFilter(self)

    @property
    def shortcuts(self) -> list[QShortcut]:
        """The Qt shortcuts, which belong to the widget."""
        return self._shortcuts

    def remove(self) -> None:
        """Remove the shortcuts from the widget."""
        self._scope.removeEventFilter(self)
        for shortcut in self._shortcuts:
            shortcut.setEnabled(False)  # at once: with two shortcuts for a key neither works
            shortcut.deleteLater()
        self._shortcuts = []
        self.deleteLater()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Let keys that are not for the panel bypass the shortcuts."""
        if (
            isinstance(event, QKeyEvent)
            and event.type() == QEvent.Type.ShortcutOverride
            and self._is_ours(event)
            and (_presses_button(event) or not self._is_active())
        ):
            event.accept()  # Qt sends it to the focused widget then
            return True
        return False

    def _is_ours(self, event: QKeyEvent) -> bool:
        keypad = Qt.KeyboardModifier.KeypadModifier  # its digits count as digits
        pressed = QKeySequence(QKeyCombination(event.modifiers() & ~keypad, Qt.Key(event.key())))
        return any(shortcut.key() == pressed for shortcut in self._shortcuts)

    def _is_active(self) -> bool:
        """Return whether a key is meant for the panel now."""
        widget = self._tabs or self._panel
        # A dock behind the tab of another one is visible for Qt, but nothing of it shows.
        shown = widget.isVisible() and not widget.visibleRegion().isEmpty()
        if not shown or isinstance(QApplication.focusWidget(), _TYPED):
            return False
        return self._is_suspended is None or not self._is_suspended()

    @property
    def _tabs(self) -> QTabWidget | None:
        """The tab widget around the panel, if there is one."""
        parent = self._panel.parentWidget()
        while parent is not None and not isinstance(parent, QTabWidget):
            parent = parent.parentWidget()
        return parent

    def _bring_forward(self) -> None:
        """Show the tab of the panel; a widget of another tab loses the focus."""
        tabs, focused = self._tabs, QApplication.focusWidget()
        if tabs is None or self._panel.isVisible():
            return
        for i in range(tabs.count()):
            page = tabs.widget(i)
            if page is not None and page.isAncestorOf(self._panel):
                tabs.setCurrentIndex(i)
        if focused is not None and tabs.isAncestorOf(focused):
            self._panel.setFocus()

    def _add(self, key: str, act: Callable[[], object], repeat: bool = False) -> None:
        shortcut = QShortcut(QKeySequence(key), self._scope)
        shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        shortcut.setAutoRepeat(repeat)  # holding a key down labels one image only
        shortcut.activated.connect(partial(self._press, act))
        self._shortcuts.append(shortcut)

    def _press(self, act: Callable[[], object]) -> None:
        # Shift with a digit bypasses the event filter, because it types another character.
        if self._is_active():
            self._bring_forward()
            act()


def _presses_button(event: QKeyEvent) -> bool:
    """Return whether a key is the space bar and presses the focused button."""
    return event.key() == Qt.Key.Key_Space and isinstance(
        QApplication.focusWidget(), QAbstractButton
    )


#: Layers whose tools have shortcuts of their own.
_EDITED = (Labels, Points, Shapes)

#: Docks of napari where the user hides the heatmap or changes the contrast.
_BESIDE = ('layer list', 'layer controls')


class ShortcutScope(QObject):
    """Installs the shortcuts of an annotation panel, and removes those around the image again.

    Parameters
    ----------
    viewer : ViewerModel
        Its active layer may need the keys around the image.
    panel : AnnotationPanel
        The panel that the shortcuts control.
    dock : QWidget
        Where they are always installed.
    """

    def __init__(self, viewer: ViewerModel, panel: AnnotationPanel, dock: QWidget) -> None:
        super().__init__(dock)
        self._viewer, self._panel, self._dock = viewer, panel, dock
        self._in_dock = AnnotationShortcuts(panel, dock)
        self._around: list[AnnotationShortcuts] = []
        self._theirs: list[QShortcut] = []  # children of the window, which may outlive the dock
        when_destroyed(self, partial(_disable, self._theirs))

    def add_around_image(self) -> None:
        """Install the shortcuts also in the canvas and in the docks beside it."""
        window = self._dock.window()
        if self._around or not isinstance(window, QMainWindow):
            return
        beside = (window.findChild(QDockWidget, name) for name in _BESIDE)
        for place in (window.centralWidget(), *beside):
            if place is not None:
                keys = AnnotationShortcuts(self._panel, place, self._is_edited)
                self._around.append(keys)
                self._theirs += keys.shortcuts

    def remove_around_image(self) -> None:
        """Remove the shortcuts around the image: with those of two docks neither would work."""
        for keys in self._around:
            keys.remove()
        self._around.clear()
        self._theirs.clear()

    def _is_edited(self) -> bool:
        """Return whether the tools of a layer that is being edited need the keys."""
        return isinstance(self._viewer.layers.selection.active, _EDITED)


def _disable(shortcuts: list[QShortcut]) -> None:
    for shortcut in shortcuts:
        try:
            shortcut.setEnabled(False)
            shortcut.deleteLater()
        except RuntimeError:  # gone with its window
            pass
