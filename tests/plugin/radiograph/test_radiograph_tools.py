"""Window by drag, keys, sizes, local contrast, magnifier, and values under the cursor."""

from types import SimpleNamespace

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Points
from npe2 import PluginManifest
from npe2.manifest.utils import import_python_name

from napari_cxr.correction import Correction
from napari_cxr.plugin.layers import is_local_contrast, radiograph_layer_data, radiograph_of
from napari_cxr.plugin.radiograph.dock import RadiographDock
from napari_cxr.plugin.radiograph.magnifier import magnified
from napari_cxr.plugin.radiograph.pixel_values import pixel_value
from napari_cxr.plugin.radiograph.tools import KEYS, tools_of
from napari_cxr.plugin.radiograph.window_drag import dragged_limits
from napari_cxr.plugin.radiograph.zoom import spacing_text
from napari_cxr.radiograph import Geometry, Radiograph, SpacingSource, Window


def layer_of(values, **more):
    radiograph = Radiograph(values, (Window.spanning(0, 1000, 'Full range'),), **more)
    data, attributes, _ = radiograph_layer_data(radiograph, 'chest')
    return Image(data, **attributes)


@pytest.fixture
def base():
    padding = np.zeros((20, 50), bool)
    padding[0, 0] = True
    return layer_of(
        np.arange(1000, dtype=np.int16).reshape(20, 50),
        geometry=Geometry((0.2, 0.2), SpacingSource.DETECTOR),
        padding=padding,
        rescale=(2.0, -100.0),
    )


@pytest.fixture
def viewer(qapp, base):
    viewer = ViewerModel()
    viewer.add_layer(base)
    return viewer


def press(viewer, button=2, position=(2.0, 5.0), modifiers=()):
    """Press a button; return what a move and a release do, and the event."""
    event = SimpleNamespace(
        button=button, modifiers=modifiers, position=position, pos=(100, 100), handled=False
    )
    event.type = 'mouse_press'
    drag = tools_of(viewer).drag(viewer, event)
    next(drag, None)

    def move(x, y):
        event.type, event.pos = 'mouse_move', (x, y)
        next(drag, None)

    def release():
        event.type = 'mouse_release'
        next(drag, None)

    return move, release, event


def test_a_drag_sets_width_and_level():
    assert dragged_limits((100, 300), 0, 0, 1000) == (100, 300)
    assert dragged_limits((100, 300), 160, 0, 1000) == (0, 400)  # twice as wide
    assert dragged_limits((100, 300), -160, 0, 1000) == (150, 250)
    assert dragged_limits((100, 300), 0, 400, 1000) == (300, 500)  # down is darker
    assert dragged_limits((100, 300), 0, 400, 1000, inverted=True) == (-100, 100)
    low, high = dragged_limits((100, 300), -100_000, 0, 1000)
    assert 0 < high - low < 1


def test_moves_are_gathered_until_the_next_paint(qtbot, viewer, base):
    limits, seen = list(base.contrast_limits), []
    base.events.contrast_limits.connect(lambda: seen.append(tuple(base.contrast_limits)))
    move, release, event = press(viewer)
    assert event.handled
    for x in range(101, 141):
        move(x, 100)
    assert not seen
    qtbot.waitUntil(lambda: bool(seen))
    assert len(set(seen)) == 1
    move(260, 100)
    release()
    middle, width = sum(limits) / 2, limits[1] - limits[0]
    assert base.contrast_limits == pytest.approx([middle - width, middle + width])
    tools_of(viewer).undo()
    assert base.contrast_limits == pytest.approx(limits)


def test_other_presses_are_not_ours(viewer, base):
    for other in ({'button': 1}, {'modifiers': ('Alt',)}, {'position': (99.0, 99.0)}):
        assert not press(viewer, **other)[2].handled
    viewer.add_layer(Points([[0, 0]]))
    viewer.layers[-1].mode = 'add'
    assert not press(viewer)[2].handled
    tools = tools_of(viewer)
    tools.undo()  # there is nothing to take back
    assert not tools.views.can_undo(base)


def test_keys_do_what_the_dock_does(viewer, base):
    for key in ('I', 'H', 'R'):
        tools = tools_of(viewer)
        bound = {str(k): f for k, f in viewer.keymap.items()}
        bound[key](viewer)
    assert tools.views.lies(base) == Correction(True, True, 1)
    assert {name for name in KEYS.values() if not name.startswith('window_')} <= set(dir(tools))
    tools.act('window_2')
    assert tools.current_window() == 1
    tools.act('next_window')
    assert tools.current_window() == 2


def test_commands_of_menus_do_what_keys_do(viewer, base):
    manifest = PluginManifest.from_distribution('napari-cxr')
    found = [c for c in manifest.contributions.commands if c.id.startswith('napari-cxr.view_')]
    assert len(found) > 10 and all(command.enablement == 'num_layers > 0' for command in found)
    for command in found:
        import_python_name(command.python_name)(viewer)
    tools = tools_of(viewer)
    assert tools.magnifying and tools.views.can_undo(base)


def test_values_are_those_of_the_radiograph_whatever_is_drawn(viewer, base):
    found = pixel_value(base, base, base.data_to_world((2, 5)))
    assert (found.row, found.column, found.stored, found.modality) == (2, 5, 102.5, 105)
    low, high = base.contrast_limits
    assert found.displayed == pytest.approx((105 - low) / (high - low), abs=0.01)
    views = tools_of(viewer).views
    views.correct(base, Correction(True, True, 1))
    turned = pixel_value(base, base, base.data_to_world((2, 5)))
    assert (turned.row, turned.column, turned.modality) == (2, 5, 105)
    assert turned.displayed == pytest.approx(1 - found.displayed, abs=0.01)
    padded = pixel_value(base, base, base.data_to_world((0, 0)))
    assert padded.is_padding and padded.modality == 0
    assert pixel_value(base, base, (99, 99)) is None


