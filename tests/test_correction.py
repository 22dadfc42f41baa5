"""Corrections by hand on images of a few pixels."""

from itertools import product

import numpy as np
import pytest

from napari_cxr.correction import Correction
from napari_cxr.radiograph import Geometry, Radiograph, SpacingSource

ALL = [Correction(*parts) for parts in product((False, True), (False, True), range(4))]
IMAGE = np.array([[1, 2, 3], [4, 5, 6]])


@pytest.mark.parametrize(
    ('correction', 'after'),
    [
        (Correction(mirrored=True), [[3, 2, 1], [6, 5, 4]]),
        (Correction(turns=1), [[4, 1], [5, 2], [6, 3]]),
        (Correction(turns=2), [[6, 5, 4], [3, 2, 1]]),
        (Correction(turns=3), [[3, 6], [2, 5], [1, 4]]),
        (Correction(mirrored=True, turns=1), [[6, 3], [5, 2], [4, 1]]),
        (Correction(mirrored=True, turns=2), [[4, 5, 6], [1, 2, 3]]),
        (Correction(inverted=True), [[1, 2, 3], [4, 5, 6]]),
    ],
)
def test_pixels_move(correction, after):
    assert correction.apply(IMAGE).tolist() == after


@pytest.mark.parametrize('one', ALL)
@pytest.mark.parametrize('other', ALL)
def test_one_after_the_other_is_one(one, other):
    both = one.then(other)
    assert both.apply(IMAGE).tolist() == other.apply(one.apply(IMAGE)).tolist()
    assert both.inverted == (one.inverted != other.inverted)
    assert not one.then(one.inverse())


@pytest.mark.parametrize('correction', ALL)
def test_the_matrix_says_where_each_pixel_goes(correction):
    after, matrix = correction.apply(IMAGE), correction.matrix(*IMAGE.shape)
    assert after.shape == correction.shape(*IMAGE.shape)
    for y, x in np.ndindex(IMAGE.shape):
        row, column, _ = matrix @ (y, x, 1)
        assert after[int(row), int(column)] == IMAGE[y, x]
    around = correction.about(np.array([5.0, 7.0]))
    assert around @ (5, 7, 1) == pytest.approx([5, 7, 1])
    assert around[:2, :2] == pytest.approx(matrix[:2, :2])


def test_it_is_told_in_words():
    assert str(Correction(True, True, 3)) == 'inverted, mirrored and turned by 90° anticlockwise'
    assert str(Correction(mirrored=True, turns=2)) == 'flipped top to bottom'
    assert str(Correction()) == '' and not Correction()
    with pytest.raises(ValueError, match='turns'):
        Correction(turns=4)


def test_a_radiograph_is_corrected_with_all_that_belongs_to_it():
    read = Radiograph.from_array(
        np.array([[0, 51, 102], [153, 204, 255]], np.uint8),
        geometry=Geometry((0.1, 0.2), SpacingSource.CALIBRATED, 0.5),
    )
    turned = read.corrected(Correction(inverted=True, turns=1))
    assert turned.to_display() == pytest.approx(np.array([[0.4, 1], [0.2, 0.8], [0, 0.6]]))
    assert turned.geometry == Geometry((0.2, 0.1), SpacingSource.CALIBRATED, 2.0)
    back = turned.corrected(turned.correction.inverse())
    assert not back.correction and (back.values == read.values).all() and not back.inverted
    colour = Radiograph.from_array(np.arange(18, dtype=np.uint8).reshape(2, 3, 3))
    assert colour.corrected(Correction(mirrored=True)).values[0, :, 0].tolist() == [6, 3, 0]
