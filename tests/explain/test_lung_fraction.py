"""How much of a map lies in the lungs, by hand."""

from dataclasses import replace

import numpy as np
import pytest

from napari_cxr.explain.heatmap import Heatmap
from napari_cxr.explain.lung_fraction import lung_fractions, lung_mask, uniform_lung_fraction
from napari_cxr.lungs import LungField


def field(shape):
    """The right lung is the second quarter of the columns, the left one the third."""
    right = np.zeros((8, 8), np.float32)
    left = right.copy()
    right[:, 2:4] = left[:, 4:6] = 1
    return LungField(right, left, shape)


def quarters(values, shape, **more):
    """A map of one row of cells side by side, stretched over all of a radiograph."""
    values = np.array([values], np.float32)
    matrix = np.diag([shape[0], shape[1] / values.shape[1], 1.0])
    matrix[:2, 2] = matrix[[0, 1], [0, 1]] / 2 - 0.5
    return Heatmap(values, matrix, 'ill', 0.8, 1.4, 'Grad-CAM', 'tiny', **more)


def test_the_mask_is_that_of_a_small_radiograph_itself():
    mask = lung_mask(field((40, 80)))
    assert mask.shape == (40, 80) and mask.dtype == bool
    assert mask[:, 20:60].all() and not mask[:, :20].any() and not mask[:, 60:].any()


@pytest.mark.parametrize(
    ('shape', 'expected'),
    [
        ((256, 257), (256, 256)),
        ((3000, 100), (256, 100)),
        ((100, 3000), (100, 256)),
        ((3000, 2000), (256, 256)),
    ],
)
def test_the_mask_has_at_most_256_rows_and_columns(shape, expected):
    mask = lung_mask(field(shape))
    assert mask.shape == expected
    quarter = expected[1] // 4
    assert mask[:, quarter + 1 : -quarter - 1].all()
    assert not mask[:, : quarter - 1].any() and not mask[:, 1 - quarter :].any()


# The centres of the cells are at 1/8, 3/8, 5/8 and 7/8 of the columns: [0, 1, 0, 0] is a
# triangle from 1/8 to 5/8 with its top at 3/8. Of its area of 1/4, what lies left of 1/4 is a
# triangle of 1/8 x 1/2 / 2 = 1/32: an eighth.
@pytest.mark.parametrize('shape', [(40, 80), (1000, 1600)])
def test_shares_by_hand_on_radiographs_that_are_not_square(shape):
    second = quarters([0, 1, 0, 0], shape)
    outermost = quarters([0, 0, 0, 1], shape)  # 1 beyond 7/8, a triangle from 5/8 on
    empty = quarters([0, 0, 0, 0], shape)
    found = lung_fractions([second, outermost, empty], field(shape))
    assert found[0] == pytest.approx(7 / 8, abs=4e-3)
    # Its area is 1/8 + 1/8; between 5/8 and 3/4 lies a triangle of 1/8 x 1/2 / 2.
    assert found[1] == pytest.approx(1 / 8, abs=4e-3)
    assert found[2] is None


def test_an_even_map_has_the_lungs_share_of_what_the_network_saw():
    shape = (40, 80)
    mask = lung_mask(field(shape))
    whole = quarters([0, 1, 0, 0], shape)
    assert uniform_lung_fraction(whole, mask, shape) == pytest.approx(1 / 2)
    # Of the left half, the lungs are the half again; of the left three quarters, two thirds.
    for columns, share in ((40, 1 / 2), (60, 2 / 3), (20, 0)):
        seen = replace(whole, input_bounds=(-0.5, -0.5, 39.5, columns - 0.5))
        assert uniform_lung_fraction(seen, mask, shape) == pytest.approx(share)


def test_the_coarser_mask_gives_the_share_of_the_full_one():
    shape = (1000, 1600)
    lungs = field(shape)
    heatmap = quarters([3, 1, 0, 2], shape, input_bounds=(-0.5, 199.5, 999.5, 1399.5))
    full = heatmap.fraction_in(lungs.mask())
    assert lung_fractions([heatmap], lungs) == [pytest.approx(full, abs=4e-3)]


def test_radiographs_of_a_few_pixels_have_shares():
    # Four columns: those in the middle are lung.
    shape = (1, 4)
    mask = lung_mask(field(shape))
    np.testing.assert_array_equal(mask, [[False, True, True, False]])
    heatmap = quarters([1, 2, 3, 4], shape)
    assert lung_fractions([heatmap], field(shape)) == [pytest.approx(5 / 10)]
    assert uniform_lung_fraction(heatmap, mask, shape) == pytest.approx(1 / 2)
    one = quarters([1], (1, 1))
    assert lung_mask(field((1, 1))).shape == (1, 1)
    assert lung_fractions([one], field((1, 1))) == [1]


def test_without_lungs_nothing_lies_in_them():
    none = np.zeros((8, 8), np.float32)
    nowhere = LungField(none, none, (40, 80))
    heatmap = quarters([0, 1, 0, 0], nowhere.shape)
    assert not lung_mask(nowhere).any()
    assert lung_fractions([heatmap], nowhere) == [0]
    assert uniform_lung_fraction(heatmap, lung_mask(nowhere), nowhere.shape) == 0
