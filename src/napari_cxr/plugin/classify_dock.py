"""The dock that classifies a radiograph and shows where the answer came from."""

from __future__ import annotations

from threading import Event
from typing import Any
from weakref import WeakKeyDictionary

from napari.components import ViewerModel
from napari.layers import Image
from qtpy.QtCore import QTimer, Signal
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import QProgressBar, QPushButton, QWidget

from napari_cxr.checkpoint import CheckpointError
from napari_cxr.plugin import classifying
from napari_cxr.plugin.card_dialog import CardDialog
from napari_cxr.plugin.choices import Choices
from napari_cxr.plugin.classifying import Answer, Failure, Ready
from napari_cxr.plugin.docks import TabsTogether
from napari_cxr.plugin.heat_desk import HeatDesk
from napari_cxr.plugin.lung_desk import LungDesk
from napari_cxr.plugin.lungs_layer import lungs_of
from napari_cxr.plugin.message import Message
from napari_cxr.plugin.result_view import ResultView
from napari_cxr.plugin.scrolled import fill_dock
from napari_cxr.plugin.settings import preferences, remember
from napari_cxr.plugin.shared import shared
from napari_cxr.plugin.text import quiet_label
from napari_cxr.plugin.theme import style_sheet

__all__ = ['ClassifyDock']

_EMPTY = (
    'Open a chest radiograph to begin: drop a DICOM, PNG, JPEG or TIFF file onto the viewer, '
    'or choose File ▸ Open Sample ▸ Chest radiographs.'
)
_READY = 'Click Classify to see the probability of each class and where its evidence lies.'


#: A bar and a Cancel button that come and go sooner than this only flicker, and drawing
#: them takes the processor from the network; milliseconds.
_PATIENCE = 300


