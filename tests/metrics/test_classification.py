"""Figures against confusion matrices of the papers and areas worked out by hand."""

import math

import numpy as np
import pytest

from napari_cxr.metrics import (
    accuracy,
    auc,
    balanced_accuracy,
    confusion_matrix,
    f1,
    keras_auc,
    label_confusions,
    macro_auc,
    macro_f1,
    precision,
    sensitivity,
    specificity,
    validation_metrics,
)
from napari_cxr.metrics.classification import predicted_labels

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
    constant = np.tile([0.81, 0.19], (100, 1))
    assert macro_auc(truth, constant) == 0.5
    # .81 of the cells that are so against .81 of those that aren't, and half of the ties.
    assert keras_auc(truth, constant) == pytest.approx(0.81)
    twice = np.r_[np.full(81, 2), np.full(19, 1)]  # prevalence 19 / 181
    assert keras_auc(truth, constant, twice) == pytest.approx(
        (162 / 181) ** 2 + (162 * 19) / 181**2
    )


@pytest.mark.parametrize(
    ('real', 'shown'), [(0.64, 0.85), (0.76, 0.89), (0.86, 0.93), (0.92, 0.96)]
)
def test_keras_shows_more_than_the_real_area(real, shown):
    # Scores are normal, one standard deviation wide, `apart` from each other; then the area
    # is Phi(apart / sqrt 2), and Bayes gives the probability at a prevalence of .19.
    from statistics import NormalDist

    normal = NormalDist()
    apart = 2**0.5 * normal.inv_cdf(real)
    spread = [[normal.inv_cdf((i + 0.5) / n) for i in range(n)] for n in (810, 190)]
    scores = np.r_[spread[0], np.array(spread[1]) + apart]
    truth = np.repeat([0, 1], [810, 190])
    p = 1 / (1 + 81 / 19 * np.exp(apart**2 / 2 - apart * scores))
    probabilities = np.column_stack([1 - p, p])
    assert macro_auc(truth, probabilities) == pytest.approx(real, abs=1e-3)
    assert keras_auc(truth, probabilities) == pytest.approx(shown, abs=5e-3)


def test_macro_f1_by_hand():
    f1s = [2 * 191 / (234 + 204), 2 * 377 / (390 + 420)]
    assert macro_f1(SAGAR) == pytest.approx(sum(f1s) / 2)
    # A class that was called but has no image is in no mean.
    assert macro_f1(np.array([[3, 0, 1], [1, 1, 0], [0, 0, 0]])) == pytest.approx(
        (6 / 8 + 2 / 3) / 2
    )


def test_macro_area_by_hand_and_over_present_classes_only():
    truth = np.array([0, 0, 1, 2])
    probabilities = np.array([[0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.3, 0.4, 0.3], [0.1, 0.1, 0.8]])
    # Class 0: .6 and .2 against .3 and .1: 3 of 4. Class 1: .4 against .3 .5 .1: 2 of 3.
    assert macro_auc(truth, probabilities) == pytest.approx((3 / 4 + 2 / 3 + 1) / 3)
    # Without the image of class 2: class 0 has 1 of 2, class 1 has 1 of 2.
    assert macro_auc(truth[:3], probabilities[:3]) == pytest.approx((1 / 2 + 1 / 2) / 2)
    assert np.isnan(macro_auc(truth[:2], probabilities[:2]))


def test_every_figure_takes_stacks_of_confusions():
    other = np.array([[98, 0, 2], [9, 1, 36], [0, 0, 0]])  # a class without images
    stack = np.stack([ZHONG, other, ZHONG.T])
    for figure in (
        accuracy, balanced_accuracy, f1, macro_f1, precision, sensitivity, specificity
    ):  # fmt: skip
        each = np.stack([figure(one) for one in stack])
        np.testing.assert_allclose(figure(stack), each, err_msg=figure.__name__)
        np.testing.assert_allclose(figure(stack[None]), each[None], err_msg=figure.__name__)


def test_a_class_with_one_image_is_in_the_mean():
    # F1 of 2*3/(4+3) and, of the single image that was missed, 0.
    assert macro_f1(np.array([[3, 1], [1, 0]])) == pytest.approx(3 / 4 / 2)
    with np.errstate(all='raise'):
        assert np.isnan(macro_f1(np.zeros((2, 2))))


def test_labels_are_counted_each_by_itself():
    truth = np.array([[1, 0], [1, 1], [0, 1], [0, 0], [0, 1]])
    called = np.array([[1, 1], [0, 1], [0, 0], [1, 0], [0, 1]])
    once = [[[2, 1], [1, 1]], [[1, 1], [1, 2]]]  # TN FP, FN TP
    np.testing.assert_array_equal(label_confusions(truth, called), once)
    weights = np.array([[1, 1, 1, 1, 1], [0, 2, 0, 0, 3]])
    found = label_confusions(truth, called, weights)
    np.testing.assert_array_equal(found, [once, [[[3, 0], [2, 0]], [[0, 0], [0, 5]]]])


