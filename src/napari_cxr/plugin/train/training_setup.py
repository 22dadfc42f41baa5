"""Images, way to train, split and output folder of a training.

The images stand at the top of the dock, the rest on a page of its own.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import cast

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QLineEdit,
    QMenu,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_cxr.plugin.preferences import preferences, save_preferences
from napari_cxr.plugin.style import quiet_label
from napari_cxr.plugin.train.training_choices import PLAIN_CHOICES, TrainingChoices
from napari_cxr.plugin.widgets.form_fields import field_with_button
from napari_cxr.plugin.widgets.recent_paths import RecentPaths
from napari_cxr.plugin.widgets.sections import CollapsibleSection
from napari_cxr.plugin.widgets.text import ElidedComboBox, plain_tip
from napari_cxr.training import recipe as recipes
from napari_cxr.training import sweep as sweeps
from napari_cxr.training.recipe import Recipe
from napari_cxr.training.sweep import Sweep

__all__ = ['SWEEP_PREFIX', 'TrainingSetup']

#: Prefix of the names of sweeps in the list of recipes.
SWEEP_PREFIX = 'sweep: '

_TABLES = 'Tables (*.csv *.tsv);;All files (*)'
_RECIPES = 'Recipes (*.toml);;All files (*)'
#: What is said of a recipe, as it is.
_ABOUT_ROLE = Qt.ItemDataRole.UserRole + 1

_RECIPE_TIP = 'How to train. Every setting can be changed under Settings.'
#: Ways to split the images, as people choose them.
_SPLITS = {
    'auto': 'Given or by patient',
    'holdout': 'By patient, one part',
    'k-fold': 'By patient, in folds',
    'leave-source-out': 'By hospital',
    'given': 'As given in the table',
}
#: Prefixes of the recipes that are listed first; those of papers follow.
_FIRST_RECIPES = ('start-',)


class TrainingSetup(QWidget):
    """Images, recipe, name of the model, folder of the runs and device.

    Parameters
    ----------
    parent : QWidget, optional
        Qt parent.
    """

    #: Other images were chosen.
    source_changed = Signal()
    #: A built-in recipe was chosen: its name.
    recipe_chosen = Signal(str)
    #: The file of a recipe was chosen.
    recipe_opened = Signal(str)
    #: The current recipe should be saved to this file.
    recipe_saved = Signal(str)
    #: The folder of a run was chosen, to use its recipe.
    run_chosen = Signal(str)
    #: All changes to the recipe should be undone.
    reset_requested = Signal()
    #: The name of the model has changed.
    name_changed = Signal()
    #: Another way to split the images was chosen.
    split_chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._build()
        self._fill()
        self.source.editingFinished.connect(self._source_typed)
        self.recipe.activated.connect(self._recipe_activated)
        self.choices.chosen.connect(self._choose_plainly)
        self.split.activated.connect(lambda: self.split_chosen.emit(self.split.currentData()))
        self.name.textEdited.connect(self._name_typed)

    def _build(self) -> None:
        self.source = QLineEdit()
        self.source.setPlaceholderText('Folder of class folders')
        self.source.setToolTip(
            'A folder with one sub-folder for each class, or a table (CSV) with the columns '
            'path and label, and optionally patient, split and source. You can also drop it here.'
        )
        self.source.setAccessibleName('Images')
        self.browse = QToolButton()
        self.browse.setObjectName('more')
        self.browse.setText('…')
        self.browse.setAccessibleName('Choose images')
        self.browse.setToolTip('Choose a folder or a table')
        self.browse.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        where = QMenu(self.browse)
        where.addAction('Folder of images…', self.choose_folder)
        where.addAction('Table (CSV)…', self.choose_table)
        where.addSeparator()
        where.addAction('Read again', self.source_changed.emit)
        self.recent = RecentPaths('train', where, self.set_source)
        self.browse.setMenu(where)
        self.recipe = ElidedComboBox(_RECIPE_TIP)
        self.recipe.setAccessibleName('Recipe')
        self.recipe.currentIndexChanged.connect(self._update_tooltip)
        names = self.recipe.view()
        if names is not None:  # titles are longer than the width of a dock
            names.setMinimumWidth(460)
        self.more = QToolButton()
        self.more.setObjectName('more')
        self.more.setText('⋯')
        self.more.setAccessibleName('Open or save a recipe')
        self.more.setToolTip('Open or save a recipe, or use that of a run')
        self.more.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(self.more)
        menu.addAction('Open recipe…', self.open_recipe)
        menu.addAction('Save recipe as…', self.save_recipe)
        menu.addAction('Load settings from run…', self.choose_run)
        menu.addSeparator()
        menu.addAction('Undo all changes', self.reset_requested.emit)
        self.more.setMenu(menu)
        self.name = QLineEdit()
        self.name.setToolTip('Name of the model in the Classify dock: letters, digits and ._+-')
        self.name.setAccessibleName('Name of the model')
        self.out = QLineEdit()
        self.out.setToolTip('Each run gets its own folder in this one')
        self.out.setAccessibleName('Folder of the runs')
        self.choose_out = QToolButton()
        self.choose_out.setObjectName('more')
        self.choose_out.setText('…')
        self.choose_out.setAccessibleName('Choose the folder of the runs')
        self.choose_out.setToolTip('Choose where runs are saved')
        self.choose_out.clicked.connect(self._choose_out)
        self.device = QComboBox()
        self.device.setToolTip('Where the network is trained')
        self.device.addItem('Automatic', 'auto')
        self.device.addItem('CPU', 'cpu')
        gpu = ('Apple GPU', 'mps') if sys.platform == 'darwin' else ('CUDA GPU', 'cuda')
        self.device.addItem(*gpu)
        self.split = ElidedComboBox(
            'Which images are trained on, which choose the epoch, and which test the model. '
            'Fractions and folds are under Settings, Split.'
        )
        for method, text in _SPLITS.items():
            self.split.addItem(text, method)
        self.split.setAccessibleName('Split')
        self.choices = TrainingChoices()
        self.about = quiet_label()
        self.about.setIndent(0)
        self.papers = CollapsibleSection('From the papers', open_=False)
        self.papers.body.addWidget(field_with_button(self.recipe, self.more))
        self.papers.body.addWidget(self.about)
        #: All but the images.
        self.method = QWidget()
        fields = _form()
        fields.addRow('Model name', self.name)
        fields.addRow('Split', self.split)
        fields.addRow('Save runs in', field_with_button(self.out, self.choose_out))
        fields.addRow('Device', self.device)
        page = QVBoxLayout(self.method)
        page.setContentsMargins(0, 0, 0, 0)
        page.setSpacing(8)
        page.addWidget(self.choices)
        page.addWidget(self.papers)
        page.addLayout(fields)
        form = _form()
        self.setLayout(form)
        form.addRow('Images', field_with_button(self.source, self.browse))
        # If there is little height, the tabs below shrink, because they can be scrolled.
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)

    def _fill(self) -> None:
        chosen = preferences('train')
        names = recipes.names()
        starting = [name for name in names if name.startswith(_FIRST_RECIPES)]
        starting.sort(key=lambda name: [*PLAIN_CHOICES, name].index(name))
        for group in (starting, [name for name in names if name not in starting]):
            for name in group:
                self.add_recipe(name, recipes.find(name))
            self.recipe.insertSeparator(self.recipe.count())
        for name in sweeps.names():
            self.add_recipe(f'{SWEEP_PREFIX}{name}', sweeps.find(name))
        self.recipe.setCurrentIndex(max(self.recipe.findData(chosen.recipe), 0))
        self.source.setText(chosen.images)
        self.out.setPlaceholderText(_default_folder())
        self.out.setText(chosen.runs or _default_folder())
        self.device.setCurrentIndex(max(self.device.findData(chosen.device), 0))

    def add_recipe(self, name: str, recipe: Recipe | Sweep) -> None:
        """Offer a recipe or a sweep, under its title."""
        if self.recipe.findData(name) >= 0:
            return
        self.recipe.addItem(recipe.title or recipe.name, name)
        about = f'{name}\n{recipe.paper}'.strip()
        place = self.recipe.count() - 1
        self.recipe.setItemData(place, plain_tip(about), Qt.ItemDataRole.ToolTipRole)
        self.recipe.setItemData(place, about, _ABOUT_ROLE)

    @property
    def current_source(self) -> str:
        """The folder or table, or an empty string."""
        return str(self.source.text().strip())

    @property
    def current_recipe(self) -> str:
        """Name or path of the recipe, or name of a sweep after `SWEEP_PREFIX`."""
        return cast(str, self.recipe.currentData() or '')

    @property
    def current_device(self) -> str:
        """The chosen device: 'auto', 'cpu', 'cuda' or 'mps'."""
        return cast(str, self.device.currentData())

    def new_run_folder(self) -> Path:
        """Return a folder that does not exist yet, named after the model."""
        parent = Path(self.out.text().strip() or _default_folder()).expanduser().absolute()
        name = self.name.text().strip() or 'run'
        number = 1
        while (parent / f'{name}-{number}').exists():
            number += 1
        return parent / f'{name}-{number}'

    def keep(self) -> None:
        """Save the choices for the next session."""
        self.recent.remember(self.current_source)
        save_preferences(
            'train',
            images=self.current_source,
            recipe=self.current_recipe,
            runs=self.out.text().strip(),
            device=self.current_device,
        )

    def set_source(self, path: str) -> None:
        """Use a folder or table."""
        self.source.setText(path)
        self.source_changed.emit()

    def choose_folder(self) -> None:
        """Ask for a folder of images."""
        path = QFileDialog.getExistingDirectory(
            self, 'Choose a folder with a sub-folder per class', self.current_source
        )
        if path:
            self.set_source(path)

    def choose_table(self) -> None:
        """Ask for a table of images."""
        path, _ = QFileDialog.getOpenFileName(
            self, 'Choose a table of images', self.current_source, _TABLES
        )
        if path:
            self.set_source(path)

    def open_recipe(self) -> None:
        """Ask for the file of a recipe."""
        path, _ = QFileDialog.getOpenFileName(self, 'Open a recipe', '', _RECIPES)
        if path:
            self.recipe_opened.emit(path)

    def save_recipe(self) -> None:
        """Ask where to save the current recipe."""
        name = f'{self.name.text().strip() or "recipe"}.toml'
        path, _ = QFileDialog.getSaveFileName(self, 'Save the recipe', name, _RECIPES)
        if path:
            self.recipe_saved.emit(path)

    def choose_run(self) -> None:
        """Ask for the folder of a run."""
        path = QFileDialog.getExistingDirectory(
            self, 'Choose the folder of a run', self.out.text().strip()
        )
        if path:
            self.run_chosen.emit(path)

    def choose_recipe(self, data: str) -> None:
        """Choose a recipe in the list without emitting a signal."""
        with QSignalBlocker(self.recipe):
            self.recipe.setCurrentIndex(self.recipe.findData(data))
        self._update_tooltip()

    def _choose_out(self) -> None:
        path = QFileDialog.getExistingDirectory(
            self, 'Choose where runs are saved', self.out.text().strip()
        )
        if path:
            self.out.setText(path)

    def _source_typed(self) -> None:
        if self.source.isModified():
            self.source.setModified(False)
            self.source_changed.emit()

    def _update_tooltip(self) -> None:
        """Show the full name of the recipe in the tooltip."""
        about = (self.recipe.currentText(), self.recipe.currentData(_ABOUT_ROLE), _RECIPE_TIP)
        self.recipe.setToolTip(plain_tip('\n'.join(part for part in about if part)))
        _, _, paper = (self.recipe.currentData(_ABOUT_ROLE) or '').partition('\n')
        self.about.setText(paper)
        self.about.setVisible(bool(paper))
        plain = self.current_recipe in PLAIN_CHOICES
        self.choices.show_choice(self.current_recipe)
        self.papers.set_summary('' if plain else self.recipe.currentText())

    def _name_typed(self, text: str) -> None:
        if ' ' in text:  # it becomes a file name
            at = self.name.cursorPosition()
            self.name.setText(text.replace(' ', '-'))
            self.name.setCursorPosition(at)
        self.name_changed.emit()

    def show_split(self, method: str) -> None:
        """Show how the current recipe splits the images."""
        self.split.setCurrentIndex(max(self.split.findData(method), 0))

    def _choose_plainly(self, name: str) -> None:
        self.choose_recipe(name)
        self.recipe_chosen.emit(name)

    def _recipe_activated(self) -> None:
        if self.current_recipe:
            self.recipe_chosen.emit(self.current_recipe)


def _form() -> QFormLayout:
    form = QFormLayout()
    form.setContentsMargins(0, 0, 0, 0)
    form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    return form


def _default_folder() -> str:
    return str(Path.home() / 'napari-cxr-runs')
