"""Every dock at 320 pixels and with larger letters: no word of a label or button is cut off."""

import os
from contextlib import suppress

import pytest
from made_up_lungs import made_up_answer
from made_up_scores import scored
from napari.components import ViewerModel
from napari.qt import get_stylesheet
from npe2 import PluginManager
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QAbstractSpinBox,
    QApplication,
    QCheckBox,
    QComboBox,
    QLabel,
    QLineEdit,
    QPushButton,
    QRadioButton,
    QStyle,
    QStyleOptionComboBox,
    QTabBar,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_cxr.plugin.annotation.annotation_panel import AnnotationPanel
from napari_cxr.plugin.classify.result_view import ResultView
from napari_cxr.plugin.style import style_sheet
from napari_cxr.plugin.widgets.sections import scrollable
from napari_cxr.plugin.widgets.text import ElidedLine
from napari_cxr.scoring.annotation.reading_list import ReadingList

WIDTH, HEIGHT = 320, 560


def docks():
    manifest = PluginManager.instance().get_manifest('napari-cxr')
    return {one.display_name: one for one in manifest.contributions.widgets}


def words(widget, text):
    return max(widget.fontMetrics().horizontalAdvance(line) for line in text.split('\n'))


def cut(widget):
    """Return what of a widget's words does not fit into it; an empty text if all fit."""
    if isinstance(widget, ElidedLine):
        if os.sep in widget.toolTip():  # a path, which may be shortened
            return ''
        return widget.text() if words(widget, widget.text()) > widget.width() else ''
    if isinstance(widget, QLabel):
        if widget.wordWrap():
            fits = widget.heightForWidth(widget.width()) <= widget.height() + 1
        else:
            fits = widget.sizeHint().width() <= widget.width() + 1
        return '' if fits else widget.text()
    if isinstance(widget, QComboBox):
        option = QStyleOptionComboBox()
        widget.initStyleOption(option)
        place = widget.style().subControlRect(
            QStyle.ComplexControl.CC_ComboBox,
            option,
            QStyle.SubControl.SC_ComboBoxEditField,
            widget,
        )
        return widget.currentText() if words(widget, widget.currentText()) > place.width() else ''
    if isinstance(widget, QTabBar):
        last = widget.tabRect(widget.count() - 1)
        return widget.tabText(widget.count() - 1) if last.right() > widget.width() else ''
    if isinstance(widget, QLineEdit):
        text = widget.placeholderText()
        return text if os.sep not in text and words(widget, text) + 8 > widget.width() else ''
    if isinstance(widget, (QCheckBox, QRadioButton)):
        return widget.text() if widget.sizeHint().width() > widget.width() + 1 else ''
    text = widget.text().replace('&&', '\0').replace('&', '').replace('\0', '&')
    return text if words(widget, text) + 4 > widget.width() else ''


def all_cut(shown):
    kinds = (
        QLabel,
        QPushButton,
        QToolButton,
        QCheckBox,
        QRadioButton,
        QComboBox,
        QLineEdit,
        QTabBar,
    )
    inner = (QAbstractItemView, QAbstractSpinBox, QComboBox, QLineEdit, QTabBar)
    return [
        f'{type(widget).__name__}: {text}'
        for kind in kinds
        for widget in shown.findChildren(kind)
        if widget.isVisible() and not isinstance(widget.parent(), inner) and (text := cut(widget))
    ]


@pytest.fixture(params=['dark', 'light'])
def theme(request):
    return request.param


@pytest.fixture(params=[1.0, 1.25], ids=['100 %', '125 %'])
def large(request, qapp):
    """Letters of another size, as a system with a larger scale has them beside small pixels."""
    before = qapp.font()
    font = qapp.font()
    font.setPointSizeF(before.pointSizeF() * request.param)
    qapp.setFont(font)
    yield request.param
    qapp.setFont(before)


def show(qtbot, part, theme):
    window = QWidget()
    qtbot.addWidget(window)
    window.setStyleSheet(get_stylesheet(theme) + style_sheet(theme))
    layout = QVBoxLayout(window)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.addWidget(part)
    window.resize(WIDTH, HEIGHT)
    window.setAttribute(Qt.WidgetAttribute.WA_DontShowOnScreen)
    window.show()
    window.resize(WIDTH, HEIGHT)
    QApplication.processEvents()
    assert window.width() <= 1.05 * WIDTH  # a dock may ask for a little more for larger letters
    return window


@pytest.mark.parametrize('name', [
    'Classify chest radiograph', 'Chest radiograph', 'Studies', 'Header tags', 'Feature maps',
    'Score a folder', 'Evaluate a model', 'Train a classifier', 'Training runs',
    'Open with options', 'Save picture', 'Mark findings',
])  # fmt: skip
def test_an_empty_dock(name, theme, large, qtbot, own_plugin, models, settled_threads):
    viewer = ViewerModel()
    viewer.theme = theme
    window = show(qtbot, docks()[name].get_callable()(viewer), theme)
    with suppress(qtbot.TimeoutError):  # what is read in the background comes and is laid out
        qtbot.waitUntil(lambda: all_cut(window) == [])
    assert all_cut(window) == []


def test_every_dock_is_among_them(own_plugin):
    (mark,) = (m for m in test_an_empty_dock.pytestmark if m.args[0] == 'name')
    # The tour shows itself beside other docks, and is no form.
    assert set(docks()) == {*mark.args[1], 'Tour'}


def test_a_result(theme, large, qtbot, own_plugin):
    view = ResultView(theme, 0.4)
    view.show_answer(made_up_answer(), 'ill')
    view.details.set_open(True)
    assert all_cut(show(qtbot, scrollable(view), theme)) == []


def test_annotation(theme, large, qtbot, own_plugin, tmp_path):
    panel = AnnotationPanel(theme)
    labels = ('covid19', 'normal', 'pneumonia')
    reading = ReadingList.open(tmp_path / 'scores.csv', labels)
    panel.start(labels, False, reading)
    rows = [scored(i) for i in range(24)]
    panel.add(rows)
    panel.show_row(rows[0])
    window = show(qtbot, scrollable(panel), theme)
    assert all_cut(window) == []
    with suppress(RuntimeError):
        reading.close()
