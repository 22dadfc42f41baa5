"""Fields of the scoring form: the images, their labels, and the table to write.

Images are a folder, files, a DICOMDIR or a list. Labels are the names of sub-folders or in a
table, if there are any; where the choice is unambiguous, it is made automatically.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QFileDialog, QLineEdit, QMenu, QToolButton

from napari_cxr.inference.label_rule import LabelRule
from napari_cxr.plugin.batch import scoring_messages
from napari_cxr.plugin.batch.scoring_messages import join_names
from napari_cxr.plugin.batch.scoring_request import (
    ImageCount,
    folders_matching_classes,
    next_free_table,
)
from napari_cxr.plugin.widgets.form_fields import ValidatedField, field_with_button, more_button
from napari_cxr.plugin.widgets.recent_paths import RecentPaths
from napari_cxr.plugin.widgets.text import ElidedComboBox
from napari_cxr.scoring.scoring_checks import InputSummary
from napari_cxr.scoring.scoring_inputs import LABELS_FROM_FOLDERS

__all__ = [
    'TABLE_FORMATS',
    'ImagesField',
    'LabelsField',
    'TargetField',
    'name_for_images',
    'with_extension',
]

#: Milliseconds after the last key before a typed path that exists is taken.
_TYPING_PAUSE = 600

#: Extensions of lists and tables of paths.
_LIST_ENDINGS = ('.txt', '.csv', '.tsv')

_LISTS = 'Lists and tables of paths (*.txt *.csv *.tsv);;All files (*)'


class ImagesField(ValidatedField):
    """A line for a path, and a menu with everything that can be scored."""

    #: The user has chosen other images.
    chosen = Signal()

    def __init__(self) -> None:
        self.line = QLineEdit()
        self.browse = more_button('Choose what to score')
        super().__init__(field_with_button(self.line, self.browse), reserve=True)
        self._files: tuple[str, ...] = ()  # if more than one; the line shows only their number
        self.line.setPlaceholderText('A folder of radiographs')
        self.line.setToolTip(
            'A folder with its sub-folders, single files, a DICOMDIR, or a list of paths '
            '(text, CSV). You can also drop them here.'
        )
        self.line.setAccessibleName('Images')
        menu = QMenu(self.browse)
        menu.addAction('Folder…', self.choose_folder)
        menu.addAction('Files…', self.choose_files)
        menu.addAction('List or table of paths…', self.choose_list)
        menu.addAction('DICOMDIR…', self.choose_directory)
        self.recent = RecentPaths('batch', menu, self.set_paths)
        self.browse.setMenu(menu)
        self.browse.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.setFocusProxy(self.line)
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(_TYPING_PAUSE)
        self._pause.timeout.connect(self._take_typed)
        self.line.textEdited.connect(self._typed)
        self.line.editingFinished.connect(self._entered)

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths to score."""
        if self._files:
            return self._files
        text = self.line.text().strip()
        return (os.path.abspath(os.path.expanduser(text)),) if text else ()

    @property
    def name(self) -> str:
        """A name for the images: that of their folder, or of the list.

        Never that of a single file, which may identify a patient.
        """
        return name_for_images(self.paths)

    @property
    def to_remember(self) -> str:
        """The path to restore in the next session: a folder or list; empty for single files."""
        text = '' if self._files else str(self.line.text().strip())
        path = Path(text).expanduser()
        return text if text and (path.is_dir() or _is_list(path)) else ''

    def show_paths(self, paths: Sequence[str]) -> None:
        """Show paths without emitting a signal."""
        self._files = tuple(paths) if len(paths) > 1 else ()
        if self._files:
            text = f'{len(paths):,} files in {Path(paths[0]).parent}'
        else:
            text = paths[0] if paths else ''
        self.line.setText(text)
        self.line.setCursorPosition(0)

    def set_paths(self, *paths: str) -> None:
        """Choose the paths to score."""
        self.show_paths(paths)
        self.chosen.emit()

    def show_scan(self, summary: InputSummary | None, count: ImageCount | None) -> None:
        """Show what is wrong with the images, or how many there are."""
        self.show_messages(
            scoring_messages.images_problem(self.paths, summary, count),
            scoring_messages.image_count_text(count),
        )

    def choose_folder(self) -> None:
        """Ask for a folder."""
        path = QFileDialog.getExistingDirectory(
            self, 'Choose a folder of radiographs', self.start_folder
        )
        if path:
            self.set_paths(path)

    def choose_files(self) -> None:
        """Ask for single files."""
        paths, _ = QFileDialog.getOpenFileNames(self, 'Choose radiographs', self.start_folder)
        if paths:
            self.set_paths(*paths)

    def choose_list(self) -> None:
        """Ask for a list or table of paths."""
        path, _ = QFileDialog.getOpenFileName(
            self, 'Choose a list of paths', self.start_folder, _LISTS
        )
        if path:
            self.set_paths(path)

    def choose_directory(self) -> None:
        """Ask for a DICOMDIR."""
        path, _ = QFileDialog.getOpenFileName(self, 'Choose a DICOMDIR', self.start_folder)
        if path:
            self.set_paths(path)

    @property
    def start_folder(self) -> str:
        """Where file dialogs start."""
        if not self.paths:
            return ''
        path = Path(self.paths[0])
        return str(path if path.is_dir() else path.parent)

    def _typed(self) -> None:
        self._files = ()
        self._pause.start()

    def _take_typed(self) -> None:
        """Take a path that exists without Return; any other may still be incomplete."""
        if self.paths and os.path.exists(self.paths[0]):
            self._entered()

    def _entered(self) -> None:
        self._pause.stop()
        if self.line.isModified():
            self.line.setModified(False)
            self.chosen.emit()


