"""Labels that were exchanged on purpose are found, and shortcuts are not taken for errors."""

import numpy as np
import pytest

from napari_cxr.evaluation.label_doubt import doubt_labels, out_of_fold, stratum_weights
from napari_cxr.metrics.classification import auc


def finished(steps):
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def made_up(n=200, seed=0):
    """Two classes that features tell apart; every tenth label is exchanged."""
    random = np.random.default_rng(seed)
    real = np.arange(n) % 2
    features = random.normal(size=(n, 12)).astype(np.float32)
    features[:, 0] += 4 * real
    wrong = np.isin(np.arange(n) % 20, (3, 14))
    return features, np.where(wrong, 1 - real, real), wrong


def test_a_stratum_does_not_predict_the_class():
    truth = np.array([0, 0, 0, 1, 1, 1, 1, 0, 0])
    strata = ['AP'] * 4 + ['PA'] * 3 + ['PA', 'LL']
    weights = stratum_weights(truth, strata)
    # AP: 4 images, 3 and 1; PA: 4 images, 3 and 1; LL has one class and no say.
    expected = np.array([2 / 3, 2 / 3, 2 / 3, 2, 2 / 3, 2 / 3, 2 / 3, 2, 0])
    np.testing.assert_allclose(weights, expected / expected.mean())
    np.testing.assert_array_equal(stratum_weights(truth[:3], strata[:3]), [1, 1, 1])


def test_exchanged_labels_come_first():
    features, truth, wrong = made_up()
    found = finished(doubt_labels(features, truth, [''] * 200, [''] * 200, range(200), classes=2))
    assert found.judged.all()
    assert float(auc(wrong, found.doubts)) > 0.9
    assert (found.suggested[found.doubts < 0] == -1).all()
    named = found.suggested >= 0
    assert (found.suggested[named] == 1 - truth[named]).all()
    # Most of those that are named were exchanged, and most that were are named.
    assert wrong[named].mean() > 0.5 and named[wrong].mean() > 0.5


def test_no_image_is_judged_by_images_of_its_patient():
    random = np.random.default_rng(1)
    n = 120
    truth = random.integers(0, 2, n)
    patients = np.arange(n) // 2
    truth = truth[patients * 2]  # both images of a patient have one label
    features = np.repeat(random.normal(size=(n // 2, 40)), 2, axis=0)  # and are alike
    found = finished(
        out_of_fold(features, truth, [''] * n, patients, classes=2, repeats=1, penalty=1.0)
    )
    # Features are noise. A classifier that had seen the other image would be always right.
    assert 0.25 < float(auc(truth == 1, found[:, 1])) < 0.75
    np.testing.assert_allclose(found.sum(axis=1), 1)


def test_a_source_with_one_class_or_few_patients_is_not_judged():
    features, truth, _ = made_up()
    sources = ['a'] * 100 + ['one class'] * 60 + ['few'] * 40
    truth[100:160] = 1
    patients = [*range(160), *([160, 161] * 20)]
    found = finished(doubt_labels(features, truth, sources, [''] * 200, patients, classes=3))
    assert found.judged.tolist() == [True] * 100 + [False] * 100
    assert (found.suggested[100:] == -1).all()
    assert (found.probabilities[:100, 2] == 0).all()  # a class that is not there


def test_images_without_features_are_not_judged():
    features, truth, _ = made_up()
    features[5] = np.nan
    found = finished(doubt_labels(features, truth, [''] * 200, [''] * 200, range(200), classes=2))
    assert not found.judged[5] and found.judged.sum() == 199


def test_a_view_that_goes_with_a_class_is_no_reason_for_doubt():
    random = np.random.default_rng(2)
    n = 400
    truth = np.arange(n) % 2
    views = np.where(random.random(n) < 0.85, truth, 1 - truth)
    features = random.normal(size=(n, 6))
    features[:, 0] += 4 * views  # the view is plain to see, the class is not
    names = np.array(['AP', 'PA'])[views].tolist()
    balanced = finished(doubt_labels(features, truth, [''] * n, names, range(n), classes=2))
    unaware = finished(doubt_labels(features, truth, [''] * n, [''] * n, range(n), classes=2))
    unusual = views != truth
    assert float(auc(unusual, unaware.doubts)) > 0.9
    assert float(auc(unusual, balanced.doubts)) == pytest.approx(0.5, abs=0.2)
