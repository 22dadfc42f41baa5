"""The form of the Batch dock: what to score, with which model, into which table.

Options that most users leave alone are in a folded section.
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
    QLineEdit,
    QPushButton,
    QSizePolicy,
    QSpinBox,
    QToolButton,
    QWidget,
)

from napari_cxr.checkpoint import Card, CheckpointError
from napari_cxr.inference.label_rule import LabelRule
from napari_cxr.inference.stated_prevalence import card_at_prevalence
from napari_cxr.plugin.batch.batch_layout import settle_height
from napari_cxr.plugin.batch.input_fields import ImagesField, LabelsField, TargetField
from napari_cxr.plugin.batch.scoring_messages import is_unfinished
from napari_cxr.plugin.batch.scoring_request import ImageCount, ScoreRequest, stated_prior
from napari_cxr.plugin.preferences import preferences, save_preferences
from napari_cxr.plugin.widgets.form_fields import FormLabel, ValidatedField, field_with_button
from napari_cxr.plugin.widgets.model_selector import ModelComboBox, fill_device_list
from napari_cxr.plugin.widgets.sections import CollapsibleSection
from napari_cxr.plugin.widgets.text import ElidedComboBox, PlainLabel
from napari_cxr.scoring.scoring_checks import InputSummary

__all__ = ['ScoreOptions', 'ScoreSetup']

#: The limit of the command line.
_LARGEST_BATCH = 4096

_IDENTIFY = (
    'The table will identify patients. Store it with your patient data, and do not share it.'
)


class ScoreOptions(CollapsibleSection):
    """Split, heatmaps, operating point, prevalence, precision, batch size and patient data.

    Parameters
    ----------
    parent : QWidget, optional
        Qt parent.
    """

    #: An option was changed.
    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__('Options', open_=False, parent=parent)
        self._build()
        self._card: Card | None = None
        self._fill()
        for box in (self.shares, self.pictures, self.identify):
            box.clicked.connect(self._change)
        for choice in (self.split, self.precision, self.decision):
            choice.activated.connect(self._change)
        self.batch.valueChanged.connect(self._change)
        self.folder.textChanged.connect(self._change)
        self.prior.textChanged.connect(self._change)
        self.browse.clicked.connect(self._choose_folder)
        self._change()

    def _build(self) -> None:
        self.shares = QCheckBox('Compute the fraction of each heatmap in the lungs')
        self.shares.setToolTip(
            'Segments the lungs of each radiograph and adds columns; takes longer'
        )
        self.pictures = QCheckBox('Save a picture of each heatmap in')
        self.pictures.setToolTip(
            'A picture of each radiograph with the heatmap of its predicted class'
        )
        self.folder = QLineEdit()
        self.folder.setAccessibleName('Folder of the heatmaps')
        self.folder.setToolTip('Where the pictures are saved')
        self.browse = QToolButton()
        self.browse.setObjectName('more')
        self.browse.setText('…')
        self.browse.setAccessibleName('Choose the folder of the pictures')
        self.browse.setToolTip('Choose where the pictures are saved')
        self.batch = QSpinBox()
        self.batch.setRange(0, _LARGEST_BATCH)
        self.batch.setSpecialValueText('Automatic')
        self.batch.setMinimumWidth(110)
        self.batch.setAlignment(Qt.AlignmentFlag.AlignLeft)
        self.batch.setToolTip('Number of images that the network processes at once')
        self.precision = ElidedComboBox(
            'Numerical precision of the network, which each row states: float32, unless the '
            'model was checked in bfloat16, which is faster where the device supports it'
        )
        self.precision.addItem('As the model was checked', 'auto')
        self.precision.addItem('float32', 'float32')
        self.precision.addItem('bfloat16', 'bfloat16')
        self.decision = ElidedComboBox(
            "An operating point of the model's card: adds a column with the classes whose "
            'probability reaches the threshold'
        )
        self.prior = QLineEdit()
        self.prior.setAccessibleName('Prevalence')
        self.prior.setToolTip(
            'The fraction of images that have a class where the model is used, such as '
            'opacity=0.05; several with commas. Probabilities then hold there'
        )
        self.prior_field = ValidatedField(self.prior)
        self.split = ElidedComboBox(
            'Which images to score, where a table, or folders called train, val and test, say '
            'which split an image is in'
        )
        for text, split in (
            ('All images', ''),
            ('Training images', 'train'),
            ('Validation images', 'val'),
            ('Test images', 'test'),
        ):
            self.split.addItem(text, split)
        self.identify = QCheckBox('Add names, IDs and dates of the patients')
        self.identify.setToolTip('Adds columns with patient and study data of the DICOM headers')
        self.warning = PlainLabel(_IDENTIFY)
        self.warning.setObjectName('caution')
        self.warning.setWordWrap(True)
        where = QHBoxLayout()
        where.setContentsMargins(22, 0, 0, 0)  # aligned with the text of its box
        where.setSpacing(4)
        where.addWidget(self.folder, 1)
        where.addWidget(self.browse)
        self._form = form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow('Split', self.split)
        form.addRow('Operating point', self.decision)
        form.addRow('Prevalence', self.prior_field)
        form.addRow('Precision', self.precision)
        form.addRow('Batch size', self.batch)
        self.add(self.shares, self.pictures)
        self.body.addLayout(where)
        self.body.addLayout(form)
        self.add(self.identify, self.warning)
        # Back to the padding of the style sheet, which `add` has removed.
        self.warning.setIndent(-1)

    def _fill(self) -> None:
        chosen = preferences('batch')
        self.shares.setChecked(chosen.shares)
        self.pictures.setChecked(chosen.heatmaps)
        self.batch.setValue(chosen.batch)
        self.precision.setCurrentIndex(max(self.precision.findData(chosen.precision), 0))
        self.offer_decisions(())
        self.offer_splits(False)

    def offer_splits(self, known: bool) -> None:
        """Offer one split, where it is known which images are in it; otherwise all images."""
        if not known:
            self.split.setCurrentIndex(0)
        self._form.setRowVisible(self.split, known)
        self._change()

    def offer_decisions(self, names: Sequence[str]) -> None:
        """Offer operating points by name; the current one stays chosen if it is among them."""
        before = self.decision.currentData()
        with QSignalBlocker(self.decision):
            self.decision.clear()
            self.decision.addItem('None' if names else 'The model has none', '')
            for name in names:
                self.decision.addItem(name, name)
            self.decision.setCurrentIndex(max(self.decision.findData(before), 0))
        self.decision.setEnabled(bool(names))
        self._change()

    def offer_prevalence(self, card: Card | None) -> None:
        """Let a person state another prevalence than the card's, where the card states one."""
        self._card = card
        stated = {} if card is None else card.prevalence
        known = ', '.join(f'{label}={p:.3g}' for label, p in stated.items())
        self.prior.setPlaceholderText(known or "The model's card states none")
        self.prior.setEnabled(bool(known))
        self._change()

    @property
    def stated_prevalence(self) -> str:
        """What was stated of the prevalence, for a model whose card has one; empty for nothing."""
        return self.prior.text().strip() if self.prior.isEnabled() else ''

    @property
    def problem(self) -> str:
        """Why scoring cannot start with these options; empty if it can."""
        if self._card is None:
            return ''
        try:
            card_at_prevalence(self._card, stated_prior(self.stated_prevalence))
        except ValueError as error:
            return str(error)
        return ''

    @property
    def heatmaps(self) -> str:
        """Folder for pictures; empty for none."""
        return self.folder.text().strip() if self.pictures.isChecked() else ''

    def set_usual_folder(self, folder: str) -> None:
        """Propose a folder for pictures, unless the user has chosen another."""
        if not self.folder.isModified():
            self.folder.setText(folder)

    def entries(self) -> dict[str, object]:
        """Return the fields of a `ScoreRequest` that are chosen here."""
        return {
            'shares': self.shares.isChecked(),
            'heatmaps': self.heatmaps,
            'batch': self.batch.value(),
            'precision': cast(str, self.precision.currentData()),
            'decision': cast(str, self.decision.currentData() or ''),
            'identify': self.identify.isChecked(),
            'split': cast(str, self.split.currentData()),
            'prior': self.stated_prevalence,
        }

    def show_request(self, request: ScoreRequest) -> None:
        """Show the options of an earlier request."""
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
            self.split.setCurrentIndex(max(self.split.findData(request.split), 0))
            self.prior.setText(request.prior)
        self._change()

    def remember(self) -> None:
        """Save the options as preferences, but never that patients are identified."""
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
        # With pictures the fractions are computed in any case.
        self.shares.setEnabled(not pictures)
        self.warning.setVisible(self.identify.isChecked())
        self.prior_field.show_messages(self.problem)
        chosen = [
            text
            for wanted, text in (
                (bool(self.split.currentData()), self.split.currentText().lower()),
                (self.shares.isChecked() or pictures, 'heatmap fractions'),
                (pictures, 'pictures'),
                (bool(self.decision.currentData()), str(self.decision.currentText())),
                (bool(self.stated_prevalence), 'stated prevalence'),
                (self.precision.currentData() != 'auto', str(self.precision.currentText())),
                (bool(self.batch.value()), f'batches of {self.batch.value()}'),
                (self.identify.isChecked(), 'patient data'),
            )
            if wanted
        ]
        self.set_summary(', '.join(chosen) or 'scores only')
        self.changed.emit()


