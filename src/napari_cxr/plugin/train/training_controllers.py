"""Controllers of the Train dock: one keeps the recipe in step with setup and form, one the run.

The recipe that was last set up for a folder is kept on disk, so that it survives napari.
"""

from __future__ import annotations

import hashlib
import os
import tomllib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from qtpy.QtCore import QObject, QUrl, Signal
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QFileDialog

from napari_cxr.checkpoint import CheckpointError, read_card
from napari_cxr.plugin.background import Failure, JobOutcome
from napari_cxr.plugin.docks import dock_signals
from napari_cxr.plugin.runs.run_panel import RunPanel
from napari_cxr.plugin.runs.training_history import RunHistory
from napari_cxr.plugin.train import training_session
from napari_cxr.plugin.train.recipe_form import RecipeForm
from napari_cxr.plugin.train.training_session import TrainingSession
from napari_cxr.plugin.train.training_setup import SWEEP_PREFIX, TrainingSetup
from napari_cxr.plugin.widgets.model_selector import CardDialog
from napari_cxr.scoring.annotation.folder_export import PATIENT_PATTERN
from napari_cxr.training import recipe as recipes
from napari_cxr.training import sweep as sweeps
from napari_cxr.training.recipe import CardRecipe, Recipe, RecipeError
from napari_cxr.training.sweep import Sweep
from napari_cxr.training.training_events import RunsDone, TrainingEvent, TrainingFinished

__all__ = ['RecipeController', 'RunController', 'load_draft', 'save_draft']


def save_draft(source: str, recipe: Recipe) -> None:
    """Keep the recipe that was last set up for a folder or table; a full disk is no error."""
    path = _draft_path(source)
    part = path.with_suffix('.part')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(recipe.to_toml(), encoding='utf-8')
        os.replace(part, path)
    except OSError:
        part.unlink(missing_ok=True)


def load_draft(source: str) -> Recipe | None:
    """Return the recipe that was kept for a folder or table, if there is one."""
    try:
        return Recipe.from_toml(_draft_path(source).read_text(encoding='utf-8'))
    except (OSError, UnicodeDecodeError, RecipeError):
        return None


def _draft_path(source: str) -> Path:
    from platformdirs import user_data_path

    # A folder's name may say more than it should, so the file is not named after it.
    name = hashlib.sha256(str(Path(source).resolve()).encode()).hexdigest()[:20]
    return user_data_path('napari-cxr', appauthor=False) / 'drafts' / f'{name}.toml'


