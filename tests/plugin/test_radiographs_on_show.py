"""One radiograph is on show at a time, in its own unit; two where a person compares them."""

from dataclasses import replace

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer

from napari_cxr.plugin.layers import (
    KEY,
    lay_on,
    overlay_layers_data,
    placeholder_layer_data,
    radiograph_layer_data,
)
from napari_cxr.plugin.radiograph_views import views_of
from napari_cxr.plugin.radiographs_on_show import NOTHING_TO_COMPARE, watch_viewer
from napari_cxr.radiograph import Geometry, Overlay, Radiograph, SpacingSource

MM, PIXEL = ('millimeter',) * 2, ('pixel',) * 2


def radiograph(shape=(40, 30), spacing=None, overlays=()):
    geometry = Geometry(spacing=spacing, source=SpacingSource.NONE)
    values = np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)
    made = Radiograph.from_array(values, geometry=geometry, is_colour=False)
    return replace(made, overlays=overlays)


def opened(viewer, *args, **kwargs):
    """Open a radiograph as our reader has napari do it."""
    data = radiograph_layer_data(radiograph(*args, **kwargs))
    (data,) = watch_viewer(viewer).arriving([data])
    return viewer.add_layer(Layer.create(*data))


def units(layer):
    return tuple(map(str, layer.units))


def cells(viewer):
    grid = viewer.canvas.grid
    return [grid.position(at, viewer.layers) for at in range(len(viewer.layers))]


def centre_and_size_fit(viewer, *layers):
    """Whether the view shows these layers as large as it can."""
    ends = np.concatenate([layer.extent.world[:, -2:] for layer in layers])
    middle = (ends.min(axis=0) + ends.max(axis=0)) / 2
    size = np.ptp(ends, axis=0) * viewer.scene.camera.zoom / np.array(viewer.canvas.size)
    return np.allclose(viewer.scene.camera.center[-2:], middle, atol=1) and 0.9 < size.max() < 1


@pytest.fixture
def viewer():
    viewer = ViewerModel()
    watch_viewer(viewer)
    return viewer


def test_opening_one_hides_the_other_and_fits_the_view(viewer):
    small = opened(viewer, (400, 300), (0.2, 0.2))
    large = opened(viewer, (2000, 1500))
    assert [small.visible, large.visible] == [False, True]
    assert centre_and_size_fit(viewer, large) and not centre_and_size_fit(viewer, small)


def test_units_never_differ_and_each_gets_its_own_back(viewer):
    with_spacing = opened(viewer, (400, 300), (0.2, 0.2))
    assert units(with_spacing) == MM
    without = opened(viewer, (2000, 1500))
    assert units(with_spacing) == units(without) == PIXEL
    without.visible, with_spacing.visible = False, True
    assert units(with_spacing) == units(without) == MM
    np.testing.assert_allclose(with_spacing.scale, 0.2)
    assert centre_and_size_fit(viewer, with_spacing)
    third = opened(viewer, (20, 10), (0.1, 0.1))
    assert {units(layer) for layer in viewer.layers} == {MM} and third.visible
    without.visible = True  # beside one in millimetres, by a person's own choice
    assert {units(layer) for layer in viewer.layers} == {PIXEL}
    assert [layer.visible for layer in viewer.layers] == [False, True, True]


def test_a_radiograph_comes_in_the_unit_of_those_that_are_there(viewer):
    opened(viewer, (40, 30), (0.2, 0.2))
    plain, other = radiograph_layer_data(radiograph()), radiograph_layer_data(radiograph())
    hidden = (other[0], {**other[1], 'visible': False}, other[2])
    first, second = watch_viewer(viewer).arriving([plain, hidden])
    # The first is drawn beside what is there; when the second comes, the first is on show.
    assert first[1]['units'] == MM and second[1]['units'] == PIXEL


def test_what_lies_on_a_radiograph_goes_and_comes_with_it(viewer):
    base = opened(viewer, (40, 30), (0.2, 0.2))
    heat = viewer.add_layer(
        Image(np.zeros((4, 3)), metadata={KEY: {'method': 'Grad-CAM'}}, units=base.units)
    )
    hidden = viewer.add_layer(Image(np.zeros((4, 3)), visible=False, units=base.units))
    hidden.metadata = {KEY: {'method': 'other'}}
    for layer in (heat, hidden):
        lay_on(layer, base)
    opened(viewer, (50, 50))
    assert not base.visible and not heat.visible
    assert units(heat) == units(base) == PIXEL
    base.visible = True
    assert heat.visible and not hidden.visible


