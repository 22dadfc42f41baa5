"""Calibration on cases that can be solved on paper."""

import math

import numpy as np
import pytest

from napari_cxr.metrics import (
    at_prevalence,
    calibration_error,
    fit_calibration,
    fit_temperature,
    frequencies,
    log_loss,
    normalised,
    probabilities_of,
    softmax,
)
from napari_cxr.metrics.calibration import reliability


def test_softmax_survives_large_logits():
    np.testing.assert_allclose(softmax(np.array([[1000.0, 1000.0]])), [[0.5, 0.5]])
    # Each row by itself: beside the first the second would vanish.
    rows = softmax(np.array([[1000.0, 1000.0], [0.0, math.log(3)]], dtype=np.float32))
    np.testing.assert_allclose(rows, [[0.5, 0.5], [0.25, 0.75]], rtol=1e-7)
    assert rows.dtype == np.float64
    # exp(2 / 2) = e against 1
    assert softmax(np.array([2.0, 0.0]), 2.0)[0] == pytest.approx(math.e / (1 + math.e))


def test_log_loss_by_hand():
    logits = np.array([[math.log(3), 0.0], [0.0, 0.0]])
    # -ln(1/4) and -ln(1/2)
    assert log_loss(np.array([1, 0]), logits) == pytest.approx((math.log(4) + math.log(2)) / 2)


def test_temperature_makes_confidence_equal_to_accuracy():
    # Always sure by a logit of 2, right in three of four: sigmoid(2 / T) = 3/4, T = 2 / ln 3.
    logits = np.tile([2.0, 0.0], (100, 1))
    truth = np.array([0] * 75 + [1] * 25)
    assert fit_temperature(truth, logits) == pytest.approx(2 / math.log(3), rel=1e-4)


def test_calibration_error_by_hand():
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.6, 0.4]])
    truth = np.array([0, 1, 0, 0])
    # Confidence .6 is right always (gap .4), .9 once of twice (gap .4).
    assert calibration_error(truth, probabilities, bins=2) == pytest.approx(0.4)
    # All at once: confidence .75, right in 3 of 4.
    assert calibration_error(truth, probabilities, bins=1) == pytest.approx(0)


def test_several_labels_have_probabilities_of_their_own():
    logits = np.array([[1000.0, 0.0, -math.log(3)]])
    np.testing.assert_allclose(probabilities_of(logits, multilabel=True), [[1, 0.5, 0.25]])
    # 1 / (1 + 9): half the temperature squares the odds.
    assert probabilities_of(logits, True, 0.5)[0, 2] == pytest.approx(0.1)
    np.testing.assert_allclose(probabilities_of(logits, multilabel=False), softmax(logits))
    half = probabilities_of(np.array([[0.0, math.log(3)]]), False, 0.5)
    np.testing.assert_allclose(half, [[0.1, 0.9]])
    single = np.array([[0.1]], dtype=np.float32)
    assert probabilities_of(single, True).dtype == np.float64


def test_one_temperature_calibrates_all_labels():
    # As above, for labels that are there (logit 2) and that are not (logit -2).
    logits = np.tile([2.0, -2.0], (100, 1))
    truth = np.zeros((100, 2), dtype=bool)
    truth[:75, 0] = truth[75:, 1] = True
    assert fit_temperature(truth, logits) == pytest.approx(2 / math.log(3), rel=1e-4)
    warm = probabilities_of(logits, True, 2 / math.log(3))
    assert calibration_error(truth, warm, bins=1) == pytest.approx(0)
    assert log_loss(truth[:1], logits[:1]) == pytest.approx(math.log(1 + math.exp(-2)))


def test_a_threshold_becomes_one_half_and_the_ends_stay():
    # Below: 0.05 / (2 * 0.1); above: 1 - 0.45 / (2 * 0.9).
    p = np.array([0.0, 0.05, 0.1, 0.55, 1.0])
    np.testing.assert_allclose(normalised(p, 0.1), [0, 0.25, 0.5, 0.75, 1])
    # Each label by its own; where none is known nothing is said.
    np.testing.assert_allclose(
        normalised(np.array([0.3, 0.3, 0.3]), np.array([0.2, 0.6, np.nan])),
        [1 - 0.7 / 1.6, 0.25, 0.5],
    )


def test_above_one_half_is_above_the_threshold_to_the_last_bit():
    thresholds = np.random.default_rng(3).uniform(0.001, 0.9, 2000)
    assert np.all(normalised(thresholds, thresholds) == 0.5)
    assert np.all(normalised(np.nextafter(thresholds, 0), thresholds) < 0.5)
    assert np.all(normalised(np.nextafter(thresholds, 1), thresholds) >= 0.5)


def test_a_threshold_of_0_or_1_is_no_error():
    # Nobody means it, but a person may type it.
    found = normalised(np.array([0.0, 0.5, 0.5, 1.0]), np.array([0.0, 0.0, 1.0, 1.0]))
    np.testing.assert_allclose(found, [0.5, 0.75, 0.25, 0.5])


