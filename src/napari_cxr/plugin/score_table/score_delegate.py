"""How the score table is drawn: cells, probability bars, colours and style sheets of the theme."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from os.path import splitext

from qtpy.QtCore import QModelIndex, QObject, QRect, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QFont, QFontMetricsF, QImage, QPainter, QPen
from qtpy.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem, QTableView

from napari_cxr.plugin.plots.plot import faint_text, quiet_text
from napari_cxr.plugin.score_table.cell_text import other_label, short_warnings, split_path
from napari_cxr.plugin.score_table.score_columns import ScoreColumn
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
    """What each is for.

    Parameters
    ----------
    text, quiet : QColor
        What matters, and what stands beside it.
    line : QColor
        Between two rows.
    track, bar, accent : QColor
        Of a bar: what is not filled, what is, and the bar of the answer.
    chosen : QColor
        The ground of selected rows.
    warning, error : QColor
        Words about what is doubtful or failed.
    """

    text: QColor
    quiet: QColor
    line: QColor
    track: QColor
    bar: QColor
    accent: QColor
    chosen: QColor
    warning: QColor
    error: QColor

    @classmethod
    def of(cls, theme: str) -> CellColours:
        """Return those of one of napari's themes."""
        text, line = theme_color(theme, 'text'), faint_text(theme)
        line.setAlphaF(0.08)
        track, bar, accent = (
            theme_color(theme, role) for role in ('foreground', 'primary', 'current')
        )
        chosen = QColor(accent)
        chosen.setAlpha(72)
        warning, error = (
            _legible(theme_color(theme, role), text) for role in ('warning', 'error')
        )
        return cls(text, quiet_text(theme), line, track, bar, accent, chosen, warning, error)


def _legible(color: QColor, text: QColor) -> QColor:
    """Return a colour that reads as well as text does on the theme's background."""
    hue, full, _, _ = color.getHslF()
    light = 0.68 if text.lightnessF() > 0.5 else 0.32
    return QColor.fromHslF(max(hue or 0.0, 0.0), min(full or 0.0, 0.8), light)


#: Pixels: beside a figure, and the height of a bar, as in the Classify dock.
_BAR_MARGIN, _BAR = 8, 6

#: Pixels: the least length of a bar beside its figure, and the height of one below it.
_LEAST, _THIN = 28, 3

_WIDEST = '100.0 %'


def draw_probability_bar(
    painter: QPainter,
    room: QRect,
    whole: int,
    share: float,
    figure: str,
    colours: tuple[QColor, QColor, QColor],
) -> None:
    """Draw one.

    Parameters
    ----------
    painter : QPainter
        With the font of the figure.
    room : QRect
        Where.
    whole : int
        Pixels that figure and bar may be wide together: the same in all columns, or bars
        could not be compared.
    share : float
        In [0, 1].
    figure : str
        The same in words; where there is no room for it in any column, it is rounded.
    colours : tuple of QColor
        Of the figure, of the bar, and of what it leaves empty.
    """
    metrics = QFontMetricsF(painter.font())
    beside = whole - metrics.horizontalAdvance(_WIDEST) - _BAR_MARGIN
    if beside >= _LEAST:
        track = QRectF(room.left(), room.center().y() - _BAR / 2 + 0.5, beside, _BAR)
    else:
        below = room.center().y() + metrics.height() / 2 - 1
        track = QRectF(room.right() + 1 - whole, below, whole, _THIN)
        room = room.adjusted(0, 0, 0, -4)
    if metrics.horizontalAdvance(_WIDEST) > whole:
        figure = f'{100 * share:.0f} %'
    text, full, empty = colours
    painter.setPen(text)
    painter.drawText(room, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, figure)
    around = track.height() / 2
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(empty)
    painter.drawRoundedRect(track, around, around)
    # At least a dot, so that an empty bar is not taken for a missing one.
    track.setWidth(max(2 * around, track.width() * share))
    painter.setBrush(full)
    painter.drawRoundedRect(track, around, around)


def table_style(theme: str) -> str:
    """Return the style of the lines and titles; the delegate draws what is selected."""
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
    """Return the style of the buttons above: those that are on are underlined."""
    accent = theme_color(theme, 'current').name()
    return (
        f'QToolButton#more:checked {{ border-bottom: 2px solid {accent}; padding-bottom: 1px; }}'
    )


#: Pixels beside a cell's text.
_MARGIN = 6

#: The first folder of a path.
_FOLDER = re.compile(r'[^/\\]*[/\\]')

#: Kinds of cells that are empty where a file has no answer: its reason stands across them.
_ACROSS = ('answer', 'bar')

_NO_ANSWER = 'Not scored'

#: Pixels of a reason below which it is left out.
_LEAST_REASON = 40

_LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter

_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter


