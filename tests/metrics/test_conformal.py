"""Sets of labels by hand, and what they promise on new images."""

import numpy as np
import pytest

from napari_cxr.metrics.conformal import (
    fit_prediction_sets,
    prediction_set,
    prediction_set_text,
)

LABELS = ('normal', 'pneumonia')


def test_thresholds_by_hand():
    # 19 images of a class: at alpha .1 two p-values of 1/20 and 2/20 are not above it.
    p = np.r_[np.arange(1, 20) / 20, [0.9, 0.8]]
    inside = np.zeros((21, 2), dtype=bool)
    inside[:19, 0] = inside[19:, 1] = True
    sets = fit_prediction_sets(inside, np.column_stack([p, p]), LABELS, 0.1)
    # The image of .05 is left out and the one of .10 is in: between them.
    assert sets['thresholds'] == {'normal': pytest.approx(0.075), 'pneumonia': 0.0}
    assert sets['images'] == {'normal': 19, 'pneumonia': 2}
    assert prediction_set(LABELS, (0.05, 0.9), sets) == ('pneumonia',)
    assert prediction_set(LABELS, (0.1, 0.9), sets) == LABELS


def test_of_each_class_enough_images_have_it_in_their_set():
    rng = np.random.default_rng(0)
    alpha, missed = 0.2, np.zeros(2)
    for _ in range(300):
        truth = np.arange(60) % 2
        score = rng.normal(size=60) + truth
        p = 1 / (1 + np.exp(-score))
        p = np.column_stack([1 - p, p])
        inside = truth[:, None] == np.arange(2)
        sets = fit_prediction_sets(inside[:30], p[:30], LABELS, alpha)
        limits = np.array([sets['thresholds'][label] for label in LABELS])
        missed += ((p[30:] < limits) & inside[30:]).sum(axis=0) / 15 / 300
    # Of 15 images and a new one, 3 of 16 at most have no right set.
    assert (missed <= alpha).all() and (missed > 0.1).all()


def test_images_tested_twice_count_once():
    rng = np.random.default_rng(1)
    p = rng.random((40, 2))
    inside = rng.random((40, 2)) < 0.5
    once = fit_prediction_sets(inside, p, LABELS, 0.1)
    twice = fit_prediction_sets(
        np.tile(inside, (2, 1)), np.tile(p, (2, 1)), LABELS, 0.1, np.full(80, 0.5)
    )
    assert twice['images'] == once['images']
    for label in LABELS:
        assert twice['thresholds'][label] == pytest.approx(once['thresholds'][label], abs=0.01)


def test_words():
    sets = {'alpha': 0.1, 'thresholds': {'normal': 0.2, 'pneumonia': 0.3}, 'images': {}}
    assert prediction_set_text(LABELS[1:], sets, False) == 'At 90 %: pneumonia.'
    assert 'normal or pneumonia. No class can be excluded' in prediction_set_text(
        LABELS, sets, False
    )
    assert 'no class fits' in prediction_set_text((), sets, False)
    assert 'Cannot be excluded at 90 %: pneumonia' in prediction_set_text(LABELS[1:], sets, True)
    assert 'every finding can be excluded' in prediction_set_text((), sets, True)
    with pytest.raises(ValueError, match='alpha'):
        fit_prediction_sets(np.ones((2, 2), bool), np.ones((2, 2)), LABELS, 1.0)
