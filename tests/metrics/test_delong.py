import numpy as np
import pytest

from napari_cxr.metrics.classification import auc, macro_auc
from napari_cxr.metrics.delong import auc_covariance, macro_auc_covariance


def test_by_hand():
    # Positives 0.9, 0.4, 0.7; negatives 0.5, 0.1. Placements of the positives: 1, 1/2, 1; of the
    # negatives: 2/3, 1. Sample variances 1/12 and 1/18; over 3 and 2: 1/36 + 1/36.
    positive = np.array([True, True, True, False, False])
    scores = np.array([0.9, 0.4, 0.7, 0.5, 0.1])
    found = auc_covariance(positive, scores[:, None])
    assert found.areas == pytest.approx([5 / 6])
    assert found.covariance[0, 0] == pytest.approx(1 / 18)


def test_the_same_classifier_twice_does_not_differ():
    rng = np.random.default_rng(0)
    positive = rng.random(40) < 0.5
    scores = positive + rng.normal(0, 1, 40)
    found = auc_covariance(positive, np.stack([scores, scores], axis=1))
    assert found.difference(0, 1) == (0, pytest.approx(0, abs=1e-9), 1)


def test_the_p_value_is_uniform_where_nothing_differs():
    rng = np.random.default_rng(1)
    small = 0
    for _ in range(400):
        positive = np.arange(80) < 40
        shared = positive + rng.normal(0, 1, 80)
        two = np.stack([shared + rng.normal(0, 1, 80) for _ in range(2)], axis=1)
        small += auc_covariance(positive, two).difference(0, 1)[2] < 0.05
    assert 0.02 < small / 400 < 0.09  # standard error .011


def test_patients_with_several_images_are_one_case_each():
    rng = np.random.default_rng(2)
    positive = np.arange(40) < 20
    scores = (positive + rng.normal(0, 1, 40))[:, None]
    once = auc_covariance(positive, scores).covariance[0, 0]
    copies = auc_covariance(
        np.repeat(positive, 5), np.repeat(scores, 5, axis=0), np.repeat(np.arange(40), 5).tolist()
    ).covariance[0, 0]
    assert copies == pytest.approx(once)


def test_it_agrees_with_the_spread_of_areas():
    rng = np.random.default_rng(3)
    areas, errors = [], []
    for _ in range(300):
        positive = np.arange(100) < 30
        scores = positive + rng.normal(0, 1, 100)
        areas.append(float(auc(positive, scores)))
        errors.append(auc_covariance(positive, scores[:, None]).covariance[0, 0])
    assert np.mean(errors) == pytest.approx(np.var(areas), rel=0.2)


def test_macro_areas_and_their_spread():
    rng = np.random.default_rng(4)
    areas, errors = [], []
    for _ in range(300):
        truth = np.eye(3, dtype=bool)[rng.integers(0, 3, 90)]
        scores = truth + rng.normal(0, 1.2, (90, 3))
        found = macro_auc_covariance(truth, [scores])
        assert found.areas[0] == pytest.approx(float(macro_auc(truth.argmax(1), scores)))
        areas.append(found.areas[0])
        errors.append(found.covariance[0, 0])
    assert np.mean(errors) == pytest.approx(np.var(areas), rel=0.25)


def test_with_one_class_nothing_is_known():
    assert np.isnan(auc_covariance(np.array([True, True]), np.ones((2, 1))).areas).all()
    one = auc_covariance(np.array([True, False, False]), np.array([[0.9], [0.1], [0.2]]))
    assert one.areas == [1]
    assert np.isnan(one.covariance).all()
