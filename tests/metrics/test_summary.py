"""The figures of a whole set, for the card."""

import numpy as np
import pytest

from napari_cxr.metrics import summarise, wilson

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
    assert found['classes']['covid19']['sensitivity'] == wilson(0.98, 100).to_list()
    assert found['classes']['covid19']['precision'] == wilson(0.875, 112).to_list()
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
    assert many['accuracy'] == wilson(0.8, 40).to_list()
    assert few['accuracy'] == wilson(0.8, 5).to_list()


def test_a_source_with_one_class_has_no_area():
    found = summarise(np.zeros(5, int), probabilities_for([0, 0, 0, 0, 1]), LABELS, times=100)
    assert found['macro_auc'] == [None, None, None]
    assert list(found['classes']) == ['covid19']
    assert found['classes']['covid19']['specificity'][0] is None
    assert found['balanced_accuracy'][0] == 0.8
