"""Drawing of the score table: cells, probability bars, and the colours of the theme."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from os.path import splitext

from qtpy.QtCore import QModelIndex, QObject, QRect, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QFont, QFontMetricsF, QImage, QPainter, QPen
from qtpy.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem, QTableView

from napari_cxr.inference.label_rule import NO_CLASS
from napari_cxr.plugin.plots.plot import faint_text, quiet_text
from napari_cxr.plugin.score_table.score_columns import (
    WITHHELD,
    ScoreColumn,
    other_label,
    plain_prediction,
    predicted_labels,
    short_warnings,
    split_path,
)
from napari_cxr.plugin.score_table.score_header import ScoreTableHeader
from napari_cxr.plugin.score_table.score_model import ScoreTableModel
from napari_cxr.plugin.score_table.score_rows import ScoreRows
from napari_cxr.plugin.style import theme_color

__all__ = [
    'CellColours',
    'ScoreTableDelegate',
    'draw_probability_bar',
    'filter_bar_style',
    'table_style',
]


@dataclass(frozen=True)
class CellColours:
    """Colours of the cells.

    Parameters
    ----------
    text, quiet : QColor
        Main and secondary text.
    line : QColor
        Line between two rows.
    track, bar, accent, withheld : QColor
        Of a bar: the empty part, the filled part, that of the predicted class, and that of a
        doubtful image.
    chosen : QColor
        Background of selected rows.
    warning, error : QColor
        Text about doubtful images and failed files.
    """

    text: QColor
    quiet: QColor
    line: QColor
    track: QColor
    bar: QColor
    accent: QColor
    withheld: QColor
    chosen: QColor
    warning: QColor
    error: QColor

    @classmethod
    def of(cls, theme: str) -> CellColours:
        """Return the colours for one of napari's themes."""
        text, line = theme_color(theme, 'text'), faint_text(theme)
        line.setAlphaF(0.08)
        track, bar, accent = (
            theme_color(theme, role) for role in ('foreground', 'primary', 'current')
        )
        chosen, withheld = QColor(accent), quiet_text(theme)
        chosen.setAlpha(72)
        withheld.setAlpha(90)
        warning, error = (
            _legible(theme_color(theme, role), text) for role in ('warning', 'error')
        )
        quiet = quiet_text(theme)
        return cls(text, quiet, line, track, bar, accent, withheld, chosen, warning, error)


def _legible(color: QColor, text: QColor) -> QColor:
    """Return a colour that is as legible as text on the background of the theme."""
    hue, full, _, _ = color.getHslF()
    light = 0.68 if text.lightnessF() > 0.5 else 0.32
    return QColor.fromHslF(max(hue or 0.0, 0.0), min(full or 0.0, 0.8), light)


#: Pixels between a number and its bar, and height of the bar, as in the Classify dock.
_BAR_MARGIN, _BAR = 8, 6

#: Minimum length of a bar beside its number, and height of one below it, in pixels.
_LEAST, _THIN = 28, 3

_WIDEST = '100.0 %'


def draw_probability_bar(
    painter: QPainter,
    rect: QRect,
    full_width: int,
    fraction: float,
    text: str,
    colours: tuple[QColor, QColor, QColor],
) -> None:
    """Draw a probability as a number with a bar.

    Parameters
    ----------
    painter : QPainter
        Painter with the font of the number.
    rect : QRect
        Where to draw.
    full_width : int
        Width of number and bar together in pixels, the same in all columns, so that bars can be
        compared.
    fraction : float
        Probability in [0, 1].
    text : str
        The probability as text; rounded where it does not fit.
    colours : tuple of QColor
        Of the text, of the bar, and of its empty part.
    """
    metrics = QFontMetricsF(painter.font())
    beside = full_width - metrics.horizontalAdvance(_WIDEST) - _BAR_MARGIN
    if beside >= _LEAST:
        track = QRectF(rect.left(), rect.center().y() - _BAR / 2 + 0.5, beside, _BAR)
    else:
        below = rect.center().y() + metrics.height() / 2 - 1
        track = QRectF(rect.right() + 1 - full_width, below, full_width, _THIN)
        rect = rect.adjusted(0, 0, 0, -4)
    if metrics.horizontalAdvance(_WIDEST) > full_width:
        text = f'{100 * fraction:.0f} %'
    text_color, full, empty = colours
    painter.setPen(text_color)
    painter.drawText(rect, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, text)
    radius = track.height() / 2
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(empty)
    painter.drawRoundedRect(track, radius, radius)
    # At least a dot, so that a probability of 0 is not taken for a missing one.
    track.setWidth(max(2 * radius, track.width() * fraction))
    painter.setBrush(full)
    painter.drawRoundedRect(track, radius, radius)


