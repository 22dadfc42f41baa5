"""Which images to score: a folder, files, a DICOMDIR, or a list."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QFileDialog, QLineEdit, QMenu, QToolButton

from napari_cxr.plugin.batch import problems
from napari_cxr.plugin.batch.counting import Counted
from napari_cxr.plugin.batch.told_field import ToldField, beside, more_button
from napari_cxr.scoring.looking import Looked

__all__ = ['ImagesField', 'name_of']

#: Milliseconds without a key before what was typed is taken, if there is such a thing.
_PAUSE = 600
#: Endings of lists and tables of paths.
_LIST_ENDINGS = ('.txt', '.csv', '.tsv')
_LISTS = 'Lists and tables of paths (*.txt *.csv *.tsv);;All files (*)'


class ImagesField(ToldField):
    """A line with a path, and a menu for what else can be scored."""

    #: The person has chosen others.
    chosen = Signal()

    def __init__(self) -> None:
        self.line = QLineEdit()
        self.browse = more_button('Choose what to score')
        super().__init__(beside(self.line, self.browse))
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
        self._pause.setInterval(_PAUSE)
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
        return name_of(self.paths)

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

    def show_look(self, looked: Looked | None, counted: Counted | None) -> None:
        """Say what is wrong with it, or how many images there are."""
        self.tell(problems.of_source(self.paths, looked, counted), problems.about_source(counted))

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


def name_of(paths: Sequence[str]) -> str:
    """Return what images are called: after the folder, also that of single files, or a list."""
    if not paths:
        return ''
    path = Path(paths[0])
    if path.suffix.lower() in _LIST_ENDINGS:
        return path.stem
    return path.name if len(paths) == 1 and path.is_dir() else path.parent.name
