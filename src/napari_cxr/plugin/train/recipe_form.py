"""Every entry of a recipe as a field, in collapsible sections."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtGui import QFontMetrics
from qtpy.QtWidgets import QFormLayout, QLabel, QVBoxLayout, QWidget

from napari_cxr.plugin.widgets.form_fields import ValueField, create_value_field
from napari_cxr.plugin.widgets.sections import CollapsibleSection
from napari_cxr.plugin.widgets.text import PlainLabel
from napari_cxr.training.recipe import Recipe
from napari_cxr.training.recipe.schema import field_descriptions, field_label

__all__ = ['RecipeForm']

#: The sections: title, and table in the recipe.
_SECTIONS = (
    ('Run', ''),
    ('Images', 'data'),
    ('Splits', 'split'),
    ('Network input', 'input'),
    ('Augmentation', 'augmentation'),
    ('Head', 'head'),
    ('Freezing', 'freeze'),
    ('Optimiser', 'optimiser'),
    ('Learning rate', 'schedule'),
    ('Loss', 'loss'),
    ('Early stopping', 'stopping'),
    ('Best epoch', 'selection'),
    ('Probabilities', 'calibration'),
    ('Model card', 'card'),
)
#: Entries that are edited in the list of images or elsewhere in the dock.
_EDITED_ELSEWHERE = {'data.exclude', 'data.together', 'card.name'}
#: Initial suggestions; other texts can be typed.
_SUGGESTIONS = {'weights': ('random', 'pretrained'), 'network': ('resnet18',)}


class RecipeForm(QWidget):
    """Shows a recipe, in which each entry can be edited.

    Parameters
    ----------
    parent : QWidget, optional
        Qt parent.
    """

    #: An entry was edited; `recipe` may raise now.
    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._fields: dict[str, ValueField] = {}
        self._labels: dict[str, QLabel] = {}
        self._sections: dict[str, CollapsibleSection] = {}
        self._base: dict[str, Any] = {}
        self._hidden: dict[str, Any] = {}
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        for title, table in _SECTIONS:
            section = CollapsibleSection(title, open_=False)
            self._sections[table] = section
            layout.addWidget(section)
            section.body.addLayout(self._fields_of(table))
        # The same label width in all sections, so that the fields are aligned.
        bold = self.font()
        bold.setBold(True)  # like entries that were changed
        metrics = QFontMetrics(bold)
        labels = self._labels.values()
        width = max(metrics.horizontalAdvance(label.text()) for label in labels) + 12
        for label in labels:
            label.setFixedWidth(width)
        self._sections[''].set_open(True)
        layout.addStretch(1)

    def _fields_of(self, table: str) -> QFormLayout:
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.setVerticalSpacing(5)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        kinds = typing.get_type_hints(Recipe)
        cls = kinds[table] if table else Recipe
        kinds = typing.get_type_hints(cls)
        words = field_descriptions(cls)
        for item in dataclasses.fields(cls):
            key = f'{table}.{item.name}' if table else item.name
            if dataclasses.is_dataclass(kinds[item.name]) or key in _EDITED_ELSEWHERE:
                continue
            field = create_value_field(kinds[item.name], _SUGGESTIONS.get(key, ()))
            label = PlainLabel(field_label(item.name))
            tip = f'<p>{words[item.name]}</p><p><i>{key}</i></p>'
            for widget in (label, field, field.editor):
                widget.setToolTip(tip)
            field.editor.setAccessibleName(field_label(item.name))
            field.changed.connect(self._field_changed)
            form.addRow(label, field)
            self._fields[key], self._labels[key] = field, label
        return form

    def offer(self, key: str, choices: Sequence[str]) -> None:
        """Set the suggestions of a field, for instance names of networks."""
        self._fields[key].offer(choices)  # type: ignore[attr-defined]

    def show_recipe(self, recipe: Recipe, base: Recipe | None = None) -> None:
        """Show a recipe.

        Parameters
        ----------
        recipe : Recipe
            The recipe.
        base : Recipe, optional
            The recipe with which it is compared, to mark changes; itself by default.
        """
        values = recipe.to_dict()
        self._base = (base or recipe).to_dict()
        self._hidden = {key: _value_at(values, key) for key in _EDITED_ELSEWHERE}
        for key, field in self._fields.items():
            field.show_value(_value_at(values, key))
        self._mark()

    @property
    def recipe(self) -> Recipe:
        """The current recipe.

        Raises
        ------
        RecipeError
            If an entry is not valid; the message names it.
        """
        values: dict[str, Any] = {}
        everything = {key: field.value for key, field in self._fields.items()}
        for key, value in (everything | self._hidden).items():
            table, _, name = key.rpartition('.')
            (values.setdefault(table, {}) if table else values)[name] = value
        return Recipe.from_dict(values)

    def set_hidden(self, key: str, value: Any) -> None:
        """Set an entry that has no field here."""
        self._hidden[key] = value

    def set_entry(self, key: str, value: Any) -> None:
        """Set an entry that has a field here, as if it were edited."""
        self._fields[key].show_value(value)
        self._field_changed()

    def mark_error(self, refusal: str) -> str:
        """Mark the entry that an error names, and expand its section.

        Parameters
        ----------
        refusal : str
            Message of a `RecipeError`, which starts with the entry's key; empty removes the
            mark.

        Returns
        -------
        str
            Where the field is found, for instance 'Optimiser, Learning rate'; empty where
            it has no field here.
        """
        words = refusal.split()
        key = words[0].rstrip(':,') if words else ''
        for at, label in self._labels.items():
            _set_wrong(label, at == key)
        if key not in self._labels:
            return ''
        section = self._sections[key.rpartition('.')[0]]
        section.set_open(True)
        return f'{section.title}, {self._labels[key].text()}'

    def _field_changed(self) -> None:
        self._mark()
        self.changed.emit()

    def _mark(self) -> None:
        """Set changed entries in bold, and count them beside the titles of the sections."""
        counts = dict.fromkeys(self._sections, 0)
        for key, field in self._fields.items():
            different = _plain(field.value) != _plain(_value_at(self._base, key))
            font = self._labels[key].font()
            font.setBold(different)
            self._labels[key].setFont(font)
            counts[key.rpartition('.')[0]] += different
        for table, section in self._sections.items():
            section.set_summary(f'{counts[table]} changed' if counts[table] else '')


def _set_wrong(label: QLabel, wrong: bool) -> None:
    """Show a label in the colour of errors, or in the normal colour."""
    if bool(label.property('wrong')) != wrong:
        label.setProperty('wrong', wrong)
        if (style := label.style()) is not None:
            style.unpolish(label)
            style.polish(label)


def _value_at(values: dict[str, Any], key: str) -> Any:
    for step in key.split('.'):
        values = values[step]
    return values


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