def table_style(theme: str) -> str:
    """Return the style sheet of the table; the delegate draws the selection."""
    ground, head, text = (
        theme_color(theme, role).name() for role in ('background', 'foreground', 'text')
    )
    return (
        f'QTableView {{ background: {ground}; border: 0; outline: 0;'
        ' selection-background-color: transparent; }'
        'QTableView::item:selected { background: transparent; }'
        f'QHeaderView {{ background: {head}; border: 0; }}'
        f'QHeaderView::section {{ background: {head}; color: {text}; border: 0;'
        ' padding: 4px 6px; }'
        'QHeaderView::up-arrow, QHeaderView::down-arrow { image: none; width: 0; }'
    )


def filter_bar_style(theme: str) -> str:
    """Return the style sheet of the filter bar, where checked buttons are underlined."""
    accent = theme_color(theme, 'current').name()
    return (
        f'QToolButton#more:checked {{ border-bottom: 2px solid {accent}; padding-bottom: 1px; }}'
    )


#: Horizontal padding of cells in pixels.
_MARGIN = 6

#: The first folder of a path.
_FOLDER = re.compile(r'[^/\\]*[/\\]')

#: Kinds of cells of the prediction: where a file failed, its error is written across them, and
#: across those beside them that are empty, too.
_PREDICTED = ('answer', 'bar')

_FAILED = 'Failed'

#: Minimum width for the error in pixels.
_LEAST_ERROR = 40

_LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter

_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter


