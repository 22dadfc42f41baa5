"""Published tables as fixtures, and scikit-learn as the oracle."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics as oracle

from napari_cxr.evaluation.evaluation_table import predictions_text, read_predictions
from napari_cxr.evaluation.performance import OVERALL_METRICS, performance


def _from_confusion(matrix, labels):
    truth, p = [], []
    for i, row in enumerate(matrix):
        for j, count in enumerate(row):
            truth += [labels[i]] * count
            p += [np.eye(len(labels))[j] * 0.8 + 0.2 / len(labels)] * count
    return truth, p


def test_two_classes_of_a_paper(table_of):
    labels = ['pneumonia', 'normal']
    truth, p = _from_confusion([[377, 13], [43, 191]], labels)
    found = performance(table_of(labels, truth, {'model': p}), 'model', times=200)
    own = found['classes']['pneumonia']
    assert own['counts'] == {'tp': 377, 'fn': 13, 'fp': 43, 'tn': 191}
    assert found['accuracy']['value'] == pytest.approx(0.9103, abs=5e-5)
    assert own['precision']['value'] == pytest.approx(0.8976, abs=5e-5)
    assert own['recall']['value'] == pytest.approx(0.9667, abs=5e-5)
    assert own['f1']['value'] == pytest.approx(0.9309, abs=5e-5)


def test_three_classes_of_a_paper(table_of):
    labels = ['covid', 'normal', 'pneumonia']
    matrix = [[98, 0, 2], [9, 197, 36], [5, 42, 351]]
    truth, p = _from_confusion(matrix, labels)
    found = performance(table_of(labels, truth, {'model': p}), 'model', times=200)
    assert found['confusion'] == matrix
    assert found['accuracy']['value'] == pytest.approx(0.873, abs=5e-4)
    assert found['precision']['value'] == pytest.approx(0.867, abs=5e-4)
    assert found['recall']['value'] == pytest.approx(0.892, abs=5e-4)
    assert found['classes']['covid']['precision']['value'] == pytest.approx(0.875, abs=5e-4)


def test_every_metric_against_scikit_learn(table_of):
    rng = np.random.default_rng(0)
    labels = ['a', 'b', 'c']
    number = rng.integers(0, 3, 150)
    p = rng.dirichlet(np.ones(3), 150) * 0.5 + 0.5 * np.eye(3)[number] * rng.random((150, 1))
    p /= p.sum(1, keepdims=True)
    table = table_of(labels, [labels[i] for i in number], {'model': p})
    found = performance(table, 'model', times=200)
    called = p.argmax(1)
    expected = {
        'accuracy': oracle.accuracy_score(number, called),
        'balanced_accuracy': oracle.balanced_accuracy_score(number, called),
        'precision': oracle.precision_score(number, called, average='macro'),
        'recall': oracle.recall_score(number, called, average='macro'),
        'f1': oracle.f1_score(number, called, average='macro'),
        'auc': oracle.roc_auc_score(number, p, multi_class='ovr'),
        'average_precision': oracle.average_precision_score(np.eye(3)[number], p),
        'mcc': oracle.matthews_corrcoef(number, called),
        'log_loss': oracle.log_loss(number, p),
    }
    for name, value in expected.items():
        assert found[name]['value'] == pytest.approx(value, abs=1e-6), name
    for name in OVERALL_METRICS:
        low, high = found[name]['interval']
        assert low < high, name


def test_several_labels_by_their_thresholds(table_of):
    rng = np.random.default_rng(1)
    labels = ['x', 'y']
    has = rng.random((120, 2)) < [0.3, 0.5]
    p = np.clip(0.3 * has + 0.6 * rng.random((120, 2)), 0, 1)
    truth = ['|'.join(k for k, h in zip(labels, row, strict=True) if h) for row in has]
    table = table_of(labels, truth, {'model': p}, multilabel=True)
    found = performance(table, 'model', [0.6, 0.4], times=200)
    called = p >= [0.6, 0.4]
    assert found['accuracy']['value'] == pytest.approx((called == has).mean(), abs=1e-6)
    assert found['f1']['value'] == pytest.approx(
        oracle.f1_score(has, called, average='macro'), abs=1e-6
    )
    assert found['auc']['value'] == pytest.approx(oracle.roc_auc_score(has, p), abs=1e-6)
    assert 'confusion' not in found


def test_a_class_that_is_never_predicted_counts_as_precision_0(table_of):
    truth = ['a'] * 10 + ['b'] * 10
    found = performance(table_of(['a', 'b'], truth, {'m': [[0.9, 0.1]] * 20}), 'm', times=200)
    assert found['precision']['value'] == 0.25
    assert found['classes']['b']['precision']['value'] is None


def test_images_of_one_class_have_no_figures(table_of):
    assert performance(table_of(['a', 'b'], ['a'] * 5, {'m': [[0.9, 0.1]] * 5}), 'm') == {}


def test_patients_are_resampled_not_images(table_of):
    rng = np.random.default_rng(2)
    number = np.arange(20) % 2
    p = np.clip(0.35 * number + 0.5 * rng.random(20), 0, 1)
    labels, p = ['a', 'b'], np.stack([1 - p, p], axis=1)

    def width(repeat, patients):
        truth = [labels[i] for i in np.repeat(number, repeat)]
        table = table_of(labels, truth, {'m': np.repeat(p, repeat, axis=0)}, patients=patients)
        low, high = performance(table, 'm', times=500)['auc']['interval']
        return high - low

    once = width(1, [f'{i}' for i in range(20)])
    assert width(10, [f'{i}' for i in range(20) for _ in range(10)]) == pytest.approx(
        once, rel=0.03
    )
    assert width(10, [f'{i}' for i in range(200)]) < once / 2


def test_cells_of_which_nobody_knows_count_for_their_label_alone(table_of):
    """CheXpert's blanks and -1: a is known of the first four, b of the others and two."""
    p = [[0.9, 0.2], [0.2, 0.9], [0.6, 0.1], [0.1, 0.8], [0.99, 0.7], [0.99, 0.4]]
    truth = ['a', 'b', '', 'a', 'b', '']
    known = np.array([[1, 1], [1, 1], [1, 0], [1, 0], [0, 1], [0, 1]], dtype=bool)
    table = replace(table_of('ab', truth, {'model': p}, multilabel=True), given=known)
    found = performance(table, 'model', times=50)
    a, b = found['classes']['a'], found['classes']['b']
    assert a['counts'] == {'tp': 1, 'fn': 1, 'fp': 1, 'tn': 1}
    assert b['counts'] == {'tp': 2, 'fn': 0, 'fp': 0, 'tn': 2}
    # Of the pairs .9 and .1 against .2 and .6 two are ranked rightly.
    assert a['auc']['value'] == pytest.approx(0.5) and b['auc']['value'] == 1
    assert found['accuracy']['value'] == pytest.approx(6 / 8)
    squares = [(0.01 + 0.04) / 2, (0.04 + 0.01) / 2, 0.36, 0.81, 0.09, 0.16]
    assert found['brier']['value'] == pytest.approx(np.mean(squares), abs=1e-6)
    logs = -np.log([0.9, 0.8, 0.8, 0.9, 0.4, 0.1, 0.7, 0.6])
    each = [logs[:2].mean(), logs[2:4].mean(), *logs[4:]]
    assert found['log_loss']['value'] == pytest.approx(np.mean(each), abs=1e-6)
    # What is said of unknown cells changes nothing.
    other = np.where(known, p, 0.5)
    again = performance(replace(table, probabilities={'model': other}), 'model', times=50)
    assert again == found
    file = table.subset([0, 2, 4])
    assert file.known.tolist() == [[True, True], [True, False], [False, True]]


def test_unknown_cells_come_back_from_predictions(table_of, tmp_path):
    known = np.array([[True, False], [True, True], [False, True]])
    table = table_of('ab', ['a', 'b', ''], {'m': [[0.1, 0.2]] * 3}, multilabel=True)
    (tmp_path / 'p.csv').write_text(predictions_text(replace(table, given=known)))
    back = read_predictions(tmp_path / 'p.csv', ['a', 'b'], ['m'], multilabel=True)
    assert back.known.tolist() == known.tolist() and back.truth.tolist() == table.truth.tolist()
    (tmp_path / 'p.csv').write_text(predictions_text(table))
    assert read_predictions(tmp_path / 'p.csv', ['a', 'b'], ['m'], multilabel=True).given is None
