"""Measuring with the mouse, in the dock, and by napari's own tools."""

from types import SimpleNamespace

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Points

from napari_cxr.correction import Correction
from napari_cxr.measurements import Measurement, read_measurements
from napari_cxr.plugin.layers import radiograph_layer_data
from napari_cxr.plugin.radiograph.dock import RadiographDock
from napari_cxr.plugin.radiograph.measure_layer import (
    is_measurement_layer,
    measured_image,
    measurements_in,
)
from napari_cxr.plugin.radiograph.measure_writer import write
from napari_cxr.plugin.radiograph.tools import tools_of
from napari_cxr.radiograph import Geometry, Radiograph, SpacingSource


@pytest.fixture
def base():
    radiograph = Radiograph.from_array(
        np.zeros((80, 100), np.uint8), geometry=Geometry((0.5, 0.5), SpacingSource.CALIBRATED)
    )
    data, attributes, _ = radiograph_layer_data(radiograph, 'chest')
    return Image(data, **attributes)


@pytest.fixture
def viewer(qapp, base):
    viewer = ViewerModel()
    viewer.add_layer(base)
    viewer.scene.camera.zoom = 2.0  # pixels of the canvas to a millimetre
    return viewer


class Mouse:
    """A left button on the canvas, in pixels of the radiograph."""

    def __init__(self, viewer, base):
        self.viewer, self.base, self.drag = viewer, base, None
        self.event = SimpleNamespace(button=1, modifiers=(), handled=False)

    def at(self, row, column, kind):
        event = self.event
        event.type, event.position = kind, np.array(self.base.data_to_world((row, column)))
        event.pos = event.position[::-1] * self.viewer.scene.camera.zoom
        return event

    def press(self, row, column):
        self.event.handled = False
        self.drag = tools_of(self.viewer).measure(self.viewer, self.at(row, column, 'mouse_press'))
        if self.drag is not None:
            next(self.drag, None)
        return self.event.handled

    def move(self, row, column):
        event = self.at(row, column, 'mouse_move')
        if self.drag is None:
            for moved in self.viewer.mouse_move_callbacks:
                moved(self.viewer, event)
        else:
            next(self.drag, None)

    def release(self, row, column):
        self.at(row, column, 'mouse_release')
        if self.drag is not None:
            next(self.drag, None)
        self.drag = None

    def click(self, row, column):
        self.press(row, column)
        self.release(row, column)


@pytest.fixture
def mouse(viewer, base):
    return Mouse(viewer, base)


def texts(layer):
    return [text for text in layer.features['text'] if text]


def test_a_drag_measures_a_length_and_the_radiograph_stays_selected(viewer, base, mouse):
    tools = tools_of(viewer)
    assert not mouse.press(10, 10)  # napari pans
    tools.act('measure_length')
    assert mouse.press(10, 10)
    mouse.move(30, 10)
    layer = tools.measure.layer_of(base)
    assert texts(layer) == ['10.0 mm calibrated']
    mouse.move(40, 50)
    assert texts(layer) == ['25.0 mm calibrated']  # 15 and 20 mm
    mouse.release(40, 50)
    assert measurements_in(layer) == [Measurement('length', ((10, 10), (40, 50)))]
    assert viewer.layers.selection.active is base and not tools.measure.kind
    # An end that is there can be moved, and what is far from any end is napari's.
    assert not mouse.press(25, 70)
    assert mouse.press(40, 51)
    mouse.move(10, 70)
    assert texts(layer) == ['30.0 mm calibrated']
    mouse.release(10, 70)
    viewer.add_layer(Points([[0, 0]]))
    viewer.layers[-1].mode = 'add'
    assert not mouse.press(10, 70)