class ScoreTableDelegate(QStyledItemDelegate):
    """Draws bars, warnings, errors and thumbnails in the colours of the theme.

    Parameters
    ----------
    theme : str
        Name of napari's theme.
    thumbnail : callable
        From a path to its thumbnail: None while it is being read, and an empty image if the file
        contains none.
    parent : QObject, optional
        Qt parent.
    """

    def __init__(
        self,
        theme: str,
        thumbnail: Callable[[str], QImage | None],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._thumbnail = thumbnail
        self.set_theme(theme)

    def set_theme(self, theme: str) -> None:
        """Take the colours of another of napari's themes."""
        self._colours = CellColours.of(theme)

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex) -> QSize:
        """Return the height of a line; the widths are those of the columns."""
        return QSize(40, option.fontMetrics.height() + 10)

    def paint(
        self, painter: QPainter | None, option: QStyleOptionViewItem, index: QModelIndex
    ) -> None:
        """Draw one cell."""
        model = index.model()
        if painter is None or not isinstance(model, ScoreTableModel):
            return
        column, place = model.columns[index.column()], model.place_at(index.row())
        rows = model.rows
        painter.save()
        painter.setClipRect(option.rect)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(option.font)
        self._draw_background(painter, option)
        rect = option.rect.adjusted(_MARGIN, 0, -_MARGIN, 0)
        if rows.rows[place].status == 'error' and _is_free(column, rows, place):
            self._draw_error(painter, option, index, rows.rows[place].error)
        else:
            self._draw_cell(painter, option, rect, column, rows, place)
        painter.restore()

    # -- parts of a cell ------------------------------------------------------------------

    def _draw_background(self, painter: QPainter, option: QStyleOptionViewItem) -> None:
        if option.state & QStyle.StateFlag.State_Selected:
            painter.fillRect(option.rect, self._colours.chosen)
        bottom = option.rect.bottom()
        painter.fillRect(
            QRect(option.rect.left(), bottom, option.rect.width(), 1), self._colours.line
        )

    def _draw_cell(
        self,
        painter: QPainter,
        option: QStyleOptionViewItem,
        rect: QRect,
        column: ScoreColumn,
        rows: ScoreRows,
        place: int,
    ) -> None:
        text = column.text(rows, place)
        if column.kind == 'bar':
            self._draw_probability(painter, rect, _narrowest(option), column, rows, place)
        elif column.kind == 'file':
            self._draw_file(painter, self._draw_tick(painter, rect, rows, place), text)
        elif column.kind == 'picture':
            self._draw_thumbnail(painter, rect, rows.rows[place].path)
        elif column.kind == 'note':
            if text:
                self._draw_note(painter, rect)
        elif column.kind == 'warnings':
            doubts = short_warnings(rows, place)[0]
            color = self._colours.warning if doubts else self._colours.quiet
            self._draw_text(painter, rect, f'▲ {text}' if doubts else text, color)
        elif column.kind == 'label':
            color = self._colours.warning if text.startswith('≠') else self._colours.text
            self._draw_text(painter, rect, text, color)
        elif column.kind == 'region':
            outside = rows.rows[place].peak_in_lung is False
            color = self._colours.warning if outside else self._colours.quiet
            self._draw_text(painter, rect, text, color)
        elif column.kind == 'share':
            color = (
                self._colours.warning
                if _is_outside_lungs(column, rows, place)
                else self._colours.text
            )
            self._draw_text(painter, rect, text, color, _RIGHT)
        elif column.kind == 'number':
            self._draw_text(painter, rect, text, self._colours.quiet, _RIGHT)
        elif column.kind == 'answer':
            self._draw_prediction(painter, rect, rows, place)
        else:
            self._draw_text(painter, rect, text, self._colours.quiet)

    def _draw_text(
        self,
        painter: QPainter,
        rect: QRect,
        text: str,
        color: QColor,
        where: Qt.AlignmentFlag = _LEFT,
    ) -> None:
        painter.setPen(color)
        short = painter.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, rect.width())
        painter.drawText(rect, where, short)

    def _draw_probability(
        self,
        painter: QPainter,
        rect: QRect,
        narrowest: int,
        column: ScoreColumn,
        rows: ScoreRows,
        place: int,
    ) -> None:
        fraction = float(rows.numbers[column.key].values[place])
        if fraction != fraction:  # NaN: unknown
            return
        colours = self._colours
        if rows.is_withheld(place):
            text, full = colours.quiet, colours.withheld
        elif column.title in predicted_labels(rows, place):
            text, full = colours.text, colours.accent
        else:
            text, full = colours.quiet, colours.bar
        if column.title in other_label(rows, place).split(', '):
            text = colours.warning
        shown = column.text(rows, place)
        draw_probability_bar(
            painter, rect, narrowest - 2 * _MARGIN, fraction, shown, (text, full, colours.track)
        )

    def _draw_prediction(
        self, painter: QPainter, rect: QRect, rows: ScoreRows, place: int
    ) -> None:
        """Draw the predicted label, and the label of the user if it is a different one."""
        row, metrics = rows.rows[place], painter.fontMetrics()
        if row.doubts:
            self._draw_text(painter, rect, '▲', self._colours.warning)
            rect = rect.adjusted(metrics.horizontalAdvance('▲ '), 0, 0, 0)
        text = plain_prediction(rows, place)
        color = self._colours.quiet if text in (WITHHELD, NO_CLASS) else self._colours.text
        self._draw_text(painter, rect, text, color)
        rest = rect.adjusted(metrics.horizontalAdvance(text), 0, 0, 0)
        # Where the label of the user does not fit, the colour of its probability shows it.
        other = other_label(rows, place)
        arrow = f' → {other}'
        if other and metrics.horizontalAdvance(arrow) <= rest.width():
            self._draw_text(painter, rest, arrow, self._colours.warning)

    def _draw_tick(self, painter: QPainter, rect: QRect, rows: ScoreRows, place: int) -> QRect:
        """Draw a tick beside an annotated file; return the rectangle of the name."""
        if not rows.texts['read'].any:
            return rect
        label, width = rows.texts['read'][place], painter.fontMetrics().horizontalAdvance('✓ ')
        if label:
            mark, color = (
                ('?', self._colours.quiet) if label == 'unsure' else ('✓', self._colours.text)
            )
            if rows.flags['against_read'].values[place] and not rows.is_blinded:
                color = self._colours.warning
            self._draw_text(painter, rect, mark, color)
        return rect.adjusted(width, 0, 0, 0)

    def _draw_file(self, painter: QPainter, rect: QRect, text: str) -> None:
        folder, name = split_path(text)
        metrics = painter.fontMetrics()
        left = rect.width() - metrics.horizontalAdvance(name)
        # Whole folders or none: a part of a name could be that of another folder.
        while folder and metrics.horizontalAdvance(folder) > left:
            folder = _FOLDER.sub('', folder, count=1)
        if folder:
            self._draw_text(painter, rect, folder, self._colours.quiet)
            rect = rect.adjusted(metrics.horizontalAdvance(folder), 0, 0, 0)
        painter.setPen(self._colours.text)
        if metrics.horizontalAdvance(name) > rect.width():
            # Names of a data set often start alike and have the same extension: what precedes
            # the extension tells them apart.
            name = splitext(name)[0] or name
        short = metrics.elidedText(name, Qt.TextElideMode.ElideMiddle, rect.width())
        painter.drawText(rect, _LEFT, short)

    def _draw_error(
        self,
        painter: QPainter,
        option: QStyleOptionViewItem,
        index: QModelIndex,
        error: str,
    ) -> None:
        """Draw the error of a failed file across its empty cells, beside the prediction."""
        cells, kinds = _free_cells(option, index)
        if not kinds.intersection(_PREDICTED):
            return
        cells.adjust(_MARGIN, 0, -_MARGIN, 0)
        if 'answer' in kinds:  # otherwise it is drawn there
            painter.setPen(self._colours.error)
            painter.drawText(cells, _LEFT, _FAILED)
            cells.adjust(painter.fontMetrics().horizontalAdvance(f'{_FAILED}  '), 0, 0, 0)
        if cells.width() > _LEAST_ERROR:
            self._draw_text(painter, cells, error, self._colours.quiet)

    def _draw_note(self, painter: QPainter, rect: QRect) -> None:
        page = QRectF(0, 0, 11, 13)
        page.moveCenter(QRectF(rect).center())
        painter.setPen(QPen(self._colours.text, 1.2))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRoundedRect(page, 2, 2)
        for line in (4, 7, 10):
            y = page.top() + line - 0.5
            painter.drawLine(int(page.left() + 3), int(y), int(page.right() - 3), int(y))

    def _draw_thumbnail(self, painter: QPainter, rect: QRect, path: str) -> None:
        box = QRectF(rect).adjusted(-_MARGIN + 4, 3, _MARGIN - 4, -4)
        thumbnail = self._thumbnail(path)
        if thumbnail is not None and not thumbnail.isNull():
            size = thumbnail.size().scaled(
                int(box.width()), int(box.height()), Qt.AspectRatioMode.KeepAspectRatio
            )
            place = QRectF(0, 0, size.width(), size.height())
            place.moveCenter(box.center())
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
            painter.drawImage(place, thumbnail)
            return
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self._colours.track)
        painter.drawRoundedRect(box, 3, 3)
        if thumbnail is not None:  # the file contains none
            font = QFont(painter.font())
            painter.setFont(font)
            painter.setPen(self._colours.quiet)
            painter.drawText(box, Qt.AlignmentFlag.AlignCenter, '–')


