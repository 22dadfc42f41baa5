"""Layout of the Batch dock: how its parts divide the space, and which of them scroll first."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QSize, Qt
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QBoxLayout, QFrame, QScrollArea, QSizePolicy, QSplitter, QWidget

__all__ = [
    'FittingScrollArea',
    'PanelScrollArea',
    'PartsSplitter',
    'SqueezableLayout',
    'WrappingColumn',
    'settle_height',
]


class PanelScrollArea(QScrollArea):
    """The scroll area around the whole panel, for docks lower than its smallest layout.

    The minimum height of the dock therefore never depends on what is shown. Otherwise it could
    only grow: Qt keeps the minimum height that a dock widget has once had.
    """

    def __init__(self, panel: QWidget) -> None:
        super().__init__()
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(panel)

    def sizeHint(self) -> QSize:
        """Return the preferred size of the panel."""
        panel = self.widget()
        return panel.sizeHint() if panel is not None else super().sizeHint()


class SqueezableLayout(QBoxLayout):
    """A layout that may be squeezed to the smallest height of its parts, which scroll then."""

    def hasHeightForWidth(self) -> bool:
        """Return False: `FittingScrollArea` handles heights that depend on the width."""
        return False


class PartsSplitter(QSplitter):
    """A splitter that asks for its minimum height only, so that the setup gets what it needs."""

    def set_fractions(self, parts: tuple[int, int]) -> None:
        """Divide the space in this proportion, until the user moves the handle."""
        for index, part in enumerate(parts):
            self.setStretchFactor(index, part)
        self.setSizes([1000 * part for part in parts])

    def sizeHint(self) -> QSize:
        """Return the minimum size."""
        return self.minimumSizeHint()


class WrappingColumn(QWidget):
    """A column whose minimum height is that of its wrapped lines at the current width.

    A splitter knows nothing of heights that depend on the width: where a message wraps, it would
    squeeze the widgets beside the message instead of asking for more height.
    """

    def event(self, event: QEvent | None) -> bool:
        """Adapt to widgets that are shown or hidden."""
        done = super().event(event)
        if event is not None and event.type() == QEvent.Type.LayoutRequest:
            self._fit()
        return done

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Ask for another height where lines wrap differently."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        layout = self.layout()
        if layout is not None and layout.hasHeightForWidth():
            self.setMinimumHeight(layout.minimumHeightForWidth(self.width()))
        else:
            self.setMinimumHeight(0)  # that of the layout


class FittingScrollArea(QScrollArea):
    """As high as its contents; it scrolls where there is less space."""

    def __init__(self, inside: QWidget) -> None:
        super().__init__()
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(inside)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        inside.installEventFilter(self)

    def eventFilter(self, watched, event):  # type: ignore[no-untyped-def]
        """Ask for a new height when the contents fold or wrap."""
        if event.type() == event.Type.LayoutRequest:
            self.fit()
        return super().eventFilter(watched, event)

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Ask for a new height where lines wrap differently."""
        super().resizeEvent(event)
        self.fit()

    def sizeHint(self) -> QSize:
        """Return the height of the contents at the current width."""
        inside = self.widget()
        if inside is None:
            return super().sizeHint()
        least = inside.minimumSizeHint()
        width = max(self.width(), least.width())
        layout = inside.layout()
        height = layout.totalHeightForWidth(width) if layout is not None else -1
        viewport = self.viewport()
        # The frame of the style sheet, which `frameWidth` does not include.
        frame = self.height() - viewport.height() if viewport is not None else 0
        height = height if height > 0 else inside.sizeHint().height()
        # The minimum height of wrapped lines is that of a narrow column.
        return QSize(width, max(height, least.height()) + frame)

    def fit(self) -> None:
        """Ask for the height that the contents need now."""
        self.updateGeometry()
        # A scroll bar would never go again: it narrows the lines, which then need a bar.
        policies = Qt.ScrollBarPolicy
        fits = self.height() >= self.sizeHint().height()
        wanted = policies.ScrollBarAlwaysOff if fits else policies.ScrollBarAsNeeded
        if self.verticalScrollBarPolicy() != wanted:
            self.setVerticalScrollBarPolicy(wanted)

    def minimumSizeHint(self) -> QSize:
        """Return the minimum size: the setup scrolls before the table disappears."""
        inside = self.widget()
        width = inside.minimumSizeHint().width() if inside is not None else 0
        return QSize(width, min(self.sizeHint().height(), 110))


def settle_height(part: QWidget) -> None:
    """Give a widget and its parents their new height at once.

    Qt does so level by level and defers it at a scroll area; until then it may paint new
    contents squeezed into the old height.
    """
    parents, parent = [], part.parentWidget()
    while parent is not None and not isinstance(parent, PanelScrollArea):
        parents.append(parent)
        parent = parent.parentWidget()
    layouts = [layout for each in (part, *parents) if (layout := each.layout()) is not None]
    for layout in layouts:  # they cache the sizes of the old contents
        layout.invalidate()
    for each in parents:
        if isinstance(each, FittingScrollArea):
            each.fit()
    for layout in layouts:
        layout.activate()
