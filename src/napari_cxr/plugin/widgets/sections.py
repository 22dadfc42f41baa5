"""Pages and docks that scroll where they are too high, and sections that fold under a title."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QScrollArea,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_cxr.checkpoint.card import NOT_FOR_CLINICAL_USE
from napari_cxr.plugin.style import quiet_label
from napari_cxr.plugin.widgets.text import ElidedLine

__all__ = ['CollapsibleSection', 'bring_into_view', 'fill_dock', 'scroll_up', 'scrollable']

_MINIMUM_WIDTH = 280


def scrollable(page: QWidget) -> QScrollArea:
    """Return a page in a frame that scrolls it; it is never wider than its place."""
    inside = QWidget()
    layout = QVBoxLayout(inside)
    layout.setContentsMargins(0, 8, 0, 0)
    layout.addWidget(page)
    layout.addStretch(1)
    return _frame(inside)


def scroll_up(page: QWidget) -> None:
    """Bring the top of a page into view, where messages are."""
    place = _scroll_area_of(page)
    if place is not None:
        place.ensureVisible(0, 0)


def bring_into_view(part: QWidget) -> None:
    """Scroll a page so that a part of it is seen, such as a message."""
    place = _scroll_area_of(part)
    inside = None if place is None else place.widget()
    if place is None or inside is None:
        return
    if (layout := inside.layout()) is not None:
        layout.activate()  # what was just filled has its height then
    place.ensureWidgetVisible(part)


def _scroll_area_of(part: QWidget) -> QScrollArea | None:
    place = part.parentWidget()
    while place is not None and not isinstance(place, QScrollArea):
        place = place.parentWidget()
    return place


def fill_dock(dock: QWidget, *widgets: QWidget) -> None:
    """Put widgets into a dock, one below the other, and below them what it is not for."""
    inside = QWidget()
    layout = QVBoxLayout(inside)
    layout.setContentsMargins(12, 12, 12, 12)
    layout.setSpacing(10)
    for widget in widgets:
        layout.addWidget(widget)
    layout.addStretch(1)
    layout.addWidget(quiet_label(NOT_FOR_CLINICAL_USE))
    scroll = _frame(inside)
    outer = QVBoxLayout(dock)
    outer.setContentsMargins(0, 0, 0, 0)
    outer.addWidget(scroll)
    # Never narrower than its contents with the scroll bar beside them.
    bar = scroll.verticalScrollBar()
    space = bar.sizeHint().width() if bar is not None else 0
    dock.setMinimumWidth(max(_MINIMUM_WIDTH, inside.minimumSizeHint().width() + space))


def _frame(inside: QWidget) -> QScrollArea:
    scroll = QScrollArea()
    scroll.setWidgetResizable(True)
    scroll.setFrameShape(QFrame.Shape.NoFrame)
    scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    scroll.setWidget(inside)
    return scroll


class CollapsibleSection(QWidget):
    """A title to click, a summary beside it, and its contents below.

    Parameters
    ----------
    title : str
        Its title.
    open_ : bool
        Whether it is unfolded at first.
    parent : QWidget, optional
        Qt parent.
    """

    #: Whether a person has unfolded it.
    toggled = Signal(bool)

    def __init__(self, title: str, open_: bool = True, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._title = title
        self.button = QToolButton()
        self.button.setCheckable(True)
        self.button.setChecked(open_)
        self.button.setAccessibleName(title)
        self.button.setToolTip('Fold or unfold this part')
        self.button.setStyleSheet(
            'QToolButton, QToolButton:checked { border: 0; padding: 3px 0; font-weight: bold;'
            ' background: transparent; text-align: left; }'
            'QToolButton:focus { background: rgba(128, 128, 128, 60); border-radius: 3px; }'
        )
        self.button.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        self.summary = ElidedLine()
        self.summary.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.summary.setObjectName('quiet')
        self._inside = QWidget()
        self.body = QVBoxLayout(self._inside)
        self.body.setContentsMargins(0, 2, 0, 8)
        self.body.setSpacing(8)
        head = QHBoxLayout()
        head.addWidget(self.button)
        head.addWidget(self.summary, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(head)
        layout.addWidget(self._inside)
        self.button.toggled.connect(self._fold)
        self._fold(open_)

    @property
    def title(self) -> str:
        """What the part is called."""
        return self._title

    @property
    def is_open(self) -> bool:
        """Whether it is unfolded."""
        return self.button.isChecked()

    def set_open(self, open_: bool) -> None:
        """Fold or unfold it."""
        self.button.setChecked(open_)

    def set_summary(self, text: str) -> None:
        """Show a summary beside the title, such as a number."""
        self.summary.show_text(text)

    def add(self, *widgets: QWidget) -> None:
        """Put widgets into it, one below the other."""
        for widget in widgets:
            self.body.addWidget(widget)
            for label in (widget, *widget.findChildren(QLabel)):
                if isinstance(label, QLabel):
                    label.setIndent(0)  # in line with tables and plots

    def _fold(self, open_: bool) -> None:
        self.button.setText(f'{"▾" if open_ else "▸"}  {self._title}')
        self._inside.setVisible(open_)
        self.toggled.emit(open_)
