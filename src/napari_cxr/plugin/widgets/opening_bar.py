"""The strip below the canvas that says what is being opened, and what could not be.

It is there as long as it has something to say. napari's own notifications show one line, for
four seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from napari.components import ViewerModel
from qtpy.QtCore import QSize, Qt, QTimer, Signal
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import (
    QDockWidget,
    QFrame,
    QHBoxLayout,
    QMainWindow,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_cxr.output_text import terminal_line
from napari_cxr.plugin.style import style_sheet
from napari_cxr.plugin.widgets.text import PlainLabel

__all__ = ['OpeningBar', 'OpeningLine', 'OpeningNote']

#: As many messages are kept; older ones go.
_MOST_NOTES = 4
#: The strip is no higher, in pixels, unless a person drags it: it scrolls instead. It may become
#: as low as one line with a button: napari's docks need nearly all of a small screen, and its
#: window would grow beyond it.
_MOST_HEIGHT, _LEAST_HEIGHT = 96, 30


class OpeningLine(QWidget):
    """One opening that takes its time: what, how far, how long, and a button to cancel it.

    Parameters
    ----------
    text : str
        What is being opened.
    parent : QWidget, optional
        Qt parent.
    """

    #: The person does not want it any more.
    cancelled = Signal()

    def __init__(self, text: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._text = terminal_line(text)
        self._began = time.monotonic()
        self._done = self._files = 0
        self.label = PlainLabel()
        self.bar = QProgressBar()
        self.bar.setRange(0, 0)
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(4)
        self.cancel = QPushButton('Cancel')
        self.cancel.setAccessibleName(f'Cancel: {text}')
        self.cancel.clicked.connect(self.cancelled)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.label)
        layout.addWidget(self.bar, 1)
        layout.addWidget(self.cancel)
        self._clock = QTimer(self)
        self._clock.timeout.connect(self._tick)
        self._clock.start(500)
        self._tick()

    def show_progress(self, done: int, files: int) -> None:
        """Show how many of how many files are done."""
        self._done, self._files = done, files
        self.bar.setRange(0, files if files > 1 else 0)
        self.bar.setValue(done)
        self._tick()

    def _tick(self) -> None:
        spent = time.monotonic() - self._began
        said = [self._text]
        if self._files > 1:
            said.append(f'{self._done} of {self._files}')
        if self._files > 1 and self._done:
            said.append(f'about {spent / self._done * (self._files - self._done):.0f} s left')
        else:  # nobody can know how long one file takes
            said.append(f'{spent:.0f} s')
        self.label.setText(' · '.join(said))


class OpeningNote(QFrame):
    """A message that stays until it is dismissed, with something to do about it or not.

    Parameters
    ----------
    text : str
        One sentence or a few.
    wrong : bool
        Whether something could not be opened.
    offer : str
        What the button says; empty for none.
    parent : QWidget, optional
        Qt parent.
    """

    #: The person takes the offer.
    accepted = Signal()
    #: The person has read it.
    dismissed = Signal()

    def __init__(
        self, text: str, wrong: bool = False, offer: str = '', parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setObjectName('message' if wrong else 'notice')
        self.label = PlainLabel(text)
        self.label.setWordWrap(True)
        self.label.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.offer = QPushButton(offer)
        self.offer.setVisible(bool(offer))
        self.dismiss = QPushButton('Dismiss')
        self.offer.clicked.connect(self.accepted)
        self.dismiss.clicked.connect(self.dismissed)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(8, 4, 4, 4)
        layout.addWidget(self.label, 1)
        layout.addWidget(self.offer)
        layout.addWidget(self.dismiss)

    @property
    def text(self) -> str:
        """What it says."""
        return self.label.text()


class _ScrollingStack(QScrollArea):
    """As high as what is in it, up to a limit."""

    def __init__(self) -> None:
        super().__init__()
        self._inside = QWidget()
        self.stack = QVBoxLayout(self._inside)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidgetResizable(True)
        self.setWidget(self._inside)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)

    def sizeHint(self) -> QSize:
        """Return the height of the contents at the current width."""
        least = self._inside.minimumSizeHint()
        wrapped = self.stack.totalHeightForWidth(max(self.width(), least.width()))
        viewport = self.viewport()
        # The frame of napari's style sheet, which `frameWidth` does not include.
        frame = self.height() - viewport.height() if viewport is not None else 0
        return QSize(least.width(), max(wrapped, least.height()) + frame)

    @property
    def wanted_height(self) -> int:
        """What it should get: its contents, up to the limit."""
        return min(self.sizeHint().height(), _MOST_HEIGHT)

    def minimumSizeHint(self) -> QSize:
        """Return the least with which it can be read, line by line."""
        hint = self.sizeHint()
        return QSize(hint.width(), min(hint.height(), _LEAST_HEIGHT))

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Ask for a new height where lines wrap differently."""
        super().resizeEvent(event)
        self.updateGeometry()

    def show_last(self) -> None:
        """Scroll to the end, where the latest message is."""
        bar = self.verticalScrollBar()
        if bar is not None:
            bar.setValue(bar.maximum())


