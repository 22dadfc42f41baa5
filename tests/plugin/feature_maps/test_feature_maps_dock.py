from dataclasses import replace

import numpy as np
import pytest
from made_up_lungs import lung_field
from qtpy.QtCore import QPoint, Qt

from napari_cxr import samples
from napari_cxr.checkpoint import load, save
from napari_cxr.explain.feature_maps import FeatureMaps, dead_filters
from napari_cxr.plugin import background
from napari_cxr.plugin.background import JobOutcome
from napari_cxr.plugin.feature_maps.dock import feature_map_layer, show_feature_maps
from napari_cxr.plugin.feature_maps.filters_view import FilterActivityStrip
from napari_cxr.plugin.layers import KEY
from napari_cxr.plugin.lungs_layer import lungs_layer

WAIT = 150_000


@pytest.fixture
def chest():
    """A chest of 200 x 180 pixels, 8 bits."""
    return (255 * samples.phantom((200, 180), seed=2)).astype(np.uint8)


@pytest.fixture
def maps_dock(qtbot, models, own_plugin, settled_threads):
    """A Feature maps dock on a bare viewer model, with the stages of the tiny model listed."""
    from napari.components import ViewerModel

    from napari_cxr.plugin.feature_maps.dock import FeatureMapsDock
    from napari_cxr.plugin.preferences import save_preferences

    save_preferences('classify', model='tiny', device='cpu')
    dock = FeatureMapsDock(ViewerModel())
    qtbot.addWidget(dock)
    qtbot.waitUntil(lambda: dock.stage.count() > 0, timeout=WAIT)
    yield dock
    dock.cancel()
    qtbot.waitUntil(lambda: not dock.busy, timeout=150_000)


def compute(qtbot, dock):
    with qtbot.waitSignal(dock.settled, timeout=WAIT):
        qtbot.mouseClick(dock.start, Qt.MouseButton.LeftButton)
    assert not dock.message.text, dock.message.details


def made_up(values, **entries):
    values = np.array(values, dtype=np.float32)
    return FeatureMaps(values, np.diag([2.0, 2, 1]), 'layer1', 'made up', **entries)


def test_the_empty_state_says_what_to_do(maps_dock):
    assert 'Open a chest radiograph' in maps_dock.status.text()
    assert not maps_dock.start.isEnabled() and maps_dock.filters.isHidden()
    assert maps_dock.stage.itemText(maps_dock.stage.count() - 1) == 'layer4 · 512 × 4 × 4'


def test_a_click_lays_the_stack_on_the_radiograph(qtbot, maps_dock, chest):
    dock = maps_dock
    base = dock.viewer.add_image(chest, scale=(0.2, 0.2), units=('mm', 'mm'))
    compute(qtbot, dock)
    assert list(dock.viewer.layers) == [base, dock.stack]
    assert dock.stack.data.shape == (512, 4, 4)
    # The middle of 4 x 4 cells is the middle of the radiograph: crop and network are symmetric.
    where = dock.stack.data_to_world((0, 1.5, 1.5))
    np.testing.assert_allclose(where[1:], base.data_to_world((99.5, 89.5)), atol=1e-9)
    ours = dock.stack.metadata[KEY]
    assert ours['stage'] == 'layer4' and ours['model'] == 'tiny'
    assert ours['dead'] == np.flatnonzero(dead_filters([dock.maps.values])).tolist()
    assert '512 filters' in dock.filters.summary.text() and not dock.filters.isHidden()
    # It is no radiograph, and is not offered as one.
    assert dock.inputs.layer.count() == 1


