"""The figures of a whole set, for the card."""

import numpy as np
import pytest

from napari_cxr.metrics import summarise
from napari_cxr.metrics.confidence_intervals import proportion_interval

LABELS = ('covid19', 'normal', 'pneumonia')


def probabilities_for(calls):
    out = np.full((len(calls), 3), 0.1)
    out[np.arange(len(calls)), calls] = 0.8
    return out


def test_zhongs_matrix_comes_back_with_its_figures():
    matrix = [[98, 0, 2], [9, 197, 36], [5, 42, 351]]
    pairs = [(i, j) for i in range(3) for j in range(3) for _ in range(matrix[i][j])]
    truth, calls = np.array(pairs).T
    found = summarise(truth, probabilities_for(calls), LABELS, times=200)
    assert found['confusion'] == matrix
    assert found['images'] == found['patients'] == 740
    assert found['accuracy'][0] == pytest.approx(646 / 740, abs=1e-4)
    # Clopper and Pearson's intervals of 98 of 100 and of 98 of 112.
    assert found['classes']['covid19']['sensitivity'] == [0.98, 0.9296, 0.9976]
    assert found['classes']['covid19']['precision'] == [0.875, 0.7992, 0.9299]
    value, low, high = found['balanced_accuracy']
    assert low < value < high
    assert value == pytest.approx(0.8920, abs=1e-4)


def test_few_patients_with_many_images_widen_the_interval():
    truth = np.arange(40) % 2
    calls = np.where(np.arange(40) < 8, 1 - truth, truth)
    many = summarise(truth, probabilities_for(calls), LABELS, times=100)
    few = summarise(
        truth, probabilities_for(calls), LABELS, [i // 8 for i in range(40)], times=100
    )
    assert (many['patients'], few['patients']) == (40, 5)
    # All images of a patient are alike, so 40 images of 5 patients are 5 cases, 4 of them right.
    assert many['accuracy'] == [0.8, 0.6435, 0.9095]
    assert few['accuracy'][1] < 0.2836 and few['accuracy'][2] > 0.9949


def test_a_source_with_one_class_has_no_area():
    found = summarise(np.zeros(5, int), probabilities_for([0, 0, 0, 0, 1]), LABELS, times=100)
    assert found['macro_auc'] == [None, None, None]
    assert list(found['classes']) == ['covid19']
    assert found['classes']['covid19']['specificity'][0] is None
    assert found['balanced_accuracy'][0] == 0.8


def test_sagars_table_comes_back_with_its_counts():
    matrix = [[191, 43], [13, 377]]
    truth, calls = np.array(
        [(i, j) for i in (0, 1) for j in (0, 1) for _ in range(matrix[i][j])]
    ).T
    probabilities = np.where(np.arange(2) == calls[:, None], 0.9, 0.1)
    found = summarise(truth, probabilities, ('NORMAL', 'PNEUMONIA'), times=200)
    sick = found['classes']['PNEUMONIA']
    assert sick['counts'] == {'tp': 377, 'fp': 43, 'tn': 191, 'fn': 13}
    assert found['classes']['NORMAL']['counts'] == {'tp': 191, 'fp': 13, 'tn': 377, 'fn': 43}
    shown = (found['accuracy'], sick['precision'], sick['sensitivity'], sick['f1'])
    assert [x[0] for x in shown] == pytest.approx([0.9103, 0.8976, 0.9667, 0.9309], abs=5e-5)
    assert found['macro_f1'][0] == pytest.approx((2 * 191 / 438 + 2 * 377 / 810) / 2, abs=1e-4)
    # .9 on 377 of 390, .1 on the rest.
    assert sick['mean_probability'][0] == pytest.approx((377 * 0.9 + 13 * 0.1) / 390, abs=1e-4)
    # Each image gives one column that is right and one that is not: cells at .9 and .1.
    share = 568 / 624
    assert found['keras_auc'][0] == pytest.approx(share**2 + share * (1 - share), abs=1e-4)


def test_more_than_two_classes_have_no_area_by_keras():
    found = summarise(np.arange(6) % 3, probabilities_for([0, 1, 2, 0, 1, 1]), LABELS, times=50)
    assert 'keras_auc' not in found


def test_several_labels_an_image():
    truth = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 0], [0, 0, 0]], dtype=bool)
    p = np.array([[0.9, 0.6, 0.1], [0.4, 0.7, 0.2], [0.3, 0.2, 0.1], [0.6, 0.1, 0.1]])
    found = summarise(truth, p, LABELS, ['a', 'a', 'b', 'c'], times=200)
    assert 'confusion' not in found and 'keras_auc' not in found
    assert (found['images'], found['patients']) == (4, 3)
    # Three wrong of twelve decisions; the third label has no image, and is in no mean.
    assert found['accuracy'][0] == 0.75
    assert list(found['classes']) == ['covid19', 'normal']
    assert found['macro_f1'][0] == pytest.approx((1 / 2 + 2 / 3) / 2, abs=1e-4)
    assert found['macro_auc'][0] == pytest.approx((3 / 4 + 2 / 3) / 2, abs=1e-4)
    assert found['balanced_accuracy'][0] == pytest.approx((0.5 + 5 / 6) / 2, abs=1e-4)
    first = found['classes']['covid19']
    assert first['counts'] == {'tp': 1, 'fp': 1, 'tn': 1, 'fn': 1}
    # Two images with it, of one patient; two without, of two.
    assert first['sensitivity'] == proportion_interval([True, False], 'aa').to_list()
    assert first['specificity'] == [0.5, 0.0126, 0.9874]  # 1 - .975 ** (1 / 2)
    assert first['mean_probability'][0] == 0.65
    # Sorted, gaps of one image a bin: e.g. .3 .4 .6 .9 against 0 1 0 1, so (.3+.6+.6+.1)/4.
    gaps = [0.4, (0.1 + 0.2 + 0.4 + 0.7) / 4, 0.125]
    assert found['calibration_error'] == pytest.approx(sum(gaps) / 3, abs=1e-4)


