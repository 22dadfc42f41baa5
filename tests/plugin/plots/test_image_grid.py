"""Grids of images, driven with mouse and keyboard."""

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt

from napari_cxr.plugin.plots.image_grid import ImageGrid

LEFT = Qt.MouseButton.LeftButton


def shown(qtbot, widget, width=420):
    qtbot.addWidget(widget)
    widget.resize(width, max(widget.height(), 40))
    widget.show()
    return widget


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
