"""Where the table goes."""

from __future__ import annotations

import os
import re
from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QLineEdit

from napari_cxr.plugin.batch import problems
from napari_cxr.plugin.batch.source import next_table
from napari_cxr.plugin.batch.told_field import ToldField, beside, more_button
from napari_cxr.scoring.looking import Looked

__all__ = ['FORMS', 'TargetField', 'with_ending']

#: Forms of a table, for file dialogs.
FORMS = 'CSV (*.csv);;JSON lines (*.jsonl);;Parquet (*.parquet)'
_ENDINGS = ('.csv', '.jsonl', '.parquet')
#: What of a name does not go into the name of a table.
_ODD = re.compile(r'[^\w.+-]+')


class TargetField(ToldField):
    """A line with the table's path; it proposes names that are not taken.

    Parameters
    ----------
    folder : Path
        Where tables are kept.
    """

    #: The person has chosen another table.
    chosen = Signal()

    def __init__(self, folder: Path) -> None:
        self.line = QLineEdit()
        self.browse = more_button('Choose where the table is written')
        super().__init__(beside(self.line, self.browse))
        self._folder = folder
        self.line.setAccessibleName('Table to write')
        self.line.editingFinished.connect(self._entered)
        self.browse.clicked.connect(self._choose)

    @property
    def path(self) -> str:
        """The table, or empty."""
        text = self.line.text().strip()
        return os.path.abspath(os.path.expanduser(text)) if text else ''

    def show_path(self, path: str) -> None:
        """Show a table, without saying so to anyone."""
        self.line.setText(path)
        self.line.setCursorPosition(0)

    def propose(self, name: str) -> None:
        """Propose a table of this name that is not there yet, where the last one was."""
        before = Path(self.path or self._folder / 'scores.csv')
        folder = before.parent if before.parent.is_dir() else self._folder
        plain = _ODD.sub('-', name).strip('-.') or 'scores'
        self.show_path(str(next_table(folder, plain, with_ending(before).suffix)))

    def show_look(self, looked: Looked | None) -> None:
        """Say what is wrong with it, or that it was begun."""
        self.tell(problems.of_out(self.path), problems.about_out(self.path, looked))
        self.line.setToolTip(
            f'{self.path}\nThe table that is written. Its ending .csv, .jsonl or .parquet says '
            'in which form.'
        )

    def _entered(self) -> None:
        if self.line.isModified():
            self.line.setModified(False)
            self.chosen.emit()

    def _choose(self) -> None:
        path, _ = QFileDialog.getSaveFileName(
            self,
            'Choose where the table is written',
            self.path,
            FORMS,
            options=QFileDialog.Option.DontConfirmOverwrite,  # nothing is ever overwritten
        )
        if path:
            self.show_path(str(with_ending(Path(path))))
            self.chosen.emit()


def with_ending(path: Path) -> Path:
    """Return a table's path with an ending that says its form."""
    return path if path.suffix.lower() in _ENDINGS else path.with_name(f'{path.name}.csv')