def test_a_heatmap_is_never_seen_on_another_radiograph(viewer):
    first, second = opened(viewer, (40, 30)), opened(viewer, (80, 60))
    heatmap = Image(np.ones((4, 3)))
    lay_on(heatmap, first)
    viewer.add_layer(heatmap)  # of the one that is hidden, as where a person has selected it
    assert [first.visible, second.visible, heatmap.visible] == [True, False, True]
    second.visible = True
    first.visible = heatmap.visible = False
    heatmap.visible = True  # as after the first was classified again
    assert [first.visible, second.visible, heatmap.visible] == [True, False, True]
    first.visible = second.visible = False
    assert heatmap.visible  # with none on show it lies on nobody's


def test_a_persons_own_choice_stays(viewer):
    first, second = opened(viewer, (40, 30)), opened(viewer, (40, 30))
    first.visible = True
    assert first.visible and second.visible
    zoom = viewer.scene.camera.zoom = 17.0
    second.visible = False  # of the same size and in the same place: what was looked at stays
    assert viewer.scene.camera.zoom == zoom and first.visible


def test_other_layers_are_left_alone(viewer):
    points = viewer.add_points([(1, 2)])
    array = viewer.add_image(np.zeros((9, 9)))
    opened(viewer, (40, 30))
    assert points.visible and array.visible


def test_overlays_lie_on_their_radiograph(viewer):
    base = opened(viewer, (40, 30))
    marked = radiograph((40, 30), overlays=(Overlay(np.ones((40, 30), bool), 'drawing', 1),))
    layer = radiograph_layer_data(marked)
    second = viewer.add_layer(Layer.create(*layer))
    for data in overlay_layers_data(marked, layer[1]):
        overlay = viewer.add_layer(Layer.create(*data))
    overlay.visible = True
    base.visible = True
    opened(viewer, (40, 30))
    assert isinstance(overlay, Labels) and not overlay.visible
    second.visible = True
    assert overlay.visible


def test_a_picture_of_another_reader_hides_what_it_cannot_lie_on(viewer, tmp_path):
    import imageio.v3 as iio

    base = opened(viewer, (40, 30))
    for name, shape in (('mask', (40, 30)), ('chest', (60, 50))):
        iio.imwrite(tmp_path / f'{name}.png', np.zeros(shape, np.uint8))
    from napari.layers._source import layer_source

    with layer_source(path=str(tmp_path / 'mask.png'), reader_plugin='napari'):
        mask = viewer.add_image(np.zeros((40, 30), np.uint8))
    assert base.visible and mask.visible
    with layer_source(path=str(tmp_path / 'chest.png'), reader_plugin='napari'):
        chest = viewer.add_image(np.zeros((60, 50), np.uint8))
    assert [base.visible, mask.visible, chest.visible] == [False, False, True]
    assert centre_and_size_fit(viewer, chest)


def test_frames_beside_a_single_image(viewer):
    frames = opened(viewer, (5, 60, 50))
    single = opened(viewer, (400, 300), (0.1, 0.1))
    assert [frames.visible, single.visible] == [False, True]
    assert units(frames) == ('pixel', *MM) and units(single) == MM
    assert centre_and_size_fit(viewer, single)


def test_a_placeholder_takes_the_unit_too(viewer):
    opened(viewer, (40, 30), (0.1, 0.1))
    placeholder = viewer.add_layer(Layer.create(*placeholder_layer_data('Opening…', object())))
    assert units(placeholder) == MM
    assert [layer.visible for layer in viewer.layers] == [True, True]


def test_a_unit_that_a_person_sets_is_kept(viewer):
    base = opened(viewer, (40, 30))
    base.units = ('mm', 'mm')
    opened(viewer, (50, 50))
    base.visible, viewer.layers[1].visible = True, False
    assert units(base) == MM


def test_two_in_millimetres_side_by_side_keep_their_sizes(viewer):
    left = opened(viewer, (400, 300), (0.2, 0.2))
    right = opened(viewer, (100, 100), (0.4, 0.4))
    on_show = watch_viewer(viewer)
    assert on_show.compare() == '' and on_show.comparing
    assert left.visible and right.visible
    np.testing.assert_allclose(np.ptp(right.extent.world, axis=0), 0.4 * 99)
    middles = [layer.extent.world.mean(axis=0) for layer in (left, right)]
    np.testing.assert_allclose(*middles)  # so the camera looks at the same place of both
    np.testing.assert_allclose(viewer.scene.camera.center[-2:], middles[0])
    assert cells(viewer) == [(0, 0), (0, 1)]
    # Of half a canvas, 800 by (600 - 6) / 2 pixels, the left one's 60 mm fill the width.
    assert viewer.scene.camera.zoom == pytest.approx(0.95 * min(800 / 80, 297 / 60))
    assert on_show.compare() == '' and not on_show.comparing
    assert [left.visible, right.visible] == [False, True]  # the one that is selected
    np.testing.assert_array_equal(np.asarray(right.affine), np.eye(3))
    assert not viewer.canvas.grid.enabled and cells(viewer) == [(0, 0), (0, 0)]
    assert centre_and_size_fit(viewer, right)


