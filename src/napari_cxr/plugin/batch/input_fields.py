"""Fields of the scoring form: the images, their labels, and the table to write.

Images are a folder, files, a DICOMDIR or a list; labels are none, the names of sub-folders, or a
table. An unambiguous choice of labels is made automatically.
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
from napari_cxr.plugin.batch.input_scan import (
    ImageCount,
    folders_matching_classes,
    next_free_table,
)
from napari_cxr.plugin.batch.scoring_messages import join_names
from napari_cxr.plugin.widgets.form_field import ValidatedField, field_with_button, more_button
from napari_cxr.plugin.widgets.text import ElidedComboBox
from napari_cxr.scoring.input_summary import InputSummary
from napari_cxr.scoring.scoring_inputs import LABELS_FROM_FOLDERS

__all__ = [
    'TABLE_FORMATS',
    'ImagesField',
    'LabelsField',
    'TargetField',
    'name_for_images',
    'with_extension',
]

#: Milliseconds without a key before what was typed is taken, if there is such a thing.
_TYPING_PAUSE = 600

#: Endings of lists and tables of paths.
_LIST_ENDINGS = ('.txt', '.csv', '.tsv')

_LISTS = 'Lists and tables of paths (*.txt *.csv *.tsv);;All files (*)'


class ImagesField(ValidatedField):
    """A line with a path, and a menu for what else can be scored."""

    #: The person has chosen others.
    chosen = Signal()

    def __init__(self) -> None:
        self.line = QLineEdit()
        self.browse = more_button('Choose what to score')
        super().__init__(field_with_button(self.line, self.browse))
        self._files: tuple[str, ...] = ()  # several, of which the line tells only how many
        self.line.setPlaceholderText('A folder of radiographs')
        self.line.setToolTip(
            'A folder with all that is in it, single files, a DICOMDIR, or a list of paths '
            '(text, CSV). You can also drop it here.'
        )
        self.line.setAccessibleName('Images')
        menu = QMenu(self.browse)
        menu.addAction('Folder…', self.choose_folder)
        menu.addAction('Files…', self.choose_files)
        menu.addAction('List or table of paths…', self.choose_list)
        menu.addAction('DICOMDIR…', self.choose_directory)
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
        """What shall be scored."""
        if self._files:
            return self._files
        text = self.line.text().strip()
        return (os.path.abspath(os.path.expanduser(text)),) if text else ()

    @property
    def name(self) -> str:
        """What they are called: after the folder, also that of single files, or after a list.

        Names of files may say who is on them.
        """
        return name_for_images(self.paths)

    @property
    def to_remember(self) -> str:
        """The line for the next session: a folder or a list; empty for single files."""
        text = '' if self._files else str(self.line.text().strip())
        path = Path(text).expanduser()
        return text if text and (path.is_dir() or _is_list(path)) else ''

    def show_paths(self, paths: Sequence[str]) -> None:
        """Show what shall be scored, without saying so to anyone."""
        self._files = tuple(paths) if len(paths) > 1 else ()
        if self._files:
            text = f'{len(paths):,} files in {Path(paths[0]).parent}'
        else:
            text = paths[0] if paths else ''
        self.line.setText(text)
        self.line.setCursorPosition(0)

    def set_paths(self, *paths: str) -> None:
        """Choose what shall be scored."""
        self.show_paths(paths)
        self.chosen.emit()

    def show_look(self, looked: InputSummary | None, counted: ImageCount | None) -> None:
        """Say what is wrong with it, or how many images there are."""
        self.tell(
            scoring_messages.images_problem(self.paths, looked, counted),
            scoring_messages.image_count_text(counted),
        )

    def choose_folder(self) -> None:
        """Ask for a folder."""
        path = QFileDialog.getExistingDirectory(self, 'Choose a folder of radiographs', self.place)
        if path:
            self.set_paths(path)

    def choose_files(self) -> None:
        """Ask for single files."""
        paths, _ = QFileDialog.getOpenFileNames(self, 'Choose radiographs', self.place)
        if paths:
            self.set_paths(*paths)

    def choose_list(self) -> None:
        """Ask for a list or table of paths."""
        path, _ = QFileDialog.getOpenFileName(self, 'Choose a list of paths', self.place, _LISTS)
        if path:
            self.set_paths(path)

    def choose_directory(self) -> None:
        """Ask for a DICOMDIR."""
        path, _ = QFileDialog.getOpenFileName(self, 'Choose a DICOMDIR', self.place)
        if path:
            self.set_paths(path)

    @property
    def place(self) -> str:
        """Where file dialogs begin."""
        if not self.paths:
            return ''
        path = Path(self.paths[0])
        return str(path if path.is_dir() else path.parent)

    def _typed(self) -> None:
        self._files = ()
        self._pause.start()

    def _take_typed(self) -> None:
        """Take what is there without a Return; what is not there may be typed on."""
        if self.paths and os.path.exists(self.paths[0]):
            self._entered()

    def _entered(self) -> None:
        self._pause.stop()
        if self.line.isModified():
            self.line.setModified(False)
            self.chosen.emit()


def _is_list(path: Path) -> bool:
    """Return whether a path is of a list of others, by its name."""
    return path.suffix.lower() in _LIST_ENDINGS or path.name.upper() == 'DICOMDIR'


def name_for_images(paths: Sequence[str]) -> str:
    """Return what images are called: after the folder, also that of single files, or a list."""
    if not paths:
        return ''
    path = Path(paths[0])
    if path.suffix.lower() in _LIST_ENDINGS:
        return path.stem
    return path.name if len(paths) == 1 and path.is_dir() else path.parent.name


_TABLE = 'table'

_LABEL_TABLES = 'Tables (*.csv *.tsv);;All files (*)'


class LabelsField(ValidatedField):
    """None, the names of sub-folders, or a table; what is plain is chosen by itself."""

    #: Other labels were chosen.
    changed = Signal()

    def __init__(self) -> None:
        self.kind = ElidedComboBox('What the images are, so that the scores can be measured')
        self.line = QLineEdit()
        self.browse = more_button('Choose a table of labels')
        self._row = field_with_button(self.line, self.browse)
        super().__init__(self.kind, self._row)
        self._looked: InputSummary | None = None
        self._rule = LabelRule(())
        self._by_person = False
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
        """Empty, 'folders', or a table."""
        if self.kind.currentData() != _TABLE:
            return str(self.kind.currentData())
        text = self.line.text().strip()
        return os.path.abspath(os.path.expanduser(text)) if text else ''

    def show_value(self, labels: str) -> None:
        """Show labels as a person has chosen them."""
        kind = labels if labels in ('', LABELS_FROM_FOLDERS) else _TABLE
        self._by_person = True
        self.kind.setCurrentIndex(self.kind.findData(kind))
        self.line.setText(labels if kind == _TABLE else '')
        self._change()

    def forget(self) -> None:
        """Other images: what a person has chosen was for the others."""
        self._by_person, self._looked = False, None
        self.kind.setCurrentIndex(0)
        self.line.clear()
        self._change()

    def take_look(self, looked: InputSummary | None, rule: LabelRule) -> None:
        """Take what was found in the images, and which labels the model can give."""
        self._looked, self._rule = looked, rule
        if looked is not None and not self._by_person:
            found = LABELS_FROM_FOLDERS if len(self._matching()) > 1 else ''
            self.kind.setCurrentIndex(self.kind.findData(found))
        self._change()

    def _activated(self) -> None:
        self._by_person = True
        known = self._looked.labels_in if self._looked is not None else ''
        if self.kind.currentData() == _TABLE and not self.line.text() and known:
            self.line.setText(known)
        self._change()

    def _choose(self) -> None:
        looked = self._looked
        start = self.line.text() or (looked.paths[0] if looked is not None else '')
        path, _ = QFileDialog.getOpenFileName(
            self, 'Choose a table of labels', start, _LABEL_TABLES
        )
        if path:
            self.line.setText(path)

    def _matching(self) -> list[str]:
        return (
            folders_matching_classes(self._looked.folders, self._rule)
            if self._looked is not None
            else []
        )

    def _change(self) -> None:
        chosen = str(self.kind.currentData())
        self._row.setVisible(chosen == _TABLE)
        labelled = self._looked is not None and self._looked.labelled
        self.kind.setItemText(0, 'Those of the table' if labelled else 'None')
        wrong = scoring_messages.labels_problem(chosen, self.line.text(), self._looked)
        self.tell(wrong, self._found(chosen))
        self.changed.emit()

    def _found(self, chosen: str) -> str:
        """Say which labels were found."""
        looked = self._looked
        if looked is None or chosen == _TABLE:
            return ''
        words = []
        found = self._matching()
        if chosen == LABELS_FROM_FOLDERS and found:
            words.append(f'{join_names(found)}: classes of the model, so figures will be shown.')
            others = [folder for folder in looked.folders if folder not in found]
            if others:
                words.append(f'The model has no class {join_names(others, "or")}: not measured.')
        elif chosen == LABELS_FROM_FOLDERS:
            words.append('No sub-folder is called as a class of the model.')
        elif looked.labelled:
            words.append('The table gives labels, so figures will be shown.')
        if looked.labels_in and not looked.labelled:
            name = Path(looked.labels_in).name
            words.append(f'{name} in this folder has labels too: choose “A table” to use it.')
        return ' '.join(words)


#: Forms of a table, for file dialogs.
TABLE_FORMATS = 'CSV (*.csv);;JSON lines (*.jsonl);;Parquet (*.parquet)'

_EXTENSIONS = ('.csv', '.jsonl', '.parquet')

#: What of a name does not go into the name of a table.
_UNUSUAL_CHARACTERS = re.compile(r'[^\w.+-]+')


class TargetField(ValidatedField):
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
        super().__init__(field_with_button(self.line, self.browse))
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
        plain = _UNUSUAL_CHARACTERS.sub('-', name).strip('-.') or 'scores'
        self.show_path(str(next_free_table(folder, plain, with_extension(before).suffix)))

    def show_look(self, looked: InputSummary | None) -> None:
        """Say what is wrong with it, or that it was begun."""
        self.tell(
            scoring_messages.table_problem(self.path),
            scoring_messages.table_hint(self.path, looked),
        )
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
            TABLE_FORMATS,
            options=QFileDialog.Option.DontConfirmOverwrite,  # nothing is ever overwritten
        )
        if path:
            self.show_path(str(with_extension(Path(path))))
            self.chosen.emit()


def with_extension(path: Path) -> Path:
    """Return a table's path with an ending that says its form."""
    return path if path.suffix.lower() in _EXTENSIONS else path.with_name(f'{path.name}.csv')
