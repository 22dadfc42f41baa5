"""A screen reader finds a name for whatever can be typed into, chosen, moved or pressed."""

import pytest
from napari.components import ViewerModel
from napari.qt import get_stylesheet
from npe2 import PluginManager
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSpinBox,
    QCheckBox,
    QComboBox,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QProgressBar,
    QPushButton,
    QRadioButton,
    QSlider,
    QTabBar,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_cxr.plugin.style import style_sheet

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


@pytest.mark.parametrize('theme', ['dark', 'light'])
def test_what_has_the_keyboard_is_seen(theme, qtbot):
    window = QWidget()
    qtbot.addWidget(window)
    window.setStyleSheet(get_stylesheet(theme) + style_sheet(theme))
    layout = QVBoxLayout(window)
    accent, more = QPushButton('Classify'), QToolButton()
    accent.setObjectName('accent')
    more.setObjectName('more')
    kinds = QPushButton, QComboBox, QCheckBox, QRadioButton, QSlider
    parts = [accent, more, *(kind() for kind in kinds)]
    other = QLineEdit()
    for part in (*parts, other):
        layout.addWidget(part)
        part.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    with qtbot.waitExposed(window):
        window.show()
    window.activateWindow()
    for part in parts:
        other.setFocus()
        qtbot.waitUntil(other.hasFocus)
        before, place = part.grab().toImage(), part.geometry()
        part.setFocus(Qt.FocusReason.TabFocusReason)
        qtbot.waitUntil(part.hasFocus)
        after = part.grab().toImage()
        assert part.geometry() == place
        pixels = [(x, y) for x in range(after.width()) for y in range(after.height())]
        changed = sum(before.pixel(*at) != after.pixel(*at) for at in pixels)
        assert changed > 0.3 * len(pixels), type(part).__name__
