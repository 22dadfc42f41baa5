"""Controllers of the Train dock: one for the recipe in setup and form, one for the run.

The recipe that was last set up for a folder is saved on disk for the next session of napari.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from qtpy.QtCore import QObject, QUrl, Signal
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QFileDialog

from napari_cxr.checkpoint import CheckpointError, read_card
from napari_cxr.plugin.background import Failure, JobOutcome, run_job
from napari_cxr.plugin.docks import dock_signals
from napari_cxr.plugin.runs.run_files import read_run_histories
from napari_cxr.plugin.runs.run_panel import RunPanel
from napari_cxr.plugin.runs.training_history import RunHistory
from napari_cxr.plugin.train.recipe_form import RecipeForm
from napari_cxr.plugin.train.training_choices import PLAIN_CHOICES
from napari_cxr.plugin.train.training_session import TrainingSession, add_model
from napari_cxr.plugin.train.training_setup import SWEEP_PREFIX, TrainingSetup
from napari_cxr.plugin.widgets.model_selector import CardDialog
from napari_cxr.scoring.annotation.folder_export import PATIENT_PATTERN
from napari_cxr.settings_file import read_settings, read_toml
from napari_cxr.training import recipe as recipes
from napari_cxr.training import sweep as sweeps
from napari_cxr.training.recipe import CardRecipe, Recipe, RecipeError
from napari_cxr.training.sweep import Sweep
from napari_cxr.training.training_events import RunsDone, TrainingEvent, TrainingFinished

__all__ = ['RecipeController', 'RunController', 'audit_folder', 'load_draft', 'save_draft']


def save_draft(source: str, recipe: Recipe) -> None:
    """Save the recipe that was set up for a folder or table; a full disk is not an error."""
    path = _draft_path(source)
    part = path.with_suffix('.part')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(recipe.to_toml(), encoding='utf-8')
        os.replace(part, path)
    except OSError:
        part.unlink(missing_ok=True)


def load_draft(source: str) -> Recipe | None:
    """Return the recipe that was saved for a folder or table, if there is one."""
    try:
        return Recipe.from_toml(read_settings(_draft_path(source)))
    except (OSError, ValueError, RecipeError):
        return None


def _draft_path(source: str) -> Path:
    return _kept_for(source, 'drafts').with_suffix('.toml')


def audit_folder(source: str) -> Path:
    """Return where the audit of a folder or table is kept."""
    return _kept_for(source, 'audits')


def _kept_for(source: str, what: str) -> Path:
    from platformdirs import user_data_path

    # It is not named after the folder, whose name may contain patient identity.
    name = hashlib.sha256(str(Path(source).resolve()).encode()).hexdigest()[:20]
    return user_data_path('napari-cxr', appauthor=False) / what / name


class RecipeController(QObject):
    """Holds the recipe, as chosen in the setup and edited in the form.

    Parameters
    ----------
    setup : TrainingSetup
        Where it is chosen.
    form : RecipeForm
        Where it is edited.
    parent : QObject, optional
        Qt parent.
    """

    #: The recipe has changed; it is None if an entry is not valid.
    changed = Signal()
    #: A request was refused: the reason in one sentence.
    refused = Signal(str)

    def __init__(
        self, setup: TrainingSetup, form: RecipeForm, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._setup, self._form = setup, form
        #: The current recipe; None while an entry is not valid.
        self.recipe: Recipe | None = None
        #: The sweep whose base is the current recipe, or None.
        self.sweep: Sweep | None = None
        self._base: Recipe | None = None
        self._chosen = ''
        self._own_name = ''  # that a person has typed stays when another recipe is chosen
        setup.recipe_chosen.connect(self.choose)
        setup.recipe_opened.connect(self.choose)
        setup.recipe_saved.connect(self._save)
        setup.reset_requested.connect(self._reset)
        setup.name_changed.connect(self._name_typed)
        setup.split_chosen.connect(partial(form.set_entry, 'split.method'))
        form.changed.connect(self._read_form)

    @property
    def plan(self) -> Recipe | Sweep | None:
        """What Train would run."""
        if self.recipe is None or self.sweep is None:
            return self.recipe
        # Changes in the form apply to every run.
        return self.sweep.with_changes(self.sweep.base.differences(self.recipe))

    @property
    def splits_are_equal(self) -> bool:
        """Whether all runs of the plan split the images as the current recipe does."""
        plan = self.plan
        if not isinstance(plan, Sweep):
            return True
        searched = plan.search.ranges if plan.search is not None else ()
        return not any(key.startswith(('data.', 'split.')) for key in searched) and all(
            (run.recipe.data, run.recipe.split) == (plan.base.data, plan.base.split)
            for run in plan.runs
        )

    def choose(self, name_or_path: str) -> None:
        """Choose a recipe or a sweep: a built-in one by its name, or one from a file."""
        try:
            base, sweep = _find_plan(name_or_path)
        except RecipeError as error:
            self.refused.emit(str(error))
            return
        self.sweep = sweep
        self._setup.add_recipe(name_or_path, base)
        self._setup.choose_recipe(name_or_path)
        if self.recipe is not None:
            # Another recipe does not undo which images were left out.
            before = self.recipe.data
            data = replace(base.data, exclude=before.exclude, together=before.together)
            base = replace(base, data=data)
            if {name_or_path, self._chosen} <= set(PLAIN_CHOICES):  # nor how they are split
                base = replace(base, split=self.recipe.split)
        self._chosen = name_or_path
        self._base = base
        self._show(base)

    def open_source(self, source: str) -> None:
        """Load what was last set up for these images; otherwise discard exclusions of others."""
        draft = load_draft(source) if source else None
        if draft is not None:
            self._own_name = ''
        if draft is None:
            self._form.set_hidden('data.exclude', ())
            self._form.set_hidden('data.together', ())
            self._read_form()
            return
        if draft.name in recipes.names() and self.sweep is None:
            self._base, _ = _find_plan(draft.name)
            self._setup.choose_recipe(draft.name)
        self._show(draft)

    def find_patients(self, pattern: str) -> None:
        """Set the pattern of patients in file names; a pattern of the user's own is kept."""
        if self.recipe is not None and (pattern or self.recipe.data.patient == PATIENT_PATTERN):
            data = replace(self.recipe.data, patient=pattern)
            self._show(replace(self.recipe, data=data))

    def save_draft_for(self, source: str) -> None:
        """Save the current recipe for these images."""
        if self.recipe is not None and source:
            save_draft(source, self.recipe)

    def leave_out(self, digests: Sequence[str], out: bool) -> None:
        """Exclude images, or include them again."""
        if self.recipe is not None:
            before = self.recipe.data.exclude
            after = [d for d in before if out or d not in digests]
            after += [d for d in digests if out and d not in before]
            self._form.set_hidden('data.exclude', after)
            self._read_form()

    def put_together(self, first: str, second: str, together: bool) -> None:
        """Treat two images as the same patient's, or no longer."""
        if self.recipe is not None:
            groups = [g for g in self.recipe.data.together if set(g) != {first, second}]
            groups += [(first, second)] if together else []
            self._form.set_hidden('data.together', groups)
            self._read_form()

    def _name_typed(self) -> None:
        self._own_name = self._setup.name.text().strip()
        self._read_form()

    def _show(self, recipe: Recipe) -> None:
        self._setup.name.setText(self._own_name or recipe.card.name or recipe.name)
        self._form.show_recipe(recipe, self._base)
        self._read_form()

    def _read_form(self) -> None:
        """Read the recipe from the form, or report what is wrong with it."""
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
                field = self._form.mark_error(str(error))
                self.refused.emit(f'Settings, {field}: {error}' if field else str(error))
        else:
            self._form.mark_error('')
            self._setup.show_split(self.recipe.split.method)
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
        # The card of a built-in recipe describes other data.
        recipe = replace(recipe, card=CardRecipe(name=f'my-{recipe.network}'))
    return recipe, sweep