def _narrowest(option: QStyleOptionViewItem) -> int:
    """Return the width of the narrowest column of probabilities in pixels."""
    view = option.widget
    header = view.horizontalHeader() if isinstance(view, QTableView) else None
    return header.narrowest_bar if isinstance(header, ScoreTableHeader) else option.rect.width()


def _free_cells(option: QStyleOptionViewItem, index: QModelIndex) -> tuple[QRect, set[str]]:
    """Return the area of the adjacent cells that a failed file leaves empty, and their kinds."""
    view, model = option.widget, index.model()
    header = view.horizontalHeader() if isinstance(view, QTableView) else None
    if header is None or not isinstance(model, ScoreTableModel):
        return QRect(option.rect), {'answer'}
    place = model.place_at(index.row())
    cells, kinds = QRect(option.rect), {str(model.columns[index.column()].kind)}
    here = header.visualIndex(index.column())
    for step in (-1, 1):
        visual = here + step
        while 0 <= visual < header.count():
            logical = header.logicalIndex(visual)
            if not header.isSectionHidden(logical):
                column = model.columns[logical]
                if not _is_free(column, model.rows, place):
                    break
                kinds.add(column.kind)
                left = header.sectionViewportPosition(logical)
                cells |= QRect(
                    left, cells.top(), header.sectionSize(logical), option.rect.height()
                )
            visual += step
    return cells, kinds


def _is_free(column: ScoreColumn, rows: ScoreRows, place: int) -> bool:
    """Return whether a cell of a failed file has nothing to show but its error."""
    if column.kind in _PREDICTED:
        return True
    return column.kind not in ('file', 'picture') and not column.text(rows, place)


def _is_outside_lungs(column: ScoreColumn, rows: ScoreRows, place: int) -> bool:
    """Return whether less of a heatmap is in the lungs than if it were uniform."""
    if column.key not in ('lung_share', 'half_peak_lung_fraction'):
        return False
    fraction, uniform = (
        rows.numbers[key].values[place] for key in (column.key, 'lung_share_if_even')
    )
    return bool(fraction < uniform)