class ClassifyDock(QWidget):
    """Choose a layer, a model and a device; classify; look at the heatmap.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        The viewer; a bare `ViewerModel` does as well.
    """

    #: A classification has ended: with an answer, an error, or because it was cancelled.
    settled = Signal()

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__()
        self.viewer = napari_viewer
        TabsTogether(self)
        self._answers: WeakKeyDictionary[Image, Answer] = WeakKeyDictionary()
        self._labels: WeakKeyDictionary[Image, str] = WeakKeyDictionary()
        #: Kinds of warnings in spite of which the person wanted to see a layer's result.
        self._accepted: WeakKeyDictionary[Image, set[str]] = WeakKeyDictionary()
        self._cancelled = Event()
        self._running_on: Image | None = None
        self._data: Any = None  # of that layer when the click came
        self._doing = ''
        self._build()
        self.heat = HeatDesk(self.viewer, self.result.heat, self)
        self.lungs = LungDesk(self.viewer, self)
        self.choices.layer_changed.connect(self._show_answer)
        self.choices.setup_changed.connect(self._get_ready)
        self.choices.card_wanted.connect(self.show_card)
        self.start.clicked.connect(self._start_or_cancel)
        self.result.label_chosen.connect(self._show_label)
        self.result.accepted.connect(self._accept)
        self.result.card_wanted.connect(self.show_card)
        self.result.heat.lungs_changed.connect(self._show_lungs)
        self.result.heat.edit_wanted.connect(self.lungs.edit)
        self.lungs.shown.connect(self.result.heat.set_lungs)
        self.lungs.measured.connect(self.result.show_lungs)
        self.lungs.failed.connect(self._tell_failure)
        self.viewer.events.theme.connect(self._theme_changed)
        shared().turning.connect(self._turn_away)
        shared().answered.connect(self._take_over)
        shortcut = QShortcut(QKeySequence('Ctrl+Return'), self)
        shortcut.activated.connect(self.classify)
        self._show_answer()
        self._get_ready()

    def _build(self) -> None:
        self.choices = Choices(self.viewer)
        self.start = QPushButton('Classify')
        self.start.setToolTip('Classify the chosen image (Ctrl+Return)')
        self.start.setObjectName('accent')
        self.start.setMinimumHeight(34)
        self.progress = QProgressBar()
        self.progress.setRange(0, 0)
        self.progress.setTextVisible(False)
        self.progress.setFixedHeight(4)
        self.progress.hide()
        self._slow = QTimer(self)
        self._slow.setSingleShot(True)
        self._slow.setInterval(_PATIENCE)
        self._slow.timeout.connect(self._show_progress)
        self.status = quiet_label()
        self.message = Message()
        self.result = ResultView(self.viewer.theme, preferences('classify').opacity)
        self.setStyleSheet(style_sheet(self.viewer.theme))
        parts = (self.choices, self.start, self.progress, self.status, self.message, self.result)
        fill_dock(self, *parts)

    # -- classifying --------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether a classification is under way."""
        return self._running_on is not None

    @property
    def answer(self) -> Answer | None:
        """The result for the chosen layer, if there is one."""
        layer = self.choices.current_layer
        return None if layer is None else self._answers.get(layer)

    def classify(self) -> None:
        """Start classifying the chosen layer; returns at once."""
        layer = self.choices.current_layer
        if layer is None or self.busy:
            return
        self.message.clear()
        self._running_on, self._data = layer, layer.data
        self._doing = 'Starting the network'
        self._cancelled = Event()
        # Kept, because a worker that goes may take with it what it has just told.
        worker = self._worker = classifying.classify(
            layer,
            self.choices.current_model,
            self.choices.current_device,
            self._cancelled,
            lungs_of(layer, self.viewer.layers),
        )
        worker.yielded.connect(self._tell)
        worker.returned.connect(self._take)
        worker.finished.connect(self._finish)
        worker.start()
        self._slow.start()

    def cancel(self) -> None:
        """Stop the classification that is under way."""
        if self.busy:
            self._cancelled.set()
            self._slow.stop()
            self.start.setText('Cancelling…')
            self.start.setEnabled(False)

    def _start_or_cancel(self) -> None:
        if not self.busy:
            self.classify()
        elif not self.progress.isHidden():  # else it is a double click, and says Classify yet
            self.cancel()

    def _tell(self, event: object) -> None:
        if isinstance(event, str):
            self._doing = event
            if not (self.progress.isHidden() or self._cancelled.is_set()):
                self._show_progress()

    def _show_progress(self) -> None:
        self.progress.show()
        self.start.setText('Cancel')
        self.status.setText(f'{self._doing}…')
        self.status.show()

    def _take(self, answer: Answer | Failure | None) -> None:
        if isinstance(answer, Failure):
            self._tell_failure(answer)
        layer = self._running_on
        if not isinstance(answer, Answer) or layer is None or layer not in self.viewer.layers:
            return
        if layer.data is not self._data:
            self.message.show_error('The image was changed meanwhile. Click Classify again.')
            return
        self._keep(layer, answer, answer.prediction.label)

    def _turn_away(self, layer: Image) -> None:
        """Forget what was said of the radiograph that a layer showed."""
        if self._labels.pop(layer, None) is not None:
            layer.events.data.disconnect(self._forget_changed)
        self._answers.pop(layer, None)
        self._accepted.pop(layer, None)
        self.lungs.forget(layer)
        self._show_answer()

    def _take_over(self, layer: Image, answer: Answer, label: str) -> None:
        """Show what is known of a layer without a click."""
        if layer in self.viewer.layers:
            # Where it was asked for, its warnings were there to read.
            self._accepted[layer] = answer.doubts
            self._keep(layer, answer, label)

    def _keep(self, layer: Image, answer: Answer, label: str) -> None:
        if layer not in self._labels:
            # What was said of other pixels must not stand beside these.
            layer.events.data.connect(self._forget_changed)
        self._answers[layer] = answer
        self._labels[layer] = label
        self._lay_over(layer)

    def _tell_failure(self, failure: Failure) -> None:
        self.message.show_error(failure.text, failure.details)

    def _finish(self) -> None:
        self._running_on = self._data = None
        self._slow.stop()
        self.progress.hide()
        self._show_answer()
        self.settled.emit()

    def _get_ready(self) -> None:
        """Start the torch process and load the chosen model, before anyone clicks."""
        classifying.shared_torch()  # made in this thread, so that it is ended before Qt is
        self.message.clear()
        worker = self._preparing = classifying.prepare(
            self.choices.current_model, self.choices.current_device
        )
        worker.returned.connect(self._ready)
        worker.start()

    def _ready(self, ready: Ready | Failure) -> None:
        if isinstance(ready, Failure):
            self.choices.show_device('')
            self._tell_failure(ready)
        elif ready.model == self.choices.current_model:
            self.choices.show_device(ready.device)
        self._update()

    # -- showing ------------------------------------------------------------------------

    def show_card(self) -> CardDialog | None:
        """Open the card of the chosen model in a window of its own."""
        self.message.clear()
        try:
            dialog = CardDialog(self.choices.current_card(), self)
        except CheckpointError as error:
            self.message.show_error(str(error))
            return None
        dialog.show()
        return dialog

    def _may_show(self, layer: Image) -> bool:
        """Whether a layer has a result with no warning that the person has not accepted."""
        answer = self._answers.get(layer)
        return answer is not None and answer.doubts <= self._accepted.get(layer, set())

    def _show_answer(self) -> None:
        """Show the result of the chosen layer, or what to do to get one."""
        layer, answer = self.choices.current_layer, self.answer
        self.result.setVisible(answer is not None)
        if layer is not None and answer is not None and self._may_show(layer):
            self.result.show_answer(answer, self._labels[layer])
            self.heat.turn_to(layer, answer, self._labels[layer])
            self.lungs.turn_to(layer, answer)
        else:
            if answer is not None:
                self.result.hold_back(answer)
            self.heat.turn_away()
            self.lungs.turn_to(layer, None)
        self._update()

    def _lay_over(self, layer: Image) -> None:
        """Show a new result of a layer with all that lies over it, or its warning alone."""
        may_show = self._may_show(layer)
        if may_show:
            self.heat.draw(layer, self._answers[layer], self._labels[layer])
        else:
            self.heat.remove(layer)  # of an earlier answer that had nothing against it
        self._show_answer()
        wanted = may_show and preferences('classify').lungs
        if wanted and layer is self.choices.current_layer and self.lungs.layer is None:
            self.lungs.show(True)

    def _accept(self) -> None:
        """Show a result in spite of its warnings, now and at later clicks."""
        layer, answer = self.choices.current_layer, self.answer
        if layer is not None and answer is not None:
            self._accepted[layer] = self._accepted.get(layer, set()) | answer.doubts
            self._lay_over(layer)

    def _update(self) -> None:
        """Make button, bar and status say what is going on."""
        if self.busy:
            return
        self.start.setText('Classify')
        ready = self.choices.current_layer is not None and bool(self.choices.current_model)
        self.start.setEnabled(ready)
        empty = self.choices.current_layer is None
        self.status.setText('' if self.answer else _EMPTY if empty else _READY)
        self.status.setVisible(bool(self.status.text()) and not self.message.text)

    def _show_label(self, label: str) -> None:
        layer = self.choices.current_layer
        if layer is not None and self.answer is not None:
            self._labels[layer] = label
            self.heat.draw(layer, self.answer, label)

    def _show_lungs(self, wanted: bool) -> None:
        remember('classify', lungs=wanted)
        self.lungs.show(wanted)

    def _forget_changed(self, event: Any) -> None:
        if self._answers.pop(event.source, None) is not None:
            self.heat.remove(event.source)
        self._accepted.pop(event.source, None)
        self.lungs.forget(event.source)
        self._show_answer()

    def _theme_changed(self, event: Any) -> None:
        self.setStyleSheet(style_sheet(event.value))
        self.result.set_theme(event.value)
