"""Scales with round ticks, and the axes that plots share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QFontMetricsF, QPainter, QPen

__all__ = ['Axes', 'Scale', 'number_text', 'tick_texts']

#: Pixels between a tick's number and the axis.
_GAP = 5


@dataclass(frozen=True)
class Scale:
    """A range of values, linear or logarithmic.

    Parameters
    ----------
    low, high : float
        Its ends; `low` is below `high`, and above 0 where the scale is logarithmic.
    log : bool
        Whether equal ratios are equally long.
    whole : bool
        Whether only whole numbers are worth a tick, as for epochs.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False

    @classmethod
    def around(
        cls,
        values: Iterable[np.ndarray],
        log: bool = False,
        whole: bool = False,
        margin: float = 0.05,
    ) -> Scale:
        """Return a scale that holds all finite values, with a margin at both ends.

        Parameters
        ----------
        values : iterable of ndarray
            What it must hold; a logarithmic scale looks at positive values only.
        log, whole : bool
            As above.
        margin : float
            Fraction of the range to add at each end.
        """
        arrays = [np.asarray(v, dtype=float).ravel() for v in values]
        every = np.concatenate(arrays) if arrays else np.zeros(0)
        every = every[np.isfinite(every) & ((every > 0) if log else True)]
        low, high = (float(every.min()), float(every.max())) if every.size else (0.0, 1.0)
        if log:
            if not every.size:
                low, high = 0.1, 1.0
            elif high <= low * (1 + 1e-9):
                low, high = low / 2, high * 2
            factor = (high / low) ** margin
            return cls(low / factor, high * factor, log, whole)
        if high - low <= 1e-9 * max(abs(low), abs(high)):
            span = 1.0 if whole else max(0.5 * abs(low), 1e-6)
            low, high = low - span, high + span
        span = margin * (high - low)
        return cls(low - span, high + span, log, whole)

    def fraction(self, values: np.ndarray) -> np.ndarray:
        """Return where values lie: 0 at the low end, 1 at the high one, NaN where nowhere."""
        values = np.asarray(values, dtype=float)
        if not self.log:
            return (values - self.low) / (self.high - self.low)
        safe = np.where(values > 0, values, np.nan)
        return np.log(safe / self.low) / np.log(self.high / self.low)

    def value(self, fraction: float) -> float:
        """Return the value at a fraction of the length, the inverse of `fraction`."""
        if self.log:
            return float(self.low * (self.high / self.low) ** fraction)
        return float(self.low + fraction * (self.high - self.low))

    def ticks(self, most: int) -> list[float]:
        """Return round values inside the scale, about `most` of them and not more.

        Linear steps are 1, 2 or 5 times a power of ten. Logarithmic ticks are powers of
        ten, and 2 and 5 times these where they fit.
        """
        most = max(most, 2)
        if self.log:
            found = self._log_ticks(most)
            if len(found) >= 2:
                return found
        span = self.high - self.low
        rough = span / most
        power = 10.0 ** np.floor(np.log10(rough))
        steps = [m * power for m in (10, 5, 2, 1, 0.5, 0.2, 0.1)]
        if self.whole:
            steps = [step for step in steps if step >= 1] or [1.0]
        fitting = [step for step in steps if step >= rough * (1 - 1e-9)] or steps[:1]
        # The smallest that fits; a smaller one where it finds no round value inside.
        for step in [fitting[-1], *steps[len(fitting) :]]:
            first, last = np.ceil(self.low / step - 1e-9), np.floor(self.high / step + 1e-9)
            if last >= first:
                break
        return [float(step * i) for i in range(int(first), int(last) + 1)]

    def _log_ticks(self, most: int) -> list[float]:
        first, last = np.floor(np.log10(self.low)), np.ceil(np.log10(self.high))
        powers = np.arange(first, last + 1)
        for multiples, every in (((1, 2, 5), 1), ((1, 3), 1), ((1,), 1), ((1,), 2), ((1,), 5)):
            found = [
                float(m * 10.0**p)
                for p in powers[::every]
                for m in multiples
                if self.low <= m * 10.0**p <= self.high
            ]
            if len(found) <= most:
                return found
        return []


def number_text(value: float, digits: int = 4) -> str:
    """Return a number for reading: `digits` significant ones, a true minus, thin thousands.

    Not a number is a dash.
    """
    if not np.isfinite(value):
        return '–'
    if value and (abs(value) < 1e-3 or abs(value) >= 1e6):
        mantissa, exponent = f'{value:.{max(digits - 2, 0)}e}'.split('e')
        if '.' in mantissa:
            mantissa = mantissa.rstrip('0').rstrip('.')
        return f'{mantissa}e{int(exponent)}'.replace('-', '−')
    if float(value).is_integer():
        return f'{value:,.0f}'.replace(',', '\u2009').replace('-', '−')
    decimals = max(0, digits - 1 - int(np.floor(np.log10(abs(value)))))
    return f'{value:,.{decimals}f}'.replace(',', '\u2009').replace('-', '−')


