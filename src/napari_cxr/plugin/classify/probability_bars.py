"""A bar for each class with its probability, one of which can be chosen.

First what the bars say: their order, their groups, and where thresholds lie; then the widget.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

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
    QPolygonF,
)
from qtpy.QtWidgets import QSizePolicy, QToolTip, QWidget

from napari_cxr.inference.label_rule import LabelRule, percent
from napari_cxr.metrics.calibration import normalised
from napari_cxr.plugin.style import theme_color

__all__ = [
    'FINDING_GROUPS',
    'OTHER_FINDINGS',
    'BarGroup',
    'BarRow',
    'ProbabilityBars',
    'bar_groups',
    'group_of',
]

OTHER_FINDINGS = 'Other'

#: Findings by group, in lower case and with spaces for '_': those of TorchXRayVision, NIH
#: ChestX-ray14 and CheXpert, and what the bundled models know.
FINDING_GROUPS: dict[str, tuple[str, ...]] = {
    'Airspace': (
        *('opacity', 'lung opacity', 'airspace opacity', 'consolidation', 'infiltration'),
        *('infiltrate', 'atelectasis', 'edema', 'oedema', 'pneumonia', 'covid19', 'covid-19'),
    ),
    'Pleura': (
        *('effusion', 'pleural effusion', 'pneumothorax', 'pleural thickening'),
        'pleural other',
    ),
    # The hernia of these collections is one of the hiatus.
    'Heart and mediastinum': ('cardiomegaly', 'enlarged cardiomediastinum', 'hernia'),
    'Nodule and mass': ('nodule', 'mass', 'lung lesion'),
    'Chronic': ('emphysema', 'fibrosis', 'tuberculosis'),
    'Bone': ('fracture',),
}


def group_of(finding: str) -> str:
    """Return the group of a finding, whatever the case of its name; `OTHER` for the rest."""
    plain = finding.replace('_', ' ').casefold().strip()
    return next(
        (group for group, names in FINDING_GROUPS.items() if plain in names), OTHER_FINDINGS
    )


#: Of more findings than this the bars stand in groups.
_MOST_UNGROUPED = 8


@dataclass(frozen=True)
class BarRow:
    """One bar.

    Parameters
    ----------
    label : str
        The class or finding.
    probability : float
        Its probability, which is written beside it.
    length : float
        How much of the bar is filled, 0 to 1.
    mark : float or None
        Where on the bar its threshold lies; None where there is none.
    band : tuple of float, optional
        From where to where on the bar nothing is decided.
    side : {'', 'above', 'below', 'undecided'}
        Of the threshold, on which the probability lies.
    tip : str
        All of it in one sentence.
    """

    label: str
    probability: float
    length: float
    mark: float | None = None
    band: tuple[float, float] | None = None
    side: str = ''
    tip: str = ''


@dataclass(frozen=True)
class BarGroup:
    """Bars under one heading, which is empty where there is but one group."""

    title: str
    rows: tuple[BarRow, ...]


def bar_groups(rule: LabelRule, probabilities: Sequence[float]) -> tuple[BarGroup, ...]:
    """Return the bars of a result.

    Classes that exclude each other stand in the model's order. Findings stand from the
    furthest above its threshold to the furthest below; where there are many, in groups, of
    which that with the furthest finding is the first. The bar of a single finding shows its
    probability as it is. Of several findings, whose thresholds may be a hundredfold apart, the
    middle of each bar is the threshold, so that bars can be compared.

    Parameters
    ----------
    rule : LabelRule
        What decides.
    probabilities : sequence of float
        Of each label.
    """
    known = dict(zip(rule.labels, probabilities, strict=True))
    if not rule.multilabel:
        rows = tuple(
            BarRow(label, p, p, tip=f'{label}: {percent(p, 1)}') for label, p in known.items()
        )
        return (BarGroup('', rows),)
    ordered = [_finding_row(rule, label, known[label]) for label in rule.ordered(probabilities)]
    if len(ordered) <= _MOST_UNGROUPED:
        return (BarGroup('', tuple(ordered)),)
    found: dict[str, list[BarRow]] = {}
    for row in ordered:
        found.setdefault(group_of(row.label), []).append(row)
    return tuple(BarGroup(title, tuple(rows)) for title, rows in found.items())


def _finding_row(rule: LabelRule, label: str, p: float) -> BarRow:
    threshold, band = rule.threshold(label), rule.band(label)
    side = 'above' if p >= threshold else 'below'
    tip = f'{label}: {percent(p, 1)}, {side} its threshold of {percent(threshold, 1)}.'
    if band is not None:
        tip += f' Between {percent(band[0], 1)} and {percent(band[1], 1)} this model does not '
        tip += 'decide.'
        side = 'undecided' if rule.in_uncertain_band(label, p) else side

    def on_bar(value: float) -> float:
        return value if len(rule.labels) == 1 else float(normalised(value, threshold))

    return BarRow(
        label,
        p,
        on_bar(p),
        on_bar(threshold),
        None if band is None else (on_bar(band[0]), on_bar(band[1])),
        side,
        tip,
    )


_MARGIN = 8

_BAR = 6

#: Above and below text and bar of a row; less where there are many.
_ROW_GAP, _SMALL_ROW_GAP = 19, 15

#: Between text and bar.
_GAP = 5

#: Height of the triangle below a bar that marks its threshold, and by how much the band in which
#: nothing is decided stands out over its bar.
_MARK, _BAND = 5, 2

_ABOVE_HEADING = 8

_MOST_SPACED = 8


class ProbabilityBars(QWidget):
    """Labels, numbers and bars; a click or the arrow keys choose one.

    A bar is filled up to its probability. Where findings have thresholds, a triangle below each
    bar points at it, and beside the number stands on which side of it the probability lies.

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
        self._groups: tuple[BarGroup, ...] = ()
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

    def set_groups(self, groups: Sequence[BarGroup], current: str = '') -> None:
        """Show bars in the order given; `current` is marked."""
        self._groups = tuple(groups)
        self._current = current
        texts = [f'{row.label} {row.probability:.1%} {row.side}'.strip() for row in self._rows]
        self.setAccessibleDescription(', '.join(texts))
        self.setFixedHeight(self.sizeHint().height())
        self.updateGeometry()
        self.update()

    @property
    def rows(self) -> list[tuple[str, float]]:
        """Labels with probabilities, as shown."""
        return [(row.label, row.probability) for row in self._rows]

    @property
    def sides(self) -> dict[str, str]:
        """For each label on which side of its threshold it lies; empty where it has none."""
        return {row.label: row.side for row in self._rows}

    @property
    def headings(self) -> list[str]:
        """The headings on show."""
        return [group.title for group in self._groups if group.title]

    @property
    def current(self) -> str:
        """The chosen label."""
        return self._current

    def set_current(self, label: str) -> None:
        """Mark one class as chosen, without a signal."""
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
        number = f'{100 * row.probability:.1f} %' + (f'  {row.side}' if row.side else '')
        space = line.width() - metrics.horizontalAdvance(number) - _MARGIN
        painter.setPen(text)
        short = metrics.elidedText(row.label, Qt.TextElideMode.ElideRight, space)
        painter.drawText(line, Qt.AlignmentFlag.AlignLeft, short)
        painter.drawText(line, Qt.AlignmentFlag.AlignRight, number)
        track = QRectF(line.left(), line.bottom() + _GAP, line.width(), _BAR)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(muted)
        painter.drawRoundedRect(track, _BAR / 2, _BAR / 2)
        filled = QRectF(track)
        # At least a dot, so that an empty bar is not taken for a missing one.
        filled.setWidth(max(_BAR, track.width() * row.length))
        if row.band is not None:
            self._paint_band(painter, track, row.band, warning)
        bright = row.side == 'above' if row.side else is_current
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(marked if bright else _midway(plain, text))
        painter.drawRoundedRect(filled, _BAR / 2, _BAR / 2)
        if row.mark is not None:
            # Below the bar: a line across it would be taken for the probability.
            x, top = track.left() + track.width() * row.mark, track.bottom() + 2
            painter.setBrush(text)
            corners = ((x, top), (x - _MARK, top + _MARK), (x + _MARK, top + _MARK))
            painter.drawPolygon(QPolygonF([QPointF(*corner) for corner in corners]))

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
        space = _ROW_GAP if len(self._rows) <= _MOST_SPACED else _SMALL_ROW_GAP
        top = 0.0
        for group in self._groups:
            if group.title:
                place = QRectF(0, top, self.width(), height + _ABOVE_HEADING)
                yield group.title, place
                top = place.bottom()
            for row in group.rows:
                place = QRectF(0, top, self.width(), height + _BAR + space)
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


def _midway(one: QColor, other: QColor) -> QColor:
    """Return the colour half-way between two."""
    parts = zip(one.getRgb()[:3], other.getRgb()[:3], strict=True)
    return QColor(*((a + b) // 2 for a, b in parts))


def _is(row: BarRow | str, label: str) -> bool:
    return isinstance(row, BarRow) and row.label == label
