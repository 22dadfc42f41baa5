"""scikit-learn is the oracle: with weights for repeated images, and by hand where it has none."""

import numpy as np
import pytest
from sklearn import metrics as oracle

from napari_cxr.metrics.calibration import calibration_error, log_loss, softmax
from napari_cxr.metrics.probability_scores import (
    average_precision,
    brier_score,
    expected_calibration_error,
    mean_log_loss,
    multiclass_mcc,
)


@pytest.fixture
def drawn():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 90)
    logits = rng.normal(0, 1, (90, 3)) + 1.5 * np.eye(3)[truth]
    weights = rng.integers(0, 4, (5, 90)).astype(float)
    return np.eye(3, dtype=bool)[truth], softmax(logits), weights


def test_average_precision_with_ties_and_weights(drawn):
    truth, p, weights = drawn
    rounded = p.round(1)
    found = average_precision(truth[:, 0], rounded[:, 0], weights)
    for value, own in zip(found, weights, strict=True):
        expected = oracle.average_precision_score(truth[:, 0], rounded[:, 0], sample_weight=own)
        assert value == pytest.approx(expected)


def test_average_precision_needs_both():
    found = average_precision(np.array([True, True]), np.array([0.1, 0.9]), np.ones((1, 2)))
    assert np.isnan(found).all()


def test_mcc(drawn):
    truth, p, _ = drawn
    true, predicted = truth.argmax(1), p.argmax(1)
    confusion = oracle.confusion_matrix(true, predicted)
    assert multiclass_mcc(confusion) == pytest.approx(oracle.matthews_corrcoef(true, predicted))
    assert multiclass_mcc(np.array([[5, 0], [3, 0]])) == 0


def test_log_loss_and_brier(drawn):
    truth, p, weights = drawn
    losses = mean_log_loss(truth, p, weights, False)
    scores = brier_score(truth, p, weights, False)
    for i, own in enumerate(weights):
        assert losses[i] == pytest.approx(oracle.log_loss(truth.argmax(1), p, sample_weight=own))
        squares = ((p - truth) ** 2).sum(1)
        assert scores[i] == pytest.approx(np.average(squares, weights=own))
    two = brier_score(np.array([[True, False]]), np.array([[0.7, 0.3]]), np.ones((1, 1)), False)
    assert two == pytest.approx(0.09)  # as of the one probability
    assert np.isfinite(mean_log_loss(truth, truth.astype(float)[::-1], weights, False)).all()


def test_several_labels():
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 1, (90, 3))
    truth, p = rng.random((90, 3)) < 0.4, 1 / (1 + np.exp(-logits))
    assert mean_log_loss(truth, p, np.ones((1, 90)), True) == pytest.approx(
        log_loss(truth, logits)
    )
    assert brier_score(truth, p, np.ones((1, 90)), True) == pytest.approx(
        ((p - truth) ** 2).mean()
    )


def test_calibration_error_is_that_of_the_card(drawn):
    truth, p, _ = drawn
    once = np.ones((1, len(p)))
    assert expected_calibration_error(truth, p, once, False) == pytest.approx(
        calibration_error(truth.argmax(1), p)
    )
    assert expected_calibration_error(truth, p, once, True) == pytest.approx(
        calibration_error(truth, p)
    )
