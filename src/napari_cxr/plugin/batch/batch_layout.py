"""Layout of the Batch dock: how its parts divide the space, and which of them scroll first."""

from __future__ import annotations

from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QBoxLayout, QFrame, QScrollArea, QSizePolicy, QSplitter, QWidget

__all__ = [
    'FittingScrollArea',
    'PanelScrollArea',
    'PartsSplitter',
    'SqueezableLayout',
    'settle_height',
]


class PanelScrollArea(QScrollArea):
    """The panel, which scrolls where its place is too low even for the least of its parts.

    So the least height never depends on what is shown. Of a dock widget it could only grow:
    napari gives it a least height, and Qt keeps for good what the layout has once made of it.
    """

    def __init__(self, panel: QWidget) -> None:
        super().__init__()
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(panel)

    def sizeHint(self) -> QSize:
        """Return the size that the panel wants."""
        panel = self.widget()
        return panel.sizeHint() if panel is not None else super().sizeHint()


class SqueezableLayout(QBoxLayout):
    """A layout that what scrolls it may make as low as the least of its parts."""

    def hasHeightForWidth(self) -> bool:
        """Return that the height does not depend on the width; `Fitting` sees to that."""
        return False


class PartsSplitter(QSplitter):
    """Asks for no more height than it must have: the setup has the height that it needs."""

    def set_shares(self, shares: tuple[int, int]) -> None:
        """Divide the place, until a person divides it otherwise."""
        for place, share in enumerate(shares):
            self.setStretchFactor(place, share)
        self.setSizes([1000 * share for share in shares])

    def sizeHint(self) -> QSize:
        """Return the least size."""
        return self.minimumSizeHint()


class FittingScrollArea(QScrollArea):
    """As high as what is in it; it scrolls where there is less room."""

    def __init__(self, inside: QWidget) -> None:
        super().__init__()
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(inside)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        inside.installEventFilter(self)

    def eventFilter(self, watched, event):  # type: ignore[no-untyped-def]
        """Ask for another height when what is inside folds or wraps."""
        if event.type() == event.Type.LayoutRequest:
            self.fit()
        return super().eventFilter(watched, event)

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Ask for another height where lines wrap otherwise."""
        super().resizeEvent(event)
        self.fit()

    def sizeHint(self) -> QSize:
        """Return the height of what is inside, at the width that there is."""
        inside = self.widget()
        if inside is None:
            return super().sizeHint()
        least = inside.minimumSizeHint()
        width = max(self.width(), least.width())
        layout = inside.layout()
        height = layout.totalHeightForWidth(width) if layout is not None else -1
        viewport = self.viewport()
        # The style sheet's frame, which `frameWidth` does not tell.
        frame = self.height() - viewport.height() if viewport is not None else 0
        height = height if height > 0 else inside.sizeHint().height()
        # Lines that wrap have a least height as if the place were narrow.
        return QSize(width, max(height, least.height()) + frame)

    def fit(self) -> None:
        """Ask for the height that what is inside needs now."""
        self.updateGeometry()
        # A bar that has come would stay for good: beside it lines wrap, and need a bar.
        policies = Qt.ScrollBarPolicy
        fits = self.height() >= self.sizeHint().height()
        wanted = policies.ScrollBarAlwaysOff if fits else policies.ScrollBarAsNeeded
        if self.verticalScrollBarPolicy() != wanted:
            self.setVerticalScrollBarPolicy(wanted)

    def minimumSizeHint(self) -> QSize:
        """Return the least size: the setup scrolls before the table goes."""
        inside = self.widget()
        width = inside.minimumSizeHint().width() if inside is not None else 0
        return QSize(width, min(self.sizeHint().height(), 110))


def settle_height(part: QWidget) -> None:
    """Give a part its new height at once, and what it lies in.

    Qt does so level by level, and stops at a scroll area until later: meanwhile it may paint
    what has come into the part squeezed into the height before.
    """
    places, place = [], part.parentWidget()
    while place is not None and not isinstance(place, PanelScrollArea):
        places.append(place)
        place = place.parentWidget()
    layouts = [layout for each in (part, *places) if (layout := each.layout()) is not None]
    for layout in layouts:  # also what they reckoned when less was in them
        layout.invalidate()
    for each in places:
        if isinstance(each, FittingScrollArea):
            each.fit()
    for layout in layouts:
        layout.activate()