def test_one_without_millimetres_gets_the_height_of_the_other(viewer):
    left, right = opened(viewer, (400, 300), (0.2, 0.2)), opened(viewer, (2000, 1000))
    heat = viewer.add_layer(Image(np.zeros((4, 3)), metadata={KEY: {'method': 'Grad-CAM'}}))
    lay_on(heat, right)
    watch_viewer(viewer).compare()
    heights = [np.ptp(layer.extent.world[:, 0]) for layer in (left, right)]
    assert heights[0] == pytest.approx(heights[1])
    assert cells(viewer) == [(0, 0), (0, 1), (0, 1)]  # the heatmap with its radiograph
    np.testing.assert_allclose(np.asarray(heat.affine), np.asarray(right.affine))
    opened(viewer, (40, 30))  # ends it
    assert not watch_viewer(viewer).comparing
    np.testing.assert_array_equal(np.asarray(heat.affine), np.eye(3))


def test_the_two_that_are_selected_are_compared(viewer):
    first, _, third = (opened(viewer, (40, 30)) for _ in range(3))
    viewer.layers.selection = {first, third}
    watch_viewer(viewer).compare()
    assert [layer.visible for layer in viewer.layers] == [True, False, True]
    watch_viewer(viewer).compare()
    assert viewer.layers.selection.active is first and not third.visible
    viewer.layers.selection = {first, third}
    watch_viewer(viewer).compare()
    viewer.layers.remove(third)
    assert not watch_viewer(viewer).comparing and first.visible


def test_one_alone_cannot_be_compared(viewer):
    opened(viewer, (40, 30))
    assert watch_viewer(viewer).compare() == NOTHING_TO_COMPARE


def test_a_viewer_has_one_watcher_and_may_go():
    import gc
    import weakref

    viewer = ViewerModel()
    assert watch_viewer(viewer) is watch_viewer(viewer)
    opened(viewer, (40, 30))
    gone = weakref.ref(viewer)
    del viewer
    gc.collect()
    assert gone() is None


def test_a_persons_own_grid_comes_back_and_its_button_ends_a_comparison(viewer):
    grid = viewer.canvas.grid
    left, right = opened(viewer, (40, 30)), opened(viewer, (40, 30))
    before = grid.stride, grid.shape, grid.spacing
    watched = watch_viewer(viewer)
    watched.compare()
    points = viewer.add_points([[1, 1]])  # on neither
    assert cells(viewer) == [(0, 0), (0, 1), (0, 0)]
    viewer.layers.selection.active = left
    grid.enabled = False
    assert not watched.comparing and left.visible and not right.visible
    assert (grid.stride, grid.shape, grid.spacing) == before
    grid.enabled = True  # napari's own again: a cell for each
    left.visible = right.visible = True
    assert len({tuple(map(int, cell)) for cell in cells(viewer)}) == 3 and points.visible


def test_the_radiograph_under_the_cursor_is_that_of_its_half(viewer):
    left, right = opened(viewer, (40, 30)), opened(viewer, (40, 30))
    watch_viewer(viewer).compare()
    views = views_of(viewer)
    for cell, base in (((0, 0), left), ((0, 1), right)):
        viewer.cursor.viewbox = cell
        assert views.at((20, 15)) is base
    watch_viewer(viewer).show_alone(left)
    viewer.cursor.viewbox = (0, 0)
    assert views.at((20, 15)) is left


def test_two_side_by_side_are_windowed_together(qapp):
    viewer = ViewerModel()
    viewer.canvas.size = (400, 400)
    watched = watch_viewer(viewer)
    layers = []
    for _ in range(2):
        data, attributes, _ = radiograph_layer_data(
            Radiograph.from_array(np.arange(64, dtype=np.uint8).reshape(8, 8))
        )
        layers.append(viewer.add_image(data, **attributes))
    assert watched.compare((layers[1], layers[0])) == ''
    assert cells(viewer) == [(0, 1), (0, 0)]
    layers[0].contrast_limits = (10, 20)
    assert layers[1].contrast_limits == pytest.approx([10, 20])
    watched.show_alone(layers[0])
    layers[0].contrast_limits = (30, 40)
    assert layers[1].contrast_limits == pytest.approx([10, 20])
