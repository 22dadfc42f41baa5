"""Images that may be one image twice, as pairs to look at and to put together."""

from __future__ import annotations

from qtpy.QtCore import QModelIndex, Qt, Signal
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QHeaderView,
    QPushButton,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from napari_cxr.plugin.plain_table import make_plain
from napari_cxr.plugin.text import quiet_label
from napari_cxr.plugin.train.data_edits import DataEdits
from napari_cxr.plugin.train.pair_model import PairModel
from napari_cxr.training.survey import Survey

__all__ = ['PairsView']

_MOST_ROWS = 6


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
        self.model = PairModel(edits, theme, self)
        self.note = quiet_label()
        self.table = _table(self.model)
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
        shown = min(self.model.rowCount(), _MOST_ROWS)
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
            self._edits.put_together(*found, not self._edits.is_together(*found))

    def _update(self) -> None:
        found = self._digests()
        self.open.setEnabled(found is not None)
        by_hand = found is not None and self._edits.is_together(*found)
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


def _table(model: PairModel) -> QTableView:
    table = QTableView()
    table.setModel(model)
    columns = make_plain(table, 'Pairs of images that look alike', several=False)
    table.setFrameShape(QFrame.Shape.NoFrame)
    table.setTextElideMode(Qt.TextElideMode.ElideMiddle)
    table.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    table.setToolTip('Two images that look alike; a click opens both side by side')
    columns.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
    columns.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
    columns.setSectionResizeMode(1, QHeaderView.ResizeMode.Fixed)
    return table
