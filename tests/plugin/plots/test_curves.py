"""Curves and histograms, their axes and their legend."""

import numpy as np
import pytest
from qtpy.QtCore import QPoint, QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QFontMetricsF, QGuiApplication
from superqt.utils import qimage_to_array

from napari_cxr.plugin.plots.axes import Axes, Scale, number_text, tick_texts
from napari_cxr.plugin.plots.curves import Curves, Histogram, Line
from napari_cxr.plugin.plots.plot import Legend, LegendEntry
from napari_cxr.plugin.style import theme_color

EPOCHS = [1, 2, 3, 4, 5]


@pytest.fixture
def curves(qtbot):
    made = Curves('dark', 'Loss')
    qtbot.addWidget(made)
    made.resize(420, 100)
    made.show()
    return made


def pixels(widget):
    """What the widget paints: shape (h, w, 3), at one pixel for each of the widget's."""
    return qimage_to_array(widget.grab().toImage())[..., :3]


def near(picture, color: QColor, off=40):
    wanted = np.array(color.getRgb()[:3])
    return np.abs(picture.astype(int) - wanted).sum(axis=-1) < off


# -- axes ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('scale', 'most', 'expected'),
    [
        (Scale(0, 1), 6, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (Scale(0.3, 41.7), 5, [10, 20, 30, 40]),
        (Scale(0.9, 5.1, whole=True), 20, [1, 2, 3, 4, 5]),
        (Scale(-3, 3), 4, [-2, 0, 2]),
        (Scale(0.05, 20, log=True), 3, [0.1, 1, 10]),
        (Scale(1, 10, log=True), 4, [1, 2, 5, 10]),
    ],
)
def test_ticks_are_round(scale, most, expected):
    np.testing.assert_allclose(scale.ticks(most), expected)


@pytest.mark.parametrize('seed', range(20))
def test_ticks_lie_inside_and_are_not_too_many(seed):
    rng = np.random.default_rng(seed)
    low = 10 ** rng.uniform(-6, 5)
    for log in (False, True):
        scale = Scale(low, low * 10 ** rng.uniform(0.1, 6), log=log)
        for most in (2, 3, 5, 9):
            ticks = scale.ticks(most)
            assert 1 <= len(ticks) <= most + 1
            assert all(scale.low * (1 - 1e-9) <= t <= scale.high * (1 + 1e-9) for t in ticks)
            assert len(set(tick_texts(ticks))) == len(ticks)


def test_texts_of_ticks():
    assert tick_texts([0, 0.5, 1]) == ['0.0', '0.5', '1.0']
    assert tick_texts([-2, 0, 2]) == ['−2', '0', '2']
    assert tick_texts([1000, 2000]) == ['1\u2009000', '2\u2009000']
    assert tick_texts([1e-5, 1e-4, 1e-3]) == ['1e−5', '1e−4', '1e−3']
    assert tick_texts([0.1, 1, 10]) == ['0.1', '1', '10']
    assert tick_texts([0.0]) == ['0']


def test_texts_of_numbers():
    assert number_text(0.123456) == '0.1235'
    assert number_text(12.3456) == '12.35'
    assert number_text(12) == '12'
    assert number_text(12345.6) == '12\u2009346'
    assert number_text(0.00012345) == '1.23e−4'
    assert number_text(float('nan')) == '–'


def test_a_scale_holds_everything_and_equal_values_too():
    scale = Scale.around([np.array([1.0, np.nan, 3.0]), np.array([2.0])], margin=0.05)
    assert (scale.low, scale.high) == pytest.approx((0.9, 3.1))
    same = Scale.around([np.array([0.5, 0.5])])
    assert same.low < 0.5 < same.high
    log = Scale.around([np.array([0.0, -1.0, 1e-4, 1.0])], log=True)
    assert log.low == pytest.approx(1e-4 / 10**0.2) and log.high == pytest.approx(10**0.2)
    assert Scale.around([]).low < Scale.around([]).high


def test_values_find_their_pixels_and_back():
    axes = Axes(QRectF(10, 20, 100, 200), Scale(0, 10), Scale(1, 100, log=True))
    points = axes.points(np.array([0, 5, 10]), np.array([1, 10, 0]))
    np.testing.assert_allclose(points, [[10, 220], [60, 120], [110, np.nan]])
    assert axes.x_at(60) == pytest.approx(5)


# -- legend --------------------------------------------------------------------------------


def test_names_in_a_legend_never_overlap(curves):
    metrics = QFontMetricsF(curves.font())
    names = ['training', 'a name that is much longer than the plot is wide ' * 2, 'x', 'y' * 60]
    entries = [LegendEntry(name, lambda p, r: None) for name in names]
    legend = Legend(entries, metrics, 228)
    boxes = [box for box, _, _ in legend._placed]
    assert all(box.right() <= 228 and box.bottom() <= legend.height + 1e-6 for box in boxes)
    assert not any(
        a.adjusted(0, 0.1, 0, -0.1).intersects(b.adjusted(0, 0.1, 0, -0.1))
        for i, a in enumerate(boxes)
        for b in boxes[:i]
    )
    assert legend.name_at(boxes[1].center().x(), boxes[1].center().y()) == names[1]


# -- curves --------------------------------------------------------------------------------


def test_lines_keep_what_they_were_given(curves):
    ys = [1.0, 0.5]
    curves.set_lines([('training', [2, 1], ys, 'solid')])
    ys.append(7.0)  # a list that goes on growing does not change what is drawn
    (line,) = curves.lines
    assert list(line.xs) == [1, 2] and list(line.ys) == [0.5, 1.0]
    assert 'training 1' in curves.accessibleDescription()


