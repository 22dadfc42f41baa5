"""The dock that trains a classifier on a folder of labelled radiographs."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from napari.components import ViewerModel
from qtpy.QtCore import QTimer
from qtpy.QtGui import QDragEnterEvent, QDropEvent, QKeySequence, QShortcut
from qtpy.QtWidgets import (
    QHBoxLayout,
    QProgressBar,
    QPushButton,
    QTabWidget,
    QVBoxLayout,
)

from napari_cxr.checkpoint.card import NOT_FOR_CLINICAL_USE
from napari_cxr.evaluation.audit_output import TABLE_FILE
from napari_cxr.evaluation.data_audit import AuditProgress
from napari_cxr.image_tables import TABLE_ENDINGS
from napari_cxr.inference.device import may_use_gpu
from napari_cxr.plugin.background import Failure, JobOutcome, run_job
from napari_cxr.plugin.base_dock import Dock
from napari_cxr.plugin.docks import dock_signals, is_same_viewer, open_dock
from napari_cxr.plugin.radiographs_on_show import watch_viewer
from napari_cxr.plugin.reader import open_paths
from napari_cxr.plugin.runs.run_panel import RunPanel
from napari_cxr.plugin.style import keep_space, quiet_label
from napari_cxr.plugin.train.data_panel import DataPanel
from napari_cxr.plugin.train.dataset_summary import training_advice, training_obstacle
from napari_cxr.plugin.train.recipe_form import RecipeForm
from napari_cxr.plugin.train.training_choices import plain_costs
from napari_cxr.plugin.train.training_controllers import (
    RecipeController,
    RunController,
    audit_folder,
)
from napari_cxr.plugin.train.training_session import TrainingSession
from napari_cxr.plugin.train.training_setup import TrainingSetup
from napari_cxr.plugin.widgets.sections import scrollable
from napari_cxr.plugin.widgets.text import InlineMessage, duration_text
from napari_cxr.training.dataset_survey import Survey
from napari_cxr.training.recipe import Recipe
from napari_cxr.training.training_events import ReadingProgress, TrainingEvent

__all__ = ['TrainDock']

#: Delay after a change before the images are surveyed again, in milliseconds.
_SURVEY_DELAY = 600
#: Number of samples that are shown with and without augmentation.
_SAMPLES = 6
#: Parts of a recipe on which a survey depends.
_SURVEY_ENTRIES = ('data', 'split', 'input', 'seed')
_TRAIN_TIP = 'Train with these settings (Ctrl+Shift+Return)'
_WAITING = 'Waiting for another Train dock to finish, or for a run to stop…'
#: The tabs.
_METHOD, _IMAGES, _SETTINGS, _RUN = range(4)


class TrainDock(Dock):
    """Choose images and a recipe, check them, train, and use the result.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        The viewer; a bare `ViewerModel` does as well.
    """

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__(napari_viewer)
        self.session = TrainingSession(self)
        self.survey: Survey | None = None
        self._waits = False  # for another dock
        self._surveyed: tuple[Any, ...] = ()  # source and recipe of the survey
        self._sampled: tuple[Any, ...] = ()
        self._build()
        self._connect()
        self.recipe_controller.choose(self.setup.current_recipe)
        self._source_changed()
        self.session.list_networks()

    def _build(self) -> None:
        self.setup = TrainingSetup()
        self.start = QPushButton('Train')
        self.start.setObjectName('accent')
        self.start.setMinimumHeight(34)
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)
        self.progress.setFixedHeight(4)
        self.progress.setAccessibleName('Fraction of the images that are read')
        self.progress.hide()
        self.cancel = QPushButton('Cancel')
        self.cancel.setToolTip('Stop reading the images')
        self.cancel.hide()
        self.status = quiet_label()
        # Images are read whenever something was changed, above settings that are being filled in.
        keep_space(self.progress, self.cancel)
        keep_space(self.status, lines=1)
        self.message = InlineMessage()
        self.data = DataPanel(self.viewer.theme)
        self.form = RecipeForm()
        self.run = RunPanel(self.viewer.theme)
        self.recipe_controller = RecipeController(self.setup, self.form, self)
        self.run_controller = RunController(self.run, self.session, self)
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        for title, page in (
            ('Method', self.setup.method),
            ('Images', self.data),
            ('Settings', self.form),
            ('Run', self.run),
        ):
            self.tabs.addTab(scrollable(page), title)
        doing = QHBoxLayout()
        doing.addWidget(self.status, 1)
        doing.addWidget(self.cancel)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 12, 12, 8)
        layout.setSpacing(8)
        layout.addWidget(self.setup)
        layout.addWidget(self.start)
        layout.addWidget(self.progress)
        layout.addLayout(doing)
        layout.addWidget(self.message)
        layout.addWidget(self.tabs, 1)
        layout.addWidget(quiet_label(NOT_FOR_CLINICAL_USE))
        self.setMinimumWidth(320)
        self.setAcceptDrops(True)
        self._survey_timer = QTimer(self)
        self._survey_timer.setSingleShot(True)
        self._survey_timer.setInterval(_SURVEY_DELAY)
        self._costs_wanted: tuple[object, ...] = ()

    def _connect(self) -> None:
        session, data = self.session, self.data
        self._survey_timer.timeout.connect(self._survey_or_sample)
        self.setup.source_changed.connect(self._source_changed)
        self.setup.run_chosen.connect(self.load_settings)
        self.recipe_controller.changed.connect(self._recipe_changed)
        self.recipe_controller.refused.connect(self.message.show_error)
        self.start.clicked.connect(self.train)
        self.cancel.clicked.connect(session.cancel)
        session.started.connect(self._job_started)
        session.waits.connect(self._show_waiting)
        session.progressed.connect(self._on_event)
        session.succeeded.connect(self._job_succeeded)
        session.failed.connect(self._job_failed)
        session.ended.connect(self._job_ended)
        data.excluded.connect(self.recipe_controller.leave_out)
        data.grouped.connect(self.recipe_controller.put_together)
        data.audit.wanted.connect(self.audit)
        data.audit.reading_list_wanted.connect(self._open_reading_list)
        data.pair_opened.connect(self._open_pair)
        data.image_opened.connect(self._open_images)
        self.run.resume_requested.connect(self._resume_shown)
        self.run_controller.started.connect(self._show_run)
        self.run_controller.classify_requested.connect(self._classify)
        dock_signals().run_requested.connect(self._run_wanted)
        dock_signals().resume_requested.connect(self._resume_wanted)
        dock_signals().more_epochs_requested.connect(self._more_epochs_wanted)
        dock_signals().images_requested.connect(self._images_wanted)
        QShortcut(QKeySequence('Ctrl+Shift+Return'), self).activated.connect(self.train)

    @property
    def busy(self) -> bool:
        """Whether a job is running."""
        return bool(self.session.job)

    # -- actions ------------------------------------------------------------------------

    def train(self) -> None:
        """Start a run with the current settings; returns at once."""
        source, plan = self.setup.current_source, self.recipe_controller.plan
        if self.busy or plan is None or not source or self._obstacle():
            return
        self.message.clear()
        self.setup.keep()
        self.recipe_controller.save_draft_for(source)
        folder = self.setup.new_run_folder()
        self.run_controller.start(source, plan, folder, self.setup.current_device)

    def audit(self) -> None:
        """Audit the images; returns at once."""
        source, recipe = self.setup.current_source, self.recipe_controller.recipe
        if not self.busy and source and recipe is not None:
            self.message.clear()
            self.session.audit(source, recipe, str(audit_folder(source)))

    def _open_reading_list(self) -> None:
        table = audit_folder(self.setup.current_source) / TABLE_FILE
        open_dock(self.viewer, 'Score a folder')
        dock_signals().rows_requested.emit(self.viewer, str(table), (), '')

    def stop(self) -> None:
        """Stop the run after its current step; the model so far is kept."""
        self.run_controller.stop()

    def resume(self, run_folder: str, epochs: int = 0) -> None:
        """Resume a run that was stopped or interrupted, or let it go on to so many epochs."""
        source = self.setup.current_source
        if self.busy:
            self.message.show_error('Wait until the current job has ended, or stop it.')
        elif not source:
            self.message.show_error('Choose the images on which the run was trained.')
        else:
            self.message.clear()
            device = self.setup.current_device
            self.run_controller.resume(source, Path(run_folder), device, epochs)

    def load_settings(self, run_folder: str) -> None:
        """Use the recipe of a run."""
        self.recipe_controller.choose(str(Path(run_folder) / 'recipe.toml'))
        self.tabs.setCurrentIndex(_SETTINGS)

    def _resume_shown(self) -> None:
        self.resume(str(self.run.folder))

    def _show_run(self) -> None:
        self.tabs.setCurrentIndex(_RUN)

    def _source_changed(self) -> None:
        self.survey, self._surveyed = None, ()
        self.data.clear()
        self.recipe_controller.open_source(self.setup.current_source)

    def _recipe_changed(self) -> None:
        self.message.clear()
        self._survey_timer.start()
        self._update()

    def _open_pair(self, first: str, second: str) -> None:
        pair = open_paths(self.viewer, [self._root / path for path in (first, second)])
        if len(pair) == 2:
            self.viewer.layers.selection = set(pair)
            # What is still being read is no radiograph yet, and then this does nothing.
            watch_viewer(self.viewer).compare()

    def _open_images(self, *paths: str) -> None:
        open_paths(self.viewer, [self._root / path for path in paths])

    def _classify(self, model: str) -> None:
        open_dock(self.viewer, 'Classify chest radiograph')
        dock_signals().model_requested.emit(self.viewer, model)

    def _run_wanted(self, viewer: ViewerModel, run_folder: str) -> None:
        if is_same_viewer(viewer, self.viewer):
            self.load_settings(run_folder)

    def _images_wanted(self, viewer: ViewerModel, source: str, patient: str) -> None:
        if is_same_viewer(viewer, self.viewer):
            self.setup.set_source(source)
            self.recipe_controller.find_patients(patient)

    def _resume_wanted(self, viewer: ViewerModel, run_folder: str) -> None:
        if is_same_viewer(viewer, self.viewer):
            self.resume(run_folder)

    def _more_epochs_wanted(self, viewer: ViewerModel, run_folder: str, epochs: int) -> None:
        if is_same_viewer(viewer, self.viewer):
            self.resume(run_folder, epochs)

    # -- survey and samples -------------------------------------------------------------

    def _survey_or_sample(self) -> None:
        """Survey the images if the survey is out of date, otherwise draw new samples."""
        source, recipe = self.setup.current_source, self.recipe_controller.recipe
        if self.busy:
            if self.session.job in ('survey', 'preview'):
                self.session.cancel()  # its end calls this again
            return
        if not source or recipe is None:
            return
        wanted = (source, *(getattr(recipe, table) for table in _SURVEY_ENTRIES))
        if wanted != self._surveyed:
            # Nothing is known until the survey ends, nor afterwards if it fails.
            self.survey, self._surveyed = None, wanted
            self.session.survey(source, recipe)
        elif self.survey is not None and self._sampled != (wanted, recipe.augmentation):
            self._sampled = (wanted, recipe.augmentation)
            self._draw_samples(self.survey, recipe)

    def _draw_samples(self, survey: Survey, recipe: Recipe) -> None:
        """Draw images from each class in turn."""
        by_class = [
            [i for i in range(len(survey.paths)) if survey.truth[i, k] and not survey.excluded[i]]
            for k in range(len(survey.labels))
        ]
        turns = [row[n] for n in range(_SAMPLES) for row in by_class if n < len(row)][:_SAMPLES]
        names = np.array(survey.labels, dtype=object)
        self.session.preview(
            [str(self._root / survey.paths[i]) for i in turns],
            ['|'.join(names[survey.truth[i]]) for i in turns],
            recipe,
        )

    @property
    def _root(self) -> Path:
        source = Path(self.setup.current_source)
        return source.parent if source.suffix.lower() in TABLE_ENDINGS else source

    # -- events of jobs -----------------------------------------------------------------

    def _job_started(self, job: str) -> None:
        texts = {
            'survey': 'Reading the images…',
            'audit': 'Auditing the images…',
            'preview': 'Drawing samples…',
        }
        if job in texts:
            self.status.setText(texts[job])
            self.progress.setRange(0, 0)
            self.progress.show()
            self.cancel.setVisible(job in ('survey', 'audit'))
        self._update()

    def _show_waiting(self) -> None:
        """Show that the one training process is busy."""
        self._waits = True
        self.status.setText(_WAITING)
        self.status.show()

    def _on_event(self, event: TrainingEvent) -> None:
        if self._waits:
            self._waits = False
            self.status.setText(training_advice(self.survey, self.recipe_controller))
        if isinstance(event, ReadingProgress) and not self.run_controller.busy:
            self.status.setText(f'Reading image {event.done} of {event.total}…')
            self.progress.setRange(0, event.total)
            self.progress.setValue(event.done)
        elif isinstance(event, AuditProgress):
            self._show_audit_progress(event)

    def _show_audit_progress(self, event: AuditProgress) -> None:
        left = event.seconds_left
        known = f' {duration_text(left)} left' if left >= 0 else ''  # it may be NaN
        self.status.setText(f'{event.doing}…{known}')
        self.progress.setRange(0, 1000)
        self.progress.setValue(round(1000 * event.fraction))

    def _job_succeeded(self, job: str, result: Any) -> None:
        if job == 'audit':
            known = self.survey.flags if self.survey is not None else ()
            self.data.audit.show_audit(result, known)
        elif job == 'survey':
            self.survey = result
            recipe = self.recipe_controller.recipe
            self.data.show_survey(result, recipe.data.together if recipe is not None else ())
            self.recipe_controller.save_draft_for(self.setup.current_source)
        elif job == 'preview':
            self.data.show_samples(result)
        elif job == 'networks':
            self.form.offer('network', result)

    def _job_failed(self, job: str, failure: Failure) -> None:
        if job != 'train':
            self.message.show_error(failure.text, failure.details)

    def _job_ended(self, job: str) -> None:
        self._waits = False
        self.progress.hide()
        self.cancel.hide()
        self._update()
        self.settled.emit()
        self._survey_timer.start()

    def _update(self) -> None:
        """Update the button and the status."""
        ready = bool(self.setup.current_source) and self.recipe_controller.recipe is not None
        obstacle = self._obstacle()
        self.start.setEnabled(ready and not self.busy and not obstacle)
        self.start.setToolTip(obstacle or _TRAIN_TIP)
        self.data.audit.enable(ready and not self.busy)
        if not self.busy:
            self.status.setText(training_advice(self.survey, self.recipe_controller))
        self.status.setVisible(bool(self.status.text()))
        self._estimate_costs()

    def _estimate_costs(self) -> None:
        """Estimate what the plain ways to train would cost here, with these images and split."""
        survey, recipe = self.survey, self.recipe_controller.recipe
        images = 0 if survey is None else len(survey.paths) - int(survey.excluded.sum())
        wanted = (images, survey is not None, recipe.split if recipe is not None else None)
        if wanted != self._costs_wanted:
            self._costs_wanted = wanted
            job = partial(plain_costs, images, survey is not None, recipe)
            run_job(self, job, 'Estimating the time', done=self._show_costs)

    def _show_costs(self, outcome: JobOutcome | Failure) -> None:
        if isinstance(outcome, JobOutcome):
            gpu = self.setup.current_device != 'cpu' and may_use_gpu(self.setup.current_device)
            self.setup.choices.show_costs(outcome.result, gpu=gpu)

    def _obstacle(self) -> str:
        return training_obstacle(self.survey, self.recipe_controller.splits_are_equal)

    # -- Qt -----------------------------------------------------------------------------

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:
        """Accept a folder or a table."""
        if event is not None and _dropped(event) is not None:
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent | None) -> None:
        """Use the folder or table that was dropped."""
        path = _dropped(event) if event is not None else None
        if path is not None:
            self.setup.set_source(path)

    def set_theme(self, theme: str) -> None:
        """Draw tables and plots in the colours of a theme."""
        self.data.set_theme(theme)
        self.run.set_theme(theme)


def _dropped(event: QDropEvent) -> str | None:
    """Return the folder or table that is dragged, if it is exactly one."""
    mime = event.mimeData()
    urls = mime.urls() if mime is not None else []
    if len(urls) != 1 or not urls[0].isLocalFile():
        return None
    path = Path(urls[0].toLocalFile())
    return str(path) if path.is_dir() or path.suffix.lower() in TABLE_ENDINGS else None
