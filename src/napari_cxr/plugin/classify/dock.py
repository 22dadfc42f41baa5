"""The dock that classifies a radiograph and shows what the result rests on."""

from __future__ import annotations

from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from napari.components import ViewerModel
from napari.layers import Image
from qtpy.QtGui import QKeySequence, QShortcut

from napari_cxr.correction import Correction
from napari_cxr.explain.explanation_methods import DEFAULT_METHOD
from napari_cxr.explain.heatmap_checks import HeatmapChecks
from napari_cxr.plugin import classify_job
from napari_cxr.plugin.background import (
    Failure,
    JobOutcome,
    run_job,
    shared_torch,
)
from napari_cxr.plugin.base_dock import ImageDock
from napari_cxr.plugin.classify.heatmap_controls import HeatmapController
from napari_cxr.plugin.classify.model_download import ModelDownloadController, ModelDownloadPanel
from napari_cxr.plugin.classify.result_saving import ResultOutput
from napari_cxr.plugin.classify.result_view import ResultView
from napari_cxr.plugin.classify_job import ExplainedPrediction
from napari_cxr.plugin.docks import dock_signals
from napari_cxr.plugin.lungs_controller import LungsController
from napari_cxr.plugin.lungs_layer import lungs_of
from napari_cxr.plugin.model_correction import apply_correction, correct_radiograph
from napari_cxr.plugin.preferences import preferences, save_preferences
from napari_cxr.plugin.widgets.sections import bring_into_view, fill_dock

__all__ = ['ClassifyDock']

_READY = 'Click Classify to see the probability of each class and where its evidence lies.'


