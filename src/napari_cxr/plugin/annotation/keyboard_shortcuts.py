"""Keyboard shortcuts of annotation, and where they work.

There is one for each class, and some to agree, to skip a row and to undo. They work in the dock
and, once a row is open, around the image.
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

from napari_cxr.plugin.annotation.annotation_panel import AnnotationPanel
from napari_cxr.plugin.annotation.class_buttons import CLASS_KEYS
from napari_cxr.plugin.background import when_destroyed

__all__ = ['AnnotationShortcuts', 'ShortcutScope']

#: Widgets in which a key is typed or chooses.
_TYPED = (QComboBox, QLineEdit, QAbstractSpinBox, QTextEdit, QPlainTextEdit)


class AnnotationShortcuts(QObject):
    """Shortcuts of a widget that work a reading panel, while a person sees it or its tab.

    Where another tab is in front, a key brings the panel forward. A key that is not for the
    panel goes to whatever has the focus, as if there were no shortcuts. None of the keys but
    the digits means anything in napari where an image layer is chosen.

    Parameters
    ----------
    panel : ReadingPanel
        What they work.
    scope : QWidget
        Where they work: while it or something in it has the focus.
    leave : callable, optional
        Whether keys are left to others now: to the tools of a layer with lungs, say.
    """

    def __init__(
        self,
        panel: AnnotationPanel,
        scope: QWidget,
        leave: Callable[[], bool] | None = None,
    ) -> None:
        super().__init__(scope)
        self._panel, self._scope, self._leave = panel, scope, leave
        self._shortcuts: list[QShortcut] = []
        for place, key in enumerate(CLASS_KEYS):
            self._add(key, partial(panel.choose, place))
        self._add('Space', panel.agree)
        self._add('U', panel.say_unsure)
        self._add('N', panel.begin_note)
        self._add('J', lambda: panel.step.emit(1), repeat=True)
        self._add('K', lambda: panel.step.emit(-1), repeat=True)
        self._add('Ctrl+Z', panel.undo, repeat=True)
        self._add('Ctrl+Shift+Z', panel.redo, repeat=True)
        scope.installEventFilter(self)

    @property
    def shortcuts(self) -> list[QShortcut]:
        """What Qt has of them, which belongs to the widget."""
        return self._shortcuts

    def remove(self) -> None:
        """Take them away from the widget."""
        self._scope.removeEventFilter(self)
        for shortcut in self._shortcuts:
            shortcut.setEnabled(False)  # now: two of one key would both be dead
            shortcut.deleteLater()
        self._shortcuts = []
        self.deleteLater()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Let a key that is not for the panel pass by the shortcuts."""
        if (
            isinstance(event, QKeyEvent)
            and event.type() == QEvent.Type.ShortcutOverride
            and self._is_ours(event)
            and (_presses(event) or not self._hears())
        ):
            event.accept()  # so Qt gives it to what has the focus
            return True
        return False

    def _is_ours(self, event: QKeyEvent) -> bool:
        keypad = Qt.KeyboardModifier.KeypadModifier  # whose digits are digits
        pressed = QKeySequence(QKeyCombination(event.modifiers() & ~keypad, Qt.Key(event.key())))
        return any(shortcut.key() == pressed for shortcut in self._shortcuts)

    def _hears(self) -> bool:
        """Whether a key is meant for the panel now."""
        place = self._tabs or self._panel
        # A dock behind another one's tab counts as visible in Qt, but nothing of it shows.
        shown = place.isVisible() and not place.visibleRegion().isEmpty()
        if not shown or isinstance(QApplication.focusWidget(), _TYPED):
            return False
        return self._leave is None or not self._leave()

    @property
    def _tabs(self) -> QTabWidget | None:
        """The tabs of which the panel is one, if it is."""
        place = self._panel.parentWidget()
        while place is not None and not isinstance(place, QTabWidget):
            place = place.parentWidget()
        return place

    def _bring_forward(self) -> None:
        """Show the panel in place of the tab in front; what had the focus there loses it."""
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
        shortcut.setAutoRepeat(repeat)  # a key that is held down labels one image
        shortcut.activated.connect(partial(self._press, act))
        self._shortcuts.append(shortcut)

    def _press(self, act: Callable[[], object]) -> None:
        # Shift and a digit come past the filter, as the sign that they type.
        if self._hears():
            self._bring_forward()
            act()


def _presses(event: QKeyEvent) -> bool:
    """Whether a key is the space bar that presses the button which has the focus."""
    return event.key() == Qt.Key.Key_Space and isinstance(
        QApplication.focusWidget(), QAbstractButton
    )


#: Layers whose tools have keys of their own.
_EDITED = (Labels, Points, Shapes)

#: napari's docks in which a person hides the heatmap, or changes how dark the image is.
_BESIDE = ('layer list', 'layer controls')


class ShortcutScope(QObject):
    """Installs the keys of a reading panel, and takes those around the image away again.

    Parameters
    ----------
    viewer : ViewerModel
        Whose active layer may need the keys around the image.
    panel : ReadingPanel
        What the keys work.
    dock : QWidget
        Where they always are.
    """

    def __init__(self, viewer: ViewerModel, panel: AnnotationPanel, dock: QWidget) -> None:
        super().__init__(dock)
        self._viewer, self._panel, self._dock = viewer, panel, dock
        self._in_dock = AnnotationShortcuts(panel, dock)
        self._around: list[AnnotationShortcuts] = []
        self._theirs: list[QShortcut] = []  # of the window, which may outlive the dock
        when_destroyed(self, partial(_disable, self._theirs))

    def reach_image(self) -> None:
        """Hear the keys also while the canvas, or what napari has beside it, has the focus."""
        window = self._dock.window()
        if self._around or not isinstance(window, QMainWindow):
            return
        beside = (window.findChild(QDockWidget, name) for name in _BESIDE)
        for place in (window.centralWidget(), *beside):
            if place is not None:
                keys = AnnotationShortcuts(self._panel, place, self._is_edited)
                self._around.append(keys)
                self._theirs += keys.shortcuts

    def leave_image(self) -> None:
        """Leave the image to napari: with the keys of two docks neither would work."""
        for keys in self._around:
            keys.remove()
        self._around.clear()
        self._theirs.clear()

    def _is_edited(self) -> bool:
        """Whether the tools of a layer that is being edited need the keys."""
        return isinstance(self._viewer.layers.selection.active, _EDITED)


def _disable(shortcuts: list[QShortcut]) -> None:
    for shortcut in shortcuts:
        try:
            shortcut.setEnabled(False)
            shortcut.deleteLater()
        except RuntimeError:  # gone with its window
            pass
