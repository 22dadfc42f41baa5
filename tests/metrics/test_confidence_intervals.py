"""Intervals against published figures and a known standard error."""

import math

import numpy as np
import pytest

from napari_cxr.metrics import bootstrap, wilson_interval
from napari_cxr.metrics.classification import auc
from napari_cxr.metrics.confidence_intervals import (
    Interval,
    auc_interval,
    balanced_accuracy_interval,
    f1_interval,
    macro_auc_interval,
    mean_f1_interval,
    mean_interval,
    proportion_interval,
)


@pytest.mark.parametrize(
    ('right', 'n', 'low', 'high'),
    [
        # Newcombe, Statistics in Medicine 1998;17:857, Table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_as_newcombe_tabulates_it(right, n, low, high):
    found = wilson_interval(right / n, n)
    assert (found.low, found.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def test_nothing_is_known_from_no_case():
    assert wilson_interval(float('nan'), 0).to_list() == [None, None, None]


def test_bootstrap_of_a_mean_has_the_width_of_its_standard_error():
    values = np.tile([0.0, 1.0], 200)
    (found,) = bootstrap(lambda w: w @ values / w.sum(1), range(400), ['all'] * 400)
    # 1.96 * sqrt(.25 / 400) = .049
    assert found.value == 0.5
    assert found.low == pytest.approx(0.451, abs=0.006)
    assert found.high == pytest.approx(0.549, abs=0.006)


def test_images_of_a_patient_are_drawn_together():
    values = np.tile([0.0, 1.0], 50)
    alone = bootstrap(lambda w: w @ values / w.sum(1), range(100), [0] * 100, seed=3)[0]
    fourfold = np.repeat(values, 4)
    groups = np.repeat(np.arange(100), 4).tolist()
    four = bootstrap(lambda w: w @ fourfold / w.sum(1), groups, [0] * 400, seed=3)[0]
    # Four copies of each image bring no knowledge: the interval stays as wide.
    assert four == alone


def test_classes_keep_their_number_of_patients():
    counts = []

    def figure(weights):
        counts.append(weights[:, :3].sum(1))
        return weights.sum(1)

    (found,) = bootstrap(figure, range(10), [0] * 3 + [1] * 7, times=50)
    assert (np.concatenate(counts) == 3).all()
    assert (found.low, found.value, found.high) == (10, 10, 10)


def test_the_seed_decides():
    values = np.arange(20.0)

    def run(seed):
        return bootstrap(lambda w: w @ values, range(20), [0] * 20, times=100, seed=seed)

    assert run(1) == run(1) != run(2)


def test_zhongs_interval_of_a_mean_probability():
    # 100 images of COVID-19, mean .8445, [.8185, .8705]: with t(99) = 1.9842 the standard
    # deviation is .013 / 1.9842 * 10 = .1310, here as two values at equal distance.
    apart = 0.1310 * (99 / 100) ** 0.5
    found = mean_interval(np.repeat([0.8445 - apart, 0.8445 + apart], 50), range(100))
    assert found.to_list() == pytest.approx([0.8445, 0.8185, 0.8705], abs=5e-5)


def test_copies_of_an_image_leave_the_interval_of_a_mean_as_it_is():
    values = np.array([0.2, 0.4, 0.9])
    once = mean_interval(values, 'abc')
    # s = .3606, t(2) = 4.3027, so 4.3027 * .3606 / sqrt 3 = .8957.
    assert once.high - once.value == pytest.approx(0.8957, abs=1e-4)
    thrice = mean_interval(np.repeat(values, 3), 'aaabbbccc')
    assert (thrice.low, thrice.high) == (pytest.approx(once.low), pytest.approx(once.high))
    assert mean_interval(values, 'aaa').to_list() == [0.5, None, None]
    assert mean_interval(values[:0], '').to_list() == [None, None, None]


def test_wilson_needs_a_case_and_a_share():
    assert wilson_interval(0.5, 0).to_list() == [0.5, None, None]
    assert wilson_interval(float('nan'), 4).to_list() == [None, None, None]
    # One case is enough; at z = 1: (1/2 + 1/2) / 2 and half of sqrt(1/4 + 1/4).
    found = wilson_interval(0.5, 1, z=1)
    half = 0.5 * 0.5**0.5
    assert (found.low, found.high) == (pytest.approx(0.5 - half), pytest.approx(0.5 + half))


def test_wilson_stays_within_0_and_1():
    assert wilson_interval(0.0, 7).low == 0 and wilson_interval(1.0, 7).high == 1
    for n in range(1, 60):
        assert wilson_interval(0.0, n).low >= 0 and wilson_interval(1.0, n).high <= 1


def test_blocks_make_no_difference(monkeypatch):
    from napari_cxr.metrics import confidence_intervals

    values = np.arange(20.0)

    def run():
        sizes = []

        def figure(weights):
            sizes.append(len(weights))
            return np.column_stack([weights @ values, weights.sum(axis=1)])

        found = bootstrap(figure, list('aabbccddee') * 2, [0, 1] * 10, times=50, seed=2)
        return found, sizes

    whole, sizes = run()
    assert sizes == [50, 1]
    monkeypatch.setattr(confidence_intervals, '_BLOCK', 7 * 20)
    assert run()[1] == [7] * 7 + [1, 1]
    monkeypatch.setattr(confidence_intervals, '_BLOCK', 3)  # an image more than fits
    assert run()[1] == [1] * 51
    # The sample itself, and of each group as many images as it has.
    assert [one.value for one in whole] == [190, 20]
    assert (whole[1].low, whole[1].high) == (20, 20)


def test_what_is_asked_for_where_nothing_is_said():
    random = []

    def figure(weights):
        random.append(weights)
        return weights[:, 0]

    first = bootstrap(figure, range(5), [0] * 5)
    assert sum(len(w) for w in random) == 2000 + 1
    assert first == bootstrap(figure, range(5), [0] * 5, times=2000, seed=0)


def test_a_patient_of_two_classes_belongs_to_the_first():
    drawn = []

    def figure(weights):
        drawn.append(weights)
        return weights.sum(1)

    bootstrap(figure, list('aabc'), [0, 1, 1, 0], times=30)
    weights = np.concatenate(drawn)
    # a and c are of class 0, b alone is of class 1: it is in every resample once.
    assert (weights[:, 2] == 1).all()
    assert (weights[:, 0] + weights[:, 3] == 2).all()
    assert (weights[:, 0] == weights[:, 1]).all()


def test_resamples_without_a_figure_are_left_out():
    def figure(weights):
        one = np.where(weights[:, 0] == 1, np.nan, weights[:, 1])
        return np.column_stack([one, np.full(len(weights), np.nan)])

    known, unknown = bootstrap(figure, range(5), [0] * 5, times=500)
    assert np.isnan(known.value) and known.high >= known.low >= 0
    assert unknown.to_list() == [None, None, None]


def test_a_mean_of_two_patients():
    # 0 and 1: s / sqrt 2 = .5, and t(1) = 12.706.
    found = mean_interval(np.array([0.0, 1.0]), 'ab')
    assert found.high - found.value == pytest.approx(0.5 * 12.7062, abs=1e-3)
    assert found.value - found.low == pytest.approx(found.high - found.value)
    # Patients of two images and of one: sums of deviations -2/3, 2/3 of three images.
    found = mean_interval(np.array([0.0, 0.0, 1.0]), 'aab')
    half = 12.7062 * (2 * 2 * (2 / 3) ** 2) ** 0.5 / 3
    assert found.high - found.value == pytest.approx(half, rel=1e-4)


@pytest.mark.parametrize(
    ('right', 'n', 'low', 'high'),
    [
        # Newcombe, Statistics in Medicine 1998;17:857, Table I, method 5.
        (81, 263, 0.2527, 0.3676),
        (15, 148, 0.0578, 0.1617),
        (0, 20, 0.0000, 0.1684),
        (1, 29, 0.0009, 0.1776),
    ],
)
def test_exact_interval_as_newcombe_tabulates_it(right, n, low, high):
    found = proportion_interval(np.arange(n) < right, range(n))
    assert (found.low, found.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def test_a_patient_with_most_images_widens_a_proportion():
    right = np.array([1, 1, 1, 1, 1, 1, 0, 1], dtype=bool)
    alone = proportion_interval(right, range(8))
    one = proportion_interval(right, 'aaaaabcd')
    assert one.value == alone.value and one.low < alone.low and one.high > alone.high
    # All right: as many cases as 8 * 8 / (25 + 3); 1 - .025 ** (28 / 64) from above.
    assert proportion_interval(np.ones(8), 'aaaaabcd').low == pytest.approx(0.025 ** (28 / 64))
    assert proportion_interval(np.ones(0), '').to_list() == [None, None, None]


def test_f1_from_the_proportion_of_both():
    inside = np.array([1, 1, 1, 0, 0], dtype=bool)
    predicted = np.array([1, 1, 0, 1, 0], dtype=bool)
    found = f1_interval(inside, predicted, range(5))
    j = proportion_interval(np.array([1, 1, 0, 0]), range(4))  # 2 TP, 1 FN, 1 FP
    assert found.value == pytest.approx(2 * 2 / (3 + 3))
    assert found.high == pytest.approx(2 * j.high / (1 + j.high))


def test_balanced_accuracy_adds_distances_as_errors():
    rates = [proportion_interval(np.arange(n) < n - 1, range(n)) for n in (5, 10)]
    found = balanced_accuracy_interval(rates)
    assert found.value == pytest.approx((0.8 + 0.9) / 2)
    below = np.hypot(0.8 - rates[0].low, 0.9 - rates[1].low) / 2
    assert found.value - found.low == pytest.approx(below)


def test_an_area_of_one_has_a_width():
    found = auc_interval(np.arange(10) >= 5, np.arange(10.0), range(10))
    assert found.value == found.high == 1
    # The lower limit is where 1 - a is 1.96 of Hanley and McNeil's standard errors.
    a = found.low
    variance = a * (1 - a) * (1 + 4 * ((1 - a) / (2 - a) + a / (1 + a))) / 25
    assert 1 - a == pytest.approx(1.959964 * variance**0.5, rel=1e-6)
    assert auc_interval(np.arange(9) >= 5, np.arange(9.0), range(9)).to_list() == [1, None, None]


def test_area_of_many_images_is_that_of_delong():
    random = np.random.default_rng(0)
    positive = np.arange(2000) < 700
    scores = random.normal(size=2000) * (1 + positive) + 1.5 * positive
    found = auc_interval(positive, scores, np.arange(2000))
    wins = (scores[positive][:, None] > scores[~positive]).astype(float)
    error = (wins.mean(1).var(ddof=1) / 700 + wins.mean(0).var(ddof=1) / 1300) ** 0.5
    assert found.value == pytest.approx(float(auc(positive, scores)))
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.01)


def test_patients_widen_an_area_by_the_jackknife():
    random = np.random.default_rng(1)
    patient = np.repeat(np.arange(300), 3)
    positive = patient < 120
    scores = random.normal(size=300)[patient] + positive
    found = auc_interval(positive, scores, patient)
    left_out = [
        float(auc(positive, scores, (patient != i).astype(float))) - found.value
        for i in range(300)
    ]
    half = 1.96 * np.square(left_out).sum() ** 0.5
    assert found.high - found.low == pytest.approx(2 * half, rel=0.05)
    alone = auc_interval(positive, scores, np.arange(900))
    assert alone.high - alone.low < 0.7 * (found.high - found.low)


def test_mean_of_areas():
    random = np.random.default_rng(2)
    inside = np.arange(90)[:, None] % 3 == np.arange(3)
    scores = random.normal(size=(90, 3)) + inside
    found = macro_auc_interval(inside, scores, range(90))
    each = [auc_interval(inside[:, k], scores[:, k], range(90)) for k in range(3)]
    assert found.value == pytest.approx(np.mean([one.value for one in each]))
    assert found.high - found.low < np.mean([one.high - one.low for one in each])
    # What is not known of an image does not count; a class without images is in no mean.
    known = np.ones((90, 3), dtype=bool)
    known[:45, 0] = False
    some = macro_auc_interval(inside, scores, range(90), known)
    first = auc_interval(inside[45:, 0], scores[45:, 0], range(45))
    assert some.value == pytest.approx((first.value + each[1].value + each[2].value) / 3)
    none = np.column_stack([inside[:, :1], np.zeros((90, 1), bool)])
    assert macro_auc_interval(none, scores[:, :2], range(90)) == each[0]


def test_the_mean_f1_is_as_if_the_classes_moved_together():
    found = mean_f1_interval([Interval(0.8, 0.6, 0.9), Interval(0.4, 0.1, 0.8)])
    assert found.to_list() == [pytest.approx(0.6), pytest.approx(0.35), pytest.approx(0.85)]
    assert math.isnan(mean_f1_interval([]).value)


def test_intervals_of_the_mean_f1_hold_on_ten_images():
    """Of 5 and 5 images, each recognised with a probability of .8: a true mean F1 of .8."""
    random = np.random.default_rng(0)
    inside, groups = np.arange(10) < 5, np.arange(10)
    hits = 0
    for _ in range(300):
        predicted = np.where(random.random(10) < 0.8, inside, ~inside)
        found = mean_f1_interval(
            [f1_interval(a, b, groups) for a, b in ((inside, predicted), (~inside, ~predicted))]
        )
        hits += found.low <= 0.8 <= found.high
    assert hits >= 0.93 * 300
