import numpy as np
import pytest

from napari_cxr.lungs import LungField
from napari_cxr.lungs.atlas import average_lungs
from napari_cxr.lungs.plausible import measures, plausibility


def drawn():
    """The average lungs as if a network had been sure of them."""
    mean = average_lungs()
    lung = mean[0] + mean[1] > 0.5
    maps = [0.97 * (lung & (mean[i] > mean[1 - i])).astype(np.float32) for i in (0, 1)]
    return LungField(*maps, (128, 128))


def test_average_lungs_are_as_plausible_as_can_be():
    share, phrase = plausibility(drawn())
    assert phrase == '' and share > 0.3


def test_measures_of_two_rectangles():
    right, left = np.zeros((2, 128, 128), np.float32)
    right[32:96, 16:48] = 0.9
    left[40:88, 80:112] = 0.9
    found = measures(LungField(right, left, (9, 9)))
    assert found['larger lung'] == pytest.approx(1 / 8)
    assert found['smaller lung'] == pytest.approx(3 / 32)
    assert found['balance'] == pytest.approx(3 / 4)
    assert found['apart'] == pytest.approx(0.5 / (7 / 32) ** 0.5)
    assert found['level'] == pytest.approx(0)
    assert found['tidiness'] == 1
    assert found['fullness'] == pytest.approx(1)
    assert found['certainty'] == pytest.approx(0.9)


def nothing(right, left):
    return 0 * right, 0 * left


def one_lung(right, left):
    return right, 0 * left


def exchanged(right, left):
    return left, right


def far_too_small(right, left):
    small = [np.zeros_like(right), np.zeros_like(left)]
    for new, old in zip(small, (right, left), strict=True):
        new[48:80, 48:80] = old[::4, ::4]
    return tuple(small)


def unequal(right, left):
    left = left.copy()
    left[50:] = 0
    return right, left


def everything(right, left):
    return np.repeat([[0.97, 0]], 64, 1).repeat(128, 0), np.repeat([[0, 0.97]], 64, 1).repeat(
        128, 0
    )


def unsure(right, left):
    return 0.62 * right, 0.62 * left


def crumbs(right, left):
    grid = (np.indices(right.shape) % 6 > 1).all(axis=0)
    return right * grid, left * grid


def one_above_the_other(right, left):
    return np.rot90(right), np.rot90(left)


@pytest.mark.parametrize(
    ('odd', 'words'),
    [
        (nothing, 'no lungs'),
        (one_lung, 'hardly found'),
        (exchanged, 'not beside each other'),
        (far_too_small, 'no lungs'),
        (unequal, 'much smaller than the other'),
        (everything, ''),
        (unsure, 'unsure'),
        (crumbs, ''),
        (one_above_the_other, ''),
    ],
)
def test_what_is_no_pair_of_lungs(odd, words):
    import re

    lungs = drawn()
    right, left = (np.asarray(x, dtype=np.float32) for x in odd(lungs.right, lungs.left))
    share, phrase = plausibility(LungField(right, left, (128, 128)))
    assert share == 0 and phrase and re.search(words, phrase)


def test_the_atlas_is_lung_where_lung_was_often():
    right, left = average_lungs()
    assert right.shape == left.shape == (128, 128)
    lung = right + left > 0.5
    # Two lungs cover between a quarter and half of a radiograph, each its own half of it.
    assert 0.25 < lung.mean() < 0.5
    assert right[:, 80:].max() < 0.1 and left[:, :48].max() < 0.1
    assert (right + left).max() <= 1
    with pytest.raises(ValueError, match='read-only'):
        right[0, 0] = 1
