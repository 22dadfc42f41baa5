"""A button a class, with its key, what the model says of it, and whether a person said it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from qtpy.QtCore import QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPaintEvent, QPen, QResizeEvent
from qtpy.QtWidgets import QAbstractButton, QGridLayout, QSizePolicy, QWidget

from napari_cxr.plugin.style import theme_color

__all__ = ['CLASS_KEYS', 'ClassButtons']

#: Keys of the first twenty classes.
CLASS_KEYS = (*'1234567890', *(f'Shift+{digit}' for digit in '1234567890'))
_HEIGHT = 36
_GAP = 6
_INSIDE, _APART = 10, 8
#: Pixels: no column is narrower, and none need be wider for the longest name, less so where
#: there are more buttons than these.
_NARROWEST, _WIDEST, _WIDEST_OF_MANY, _MANY = 132, 240, 132, 6


class ClassButtons(QWidget):
    """Buttons in columns, as many as there is room for.

    Parameters
    ----------
    theme : str
        Name of napari's theme.
    parent : QWidget, optional
        Qt parent.
    """

    #: The class that a person chose.
    chosen = Signal(str)

    def __init__(self, theme: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._columns = 0
        self.buttons: list[_ClassButton] = []
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(_GAP)

    def set_labels(self, labels: Sequence[str], multilabel: bool) -> None:
        """Make a button for each class; with `multilabel`, several can be down at a time."""
        for button in self.buttons:
            self._grid.removeWidget(button)
            button.deleteLater()
        self.buttons = []
        for place, label in enumerate(labels):
            key = CLASS_KEYS[place] if place < len(CLASS_KEYS) else ''
            button = _ClassButton(label, key, multilabel, self._theme, self)
            button.clicked.connect(lambda _=False, label=label: self.chosen.emit(label))
            self.buttons.append(button)
        self._columns = 0
        self._arrange()

    def show_answers(
        self, probabilities: Sequence[float], model: Collection[str], person: Collection[str]
    ) -> None:
        """Show what is said of one image.

        Parameters
        ----------
        probabilities : sequence of float
            Of each class, of which there may be fewer than buttons; empty where there are none.
        model, person : collection of str
            The classes that the model and the person say it has.
        """
        for place, button in enumerate(self.buttons):
            button.show_answer(
                probabilities[place] if place < len(probabilities) else None,
                button.label in model,
                button.label in person,
            )

    def set_theme(self, theme: str) -> None:
        """Repaint in another of napari's themes."""
        self._theme = theme
        for button in self.buttons:
            button.set_theme(theme)

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Take as many columns as there is room for."""
        super().resizeEvent(event)
        self._arrange()

    def _arrange(self) -> None:
        if not self.buttons:
            return
        wanted = max(button.sizeHint().width() for button in self.buttons)
        widest = _WIDEST_OF_MANY if len(self.buttons) > _MANY else _WIDEST
        wanted = min(max(wanted, _NARROWEST), widest)
        columns = max(1, min((self.width() + _GAP) // (wanted + _GAP), len(self.buttons)))
        if columns == self._columns:
            return
        for column in range(max(columns, self._columns)):
            self._grid.setColumnStretch(column, int(column < columns))
        self._columns = columns
        for place, button in enumerate(self.buttons):
            self._grid.addWidget(button, *divmod(place, columns))
        self.updateGeometry()


class _ClassButton(QAbstractButton):
    """The key, the name and the probability, with a bar below them."""

    def __init__(
        self, label: str, key: str, multilabel: bool, theme: str, parent: QWidget | None
    ) -> None:
        super().__init__(parent)
        self.label, self._key, self._theme = label, key, theme
        self._probability: float | None = None
        self._models = False
        self._multilabel = multilabel
        self.setCheckable(True)
        # A click does not take the focus, so that the space bar still means "agree".
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(_HEIGHT)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        self.show_answer(None, False, False)

    def nextCheckState(self) -> None:
        """Wait for what the reading list says: a click alone changes nothing."""

    def show_answer(self, probability: float | None, models: bool, persons: bool) -> None:
        """Show what is said of this class."""
        self._probability, self._models = probability, models
        self.setChecked(persons)
        said = [self.label]
        if probability is not None:
            said.append(f'the model says {100 * probability:.1f} %')
        if models:
            said.append("this is the model's answer")
        if persons:
            said.append('this is your answer')
        self.setAccessibleName(', '.join(said))
        what = 'put it down or take it away' if self._multilabel else 'put it down'
        key = f' (key {self._key})' if self._key else ''
        self.setToolTip(f'{", ".join(said)}: click to {what}{key}')
        self.update()

    def set_theme(self, theme: str) -> None:
        """Repaint in another of napari's themes."""
        self._theme = theme
        self.update()

    def sizeHint(self) -> QSize:
        """Return a size at which the whole name fits."""
        metrics = QFontMetricsF(self._bold())
        words = sum(
            metrics.horizontalAdvance(word) for word in (_short(self._key), self.label, '100 %')
        )
        return QSize(round(words) + 2 * _INSIDE + 2 * _APART + 2, _HEIGHT)

    def minimumSizeHint(self) -> QSize:
        """Return the least width; a long name is shortened with an ellipsis."""
        return QSize(110, _HEIGHT)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw it: filled if the person said so, framed if the model did."""
        text, ground, hover, accent = (
            theme_color(self._theme, role) for role in ('text', 'foreground', 'primary', 'current')
        )
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if not self.isEnabled():
            painter.setOpacity(0.45)
        on = self.isChecked()
        fill = accent if on else hover if self.underMouse() and self.isEnabled() else ground
        if on:  # white on a dark accent, black on a light one
            text = QColor('#ffffff' if accent.lightnessF() < 0.6 else '#101010')
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(fill.darker(112) if self.isDown() else fill)
        whole = QRectF(1, 1, self.width() - 2, self.height() - 2)
        painter.drawRoundedRect(whole, 4, 4)
        quiet = QColor(text)
        quiet.setAlphaF(0.62)
        line = QRectF(_INSIDE, 0, self.width() - 2 * _INSIDE, self.height() - 6)
        vertical = Qt.AlignmentFlag.AlignVCenter
        if self._key:
            painter.setPen(quiet)
            key = _short(self._key)
            painter.drawText(line, Qt.AlignmentFlag.AlignLeft | vertical, key)
            line.setLeft(line.left() + QFontMetricsF(self.font()).horizontalAdvance(key) + _APART)
        painter.setFont(self._bold() if self._models or on else self.font())
        metrics = QFontMetricsF(painter.font())
        number = '' if self._probability is None else f'{100 * self._probability:.0f} %'
        room = line.width() - metrics.horizontalAdvance(number) - _APART
        # Where there is no room for both, the bar says enough.
        if number and metrics.horizontalAdvance(self.label) <= room:
            painter.setPen(text if self._models else quiet)
            painter.drawText(line, Qt.AlignmentFlag.AlignRight | vertical, number)
            line.setWidth(room)
        painter.setPen(text)
        name = metrics.elidedText(self.label, Qt.TextElideMode.ElideRight, line.width())
        painter.drawText(line, Qt.AlignmentFlag.AlignLeft | vertical, name)
        self._draw_bar(painter, text if on else accent)
        if self._models or self.hasFocus():
            pen = QPen(text if self.hasFocus() else accent, 2 if self._models else 1)
            if self.hasFocus():
                pen.setStyle(Qt.PenStyle.DotLine)
            painter.setPen(pen)
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(whole, 4, 4)
        painter.end()

    def _draw_bar(self, painter: QPainter, color: QColor) -> None:
        if self._probability is None:
            return
        track = QRectF(_INSIDE, self.height() - 8, self.width() - 2 * _INSIDE, 3)
        empty = QColor(color)
        empty.setAlphaF(0.22)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(empty)
        painter.drawRoundedRect(track, 1.5, 1.5)
        track.setWidth(max(3.0, track.width() * self._probability))
        painter.setBrush(color)
        painter.drawRoundedRect(track, 1.5, 1.5)

    def _bold(self) -> QFont:
        font = self.font()
        font.setBold(True)
        return font


def _short(key: str) -> str:
    """Return a key as it stands on keyboards."""
    return key.replace('Shift+', '⇧')
