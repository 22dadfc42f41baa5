from dataclasses import replace

import numpy as np
import pytest

from napari_cxr.lungs import LungField


def field(right=(), left=(), shape=(40, 60), n=20):
    """A field that is sure of these rectangles: first and end row, first and end column."""
    maps = [np.zeros((n, n), np.float32) for _ in range(2)]
    for lung, parts in zip(maps, (right, left), strict=True):
        for top, bottom, first, end in parts:
            lung[top:bottom, first:end] = 1
    return LungField(*maps, shape)


def test_cells_stretch_over_the_radiograph():
    labels = field([(4, 14, 2, 8)], [(4, 14, 12, 18)]).labels()
    assert labels.dtype == np.uint8 and labels.shape == (40, 60)
    # Two rows and three columns to a cell, and 0.5 is reached at the edges of the cells.
    expected = np.zeros((40, 60), np.uint8)
    expected[8:28, 6:24] = 1
    expected[8:28, 36:54] = 2
    different = labels != expected
    assert different.sum() <= 8  # the corners are rounded
    assert not different[9:27].any()


def test_edges_lie_where_the_interpolated_probability_is_one_half():
    maps = [np.zeros((4, 4), np.float32) for _ in range(2)]
    maps[0][:, 1], maps[0][:, 2] = 1, 0.25
    labels = LungField(*maps, (40, 40)).labels()
    # Centres of cells at 5, 15, 25: 0 -> 1 crosses 1/2 at 10, and 1 -> 1/4 at 15 + 20 / 3.
    assert np.flatnonzero(labels[20]).tolist() == list(range(10, 22))


def test_a_small_radiograph_has_labels_too():
    assert field([(0, 20, 0, 10)], shape=(5, 4)).labels().tolist() == [[1, 1, 0, 0]] * 5


def test_the_more_probable_lung_gets_the_pixel():
    right, left = np.full((8, 8), 0.3, np.float32), np.full((8, 8), 0.3, np.float32)
    right[:, :4], left[:, 4:] = 0.35, 0.35
    labels = LungField(right, left, (8, 8)).labels()
    assert (labels == np.repeat([1, 2], 4)).all()


def test_the_mask_is_both_lungs():
    lungs = field([(4, 14, 2, 8)], [(4, 14, 12, 18)])
    assert lungs.mask().dtype == bool and (lungs.mask() == (lungs.labels() > 0)).all()


def test_only_the_largest_piece_of_a_lung_counts():
    lungs = field([(4, 14, 2, 8), (17, 19, 2, 4)], [(4, 14, 12, 18), (0, 2, 18, 20)])
    alone = field([(4, 14, 2, 8)], [(4, 14, 12, 18)])
    assert (lungs.labels() == alone.labels()).all()
    assert lungs.right[17, 2] == 1  # what the network said stays as it is


def test_holes_are_filled():
    lungs = field([(4, 14, 2, 8)])
    lungs.right[8:10, 4:6] = 0
    assert (lungs.labels() == field([(4, 14, 2, 8)]).labels()).all()


def test_what_a_person_has_drawn_stays_as_it_is():
    drawn = replace(field([(4, 14, 2, 8), (17, 19, 2, 4)]), drawn=True)
    drawn.right[8:10, 4:6] = 0
    labels = drawn.labels()  # a cell is 2 x 3 pixels
    assert (labels[16:20, 12:18] == 0).all() and (labels[35:37, 7:11] == 1).all()
    assert drawn.box() == (8, 6, 38, 24)


def test_a_piece_of_one_lung_against_the_other_belongs_to_that():
    lungs = field([(4, 14, 2, 8), (4, 6, 12, 14)], [(6, 14, 12, 18), (4, 6, 14, 18)])
    labels = lungs.labels()
    assert (labels == field([(4, 14, 2, 8)], [(4, 14, 12, 18)]).labels()).all()


def test_the_box_is_in_pixels_with_its_margin_a_share_of_its_sides():
    lungs = field([(4, 14, 2, 8)], [(6, 16, 12, 18)])
    assert lungs.box() == (8, 6, 32, 54)
    assert lungs.box(0.125) == (5, 0, 35, 60)
    assert lungs.box(5) == (0, 0, 40, 60)


def test_no_lungs_at_all():
    nothing = field()
    assert not nothing.mask().any()
    assert nothing.box() == (0, 0, 40, 60)


@pytest.mark.parametrize('shapes', [((4, 4), (4, 5)), ((4,), (4,))])
def test_maps_that_do_not_fit_are_refused(shapes):
    with pytest.raises(ValueError, match='same rows and columns'):
        LungField(*(np.zeros(shape, np.float32) for shape in shapes), (8, 8))


def test_a_radiograph_without_pixels_is_refused():
    with pytest.raises(ValueError, match='at least one row'):
        field(shape=(0, 4))
