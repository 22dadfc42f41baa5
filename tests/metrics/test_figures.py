"""Figures against confusion matrices of the papers and areas worked out by hand."""

import numpy as np
import pytest

from napari_cxr.metrics import (
    accuracy,
    auc,
    balanced_accuracy,
    confusion_matrix,
    f1,
    macro_auc,
    precision,
    sensitivity,
    specificity,
)

#: Sagar's ResNet: rows normal, pneumonia; TN 191, FP 43, FN 13, TP 377.
SAGAR = np.array([[191, 43], [13, 377]])
#: Zhong's: rows COVID-19, normal, pneumonia.
ZHONG = np.array([[98, 0, 2], [9, 197, 36], [5, 42, 351]])


def test_sagars_published_percentages_follow_from_their_counts():
    assert accuracy(SAGAR) == pytest.approx(0.9103, abs=5e-5)
    assert precision(SAGAR)[1] == pytest.approx(0.8976, abs=5e-5)
    assert sensitivity(SAGAR)[1] == pytest.approx(0.9667, abs=5e-5)
    assert f1(SAGAR)[1] == pytest.approx(0.9309, abs=5e-5)
    assert specificity(SAGAR)[1] == pytest.approx(191 / 234)
    # With two classes the specificity of one is the sensitivity of the other.
    assert specificity(SAGAR)[0] == sensitivity(SAGAR)[1]


def test_three_classes_by_hand():
    np.testing.assert_allclose(sensitivity(ZHONG), [0.98, 197 / 242, 351 / 398])
    # 98 of the 112 that were called COVID-19: the paper's .9798 saw COVID-19 images only.
    np.testing.assert_allclose(precision(ZHONG), [0.875, 197 / 239, 351 / 389])
    np.testing.assert_allclose(specificity(ZHONG), [626 / 640, 456 / 498, 304 / 342])
    np.testing.assert_allclose(accuracy(ZHONG), 646 / 740)
    np.testing.assert_allclose(balanced_accuracy(ZHONG), (0.98 + 197 / 242 + 351 / 398) / 3)


def test_confusion_counts_truth_by_row():
    found = confusion_matrix(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 0]), 3)
    np.testing.assert_array_equal(found, [[1, 1, 0], [0, 1, 0], [1, 0, 0]])


def test_a_weight_of_two_is_the_image_twice():
    truth, predicted = np.array([0, 0, 1]), np.array([0, 1, 1])
    weights = np.array([[1, 1, 1], [0, 2, 3]])
    found = confusion_matrix(truth, predicted, 2, weights)
    np.testing.assert_array_equal(found, [[[1, 1], [0, 1]], [[0, 2], [0, 3]]])
    np.testing.assert_allclose(accuracy(found), [2 / 3, 3 / 5])


def test_a_class_without_images_is_left_out_of_the_mean():
    confusion = np.array([[3, 1, 0], [0, 0, 0], [1, 0, 1]])
    assert np.isnan(sensitivity(confusion)[1])
    assert balanced_accuracy(confusion) == pytest.approx((3 / 4 + 1 / 2) / 2)


def test_areas_by_counting_pairs():
    positive = np.array([False, False, True, True])
    # Three of the four pairs are in order.
    assert auc(positive, np.array([0.1, 0.4, 0.35, 0.8])) == 0.75
    # A tie is half a pair: 1 + 1 + .5 + 1 of 4.
    assert auc(positive, np.array([0.1, 0.4, 0.4, 0.8])) == 0.875
    assert auc(positive, np.array([0.9, 0.8, 0.2, 0.1])) == 0
    assert auc(positive, np.full(4, 0.3)) == 0.5
    assert np.isnan(auc(np.zeros(4, bool), np.arange(4)))


def test_weighted_area_is_that_of_repeated_images():
    positive = np.array([False, True, True, False])
    scores = np.array([0.2, 0.2, 0.7, 0.5])
    weights = np.array([[1, 1, 1, 1], [3, 0, 2, 1], [2, 2, 0, 1]])
    repeated = [auc(np.repeat(positive, w), np.repeat(scores, w)) for w in weights]
    np.testing.assert_allclose(auc(positive, scores, weights), repeated)
    # By hand, the third row: two positives at .2 against .2, .2, .5: 4 half pairs of 6.
    assert repeated[2] == pytest.approx(2 / 6)


def test_a_constant_predictor_has_no_area_however_rare_the_class():
    # Keras, over both softmax columns at once, gives this predictor .81.
    truth = np.array([0] * 81 + [1] * 19)
    assert macro_auc(truth, np.tile([0.81, 0.19], (100, 1))) == 0.5


def test_macro_area_by_hand_and_over_present_classes_only():
    truth = np.array([0, 0, 1, 2])
    probabilities = np.array([[0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.3, 0.4, 0.3], [0.1, 0.1, 0.8]])
    # Class 0: .6 and .2 against .3 and .1: 3 of 4. Class 1: .4 against .3 .5 .1: 2 of 3.
    assert macro_auc(truth, probabilities) == pytest.approx((3 / 4 + 2 / 3 + 1) / 3)
    # Without the image of class 2: class 0 has 1 of 2, class 1 has 1 of 2.
    assert macro_auc(truth[:3], probabilities[:3]) == pytest.approx((1 / 2 + 1 / 2) / 2)
    assert np.isnan(macro_auc(truth[:2], probabilities[:2]))
