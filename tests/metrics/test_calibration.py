"""Calibration on cases that can be solved on paper."""

import math

import numpy as np
import pytest

from napari_cxr.metrics import (
    calibration_error,
    fit_temperature,
    log_loss,
    normalised,
    probabilities_of,
    softmax,
)


def test_softmax_survives_large_logits():
    np.testing.assert_allclose(softmax(np.array([[1000.0, 1000.0]])), [[0.5, 0.5]])
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
    np.testing.assert_allclose(probabilities_of(logits, several=True), [[1, 0.5, 0.25]])
    # 1 / (1 + 9): half the temperature squares the odds.
    assert probabilities_of(logits, True, 0.5)[0, 2] == pytest.approx(0.1)
    np.testing.assert_allclose(probabilities_of(logits, several=False), softmax(logits))


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