class ScoreSetup(QWidget):
    """Images, labels, model, device, table and options.

    Parameters
    ----------
    parent : QWidget, optional
        Qt parent.
    """

    #: Something was changed.
    changed = Signal()
    #: There are other images, or another table: the input is to be scanned.
    scan_wanted = Signal()
    #: The card of the model is to be shown.
    card_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._summary: InputSummary | None = None
        self._count: ImageCount | None = None
        self._card: Card | None = None
        self._build()
        self.images.chosen.connect(self._images_chosen)
        self.labels.changed.connect(self.changed)
        self.model.chosen.connect(self._model_chosen)
        self.device.activated.connect(self.changed)
        self.target.chosen.connect(self._rescan)
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
        self.card.setToolTip('What this model is, and what it was evaluated on')
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
        form.addRow(FormLabel('Images', self.images), self.images)
        form.addRow(FormLabel('Labels', self.labels), self.labels)
        form.addRow(FormLabel('Model', self._model_field), self._model_field)
        form.addRow('Device', self.device)
        form.addRow(FormLabel('Table', self.target), self.target)
        form.addRow(self.options)
        # Hints must not be brighter than the disabled fields.
        self.setStyleSheet('QLabel#quiet:disabled { color: rgba(128, 128, 128, 150); }')
        # Where there is little height, the table of rows shrinks: it can be scrolled.
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)

    @property
    def current_card(self) -> Card | None:
        """Card of the chosen model; None if it cannot be read."""
        return self._card

    @property
    def will_resume(self) -> bool:
        """Whether the table exists and is unfinished."""
        return is_unfinished(self.target.path)

    @property
    def is_scanning(self) -> bool:
        """Whether the chosen images have not been scanned yet."""
        return bool(self.images.paths) and self._summary is None

    @property
    def reason(self) -> str:
        """Why scoring cannot start; empty if it can."""
        if not self.images.paths:
            return 'Choose the images first.'
        fields = (self.images, self.labels, self._model_field, self.target)
        found = (str(f.problem.text()) for f in fields)
        return next((text for text in (*found, self.options.problem) if text), '')

    def request(self) -> ScoreRequest | None:
        """Return the request, or None while something is missing."""
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
        """Show an earlier request, to resume it."""
        self.images.show_paths(request.paths)
        self._count = None
        self.model.choose(request.model)
        self.device.setCurrentIndex(max(self.device.findData(request.device), 0))
        self.labels.show_value(request.labels)
        self.target.show_path(request.out)
        self.options.show_request(request)
        self._rescan()

    def set_images(self, *paths: str) -> None:
        """Take a folder, files or lists to score."""
        self.images.set_paths(*paths)

    def propose_table(self) -> None:
        """Propose another table, after the current one was written."""
        self.target.propose(self.images.name)
        self._rescan()

    def show_scan(self, summary: InputSummary) -> None:
        """Take what the scan of the input has found."""
        if (summary.paths, summary.out) == (self.images.paths, self.target.path):
            self._summary = summary
            self.options.offer_splits(summary.splits)
            self._update()

    def show_count(self, count: ImageCount) -> None:
        """Take the number of images."""
        if (count.folder,) == self.images.paths:
            self._count = count
            self._update()

    @property
    def needs_count(self) -> bool:
        """Whether the images are to be counted: they were not yet, or there were none."""
        count = self._count
        return count is None or not (count.whole and count.images)

    def remember(self) -> None:
        """Save what is chosen as preferences for the next session."""
        save_preferences(
            'batch',
            images=self.images.to_remember,
            device=self.device.currentData(),
            folder=str(Path(self.target.path).parent),
        )
        self.images.recent.remember(self.images.to_remember)
        self.options.remember()

    def _images_chosen(self) -> None:
        self._count = None
        self.labels.reset()
        self.options.identify.setChecked(False)  # that was chosen for the other images
        self.target.propose(self.images.name)
        self._rescan()

    def _model_chosen(self) -> None:
        self._card, error = None, '' if self.model.current else 'Choose a model.'
        try:
            self._card = self.model.current_card() if self.model.current else None
        except CheckpointError as problem:
            # A model that is not downloaded yet has no card, which is not a problem.
            error = '' if self.model.is_download else str(problem)
        self._model_field.show_messages(error)
        points = self._card.operating_points if self._card is not None else {}
        names = {name for found in points.values() for name in found}
        self.options.offer_decisions(sorted(names, key=str.lower))
        self.options.offer_prevalence(self._card)
        self._update()

    def _rescan(self) -> None:
        self._summary = None
        self._update()
        self.scan_wanted.emit()

    def _update(self) -> None:
        """Show below each field what is wrong with it, or what was found."""
        self.images.show_scan(self._summary, self._count)
        self.target.show_scan(self._summary)
        out = Path(self.target.path or 'scores.csv')
        self.options.set_usual_folder(str(out.with_name(f'{out.stem}-heatmaps')))
        rule = LabelRule(()) if self._card is None else LabelRule.of_card(self._card)
        self.labels.show_scan(self._summary, rule)
        settle_height(self)
