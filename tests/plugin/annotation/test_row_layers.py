"""Layers go when the canvas was painted, not sooner."""

from types import SimpleNamespace

import numpy as np
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


def test_measurements_stay_with_their_radiograph(qapp):
    from napari.components import ViewerModel

    from napari_cxr.correction import Correction
    from napari_cxr.measurements import Measurement
    from napari_cxr.plugin.layers import radiograph_layer_data
    from napari_cxr.plugin.radiograph.tools import tools_of
    from napari_cxr.radiograph import Radiograph

    def image(value):
        values = np.full((40, 50), value, np.uint8)
        data, attributes, _ = radiograph_layer_data(Radiograph.from_array(values), str(value))
        return SimpleNamespace(data=data, attributes=attributes)

    viewer = ViewerModel()
    rows, tools = module.RowLayers(viewer), tools_of(viewer)
    first = rows.show(image(1))
    tools.views.correct(first, Correction(mirrored=True))
    again = rows.show(image(2))
    assert again is first  # faster than a new layer; and the next image is as its file says
    assert not tools.views.lies(again) and np.allclose(again.affine, np.eye(3))
    tools.measure.add(again, [Measurement('length', ((0, 0), (0, 10)))])
    third = rows.show(image(3))
    assert third is not again and third.visible
    lines = tools.measure.layer_of(again)
    assert lines in viewer.layers and len(lines.data) == 1
    assert not again.visible and not lines.visible
