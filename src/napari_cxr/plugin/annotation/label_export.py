"""Labels on disk: opening those of a table, offering earlier ones, and exporting them.

All of that runs in the background. A menu offers the formats; a message reports the export and
opens it in the Train dock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QMenu, QToolButton, QVBoxLayout, QWidget

from napari_cxr.plugin.annotation.annotation_controls import push_button, tool_button
from napari_cxr.plugin.background import Failure, Job, JobCancelled
from napari_cxr.plugin.score_table.table_actions import show_folder
from napari_cxr.plugin.style import quiet_label
from napari_cxr.plugin.widgets.text import plain_tip
from napari_cxr.scoring.annotation import Annotation
from napari_cxr.scoring.annotation.csv_export import ExportResult, count_text, export_csv
from napari_cxr.scoring.annotation.folder_export import export_folders
from napari_cxr.scoring.annotation.readers import UNNAMED, Reader, labels_path_of
from napari_cxr.scoring.annotation.reading_list import ReadingList
from napari_cxr.scoring.score_row import ScoreRow, ScoringRun

__all__ = [
    'EarlierLabelsOffer',
    'ExportMenu',
    'ExportMessage',
    'export_labels',
    'open_labels',
]

#: Seconds between two checks whether a list has been closed.
_POLL = 0.2


def open_labels(
    table: str,
    labels: Sequence[str],
    changed: Callable[[], None],
    before: Sequence[ReadingList] = (),
    reader: Reader = UNNAMED,
) -> Job[ReadingList | Failure]:
    """Open the labels of a table; a job for `run_job`.

    Parameters
    ----------
    table, labels, changed
        As `ReadingList.open` takes them; `changed` is called in another thread.
    before : sequence of ReadingList
        Lists that are being closed; that of this table and reader must be closed first.
    reader : Reader
        Whose labels they are.
    """
    for reading in before:
        while reading.path == labels_path_of(table, reader) and not reading.closed:
            time.sleep(_POLL)
            yield None
            if reading.problem:
                return Failure(
                    'Your previous labels are not saved yet: '
                    f'{reading.path} cannot be written ({reading.problem}). Free some disk '
                    'space or reconnect the drive, and open the table again.',
                    '',
                )
    opened = ReadingList.open(table, labels, later=changed, reader=reader)
    try:
        yield None
    except JobCancelled:
        opened.close()  # nobody will take it
        raise
    return opened


def export_labels(
    form: str,
    out: str,
    rows: Sequence[ScoreRow],
    entries: Mapping[str, Annotation],
    run: ScoringRun,
    table: str,
) -> Job[tuple[ExportResult, bool]]:
    """Export labels; a job for `run_job`, which yields the fraction that is done.

    It returns the result, and whether the Train dock can open it.

    Parameters
    ----------
    form : {'csv', 'all', 'folders'}
        A table for training, a table of all annotations, or a folder for each class.
    out : str
        Path of the table or folder.
    rows, entries, run, table
        As `napari_cxr.scoring.annotation.csv_export.export_csv` takes them.
    """
    if form == 'folders':
        result = yield from export_folders(out, rows, entries, run, table)
    else:
        everything = form == 'all'
        result = yield from export_csv(out, rows, entries, run, table, everything=everything)
    return result, form != 'all'


class EarlierLabelsOffer(QWidget):
    """Offers the labels of other tables; hidden while there are none.

    Parameters
    ----------
    parent : QWidget, optional
        Qt parent.
    """

    #: They are to be taken over.
    wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._tables: Mapping[str, str] = {}
        self.label = quiet_label()
        self.label.setIndent(0)
        self.button = push_button('Use these labels', 'Take your earlier labels and notes over')
        self.button.clicked.connect(self.wanted)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.label)
        layout.addWidget(self.button)
        self.hide()

    def set_tables(self, tables: Mapping[str, str]) -> None:
        """Set the name of the table that has the label of each image, by its path."""
        self._tables = tables

    def offer(self, paths: Sequence[str]) -> None:
        """Offer the labels of these images."""
        self.setVisible(bool(paths))
        if paths:
            names = sorted({self._tables[path] for path in paths})
            images = 'image has' if len(paths) == 1 else 'images have'
            tables = names[0] if len(names) == 1 else f'{len(names)} other tables'
            self.label.setText(f'{len(paths):,} {images} labels or notes in {tables}.')
            self.label.setToolTip('\n'.join(names))


_EXPORT_FORMATS = {
    'csv': (
        'CSV for training…',
        'The labelled images, as a table that the Train dock can open',
    ),
    'folders': (
        'Folders for training…',
        'A folder for each class with links to its images, which the Train dock can open',
    ),
    'all': (
        'CSV of all annotations…',
        'Includes images marked as unsure or not usable, and those that only have a note',
    ),
    'readers': (
        'CSV of all readers…',
        'A row for each image and reader, and beside it how far the readers agree, as JSON',
    ),
}


class ExportMenu(QToolButton):
    """A button with the formats in which labels can be exported."""

    #: Labels are to be exported: 'csv', 'folders', 'all' or 'readers'.
    wanted = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        button = tool_button('Export ▾', 'Export the labels, for training or for review', 'Export')
        self.setText(button.text())
        self.setToolTip(button.toolTip())
        self.setAccessibleName(button.accessibleName())
        self.setObjectName(button.objectName())
        self.setFocusPolicy(button.focusPolicy())
        self.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.forms = QMenu(self)
        self.forms.setToolTipsVisible(True)
        for form, (text, tip) in _EXPORT_FORMATS.items():
            action = self.forms.addAction(text)
            assert action is not None
            action.setToolTip(tip)
            action.setData(form)
        self.forms.triggered.connect(lambda action: self.wanted.emit(action.data()))
        self.setMenu(self.forms)


class ExportMessage(QWidget):
    """What was exported and where, with a button to open it in the Train dock.

    Parameters
    ----------
    parent : QWidget, optional
        Qt parent.
    """

    #: An `ExportResult` is to be opened in the Train dock.
    train_wanted = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._saved: ExportResult | None = None
        self.label = quiet_label()
        self.label.setIndent(0)
        self.train = push_button('Open in Train', 'Train a model with these labels')
        self.folder = push_button('Open folder', 'Show the folder that contains them')
        self.dismiss = tool_button('✕', 'Dismiss', 'Dismiss')
        first, second = QHBoxLayout(), QHBoxLayout()
        first.addWidget(self.label, 1)
        first.addWidget(self.dismiss, 0, Qt.AlignmentFlag.AlignTop)
        for button in (self.train, self.folder):
            button.setStyleSheet('padding: 4px 10px;')
            second.addWidget(button)
        second.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for line in (first, second):
            line.setSpacing(6)
            layout.addLayout(line)
        layout.setSpacing(4)
        self.train.clicked.connect(lambda: self.train_wanted.emit(self._saved))
        self.folder.clicked.connect(lambda: show_folder(self._saved.path if self._saved else ''))
        self.dismiss.clicked.connect(self.clear)
        self.clear()

    def show_saved(self, saved: ExportResult, trainable: bool) -> None:
        """Show what was exported.

        Parameters
        ----------
        saved : ExportResult
            What was exported.
        trainable : bool
            Whether the Train dock can open it.
        """
        self._saved = saved
        path = Path(saved.path)
        images, folder = count_text(saved.images, 'image'), path.parent.name or path.parent
        text = f'Saved {images} as {path.name} in {folder}.'
        self.label.setText(' '.join([text, *saved.remarks]))
        self.label.setToolTip(plain_tip(saved.path))
        self.train.setVisible(trainable)
        self.show()

    def clear(self) -> None:
        """Hide the message."""
        self._saved = None
        self.label.clear()
        self.hide()
