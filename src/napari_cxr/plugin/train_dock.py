"""The dock that trains a classifier on a folder of labelled radiographs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from napari.components import ViewerModel
from qtpy.QtCore import Qt, QTimer, QUrl, Signal
from qtpy.QtGui import QDesktopServices, QDragEnterEvent, QDropEvent, QKeySequence, QShortcut
from qtpy.QtWidgets import (
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from napari_cxr.checkpoint import CheckpointError, read_card
from napari_cxr.checkpoint.card import NOT_FOR_CLINICAL_USE
from napari_cxr.plugin import drafts, training_jobs
from napari_cxr.plugin.card_dialog import CardDialog
from napari_cxr.plugin.classifying import Failure
from napari_cxr.plugin.commands import open_paths
from napari_cxr.plugin.data_panel import DataPanel
from napari_cxr.plugin.message import Message
from napari_cxr.plugin.recipe_form import RecipeForm
from napari_cxr.plugin.run_panel import RunPanel
from napari_cxr.plugin.shared import shared
from napari_cxr.plugin.text import quiet_label
from napari_cxr.plugin.theme import style_sheet
from napari_cxr.plugin.train_setup import SWEEP, TrainSetup
from napari_cxr.plugin.training_jobs import Done
from napari_cxr.plugin.training_session import TrainingSession
from napari_cxr.training import recipe as recipes
from napari_cxr.training import sweep as sweeps
from napari_cxr.training.events import Event, Finished, Reading
from napari_cxr.training.recipe import CardRecipe, Recipe, RecipeError
from napari_cxr.training.survey import Survey
from napari_cxr.training.sweep import Sweep

__all__ = ['TrainDock']

#: How long changes gather before the images are looked at again, in milliseconds.
_PAUSE = 600
#: Samples that are shown with and without augmentation.
_SAMPLES = 6
#: What of a recipe decides what a survey finds.
_SURVEYED = ('data', 'split', 'input', 'seed')
#: The tabs.
_IMAGES, _SETTINGS, _RUN = range(3)


class TrainDock(QWidget):
    """Choose images and a recipe; look at both; train; use the result.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        The viewer; a bare `ViewerModel` does as well.
    """

    #: A job has ended: a survey, samples, or a run.
    settled = Signal()

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__()
        self.viewer = napari_viewer
        self.session = TrainingSession(self)
        self._recipe: Recipe | None = None  # None while an entry makes no sense
        self._base: Recipe | None = None
        self._sweep: Sweep | None = None  # whose base is the recipe on show
        self._survey: Survey | None = None
        self._surveyed: tuple[Any, ...] = ()  # what the survey on show is of
        self._sampled: tuple[Any, ...] = ()
        self._run_name = ''  # of the model that is under way
        self._added: dict[str, str] = {}  # names in the catalog, by the path of the run's model
        self._build()
        self._connect()
        self._choose_recipe(self.setup.current_recipe)
        self._source_changed()
        self.session.list_networks()

    def _build(self) -> None:
        self.setup = TrainSetup()
        self.start = QPushButton('Train')
        self.start.setObjectName('accent')
        self.start.setMinimumHeight(34)
        self.start.setToolTip('Train with these settings (Ctrl+Shift+Return)')
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)
        self.progress.setFixedHeight(4)
        self.progress.hide()
        self.cancel = QPushButton('Cancel')
        self.cancel.setToolTip('Stop looking at the images')
        self.cancel.hide()
        self.status = quiet_label()
        self.message = Message()
        self.data = DataPanel(self.viewer.theme)
        self.form = RecipeForm()
        self.run = RunPanel(self.viewer.theme)
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        for title, page in (('Images', self.data), ('Settings', self.form), ('Run', self.run)):
            self.tabs.addTab(_scrolled(page), title)
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
        self.setStyleSheet(style_sheet(self.viewer.theme))
        self.setMinimumWidth(320)
        self.setAcceptDrops(True)
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(_PAUSE)
        self._later.timeout.connect(self._look)

    def _connect(self) -> None:
        setup, session, data, run = self.setup, self.session, self.data, self.run
        setup.source_changed.connect(self._source_changed)
        setup.recipe_chosen.connect(self._choose_recipe)
        setup.recipe_opened.connect(self._choose_recipe)
        setup.recipe_saved.connect(self._save_recipe)
        setup.run_chosen.connect(self.load_settings)
        setup.reset_wanted.connect(self._reset)
        setup.name_changed.connect(self._edited)
        self.form.changed.connect(self._edited)
        self.start.clicked.connect(self.train)
        self.cancel.clicked.connect(session.cancel)
        session.began.connect(self._began)
        session.told.connect(self._tell)
        session.succeeded.connect(self._succeeded)
        session.failed.connect(self._failed)
        session.cancelled.connect(self._stopped)
        session.ended.connect(self._ended)
        data.excluded.connect(self._exclude)
        data.grouped.connect(self._group)
        data.pair_opened.connect(self._open_pair)
        data.image_opened.connect(self._open_images)
        run.stop_wanted.connect(self.stop)
        run.resume_wanted.connect(self._resume_shown)
        run.classify_wanted.connect(self._classify_with)
        run.card_wanted.connect(self._show_card)
        run.folder_wanted.connect(self._open_folder)
        run.compare_wanted.connect(self._compare)
        shared().run_wanted.connect(self.load_settings)
        shared().resume_wanted.connect(self.resume)
        self.viewer.events.theme.connect(self._theme_changed)
        QShortcut(QKeySequence('Ctrl+Shift+Return'), self).activated.connect(self.train)

    # -- what is set up -----------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether a job is under way."""
        return bool(self.session.job)

    @property
    def recipe(self) -> Recipe | None:
        """The recipe as it stands; None while an entry makes no sense."""
        return self._recipe

    @property
    def survey(self) -> Survey | None:
        """What was found in the images, if they were looked at."""
        return self._survey

    def load_settings(self, run_folder: str) -> None:
        """Take the recipe of a run."""
        self._choose_recipe(str(Path(run_folder) / 'recipe.toml'))
        self.tabs.setCurrentIndex(_SETTINGS)

    def _choose_recipe(self, name_or_path: str) -> None:
        self._sweep = None
        try:
            if name_or_path.startswith(SWEEP):
                self._sweep = sweeps.find(name_or_path.removeprefix(SWEEP))
            recipe = self._sweep.base if self._sweep else recipes.find(name_or_path)
        except RecipeError as error:
            self.message.show_error(str(error))
            return
        if self._sweep is not None or name_or_path in recipes.names():
            # What a shipped card says of its data is not true of a person's own.
            recipe = replace(recipe, card=CardRecipe(name=f'my-{recipe.network}'))
        else:
            self.setup.add_recipe(name_or_path, recipe)
        self.setup.choose_recipe(name_or_path)
        kept = self._recipe.data if self._recipe is not None else None
        if kept is not None:
            # Which images a person left out is not undone by another recipe.
            data = replace(recipe.data, exclude=kept.exclude, together=kept.together)
            recipe = replace(recipe, data=data)
        self._base = recipe
        self._show_recipe(recipe)

    def _show_recipe(self, recipe: Recipe) -> None:
        self.setup.name.setText(recipe.card.name or recipe.name)
        self.form.show_recipe(recipe, self._base)
        self._edited()

    def _edited(self) -> None:
        """Take in what the person has changed, or say what is wrong with it."""
        self.message.clear()
        self.form.set_hidden('card.name', self.setup.name.text().strip())
        try:
            self._recipe = self.form.recipe
        except RecipeError as error:
            self._recipe = None
            self.message.show_error(str(error))
        self._later.start()
        self._update()

    def _reset(self) -> None:
        if self._base is not None:
            self._show_recipe(self._base)

    def _save_recipe(self, path: str) -> None:
        if self._recipe is None:
            return
        try:
            Path(path).write_text(self._recipe.to_toml(), encoding='utf-8')
        except OSError as error:
            self.message.show_error(f'The recipe could not be saved: {error.strerror}.')

    def _source_changed(self) -> None:
        self.message.clear()
        self._survey, self._surveyed = None, ()
        self.data.clear()
        draft = drafts.recall(self.setup.current_source) if self.setup.current_source else None
        if draft is not None:
            self._base = self._base or draft
            self._show_recipe(draft)
        self._later.start()
        self._update()

    def _exclude(self, digests: list[str], out: bool) -> None:
        if self._recipe is not None:
            before = dict.fromkeys(self._recipe.data.exclude)
            after = [d for d in before if out or d not in digests]
            after += [d for d in digests if out and d not in before]
            self.form.set_hidden('data.exclude', after)
            self._edited()

    def _group(self, first: str, second: str, together: bool) -> None:
        if self._recipe is not None:
            groups = [g for g in self._recipe.data.together if set(g) != {first, second}]
            self.form.set_hidden(
                'data.together', [*groups, (first, second)] if together else groups
            )
            self._edited()

    # -- looking at the images ----------------------------------------------------------

    def _look(self) -> None:
        """Survey the images if what decides it has changed, else draw new samples."""
        source, recipe = self.setup.current_source, self._recipe
        if self.busy:
            if self.session.job in ('survey', 'preview'):
                self.session.cancel()  # its end calls this again
            return
        if not source or recipe is None:
            return
        wanted = (source, *(getattr(recipe, table) for table in _SURVEYED))
        if wanted != self._surveyed:
            self._surveyed = wanted
            self.session.survey(source, recipe)
        elif self._survey is not None and self._sampled != (wanted, recipe.augmentation):
            self._sampled = (wanted, recipe.augmentation)
            self._draw_samples(self._survey, recipe)

    def _draw_samples(self, survey: Survey, recipe: Recipe) -> None:
        """Draw images of each class in turn."""
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
        return source.parent if source.suffix.lower() == '.csv' else source

    def _open_pair(self, first: str, second: str) -> None:
        self._open_images(first, second)
        if hasattr(self.viewer, 'grid'):
            self.viewer.grid.enabled = True

    def _open_images(self, *paths: str) -> None:
        opened = open_paths(self.viewer, [self._root / path for path in paths])
        if opened:
            self.viewer.reset_view()

    # -- training -----------------------------------------------------------------------

    def train(self) -> None:
        """Start a run with the settings as they stand; returns at once."""
        recipe = self._recipe
        if self.busy or recipe is None or not self.setup.current_source:
            return
        self.setup.keep()
        drafts.keep(self.setup.current_source, recipe)
        self._start_run(self.setup.new_run_folder(), recipe)

    def stop(self) -> None:
        """End the run after its current step; what it has learnt is kept."""
        if self.session.job == 'train':
            self.run.stopping()
            self.session.cancel()

    def resume(self, run_folder: str) -> None:
        """Take up a run that was stopped or cut off."""
        if self.busy:
            self.message.show_error('Wait until the job under way has ended, or stop it.')
            return
        if not self.setup.current_source:
            self.message.show_error('Choose the images that the run was trained on.')
            return
        self._start_run(Path(run_folder), None)

    def _resume_shown(self) -> None:
        self.resume(str(self.run.folder))

    def _start_run(self, folder: Path, recipe: Recipe | None) -> None:
        self.message.clear()
        self._run_name = recipe.card.name or recipe.name if recipe is not None else ''
        plan: Recipe | Sweep | None = recipe
        if recipe is not None and self._sweep is not None:
            # What was changed in the form is changed in every run.
            plan = self._sweep.with_changes(self._sweep.base.differences(recipe))
        again = plan is None and folder == self.run.folder
        runs = len(plan.runs) if isinstance(plan, Sweep) else 0
        self.run.begin(folder, runs, self.run.history if again else None)
        self.tabs.setCurrentIndex(_RUN)
        self.session.train(
            self.setup.current_source,
            plan.to_toml() if plan is not None else '',
            str(folder),
            self.setup.current_device,
        )

    def _compare(self) -> None:
        """Lay the curves of another run over these."""
        path = QFileDialog.getExistingDirectory(
            self, 'Choose the folder of another run', str(self.run.folder.parent)
        )
        if path:
            self._reader = training_jobs.read_run(path)
            self._reader.returned.connect(self._show_other)
            self._reader.start()

    def _show_other(self, result: Done | Failure) -> None:
        if isinstance(result, Failure):
            self.run.message.show_error(result.text, result.details)
        else:
            self.run.compare_with(result.result)

    def _show_card(self, path: str) -> None:
        try:
            CardDialog(read_card(path), self).show()
        except CheckpointError as error:
            self.run.message.show_error(str(error))

    def _open_folder(self, path: str) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(path))

    def _classify_with(self, path: str) -> None:
        """Choose a run's model in the Classify dock, which is opened for it."""
        window = getattr(self.viewer, 'window', None)
        if window is not None:
            window.add_plugin_dock_widget('napari-cxr', 'Classify chest radiograph')
        shared().model_wanted.emit(self._added.get(path, path))

    # -- what jobs say ------------------------------------------------------------------

    def _began(self, job: str) -> None:
        words = {'survey': 'Looking at the images…', 'preview': 'Drawing samples…'}
        if job in words:
            self.status.setText(words[job])
            self.progress.setRange(0, 0)
            self.progress.show()
            self.cancel.setVisible(job == 'survey')
        self._update()

    def _tell(self, event: Event) -> None:
        if self.session.job == 'train':
            self.run.add(event)
            if isinstance(event, Finished):
                self._keep_model(event)
        elif isinstance(event, Reading):
            self.status.setText(f'Reading image {event.done} of {event.total}…')
            self.progress.setRange(0, event.total)
            self.progress.setValue(event.done)

    def _succeeded(self, job: str, result: Any) -> None:
        if job == 'survey':
            self._survey = result
            self.data.show_survey(result, self._recipe.data.together if self._recipe else ())
        elif job == 'preview':
            self.data.show_samples(result)
        elif job == 'networks':
            self.form.offer('network', result)
        else:
            self.run.finish()

    def _failed(self, job: str, failure: Failure) -> None:
        if job == 'train':
            self.run.fail(failure.text, failure.details)
        else:
            self.message.show_error(failure.text, failure.details)

    def _stopped(self, job: str) -> None:
        if job == 'train':
            self.run.stopped()
        else:
            self._surveyed = self._surveyed if self._survey is not None else ()

    def _ended(self, job: str) -> None:
        self.progress.hide()
        self.cancel.hide()
        self._update()
        self.settled.emit()
        self._later.start()

    def _update(self) -> None:
        """Make button and status say what can be done."""
        source = self.setup.current_source
        ready = bool(source) and self._recipe is not None
        self.start.setEnabled(ready and not self.busy)
        if not self.busy:
            self.status.setText(self._advice())
        self.status.setVisible(bool(self.status.text()))

    def _advice(self) -> str:
        if self._survey is None:
            return ''
        survey = self._survey
        left = sum(bool(split) for split in survey.splits)
        found = f'{left:,} images, {len(survey.labels)} classes, split {survey.split_kind}.'
        if self._sweep is not None:
            runs = f'{len(self._sweep.runs)} runs' if self._sweep.runs else 'Several runs'
            found += f' {runs}; what is changed under Settings is changed in each.'
        return found

    def _keep_model(self, event: Finished) -> None:
        """Copy a finished run's model to where the Classify dock lists it."""
        # Of several folds or runs none is the model, and their summary has no path.
        if event.path and event.run == self.run.folder.name:
            # Kept, because a worker that goes may take with it what it has just told.
            self._keeper = training_jobs.add_model(event.path, self._run_name)
            self._keeper.returned.connect(self._model_kept)
            self._keeper.start()

    def _model_kept(self, result: Done | Failure) -> None:
        if isinstance(result, Failure):
            self.message.show_error(result.text, result.details)
            return
        path, name = result.result
        self._added[path] = name
        shared().model_added.emit(name)

    # -- Qt -----------------------------------------------------------------------------

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:
        """Take a folder or a table that is dragged here."""
        if event is not None and _dropped(event) is not None:
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent | None) -> None:
        """Train on the folder or table that was dropped."""
        path = _dropped(event) if event is not None else None
        if path is not None:
            self.setup.set_source(path)

    def _theme_changed(self, event: Any) -> None:
        self.setStyleSheet(style_sheet(event.value))
        self.data.set_theme(event.value)
        self.run.set_theme(event.value)


def _scrolled(page: QWidget) -> QScrollArea:
    inside = QWidget()
    layout = QVBoxLayout(inside)
    layout.setContentsMargins(0, 8, 0, 0)
    layout.addWidget(page)
    layout.addStretch(1)
    scroll = QScrollArea()
    scroll.setWidgetResizable(True)
    scroll.setFrameShape(QFrame.Shape.NoFrame)
    scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    scroll.setWidget(inside)
    return scroll


def _dropped(event: QDropEvent) -> str | None:
    """Return the one folder or table that is dragged, if it is one."""
    mime = event.mimeData()
    urls = mime.urls() if mime is not None else []
    if len(urls) != 1 or not urls[0].isLocalFile():
        return None
    path = Path(urls[0].toLocalFile())
    return str(path) if path.is_dir() or path.suffix.lower() == '.csv' else None
