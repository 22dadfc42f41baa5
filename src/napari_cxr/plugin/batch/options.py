"""What of scoring most people leave as it is: a part of the Batch dock that is folded away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QSpinBox,
    QToolButton,
    QWidget,
)

from napari_cxr.plugin.batch.request import ScoreRequest
from napari_cxr.plugin.elided import ElidedComboBox
from napari_cxr.plugin.section import Section
from napari_cxr.plugin.settings import preferences, remember

__all__ = ['ScoreOptions']

#: As on the command line.
_LARGEST_BATCH = 4096
_IDENTIFY = (
    'The table will name patients. Keep it where you keep patient data, and do not pass it on.'
)


class ScoreOptions(Section):
    """Heatmaps, batch, precision, decision and identities.

    Parameters
    ----------
    parent : QWidget, optional
        Qt parent.
    """

    #: Something was changed.
    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__('Options', open_=False, parent=parent)
        self._build()
        self._fill()
        for box in (self.shares, self.pictures, self.identify):
            box.clicked.connect(self._change)
        for choice in (self.precision, self.decision):
            choice.activated.connect(self._change)
        self.batch.valueChanged.connect(self._change)
        self.folder.textChanged.connect(self._change)
        self.browse.clicked.connect(self._choose_folder)
        self._change()

    def _build(self) -> None:
        self.shares = QCheckBox('Say how much of each heatmap lies in the lungs')
        self.shares.setToolTip(
            'Finds the lungs of each radiograph and adds columns; takes longer than scores alone'
        )
        self.pictures = QCheckBox('Save a picture of each heatmap in')
        self.pictures.setToolTip('A picture of each radiograph with the heatmap of its class')
        self.folder = QLineEdit()
        self.folder.setAccessibleName('Folder of the heatmaps')
        self.folder.setToolTip('Where the pictures are saved')
        self.browse = QToolButton()
        self.browse.setObjectName('more')
        self.browse.setText('…')
        self.browse.setToolTip('Choose where the pictures are saved')
        self.batch = QSpinBox()
        self.batch.setRange(0, _LARGEST_BATCH)
        self.batch.setSpecialValueText('Automatic')
        self.batch.setMinimumWidth(110)
        self.batch.setAlignment(Qt.AlignmentFlag.AlignLeft)
        self.batch.setToolTip('Images that the network takes at once')
        self.precision = ElidedComboBox(
            'How exactly the network computes: it may run in bfloat16 where the device computes '
            'in it, and then the rows say so'
        )
        self.precision.addItem('As fast as possible', 'auto')
        self.precision.addItem('Always in full', 'float32')
        self.decision = ElidedComboBox(
            "An operating point of the model's card: a column names the classes whose "
            'probability reaches its threshold'
        )
        self.identify = QCheckBox('Add names, numbers and dates of the patients')
        self.identify.setToolTip('Columns with what the DICOM headers say of patient and study')
        self.warning = QLabel(_IDENTIFY)
        self.warning.setObjectName('caution')
        self.warning.setWordWrap(True)
        where = QHBoxLayout()
        where.setContentsMargins(22, 0, 0, 0)  # below the words of its box
        where.setSpacing(4)
        where.addWidget(self.folder, 1)
        where.addWidget(self.browse)
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow('Call a class at', self.decision)
        form.addRow('Precision', self.precision)
        form.addRow('Batch', self.batch)
        self.add(self.shares, self.pictures)
        self.body.addLayout(where)
        self.body.addLayout(form)
        self.add(self.identify, self.warning)
        # The style sheet's own padding, which `add` takes from labels that stand in line.
        self.warning.setIndent(-1)

    def _fill(self) -> None:
        chosen = preferences('batch')
        self.shares.setChecked(chosen.shares)
        self.pictures.setChecked(chosen.heatmaps)
        self.batch.setValue(chosen.batch)
        self.precision.setCurrentIndex(max(self.precision.findData(chosen.precision), 0))
        self.offer_decisions(())

    def offer_decisions(self, names: Sequence[str]) -> None:
        """Offer operating points by their names; what was chosen stays where there is such."""
        before = self.decision.currentData()
        with QSignalBlocker(self.decision):
            self.decision.clear()
            self.decision.addItem('No threshold' if names else 'The model has no thresholds', '')
            for name in names:
                self.decision.addItem(name, name)
            self.decision.setCurrentIndex(max(self.decision.findData(before), 0))
        self.decision.setEnabled(bool(names))
        self._change()

    @property
    def heatmaps(self) -> str:
        """The folder for pictures, or empty."""
        return self.folder.text().strip() if self.pictures.isChecked() else ''

    def set_usual_folder(self, folder: str) -> None:
        """Propose a folder for pictures, unless a person has chosen another."""
        if not self.folder.isModified():
            self.folder.setText(folder)

    def entries(self) -> dict[str, object]:
        """Return what of a `ScoreRequest` is chosen here."""
        return {
            'shares': self.shares.isChecked(),
            'heatmaps': self.heatmaps,
            'batch': self.batch.value(),
            'precision': cast(str, self.precision.currentData()),
            'decision': cast(str, self.decision.currentData() or ''),
            'identify': self.identify.isChecked(),
        }

    def show_request(self, request: ScoreRequest) -> None:
        """Show what was asked for earlier."""
        with QSignalBlocker(self):
            self.shares.setChecked(request.shares)
            self.pictures.setChecked(bool(request.heatmaps))
            if request.heatmaps:
                self.folder.setText(request.heatmaps)
                self.folder.setModified(True)
            self.batch.setValue(request.batch)
            self.precision.setCurrentIndex(max(self.precision.findData(request.precision), 0))
            self.decision.setCurrentIndex(max(self.decision.findData(request.decision), 0))
            self.identify.setChecked(request.identify)
        self._change()

    def keep(self) -> None:
        """Remember what is chosen for the next time, but never that patients are named."""
        remember(
            'batch',
            shares=self.shares.isChecked(),
            heatmaps=self.pictures.isChecked(),
            batch=self.batch.value(),
            precision=self.precision.currentData(),
        )

    def _choose_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(
            self, 'Choose where the pictures are saved', self.folder.text()
        )
        if path:
            self.folder.setText(path)
            self.folder.setModified(True)
            self._change()

    def _change(self) -> None:
        pictures = self.pictures.isChecked()
        for widget in (self.folder, self.browse):
            widget.setVisible(pictures)
        # Pictures tell their shares in any case.
        self.shares.setEnabled(not pictures)
        self.warning.setVisible(self.identify.isChecked())
        said = [
            words
            for wanted, words in (
                (self.shares.isChecked() or pictures, 'heatmap shares'),
                (pictures, 'pictures'),
                (bool(self.decision.currentData()), str(self.decision.currentText())),
                (self.precision.currentData() == 'float32', 'full precision'),
                (bool(self.batch.value()), f'batches of {self.batch.value()}'),
                (self.identify.isChecked(), 'patients named'),
            )
            if wanted
        ]
        self.set_summary(', '.join(said) or 'scores alone')
        self.changed.emit()