def _is_sweep(path: str) -> bool:
    """Return whether a file holds a sweep; errors in it are reported when it is loaded."""
    try:
        return 'base' in read_toml(path)
    except (OSError, ValueError):
        return False


class RunController(QObject):
    """Starts runs, and shows the current one in the run panel.

    Parameters
    ----------
    panel : RunPanel
        Where the run is shown.
    session : TrainingSession
        Executes it.
    parent : QObject, optional
        Qt parent.
    """

    #: A run was started or resumed.
    started = Signal()
    #: The Classify dock should be opened with this model: its name or file.
    classify_requested = Signal(str)

    def __init__(
        self, panel: RunPanel, session: TrainingSession, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._panel, self._session = panel, session
        self._name = ''  # of the model that is being trained
        self._added: dict[str, str] = {}  # names in the catalog, by the path of a run's model
        session.progressed.connect(self._on_event)
        session.succeeded.connect(self._job_succeeded)
        session.failed.connect(self._job_failed)
        session.cancelled.connect(self._job_cancelled)
        session.ended.connect(self._job_ended)
        panel.stop_requested.connect(self.stop)
        panel.classify_requested.connect(self._classify)
        panel.card_requested.connect(self._show_card)
        panel.folder_requested.connect(self._open_folder)
        panel.compare_requested.connect(self._compare)

    @property
    def busy(self) -> bool:
        """Whether a run is in progress."""
        return self._session.job == 'train'

    def start(self, source: str, plan: Recipe | Sweep, folder: Path, device: str) -> None:
        """Start a run, or the runs of a sweep; returns at once."""
        self._name = '' if isinstance(plan, Sweep) else plan.card.name or plan.name
        runs = len(plan.runs) if isinstance(plan, Sweep) else 0
        self._panel.begin(folder, runs)
        self.started.emit()
        self._session.train(source, plan.to_toml(), str(folder), device, runs)

    def resume(self, source: str, folder: Path, device: str, epochs: int = 0) -> None:
        """Resume the run in a folder, or let it go on to so many epochs; returns at once."""
        self._name = ''
        is_shown = folder == self._panel.folder
        history = self._panel.history if is_shown else RunHistory(folder.name)
        self._panel.begin(folder, resumed=history)
        self.started.emit()
        self._session.train(source, '', str(folder), device, epochs=epochs)

    def stop(self) -> None:
        """Stop the run after its current step; the model so far is kept."""
        if self.busy:
            self._panel.stopping()
            self._session.cancel()

    # -- events -------------------------------------------------------------------------

    def _on_event(self, event: TrainingEvent) -> None:
        if self.busy:
            self._panel.add(event)
            if isinstance(event, RunsDone):
                dock_signals().run_done.emit(str(self._panel.folder), event)
            # Of several folds or runs, none is the result.
            if (
                isinstance(event, TrainingFinished)
                and event.run == self._panel.folder.name
                and event.path
            ):
                adding = partial(add_model, event.path, self._name)
                run_job(self, adding, 'Adding the model', done=self._model_added)

    def _job_succeeded(self, job: str, _: object) -> None:
        if job == 'train':
            self._panel.finish()

    def _job_failed(self, job: str, failure: Failure) -> None:
        if job == 'train':
            self._panel.fail(failure.text, failure.details)

    def _job_cancelled(self, job: str, _: object = None) -> None:
        if job == 'train':
            self._panel.stopped()

    def _job_ended(self, job: str) -> None:
        if job == 'train':
            dock_signals().run_done.emit(str(self._panel.folder), None)

    def _model_added(self, outcome: JobOutcome | Failure) -> None:
        if isinstance(outcome, Failure):
            self._panel.message.show_error(outcome.text, outcome.details)
            return
        path, name = outcome.result
        self._added[path] = name
        dock_signals().model_added.emit(name)

    # -- actions ------------------------------------------------------------------------

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
        """Add the curves of another run."""
        path = QFileDialog.getExistingDirectory(
            self._panel, 'Choose the folder of another run', str(self._panel.folder.parent)
        )
        if path:
            reading = partial(read_run_histories, [Path(path)])
            run_job(self, reading, 'Reading the run', done=self._show_other)

    def _show_other(self, outcome: JobOutcome) -> None:
        (found,) = outcome.result.values()
        if isinstance(found, Failure):
            self._panel.message.show_error(found.text, found.details)
        else:
            self._panel.compare_with(found)