def test_three_clicks_measure_an_angle_and_escape_leaves_off(viewer, base, mouse):
    tools = tools_of(viewer)
    tools.act('measure_angle')
    mouse.click(10, 50)
    mouse.move(30, 45)
    mouse.click(30, 50)
    mouse.move(60, 60)
    layer = tools.measure.layer_of(base)
    assert len(layer.data) == 1
    mouse.click(30, 90)
    assert texts(layer) == ['90.0°']
    tools.act('measure_length')
    mouse.click(5, 5)
    mouse.move(6, 40)
    assert len(measurements_in(layer)) == 2
    tools.act('stop_measuring')
    assert [each.kind for each in measurements_in(layer)] == ['angle']


def test_measurements_follow_the_radiograph(qtbot, viewer, base, mouse):
    tools = tools_of(viewer)
    ratio = Measurement('cardiothoracic ratio', ((40, 30), (40, 70), (50, 10), (50, 90)))
    tools.measure.add(base, [ratio])
    layer = tools.measure.layer_of(base)
    assert texts(layer) == ['CTR 0.50'] and len(layer.data) == 2
    tools.act('turn_right')
    assert np.allclose(layer.affine, base.affine)
    assert mouse.press(50, 90)  # where it is on screen now
    mouse.release(50, 90)
    with qtbot.waitSignal(tools.switched, timeout=60_000):
        tools.use_view_for_model()
    assert base.data.shape == (100, 80)
    assert measured_image(base).to_file(measurements_in(layer)[0].points) == ratio.points
    assert texts(layer) == ['CTR 0.50']
    assert measured_image(base).correction == Correction(turns=1)


def test_what_napari_draws_is_measured_too(qtbot, viewer, base):
    tools = tools_of(viewer)
    tools.measure.add(base, [Measurement('length', ((0, 0), (0, 10)))])
    layer = tools.measure.layer_of(base)
    layer.add([[[0, 0], [0, 40]]], shape_type='line')
    layer.add([[[0, 0], [10, 10]]], shape_type='rectangle')
    qtbot.waitUntil(lambda: len(texts(layer)) == 2)
    assert texts(layer) == ['5.0 mm calibrated', '20.0 mm calibrated']
    layer.selected_data = {0}
    layer.remove_selected()
    qtbot.waitUntil(lambda: texts(layer) == ['20.0 mm calibrated'])


def test_the_dock_lists_saves_loads_and_removes(qtbot, viewer, base, own_plugin, tmp_path):
    dock = RadiographDock(viewer)
    qtbot.addWidget(dock)
    panel, tools = dock.measuring, tools_of(viewer)
    assert panel.length.isEnabled() and not panel.save.isEnabled()
    tools.measure.add(base, [Measurement('length', ((0, 0), (0, 10)))])
    qtbot.waitUntil(lambda: panel.list.count() == 1)
    assert panel.list.item(0).text() == 'Length: 5.0 mm calibrated'
    panel.save_to(tmp_path / 'm.json')
    panel.load_file(tmp_path / 'm.json')
    qtbot.waitUntil(lambda: panel.list.count() == 2)
    panel.list.setCurrentRow(0)
    panel.delete.click()
    qtbot.waitUntil(lambda: panel.list.count() == 1)
    panel.save_to(tmp_path / 'none' / 'm.json')
    assert 'cannot be written' in panel.message.text
    (tmp_path / 'no.json').write_text('{}')
    panel.load_file(tmp_path / 'no.json')
    assert 'holds no measurements' in panel.message.text
    (layer,) = [each for each in viewer.layers if is_measurement_layer(each)]
    data, attributes, _ = layer.as_layer_data_tuple()
    assert write(str(tmp_path / 'w.json'), data, attributes) == [str(tmp_path / 'w.json')]
    found, _ = read_measurements(tmp_path / 'w.json', measured_image(base))
    assert found == (Measurement('length', ((0, 0), (0, 10))),)
    with pytest.raises(ValueError, match='holds no measurements'):
        write(str(tmp_path / 'x.json'), [np.zeros((2, 2))], {'shape_type': 'line'})