def test_one_finding_with_a_threshold_of_its_own():
    truth = np.array([[1], [1], [0], [0], [0]], dtype=bool)
    p = np.array([[0.9], [0.25], [0.3], [0.1], [0.05]])
    found = summarise(truth, p, ['opacity'], thresholds=[0.2], times=200)
    figures = found['classes']['opacity']
    assert figures['counts'] == {'tp': 2, 'fp': 1, 'tn': 2, 'fn': 0}
    assert (figures['sensitivity'][0], figures['specificity'][0]) == (1, 0.6667)
    # 5 of 6 pairs are in the right order, whatever the threshold.
    assert figures['auc'][0] == found['macro_auc'][0] == 0.8333
    assert found['accuracy'][0] == pytest.approx(4 / 5)
    assert found['balanced_accuracy'][0] == pytest.approx(5 / 6, abs=1e-4)
    # By default one half decides.
    assert summarise(truth, p, ['opacity'], times=50)['classes']['opacity']['counts']['tp'] == 1


def test_each_of_several_labels_has_its_threshold():
    truth = np.array([[1, 0], [0, 1], [0, 0]], dtype=bool)
    p = np.array([[0.15, 0.7], [0.05, 0.9], [0.12, 0.85]])
    found = summarise(truth, p, ['a', 'b'], thresholds=[0.1, 0.8], times=50)['classes']
    assert found['a']['counts'] == {'tp': 1, 'fp': 1, 'tn': 1, 'fn': 0}
    assert found['b']['counts'] == {'tp': 1, 'fp': 1, 'tn': 1, 'fn': 0}


def test_labels_that_are_not_known_do_not_count():
    truth = np.array([[1, 1], [1, 0], [0, 1], [0, 0]] * 3, dtype=bool)
    p = np.array([[0.9, 0.2], [0.4, 0.7], [0.3, 0.8], [0.6, 0.1]] * 3)
    known = np.ones_like(truth)
    known[[1, 5, 9], 1] = False
    found = summarise(truth, p, ['a', 'b'], times=100, known=known)
    assert found['classes']['a'] == summarise(truth, p, ['a', 'b'], times=100)['classes']['a']
    # Of b: .2 and .8 have it, .1 does not; the image of .7 is left out.
    b = found['classes']['b']
    assert b['counts'] == {'tp': 3, 'fp': 0, 'tn': 3, 'fn': 3}
    assert (b['sensitivity'][0], b['specificity'][0], b['auc'][0]) == (0.5, 1, 1)
    assert found['accuracy'][0] == pytest.approx((6 + 6) / (12 + 9), abs=1e-4)
    other = truth.copy()
    other[[1, 5, 9], 1] = True
    assert summarise(other, p, ['a', 'b'], times=100, known=known) == found
    losses = [-np.log([0.9, 0.2]).mean(), -np.log(0.4), -np.log([0.7, 0.8]).mean()]
    losses.append(-np.log([0.4, 0.9]).mean())
    assert found['log_loss'][0] == pytest.approx(np.mean(losses), abs=1e-4)
