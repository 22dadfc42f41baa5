"""Where the evidence of a heatmap lies, by the lungs."""

from dataclasses import replace

import numpy as np
import pytest

from napari_cxr.explain.heatmap import Heatmap
from napari_cxr.explain.heatmap_location import (
    heatmap_location,
    heatmap_locations,
    lung_labels,
    uniform_lung_fraction,
)
from napari_cxr.lungs import LungField


def placed(values, jump=(1.0, 1.0), start=(0.0, 0.0)):
    matrix = np.array([[jump[0], 0, start[0]], [0, jump[1], start[1]], [0, 0, 1.0]])
    values = np.asarray(values, dtype=np.float32)
    return Heatmap(values, matrix, 'covid19', 0.7, 1.2, 'Grad-CAM', 'small')


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
    mask = lung_labels(field((40, 80))) > 0
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
    mask = lung_labels(field(shape)) > 0
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
    mask = lung_labels(field(shape)) > 0
    found = [each.fraction_in(mask, shape) for each in (second, outermost, empty)]
    assert found[0] == pytest.approx(7 / 8, abs=4e-3)
    # Its area is 1/8 + 1/8; between 5/8 and 3/4 lies a triangle of 1/8 x 1/2 / 2.
    assert found[1] == pytest.approx(1 / 8, abs=4e-3)
    assert found[2] is None


def test_an_even_map_has_the_lungs_share_of_what_the_network_saw():
    shape = (40, 80)
    mask = lung_labels(field(shape)) > 0
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
    coarse = heatmap.fraction_in(lung_labels(lungs) > 0, shape)
    assert coarse == pytest.approx(full, abs=4e-3)


def test_radiographs_of_a_few_pixels_have_shares():
    # Four columns: those in the middle are lung.
    shape = (1, 4)
    mask = lung_labels(field(shape)) > 0
    np.testing.assert_array_equal(mask, [[False, True, True, False]])
    heatmap = quarters([1, 2, 3, 4], shape)
    assert heatmap.fraction_in(mask, shape) == pytest.approx(5 / 10)
    assert uniform_lung_fraction(heatmap, mask, shape) == pytest.approx(1 / 2)
    one = quarters([1], (1, 1))
    only = lung_labels(field((1, 1)))
    assert only.shape == (1, 1)
    assert one.fraction_in(only > 0, (1, 1)) == 1


def test_without_lungs_nothing_lies_in_them():
    none = np.zeros((8, 8), np.float32)
    nowhere = LungField(none, none, (40, 80))
    heatmap = quarters([0, 1, 0, 0], nowhere.shape)
    mask = lung_labels(nowhere) > 0
    assert not mask.any()
    assert heatmap.fraction_in(mask, nowhere.shape) == 0
    assert uniform_lung_fraction(heatmap, mask, nowhere.shape) == 0
    location = heatmap_location(heatmap, lung_labels(nowhere), nowhere.shape)
    assert location.region == location.place == 'outside the lungs'
    assert location.half_peak_lung_fraction == 0 and not location.in_lungs


# Columns 20 to 39 of 80 are the right lung, 40 to 59 the left one, in rows 10 to 29 of 40.
def two_lungs(shape=(40, 80)):
    labels = np.zeros(shape, np.uint8)
    down, across = shape[0] // 40, shape[1] // 80
    labels[10 * down : 30 * down, 15 * across : 35 * across] = 1
    labels[10 * down : 30 * down, 45 * across : 65 * across] = 2
    return labels


@pytest.mark.parametrize('fine', [1, 20])  # finer than the points that are looked at
@pytest.mark.parametrize(
    ('peak', 'region', 'place'),
    [
        ((20, 20), 'right lung', 'in the right lung'),
        ((20, 60), 'left lung', 'in the left lung'),
        ((20, 40), 'between the lungs', 'outside the lungs, between them'),
        ((5, 40), 'above the lungs', 'outside the lungs, above them'),
        ((5, 20), 'above the lungs', 'outside the lungs, above them'),
        ((35, 60), 'below the lungs', 'outside the lungs, below them'),
        ((20, 5), 'beside the right lung', 'outside the lungs, beside the right lung'),
        ((20, 75), 'beside the left lung', 'outside the lungs, beside the left lung'),
    ],
)
def test_the_region_of_the_peak(peak, region, place, fine):
    labels = two_lungs((40 * fine, 80 * fine))
    values = np.zeros((8, 16), np.float32)
    values[peak[0] // 5, peak[1] // 5] = 1  # cells of 5 x 5 pixels
    heatmap = placed(values, jump=(5 * fine, 5 * fine), start=(2 * fine, 2 * fine))
    location = heatmap_location(heatmap, labels, labels.shape)
    assert (location.region, location.place) == (region, place)
    assert location.in_lungs == ('in the' in place)


def test_a_heatmap_mostly_in_the_lungs_may_have_its_peak_on_the_chest_wall():
    labels = two_lungs()
    values = np.full((8, 16), 0.0, np.float32)
    values[2:6, 3:7] = values[2:6, 9:13] = 0.4  # all over the lungs
    values[4, 0] = 1  # at the chest wall
    heatmap = placed(values, jump=(5, 5), start=(2, 2))
    assert heatmap.fraction_in(labels > 0) > 0.8
    location = heatmap_location(heatmap, labels, labels.shape)
    assert location.region == 'beside the right lung'
    # Only the cells around the peak reach half of it.
    assert location.half_peak_lung_fraction == 0


def test_the_fraction_counts_the_area_above_half_of_the_peak():
    # 1 in the first column and 3 in the last one, linear between them: at least half of 3 from
    # column 20 on of 0 to 80, and the lung is columns 60 to 80: 21 of 61.
    labels = np.zeros((40, 81), np.uint8)
    labels[:, 60:] = 2
    heatmap = placed([[1, 3], [1, 3]], jump=(39, 80))
    location = heatmap_location(heatmap, labels, labels.shape)
    assert location.half_peak_lung_fraction == pytest.approx(21 / 61)
    assert location.peak == (0, 80) and location.region == 'left lung'


def test_a_uniform_map_has_no_location():
    assert heatmap_locations([placed(np.ones((2, 2)))], field((40, 80))) == [None]
