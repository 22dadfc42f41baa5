"""Who reads a table, and how: the line that says it, and the dialog that changes it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QHBoxLayout,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_cxr.plugin.annotation.annotation_controls import tool_button
from napari_cxr.plugin.preferences import preferences, save_preferences
from napari_cxr.plugin.style import quiet_label
from napari_cxr.plugin.widgets.text import ElidedLine, duration_text
from napari_cxr.scoring.annotation.agreement import Reading
from napari_cxr.scoring.annotation.agreement_text import PAUSE_DAYS
from napari_cxr.scoring.annotation.csv_export import count_text
from napari_cxr.scoring.annotation.readers import (
    LONGEST_NAME,
    UNNAMED,
    Reader,
    reader_from_dict,
)
from napari_cxr.settings_file import parse_json

__all__ = [
    'ReaderDialog',
    'ReaderLine',
    'ReadingChoice',
    'remember_choice',
    'remembered_choice',
]


@dataclass(frozen=True)
class ReadingChoice:
    """Who reads a table, and how.

    Parameters
    ----------
    reader : Reader
        Who, and for the how many-th time.
    blinded : bool
        Whether what is known of the images is hidden, and their order is random.
    reveals_after : bool
        Whether the model's answer is shown after that of the reader.
    """

    reader: Reader = UNNAMED
    blinded: bool = False
    reveals_after: bool = True


def remembered_choice(table: str) -> ReadingChoice:
    """Return who read a table last; of another table, the same person for the first time.

    A blinded reading goes on blinded on another day; another table is not begun so by itself.
    """
    remembered = preferences('batch')
    try:
        found = parse_json(remembered.reader) if remembered.reader else {}
        reader = reader_from_dict(found)
        if found.get('table') == table:
            return ReadingChoice(reader, bool(found['blinded']), bool(found['reveals_after']))
    except (ValueError, TypeError, KeyError, AttributeError):
        return ReadingChoice()
    return ReadingChoice() if reader.is_consensus else ReadingChoice(Reader(reader.name))


def remember_choice(table: str, choice: ReadingChoice) -> None:
    """Keep who reads a table, for the next session."""
    found = {
        **choice.reader.to_dict(),
        'table': table,
        'blinded': choice.blinded,
        'reveals_after': choice.reveals_after,
    }
    save_preferences('batch', reader=json.dumps(found))


class ReaderLine(QWidget):
    """Who reads, and a button to change that.

    Parameters
    ----------
    more : QWidget
        Widget at the end of the line.
    parent : QWidget, optional
        Qt parent.
    """

    #: Another reader is wanted.
    wanted = Signal()

    def __init__(self, more: QWidget, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.text = ElidedLine()
        self.button = tool_button(
            'Reader…', 'Choose who reads, and whether blinded', 'Choose the reader'
        )
        self.button.clicked.connect(self.wanted)
        line = QHBoxLayout(self)
        line.setContentsMargins(0, 0, 0, 0)
        line.addWidget(self.text, 1)
        line.addWidget(self.button)
        line.addWidget(more)
        self.show_reader(Reader(), False)

    def show_reader(self, reader: Reader, blinded: bool) -> None:
        """Show who reads, and whether blinded."""
        if reader.is_consensus:
            self.text.show_text('Consensus of all readers')
        else:
            name = reader.title if reader.name else 'No reader chosen'
            self.text.show_text(f'{name}, blinded' if blinded else name)


_BLINDED = (
    'Blinded: the model’s answer, the heatmap, names of files and all other labels are hidden, '
    'and the images come in a random order of your own.'
)
_NO_NAME = 'Choose a name to compare your labels with those of other readers.'


class ReaderDialog(QDialog):
    """Asks who reads, for the how many-th time, and whether blinded.

    Parameters
    ----------
    choice : ReadingChoice
        What is chosen now.
    readings : sequence of Reading
        Of all readers of the table.
    images : int
        Images of the table.
    parent : QWidget, optional
        Qt parent.
    """

    #: A `ReadingChoice` was made.
    chosen = Signal(object)

    def __init__(
        self,
        choice: ReadingChoice,
        readings: Sequence[Reading],
        images: int,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle('Who reads')
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._readings = [each for each in readings if not each.reader.is_consensus]
        self._images = images
        self.name = QComboBox()
        self.name.setEditable(True)
        self.name.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        names = {each.reader.name.casefold(): each.reader.name for each in self._readings}
        self.name.addItems([name for name in names.values() if name])
        if (edit := self.name.lineEdit()) is not None:
            edit.setMaxLength(LONGEST_NAME)
            edit.setPlaceholderText('Your name or initials')
        self.name.setCurrentText('' if choice.reader.is_consensus else choice.reader.name)
        self.name.setAccessibleName('Name of the reader')
        self.reading = QComboBox()
        self.reading.setAccessibleName('First or second reading')
        self.blinded = QCheckBox('Blinded')
        self.blinded.setChecked(choice.blinded)
        self.blinded.setToolTip(_BLINDED)
        self.reveals_after = QCheckBox('Show the model’s answer after mine')
        self.reveals_after.setChecked(choice.reveals_after)
        self.about = quiet_label()
        self.about.setIndent(0)
        self.buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel
        )
        ok = self.buttons.button(QDialogButtonBox.StandardButton.Ok)
        assert ok is not None
        ok.setText('Read')
        self.read: QPushButton = ok
        form = QFormLayout()
        form.addRow('Name', self.name)
        form.addRow('Reading', self.reading)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        for part in (self.blinded, self.reveals_after, self.about):
            layout.addWidget(part)
        layout.addStretch(1)
        layout.addWidget(self.buttons)
        self.name.currentTextChanged.connect(self._show_name)
        self.reading.currentIndexChanged.connect(self._show)
        self.blinded.toggled.connect(self._show)
        self.buttons.accepted.connect(self._accept)
        self.buttons.rejected.connect(self.reject)
        self._show_name()
        self.reading.setCurrentIndex(max(self.reading.findData(choice.reader.reading), 0))
        self._show()

    def sizeHint(self) -> QSize:
        """Return a width at which the sentences have a few lines."""
        return QSize(380, super().sizeHint().height() + 60)

    @property
    def choice(self) -> ReadingChoice | None:
        """What is chosen; None while the name is not valid."""
        try:
            reader = Reader(self.name.currentText(), self.reading.currentData() or 1)
        except ValueError:
            return None
        return ReadingChoice(reader, self.blinded.isChecked(), self.reveals_after.isChecked())

    def _of_name(self) -> dict[int, Reading]:
        """Return the readings of the person whose name is chosen, by their number."""
        name = ' '.join(self.name.currentText().split()).casefold()
        return {
            each.reader.reading: each
            for each in self._readings
            if each.reader.name.casefold() == name
        }

    def _show_name(self) -> None:
        """Offer the readings of the person: those that there are, and a new one."""
        there = self._of_name()
        numbers = sorted({1, *there})
        if there.get(numbers[-1]) is not None and there[numbers[-1]].counts.read:
            numbers.append(numbers[-1] + 1)
        before = self.reading.currentData()
        self.reading.blockSignals(True)
        self.reading.clear()
        for number in numbers:
            reading = there.get(number)
            read = reading.counts.read if reading is not None else 0
            done = f'{read:,} of {self._images:,} labelled' if read else 'new'
            self.reading.addItem(f'{number}: {done}', number)
        self.reading.setCurrentIndex(max(self.reading.findData(before), 0))
        self.reading.blockSignals(False)
        self._show()

    def _show(self) -> None:
        choice = self.choice
        self.reveals_after.setEnabled(self.blinded.isChecked())
        self.read.setEnabled(choice is not None)
        if choice is None:
            try:
                Reader(self.name.currentText())
            except ValueError as error:
                self.about.setText(str(error))
            return
        parts = [] if choice.reader.name else [_NO_NAME]
        there = self._of_name()
        reading, before = there.get(choice.reader.reading), there.get(choice.reader.reading - 1)
        if before is not None and before.days is not None:
            parts.append(_pause(before.days[1], choice.reader.reading - 1))
        if choice.blinded:
            parts.append(_BLINDED)
            if reading is not None and (seen := reading.counts.read - reading.blinded):
                parts.append(f'You have read {count_text(seen, "image")} of it not blinded.')
        self.about.setText(' '.join(parts))

    def _accept(self) -> None:
        if (choice := self.choice) is not None:
            self.accept()
            self.chosen.emit(choice)


def _pause(last: datetime, number: int) -> str:
    """Return how long ago a reading was, and how long one should wait."""
    seconds = max((datetime.now(UTC) - last).total_seconds(), 0)
    days = int(seconds // 86_400)
    ago = count_text(days, 'day') if days else duration_text(max(seconds, 1))
    text = f'Reading {number} ended {ago} ago, and its labels stay hidden.'
    if days >= PAUSE_DAYS:
        return text
    return f'{text} Wait at least two weeks, so that you do not remember the images.'
