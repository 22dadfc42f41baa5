"""The head of the table of runs: whose runs they are, which of them are shown, and how."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

__all__ = ['RunsHead']


class RunsHead(QWidget):
    """Folder, filter, columns, and a button that saves.

    Parameters
    ----------
    parent : QWidget, optional
        Qt parent.
    """

    #: The person chose another folder.
    folder_chosen = Signal(str)
    again_wanted = Signal()
    filter_changed = Signal(str)
    columns_wanted = Signal()
    save_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.place = QLabel()
        self.place.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.choose = QPushButton('Folder…')
        self.choose.setToolTip('Choose the folder whose runs are shown, and those below it')
        self.again = QToolButton()
        self.again.setText('↻')
        self.again.setToolTip('Read the runs again (F5)')
        self.again.setAccessibleName('Read the runs again')
        self.filter = QLineEdit()
        self.filter.setPlaceholderText('Filter')
        self.filter.setMinimumWidth(70)
        self.filter.setClearButtonEnabled(True)
        self.filter.setToolTip('Show the runs that hold each of these words in any column')
        self.filter.setAccessibleName('Filter')
        self.columns = QPushButton('Columns')
        self.columns.setToolTip('Choose which columns are shown')
        self.save = QPushButton('Save…')
        self.save.setToolTip('Save the rows on show as a CSV file')
        self._lower = QWidget()
        first, second = QHBoxLayout(), QHBoxLayout(self._lower)
        second.setContentsMargins(0, 0, 0, 0)
        first.addWidget(self.place, 1)
        for widget in (self.again, self.choose):
            first.addWidget(widget)
        second.addWidget(self.filter, 1)
        for widget in (self.columns, self.save):
            second.addWidget(widget)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        layout.addLayout(first)
        layout.addWidget(self._lower)
        self.choose.clicked.connect(self._choose)
        self.again.clicked.connect(self.again_wanted)
        self.filter.textChanged.connect(self.filter_changed)
        self.columns.clicked.connect(self.columns_wanted)
        self.save.clicked.connect(self.save_wanted)

    def set_folder(self, folder: str) -> None:
        """Say whose runs are shown."""
        self.place.setToolTip(folder)
        self._elide()

    def offer(self, every: int, shown: int) -> None:
        """Show what can be done with so many runs, of which so many are not filtered away."""
        self._lower.setVisible(every > 0)
        self.save.setEnabled(shown > 0)

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Shorten the folder's name to what there is room for."""
        super().resizeEvent(event)
        self._elide()

    def _elide(self) -> None:
        metrics, room = self.place.fontMetrics(), max(self.place.width() - 12, 60)
        self.place.setText(
            metrics.elidedText(self.place.toolTip(), Qt.TextElideMode.ElideLeft, room)
        )

    def _choose(self) -> None:
        path = QFileDialog.getExistingDirectory(
            self, 'Choose the folder of your runs', self.place.toolTip()
        )
        if path:
            self.folder_chosen.emit(path)
