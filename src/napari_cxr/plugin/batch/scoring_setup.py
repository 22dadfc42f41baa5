"""The form of the Batch dock: what to score, with which model, into which table.

Options that most people leave alone are in a section that is folded away.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSizePolicy,
    QSpinBox,
    QToolButton,
    QWidget,
)

from napari_cxr.checkpoint import Card, CheckpointError
from napari_cxr.inference.label_rule import LabelRule
from napari_cxr.plugin.batch.batch_layout import settle_height
from napari_cxr.plugin.batch.input_fields import ImagesField, LabelsField, TargetField
from napari_cxr.plugin.batch.input_scan import ImageCount
from napari_cxr.plugin.batch.scoring_messages import is_unfinished
from napari_cxr.plugin.batch.scoring_request import ScoreRequest
from napari_cxr.plugin.preferences import preferences, save_preferences
from napari_cxr.plugin.widgets.form_field import ValidatedField, field_with_button
from napari_cxr.plugin.widgets.model_selector import ModelComboBox, fill_device_list
from napari_cxr.plugin.widgets.sections import CollapsibleSection
from napari_cxr.plugin.widgets.text import ElidedComboBox
from napari_cxr.scoring.input_summary import InputSummary

__all__ = ['ScoreOptions', 'ScoreSetup']

#: As on the command line.
_LARGEST_BATCH = 4096

_IDENTIFY = (
    'The table will name patients. Keep it where you keep patient data, and do not pass it on.'
)


class ScoreOptions(CollapsibleSection):
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
        save_preferences(
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


class ScoreSetup(QWidget):
    """Images, labels, model, device, table and options.

    Parameters
    ----------
    parent : QWidget, optional
        Qt parent.
    """

    #: Something is otherwise than before.
    changed = Signal()
    #: There are other images, or another table: they must be looked at.
    look_wanted = Signal()
    #: The person wants to read the model's card.
    card_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._looked: InputSummary | None = None
        self._counted: ImageCount | None = None
        self._card: Card | None = None
        self._build()
        self.images.chosen.connect(self._images_chosen)
        self.labels.changed.connect(self.changed)
        self.model.chosen.connect(self._model_chosen)
        self.device.activated.connect(self.changed)
        self.target.chosen.connect(self._look_again)
        self.options.changed.connect(self.changed)
        self.options.toggled.connect(lambda: settle_height(self))
        self.card.clicked.connect(self.card_wanted)
        self.target.propose(self.images.name)
        self._model_chosen()
        self._update()

    def _build(self) -> None:
        chosen = preferences('batch')
        self.images = ImagesField()
        self.images.show_paths([chosen.images] if chosen.images else [])
        self.labels = LabelsField()
        self.model = ModelComboBox('The model that scores', 'batch')
        self.model.setAccessibleName('Model')
        self.card = QPushButton('Card')
        self.card.setToolTip('What this model is, what it was measured on, and what not')
        self._model_field = ValidatedField(field_with_button(self.model, self.card))
        self.device = ElidedComboBox('Where the network runs')
        self.device.setAccessibleName('Device')
        fill_device_list(self.device, chosen.device)
        usual = Path.home() / 'napari-cxr-scores'
        self.target = TargetField(Path(chosen.folder) if chosen.folder else usual)
        self.options = ScoreOptions()
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow('Images', self.images)
        form.addRow('Labels', self.labels)
        form.addRow('Model', self._model_field)
        form.addRow('Device', self.device)
        form.addRow('Table', self.target)
        form.addRow(self.options)
        # Hints are not to shine brighter than the fields that cannot be used.
        self.setStyleSheet('QLabel#quiet:disabled { color: rgba(128, 128, 128, 150); }')
        # Where there is little height, the table of rows gives way, which can be scrolled.
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)

    @property
    def current_card(self) -> Card | None:
        """The card of the chosen model, if it can be read."""
        return self._card

    @property
    def resumes(self) -> bool:
        """Whether the table that is named was begun already."""
        return is_unfinished(self.target.path)

    @property
    def is_looking(self) -> bool:
        """Whether the images that are chosen have still to be looked at."""
        return bool(self.images.paths) and self._looked is None

    @property
    def reason(self) -> str:
        """Why nothing can be scored as it stands; empty if it can."""
        if not self.images.paths:
            return 'Choose the images first.'
        fields = (self.images, self.labels, self._model_field, self.target)
        return next((str(f.problem.text()) for f in fields if f.problem.text()), '')

    def request(self) -> ScoreRequest | None:
        """Return what shall be scored, or None while something is missing."""
        if self.reason:
            return None
        options: dict[str, Any] = self.options.entries()
        return ScoreRequest(
            paths=self.images.paths,
            labels=self.labels.value,
            out=self.target.path,
            model=self.model.current,
            device=cast(str, self.device.currentData()),
            **options,
        )

    def show_request(self, request: ScoreRequest) -> None:
        """Show what was asked for earlier, to resume it."""
        self.images.show_paths(request.paths)
        self._counted = None
        self.model.choose(request.model)
        self.device.setCurrentIndex(max(self.device.findData(request.device), 0))
        self.labels.show_value(request.labels)
        self.target.show_path(request.out)
        self.options.show_request(request)
        self._look_again()

    def set_images(self, *paths: str) -> None:
        """Take a folder, files or lists to score."""
        self.images.set_paths(*paths)

    def propose_table(self) -> None:
        """Name another table, because the one that is named is there now."""
        self.target.propose(self.images.name)
        self._look_again()

    def take_look(self, looked: InputSummary) -> None:
        """Take what was found in the images."""
        if (looked.paths, looked.out) == (self.images.paths, self.target.path):
            self._looked = looked
            self._update()

    def take_count(self, counted: ImageCount) -> None:
        """Take how many images there are."""
        if (counted.folder,) == self.images.paths:
            self._counted = counted
            self._update()

    @property
    def counts(self) -> bool:
        """Whether the images shall be counted: they have not been, or there were none."""
        counted = self._counted
        return counted is None or not (counted.whole and counted.images)

    def keep(self) -> None:
        """Remember what is chosen for the next time."""
        save_preferences(
            'batch',
            images=self.images.to_remember,
            device=self.device.currentData(),
            folder=str(Path(self.target.path).parent),
        )
        self.options.keep()

    def _images_chosen(self) -> None:
        self._counted = None
        self.labels.forget()
        self.options.identify.setChecked(False)  # it was said of the others
        self.target.propose(self.images.name)
        self._look_again()

    def _model_chosen(self) -> None:
        self._card, error = None, '' if self.model.current else 'Choose a model.'
        try:
            self._card = self.model.current_card() if self.model.current else None
        except CheckpointError as problem:
            # A model that is downloaded at its first use has no card before, and is no problem.
            error = '' if self.model.is_download else str(problem)
        self._model_field.tell(error)
        points = self._card.operating_points if self._card is not None else {}
        names = {name for found in points.values() for name in found}
        self.options.offer_decisions(sorted(names, key=str.lower))
        self._update()

    def _look_again(self) -> None:
        self._looked = None
        self._update()
        self.look_wanted.emit()

    def _update(self) -> None:
        """Say in place what is wrong, and what was found."""
        self.images.show_look(self._looked, self._counted)
        self.target.show_look(self._looked)
        out = Path(self.target.path or 'scores.csv')
        self.options.set_usual_folder(str(out.with_name(f'{out.stem}-heatmaps')))
        rule = LabelRule(()) if self._card is None else LabelRule.of_card(self._card)
        self.labels.take_look(self._looked, rule)
        settle_height(self)