class ScoreTableDelegate(QStyledItemDelegate):
    """Draws bars, warnings, reasons and small pictures in the theme's colours.

    Parameters
    ----------
    theme : str
        Name of napari's theme.
    picture : callable
        From a path to its small picture: None while it is read, and an empty one where the
        file holds none.
    parent : QObject, optional
        Qt parent.
    """

    def __init__(
        self,
        theme: str,
        picture: Callable[[str], QImage | None],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._picture = picture
        self.set_theme(theme)

    def set_theme(self, theme: str) -> None:
        """Take the colours of another of napari's themes."""
        self._colours = CellColours.of(theme)

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex) -> QSize:
        """Return the height of a line of text; widths are those of the columns."""
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
        self._ground(painter, option)
        room = option.rect.adjusted(_MARGIN, 0, -_MARGIN, 0)
        if rows.rows[place].status == 'error' and column.kind in _ACROSS:
            self._reason(painter, option, index, rows.rows[place].error)
        else:
            self._cell(painter, option, room, column, rows, place)
        painter.restore()

    # -- its parts ----------------------------------------------------------------------

    def _ground(self, painter: QPainter, option: QStyleOptionViewItem) -> None:
        if option.state & QStyle.StateFlag.State_Selected:
            painter.fillRect(option.rect, self._colours.chosen)
        bottom = option.rect.bottom()
        painter.fillRect(
            QRect(option.rect.left(), bottom, option.rect.width(), 1), self._colours.line
        )

    def _cell(
        self,
        painter: QPainter,
        option: QStyleOptionViewItem,
        room: QRect,
        column: ScoreColumn,
        rows: ScoreRows,
        place: int,
    ) -> None:
        text = column.text(rows, place)
        if column.kind == 'bar':
            self._probability(painter, room, _narrowest(option), column, rows, place)
        elif column.kind == 'file':
            self._file(painter, self._mark(painter, room, rows, place), text)
        elif column.kind == 'picture':
            self._small_picture(painter, room, rows.rows[place].path)
        elif column.kind == 'note':
            if text:
                self._note(painter, room)
        elif column.kind == 'warnings':
            doubts = short_warnings(rows, place)[0]
            color = self._colours.warning if doubts else self._colours.quiet
            self._words(painter, room, f'▲ {text}' if doubts else text, color)
        elif column.kind == 'label':
            color = self._colours.warning if text.startswith('≠') else self._colours.text
            self._words(painter, room, text, color)
        elif column.kind == 'share':
            color = (
                self._colours.warning if _is_outside(column, rows, place) else self._colours.text
            )
            self._words(painter, room, text, color, _RIGHT)
        elif column.kind == 'number':
            self._words(painter, room, text, self._colours.quiet, _RIGHT)
        elif column.kind == 'answer':
            self._answer(painter, room, rows, place)
        else:
            self._words(painter, room, text, self._colours.quiet)

    def _words(
        self,
        painter: QPainter,
        room: QRect,
        text: str,
        color: QColor,
        where: Qt.AlignmentFlag = _LEFT,
    ) -> None:
        painter.setPen(color)
        short = painter.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, room.width())
        painter.drawText(room, where, short)

    def _probability(
        self,
        painter: QPainter,
        room: QRect,
        narrowest: int,
        column: ScoreColumn,
        rows: ScoreRows,
        place: int,
    ) -> None:
        share = float(rows.numbers[column.key].values[place])
        if share != share:  # nothing is known
            return
        colours = self._colours
        row = rows.rows[place]
        is_answer = column.title in (row.above if row.answer else (row.label,))
        text, full = (colours.text, colours.accent) if is_answer else (colours.quiet, colours.bar)
        if column.title in other_label(rows, place).split(', '):
            text = colours.warning
        said = column.text(rows, place)
        draw_probability_bar(
            painter, room, narrowest - 2 * _MARGIN, share, said, (text, full, colours.track)
        )

    def _answer(self, painter: QPainter, room: QRect, rows: ScoreRows, place: int) -> None:
        """Write what the model says, and what the person says where that is something else."""
        row, metrics = rows.rows[place], painter.fontMetrics()
        if row.doubts:
            self._words(painter, room, '▲', self._colours.warning)
            room = room.adjusted(metrics.horizontalAdvance('▲ '), 0, 0, 0)
        other = other_label(rows, place)
        if not other:
            self._words(painter, room, row.label, self._colours.text)
            return
        # Where there is no room for what the person says, its colour among the bars says it.
        self._words(painter, room, row.label, self._colours.text)
        rest = room.adjusted(metrics.horizontalAdvance(row.label), 0, 0, 0)
        said = f' → {other}'
        if metrics.horizontalAdvance(said) <= rest.width():
            self._words(painter, rest, said, self._colours.warning)

    def _mark(self, painter: QPainter, room: QRect, rows: ScoreRows, place: int) -> QRect:
        """Tick a file that has been read; return where its name stands."""
        if not rows.words['read'].any:
            return room
        said, wide = rows.words['read'][place], painter.fontMetrics().horizontalAdvance('✓ ')
        if said:
            mark, color = (
                ('?', self._colours.quiet) if said == 'unsure' else ('✓', self._colours.text)
            )
            if rows.flags['against_read'].values[place]:
                color = self._colours.warning
            self._words(painter, room, mark, color)
        return room.adjusted(wide, 0, 0, 0)

    def _file(self, painter: QPainter, room: QRect, text: str) -> None:
        folder, name = split_path(text)
        metrics = painter.fontMetrics()
        left = room.width() - metrics.horizontalAdvance(name)
        # Whole folders or none: half the name of one could be that of another.
        while folder and metrics.horizontalAdvance(folder) > left:
            folder = _FOLDER.sub('', folder, count=1)
        if folder:
            self._words(painter, room, folder, self._colours.quiet)
            room = room.adjusted(metrics.horizontalAdvance(folder), 0, 0, 0)
        painter.setPen(self._colours.text)
        if metrics.horizontalAdvance(name) > room.width():
            # Names of one data set often begin alike and end in the same format: what stands
            # before that tells what they are.
            name = splitext(name)[0] or name
        short = metrics.elidedText(name, Qt.TextElideMode.ElideMiddle, room.width())
        painter.drawText(room, _LEFT, short)

    def _reason(
        self,
        painter: QPainter,
        option: QStyleOptionViewItem,
        index: QModelIndex,
        reason: str,
    ) -> None:
        """Write why there is no answer across the cells that stay empty."""
        whole, kinds = _across(option, index)
        whole.adjust(_MARGIN, 0, -_MARGIN, 0)
        if 'answer' in kinds:  # else it is said where the answer stands
            painter.setPen(self._colours.error)
            painter.drawText(whole, _LEFT, _NO_ANSWER)
            whole.adjust(painter.fontMetrics().horizontalAdvance(f'{_NO_ANSWER}  '), 0, 0, 0)
        if whole.width() > _LEAST_REASON:
            self._words(painter, whole, reason, self._colours.quiet)

    def _note(self, painter: QPainter, room: QRect) -> None:
        sheet = QRectF(0, 0, 11, 13)
        sheet.moveCenter(QRectF(room).center())
        painter.setPen(QPen(self._colours.text, 1.2))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRoundedRect(sheet, 2, 2)
        for line in (4, 7, 10):
            y = sheet.top() + line - 0.5
            painter.drawLine(int(sheet.left() + 3), int(y), int(sheet.right() - 3), int(y))

    def _small_picture(self, painter: QPainter, room: QRect, path: str) -> None:
        box = QRectF(room).adjusted(-_MARGIN + 4, 3, _MARGIN - 4, -4)
        picture = self._picture(path)
        if picture is not None and not picture.isNull():
            size = picture.size().scaled(
                int(box.width()), int(box.height()), Qt.AspectRatioMode.KeepAspectRatio
            )
            place = QRectF(0, 0, size.width(), size.height())
            place.moveCenter(box.center())
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
            painter.drawImage(place, picture)
            return
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self._colours.track)
        painter.drawRoundedRect(box, 3, 3)
        if picture is not None:  # there is none in the file
            font = QFont(painter.font())
            painter.setFont(font)
            painter.setPen(self._colours.quiet)
            painter.drawText(box, Qt.AlignmentFlag.AlignCenter, '–')


