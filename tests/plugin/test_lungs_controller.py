"""Lungs in step with what a person does; finding them is a process of its own."""

import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest
from made_up_lungs import made_up_answer
from napari.components import ViewerModel
from napari.utils._proxies import PublicOnlyProxy
from qtpy.QtCore import QObject, QThreadPool

from napari_cxr import samples
from napari_cxr.explain.heatmap_location import HeatmapLocation
from napari_cxr.plugin import lungs_controller
from napari_cxr.plugin.lungs_controller import LungsController
from napari_cxr.plugin.lungs_layer import edit_number, found_field, is_lungs_layer, lungs_of

WAIT = 150_000


@pytest.fixture
def viewer(settled_threads):
    return ViewerModel()


@pytest.fixture
def base(viewer):
    return viewer.add_image(np.zeros((40, 80), np.uint8), name='chest')


@pytest.fixture
def desk(qtbot, viewer):
    parent = QObject()
    desk = LungsController(viewer, parent)
    desk.parent_kept = parent
    return desk


@pytest.fixture
def layer(qtbot, viewer, base, desk):
    """The lungs of `made_up_answer` on `base`, on show and measured."""
    desk.show_radiograph(base, made_up_answer())
    with qtbot.waitSignal(desk.measured, timeout=WAIT):
        desk.show(True)
    return desk.layer


def test_shown_hidden_and_shown_again(qtbot, viewer, base, desk):
    told = []
    desk.shown.connect(told.append)
    desk.show_radiograph(base, made_up_answer())
    viewer.layers.selection.active = base
    desk.show(True)
    assert desk.layer is None  # another process does it
    qtbot.waitUntil(lambda: desk.layer is not None, timeout=WAIT)
    layer = desk.layer
    assert viewer.layers.index(layer) == 1 and viewer.layers.selection.active is base
    assert np.bincount(layer.data.ravel()).tolist() == [1600, 800, 800]
    desk.show(False)
    assert not layer.visible and told[-1] is False
    layer.visible = True  # by napari's eye
    assert told[-1] is True
    desk.show(True)
    assert len(viewer.layers) == 2
    viewer.layers.remove(layer)
    assert told[-1] is False and desk.layer is None


def test_the_share_follows_the_brush_and_undo(qtbot, desk, layer):
    with qtbot.waitSignal(desk.measured, timeout=WAIT) as before:
        desk.show_radiograph(desk._radiograph, desk._answer)
    assert before.args[0] == desk._answer.lungs and not before.args[0].edit
    layer.mode = 'erase'
    with qtbot.waitSignal(desk.measured, timeout=WAIT) as erased:
        layer.data_setitem(np.nonzero(layer.data == 1), 0)
    told = erased.args[0]
    # The map is a tent over columns 10 to 50 with its top at 30, which reaches half of it in
    # columns 20 to 40. The lung that is left is columns 40 to 60.
    location, empty = told.locations
    assert told.edit and empty is None
    assert location == HeatmapLocation((19.5, 29.5), 'beside the left lung', 0)
    assert told.uniform == pytest.approx(800 / 3200)
    with qtbot.waitSignal(desk.measured, timeout=WAIT) as undone:
        layer.undo()
    assert undone.args[0] == desk._answer.lungs
    with qtbot.waitSignal(desk.measured, timeout=WAIT) as redone:
        layer.redo()
    assert redone.args[0] == told


def test_a_third_label_is_no_lung(qtbot, desk, layer):
    with qtbot.waitSignal(desk.measured, timeout=WAIT) as told:
        layer.data_setitem(np.nonzero(layer.data == 1), 3)
    # As if the right lung were erased, which is what the model sees of it.
    assert told.args[0].uniform == pytest.approx(800 / 3200)


def test_an_edited_field_outlives_another_answer_and_its_own_layer(
    qtbot, viewer, base, desk, layer
):
    layer.paint((5, 5), 1)
    painted = layer.data.copy()
    with qtbot.waitSignal(desk.measured, timeout=WAIT) as told:
        desk.show_radiograph(base, made_up_answer())
    assert told.args[0].edit
    desk.show(True)
    assert desk.layer is layer
    np.testing.assert_array_equal(layer.data, painted)
    # Taking the edited layer away brings back what was found.
    with qtbot.waitSignal(desk.measured, timeout=WAIT) as told:
        viewer.layers.remove(layer)
    assert not told.args[0].edit


def test_lungs_edited_before_the_click_are_found_anew_once_their_layer_is_gone(
    qtbot, viewer, base, desk
):
    answer = made_up_answer()
    desk.show_radiograph(base, replace(answer, lungs=replace(answer.lungs, edit=7)))
    desk.show(True)
    qtbot.waitUntil(lambda: desk.layer is not None, timeout=WAIT)
    # Nobody edited these; on a blank image a network finds nothing.
    assert found_field(desk.layer).source == 'atlas' and not edit_number(desk.layer)


def test_two_radiographs_at_once(qtbot, viewer, base, desk):
    other = viewer.add_image(np.zeros((40, 80), np.uint8))
    for image in (base, other):
        desk.show_radiograph(image, made_up_answer())
        desk.show(True)
    qtbot.waitUntil(lambda: all(lungs_of(i, viewer.layers) for i in (base, other)), timeout=WAIT)


def test_a_stroke_is_measured_when_the_brush_rests(qtbot, desk, layer):
    told = []
    desk.measured.connect(told.append)
    for column in range(0, 20, 2):
        layer.paint((20, column), 1)
    qtbot.waitUntil(lambda: bool(told), timeout=WAIT)
    assert len(told) == 1 and told[0].edit


