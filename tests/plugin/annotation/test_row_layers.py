"""Layers go when the canvas was painted, not sooner."""

import pytest
from qtpy.QtCore import QCoreApplication, QEvent, QObject
from qtpy.QtOpenGLWidgets import QOpenGLWidget

from napari_cxr.plugin.annotation import row_layers as module
from napari_cxr.plugin.annotation.row_layers import PaintWatcher


class Canvas(QObject):
    """Paints when the test says so, like one whose window is kept busy."""

    asked = 0

    def update(self):
        self.asked += 1


@pytest.fixture
def painted(qtbot):
    return PaintWatcher()


def test_what_is_not_on_screen_is_not_waited_for(qtbot, painted):
    hidden = QOpenGLWidget()
    qtbot.addWidget(hidden)
    with qtbot.waitSignal(painted.done):
        painted.start()


def test_a_canvas_is_waited_for_and_asked_to_paint(qtbot, painted, monkeypatch):
    canvas = Canvas()
    monkeypatch.setattr(module, '_on_screen', lambda: {canvas})
    with qtbot.assertNotEmitted(painted.done):
        painted.start()
        qtbot.waitUntil(lambda: canvas.asked > 1)
    with qtbot.waitSignal(painted.done):
        QCoreApplication.sendEvent(canvas, QEvent(QEvent.Type.Paint))
    assert not painted._watched
    painted.start()  # what was painted before does not count
    asked = canvas.asked
    qtbot.waitUntil(lambda: canvas.asked > asked)
    with qtbot.waitSignal(painted.done):
        monkeypatch.setattr(module, '_on_screen', set)  # it goes