def _narrowest(option: QStyleOptionViewItem) -> int:
    """Return the pixels of the narrowest column of probabilities."""
    view = option.widget
    header = view.horizontalHeader() if isinstance(view, QTableView) else None
    return header.narrowest_bar if isinstance(header, ScoreTableHeader) else option.rect.width()


def _across(option: QStyleOptionViewItem, index: QModelIndex) -> tuple[QRect, set[str]]:
    """Return the cells beside each other that hold an answer or a probability, and which."""
    view, model = option.widget, index.model()
    header = view.horizontalHeader() if isinstance(view, QTableView) else None
    if header is None or not isinstance(model, ScoreTableModel):
        return QRect(option.rect), {'answer'}
    whole, kinds = QRect(option.rect), {str(model.columns[index.column()].kind)}
    here = header.visualIndex(index.column())
    for step in (-1, 1):
        visual = here + step
        while 0 <= visual < header.count():
            logical = header.logicalIndex(visual)
            if not header.isSectionHidden(logical):
                if model.columns[logical].kind not in _ACROSS:
                    break
                kinds.add(model.columns[logical].kind)
                left = header.sectionViewportPosition(logical)
                whole |= QRect(
                    left, whole.top(), header.sectionSize(logical), option.rect.height()
                )
            visual += step
    return whole, kinds


def _is_outside(column: ScoreColumn, rows: ScoreRows, place: int) -> bool:
    """Return whether less of a heatmap lies in the lungs than if it were even."""
    if column.key != 'lung_share':
        return False
    share, even = (
        rows.numbers[key].values[place] for key in (column.key, f'{column.key}_if_even')
    )
    return bool(share < even)