def test_log_loss_of_large_logits_and_by_temperature_and_weight():
    logits = np.array([[1000.0, 0.0], [0.0, 2 * math.log(3)]])
    truth = np.array([1, 0])
    assert log_loss(truth, logits) == pytest.approx((1000 + math.log(10)) / 2)
    assert log_loss(truth, logits, 2) == pytest.approx((500 + math.log(4)) / 2)
    assert log_loss(truth, logits, weights=np.array([0, 3])) == pytest.approx(math.log(10))
    assert log_loss(truth, logits.astype(np.float32), weights=np.array([0, 3])) == pytest.approx(
        math.log(10), rel=1e-6
    )
    # log(1 + e**-20), of which single precision would leave nothing.
    sure = np.array([[0, 20]], dtype=np.float32)
    assert log_loss(np.array([1]), sure) == pytest.approx(2.0611536e-9, rel=1e-5)
    # Several labels: -log 1/4 and -log 3/4 of one image, -log 1/2 twice of the other.
    logits = np.array([[-math.log(9), -math.log(9)], [0.0, 0.0]])
    truth = np.array([[True, False], [True, False]])
    first, second = (math.log(4) + math.log(4 / 3)) / 2, math.log(2)
    assert log_loss(truth, logits, 2) == pytest.approx((first + second) / 2)
    weights = np.array([3, 1])
    assert log_loss(truth, logits, 2, weights) == pytest.approx((3 * first + second) / 4)


def test_a_temperature_is_fitted_to_weighted_images():
    # As 75 that are right and 25 that are not.
    found = fit_temperature(np.array([0, 1]), np.tile([2.0, 0.0], (2, 1)), np.array([3, 1]))
    assert found == pytest.approx(2 / math.log(3), rel=1e-4)


@pytest.mark.parametrize(('truth', 'bound'), [(0, 0.05), (1, 20.0)])
def test_a_temperature_stays_within_its_bounds(truth, bound):
    # Always right, or always wrong: no temperature is cold, or warm, enough.
    found = fit_temperature(np.full(4, truth), np.tile([0.01, 0.0], (4, 1)))
    assert found == pytest.approx(bound, rel=1e-3)


def test_bins_hold_as_many_images_each_and_no_more_than_there_are():
    said = np.array([0.55, 0.6, 0.7, 0.8, 0.95])
    right = np.array([1, 0, 1, 1, 0])
    probabilities = np.column_stack([said, 1 - said])
    # Bins of three and of two: |.6167 - .6667| and |.875 - .5|, by their numbers of images.
    expected = (3 * abs(1.85 / 3 - 2 / 3) + 2 * (0.875 - 0.5)) / 5
    assert calibration_error(1 - right, probabilities, bins=2) == pytest.approx(expected)
    # As many bins as images at most: each image's own gap.
    alone = np.abs(said - right).mean()
    assert calibration_error(1 - right, probabilities) == pytest.approx(alone)
    assert calibration_error(1 - right, probabilities, bins=99) == pytest.approx(alone)


def test_fifteen_bins_unless_said_otherwise():
    # Images in pairs of one that is right and one that is not, all said to be so by one half.
    truth = np.tile([0, 1], 15)
    probabilities = np.tile([0.6, 0.4], (30, 1)) + np.linspace(0, 1e-9, 30)[:, None] * [1, -1]
    assert calibration_error(truth, probabilities) == pytest.approx(0.1, abs=1e-6)
    assert calibration_error(truth, probabilities, bins=16) > 0.12
    assert calibration_error(truth, probabilities, bins=14) > 0.1 + 1e-4


def test_biases_and_temperature_come_back():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(20000, 3)) * 2
    bias = np.array([1.0, -1.5, 0.5])
    p = softmax(z / 1.7 + bias)
    truth = (rng.random((20000, 1)) > p.cumsum(1)).sum(1)
    temperature, found = fit_calibration(truth, z)
    assert temperature == pytest.approx(1.7, rel=0.03)
    assert found == pytest.approx(bias, abs=0.06) and sum(found) == pytest.approx(0)
    several = rng.random((20000, 3)) < probabilities_of(z, True, 1.7, bias)
    temperature, found = fit_calibration(several, z)
    assert temperature == pytest.approx(1.7, rel=0.03) and found == pytest.approx(bias, abs=0.06)
    # A label of which nothing is known keeps a bias of 0.
    known = np.ones_like(several)
    known[:, 2] = False
    assert fit_calibration(several, z, known=known)[1][2] == pytest.approx(0, abs=1e-9)


def test_bayes_rule_moves_the_bias():
    # Odds of 1 : 9 become odds of 1 : 99: the odds of each image shrink by 11.
    (moved,) = at_prevalence([0.0], True, [0.1], [0.01])
    assert np.exp(moved) == pytest.approx(1 / 11)
    three = at_prevalence([0.0, 1.0, 0.0], False, [0.5, 0.3, 0.2], [0.25, 0.3, 0.45])
    assert np.exp(three) == pytest.approx([0.5, np.e, 2.25])
    # What no image had, or all, cannot be moved.
    assert at_prevalence([0.5], True, [0.0], [0.1]) == (0.5,)


def test_frequencies_and_reliability_by_hand():
    assert frequencies(np.array([0, 2, 2, 1]), 3).tolist() == [0.25, 0.25, 0.5]
    known = np.array([[True, True], [False, True]])
    assert frequencies(np.array([[1, 0], [1, 1]], bool), 2, known=known).tolist() == [1, 0.5]
    p = np.arange(40) / 40
    assert reliability(p >= 0.5, p) == [[20, 0.2375, 0.0], [20, 0.7375, 1.0]]
    assert reliability(p[:19] > 0, p[:19]) == []
