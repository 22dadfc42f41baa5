"""Scatter, histogram, matrix and images by class, driven with mouse and keyboard."""

import time

import numpy as np
import pytest
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QGuiApplication

from napari_cxr.plugin.plots.curves import Histogram
from napari_cxr.plugin.plots.dot_plots import Scatter
from napari_cxr.plugin.plots.image_grid import ImageGrid
from napari_cxr.plugin.plots.matrix import Matrix
from napari_cxr.plugin.plots.plot import alert_red
from napari_cxr.plugin.style import theme_color

LEFT = Qt.MouseButton.LeftButton
LONG = [f'{name} of the left lower lobe, seen in two views' for name in 'abcdefghijkl']


def shown(qtbot, widget, width=420):
    qtbot.addWidget(widget)
    widget.resize(width, max(widget.height(), 40))
    widget.show()
    return widget


# -- scatter -------------------------------------------------------------------------------


@pytest.fixture
def scatter(qtbot):
    plot = shown(qtbot, Scatter('dark', 'Sizes', 'columns', 'rows'))
    xs, ys = [299, 299, 1024, 299, 2000], [299, 299, 1024, 299, 1500]
    plot.set_points(xs, ys, [0, 0, 1, 1, 1], ['covid19', 'normal'])
    return plot


def test_points_at_one_place_are_one_dot_for_each_class(scatter):
    members = sorted(tuple(m) for m in scatter._dots.members)
    assert members == [(0, 1), (2,), (3,), (4,)]
    # The two classes at 299 x 299 stand beside each other, as far apart as two radii.
    centres = scatter.centres()
    pair = [i for i, m in enumerate(scatter._dots.members) if m[0] in (0, 3)]
    assert np.hypot(*(centres[pair[0]] - centres[pair[1]])) == pytest.approx(9)


def test_a_click_chooses_the_nearest_image_and_then_the_next(qtbot, scatter):
    seen = []
    scatter.chosen.connect(seen.append)
    dot = next(i for i, m in enumerate(scatter._dots.members) if len(m) == 2)
    x, y = scatter.centres()[dot]
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
    plot._point_at(7)
    plot.grab()
    assert time.perf_counter() - began < 8
    assert len(plot._dots.members) == 10_000


def test_points_that_are_nowhere_are_left_out(qtbot):
    plot = shown(qtbot, Scatter('dark'))
    plot.grab()
    plot.set_points([np.nan, 2.0], [1.0, 3.0], [0, 0], ['a'])
    assert [list(m) for m in plot._dots.members] == [[1]]
    plot.grab()


# -- histogram -----------------------------------------------------------------------------


def test_steps_have_the_height_of_their_bins(qtbot):
    plot = shown(qtbot, Histogram('dark', 'Grey values'))
    plot.set_histograms(np.array([[0.5, 0.1, 0.3, 0.1], [0.1, 0.2, 0.2, 0.5]]), ['a', 'b'])
    axes = plot.axes()
    path = plot.path(axes, plot.lines[0])
    assert path.shape == (8, 2)
    np.testing.assert_allclose(path[2:4], axes.points(np.array([0.25, 0.5]), np.array([0.1, 0.1])))
    assert plot.values_at(0.625) == [('a', 0.3), ('b', 0.2)]


def test_a_black_border_does_not_press_the_rest_flat(qtbot):
    plot = shown(qtbot, Histogram('dark'))
    row = np.full(64, 0.01)
    row[0] = 0.37
    plot.set_histograms(row[None], ['a'])
    axes = plot.axes()
    assert axes.y.high == pytest.approx(0.0108)
    # What is higher is cut off above the axes, not drawn over the legend.
    before = plot.grab().toImage()
    assert before.height() == plot.height()


# -- matrix --------------------------------------------------------------------------------


@pytest.fixture
def matrix(qtbot):
    plot = shown(qtbot, Matrix('dark', 'truth', 'predicted'))
    flags = np.array([[False, True], [False, False]])
    plot.set_values([[8, 2], [0, 5]], ['covid19', 'normal'], ['covid19', 'normal'], flags)
    return plot


def test_cells_say_what_they_hold(matrix):
    assert matrix.cell_text(0, 1) == 'covid19 × normal: 2, 20 % of the row'
    assert (
        matrix.text_at(matrix.cell_box(0, 0).center()) == 'covid19 × covid19: 8, 80 % of the row'
    )
    assert matrix.text_at(QPointF(2, matrix.cell_box(1, 0).center().y())) == 'normal'
    assert matrix.text_at(QPointF(1, 1)) == ''


