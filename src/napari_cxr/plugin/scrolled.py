"""Pages and docks that scroll up and down where they are higher than their place."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFrame, QScrollArea, QVBoxLayout, QWidget

from napari_cxr.checkpoint.card import NOT_FOR_CLINICAL_USE
from napari_cxr.plugin.text import quiet_label

__all__ = ['bring_into_view', 'fill_dock', 'scroll_up', 'scrolled']

_NARROWEST = 280


def scrolled(page: QWidget) -> QScrollArea:
    """Return a page in a frame that scrolls it; it is never wider than its place."""
    inside = QWidget()
    layout = QVBoxLayout(inside)
    layout.setContentsMargins(0, 8, 0, 0)
    layout.addWidget(page)
    layout.addStretch(1)
    return _frame(inside)


def scroll_up(page: QWidget) -> None:
    """Bring the top of a page into view, where something is told."""
    place = _place_of(page)
    if place is not None:
        place.ensureVisible(0, 0)


def bring_into_view(part: QWidget) -> None:
    """Scroll a page so that a part of it is seen, where something is told."""
    place = _place_of(part)
    inside = None if place is None else place.widget()
    if place is None or inside is None:
        return
    if (layout := inside.layout()) is not None:
        layout.activate()  # what was just filled has its height then
    place.ensureWidgetVisible(part)


def _place_of(part: QWidget) -> QScrollArea | None:
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
    room = bar.sizeHint().width() if bar is not None else 0
    dock.setMinimumWidth(max(_NARROWEST, inside.minimumSizeHint().width() + room))


def _frame(inside: QWidget) -> QScrollArea:
    scroll = QScrollArea()
    scroll.setWidgetResizable(True)
    scroll.setFrameShape(QFrame.Shape.NoFrame)
    scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    scroll.setWidget(inside)
    return scroll
