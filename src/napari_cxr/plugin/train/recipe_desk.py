"""The recipe that the Train dock is about to run: chosen, changed, kept."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from qtpy.QtCore import QObject, Signal

from napari_cxr.plugin.train import drafts
from napari_cxr.plugin.train.recipe_form import RecipeForm
from napari_cxr.plugin.train.setup import SWEEP, TrainSetup
from napari_cxr.scoring.reading.folders import PATIENT_PATTERN
from napari_cxr.training import recipe as recipes
from napari_cxr.training import sweep as sweeps
from napari_cxr.training.recipe import CardRecipe, Recipe, RecipeError
from napari_cxr.training.sweep import Sweep

__all__ = ['RecipeDesk']


class RecipeDesk(QObject):
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

    def __init__(self, setup: TrainSetup, form: RecipeForm, parent: QObject | None = None) -> None:
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
        setup.reset_wanted.connect(self._reset)
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
    def divides_alike(self) -> bool:
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
            base, sweep = _found(name_or_path)
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
        draft = drafts.recall(source) if source else None
        if draft is None:
            self._form.set_hidden('data.exclude', ())
            self._form.set_hidden('data.together', ())
            self._take()
            return
        if draft.name in recipes.names() and self.sweep is None:
            self._base, _ = _found(draft.name)
            self._setup.choose_recipe(draft.name)
        self._show(draft)

    def find_patients(self, pattern: str) -> None:
        """Find the patient in names that we gave, or do so no longer; a person's pattern stays."""
        if self.recipe is not None and (pattern or self.recipe.data.patient == PATIENT_PATTERN):
            data = replace(self.recipe.data, patient=pattern)
            self._show(replace(self.recipe, data=data))

    def keep(self, source: str) -> None:
        """Keep what is set up for these images."""
        if self.recipe is not None and source:
            drafts.keep(source, self.recipe)

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
                self._form.point_at('')
                self.refused.emit(f'The model {error}')
            else:
                where = self._form.point_at(str(error))
                self.refused.emit(f'Settings, {where}: {error}' if where else str(error))
        else:
            self._form.point_at('')
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


def _found(name_or_path: str) -> tuple[Recipe, Sweep | None]:
    """Return a recipe, or a sweep behind its base."""
    sweep = None
    if name_or_path.startswith(SWEEP) or _is_sweep(name_or_path):
        sweep = sweeps.find(name_or_path.removeprefix(SWEEP))
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