def _is_list(path: Path) -> bool:
    """Return whether a path is that of a list of paths, by its name."""
    return path.suffix.lower() in _LIST_ENDINGS or path.name.upper() == 'DICOMDIR'


def name_for_images(paths: Sequence[str]) -> str:
    """Return a name for images: that of their folder, or of the list."""
    if not paths:
        return ''
    path = Path(paths[0])
    if path.suffix.lower() in _LIST_ENDINGS:
        return path.stem
    return path.name if len(paths) == 1 and path.is_dir() else path.parent.name


_TABLE = 'table'

_LABEL_TABLES = 'Tables (*.csv *.tsv);;All files (*)'


class LabelsField(ValidatedField):
    """No labels, the names of sub-folders, or a table; the obvious choice is made by itself."""

    #: Another choice was made.
    changed = Signal()

    def __init__(self) -> None:
        self.kind = ElidedComboBox('Labels of the images, by which the scores can be evaluated')
        self.line = QLineEdit()
        self.browse = more_button('Choose a table of labels')
        self._row = field_with_button(self.line, self.browse)
        super().__init__(self.kind, self._row, reserve=True)
        self._summary: InputSummary | None = None
        self._rule = LabelRule(())
        self._by_user = False
        self.kind.addItem('None', '')
        self.kind.addItem('Names of the sub-folders', LABELS_FROM_FOLDERS)
        self.kind.addItem('A table', _TABLE)
        self.kind.setAccessibleName('Labels')
        self.line.setPlaceholderText('A CSV with the columns path and label')
        self.line.setToolTip(
            'A table (CSV) with the columns path and label, and perhaps patient and source'
        )
        self.line.setAccessibleName('Table of the labels')
        self.setFocusProxy(self.kind)
        self.kind.activated.connect(self._activated)
        self.line.textChanged.connect(self._change)
        self.browse.clicked.connect(self._choose)
        self._change()

    @property
    def value(self) -> str:
        """Empty, 'folders', or the path of a table."""
        if self.kind.currentData() != _TABLE:
            return str(self.kind.currentData())
        text = self.line.text().strip()
        return os.path.abspath(os.path.expanduser(text)) if text else ''

    def show_value(self, labels: str) -> None:
        """Show labels that the user has chosen."""
        kind = labels if labels in ('', LABELS_FROM_FOLDERS) else _TABLE
        self._by_user = True
        self.kind.setCurrentIndex(self.kind.findData(kind))
        self.line.setText(labels if kind == _TABLE else '')
        self._change()

    def reset(self) -> None:
        """Forget the choice, which was made for other images."""
        self._by_user, self._summary = False, None
        self.kind.setCurrentIndex(0)
        self.line.clear()
        self._change()

    def show_scan(self, summary: InputSummary | None, rule: LabelRule) -> None:
        """Take what the scan has found, and the classes of the model."""
        self._summary, self._rule = summary, rule
        if summary is not None and not self._by_user:
            found = LABELS_FROM_FOLDERS if len(self._matching()) > 1 else ''
            self.kind.setCurrentIndex(self.kind.findData(found))
        self._change()

    def _activated(self) -> None:
        self._by_user = True
        known = self._summary.labels_in if self._summary is not None else ''
        if self.kind.currentData() == _TABLE and not self.line.text() and known:
            self.line.setText(known)
        self._change()

    def _choose(self) -> None:
        summary = self._summary
        start = self.line.text() or (summary.paths[0] if summary is not None else '')
        path, _ = QFileDialog.getOpenFileName(
            self, 'Choose a table of labels', start, _LABEL_TABLES
        )
        if path:
            self.line.setText(path)

    def _matching(self) -> list[str]:
        return (
            folders_matching_classes(self._summary.folders, self._rule)
            if self._summary is not None
            else []
        )

    def _change(self) -> None:
        chosen = str(self.kind.currentData())
        self._row.setVisible(chosen == _TABLE)
        labelled = self._summary is not None and self._summary.labelled
        self.kind.setItemText(0, 'From the table' if labelled else 'None')
        wrong = scoring_messages.labels_problem(chosen, self.line.text(), self._summary)
        self.show_messages(wrong, self._found(chosen))
        self.changed.emit()

    def _found(self, chosen: str) -> str:
        """Return which labels were found."""
        summary = self._summary
        if summary is None or chosen == _TABLE:
            return ''
        sentences = []
        found = self._matching()
        if chosen == LABELS_FROM_FOLDERS and found:
            sentences.append(
                f'{join_names(found)} are classes of the model: metrics are computed.'
            )
            others = [folder for folder in summary.folders if folder not in found]
            if others:
                sentences.append(f'The model has no class {join_names(others, "or")}.')
        elif chosen == LABELS_FROM_FOLDERS:
            sentences.append('No sub-folder has the name of a class of the model.')
        elif summary.labelled:
            sentences.append('The table has labels: metrics are computed.')
        if summary.labels_in and not summary.labelled:
            name = Path(summary.labels_in).name
            sentences.append(f'{name} in this folder has labels too. Choose “A table” to use it.')
        return ' '.join(sentences)


