"""What a variable tells about the class is measured on patients that were not learnt from."""

import math

import numpy as np
import pytest

from napari_cxr.evaluation.variable_audit import age_in_years, audit_variable, shortcut_answer

LABELS = ('normal', 'pneumonia')


def folds_of(n, count=5):
    return [np.arange(n)[i::count] for i in range(count)]


def names_of(n):
    return [str(i) for i in range(n)]


@pytest.mark.parametrize(
    ('cell', 'years'),
    [
        ('63', 63), ('063Y', 63), ('6M', 0.5), ('1-5 y', 3), ('40 - 50 years', 45), ('12.5', 12.5),
        ('104W', pytest.approx(2, abs=0.01)), (' 7 y ', 7),
    ],
)  # fmt: skip
def test_ages_are_read(cell, years):
    assert age_in_years(cell) == years


@pytest.mark.parametrize('cell', ['', 'unknown', '999', '-3', 'Y', '1e9', '063Y extra words'])
def test_what_is_no_age_is_not_guessed(cell):
    assert math.isnan(age_in_years(cell))


def test_a_source_that_gives_the_class_away_is_called_out():
    n = 100
    truth = np.arange(n) % 2
    sources = np.where(truth == 1, 'b', 'a').astype(object)
    found = audit_variable('source', sources, truth, LABELS, folds_of(n), names_of(n))
    value, low, high = found.auc
    assert value == high == 1 and 0.9 < low < 1 and found.answer == 'yes'
    assert found.counts == {
        'a': {'normal': 50, 'pneumonia': 0},
        'b': {'normal': 0, 'pneumonia': 50},
    }
    assert f'1.000 ({low:.3f} to 1.000)' in found.text and 'could give a good AUC' in found.text


def test_a_variable_that_says_nothing_is_not():
    n = 200
    truth = np.arange(n) % 2
    sources = np.random.default_rng(0).choice(['a', 'b', 'c'], n).astype(object)
    found = audit_variable('source', sources, truth, LABELS, folds_of(n), names_of(n))
    assert found.answer == 'no' and found.auc[0] < 0.6


def test_only_images_of_which_it_is_known_count():
    truth = np.array([0, 1] * 30)
    ages = np.where(truth == 1, 70.0, 30.0)
    ages[:20] = np.nan
    found = audit_variable('age', ages[:, None], truth, LABELS, folds_of(60), names_of(60))
    assert found.images == 40 and found.answer == 'yes'
    assert found.counts == {
        '18 to 39': {'normal': 20, 'pneumonia': 0},
        '60 to 79': {'normal': 0, 'pneumonia': 20},
    }
    assert 'on the 40 of 60 images where it is known' in found.text
    nothing = audit_variable(
        'sex', np.full(60, '', object), truth, LABELS, folds_of(60), names_of(60)
    )
    assert nothing.answer == 'unknown' and nothing.auc == () and nothing.counts == {}


def test_known_for_one_class_only_gives_that_class_away():
    truth = np.array([0, 1] * 30)
    sex = np.where(truth == 1, np.where(np.arange(60) % 4 == 1, 'f', 'm'), '').astype(object)
    found = audit_variable('sex', sex, truth, LABELS, folds_of(60), names_of(60))
    assert found.answer == 'yes' and 'one class only' in found.text


def test_several_labels_are_asked_one_by_one():
    n = 120
    truth = np.stack([np.arange(n) % 2 == 1, np.arange(n) % 3 == 0], axis=1)
    view = np.where(truth[:, 0], 'AP', 'PA').astype(object)
    found = audit_variable('view', view, truth, LABELS, folds_of(n), names_of(n))
    # The first label is always right, of the second it knows next to nothing.
    assert 0.65 < found.auc[0] < 0.8
    assert found.counts['AP'] == {'normal': 60, 'pneumonia': 20}


@pytest.mark.parametrize(
    ('auc', 'asked', 'answer'),
    [
        ((0.9, 0.85, 0.95), None, 'yes'),
        ((0.75, 0.65, 0.85), None, 'partly'),
        ((0.6, 0.5, 0.7), None, 'no'),
        ((0.75, 0.65, 0.85), 0.84, 'yes'),
        ((0.75, 0.65, 0.85), 0.93, 'partly'),
        ((0.9, 0.85, 0.95), 0.99, 'partly'),
        ((0.6, 0.5, 0.7), 0.9, 'no'),
        ((0.6, math.nan, math.nan), None, 'unknown'),
    ],
)
def test_the_answer_depends_on_the_interval(auc, asked, answer):
    assert shortcut_answer(auc, asked) == answer
