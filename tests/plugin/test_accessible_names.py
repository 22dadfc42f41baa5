"""A screen reader finds a name for whatever can be typed into, chosen, moved or pressed."""

import pytest
from napari.components import ViewerModel
from npe2 import PluginManager
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSpinBox,
    QComboBox,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QProgressBar,
    QSlider,
    QTabBar,
)

NAMED = (
    *(QAbstractButton, QAbstractItemView, QAbstractSpinBox, QComboBox, QLineEdit),
    *(QPlainTextEdit, QSlider),
)


def docks():
    manifest = PluginManager.instance().get_manifest('napari-cxr')
    return {one.display_name: one for one in manifest.contributions.widgets}


def is_named(widget, buddies):
    text = widget.text() if isinstance(widget, QAbstractButton) else ''
    shown = any(letter.isalpha() for letter in text)
    return bool(widget.accessibleName()) or shown or widget in buddies


@pytest.mark.parametrize(
    'name',
    ['Classify chest radiograph', 'Feature maps', 'Score a folder', 'Train a classifier',
     'Training runs', 'Open with options', 'Save picture', 'Mark findings', 'Evaluate a model',
     'Chest radiograph', 'Studies', 'Header tags'],
)  # fmt: skip
def test_everything_has_a_name(name, qtbot, own_plugin, models, settled_threads):
    dock = docks()[name].get_callable()(ViewerModel())
    qtbot.addWidget(dock)
    buddies = {label.buddy() for label in dock.findChildren(QLabel)}
    unnamed = [
        f'{type(widget).__name__} {widget.toolTip()!r}'
        for widget in dock.findChildren((*NAMED, QProgressBar))
        # Qt's own parts of other widgets.
        if not isinstance(
            widget.parent(),
            (QAbstractItemView, QAbstractSpinBox, QComboBox, QLineEdit, QTabBar),
        )
        and not isinstance(widget.parent().parent(), QComboBox)
        and not widget.objectName().startswith('qt_')
        and not is_named(widget, buddies)
    ]
    assert unnamed == []
