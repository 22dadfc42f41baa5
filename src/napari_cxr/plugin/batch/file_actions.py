"""File dialogs of the Batch dock, and its button to reopen the table of the last session."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QFileDialog, QPushButton, QWidget

from napari_cxr.plugin.batch import scoring_messages
from napari_cxr.plugin.batch.input_fields import TABLE_FORMATS, with_extension
from napari_cxr.plugin.batch.scoring_messages import is_unfinished
from napari_cxr.plugin.widgets.text import plain_tip

__all__ = ['ReopenButton', 'ask_open_table', 'ask_save_table_as']

_TABLES = 'Tables of scores (*.csv *.jsonl *.parquet *.journal);;All files (*)'


def ask_open_table(parent: QWidget, near: str) -> str:
    """Ask for an existing table, starting in the folder of another; empty if cancelled."""
    title = 'Open a table of scores'
    return str(QFileDialog.getOpenFileName(parent, title, str(Path(near).parent), _TABLES)[0])


def ask_save_table_as(parent: QWidget, table: str, done: int) -> tuple[str, str]:
    """Ask for the name of a copy of a table.

    Parameters
    ----------
    parent : QWidget
        Parent of the dialog.
    table : str
        The table.
    done : int
        Rows that are done.

    Returns
    -------
    tuple of str
        The path, empty if cancelled; and why the chosen path was refused, or empty.
    """
    proposed, title = Path(table), 'Save the table'
    if is_unfinished(table):  # the name should say so
        proposed = proposed.with_name(f'{proposed.stem}-part{proposed.suffix}')
        title = f'Save the {scoring_messages.row_count_text(done)} that are done'
    path, _ = QFileDialog.getSaveFileName(parent, title, str(proposed), TABLE_FORMATS)
    if not path:
        return '', ''
    full_path = with_extension(Path(path))
    if full_path != Path(path) and (full_path.exists() or is_unfinished(str(full_path))):
        # The file dialog has asked about the name without the extension.
        return '', (
            f'{full_path.name} already exists, so nothing was saved. Choose another name, or '
            'type this one with its extension to replace it.'
        )
    return str(full_path), ''


#: Horizontal padding of the text, in pixels.
_BESIDE = 16


class ReopenButton(QPushButton):
    """A button that offers to reopen a table; hidden while there is none.

    Parameters
    ----------
    parent : QWidget, optional
        Qt parent.
    """

    #: Path of the table to open.
    wanted = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._table = ''
        self.setMinimumHeight(28)
        self.clicked.connect(lambda: self.wanted.emit(self._table))
        self.offer('')

    def offer(self, table: str) -> None:
        """Offer a table, finished or not; nothing is offered if the path is empty or missing."""
        there = bool(table) and (Path(table).is_file() or is_unfinished(table))
        self._table = table if there else ''
        self.setAccessibleName(f'Reopen {Path(table).name}')
        self.setToolTip(plain_tip(f'The table that was open last:\n{table}'))
        self._fit()
        self.setVisible(there)

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Elide the name where it does not fit."""
        super().resizeEvent(event)
        self._fit()

    def minimumSizeHint(self) -> QSize:
        """Return the height it needs, and no width: names can be long."""
        return QSize(0, super().minimumSizeHint().height())

    def _fit(self) -> None:
        self.setText(
            self.fontMetrics().elidedText(
                self.accessibleName(), Qt.TextElideMode.ElideMiddle, self.width() - _BESIDE
            )
        )
