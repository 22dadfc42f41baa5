from dataclasses import replace

import numpy as np
import pytest
from made_up_lungs import made_up_answer
from napari.components import ViewerModel

from napari_cxr.explain.heatmap import Heatmap
from napari_cxr.plugin.heatmap_overlay import HeatmapOverlay, outline_paths


def bump(size=15, sigma=3.0):
    """A round peak in the middle, on cells of 10 pixels that begin at pixel 5."""
    at = np.arange(size) - size // 2
    values = np.exp(-(at[:, None] ** 2 + at[None] ** 2) / (2 * sigma**2)).astype(np.float32)
    matrix = np.array([[10.0, 0, 5], [0, 10.0, 5], [0, 0, 1]])
    return Heatmap(values, matrix, 'a', 0.5, 0.0, 'Grad-CAM', 'm')


@pytest.mark.parametrize('level', [0.3, 0.5, 0.8])
def test_the_outline_of_a_round_peak_is_a_circle_of_the_right_size(level):
    (path,) = outline_paths(bump(), level)
    # exp(-r^2 / 2 s^2) = level, r in cells, 10 pixels each; the peak is at pixel 5 + 7 * 10.
    radius = 10 * 3.0 * np.sqrt(-2 * np.log(level))
    np.testing.assert_allclose(np.hypot(*(path - 75).T), radius, atol=0.5)
    np.testing.assert_array_equal(path[0], path[-1])


def test_a_peak_at_the_border_is_closed():
    values = np.zeros((4, 4), np.float32)
    values[0, 0] = 1
    (path,) = outline_paths(Heatmap(values, np.eye(3), 'a', 0.5, 0.0, 'Grad-CAM', 'm'), 0.5)
    np.testing.assert_array_equal(path[0], path[-1])


def test_an_empty_map_has_no_outline():
    empty = Heatmap(np.zeros((4, 4), np.float32), np.eye(3), 'a', 0.5, 0.0, 'Grad-CAM', 'm')
    assert outline_paths(empty, 0.5) == []


def test_the_outline_does_not_leave_what_the_network_saw():
    values = np.zeros((4, 4), np.float32)
    values[0, 1] = 1
    matrix = np.array([[10.0, 0, 105], [0, 10.0, 205], [0, 0, 1]])  # cells from pixel 100, 200
    seen = (99.5, 199.5, 139.5, 239.5)
    (path,) = outline_paths(Heatmap(values, matrix, 'a', 0.5, 0.0, 'Grad-CAM', 'm', seen), 0.2)
    assert path[:, 0].min() == 99.5 and path[:, 0].max() < 115
    assert 205 < path[:, 1].min() < 215 < path[:, 1].max() < 225


# -- the model's field of view ----------------------------------------------------------------


@pytest.fixture
def viewer():
    return ViewerModel()


def answer_seeing(bounds):
    answer = made_up_answer()
    maps = tuple(replace(heatmap, input_bounds=bounds) for heatmap in answer.heatmaps)
    return replace(answer, heatmaps=maps)


def test_the_field_of_view_is_outlined_where_the_model_crops(viewer):
    base = viewer.add_image(np.zeros((40, 80), np.uint8), scale=(2, 2))
    overlay = HeatmapOverlay(viewer)
    # It reaches beyond the right edge, where there is no radiograph.
    overlay.field_of_view(base, answer_seeing((3.5, 9.5, 35.5, 95.5)), wanted=True)
    (corners,) = overlay.view.data
    np.testing.assert_allclose(
        [corners.min(axis=0), corners.max(axis=0)], [[3.5, 9.5], [35.5, 79.5]]
    )
    np.testing.assert_array_equal(overlay.view.scale, base.scale)
    assert viewer.layers.index(overlay.view) == 1 and viewer.layers.selection.active is base
    layer = overlay.view
    overlay.field_of_view(base, answer_seeing((4.5, 9.5, 35.5, 95.5)), wanted=True)
    assert overlay.view is layer and layer.data[0][:, 0].min() == 4.5
    drawn = []
    for event in (layer.events.data, layer.events.scale, layer.events.affine):
        event.connect(drawn.append)
    overlay.field_of_view(base, answer_seeing((4.5, 9.5, 35.5, 95.5)), wanted=True)
    assert not drawn  # napari would lay out the whole scene again
    layer.data = []  # as a person may
    base.scale = (3, 3)
    overlay.field_of_view(base, answer_seeing((4.5, 9.5, 35.5, 95.5)), wanted=True)
    assert layer.data[0][:, 0].min() == 4.5 and tuple(layer.scale) == (3, 3)
    overlay.field_of_view(base, answer_seeing((3.5, 9.5, 35.5, 95.5)), wanted=False)
    assert list(viewer.layers) == [base]


@pytest.mark.parametrize('bounds', [None, (-0.5, -0.5, 39.5, 79.5), (-9.5, -0.5, 50.5, 79.5)])
def test_a_model_that_sees_everything_has_no_outline(viewer, bounds):
    base = viewer.add_image(np.zeros((40, 80), np.uint8))
    overlay = HeatmapOverlay(viewer)
    overlay.field_of_view(base, answer_seeing(bounds), wanted=True)
    assert list(viewer.layers) == [base] and overlay.view is None
