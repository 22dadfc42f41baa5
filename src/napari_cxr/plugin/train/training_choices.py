"""Three plain ways to train, each with what it would cost here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QButtonGroup, QLabel, QRadioButton, QVBoxLayout, QWidget

from napari_cxr.plugin.style import keep_space, quiet_label
from napari_cxr.plugin.widgets.text import plain_tip
from napari_cxr.training import recipe as recipes
from napari_cxr.training.recipe import Recipe
from napari_cxr.training.training_costs import (
    TrainingCosts,
    cost_text,
    estimate_costs,
    measure_speed,
)

__all__ = ['PLAIN_CHOICES', 'TrainingChoices', 'plain_costs']

#: Recipes behind the plain choices: what they are called, and what they are good for.
PLAIN_CHOICES = {
    'start-bundled': (
        'Quick: new last layer',
        (
            'The bundled ResNet-10 stays as it is, and a new last layer learns your classes. Try '
            'this first.'
        ),
    ),
    'start-fine-tuning': (
        'Fine-tune',
        (
            'A ResNet-50 that knows photographs goes on learning with your images. For some '
            'hundred images of each class, or more.'
        ),
    ),
    'start-from-scratch': (
        'From scratch',
        'A ResNet-18 learns from your images alone. For thousands of images.',
    ),
}

#: Images for which costs are stated while none are chosen.
_PER = 1000


class TrainingChoices(QWidget):
    """Three buttons of which one is chosen, or none while another recipe is.

    Parameters
    ----------
    parent : QWidget, optional
        Qt parent.
    """

    #: A recipe was chosen: its name.
    chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._group = QButtonGroup(self)
        self.buttons: dict[str, QRadioButton] = {}
        self.costs: dict[str, QLabel] = {}
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(1)
        for name, (title, about) in PLAIN_CHOICES.items():
            button = QRadioButton(title)
            button.setToolTip(plain_tip(about))
            button.clicked.connect(lambda _=False, name=name: self.chosen.emit(name))
            cost = quiet_label('measuring…')
            cost.setIndent(0)
            cost.setContentsMargins(22, 0, 0, 0)
            cost.setAlignment(Qt.AlignmentFlag.AlignTop)
            keep_space(cost, lines=2)  # what comes by itself moves nothing
            cost.setToolTip(plain_tip(about))
            self._group.addButton(button)
            self.buttons[name], self.costs[name] = button, cost
            layout.addWidget(button)
            layout.addWidget(cost)
        self.note = quiet_label()
        self.note.setIndent(0)
        keep_space(self.note, lines=1)
        layout.addWidget(self.note)

    def show_choice(self, recipe: str) -> None:
        """Mark the button of a recipe; none if it has none."""
        self._group.setExclusive(False)
        for name, button in self.buttons.items():
            button.setChecked(name == recipe)
        self._group.setExclusive(True)

    def show_costs(self, costs: Mapping[str, TrainingCosts | None], *, gpu: bool) -> None:
        """Show what each would cost on the processor, and that a GPU is faster."""
        self.note.setText('These are times without the GPU; with it they are shorter.' * gpu)
        for name, found in costs.items():
            text = '' if found is None else cost_text(found)
            if found is not None and found.images == _PER:
                text = f'For 1,000 images: {text}'
            self.costs[name].setText(text)
            title, about = PLAIN_CHOICES[name]
            self.buttons[name].setAccessibleName(title)
            self.buttons[name].setAccessibleDescription(f'{about} {text}')


def plain_costs(
    images: int, read: bool, split: Recipe | None = None
) -> dict[str, TrainingCosts | None]:
    """Measure this machine and return what the plain choices would cost; for a job.

    Parameters
    ----------
    images : int
        How many there are; 0 if that is unknown.
    read : bool
        Whether they are read already.
    split : Recipe, optional
        The recipe whose split a person has chosen.
    """
    speed = measure_speed()
    out = {}
    for name in PLAIN_CHOICES:
        recipe = recipes.find(name)
        if split is not None:
            recipe = replace(recipe, split=split.split)
        out[name] = estimate_costs(recipe, images or _PER, speed, read=read and bool(images))
    return out
