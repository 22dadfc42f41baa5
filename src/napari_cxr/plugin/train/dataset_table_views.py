"""The tables of a data set's images and of its near-duplicates, with filter and buttons."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QModelIndex, Qt, QTimer, Signal
from qtpy.QtGui import QKeyEvent, QResizeEvent, QShowEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QHBoxLayout,
    QHeaderView,
    QLineEdit,
    QPushButton,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from napari_cxr.plugin.plots.axes import number_text
from napari_cxr.plugin.plots.plot import quiet_text
from napari_cxr.plugin.style import quiet_label, style_plain_table
from napari_cxr.plugin.train.dataset_table_models import (
    DataEdits,
    ImageFilterProxy,
    ImageTableModel,
    PairTableModel,
)
from napari_cxr.training.dataset_survey import Survey

__all__ = ['ImagesView', 'PairsView']

#: Milliseconds without a key before the filter is applied.
_FILTER_DELAY = 150

#: Pixels: the path at least, and each other column at most.
_NARROWEST_COLUMN, _WIDEST_COLUMN = 96, 130


class _ImageTable(QTableView):
    """A table that hears Delete even where napari has a shortcut for it."""

    #: Delete was pressed.
    delete_pressed = Signal()

    def event(self, event: QEvent | None) -> bool:
        """Claim the key before a shortcut of the window takes it."""
        if (
            isinstance(event, QKeyEvent)
            and event.type() == QEvent.Type.ShortcutOverride
            and event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Return, Qt.Key.Key_Enter)
        ):
            event.accept()
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Hear Delete; Return is a double click."""
        if event is not None and event.key() == Qt.Key.Key_Delete:
            self.delete_pressed.emit()
        elif event is not None and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.doubleClicked.emit(self.currentIndex())
        else:
            super().keyPressEvent(event)

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Give the paths what the other columns leave."""
        super().resizeEvent(event)
        self.fit_columns()

    def fit_columns(self) -> None:
        """Make columns as wide as usual words in them; more room is the path's."""
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
    """A table with a filter above and buttons below.

    Parameters
    ----------
    edits : DataEdits
        What a person has left out; the buttons change it.
    theme : str
        Name of napari's theme.
    parent : QWidget, optional
        Qt parent.
    """

    #: The file of an image that was double-clicked.
    image_opened = Signal(str)

    def __init__(self, edits: DataEdits, theme: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._edits = edits
        self.model = ImageTableModel(edits, self)
        self.proxy = ImageFilterProxy(self.model, self)
        self.filter = QLineEdit()
        self.filter.setClearButtonEnabled(True)
        self.filter.setPlaceholderText('Filter, for example: class=normal split=test')
        self.filter.setToolTip(
            'Words that must all occur, in the path, class, source, split or size. '
            'class=…, source=… and split=… look in one column; "…" keeps words together; '
            '"left out" finds what you left out.'
        )
        self.filter.setAccessibleName('Filter the images')
        self.table = _create_image_table(self.proxy)
        self.leave = QPushButton('Leave out')
        self.leave.setToolTip('Train without the chosen images (Delete)')
        self.take = QPushButton('Take back')
        self.take.setToolTip('Train with the chosen images again (Delete)')
        self.undo = QPushButton('Undo')
        self.count = quiet_label()
        self._typing = QTimer(self)
        self._typing.setSingleShot(True)
        self._typing.setInterval(_FILTER_DELAY)
        buttons = QHBoxLayout()
        buttons.setSpacing(6)
        for button in (self.leave, self.take, self.undo):
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
        self.take.clicked.connect(self._take_back)
        self.table.delete_pressed.connect(self._toggle)
        self.table.doubleClicked.connect(self._open)
        self.undo.clicked.connect(edits.undo_stack.undo)
        edits.history_changed.connect(self._update)
        edits.changed.connect(self._update)
        selection = self.table.selectionModel()
        if selection is not None:
            selection.selectionChanged.connect(self._update)
        self.set_theme(theme)
        self._update()

    def set_theme(self, theme: str) -> None:
        """Follow another of napari's themes."""
        self.model.set_muted_colour(quiet_text(theme))

    def show_survey(self, survey: Survey | None) -> None:
        """Show the images of a survey."""
        fresh = self.model.set_survey(survey)
        if fresh:
            self.table.fit_columns()
        self._update()

    def set_filter(self, text: str) -> None:
        """Show only images in which these words occur, now."""
        self.filter.setText(text)
        self._apply_filter()

    def select(self, row: int) -> None:
        """Select an image by its place in the survey, and bring it into view."""
        if not self.proxy.mapFromSource(self.model.index(row, 0)).isValid():
            self.set_filter('')
        index = self.proxy.mapFromSource(self.model.index(row, 0))
        self.table.setCurrentIndex(index)
        self.table.selectRow(index.row())
        self.table.scrollTo(index, QAbstractItemView.ScrollHint.PositionAtCenter)

    @property
    def selected(self) -> list[int]:
        """Places in the survey of the images that are selected."""
        selection = self.table.selectionModel()
        rows = selection.selectedRows() if selection is not None else []
        return sorted(self.proxy.mapToSource(index).row() for index in rows)

    def _apply_filter(self) -> None:
        self._typing.stop()
        self.proxy.set_text(self.filter.text())
        self._update()

    def _leave_out(self) -> None:
        self._edits.leave_out([self.model.digest(row) for row in self.selected], True)

    def _take_back(self) -> None:
        self._edits.leave_out([self.model.digest(row) for row in self.selected], False)

    def _toggle(self) -> None:
        """Leave out what is selected; where all of it is out, take it back."""
        rows = self.selected
        if all(self.model.is_out(row) for row in rows):
            self._take_back()
        else:
            self._leave_out()

    def _open(self, index: QModelIndex) -> None:
        if index.isValid():
            self.image_opened.emit(self.model.path(self.proxy.mapToSource(index).row()))

    def _update(self) -> None:
        rows = self.selected
        out = [self.model.is_out(row) for row in rows]
        self.leave.setEnabled(not all(out))
        self.take.setEnabled(any(out))
        stack = self._edits.undo_stack
        self.undo.setEnabled(stack.canUndo())
        text = stack.undoText()
        self.undo.setToolTip(f'Undo {text} (Ctrl+Z)' if text else 'Nothing to undo')
        shown, total = self.proxy.rowCount(), self.model.rowCount()
        words = f'{number_text(total)} images'
        if shown != total:
            words = f'{number_text(shown)} of {words}'
        if rows:
            words += f', {number_text(len(rows))} selected'
        self.count.setText(words + '. Double-click one to open it.')


def _create_image_table(proxy: ImageFilterProxy) -> _ImageTable:
    table = _ImageTable()
    table.setModel(proxy)
    columns = style_plain_table(table, 'Images', several=True)
    table.setFrameShape(QFrame.Shape.NoFrame)
    table.setTextElideMode(Qt.TextElideMode.ElideMiddle)
    table.setSortingEnabled(True)
    table.sortByColumn(-1, Qt.SortOrder.AscendingOrder)  # as the survey has them
    table.setToolTip('Double click opens an image; Delete leaves out what is selected')
    table.setFixedHeight(300)
    columns.setMinimumSectionSize(36)
    columns.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
    columns.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
    columns.setResizeContentsPrecision(200)
    return table


_MOST_PAIR_ROWS = 6


class PairsView(QWidget):
    """The pairs; a click opens both images of one, a button makes them one patient's.

    Parameters
    ----------
    edits : DataEdits
        What a person has put together; the button changes it.
    theme : str
        Name of napari's theme.
    parent : QWidget, optional
        Qt parent.
    """

    #: The files of a pair to look at.
    pair_opened = Signal(str, str)

    def __init__(self, edits: DataEdits, theme: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._edits = edits
        self._survey: Survey | None = None
        self.model = PairTableModel(edits, theme, self)
        self.note = quiet_label()
        self.table = _create_pair_table(self.model)
        self.open = QPushButton('Open')
        self.open.setToolTip('Open both images side by side; so does a click on the pair')
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
        self.table.activated.connect(self._open)
        self.open.clicked.connect(lambda: self._open(self.table.currentIndex()))
        self.same.clicked.connect(self._toggle)
        self.undo.clicked.connect(edits.undo_stack.undo)
        edits.history_changed.connect(self._update)
        edits.changed.connect(self._update)
        selection = self.table.selectionModel()
        if selection is not None:
            selection.currentChanged.connect(self._update)
        self._update()

    def set_theme(self, theme: str) -> None:
        """Follow another of napari's themes."""
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
        """Measure in the font that it is shown in."""
        super().showEvent(event)
        self._fit_height()

    def _fit_height(self) -> None:
        metrics = self.table.fontMetrics()
        rows, columns = self.table.verticalHeader(), self.table.horizontalHeader()
        if rows is None or columns is None:
            return
        rows.setDefaultSectionSize(self.model.most_lines * metrics.lineSpacing() + 8)
        shown = min(self.model.rowCount(), _MOST_PAIR_ROWS)
        height = columns.sizeHint().height() + shown * rows.defaultSectionSize() + 4
        self.table.setFixedHeight(height)
        self.table.setColumnWidth(1, metrics.horizontalAdvance('train / not used') + 12)

    def _open(self, index: QModelIndex) -> None:
        if index.isValid() and self._survey is not None:
            pair = self.model.pair(index.row())
            self.pair_opened.emit(self._survey.paths[pair.first], self._survey.paths[pair.second])

    def _digests(self) -> tuple[str, str] | None:
        index = self.table.currentIndex()
        if not index.isValid() or self._survey is None:
            return None
        pair = self.model.pair(index.row())
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
            pair = self.model.pair(self.table.currentIndex().row())
            groups = self._survey.groups
            known = groups[pair.first] == groups[pair.second] or found[0] == found[1]
        self.same.setEnabled(found is not None and not known)
        self.same.setToolTip(
            'Choose a pair first' if found is None else
            'These two count as one patient’s already' if known else
            'Let each count as a patient’s of its own again' if by_hand else
            'Keep both on one side of every split, as images of one patient'
        )  # fmt: skip
        stack = self._edits.undo_stack
        self.undo.setEnabled(stack.canUndo())
        text = stack.undoText()
        self.undo.setToolTip(f'Undo {text} (Ctrl+Z)' if text else 'Nothing to undo')


def _create_pair_table(model: PairTableModel) -> QTableView:
    table = QTableView()
    table.setModel(model)
    columns = style_plain_table(table, 'Pairs of images that look alike', several=False)
    table.setFrameShape(QFrame.Shape.NoFrame)
    table.setTextElideMode(Qt.TextElideMode.ElideMiddle)
    table.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    table.setToolTip('Two images that look alike; a click opens both side by side')
    columns.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
    columns.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
    columns.setSectionResizeMode(1, QHeaderView.ResizeMode.Fixed)
    return table