def test_marked_cells_are_red(matrix):
    picture = matrix.grab().toImage()
    corner = matrix.cell_box(0, 1)
    color = picture.pixelColor(round(corner.center().x()), round(corner.top() + 1))
    wanted = alert_red('dark')
    assert abs(color.hslHue() - wanted.hslHue()) % 350 < 12 and color.hslSaturation() > 80


@pytest.mark.parametrize('theme', ['dark', 'light'])
def test_red_stands_out(theme):
    light, dark = sorted(
        (c.lightnessF() for c in (alert_red(theme), theme_color(theme, 'background'))),
        reverse=True,
    )
    assert light - dark > 0.4


def test_click_keys_and_copy(qtbot, matrix):
    seen = []
    matrix.chosen.connect(lambda row, column: seen.append((row, column)))
    centre = matrix.cell_box(1, 1).center()
    qtbot.mouseClick(matrix.viewport(), LEFT, pos=QPoint(round(centre.x()), round(centre.y())))
    for key in (Qt.Key.Key_Up, Qt.Key.Key_Up, Qt.Key.Key_Return):
        qtbot.keyClick(matrix, key)
    assert seen == [(1, 1), (0, 1)] and matrix.current == (0, 1)
    assert matrix.accessibleDescription() == 'covid19 × normal: 2, 20 % of the row'
    qtbot.keyClick(matrix, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    expected = '\tcovid19\tnormal\ncovid19\t8\t2\nnormal\t0\t5'
    assert QGuiApplication.clipboard().text() == expected


def test_a_large_table_scrolls_and_follows_the_keyboard(qtbot):
    plot = shown(qtbot, Matrix('dark', 'source', 'class'), 300)
    plot.set_values(np.full((40, 12), 1234), [f'hospital {i}' for i in range(40)], LONG)
    assert plot.horizontalScrollBar().maximum() > 0 and plot.verticalScrollBar().maximum() > 0
    plot.setFocus()
    for _ in range(12):
        qtbot.keyClick(plot, Qt.Key.Key_Right)
    for _ in range(40):
        qtbot.keyClick(plot, Qt.Key.Key_Down)
    assert plot.current == (39, 11)
    box, inner = plot.cell_box(39, 11), plot.viewport().rect()
    assert box.right() <= inner.width() + 1 and box.bottom() <= inner.height() + 1
    assert plot.text_at(QPointF(box.center().x(), plot._layout.top - 8)) == LONG[11]


def test_a_wrong_shape_is_refused(matrix):
    with pytest.raises(ValueError, match='2 rows and 1 columns'):
        matrix.set_values([[1, 2]], ['a', 'b'], ['c'])


# -- images --------------------------------------------------------------------------------


def test_images_are_shown_in_their_own_colours(qtbot):
    grid = shown(qtbot, ImageGrid('dark', together=2))
    red_image = np.zeros((30, 31, 3), np.uint8)
    red_image[..., 0] = 250
    grid.set_images([np.full((30, 31), 90, np.uint8), red_image], ['as read', 'changed'])
    picture = grid.grab().toImage()
    first, second = (
        picture.pixelColor(round(grid.box(i).center().x()), round(grid.box(i).top() + 20))
        for i in (0, 1)
    )
    assert first.getRgb()[:3] == (90, 90, 90) and second.getRgb()[:3] == (250, 0, 0)


def test_pairs_stay_beside_each_other_and_nothing_overlaps(qtbot):
    grid = shown(qtbot, ImageGrid('light', together=2))
    grid.set_images([np.zeros((20, 20), np.uint8)] * 10)
    for width in (240, 300, 420, 700, 900):
        grid.resize(width, grid.height())
        qtbot.wait(1)
        assert grid.columns % 2 == 0
        boxes = [grid.box(i) for i in range(10)]
        assert all(box.right() <= width + 0.1 and box.bottom() <= grid.height() for box in boxes)
        assert not any(a.intersects(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_images_are_chosen_by_click_and_key(qtbot):
    grid = shown(qtbot, ImageGrid('dark'))
    grid.set_images([np.zeros((20, 20), np.uint8)] * 3, ['one', 'two', 'three'])
    seen = []
    grid.chosen.connect(seen.append)
    centre = grid.box(1).center()
    qtbot.mouseClick(grid, LEFT, pos=QPoint(round(centre.x()), round(centre.y())))
    qtbot.keyClick(grid, Qt.Key.Key_Right)
    qtbot.keyClick(grid, Qt.Key.Key_Return)
    assert seen == [1, 2] and grid.accessibleDescription() == 'three'


@pytest.mark.parametrize('pixels', [np.zeros((3, 3)), np.zeros((3, 3, 2), np.uint8)])
def test_other_arrays_are_refused(qtbot, pixels):
    grid = shown(qtbot, ImageGrid('dark'))
    with pytest.raises(ValueError, match='uint8 of shape'):
        grid.set_images([pixels])
