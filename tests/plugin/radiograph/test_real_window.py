"""Window, magnifier and ruler by real mouse events on napari's canvas."""

import numpy as np
import pytest
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent, QOpenGLContext
from qtpy.QtWidgets import QApplication, QOpenGLWidget

from napari_cxr import samples
from napari_cxr.dicom import privacy
from napari_cxr.plugin.radiograph.magnifier import Magnifier
from napari_cxr.plugin.radiograph.measure_layer import measurements_in
from napari_cxr.plugin.radiograph.tools import tools_of

NONE = Qt.KeyboardModifier.NoModifier


@pytest.fixture
def viewer(make_napari_viewer, own_plugin, monkeypatch, tmp_path, settled_threads):
    monkeypatch.setattr(privacy, 'secret_path', lambda: tmp_path / 'secret')
    viewer = make_napari_viewer(show=True)
    path = tmp_path / 'a.dcm'
    samples.write_phantom_dicom(path, shape=(240, 210), seed=5)
    viewer.open(path, plugin='napari-cxr')
    return viewer


def test_the_mouse_windows_measures_and_magnifies(qtbot, viewer):
    (base,) = viewer.layers
    tools, camera = tools_of(viewer), viewer.scene.camera
    canvas = next(
        canvas
        for window in QApplication.topLevelWidgets()
        for canvas in window.findChildren(QOpenGLWidget)
        if canvas.isVisible()
    )
    middle = np.array([canvas.width() / 2, canvas.height() / 2])

    def move(away, button):
        point = QPointF(*(middle + away))
        event = QMouseEvent(
            QEvent.Type.MouseMove,
            point,
            canvas.mapToGlobal(point),
            Qt.MouseButton.NoButton,
            button,
            NONE,
        )
        QApplication.sendEvent(canvas, event)

    def drag(button, away, happened):
        start = QPoint(*map(int, middle))
        qtbot.mousePress(canvas, button, NONE, start)
        for part in (0.3, 0.6, 1.0):
            move(np.array(away) * part, button)
            qtbot.wait(10)  # napari takes a move every 5 ms
        qtbot.mouseRelease(canvas, button, NONE, start + QPoint(*away))
        qtbot.waitUntil(happened)

    zoom, center, limits = camera.zoom, camera.center, tuple(base.contrast_limits)
    drag(
        Qt.MouseButton.RightButton,
        (40, 0),
        lambda: np.ptp(base.contrast_limits) > 1.1 * (limits[1] - limits[0]),
    )
    assert (camera.zoom, camera.center) == (zoom, center)
    qtbot.keyClick(canvas, 'm')
    assert tools.measure.kind == 'length'
    drag(Qt.MouseButton.LeftButton, (30, 40), lambda: not tools.measure.kind)
    (line,) = measurements_in(tools.measure.layer_of(base))
    across = np.subtract(*(np.asarray(base.data_to_world(end)) for end in line.points))
    assert np.linalg.norm(across) * zoom == pytest.approx(50, abs=2)
    assert camera.center == center and viewer.layers.selection.active is base
    qtbot.keyClick(canvas, 'g')
    move((5, 5), Qt.MouseButton.NoButton)
    qtbot.waitUntil(lambda: canvas.findChild(Magnifier) is not None)
    lens = canvas.findChild(Magnifier)
    qtbot.waitUntil(lens.isVisible)
    qtbot.keyClick(canvas, 'g')
    assert not lens.isVisible()


def test_a_layer_goes_while_the_canvas_has_its_context(qtbot, viewer):
    # napari deletes shaders then, in whichever context is current. In another one than that
    # which drew with them they stay behind, and Mesa's software renderer may end the process.
    (base,) = viewer.layers
    window = viewer.window._qt_window
    canvas = next(one for one in window.findChildren(QOpenGLWidget) if one.isValid())
    current = []
    viewer.layers.events.removed.connect(
        lambda: current.append(QOpenGLContext.currentContext() is canvas.context())
    )
    canvas.doneCurrent()  # as after Qt has composed the window
    viewer.layers.remove(base)
    viewer.add_image(np.zeros((8, 8), np.uint8))
    canvas.doneCurrent()
    viewer.layers.clear()
    assert current == [True, True]
