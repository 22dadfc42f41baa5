"""Opening and saving tables: the file dialogs of the Batch dock, and its button to reopen one.

The button offers the table that was open when napari was closed.
"""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QFileDialog, QPushButton, QWidget

from napari_cxr.plugin.batch import scoring_messages
from napari_cxr.plugin.batch.input_fields import TABLE_FORMATS, with_extension
from napari_cxr.plugin.batch.scoring_messages import is_unfinished

__all__ = ['ReopenButton', 'ask_open_table', 'ask_save_table_as']

_TABLES = 'Tables of scores (*.csv *.jsonl *.parquet *.journal);;All files (*)'


def ask_open_table(parent: QWidget, near: str) -> str:
    """Return a table that was made earlier, of the folder of another to begin with; or empty."""
    title = 'Open a table of scores'
    return str(QFileDialog.getOpenFileName(parent, title, str(Path(near).parent), _TABLES)[0])


def ask_save_table_as(parent: QWidget, table: str, done: int) -> tuple[str, str]:
    """Ask under which name a table shall be written again.

    Parameters
    ----------
    parent : QWidget
        What asks.
    table : str
        The table.
    done : int
        Rows that are done.

    Returns
    -------
    tuple of str
        The name, or empty; and why one that was chosen cannot be had, or empty.
    """
    proposed, title = Path(table), 'Save the table'
    if is_unfinished(table):  # its name shall say so too
        proposed = proposed.with_name(f'{proposed.stem}-part{proposed.suffix}')
        title = f'Save the {scoring_messages.row_count_text(done)} that are done'
    path, _ = QFileDialog.getSaveFileName(parent, title, str(proposed), TABLE_FORMATS)
    if not path:
        return '', ''
    whole = with_extension(Path(path))
    if whole != Path(path) and (whole.exists() or is_unfinished(str(whole))):
        # The file dialog has asked about the name without the ending.
        return '', (
            f'There is a {whole.name} already, so nothing was saved. Choose another name, or '
            'type this one with its ending to replace it.'
        )
    return str(whole), ''


#: Pixels beside its words.
_BESIDE = 16


class ReopenButton(QPushButton):
    """A button that names a table; hidden while there is none.

    Parameters
    ----------
    parent : QWidget, optional
        Qt parent.
    """

    #: The table that shall be opened.
    wanted = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._table = ''
        self.setMinimumHeight(28)
        self.clicked.connect(lambda: self.wanted.emit(self._table))
        self.offer('')

    def offer(self, table: str) -> None:
        """Offer to open a table, finished or not; one that is gone, or empty, is not offered."""
        there = bool(table) and (Path(table).is_file() or is_unfinished(table))
        self._table = table if there else ''
        words = f'Open {Path(table).name} again'
        self.setAccessibleName(words)
        self.setToolTip(f'The table that was on show last:\n{table}')
        self._fit()
        self.setVisible(there)

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Shorten the name where there is no room for it."""
        super().resizeEvent(event)
        self._fit()

    def minimumSizeHint(self) -> QSize:
        """Return the height that it needs, and no width: a name can be long."""
        return QSize(0, super().minimumSizeHint().height())

    def _fit(self) -> None:
        self.setText(
            self.fontMetrics().elidedText(
                self.accessibleName(), Qt.TextElideMode.ElideMiddle, self.width() - _BESIDE
            )
        )
