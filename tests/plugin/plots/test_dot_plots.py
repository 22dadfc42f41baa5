"""Scatter plots, driven with mouse and keyboard."""

import time

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt

from napari_cxr.plugin.plots.dot_plots import Scatter

LEFT = Qt.MouseButton.LeftButton
LONG = [f'{name} of the left lower lobe, seen in two views' for name in 'abcdefghijkl']


def shown(qtbot, widget, width=420):
    qtbot.addWidget(widget)
    widget.resize(width, max(widget.height(), 40))
    widget.show()
    return widget


@pytest.fixture
def scatter(qtbot):
    plot = shown(qtbot, Scatter('dark', 'Sizes', 'columns', 'rows'))
    xs, ys = [299, 299, 1024, 299, 2000], [299, 299, 1024, 299, 1500]
    plot.set_points(xs, ys, [0, 0, 1, 1, 1], ['covid19', 'normal'])
    return plot


def chosen_at(qtbot, plot):
    """Return which points clicks on each dot choose, one after the other."""
    seen, found = [], []
    plot.chosen.connect(seen.append)
    for x, y in plot.centres():
        for _ in range(3):
            qtbot.mouseClick(plot, LEFT, pos=QPoint(round(x), round(y)))
        found.append(tuple(sorted(set(seen))))
        seen.clear()
    plot.chosen.disconnect(seen.append)
    return found


def test_points_at_one_place_are_one_dot_for_each_class(qtbot, scatter):
    members = chosen_at(qtbot, scatter)
    assert sorted(members) == [(0, 1), (2,), (3,), (4,)]
    # The two classes at 299 x 299 stand beside each other, as far apart as two radii.
    centres = scatter.centres()
    pair = [members.index((0, 1)), members.index((3,))]
    assert np.hypot(*(centres[pair[0]] - centres[pair[1]])) == pytest.approx(9)


def test_a_click_chooses_the_nearest_image_and_then_the_next(qtbot, scatter):
    x, y = scatter.centres()[chosen_at(qtbot, scatter).index((0, 1))]
    qtbot.mouseClick(scatter, LEFT, pos=QPoint(scatter.width() - 3, round(y)))
    seen = []
    scatter.chosen.connect(seen.append)
    for _ in range(3):
        qtbot.mouseClick(scatter, LEFT, pos=QPoint(round(x), round(y)))
    assert seen == [0, 1, 0]
    right = QPoint(scatter.width() - 3, round(y))  # far from any
    qtbot.mouseClick(scatter, LEFT, pos=right)
    assert seen == [0, 1, 0]


def test_the_keyboard_chooses_too(qtbot, scatter):
    seen = []
    scatter.chosen.connect(seen.append)
    for key in (Qt.Key.Key_Right, Qt.Key.Key_Return, Qt.Key.Key_Right, Qt.Key.Key_Right):
        qtbot.keyClick(scatter, key)
    qtbot.keyClick(scatter, Qt.Key.Key_Space)
    assert seen == [0, 2]


def test_ten_thousand_points_are_painted_at_once(qtbot):
    plot = shown(qtbot, Scatter('light'), 900)
    rng = np.random.default_rng(0)
    xs, ys = rng.uniform(1, 4000, (2, 10_000))
    plot.set_points(xs, ys, rng.integers(0, 12, 10_000), LONG)
    began = time.perf_counter()
    plot.grab()
    qtbot.keyClick(plot, Qt.Key.Key_Right)
    plot.grab()
    assert time.perf_counter() - began < 8
    assert len(plot.centres()) == 10_000


def test_points_that_are_nowhere_are_left_out(qtbot):
    plot = shown(qtbot, Scatter('dark'))
    plot.grab()
    plot.set_points([np.nan, 2.0], [1.0, 3.0], [0, 0], ['a'])
    assert chosen_at(qtbot, plot) == [(1,)]
    plot.grab()