def test_the_network_is_shown_the_lungs_as_they_were_edited(qtbot, maps_dock, chest, models):
    dock, tiny = maps_dock, models / 'tiny.safetensors'
    model = load(tiny)
    entries = {'fit': 'stretch', 'lungs': 'crop'}
    save(
        tiny,
        model.tensors,
        replace(model.card, preprocessing={**model.card.preprocessing, **entries}),
    )
    background.shared_torch().close()  # the next one reads this file
    base = dock.viewer.add_image(chest)
    field = lung_field(chest.shape)
    lungs = dock.viewer.add_layer(lungs_layer(field, field.labels(), base))
    painted = np.zeros_like(lungs.data)
    painted[100:, :45], painted[100:, 45:90] = 1, 2
    lungs.data = painted
    compute(qtbot, dock)
    # The middle of the maps is that of the rectangle around what was painted.
    where = (dock.maps.to_radiograph @ [1.5, 1.5, 1])[:2]
    np.testing.assert_allclose(where, (149.5, 44.5), atol=1e-9)
    background.shared_torch().close()  # no other test reads this file


def test_the_slider_and_the_strip_follow_each_other(qtbot, maps_dock, chest):
    dock = maps_dock
    dock.viewer.add_image(chest)
    compute(qtbot, dock)
    strip = dock.filters.strip
    strip.resize(300, strip.heightForWidth(300))
    x, y = 2.5 * 8, 1.5 * 8  # third square of the second row, 37 a row
    place = strip.place_at(x, y)
    assert place == 37 + 2
    qtbot.mouseClick(strip, Qt.MouseButton.LeftButton, pos=QPoint(20, 12))
    assert dock.viewer.dims.point[0] == place
    assert dock.filters.current.text().startswith(f'Filter {place} ·')
    dock.viewer.dims.set_point(0, 5)
    assert dock.filters.current.text().startswith('Filter 5 ·')
    qtbot.keyClick(strip, Qt.Key.Key_Right)
    assert dock.viewer.dims.point[0] == 6


def test_most_active_first_keeps_the_filter_on_screen(qtbot, maps_dock, chest):
    dock = maps_dock
    dock.viewer.add_image(chest)
    compute(qtbot, dock)
    plain = dock.maps.values
    dock.viewer.dims.set_point(0, 100)
    dock.filters.sort.setChecked(True)
    activity = np.abs(dock.stack.data).mean(axis=(1, 2))
    assert (np.diff(activity) <= 1e-6).all()
    assert dock.filters.current.text().startswith('Filter 100 ·')
    place = round(dock.viewer.dims.point[0])
    np.testing.assert_array_equal(dock.stack.data[place], plain[100])
    assert dock.stack.metadata[KEY]['filters'][place] == 100
    dock.filters.sort.setChecked(False)
    np.testing.assert_array_equal(dock.stack.data, plain)
    assert dock.viewer.dims.point[0] == 100


def test_another_stage_takes_the_same_layer(qtbot, maps_dock, chest):
    dock = maps_dock
    dock.viewer.add_image(chest)
    compute(qtbot, dock)
    stack = dock.stack
    with qtbot.waitSignal(dock.settled, timeout=WAIT):
        dock.stage.setCurrentIndex(1)
        dock.stage.activated.emit(1)
    assert dock.stack is stack and len(dock.viewer.layers) == 2
    assert stack.data.shape[0] == 64 and 'layer1' in stack.name


def test_dead_filters_are_marked_listed_and_led_to(qtbot, maps_dock, chest):
    dock = maps_dock
    base = dock.viewer.add_image(chest)
    values = np.random.default_rng(0).uniform(0.1, 1, (6, 3, 3))
    values[[1, 4]] = 0
    dock._running_on, dock._data = base, base.data
    dock._take(JobOutcome(made_up(values)))
    dock._finish()
    assert '2 dead on this image' in dock.filters.summary.text()
    assert '>1</a>' in dock.filters.dead.text() and '>4</a>' in dock.filters.dead.text()
    assert dock.stack.metadata[KEY]['dead'] == [1, 4]
    dock.filters.dead.linkActivated.emit('4')
    assert dock.viewer.dims.point[0] == 4
    assert dock.filters.current.text() == 'Filter 4 · dead'
    # A second image on which one of them answers.
    other = dock.viewer.add_image(255 - chest)
    dock.viewer.layers.selection.active = other
    values[1, 0, 0] = 1
    dock._running_on, dock._data = other, other.data
    dock._take(JobOutcome(made_up(values)))
    dock._finish()
    assert '1 dead on this image' in dock.filters.summary.text()
    assert '1 dead on all 2 images' in dock.filters.summary.text()


