"""The figures by which epochs are compared, worked out by hand."""

import math

import numpy as np
import pytest

from napari_cxr.metrics import validation_figures


def logit(p):
    return np.log(np.asarray(p) / (1 - np.asarray(p)))


def test_one_class_an_image():
    truth = np.array([0, 0, 0, 1, 1])
    # Called 0 0 1 1 0: F1 of 0 is 2*2/(3+3), of 1 is 2*1/(2+2).
    p = np.array([0.1, 0.2, 0.6, 0.9, 0.4])
    found = validation_figures(truth, logit(np.column_stack([1 - p, p])) / 2, several=False)
    assert found['accuracy'] == pytest.approx(3 / 5)
    assert found['balanced_accuracy'] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert found['macro_f1'] == pytest.approx((2 / 3 + 1 / 2) / 2)
    # .9 and .4 against .1 .2 .6: five pairs of six.
    assert found['macro_auc'] == pytest.approx(5 / 6)
    right = [0.9, 0.8, 0.4, 0.9, 0.4]
    assert found['loss'] == pytest.approx(-np.log(right).mean())


def test_a_class_without_images_is_in_no_mean():
    logits = np.array([[2.0, 0.0, 1.0], [0.0, 0.0, 1.0]])  # the second is called 2
    found = validation_figures(np.array([0, 0]), logits, several=False)
    assert found['macro_f1'] == pytest.approx(2 / 3)
    assert math.isnan(found['macro_auc'])


def test_several_labels_an_image():
    truth = np.array([[1, 1], [1, 0], [0, 0], [0, 0]], dtype=bool)
    p = np.array([[0.9, 0.6], [0.4, 0.7], [0.3, 0.2], [0.6, 0.1]])
    found = validation_figures(truth, logit(p), several=True)
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
    found = validation_figures(truth, logit([[0.9, 0.9], [0.1, 0.1]]), several=True)
    assert found['balanced_accuracy'] == found['macro_f1'] == found['macro_auc'] == 1
    assert found['accuracy'] == pytest.approx(3 / 4)