class OpeningBar(QWidget):
    """Lines of what is being opened, and notes about what was.

    Parameters
    ----------
    viewer : ViewerModel
        Whose theme it takes.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self.setStyleSheet(style_sheet(viewer.theme))
        viewer.events.theme.connect(self._theme_changed)
        self.lines: list[OpeningLine] = []
        self.notes: list[OpeningNote] = []
        self._scroll = _ScrollingStack()
        self._layout = self._scroll.stack
        self._layout.setContentsMargins(8, 4, 8, 4)
        self._layout.setSpacing(4)
        around = QVBoxLayout(self)
        around.setContentsMargins(0, 0, 0, 0)
        around.addWidget(self._scroll)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)

    def add_line(self, text: str) -> OpeningLine:
        """Show that something is being opened; see `remove_line`."""
        line = OpeningLine(text)
        self.lines.append(line)
        self._layout.addWidget(line)
        self._appear()
        return line

    def remove_line(self, line: OpeningLine) -> None:
        """Take a line away: it is open, or will not be."""
        if line in self.lines:
            self.lines.remove(line)
            self._take_away(line)

    def add_note(
        self,
        text: str,
        wrong: bool = False,
        offer: str = '',
        accept: Callable[[], object] | None = None,
    ) -> OpeningNote:
        """Show a message until it is dismissed; see `OpeningNote`."""
        for old in [*self.notes[: 1 - _MOST_NOTES], *(n for n in self.notes if n.text == text)]:
            self.remove_note(old)
        note = OpeningNote(text, wrong, offer)
        self.notes.append(note)
        note.dismissed.connect(lambda: self.remove_note(note))
        if accept is not None:
            note.accepted.connect(accept)
        self._layout.addWidget(note)
        self._appear()
        return note

    def withdraw_offers(self) -> None:
        """Take away messages with an offer, which was taken or is no more."""
        for note in [note for note in self.notes if note.offer.text()]:
            self.remove_note(note)

    def remove_note(self, note: OpeningNote) -> None:
        """Take a message away."""
        if note in self.notes:
            self.notes.remove(note)
            self._take_away(note)

    def _theme_changed(self, event: Any) -> None:
        self.setStyleSheet(style_sheet(event.value))

    def _take_away(self, part: QWidget) -> None:
        self._layout.removeWidget(part)
        part.hide()
        part.deleteLater()
        self._appear()

    def _appear(self) -> None:
        """Be there, as high as need be, as long as there is something to say."""
        self._scroll.updateGeometry()
        dock = self._dock()
        if dock is None:
            return
        dock.setVisible(bool(self.lines or self.notes))
        window = dock.parent()
        if isinstance(window, QMainWindow) and dock.isVisible():
            QTimer.singleShot(0, self._shrink)

    def _shrink(self) -> None:
        dock = self._dock()
        window = dock.parent() if dock is not None else None
        # By now it may have been hidden again, and has no place that could be resized.
        there = dock is not None and dock.isVisible() and not dock.isFloating()
        if dock is not None and there and isinstance(window, QMainWindow):
            vertical = Qt.Orientation.Vertical
            around = dock.minimumSizeHint().height() - self._scroll.minimumSizeHint().height()
            window.resizeDocks([dock], [around + self._scroll.wanted_height], vertical)
            QTimer.singleShot(0, self._scroll.show_last)

    def _dock(self) -> QDockWidget | None:
        around = self.parent()
        while around is not None and not isinstance(around, QDockWidget):
            around = around.parent()
        return around