def test_spacing_is_told_with_its_kind():
    text = spacing_text(Geometry((0.143, 0.143), SpacingSource.DETECTOR))
    assert text == '0.143 mm per pixel, measured at the detector: the anatomy itself is smaller.'
    assert 'calibrated' in spacing_text(Geometry((0.1, 0.2), SpacingSource.CALIBRATED))
    assert spacing_text(Geometry()) == 'No pixel spacing: sizes are in pixels.'


def test_sizes(viewer, base, monkeypatch):
    from napari_cxr.plugin.radiograph import zoom

    tools = tools_of(viewer)
    screen = SimpleNamespace(physicalDotsPerInch=lambda: 254.0, devicePixelRatio=lambda: 2.0)
    monkeypatch.setattr(zoom.QGuiApplication, 'primaryScreen', lambda: screen)
    tools.act('whole_pixels')  # 0.2 mm are one of two device pixels to one of Qt's
    assert viewer.scene.camera.zoom == pytest.approx(1 / 0.4)
    tools.act('real_size')  # 10 dots to the millimetre, 5 of Qt's
    assert viewer.scene.camera.zoom == pytest.approx(5)


def test_local_contrast_is_for_the_eye_alone(qtbot, viewer, base):
    tools, read = tools_of(viewer), radiograph_of(base)
    viewer.layers.selection.active = base
    with qtbot.waitSignal(tools.switched, timeout=60_000):
        tools.act('toggle_local_contrast')
    (layer,) = [each for each in viewer.layers if is_local_contrast(each)]
    assert tools.has_local_contrast and tools.base is base
    assert viewer.layers.selection.active is base and radiograph_of(base) is read
    assert tools.views.shown_of(base) is layer
    tools.act('mirror')
    assert np.allclose(layer.affine, base.affine)
    tools.act('invert')
    assert layer.colormap.name == 'gray_r'
    tools.act('reset')
    assert not tools.has_local_contrast
    tools.act('undo')
    assert tools.has_local_contrast and layer.colormap.name == 'gray_r'
    viewer.layers.remove(base)
    assert not viewer.layers


def test_the_magnifier_shows_pixels_larger(base):
    # One pixel of 0.2 mm on 5 pixels of the canvas, 10 of the lens.
    picture = magnified(base, base.data_to_world((10, 25)), zoom=25, size=41, magnification=2)
    low, high = base.contrast_limits
    for at, value in (((20, 20), 525), ((30, 20), 575), ((20, 30), 526)):
        assert picture[at] == pytest.approx(255 * (value - low) / (high - low), abs=1.5)
    beside = magnified(base, base.data_to_world((0, 0)), zoom=25, size=41, magnification=2)
    assert beside[0, 0] == 0


def test_the_dock_follows_and_acts(qtbot, viewer, base, own_plugin):
    dock = RadiographDock(viewer)
    qtbot.addWidget(dock)
    assert 'at the detector' in dock.spacing.text() and dock.real.isEnabled()
    assert not dock.undo.isEnabled() and not dock.use_view.isEnabled()
    dock.mirror.click()
    qtbot.waitUntil(dock.use_view.isEnabled)
    dock.use_view.click()
    qtbot.waitUntil(dock.use_file.isEnabled, timeout=60_000)
    assert 'mirrored, as you asked' in dock.seen.text() and base.data[3, 0] == 199
    dock.window_width.setValue(200)
    assert np.ptp(base.contrast_limits) == 200
    viewer.cursor.position = tuple(base.data_to_world((3, 0)))
    assert 'value 199' in dock.value.text() and 'stored 149.5' in dock.value.text()
    viewer.layers.clear()
    qtbot.waitUntil(lambda: not dock.mirror.isEnabled())
    assert dock.spacing.text().startswith('Open a chest radiograph')


def test_frames_are_mirrored_together(qapp):
    viewer = ViewerModel()
    stack = viewer.add_image(np.zeros((3, 20, 30), np.uint8))
    tools_of(viewer).act('mirror')
    assert np.allclose(stack.data_to_world((2, 4, 0)), (2, 4, 29))
    tools_of(viewer).act('undo')
    assert np.allclose(stack.affine, np.eye(4))


def test_the_status_bar_has_the_values_under_the_cursor_whatever_is_selected(viewer, base):
    tools_of(viewer)
    told = []
    viewer.events.status.connect(lambda event: told.append(event.value), position='last')
    viewer.cursor.position = base.data_to_world((3, 7))
    viewer.status = {'layer_base': 'chest', 'value': '157', 'coordinates': ' [3 7]: 157'}
    assert isinstance(viewer.status, dict)  # the mouse is elsewhere
    viewer.mouse_over_canvas = True
    expected = f'chest   {pixel_value(base, base, (0.6, 1.4))} · 0.2 mm a pixel at the detector'
    viewer.status = {'layer_base': 'chest', 'value': '157', 'coordinates': ' [3 7]: 157 '}
    assert viewer.status == expected and told[-1] == expected
    points = viewer.add_points([[0, 0]], name='mine')
    viewer.layers.selection.active = points
    viewer.status = {'layer_base': 'mine', 'value': '0', 'coordinates': ' [3 7]: 0'}
    assert viewer.status == f'{expected}   mine: 0'
    viewer.cursor.position = (99.0, 99.0)
    viewer.status = 'beside it'
    assert viewer.status == 'beside it'
