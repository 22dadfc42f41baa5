"""The proposal for the cardiothoracic ratio, on drawn lungs and hearts."""

import numpy as np
import pytest

from napari_cxr.lungs.cardiothoracic import cardiothoracic_lines


@pytest.mark.parametrize('scale', [1, 3])
def test_edges_of_heart_and_thorax_are_found(scale):
    rows, columns = 240 * scale, 220 * scale
    y, x = np.mgrid[:rows, :columns] / scale
    right = ((y - 120) / 90) ** 2 + ((x - 60) / 42) ** 2 < 1
    left = ((y - 120) / 90) ** 2 + ((x - 160) / 42) ** 2 < 1
    heart = ((y - 160) / 34) ** 2 + ((x - 122) / 42) ** 2 < 1  # from 80 to 164
    display = np.where(right | left, 0.2, 0.8)
    display[heart] = 0.85
    labels = np.where(right, 1, np.where(left, 2, 0)).astype(np.uint8)
    one, two, three, four = cardiothoracic_lines(labels, display.astype(np.float32))
    assert one[0] == two[0] and three[0] == four[0] == pytest.approx(120 * scale, abs=8 * scale)
    assert three[1] / scale == pytest.approx(18, abs=2)
    assert four[1] / scale == pytest.approx(202, abs=2)
    assert one[1] / scale == pytest.approx(81, abs=5)
    assert two[1] / scale == pytest.approx(163, abs=5)


def test_without_two_lungs_there_is_none():
    labels = np.zeros((60, 60), np.uint8)
    labels[10:50, 5:25] = 1
    assert cardiothoracic_lines(labels, np.zeros((60, 60), np.float32)) is None
