"""Matrices of numbers, driven with mouse and keyboard."""

import numpy as np
import pytest
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QGuiApplication

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
