import numpy as np
import pytest

from napari_cxr.evaluation.abstention import AbstentionBand, abstention_band, coverage


def test_the_band_by_hand():
    # Of 9 positives, alpha 0.2 allows floor(0.2 * 10) = 2 to lie lower than a further one.
    have = np.array([0.31, 0.42, 0.5, 0.6, 0.65, 0.7, 0.8, 0.9, 0.95])
    lack = np.array([0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.55, 0.72])
    positive = np.repeat([True, False], 9)
    band = abstention_band(positive, np.r_[have, lack], ['a'] * 18, threshold=0.45, alpha=0.2)
    assert band.low == pytest.approx(0.42)
    assert band.low < 0.42  # an image at 0.42 is not denied
    assert band.high == pytest.approx(0.55)
    assert band.high > 0.55


def test_the_widest_source_decides():
    sure = np.r_[np.full(50, 0.9), np.full(50, 0.1)]
    unsure = np.r_[np.linspace(0.2, 0.9, 50), np.linspace(0.1, 0.7, 50)]
    positive = np.tile(np.repeat([True, False], 50), 2)
    both = abstention_band(positive, np.r_[sure, unsure], ['a'] * 100 + ['b'] * 100, 0.5)
    alone = abstention_band(positive[100:], unsure, ['b'] * 100, 0.5)
    assert both == alone


def test_too_few_images_leave_nothing_to_say():
    band = abstention_band(
        np.array([True, False]), np.array([0.9, 0.1]), ['a', 'a'], 0.5, alpha=0.1
    )
    assert band == AbstentionBand(0, 1)


def test_the_threshold_lies_inside():
    positive = np.repeat([True, False], 100)
    p = np.r_[np.full(100, 0.9), np.full(100, 0.8)]
    band = abstention_band(positive, p, ['a'] * 200, threshold=0.3)
    assert band.low <= 0.3 <= band.high


@pytest.mark.parametrize('alpha', [0, 1, -0.1])
def test_an_alpha_outside_its_range(alpha):
    with pytest.raises(ValueError, match='alpha'):
        abstention_band(
            np.array([True, False]), np.array([0.9, 0.1]), ['a', 'a'], 0.5, alpha=alpha
        )


def test_both_errors_keep_to_alpha_on_images_to_come():
    rng = np.random.default_rng(0)
    wrong = np.zeros(2)
    for _ in range(200):
        positive = np.repeat([True, False], 60)
        p = 1 / (1 + np.exp(-np.where(positive, 1.0, -1.0) - rng.normal(0, 1.2, 120)))
        band = abstention_band(positive[::2], p[::2], ['a'] * 60, threshold=0.5, alpha=0.1)
        new = coverage(positive[1::2], p[1::2], band)
        wrong += [new['wrong_positives'], new['wrong_negatives']]
    # The bound is on the mean; its standard error here is about 0.004.
    assert (wrong / 200 < 0.112).all()
    assert (wrong / 200 > 0.05).all()  # and the band is not wider than it need be


def test_coverage_counts():
    positive = np.array([True, True, True, False, False, False])
    p = np.array([0.9, 0.5, 0.1, 0.1, 0.5, 0.9])
    found = coverage(positive, p, AbstentionBand(0.2, 0.8))
    assert found == {
        'images': 6,
        'answered': pytest.approx(4 / 6),
        'wrong_positives': pytest.approx(1 / 3),
        'wrong_negatives': pytest.approx(1 / 3),
        'sensitivity': 0.5,
        'specificity': 0.5,
    }


def test_coverage_where_nothing_is_answered():
    found = coverage(np.array([True, False]), np.array([0.5, 0.5]), AbstentionBand(0, 1))
    assert found['answered'] == 0
    assert np.isnan(found['sensitivity'])