class ClassifyDock(ImageDock):
    """Choose a layer, a model and a device; classify; look at the heatmap.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        The viewer; a bare `ViewerModel` does as well.
    """

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__(napari_viewer, 'Classify', offers=True)
        self._answers: WeakKeyDictionary[Image, ExplainedPrediction] = WeakKeyDictionary()
        self._labels: WeakKeyDictionary[Image, str] = WeakKeyDictionary()
        #: The model that was chosen when each layer was classified.
        self._models: WeakKeyDictionary[Image, str] = WeakKeyDictionary()
        #: Results by other methods and contrasts, and checks, so that each is made once.
        self._explained: WeakKeyDictionary[Image, dict[tuple[str, str], ExplainedPrediction]] = (
            WeakKeyDictionary()
        )
        self._checks: WeakKeyDictionary[Image, dict[tuple[str, str, str], HeatmapChecks]] = (
            WeakKeyDictionary()
        )
        #: The result and the label whose heatmap is being checked.
        self._checked: tuple[ExplainedPrediction, str] | None = None
        self._asked = ''
        #: The method that the person chose, for the results to come as well.
        self._method = DEFAULT_METHOD
        self._explain_next: Image | None = None
        self._correcting = False
        #: Kinds of warnings in spite of which the person wanted to see a layer's result.
        self._accepted: WeakKeyDictionary[Image, set[str]] = WeakKeyDictionary()
        self._build()
        self.heat = HeatmapController(self.viewer, self.result.heat, self)
        self.lungs = LungsController(self.viewer, self)
        self.output = ResultOutput(self.viewer, self.result.output, self._result_on_show, self)
        self.getting = ModelDownloadController(self.get_panel, self)
        self.inputs.layer_changed.connect(self._image_changed)
        self.inputs.setup_changed.connect(self._load_model)
        self.inputs.card_wanted.connect(self.show_card)
        self.start_requested.connect(self.classify)
        self.result.label_chosen.connect(self._show_label)
        self.result.accepted.connect(self._accept)
        self.result.correction_wanted.connect(self._correct)
        self.getting.started.connect(self.message.clear)
        self.getting.got.connect(self._take_model)
        self.getting.failed.connect(self._show_download_failure)
        self.result.card_wanted.connect(self.show_card)
        self.result.heat.method_changed.connect(self._explain)
        self.result.checks.clicked.connect(self._check)
        self.result.heat.lungs_changed.connect(self._show_lungs)
        self.result.heat.edit_wanted.connect(self.lungs.edit)
        self.lungs.shown.connect(self.result.heat.set_lungs)
        self.lungs.measured.connect(self.result.show_lungs)
        self.lungs.failed.connect(self._show_lungs_failure)
        dock_signals().image_changing.connect(self._forget_result)
        dock_signals().prediction_ready.connect(self._take_prediction)
        shortcut = QShortcut(QKeySequence('Ctrl+Return'), self)
        shortcut.activated.connect(self.classify)
        self._show()
        self._load_model()

    def _build(self) -> None:
        self.start.setToolTip('Classify the chosen image (Ctrl+Return)')
        self.result = ResultView(self.viewer.theme, preferences('classify').opacity)
        self.get_panel = ModelDownloadPanel()
        parts = (
            self.inputs,
            self.get_panel,
            self.start,
            self.progress,
            self.status,
            self.inputs.other_reader,
            self.message,
            self.result,
        )
        fill_dock(self, *parts)

    # -- classifying --------------------------------------------------------------------

    @property
    def answer(self) -> ExplainedPrediction | None:
        """The result for the chosen layer, if there is one."""
        layer = self.inputs.current_layer
        return None if layer is None else self._answers.get(layer)

    def classify(self) -> None:
        """Start classifying the chosen layer; returns at once."""
        layer = self.inputs.current_layer
        if layer is None or self.busy:
            return
        self._asked = self.inputs.current_model
        lungs = lungs_of(layer, self.viewer.layers)
        job = classify_job.classify(layer, self._asked, self.inputs.current_device, lungs)
        self._start_job(layer, job, 'Classifying', self._take)

    def _take(self, outcome: JobOutcome | Failure) -> None:
        layer = self._running_on
        if isinstance(outcome, Failure):
            self._show_failure(outcome, layer)
            return
        answer = outcome.result
        if answer is None or layer is None or layer not in self.viewer.layers:
            return
        if layer.data is not self._data:
            self._show_problem('The image has changed since. Click Classify again.', of=layer)
            return
        self._models[layer] = self._asked
        self._keep(layer, answer, answer.prediction.leading)
        self._explain_next = layer if answer.method != self._method else None

    def _finish(self) -> None:
        super()._finish()
        layer, self._explain_next = self._explain_next, None
        # Where its warnings stand in the place of the result, no heatmap is on show.
        if layer is not None and layer is self.inputs.current_layer and self._may_show(layer):
            self._explain(self._method, '')

    def _correct(self, correction: Correction) -> None:
        """Invert, mirror or turn what the model sees of the chosen layer, and classify again."""
        layer = self.inputs.current_layer
        if layer is None or self.busy or self._correcting:
            return
        self._correcting = True
        run_job(
            self,
            correct_radiograph(layer, correction),
            'Correcting the image',
            done=partial(self._take_corrected, layer),
            ended=self._end_correcting,
        )

    def _take_corrected(self, layer: Image, outcome: JobOutcome | Failure) -> None:
        if isinstance(outcome, Failure):
            self._show_failure(outcome, layer)
            return
        corrected = outcome.result
        if corrected is None or not apply_correction(self.viewer, layer, corrected):
            return
        if layer is self.inputs.current_layer:
            self.classify()

    def _end_correcting(self) -> None:
        self._correcting = False

    # -- explaining by other methods ----------------------------------------------------

    def _explain(self, method: str, against: str) -> None:
        """Show the heatmaps of another method or contrast, and make them first if need be."""
        layer, answer = self.inputs.current_layer, self.answer
        if layer is None or answer is None:
            return
        self._method = method
        found = self._explained.get(layer, {}).get((method, against))
        if found is not None:
            self._answers[layer] = found
            self._show_result(layer)
        elif self.busy:
            self._show()  # as it was
        else:
            model, device = self._model_of(layer), self.inputs.current_device
            job = classify_job.explain(layer, answer, model, device, method, against)
            self._start_job(layer, job, method, self._take_explained)
            self._update_checks()

    def _take_explained(self, outcome: JobOutcome | Failure) -> None:
        layer = self._running_on
        if isinstance(outcome, Failure):
            self._show_failure(outcome, layer)
        answer = None if isinstance(outcome, Failure) else outcome.result
        if answer is None:  # the method of what is on show
            shown = None if layer is None else self._answers.get(layer)
            self._method = DEFAULT_METHOD if shown is None else shown.method
        # Cancelled, failed, or of a result that has gone: what was on show stays.
        if answer is None or layer is None or layer not in self._answers:
            return
        if answer.prediction is self._answers[layer].prediction:
            self._remember(layer, answer)
            self._answers[layer] = answer
            self._show_result(layer)

    def _remember(self, layer: Image, answer: ExplainedPrediction) -> None:
        """Keep heatmaps of a result, by method and contrast."""
        self._explained.setdefault(layer, {})[answer.method, answer.against] = answer

    def _model_of(self, layer: Image) -> str:
        """Return the model of a layer's result."""
        return self._models.get(layer, '') or self.inputs.current_model

    def _check(self) -> None:
        """Check the heatmap on show, or stop checking it."""
        if self.busy:
            self.cancel()
            return
        layer, answer = self.inputs.current_layer, self.answer
        if layer is None or answer is None:
            return
        model, device = self._model_of(layer), self.inputs.current_device
        label = self._labels[layer]
        job = classify_job.check(layer, answer, label, model, device)
        self._checked = answer, label
        self._start_job(layer, job, 'Checking the heatmap', self._take_checks)
        self.result.checks.show_progress('Starting the network')

    def _relay(self, event: object) -> None:
        super()._relay(event)
        if (
            isinstance(event, str)
            and self._checked is not None
            and self.answer is self._checked[0]
        ):
            self.result.checks.show_progress(event)

    def _take_checks(self, outcome: JobOutcome | Failure) -> None:
        layer, checked, self._checked = self._running_on, self._checked, None
        if isinstance(outcome, Failure):
            self._show_failure(outcome, layer)
            return
        assert checked is not None
        answer, label = checked
        now = None if layer is None else self._answers.get(layer)
        # None where it was cancelled; another prediction where it was classified anew.
        if layer is None or now is None or now.prediction is not answer.prediction:
            return
        if outcome.result is not None:
            found = self._checks.setdefault(layer, {})
            found[answer.method, answer.against, label] = outcome.result
            self._update_checks()

    def _update_checks(self) -> None:
        """Show what checks of the heatmap on show have found, if there were any."""
        layer, answer = self.inputs.current_layer, self.answer
        if layer is None or answer is None:
            return
        asked = answer.method, answer.against, self._labels[layer]
        self.result.checks.show_checks(self._checks.get(layer, {}).get(asked))
        self.result.checks.set_busy(self.busy)

    def _forget_result(self, layer: Image) -> None:
        """Forget the result of the radiograph that a layer showed."""
        if self._labels.pop(layer, None) is not None:
            layer.events.data.disconnect(self._forget_changed)
        self._answers.pop(layer, None)
        self._accepted.pop(layer, None)
        self.lungs.forget(layer)
        if layer is self._problem_of:
            self._drop_problem()
        self._show()

    def _take_prediction(self, layer: Image, answer: ExplainedPrediction, label: str) -> None:
        """Show a result that came without a click."""
        if layer in self.viewer.layers:
            # Its warnings stood where it was asked for.
            self._accepted[layer] = answer.doubts
            self._models[layer] = answer.prediction.model
            self._keep(layer, answer, label)

    def _keep(self, layer: Image, answer: ExplainedPrediction, label: str) -> None:
        if layer not in self._labels:
            # The result of other pixels must not stand beside these.
            layer.events.data.connect(self._forget_changed)
        self._answers[layer] = answer
        self._labels[layer] = label
        self._explained.pop(layer, None)
        self._checks.pop(layer, None)
        self._remember(layer, answer)
        self._show_result(layer)

    def _show_lungs_failure(self, failure: Failure) -> None:
        self._show_failure(failure, self.inputs.current_layer)

    def _load_model(self) -> None:
        """Start a process and load the chosen model there, before anyone clicks."""
        # Made in this thread, so that they are ended before Qt is.
        classify_job.shared_inference()
        shared_torch()
        self.message.clear()
        offered = self.inputs.model.offered
        self.getting.show_model(offered)
        self._update()
        if offered is not None:
            self.inputs.show_device('')
            return
        job = classify_job.prepare(self.inputs.current_model, self.inputs.current_device)
        # Nobody's: the process and its model are there for the other docks as well.
        run_job(None, job, 'Loading the model', done=self._model_loaded)

    def _model_loaded(self, outcome: JobOutcome | Failure) -> None:
        if isinstance(outcome, Failure):
            self.inputs.show_device('')
            self._show_failure(outcome)
        elif outcome.result.model == self.inputs.current_model:
            self.inputs.show_device(outcome.result.device)
        self._update()

    # -- showing ------------------------------------------------------------------------

    def _result_on_show(self) -> tuple[Image, ExplainedPrediction, str] | None:
        """Return the layer, its result and its class, if the result may be seen."""
        layer, answer = self.inputs.current_layer, self.answer
        if layer is None or answer is None or not self._may_show(layer):
            return None
        return layer, answer, self._labels[layer]

    def _may_show(self, layer: Image) -> bool:
        """Whether a layer has a result with no warning that the person has not accepted."""
        answer = self._answers.get(layer)
        return answer is not None and answer.doubts <= self._accepted.get(layer, set())

    def _show(self) -> None:
        """Show the result of the chosen layer, or what to do to get one."""
        layer, answer = self.inputs.current_layer, self.answer
        self.result.setVisible(answer is not None)
        if layer is not None and answer is not None and self._may_show(layer):
            self.result.show_answer(answer, self._labels[layer])
            self.heat.show_radiograph(layer, answer, self._labels[layer])
            self.lungs.show_radiograph(layer, answer)
            self._update_checks()
        else:
            if answer is not None:
                self.result.hold_back(answer)
            self.heat.release()
            self.lungs.show_radiograph(layer, None)
        self._update()

    def _show_result(self, layer: Image) -> None:
        """Show a new result of a layer with all that lies over it, or its warning alone."""
        may_show = self._may_show(layer)
        if may_show:
            self.heat.draw(layer, self._answers[layer], self._labels[layer])
        else:
            self.heat.remove(layer)  # of an earlier result without warnings
        self._show()
        wanted = may_show and preferences('classify').lungs
        if wanted and layer is self.inputs.current_layer and self.lungs.layer is None:
            self.lungs.show(True)

    def _accept(self) -> None:
        """Show a result in spite of its warnings, now and at later clicks."""
        layer, answer = self.inputs.current_layer, self.answer
        if layer is not None and answer is not None:
            self._accepted[layer] = self._accepted.get(layer, set()) | answer.doubts
            self._show_result(layer)

    def _show_download_failure(self, failure: Failure) -> None:
        self._show_failure(failure)
        bring_into_view(self.message)  # the terms of a model are long

    def _take_model(self, name: str) -> None:
        """Load a model that was downloaded just now."""
        dock_signals().model_added.emit(name)
        if self.inputs.current_model == name:
            self._load_model()

    def _update(self) -> None:
        offered = self.inputs.model.offered is not None
        self.start.setVisible(not offered or self.busy)
        if offered and not self.busy:
            self._say(False, '')
        elif not self.busy:
            ready = self.inputs.current_layer is not None and bool(self.inputs.current_model)
            self._say(ready, self._result_note() if self.answer else _READY)

    def _result_note(self) -> str:
        """Return which model the result below is from, where another one was chosen since."""
        layer, answer = self.inputs.current_layer, self.answer
        if layer is None or answer is None:
            return ''
        asked = self._models.get(layer, '')
        if asked in ('', self.inputs.current_model):
            return ''
        model = answer.prediction.model
        return f'The result below is from {model}. Click Classify to run this model.'

    def _show_label(self, label: str) -> None:
        layer = self.inputs.current_layer
        if layer is not None and self.answer is not None:
            self._labels[layer] = label
            self.heat.draw(layer, self.answer, label)
            self._update_checks()

    def _show_lungs(self, wanted: bool) -> None:
        save_preferences('classify', lungs=wanted)
        self.lungs.show(wanted)

    def _forget_changed(self, event: Any) -> None:
        if self._answers.pop(event.source, None) is not None:
            self.heat.remove(event.source)
        self._accepted.pop(event.source, None)
        self.lungs.forget(event.source)
        self._show()

    def set_theme(self, theme: str) -> None:
        """Let plots and swatches take the colours of a theme."""
        self.result.set_theme(theme)