def tick_texts(ticks: Sequence[float]) -> list[str]:
    """Return the numbers at ticks, all with as many decimals as tell them apart."""
    sizes = [abs(t) for t in ticks if t]
    if not sizes:
        return ['0' for _ in ticks]
    steps = [abs(b - a) for a, b in pairwise(ticks)]
    linear = not steps or max(steps) < 1.5 * min(steps)
    if max(sizes) >= 1e6 or max(sizes) < 1e-3 or (not linear and min(sizes) < 1e-3):
        return [_powers_text(t) for t in ticks]
    if not linear:  # a logarithmic scale
        return [f'{t:.10f}'.rstrip('0').rstrip('.') if t < 1 else number_text(t) for t in ticks]
    decimals = max(0, -int(np.floor(np.log10(min([*steps, *sizes])) + 1e-9)))
    texts = [f'{t:,.{decimals}f}'.replace(',', '\u2009') for t in ticks]
    return [t.replace('-', '−') for t in texts]


def _powers_text(value: float) -> str:
    """Return 0.5, 1 and 20 as they are, and 0.002 as 2e−3."""
    if not value or 0.01 <= abs(value) < 1e4:
        return number_text(value, 1)
    mantissa, exponent = f'{value:.2e}'.split('e')
    mantissa = mantissa.rstrip('0').rstrip('.')
    return f'{mantissa}e{int(exponent)}'.replace('-', '−')


@dataclass(frozen=True)
class Axes:
    """Two scales on a part of a widget.

    Parameters
    ----------
    area : QRectF
        Where the values lie, in the widget's pixels.
    x, y : Scale
        What is drawn to the right, and upwards.
    """

    area: QRectF
    x: Scale
    y: Scale

    @classmethod
    def within(cls, outer: QRectF, x: Scale, y: Scale, metrics: QFontMetricsF) -> Axes:
        """Return axes whose numbers fit within a rectangle."""
        ticks = y.ticks(_largest(outer.height(), 2.6 * metrics.height()))
        widest = max((metrics.horizontalAdvance(t) for t in tick_texts(ticks)), default=0.0)
        area = outer.adjusted(widest + _GAP, 0, 0, -(metrics.height() + _GAP))
        return cls(area, x, y)

    def points(self, xs: np.ndarray, ys: np.ndarray) -> np.ndarray:
        """Return the pixels of values: shape (n, 2), x then y, NaN where there is none."""
        across = self.area.left() + self.x.fraction(xs) * self.area.width()
        down = self.area.bottom() - self.y.fraction(ys) * self.area.height()
        return np.column_stack([across, down])

    def x_at(self, pixel: float) -> float:
        """Return the x value at a pixel."""
        return self.x.value((pixel - self.area.left()) / self.area.width())

    def draw(self, painter: QPainter, text: QColor, line: QColor) -> None:
        """Draw grid lines and numbers; only lines across, which is what the eye follows."""
        metrics = QFontMetricsF(painter.font())
        area = self.area
        ticks = self.y.ticks(_largest(area.height(), 2.6 * metrics.height()))
        for value, label in zip(ticks, tick_texts(ticks), strict=True):
            y = float(self.points(np.array([self.x.low]), np.array([value]))[0, 1])
            painter.setPen(QPen(line, 1))
            painter.drawLine(QPointF(area.left(), y), QPointF(area.right(), y))
            painter.setPen(text)
            box = QRectF(0, y - metrics.height() / 2, area.left() - _GAP, metrics.height())
            painter.drawText(
                box, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, label
            )
        self._draw_x(painter, metrics, text, line)

    def _draw_x(
        self, painter: QPainter, metrics: QFontMetricsF, text: QColor, line: QColor
    ) -> None:
        area = self.area
        least = max(
            (metrics.horizontalAdvance(t) for t in tick_texts(self.x.ticks(6))), default=0.0
        )
        ticks = self.x.ticks(_largest(area.width(), max(least + 22, 44)))
        painter.setPen(QPen(line.darker(115), 1))
        painter.drawLine(area.bottomLeft(), area.bottomRight())
        for value, label in zip(ticks, tick_texts(ticks), strict=True):
            x = float(self.points(np.array([value]), np.array([self.y.low]))[0, 0])
            painter.setPen(QPen(text, 1))
            painter.drawLine(QPointF(x, area.bottom()), QPointF(x, area.bottom() + 3))
            width = metrics.horizontalAdvance(label) + 2
            # Centred below its tick, but never cut off by the widget's right side.
            left = min(x - width / 2, area.right() - width)
            painter.drawText(
                QRectF(left, area.bottom() + _GAP, width, metrics.height()),
                Qt.AlignmentFlag.AlignCenter,
                label,
            )


def _largest(length: float, each: float) -> int:
    return max(2, int(length // each))
