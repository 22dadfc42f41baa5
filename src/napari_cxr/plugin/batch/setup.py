"""What to score, with which model, into which table: the upper part of the Batch dock."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFormLayout, QPushButton, QSizePolicy, QWidget

from napari_cxr.checkpoint import Card, CheckpointError
from napari_cxr.inference.label_rule import LabelRule
from napari_cxr.plugin.batch.counting import Counted
from napari_cxr.plugin.batch.images import ImagesField
from napari_cxr.plugin.batch.labels import LabelsField
from napari_cxr.plugin.batch.options import ScoreOptions
from napari_cxr.plugin.batch.problems import is_begun
from napari_cxr.plugin.batch.request import ScoreRequest
from napari_cxr.plugin.batch.room import settle
from napari_cxr.plugin.batch.target import TargetField
from napari_cxr.plugin.batch.told_field import ToldField, beside
from napari_cxr.plugin.elided import ElidedComboBox
from napari_cxr.plugin.model_choice import ModelBox, fill_devices
from napari_cxr.plugin.settings import preferences, remember
from napari_cxr.scoring.looking import Looked

__all__ = ['ScoreSetup']


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
        self._looked: Looked | None = None
        self._counted: Counted | None = None
        self._card: Card | None = None
        self._build()
        self.images.chosen.connect(self._images_chosen)
        self.labels.changed.connect(self.changed)
        self.model.chosen.connect(self._model_chosen)
        self.device.activated.connect(self.changed)
        self.target.chosen.connect(self._look_again)
        self.options.changed.connect(self.changed)
        self.options.toggled.connect(lambda: settle(self))
        self.card.clicked.connect(self.card_wanted)
        self.target.propose(self.images.name)
        self._model_chosen()
        self._update()

    def _build(self) -> None:
        chosen = preferences('batch')
        self.images = ImagesField()
        self.images.show_paths([chosen.images] if chosen.images else [])
        self.labels = LabelsField()
        self.model = ModelBox('The model that scores', 'batch')
        self.model.setAccessibleName('Model')
        self.card = QPushButton('Card')
        self.card.setToolTip('What this model is, what it was measured on, and what not')
        self._model_field = ToldField(beside(self.model, self.card))
        self.device = ElidedComboBox('Where the network runs')
        self.device.setAccessibleName('Device')
        fill_devices(self.device, chosen.device)
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
        return is_begun(self.target.path)

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

    def take_look(self, looked: Looked) -> None:
        """Take what was found in the images."""
        if (looked.paths, looked.out) == (self.images.paths, self.target.path):
            self._looked = looked
            self._update()

    def take_count(self, counted: Counted) -> None:
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
        remember(
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
        settle(self)
