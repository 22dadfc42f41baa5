"""The button, the message and the theme of docks that ask about the chosen image."""

from threading import Event

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import Qt

from napari_cxr.plugin.base_dock import ImageDock
from napari_cxr.plugin.style import style_sheet
from napari_cxr.plugin.widgets.sections import fill_dock


def wait_for(answered, result):
    """Say a word, and wait until somebody cancels or answers."""
    yield 'Counting'
    while not answered.wait(0.01):
        yield None
    return result


class Asking(ImageDock):
    """Asks for a number."""

    def __init__(self, viewer):
        super().__init__(viewer, 'Count')
        self.answered, self.answers = Event(), []
        self.themes = []
        fill_dock(self, self.inputs, self.start, self.progress, self.status, self.message)
        self.start_requested.connect(self.count)
        self.inputs.layer_changed.connect(self._image_changed)
        self._show()

    def count(self):
        layer = self.inputs.current_layer
        self._start_job(layer, wait_for(self.answered, 7), 'Counting', self._take)

    def _take(self, outcome):
        self.answers.append(outcome.result)

    def _show(self):
        if not self.busy:
            self._say(self.inputs.current_layer is not None, 'Click Count.')

    def set_theme(self, theme):
        self.themes.append(theme)


@pytest.fixture
def asking(qtbot, models, own_plugin, settled_threads):
    dock = Asking(ViewerModel())
    qtbot.addWidget(dock)
    dock.show()
    yield dock
    dock.answered.set()


def click(qtbot, dock):
    qtbot.mouseClick(dock.start, Qt.MouseButton.LeftButton)


def test_without_an_image_it_says_how_to_get_one(asking):
    assert not asking.start.isEnabled()
    assert 'Open a chest radiograph' in asking.status.text()


def test_the_button_starts_and_what_comes_is_taken(qtbot, asking):
    asking.viewer.add_image(np.zeros((8, 8)))
    assert asking.start.isEnabled() and asking.status.text() == 'Click Count.'
    click(qtbot, asking)
    assert asking.busy and asking.progress.isHidden()  # a short job shows no bar
    with qtbot.waitSignal(asking.settled):
        asking.answered.set()
    assert asking.answers == [7]
    assert not asking.busy and asking.start.text() == 'Count'


def test_the_button_cancels_a_job_that_lasts(qtbot, asking):
    asking.viewer.add_image(np.zeros((8, 8)))
    click(qtbot, asking)
    click(qtbot, asking)  # the second click of a double click
    assert asking.busy and asking.start.text() == 'Count'
    qtbot.waitUntil(lambda: asking.start.text() == 'Cancel')
    assert asking.status.text() == 'Counting…' and asking.progress.isVisible()
    with qtbot.waitSignal(asking.settled):
        click(qtbot, asking)
        assert asking.start.text() == 'Cancelling…' and not asking.start.isEnabled()
    assert asking.answers == [None]
    assert asking.start.isEnabled() and asking.progress.isHidden()


def test_escape_cancels_what_runs_and_nothing_else(qtbot, asking):
    asking.viewer.add_image(np.zeros((8, 8)))
    asking.activateWindow()
    assert not asking._escape.isEnabled()  # Escape is for others then
    click(qtbot, asking)
    qtbot.waitUntil(lambda: asking.start.text() == 'Cancel' and asking.start.hasFocus())
    with qtbot.waitSignal(asking.settled):
        qtbot.keyClick(asking.start, Qt.Key.Key_Escape)
    assert asking.answers == [None] and not asking._escape.isEnabled()


def test_what_is_wrong_with_an_image_leaves_with_it(asking):
    first = asking.viewer.add_image(np.zeros((8, 8)), name='first')
    asking._show_problem('It is too small.', of=first)
    assert asking.message.text == 'It is too small.'
    second = asking.viewer.add_image(np.ones((8, 8)), name='second')
    asking.inputs.layer.setCurrentText('second')
    assert asking.inputs.current_layer is second
    assert not asking.message.text
    asking._show_problem('It is too small.', of=first)
    assert asking.message.text == 'first: It is too small.'


def test_what_is_wrong_with_the_model_stays(asking):
    asking.viewer.add_image(np.zeros((8, 8)), name='first')
    asking._show_problem('The model is broken.')
    asking.viewer.add_image(np.ones((8, 8)), name='second')
    asking.inputs.layer.setCurrentText('second')
    assert asking.message.text == 'The model is broken.'


def test_it_follows_the_theme(asking):
    dark = asking.styleSheet()
    asking.viewer.theme = 'light'
    assert asking.styleSheet() == style_sheet('light') != dark
    assert asking.themes == ['light']


def test_what_comes_by_itself_does_not_move_the_button_or_what_is_below(qtbot, asking):
    asking.viewer.add_image(np.zeros((20, 20), np.uint8))
    asking.resize(320, 500)
    inputs = asking.inputs

    def places():
        for part in (inputs, asking.start.parentWidget()):
            part.layout().activate()
        return asking.start.geometry(), asking.progress.y(), asking.status.geometry()

    qtbot.waitUntil(lambda: asking.width() == 320 and asking.start.y() > 0)
    before = places()
    note = 'CPU: no usable GPU or driver, and it took its time to say so'
    inputs.show_device(note)
    assert places() == before
    assert inputs.device_reason.toolTip() == note  # all of it, where the line is too short
    inputs.show_device('')
    assert places() == before
    click(qtbot, asking)
    qtbot.waitUntil(asking.progress.isVisible)
    assert places() == before
    with qtbot.waitSignal(asking.settled):
        asking.answered.set()
    assert places() == before