def test_what_is_drawn_moved_and_deleted_is_undone_and_done_again(viewer, base, mouse):
    tools = tools_of(viewer)
    tools.act('measure_length')
    mouse.press(10, 10)
    mouse.move(20, 10)
    mouse.move(40, 50)
    mouse.release(40, 50)
    layer = tools.measure.layer_of(base)
    drawn = measurements_in(layer)
    mouse.press(40, 50)
    mouse.move(30, 60)
    mouse.move(10, 70)
    mouse.release(10, 70)
    moved = measurements_in(layer)
    assert moved != drawn
    tools.act('invert')
    viewer.cursor.position = base.data_to_world((10.5, 40))  # on the line
    tools.act('delete_measurement')
    assert measurements_in(layer) == []
    tools.act('undo')
    assert measurements_in(layer) == moved and texts(layer) == ['30.0 mm calibrated']
    tools.act('undo')
    assert not tools.views.lies(base) and measurements_in(layer) == moved
    tools.act('undo')  # a whole drag is one step
    assert measurements_in(layer) == drawn and texts(layer) == ['25.0 mm calibrated']
    tools.act('undo')
    assert measurements_in(layer) == [] and not tools.views.can_undo(base)
    for _ in range(4):
        tools.act('redo')
    assert measurements_in(layer) == [] and tools.views.lies(base).inverted
    tools.act('undo')
    tools.act('mirror')  # something new: nothing is done again any more
    assert not tools.views.can_redo(base) and measurements_in(layer) == moved


def test_undo_while_drawing_leaves_off(viewer, base, mouse):
    tools = tools_of(viewer)
    tools.act('invert')
    tools.act('measure_angle')
    mouse.click(10, 10)
    mouse.move(20, 10)
    tools.act('undo')
    assert not tools.measure.kind and measurements_in(tools.measure.layer_of(base)) == []
    assert tools.views.lies(base).inverted
    tools.act('undo')
    assert not tools.views.lies(base) and not tools.views.can_undo(base)


def test_a_shape_of_naparis_own_tools_is_undone(qtbot, viewer, base):
    tools = tools_of(viewer)
    tools.measure.add(base, [Measurement('length', ((10, 10), (10, 30)))])
    layer = tools.measure.layer_of(base)
    layer.add_lines([[40, 10], [40, 50]])
    steps = []
    tools.views.drawings.stepped.connect(steps.append)
    qtbot.waitUntil(lambda: steps == [base])
    qtbot.waitUntil(lambda: texts(layer) == ['10.0 mm calibrated', '20.0 mm calibrated'])
    layer.selected_data = {0, 1}
    layer.remove_selected()
    qtbot.waitUntil(lambda: len(steps) == 2)
    assert measurements_in(layer) == []
    tools.act('undo')
    assert len(measurements_in(layer)) == 2
    qtbot.waitUntil(lambda: texts(layer) == ['10.0 mm calibrated', '20.0 mm calibrated'])
    assert len(steps) == 2
    tools.act('undo')
    assert measurements_in(layer) == [Measurement('length', ((10, 10), (10, 30)))]


def test_after_a_turn_for_the_model_no_step_puts_lines_where_they_were(qtbot, viewer, base):
    tools = tools_of(viewer)
    tools.measure.add(base, [Measurement('length', ((10, 10), (10, 30)))])
    tools.act('mirror')
    with qtbot.waitSignal(tools.switched):
        tools.act('use_view_for_model')
    (line,) = measurements_in(tools.measure.layer_of(base))
    assert line.points == ((10, 89), (10, 69)) and not tools.views.can_undo(base)


def test_a_click_beside_every_line_deletes_nothing(viewer, base):
    tools = tools_of(viewer)
    tools.measure.add(base, [Measurement('angle', ((10, 10), (10, 60), (60, 60)))])
    for place, left in (((40, 20), 1), ((40, 61), 0)):
        viewer.cursor.position = base.data_to_world(place)
        tools.act('delete_measurement')
        assert len(measurements_in(tools.measure.layer_of(base))) == left
