"""The tables of the images and near-duplicates of a data set, with filter and buttons."""

from __future__ import annotations

from qtpy.QtCore import QModelIndex, Qt, QTimer, Signal
from qtpy.QtGui import QKeyEvent, QResizeEvent, QShowEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QHBoxLayout,
    QHeaderView,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_cxr.plugin.plots.axes import number_text
from napari_cxr.plugin.plots.plot import quiet_text
from napari_cxr.plugin.style import quiet_label
from napari_cxr.plugin.train.dataset_table_models import DataEdits, ImageTableModel, PairTableModel
from napari_cxr.plugin.widgets.row_table import RowFilterProxy, RowTableView
from napari_cxr.training.dataset_survey import Survey

__all__ = ['ImagesView', 'PairsView']

#: Milliseconds without a key before the filter is applied.
_FILTER_DELAY = 150

#: Pixels: the path at least, and each other column at most.
_NARROWEST_COLUMN, _WIDEST_COLUMN = 96, 130


class _ImageTable(RowTableView):
    """The table of images; Delete works even where napari has a shortcut for it."""

    #: Delete was pressed.
    delete_pressed = Signal()

    def __init__(self, proxy: RowFilterProxy[str]) -> None:
        super().__init__(proxy, 'Images', multi_select=True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setSortingEnabled(True)
        self.sortByColumn(-1, Qt.SortOrder.AscendingOrder)  # in the order of the survey
        self.setToolTip('Double-click to open an image; Delete leaves out the selected ones')
        self.setFixedHeight(300)
        self.titles.setMinimumSectionSize(36)
        self.titles.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        self.titles.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        self.titles.setResizeContentsPrecision(200)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Leave out or include the selected images with Delete."""
        if event is not None and event.key() == Qt.Key.Key_Delete:
            self.delete_pressed.emit()
        else:
            super().keyPressEvent(event)

    def _keys_claimed(self) -> tuple[Qt.Key, ...]:
        return (*super()._keys_claimed(), Qt.Key.Key_Delete)

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Give the remaining width to the paths."""
        super().resizeEvent(event)
        self.fit_columns()

    def fit_columns(self) -> None:
        """Fit columns to their contents; the remaining width is the path's."""
        viewport, model = self.viewport(), self.model()
        if viewport is None or model is None:
            return
        for column in range(1, model.columnCount()):
            self.setColumnWidth(
                column, min(max(self.sizeHintForColumn(column), 52), _WIDEST_COLUMN)
            )
        others = sum(self.columnWidth(c) for c in range(1, model.columnCount()))
        self.setColumnWidth(0, max(viewport.width() - others, _NARROWEST_COLUMN))


class ImagesView(QWidget):
    """The table of images, with a filter above and buttons below.

    Parameters
    ----------
    edits : DataEdits
        Which images are left out; the buttons change it.
    theme : str
        Name of napari's theme.
    parent : QWidget, optional
        Qt parent.
    """

    #: An image was opened: its file.
    image_opened = Signal(str)

    def __init__(self, edits: DataEdits, theme: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._edits = edits
        self.model = ImageTableModel(edits, self)
        # Not live: nothing may jump away while it is edited.
        self.proxy = RowFilterProxy(self.model, self, live=False)
        self.filter = QLineEdit()
        self.filter.setClearButtonEnabled(True)
        self.filter.setPlaceholderText('Filter, for example: class=normal split=test')
        self.filter.setToolTip(
            'Show the images that contain all of these words in their path, class, source, '
            'split or size. class=…, source=… and split=… search one column; "…" keeps words '
            'together; "left out" finds the images that you left out.'
        )
        self.filter.setAccessibleName('Filter the images')
        self.table = _ImageTable(self.proxy)
        self.leave = QPushButton('Leave out')
        self.leave.setToolTip('Train without the selected images (Delete)')
        self.include = QPushButton('Include')
        self.include.setToolTip('Train with the selected images again (Delete)')
        self.undo = QPushButton('Undo')
        self.count = quiet_label()
        self._typing = QTimer(self)
        self._typing.setSingleShot(True)
        self._typing.setInterval(_FILTER_DELAY)
        buttons = QHBoxLayout()
        buttons.setSpacing(6)
        for button in (self.leave, self.include, self.undo):
            buttons.addWidget(button)
        buttons.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addWidget(self.filter)
        layout.addWidget(self.table)
        layout.addLayout(buttons)
        layout.addWidget(self.count)

        self.filter.textChanged.connect(self._typing.start)
        self.filter.returnPressed.connect(self._apply_filter)
        self._typing.timeout.connect(self._apply_filter)
        self.leave.clicked.connect(self._leave_out)
        self.include.clicked.connect(self._include)
        self.table.delete_pressed.connect(self._toggle)
        self.table.row_opened.connect(self._open)
        self.table.selected.connect(self._update)
        self.undo.clicked.connect(edits.undo_stack.undo)
        edits.history_changed.connect(self._update)
        edits.changed.connect(self._update)
        self.set_theme(theme)
        self._update()

    def set_theme(self, theme: str) -> None:
        """Use the colours of another of napari's themes."""
        self.model.set_muted_colour(quiet_text(theme))

    def show_survey(self, survey: Survey | None) -> None:
        """Show the images of a survey."""
        fresh = self.model.set_survey(survey)
        if fresh:
            self.table.fit_columns()
        self._update()

    def set_filter(self, text: str) -> None:
        """Filter the images at once."""
        self.filter.setText(text)
        self._apply_filter()

    def select(self, row: int) -> None:
        """Select an image by its index in the survey, and scroll to it."""
        if not self.proxy.mapFromSource(self.model.index(row, 0)).isValid():
            self.set_filter('')
        index = self.proxy.mapFromSource(self.model.index(row, 0))
        self.table.setCurrentIndex(index)
        self.table.selectRow(index.row())
        self.table.scrollTo(index, QAbstractItemView.ScrollHint.PositionAtCenter)

    @property
    def selected(self) -> list[int]:
        """Indices in the survey of the selected images."""
        return sorted(self.proxy.source_row(line) for line in self.table.selected_lines)

    def _apply_filter(self) -> None:
        self._typing.stop()
        self.proxy.set_filter(self.filter.text())
        self._update()

    def _leave_out(self) -> None:
        self._edits.leave_out([self.model.digest(row) for row in self.selected], True)

    def _include(self) -> None:
        self._edits.leave_out([self.model.digest(row) for row in self.selected], False)

    def _toggle(self) -> None:
        """Leave out the selected images; if all of them are left out, include them."""
        rows = self.selected
        if all(self.model.is_out(row) for row in rows):
            self._include()
        else:
            self._leave_out()

    def _open(self, line: int) -> None:
        self.image_opened.emit(self.proxy.row_at(line))

    def _update(self) -> None:
        rows = self.selected
        out = [self.model.is_out(row) for row in rows]
        self.leave.setEnabled(not all(out))
        self.include.setEnabled(any(out))
        stack = self._edits.undo_stack
        self.undo.setEnabled(stack.canUndo())
        text = stack.undoText()
        self.undo.setToolTip(f'Undo {text} (Ctrl+Z)' if text else 'Nothing to undo')
        shown, total = self.proxy.rowCount(), self.model.rowCount()
        text = f'{number_text(total)} images'
        if shown != total:
            text = f'{number_text(shown)} of {text}'
        if rows:
            text += f', {number_text(len(rows))} selected'
        self.count.setText(f'{text}. Double-click one to open it.')


_MOST_PAIR_ROWS = 6


class PairsView(QWidget):
    """The pairs of near-duplicates; a click opens both images of a pair.

    Parameters
    ----------
    edits : DataEdits
        Which pairs are marked as the same patient; the button changes it.
    theme : str
        Name of napari's theme.
    parent : QWidget, optional
        Qt parent.
    """

    #: A pair was opened: its two files.
    pair_opened = Signal(str, str)

    def __init__(self, edits: DataEdits, theme: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._edits = edits
        self._survey: Survey | None = None
        self.model = PairTableModel(edits, theme, self)
        self.note = quiet_label()
        self.table = _create_pair_table(self.model)
        self.open = QPushButton('Open')
        self.open.setToolTip('Open both images side by side, as a click on the pair does')
        self.same = QPushButton('Same patient')
        self.undo = QPushButton('Undo')
        buttons = QHBoxLayout()
        buttons.setSpacing(6)
        for button in (self.open, self.same, self.undo):
            buttons.addWidget(button)
        buttons.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addWidget(self.note)
        layout.addWidget(self.table)
        layout.addLayout(buttons)
        self.table.clicked.connect(self._open)
        self.table.row_opened.connect(self._open_current)
        self.open.clicked.connect(self._open_current)
        self.same.clicked.connect(self._toggle)
        self.undo.clicked.connect(edits.undo_stack.undo)
        edits.history_changed.connect(self._update)
        edits.changed.connect(self._update)
        selection = self.table.selectionModel()
        if selection is not None:
            selection.currentChanged.connect(self._update)
        self._update()

    def set_theme(self, theme: str) -> None:
        """Use the colours of another of napari's themes."""
        self.model.set_theme(theme)

    def show_survey(self, survey: Survey | None) -> None:
        """Show the pairs of a survey."""
        self._survey = survey
        self.model.set_survey(survey)
        count = self.model.rowCount()
        pairs = survey.pairs if survey is not None else ()
        across = sum(pair.across for pair in pairs)
        if not count:
            self.note.setText('No two images look alike.')
        else:
            self.note.setText(
                f'{count} {"pair looks" if count == 1 else "pairs look"} alike, {across} of them '
                'across a split, a class or a patient. Click one to see both.'
            )
        for widget in (self.table, self.open, self.same, self.undo):
            widget.setVisible(bool(count))
        self._fit_height()
        self._update()

    def showEvent(self, event: QShowEvent | None) -> None:
        """Fit the height to the font."""
        super().showEvent(event)
        self._fit_height()

    def _fit_height(self) -> None:
        metrics, rows = self.table.fontMetrics(), self.table.verticalHeader()
        assert rows is not None
        rows.setDefaultSectionSize(self.model.most_lines * metrics.lineSpacing() + 8)
        self.table.fit_height(_MOST_PAIR_ROWS)
        self.table.setColumnWidth(1, metrics.horizontalAdvance('train / not used') + 12)

    def _open_current(self) -> None:
        self._open(self.table.currentIndex())

    def _open(self, index: QModelIndex) -> None:
        if index.isValid() and self._survey is not None:
            pair = self.model.row(index.row())
            self.pair_opened.emit(self._survey.paths[pair.first], self._survey.paths[pair.second])

    def _digests(self) -> tuple[str, str] | None:
        index = self.table.currentIndex()
        if not index.isValid() or self._survey is None:
            return None
        pair = self.model.row(index.row())
        return self._survey.digests[pair.first], self._survey.digests[pair.second]

    def _toggle(self) -> None:
        found = self._digests()
        if found is not None:
            self._edits.mark_same_patient(*found, not self._edits.is_same_patient(*found))

    def _update(self) -> None:
        found = self._digests()
        self.open.setEnabled(found is not None)
        by_hand = found is not None and self._edits.is_same_patient(*found)
        self.same.setText('Separate' if by_hand else 'Same patient')
        known = False
        if found is not None and self._survey is not None and not by_hand:
            pair = self.model.row(self.table.currentIndex().row())
            groups = self._survey.groups
            known = groups[pair.first] == groups[pair.second] or found[0] == found[1]
        self.same.setEnabled(found is not None and not known)
        self.same.setToolTip(
            'Choose a pair first' if found is None else
            'These two images are already known to be of the same patient' if known else
            'Treat the two as images of different patients again' if by_hand else
            'Keep both in the same split, as images of the same patient'
        )  # fmt: skip
        stack = self._edits.undo_stack
        self.undo.setEnabled(stack.canUndo())
        text = stack.undoText()
        self.undo.setToolTip(f'Undo {text} (Ctrl+Z)' if text else 'Nothing to undo')


def _create_pair_table(model: PairTableModel) -> RowTableView:
    table = RowTableView(model, 'Pairs of near-duplicates')
    table.setFrameShape(QFrame.Shape.NoFrame)
    table.setTextElideMode(Qt.TextElideMode.ElideMiddle)
    table.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    table.setToolTip('Two images that look alike. Click to open both side by side')
    table.titles.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
    table.titles.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
    table.titles.setSectionResizeMode(1, QHeaderView.ResizeMode.Fixed)
    return table
