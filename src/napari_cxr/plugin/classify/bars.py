"""A bar for each class with its probability, one of which can be chosen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from qtpy.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import (
    QColor,
    QFont,
    QFontMetricsF,
    QHelpEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
)
from qtpy.QtWidgets import QSizePolicy, QToolTip, QWidget

from napari_cxr.plugin.classify.bar_rows import BarRow, Group
from napari_cxr.plugin.theme import theme_color

__all__ = ['ProbabilityBars']

_MARGIN = 8
_BAR = 6
#: Above and below text and bar of a row; less where there are many.
_ROOM, _LITTLE_ROOM = 16, 11
#: Between text and bar.
_GAP = 5
#: By how much a mark stands out over its bar, and the band in which nothing is decided.
_MARK, _BAND = 3, 2
_ABOVE_HEADING = 8
_MANY = 8


class ProbabilityBars(QWidget):
    """Labels, numbers and bars; a click or the arrow keys choose one.

    Where findings have thresholds, a mark on each bar shows where, and a word beside the
    number says on which side of it the probability lies.

    Parameters
    ----------
    theme : str
        Name of napari's theme.
    parent : QWidget, optional
        Qt parent.
    """

    #: The label that a person chose.
    chosen = Signal(str)

    def __init__(self, theme: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._groups: tuple[Group, ...] = ()
        self._current = ''
        self._theme = theme
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName('Probability of each class')
        self.setToolTip('Click a class to see where its evidence lies')

    def set_theme(self, theme: str) -> None:
        """Repaint in another of napari's themes."""
        self._theme = theme
        self.update()

    def set_groups(self, groups: Sequence[Group], current: str = '') -> None:
        """Show bars in the order given; `current` is marked."""
        self._groups = tuple(groups)
        self._current = current
        said = [f'{row.label} {row.probability:.1%} {row.word}'.strip() for row in self._rows]
        self.setAccessibleDescription(', '.join(said))
        self.setFixedHeight(self.sizeHint().height())
        self.updateGeometry()
        self.update()

    @property
    def rows(self) -> list[tuple[str, float]]:
        """Labels with probabilities, as shown."""
        return [(row.label, row.probability) for row in self._rows]

    @property
    def words(self) -> dict[str, str]:
        """For each label on which side of its threshold it lies; empty where it has none."""
        return {row.label: row.word for row in self._rows}

    @property
    def headings(self) -> list[str]:
        """The headings on show."""
        return [group.title for group in self._groups if group.title]

    @property
    def current(self) -> str:
        """The chosen label."""
        return self._current

    def set_current(self, label: str) -> None:
        """Mark one class as chosen without saying so to anyone."""
        self._current = label
        self.update()

    def place_of(self, label: str) -> QRectF:
        """Return where the row of a label lies, in the widget's pixels."""
        return next(place for row, place in self._placed() if _is(row, label))

    def sizeHint(self) -> QSize:
        """Return a width at which usual labels fit."""
        last = max((place.bottom() for _, place in self._placed()), default=1)
        return QSize(220, max(1, round(last)))

    def minimumSizeHint(self) -> QSize:
        """Return the least width; long labels are shortened with an ellipsis."""
        return QSize(120, self.sizeHint().height())

    def event(self, event: QEvent | None) -> bool:
        """Say all of a row where the mouse rests on it."""
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            row = self._at(QPointF(event.pos()))
            if row is not None:
                QToolTip.showText(
                    event.globalPos(), f'{row.tip}\nClick to see where its evidence lies', self
                )
                return True
        return super().event(event)

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Choose the row under the mouse."""
        if event is None or event.button() != Qt.MouseButton.LeftButton:
            return
        row = self._at(event.position())
        if row is not None:
            self._choose(row.label)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Move the choice with the arrow keys, Home and End."""
        if event is None:
            return
        labels = [row.label for row in self._rows]
        at = labels.index(self._current) if self._current in labels else 0
        steps = {
            Qt.Key.Key_Up: at - 1,
            Qt.Key.Key_Down: at + 1,
            Qt.Key.Key_Home: 0,
            Qt.Key.Key_End: len(labels) - 1,
        }
        step = steps.get(Qt.Key(event.key()))
        if step is None or not labels:
            super().keyPressEvent(event)
            return
        self._choose(labels[min(max(step, 0), len(labels) - 1)])

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw a row a class: label, number, and the bar below them."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for row, place in self._placed():
            if isinstance(row, str):
                self._paint_heading(painter, row, place)
            else:
                self._paint_row(painter, row, place)
        if self.hasFocus():
            painter.setPen(theme_color(self._theme, 'current'))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            frame = QRectF(0.5, 0.5, self.width() - 1, self.height() - 1)
            painter.drawRoundedRect(frame, 4, 4)
        painter.end()

    def _paint_heading(self, painter: QPainter, title: str, place: QRectF) -> None:
        quiet = theme_color(self._theme, 'text')
        quiet.setAlphaF(0.62)
        painter.setFont(self._font(bold=False))
        painter.setPen(quiet)
        line = place.adjusted(_MARGIN, _ABOVE_HEADING, -_MARGIN, 0)
        painter.drawText(line, Qt.AlignmentFlag.AlignLeft, title)

    def _paint_row(self, painter: QPainter, row: BarRow, place: QRectF) -> None:
        text, muted, marked, plain, warning = (
            theme_color(self._theme, role)
            for role in ('text', 'foreground', 'current', 'primary', 'warning')
        )
        is_current = row.label == self._current
        if is_current:
            veil = QColor(marked)
            veil.setAlpha(36)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(veil)
            painter.drawRoundedRect(place.adjusted(0, 1, 0, -1), 4, 4)
        painter.setFont(self._font(is_current))
        # A bold text is wider: what is measured is what is written.
        metrics = QFontMetricsF(painter.font())
        line = QRectF(_MARGIN, place.top() + 4, place.width() - 2 * _MARGIN, metrics.height())
        number = f'{100 * row.probability:.1f} %' + (f'  {row.word}' if row.word else '')
        room = line.width() - metrics.horizontalAdvance(number) - _MARGIN
        painter.setPen(text)
        short = metrics.elidedText(row.label, Qt.TextElideMode.ElideRight, room)
        painter.drawText(line, Qt.AlignmentFlag.AlignLeft, short)
        painter.drawText(line, Qt.AlignmentFlag.AlignRight, number)
        track = QRectF(line.left(), line.bottom() + _GAP, line.width(), _BAR)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(muted)
        painter.drawRoundedRect(track, _BAR / 2, _BAR / 2)
        filled = QRectF(track)
        # At least a dot, so that an empty bar is not taken for a missing one.
        filled.setWidth(max(_BAR, track.width() * row.length))
        bright = row.word == 'above' if row.word else is_current
        painter.setBrush(marked if bright else plain)
        painter.drawRoundedRect(filled, _BAR / 2, _BAR / 2)
        if row.band is not None:
            self._paint_band(painter, track, row.band, warning)
        if row.mark is not None:
            x = track.left() + track.width() * row.mark
            painter.setPen(QPen(text, 2))
            painter.drawLine(QPointF(x, track.top() - _MARK), QPointF(x, track.bottom() + _MARK))

    def _paint_band(
        self, painter: QPainter, track: QRectF, band: tuple[float, float], color: QColor
    ) -> None:
        low, high = (track.left() + track.width() * end for end in band)
        veil = QColor(color)
        veil.setAlpha(70)
        painter.setPen(QPen(color, 1))
        painter.setBrush(veil)
        painter.drawRect(QRectF(low, track.top() - _BAND, high - low, track.height() + 2 * _BAND))

    @property
    def _rows(self) -> list[BarRow]:
        return [row for group in self._groups for row in group.rows]

    def _placed(self) -> Iterator[tuple[BarRow | str, QRectF]]:
        """Yield rows, and headings as texts, with where they lie."""
        height = QFontMetricsF(self._font(bold=True)).height()
        room = _ROOM if len(self._rows) <= _MANY else _LITTLE_ROOM
        top = 0.0
        for group in self._groups:
            if group.title:
                place = QRectF(0, top, self.width(), height + _ABOVE_HEADING)
                yield group.title, place
                top = place.bottom()
            for row in group.rows:
                place = QRectF(0, top, self.width(), height + _BAR + room)
                yield row, place
                top = place.bottom()

    def _font(self, bold: bool) -> QFont:
        font = QFont(self.font())
        font.setBold(bold)
        return font

    def _at(self, place: QPointF) -> BarRow | None:
        for row, where in self._placed():
            if isinstance(row, BarRow) and where.top() <= place.y() < where.bottom():
                return row
        return None

    def _choose(self, label: str) -> None:
        if label != self._current:
            self._current = label
            self.update()
            self.chosen.emit(label)


def _is(row: BarRow | str, label: str) -> bool:
    return isinstance(row, BarRow) and row.label == label