def test_another_radiograph_has_lungs_of_its_own(qtbot, viewer, base, desk, layer):
    other = viewer.add_image(np.zeros((40, 80), np.uint8))
    told = []
    desk.shown.connect(told.append)
    desk.show_radiograph(other, made_up_answer())
    assert desk.layer is None and told[-1] is False
    layer.visible = False
    assert told[-1] is False
    desk.show_radiograph(base, made_up_answer())
    assert desk.layer is layer
    desk.show_radiograph(None, None)
    desk.show(True)
    assert len(viewer.layers) == 3


def test_changed_pixels_lose_their_lungs_but_not_a_person_s_work(qtbot, viewer, base, desk, layer):
    desk.forget(base)
    assert layer not in viewer.layers
    desk.show(True)
    qtbot.waitUntil(lambda: desk.layer is not None, timeout=WAIT)
    layer = desk.layer
    layer.paint((5, 5), 1)
    desk.forget(base)
    assert layer in viewer.layers and desk.layer is None


def test_a_radiograph_that_goes_meanwhile_is_freed(qtbot, viewer, desk):
    def begin_and_remove():
        base = viewer.add_image(np.zeros((40, 80), np.uint8))
        desk.show_radiograph(base, made_up_answer())
        desk.show(True)
        viewer.layers.remove(base)
        desk.show_radiograph(None, None)
        return weakref.ref(base)

    gone = begin_and_remove()
    viewer.layers.selection.active = viewer.add_points()  # napari keeps the last one chosen
    qtbot.waitUntil(lambda: gc.collect() >= 0 and gone() is None, timeout=WAIT)
    assert len(viewer.layers) == 1


def test_edit_takes_up_the_brush(viewer, desk, layer):
    layer.visible = False
    desk.edit()
    assert layer.visible and layer.mode == 'paint' and layer.selected_label == 1
    assert viewer.layers.selection.active is layer


def test_the_command_finds_lungs_without_a_dock(qtbot, viewer):
    chest = (255 * samples.phantom((240, 210), seed=5)).astype(np.uint8)
    base = viewer.add_image(chest)
    lungs_controller.show_lung_field(viewer)
    assert len(viewer.layers) == 1  # another process does it
    qtbot.waitUntil(lambda: viewer.layers.selection.active is not base, timeout=WAIT)
    layer = lungs_of(base, viewer.layers)
    assert viewer.layers.selection.active is layer and layer.data.shape == chest.shape
    right, left = (np.nonzero(layer.data == side)[1].mean() for side in (1, 2))
    assert right < left
    # Again, from the layer itself: what a person has painted stays.
    layer.paint((5, 5), 1)
    layer.visible = False
    lungs_controller.show_lung_field(viewer)
    assert layer.visible and edit_number(layer) and len(viewer.layers) == 2


def test_the_command_says_where_it_found_no_lungs(qtbot, viewer, base, monkeypatch):
    told = []
    monkeypatch.setattr(lungs_controller, 'show_warning', told.append)
    lungs_controller.show_lung_field(viewer)
    qtbot.waitUntil(lambda: bool(told), timeout=WAIT)
    layer = lungs_of(base, viewer.layers)
    assert found_field(layer).source == 'atlas' and viewer.layers.selection.active is layer
    assert len(told) == 1 and 'could not be found here (no lungs were found)' in told[0]


def test_the_command_from_napari_s_menu(qtbot, viewer, base):
    """napari gives a plugin's command a proxy of its viewer."""
    for _ in range(2):
        lungs_controller.show_lung_field(PublicOnlyProxy(viewer))
        qtbot.waitUntil(lambda: lungs_of(base, viewer.layers) is not None, timeout=WAIT)
        assert QThreadPool.globalInstance().waitForDone(WAIT)
        qtbot.wait(1)
    assert len(viewer.layers) == 2
    assert viewer.layers.selection.active is lungs_of(base, viewer.layers)


def test_the_command_without_a_radiograph_says_so(viewer, monkeypatch):
    told = []
    monkeypatch.setattr(lungs_controller, 'show_info', told.append)
    lungs_controller.show_lung_field(viewer)
    assert told == ['Open a chest radiograph first, then show its lung field.']


def test_the_command_s_radiograph(viewer, base):
    other = viewer.add_image(np.zeros((8, 8)))
    points = viewer.add_points()
    viewer.layers.selection.active = base
    assert lungs_controller.chosen_radiograph(viewer) is base
    viewer.layers.selection.active = points
    assert lungs_controller.chosen_radiograph(viewer) is other
    viewer.layers.selection.active = None
    assert lungs_controller.chosen_radiograph(viewer) is other


def test_what_has_no_lungs_is_told(qtbot, viewer, monkeypatch):
    from napari.layers import Image

    from napari_cxr.plugin.layers import radiograph_layer_data
    from napari_cxr.radiograph import Radiograph, Window

    ct = Radiograph(
        np.zeros((64, 64), np.int16),
        (Window(40, 400),),
        refusal='This is a CT image, not a projection radiograph.',
    )
    data, attributes, _ = radiograph_layer_data(ct)
    viewer.add_layer(Image(data, **attributes))
    told = []
    monkeypatch.setattr(lungs_controller, 'show_error', told.append)
    lungs_controller.show_lung_field(viewer)
    qtbot.waitUntil(lambda: bool(told), timeout=WAIT)
    assert 'CT image' in told[0] and not any(map(is_lungs_layer, viewer.layers))