def test_a_place_that_is_not_known_is_said(qtbot, maps_dock, chest):
    dock = maps_dock
    base = dock.viewer.add_image(chest)
    dock._running_on, dock._data = base, base.data
    dock._take(JobOutcome(made_up(np.ones((2, 2, 2)), untraceable='Because of x.')))
    dock._finish()
    assert not dock.filters.place_note.isHidden()
    assert 'Because of x.' in dock.filters.place_note.text()
    assert dock.stack.metadata[KEY]['place'] == 'Because of x.'


def test_changed_pixels_and_removed_stacks_are_forgotten(qtbot, maps_dock, chest):
    dock = maps_dock
    base = dock.viewer.add_image(chest)
    compute(qtbot, dock)
    base.data = chest[::-1].copy()
    assert dock.maps is None and list(dock.viewer.layers) == [base]
    compute(qtbot, dock)
    dock.viewer.layers.remove(dock.stack)
    assert dock.maps is None and dock.filters.isHidden()
    compute(qtbot, dock)
    assert dock.stack in dock.viewer.layers


def test_errors_stay_in_the_dock(qtbot, maps_dock, chest):
    dock = maps_dock
    dock.viewer.add_image(np.stack([chest, chest]))
    with qtbot.waitSignal(dock.settled, timeout=WAIT):
        dock.compute()
    assert 'single frame' in dock.message.text and dock.start.isEnabled()


def test_a_dead_worker_is_told_and_replaced(qtbot, maps_dock, chest):
    dock = maps_dock
    dock.viewer.add_image(chest)
    background.shared_torch().close()
    compute(qtbot, dock)
    assert dock.maps is not None


@pytest.mark.parametrize('turned', [{}, {'rotate': 30}, {'shear': [0.2], 'translate': (5, 6)}])
def test_stacks_follow_layers_that_are_moved_turned_or_sheared(turned):
    from napari.layers import Image

    base = Image(np.zeros((40, 30)), scale=(0.5, 0.25), **turned)
    maps = made_up(np.random.default_rng(0).random((3, 5, 4)))
    order, dead = np.arange(3), np.zeros(3, dtype=bool)
    stack = feature_map_layer(maps, order, dead, base)
    for cell in ((0, 0), (4, 3), (1, 2)):
        pixel = (maps.to_radiograph @ [*cell, 1])[:2]
        np.testing.assert_allclose(
            stack.data_to_world((2, *cell)), (2, *base.data_to_world(pixel)), atol=1e-9
        )
    plain = Image(np.zeros((40, 30)))
    show_feature_maps(stack, maps, order, dead, plain)
    np.testing.assert_allclose(stack.data_to_world((1, 1, 1)), (1, 2, 2), atol=1e-9)


def test_the_strip_paints_dead_filters_differently(qtbot):
    strip = FilterActivityStrip('dark')
    qtbot.addWidget(strip)
    strip.resize(140, 40)
    strip.set_filters(
        np.arange(4), np.array([0.0, 0, 1, 0.5]), np.array([True, False, False, False])
    )
    strip.set_current(3)
    image = strip.grab().toImage()

    def square(place):
        return {
            image.pixelColor(14 * place + x, y).name() for x in range(2, 11) for y in range(2, 11)
        }

    assert len(square(0)) > 1 and len(square(1)) == len(square(2)) == 1
    assert square(1) != square(2)
    assert strip.text_of(0) == 'Filter 0 · dead' and 'activity 1' in strip.text_of(2)
    assert strip.place_at(5 * 14, 3) is None and strip.place_at(3, 20) is None