#: Formats of a table, for file dialogs.
TABLE_FORMATS = 'CSV (*.csv);;JSON lines (*.jsonl);;Parquet (*.parquet)'

_EXTENSIONS = ('.csv', '.jsonl', '.parquet')

#: Characters of a folder name that are replaced in the name of a table.
_UNUSUAL_CHARACTERS = re.compile(r'[^\w.+-]+')


class TargetField(ValidatedField):
    """A line for the path of the table; it proposes free names.

    Parameters
    ----------
    folder : Path
        Default folder of tables.
    """

    #: The user has chosen another table.
    chosen = Signal()

    def __init__(self, folder: Path) -> None:
        self.line = QLineEdit()
        self.browse = more_button('Choose where the table is written')
        super().__init__(field_with_button(self.line, self.browse), reserve=True)
        self._folder = folder
        self.line.setAccessibleName('Table to write')
        self.line.editingFinished.connect(self._entered)
        self.browse.clicked.connect(self._choose)

    @property
    def path(self) -> str:
        """The path of the table, or empty."""
        text = self.line.text().strip()
        return os.path.abspath(os.path.expanduser(text)) if text else ''

    def show_path(self, path: str) -> None:
        """Show a path without emitting a signal."""
        self.line.setText(path)
        self.line.setCursorPosition(0)

    def propose(self, name: str) -> None:
        """Propose a free path with this name, in the folder of the last table."""
        before = Path(self.path or self._folder / 'scores.csv')
        folder = before.parent if before.parent.is_dir() else self._folder
        plain = _UNUSUAL_CHARACTERS.sub('-', name).strip('-.') or 'scores'
        self.show_path(str(next_free_table(folder, plain, with_extension(before).suffix)))

    def show_scan(self, summary: InputSummary | None) -> None:
        """Show what is wrong with the path, or that the table is unfinished."""
        self.show_messages(
            scoring_messages.table_problem(self.path),
            scoring_messages.table_hint(self.path, summary),
        )
        self.line.setToolTip(
            f'{self.path}\nThe table to write. Its extension gives the format: .csv, .jsonl or '
            '.parquet.'
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
            TABLE_FORMATS,
            options=QFileDialog.Option.DontConfirmOverwrite,  # nothing is ever overwritten
        )
        if path:
            self.show_path(str(with_extension(Path(path))))
            self.chosen.emit()


def with_extension(path: Path) -> Path:
    """Return the path of a table, with .csv added if it has no extension of a table."""
    return path if path.suffix.lower() in _EXTENSIONS else path.with_name(f'{path.name}.csv')