@pytest.mark.parametrize(
    ('line', 'word'),
    [
        (('a', [1, 2], [1], 'solid'), '2 places and 1 values'),
        (('a', [1], [1], 'dotted'), 'dotted'),
    ],
)
def test_lines_that_make_no_sense_are_refused(curves, line, word):
    with pytest.raises(ValueError, match=word):
        curves.set_lines([line])


def test_a_line_is_painted_where_its_values_are(curves):
    curves.set_lines([('training', [1, 2, 3], [0.0, 0.0, 1.0], 'solid')])
    where = near(pixels(curves), QColor('#56cefd'))
    axes = curves.axes()
    x, y = axes.points(np.array([1.5]), np.array([0.0]))[0]
    assert where[round(y) - 2 : round(y) + 3, round(x)].any()
    x, y = axes.points(np.array([1.5]), np.array([0.7]))[0]
    assert not where[round(y) - 4 : round(y) + 5, round(x)].any()


def test_nan_leaves_a_gap_and_a_single_value_is_a_dot(curves):
    curves.set_lines([('a', [1, 2, 3, 4, 5], [1, 1, np.nan, 1, np.nan], 'solid')])
    where = near(pixels(curves), QColor('#56cefd'))
    axes = curves.axes()
    seen = []
    for x in (1.5, 2.5, 3.5, 4.0, 4.5):
        column, row = axes.points(np.array([x]), np.array([1.0]))[0]
        seen.append(bool(where[round(row) - 2 : round(row) + 3, round(column)].any()))
    assert seen == [True, False, False, True, False]


def test_two_runs_share_colours_and_differ_in_dashes(curves):
    flat = [('t', EPOCHS, [1] * 5, 'solid'), ('t, other', EPOCHS, [2] * 5, 'dashed')]
    curves.set_lines(flat)
    where = near(pixels(curves), QColor('#56cefd'))
    axes = curves.axes()
    rows = [round(axes.points(np.array([1]), np.array([v]))[0, 1]) for v in (1, 2)]
    left, right = round(axes.area.left()) + 12, round(axes.area.right()) - 12
    solid, dashed = (where[r - 1 : r + 2, left:right].any(axis=0).mean() for r in rows)
    assert solid == 1 and 0.4 < dashed < 0.8


def test_a_logarithmic_axis_leaves_out_what_is_not_positive(qtbot, curves):
    curves.set_lines([('rate', [1, 2, 3], [0.0, 1e-4, 1e-2], 'solid')])
    curves.set_log_y(True)
    points = curves.axes().points(np.array([1, 2, 3]), np.array([0.0, 1e-4, 1e-2]))
    assert np.isnan(points[0, 1]) and points[1, 1] > points[2, 1]
    curves.grab()
    menu = curves._menu()
    assert menu.actions()[0].isChecked()
    menu.actions()[0].trigger()
    assert not curves.log_y


def test_the_mouse_shows_the_values_at_the_nearest_place(qtbot, curves):
    curves.set_lines(
        [('training', EPOCHS, [5, 4, 3, 2, 1], 'solid'), ('validation', [1, 2], [6, 5], 'dashed')]
    )
    axes = curves.axes()
    x, y = axes.points(np.array([2.2]), np.array([3.0]))[0]
    qtbot.mouseMove(curves, QPoint(round(x), round(y)))
    qtbot.waitUntil(lambda: curves.shown_at == 2, timeout=150_000)
    assert curves.values_at(2) == [('training', 4), ('validation', 5)]
    assert np.isnan(curves.values_at(3)[1][1])
    before = near(pixels(curves), theme_color('dark', 'foreground'), 8).sum()
    assert before > 500  # the box


def test_the_arrow_keys_do_as_well(qtbot, curves):
    curves.set_lines([('training', EPOCHS, EPOCHS, 'solid')])
    curves.setFocus()
    for key, expected in (
        (Qt.Key.Key_Right, 5),
        (Qt.Key.Key_Left, 4),
        (Qt.Key.Key_Right, 5),
        (Qt.Key.Key_Right, 5),
        (Qt.Key.Key_Escape, None),
    ):
        qtbot.keyClick(curves, key)
        assert curves.shown_at == expected


def test_values_are_copied_as_a_table(curves):
    curves.set_lines([('a', [1, 2], [0.5, np.nan], 'solid'), ('b', [2], [3], 'solid')])
    curves.copy_values()
    assert QGuiApplication.clipboard().text() == 'epoch\ta\tb\n1\t0.5\t\n2\t\t3'


@pytest.mark.parametrize('theme', ['dark', 'light'])
@pytest.mark.parametrize('width', [240, 420, 900])
def test_nothing_breaks_at_any_width(qtbot, theme, width):
    made = Curves(theme)
    qtbot.addWidget(made)
    made.resize(width, 10)
    made.show()
    made.grab()  # without any line
    made.set_lines([Line('n' * 90, [1], [np.nan]), Line('m' * 90, EPOCHS, [1e-9] * 5, 'dashed')])
    made._move_cursor(3.0)
    made.grab()
    made.set_theme('light' if theme == 'dark' else 'dark')
    made.grab()
    axes = made.axes()
    assert axes.area.height() > 80 and axes.area.right() <= width and axes.area.left() > 0
    assert axes.area.contains(QPointF(width / 2, made.height() / 2))


def shown(qtbot, widget, width=420):
    qtbot.addWidget(widget)
    widget.resize(width, max(widget.height(), 40))
    widget.show()
    return widget


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