def test_area_of_scores_that_are_not_sorted_and_of_stacks_of_weights():
    positive = np.array([True, False, True, False, False])
    scores = np.array([0.8, 0.9, 0.1, 0.1, 0.05])
    # .8 beats .1 and .05; .1 beats .05 and ties with .1: 3.5 of 6.
    assert auc(positive, scores) == pytest.approx(3.5 / 6)
    weights = np.array([[[1, 1, 1, 1, 1], [2, 1, 0, 1, 1]]])
    np.testing.assert_allclose(auc(positive, scores, weights), [[3.5 / 6, 2 / 3]])
    # Class numbers do for classes, as 0 and 1.
    assert auc(positive.astype(int), scores) == pytest.approx(3.5 / 6)


def test_macro_area_with_weights_and_of_several_labels():
    truth = np.array([0, 0, 1, 1])
    probabilities = np.array([[0.9, 0.1], [0.4, 0.6], [0.5, 0.5], [0.2, 0.8]])
    # 3 of 4 pairs, either way; the second image twice: 2 * 1 + 2 of 6.
    weights = np.array([[1, 1, 1, 1], [1, 2, 1, 1]])
    np.testing.assert_allclose(macro_auc(truth, probabilities, weights), [3 / 4, 4 / 6])
    several = np.array([[1, 1], [1, 0], [0, 0], [0, 1]], dtype=bool)
    # .9 .4 against .5 .2: 3 of 4; .1 .8 against .6 .5: 2 of 4.
    assert macro_auc(several, probabilities) == pytest.approx((3 / 4 + 2 / 4) / 2)


def logit(p):
    return np.log(np.asarray(p) / (1 - np.asarray(p)))


def test_one_class_an_image():
    truth = np.array([0, 0, 0, 1, 1])
    # Called 0 0 1 1 0: F1 of 0 is 2*2/(3+3), of 1 is 2*1/(2+2).
    p = np.array([0.1, 0.2, 0.6, 0.9, 0.4])
    found = validation_metrics(truth, logit(np.column_stack([1 - p, p])) / 2, multilabel=False)
    assert found['accuracy'] == pytest.approx(3 / 5)
    assert found['balanced_accuracy'] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert found['macro_f1'] == pytest.approx((2 / 3 + 1 / 2) / 2)
    # .9 and .4 against .1 .2 .6: five pairs of six.
    assert found['macro_auc'] == pytest.approx(5 / 6)
    right = [0.9, 0.8, 0.4, 0.9, 0.4]
    assert found['loss'] == pytest.approx(-np.log(right).mean())


def test_a_class_without_images_is_in_no_mean():
    logits = np.array([[2.0, 0.0, 1.0], [0.0, 0.0, 1.0]])  # the second is called 2
    found = validation_metrics(np.array([0, 0]), logits, multilabel=False)
    assert found['macro_f1'] == pytest.approx(2 / 3)
    assert math.isnan(found['macro_auc'])


def test_several_labels_an_image():
    truth = np.array([[1, 1], [1, 0], [0, 0], [0, 0]], dtype=bool)
    p = np.array([[0.9, 0.6], [0.4, 0.7], [0.3, 0.2], [0.6, 0.1]])
    found = validation_metrics(truth, logit(p), multilabel=True)
    # Label 0 is called on images 0 and 3, label 1 on 0 and 1: three wrong of eight.
    assert found['accuracy'] == pytest.approx(5 / 8)
    # Sensitivity and specificity 1/2 1/2, and 1 2/3.
    assert found['balanced_accuracy'] == pytest.approx((0.5 + (1 + 2 / 3) / 2) / 2)
    assert found['macro_f1'] == pytest.approx((1 / 2 + 2 / 3) / 2)
    # .9 .4 against .3 .6: three pairs of four; .6 against .7 .2 .1: two of three.
    assert found['macro_auc'] == pytest.approx((3 / 4 + 2 / 3) / 2)
    right = [0.9, 0.4, 0.7, 0.4, 0.6, 0.3, 0.8, 0.9]
    assert found['loss'] == pytest.approx(-np.log(right).mean())


def test_a_label_that_no_image_has_is_in_no_mean():
    truth = np.array([[1, 0], [0, 0]], dtype=bool)
    found = validation_metrics(truth, logit([[0.9, 0.9], [0.1, 0.1]]), multilabel=True)
    assert found['balanced_accuracy'] == found['macro_f1'] == found['macro_auc'] == 1
    assert found['accuracy'] == pytest.approx(3 / 4)


def test_a_probability_at_the_threshold_is_positive():
    probabilities = np.array([[0.5, 0.3], [0.4999, 0.29]])
    expected = [[True, False], [False, False]]
    np.testing.assert_array_equal(predicted_labels(probabilities, multilabel=True), expected)
    expected = [[True, True], [True, False]]
    found = predicted_labels(probabilities, multilabel=True, thresholds=(0.4, 0.3))
    np.testing.assert_array_equal(found, expected)
    one = predicted_labels(np.array([[0.1, 0.2, 0.7]]), multilabel=False)
    np.testing.assert_array_equal(one, [2])
