import numpy as np
import pytest

from napari_cxr.explain.heatmap import Heatmap
from napari_cxr.plugin.heatmap_overlay import outline_paths


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
