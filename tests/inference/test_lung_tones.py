import numpy as np
import pytest

from napari_cxr.inference.lung_tones import DARKEST_LUNG, only_lungs


def two_lungs(size=48):
    """Lungs on the left and right thirds, a mediastinum of 0.8 between them, 1 elsewhere."""
    lungs = np.zeros((size, size), np.float32)
    lungs[4:-4, 2 : size // 3] = lungs[4:-4, 2 * size // 3 : -2] = 1
    image = np.ones((size, size), np.float32)
    image[:, size // 3 : 2 * size // 3] = 0.8
    image[lungs > 0] = 0.3
    return image, lungs


def test_tones_by_hand():
    # Air 0.3, shadow 0.8: 0.55 is half way, and 1 would be reached at 0.3 + 1.5 * 0.5 = 1.05.
    image, lungs = two_lungs()
    image[20, 5], image[30, 5], image[31, 5] = 0.55, 0.8, 2.0
    toned = only_lungs(image, lungs)
    assert (toned[lungs == 0] == 0).all()
    assert toned[10, 10] == pytest.approx(1 / 32)
    assert toned[20, 5] == pytest.approx(1 / 32 + 31 / 32 * 0.25 / 0.75, abs=1e-6)
    assert toned[30, 5] == pytest.approx(1 / 32 + 31 / 32 * 0.5 / 0.75, abs=1e-6)
    assert toned[31, 5] == 1


def test_exposure_and_window_do_not_matter():
    image, lungs = two_lungs()
    image = image + np.random.default_rng(0).normal(0, 0.05, image.shape).astype(np.float32)
    one, other = only_lungs(image, lungs), only_lungs(3 * image - 1, lungs)
    np.testing.assert_allclose(one, other, atol=1e-5)


def test_a_brighter_diaphragm_does_not_matter_but_the_mediastinum_does():
    image, lungs = two_lungs()
    below = image.copy()
    below[-3:] = 9
    np.testing.assert_array_equal(only_lungs(below, lungs), only_lungs(image, lungs))
    brighter = image.copy()
    brighter[:, 17:31] = 1.3
    brighter[20, 5] = image[20, 5] = 0.55
    assert only_lungs(brighter, lungs)[20, 5] < only_lungs(image, lungs)[20, 5]


def test_where_nothing_is_between_the_lungs_the_bright_pixels_of_all_are_taken():
    lungs = np.ones((48, 48), np.float32)
    image = np.tile(np.linspace(0, 1, 48, dtype=np.float32), (48, 1))
    toned = only_lungs(image, lungs)
    low, high = np.percentile(image, [2, 90])
    expected = DARKEST_LUNG + (1 - DARKEST_LUNG) * (0.5 - low) / (1.5 * (high - low))
    assert np.interp(0.5, image[0], toned[0]) == pytest.approx(expected, abs=1e-3)


def test_no_lungs_leave_nothing_and_a_flat_image_no_infinity():
    flat = np.full((48, 48), 0.5, np.float32)
    assert not only_lungs(flat, np.zeros_like(flat)).any()
    lungs = two_lungs()[1]
    np.testing.assert_array_equal(only_lungs(flat, lungs), np.where(lungs > 0, 1 / 32, 0))
