"""Which table is opened, and where one is saved: what the Batch dock asks in file dialogs."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QWidget

from napari_cxr.plugin.batch import words
from napari_cxr.plugin.batch.problems import is_begun
from napari_cxr.plugin.batch.target import FORMS, with_ending

__all__ = ['ask_for_copy', 'ask_for_table']

_TABLES = 'Tables of scores (*.csv *.jsonl *.parquet *.journal);;All files (*)'


def ask_for_table(parent: QWidget, near: str) -> str:
    """Return a table that was made earlier, of the folder of another to begin with; or empty."""
    title = 'Open a table of scores'
    return str(QFileDialog.getOpenFileName(parent, title, str(Path(near).parent), _TABLES)[0])


def ask_for_copy(parent: QWidget, table: str, done: int) -> tuple[str, str]:
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
    if is_begun(table):  # its name shall say so too
        proposed = proposed.with_name(f'{proposed.stem}-part{proposed.suffix}')
        title = f'Save the {words.rows(done)} that are done'
    path, _ = QFileDialog.getSaveFileName(parent, title, str(proposed), FORMS)
    if not path:
        return '', ''
    whole = with_ending(Path(path))
    if whole != Path(path) and (whole.exists() or is_begun(str(whole))):
        # The file dialog has asked about the name without the ending.
        return '', (
            f'There is a {whole.name} already, so nothing was saved. Choose another name, or '
            'type this one with its ending to replace it.'
        )
    return str(whole), ''
