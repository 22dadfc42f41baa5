"""What the images are, so that the scores can be measured."""

from __future__ import annotations

import os
from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QLineEdit

from napari_cxr.inference.label_rule import LabelRule
from napari_cxr.plugin.batch import problems
from napari_cxr.plugin.batch.problems import listed
from napari_cxr.plugin.batch.source import matching
from napari_cxr.plugin.batch.told_field import ToldField, beside, more_button
from napari_cxr.plugin.elided import ElidedComboBox
from napari_cxr.scoring.listing import FOLDERS
from napari_cxr.scoring.looking import Looked

__all__ = ['LabelsField']

_TABLE = 'table'
_TABLES = 'Tables (*.csv *.tsv);;All files (*)'


class LabelsField(ToldField):
    """None, the names of sub-folders, or a table; what is plain is chosen by itself."""

    #: Other labels were chosen.
    changed = Signal()

    def __init__(self) -> None:
        self.kind = ElidedComboBox('What the images are, so that the scores can be measured')
        self.line = QLineEdit()
        self.browse = more_button('Choose a table of labels')
        self._row = beside(self.line, self.browse)
        super().__init__(self.kind, self._row)
        self._looked: Looked | None = None
        self._rule = LabelRule(())
        self._by_person = False
        self.kind.addItem('None', '')
        self.kind.addItem('Names of the sub-folders', FOLDERS)
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
        kind = labels if labels in ('', FOLDERS) else _TABLE
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

    def take_look(self, looked: Looked | None, rule: LabelRule) -> None:
        """Take what was found in the images, and which labels the model can give."""
        self._looked, self._rule = looked, rule
        if looked is not None and not self._by_person:
            found = FOLDERS if len(self._matching()) > 1 else ''
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
        path, _ = QFileDialog.getOpenFileName(self, 'Choose a table of labels', start, _TABLES)
        if path:
            self.line.setText(path)

    def _matching(self) -> list[str]:
        return matching(self._looked.folders, self._rule) if self._looked is not None else []

    def _change(self) -> None:
        chosen = str(self.kind.currentData())
        self._row.setVisible(chosen == _TABLE)
        labelled = self._looked is not None and self._looked.labelled
        self.kind.setItemText(0, 'Those of the table' if labelled else 'None')
        wrong = problems.of_labels(chosen, self.line.text(), self._looked)
        self.tell(wrong, self._found(chosen))
        self.changed.emit()

    def _found(self, chosen: str) -> str:
        """Say which labels were found."""
        looked = self._looked
        if looked is None or chosen == _TABLE:
            return ''
        words = []
        found = self._matching()
        if chosen == FOLDERS and found:
            words.append(f'{listed(found)}: classes of the model, so figures will be shown.')
            others = [folder for folder in looked.folders if folder not in found]
            if others:
                words.append(f'The model has no class {listed(others, "or")}: not measured.')
        elif chosen == FOLDERS:
            words.append('No sub-folder is called as a class of the model.')
        elif looked.labelled:
            words.append('The table gives labels, so figures will be shown.')
        if looked.labels_in and not looked.labelled:
            name = Path(looked.labels_in).name
            words.append(f'{name} in this folder has labels too: choose “A table” to use it.')
        return ' '.join(words)