class RecipeController(QObject):
    """Keeps the recipe in step with what a person chooses and types.

    Parameters
    ----------
    setup : TrainSetup
        Where it is chosen.
    form : RecipeForm
        Where it is changed.
    parent : QObject, optional
        Qt parent.
    """

    #: There is another recipe now, or none because an entry makes no sense.
    changed = Signal()
    #: What was asked for cannot be done, in one sentence.
    refused = Signal(str)

    def __init__(
        self, setup: TrainingSetup, form: RecipeForm, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._setup, self._form = setup, form
        #: The recipe as it stands; None while an entry makes no sense.
        self.recipe: Recipe | None = None
        #: The sweep whose base is the recipe on show, or None.
        self.sweep: Sweep | None = None
        self._base: Recipe | None = None
        setup.recipe_chosen.connect(self.choose)
        setup.recipe_opened.connect(self.choose)
        setup.recipe_saved.connect(self._save)
        setup.reset_requested.connect(self._reset)
        setup.name_changed.connect(self._take)
        form.changed.connect(self._take)

    @property
    def plan(self) -> Recipe | Sweep | None:
        """What Train would run."""
        if self.recipe is None or self.sweep is None:
            return self.recipe
        # What was changed in the form is changed in every run.
        return self.sweep.with_changes(self.sweep.base.differences(self.recipe))

    @property
    def splits_are_equal(self) -> bool:
        """Whether all that Train would run divides the images as the recipe on show does."""
        plan = self.plan
        if not isinstance(plan, Sweep):
            return True
        searched = plan.search.ranges if plan.search is not None else ()
        return not any(place.startswith(('data.', 'split.')) for place in searched) and all(
            (run.recipe.data, run.recipe.split) == (plan.base.data, plan.base.split)
            for run in plan.runs
        )

    def choose(self, name_or_path: str) -> None:
        """Take a recipe or a sweep: shipped, by its name, or from a file."""
        try:
            base, sweep = _find_plan(name_or_path)
        except RecipeError as error:
            self.refused.emit(str(error))
            return
        self.sweep = sweep
        self._setup.add_recipe(name_or_path, base)
        self._setup.choose_recipe(name_or_path)
        if self.recipe is not None:
            # Which images a person left out is not undone by another recipe.
            before = self.recipe.data
            data = replace(base.data, exclude=before.exclude, together=before.together)
            base = replace(base, data=data)
        self._base = base
        self._show(base)

    def open_source(self, source: str) -> None:
        """Take what was last set up for these images; else what was left out of others ends."""
        draft = load_draft(source) if source else None
        if draft is None:
            self._form.set_hidden('data.exclude', ())
            self._form.set_hidden('data.together', ())
            self._take()
            return
        if draft.name in recipes.names() and self.sweep is None:
            self._base, _ = _find_plan(draft.name)
            self._setup.choose_recipe(draft.name)
        self._show(draft)

    def find_patients(self, pattern: str) -> None:
        """Find the patient in names that we gave, or do so no longer; a person's pattern stays."""
        if self.recipe is not None and (pattern or self.recipe.data.patient == PATIENT_PATTERN):
            data = replace(self.recipe.data, patient=pattern)
            self._show(replace(self.recipe, data=data))

    def save_draft_for(self, source: str) -> None:
        """Keep what is set up for these images."""
        if self.recipe is not None and source:
            save_draft(source, self.recipe)

    def leave_out(self, digests: Sequence[str], out: bool) -> None:
        """Leave images out, or take them back."""
        if self.recipe is not None:
            before = self.recipe.data.exclude
            after = [d for d in before if out or d not in digests]
            after += [d for d in digests if out and d not in before]
            self._form.set_hidden('data.exclude', after)
            self._take()

    def put_together(self, first: str, second: str, together: bool) -> None:
        """Take two images for one patient's, or no more."""
        if self.recipe is not None:
            groups = [g for g in self.recipe.data.together if set(g) != {first, second}]
            groups += [(first, second)] if together else []
            self._form.set_hidden('data.together', groups)
            self._take()

    def _show(self, recipe: Recipe) -> None:
        self._setup.name.setText(recipe.card.name or recipe.name)
        self._form.show_recipe(recipe, self._base)
        self._take()

    def _take(self) -> None:
        """Take in what the form holds, or say what is wrong with it."""
        name = self._setup.name.text().strip()
        self._form.set_hidden('card.name', name)
        try:
            self.recipe = self._form.recipe
        except RecipeError as error:
            self.recipe = None
            self.changed.emit()
            if name and str(error).startswith('name '):
                self._form.mark_error('')
                self.refused.emit(f'The model {error}')
            else:
                where = self._form.mark_error(str(error))
                self.refused.emit(f'Settings, {where}: {error}' if where else str(error))
        else:
            self._form.mark_error('')
            self.changed.emit()

    def _reset(self) -> None:
        if self._base is not None:
            self._show(self._base)

    def _save(self, path: str) -> None:
        if self.recipe is not None:
            try:
                Path(path).write_text(self.recipe.to_toml(), encoding='utf-8')
            except OSError as error:
                self.refused.emit(f'The recipe could not be saved: {error.strerror}.')


def _find_plan(name_or_path: str) -> tuple[Recipe, Sweep | None]:
    """Return a recipe, or a sweep behind its base."""
    sweep = None
    if name_or_path.startswith(SWEEP_PREFIX) or _is_sweep(name_or_path):
        sweep = sweeps.find(name_or_path.removeprefix(SWEEP_PREFIX))
    recipe = sweep.base if sweep is not None else recipes.find(name_or_path)
    if sweep is not None or name_or_path in recipes.names():
        # What a shipped card says of its data is not true of a person's own.
        recipe = replace(recipe, card=CardRecipe(name=f'my-{recipe.network}'))
    return recipe, sweep


def _is_sweep(path: str) -> bool:
    """Return whether a file holds a sweep; what is wrong with it is said when it is read."""
    try:
        return 'base' in tomllib.loads(Path(path).read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return False


class RunController(QObject):
    """Keeps the run panel in step with the run under way.

    Parameters
    ----------
    panel : RunPanel
        Where the run is shown.
    session : TrainingSession
        Which does it.
    parent : QObject, optional
        Qt parent.
    """

    #: A run has been started or taken up again.
    started = Signal()
    #: The Classify dock shall be opened with this model: its name or file.
    classify_requested = Signal(str)

    def __init__(
        self, panel: RunPanel, session: TrainingSession, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._panel, self._session = panel, session
        self._name = ''  # of the model that is under way
        self._added: dict[str, str] = {}  # names in the catalog, by the path of a run's model
        # Kept, because a worker that goes may take with it what it has just told.
        self._reader: Any = None
        self._keeper: Any = None
        session.progressed.connect(self._on_event)
        session.succeeded.connect(self._finished)
        session.failed.connect(self._failed)
        session.cancelled.connect(self._stopped)
        session.ended.connect(self._ended)
        panel.stop_requested.connect(self.stop)
        panel.classify_requested.connect(self._classify)
        panel.card_requested.connect(self._show_card)
        panel.folder_requested.connect(self._open_folder)
        panel.compare_requested.connect(self._compare)

    @property
    def busy(self) -> bool:
        """Whether a run is under way."""
        return self._session.job == 'train'

    def start(self, source: str, plan: Recipe | Sweep, folder: Path, device: str) -> None:
        """Start a run, or the runs of a sweep; returns at once."""
        self._name = '' if isinstance(plan, Sweep) else plan.card.name or plan.name
        self._panel.begin(folder, len(plan.runs) if isinstance(plan, Sweep) else 0)
        self.started.emit()
        self._session.train(source, plan.to_toml(), str(folder), device)

    def resume(self, source: str, folder: Path, device: str) -> None:
        """Take up again what a folder holds; returns at once."""
        self._name = ''
        shown = folder == self._panel.folder
        known = self._panel.history if shown else RunHistory(folder.name)
        self._panel.begin(folder, resumed=known)
        self.started.emit()
        self._session.train(source, '', str(folder), device)

    def stop(self) -> None:
        """End the run after its current step; what it has learnt is kept."""
        if self.busy:
            self._panel.stopping()
            self._session.cancel()

    # -- what the run says --------------------------------------------------------------

    def _on_event(self, event: TrainingEvent) -> None:
        if self.busy:
            self._panel.add(event)
            if isinstance(event, RunsDone):
                dock_signals().run_done.emit(str(self._panel.folder), event)
            # Of several folds or runs, none is the model.
            if (
                isinstance(event, TrainingFinished)
                and event.run == self._panel.folder.name
                and event.path
            ):
                self._keeper = training_session.add_model_job(event.path, self._name)
                self._keeper.returned.connect(self._model_added)
                self._keeper.start()

    def _finished(self, job: str, _: object) -> None:
        if job == 'train':
            self._panel.finish()

    def _failed(self, job: str, failure: Failure) -> None:
        if job == 'train':
            self._panel.fail(failure.text, failure.details)

    def _stopped(self, job: str, _: object = None) -> None:
        if job == 'train':
            self._panel.stopped()

    def _ended(self, job: str) -> None:
        if job == 'train':
            dock_signals().run_done.emit(str(self._panel.folder), None)

    def _model_added(self, result: JobOutcome | Failure) -> None:
        if isinstance(result, Failure):
            self._panel.message.show_error(result.text, result.details)
            return
        path, name = result.result
        self._added[path] = name
        dock_signals().model_added.emit(name)

    # -- what the person wants ----------------------------------------------------------

    def _classify(self, path: str) -> None:
        self.classify_requested.emit(self._added.get(path, path))

    def _show_card(self, path: str) -> None:
        try:
            CardDialog(read_card(path), self._panel).show()
        except CheckpointError as error:
            self._panel.message.show_error(str(error))

    def _open_folder(self, path: str) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(path))

    def _compare(self) -> None:
        """Lay the curves of another run over these."""
        path = QFileDialog.getExistingDirectory(
            self._panel, 'Choose the folder of another run', str(self._panel.folder.parent)
        )
        if path:
            self._reader = training_session.read_run_job(path)
            self._reader.returned.connect(self._show_other)
            self._reader.start()

    def _show_other(self, result: JobOutcome | Failure) -> None:
        if isinstance(result, Failure):
            self._panel.message.show_error(result.text, result.details)
        else:
            self._panel.compare_with(result.result)
