import numpy as np
import pytest
from scipy.stats import t

from napari_cxr.evaluation.source_spread import random_effects, source_spread


def test_exact_effects_give_the_intervals_of_a_mean_and_of_one_more():
    # Where effects are known exactly these are Student's, with the standard deviation 1.5811.
    found = random_effects([1.0, 2.0, 3.0, 4.0, 5.0], [1e-9] * 5)
    assert found.mean == pytest.approx(3)
    assert found.between == pytest.approx(2.5**0.5)
    half = t.ppf(0.975, 4) * (2.5 / 5) ** 0.5
    assert (found.low, found.high) == pytest.approx((3 - half, 3 + half), abs=0.02)
    new = t.ppf(0.975, 4) * (2.5 + 2.5 / 5) ** 0.5
    assert (found.new_low, found.new_high) == pytest.approx((3 - new, 3 + new), abs=0.05)


def test_the_variance_within_is_taken_off():
    # With equal variances it is that of the effects less the one within: 2.5 - 0.5.
    assert random_effects([1.0, 2.0, 3.0, 4.0, 5.0], [0.5] * 5).between == pytest.approx(2**0.5)


def test_without_spread_there_is_only_chance():
    found = random_effects([1.0, 1.1, 0.9, 1.0], [0.5, 1.0, 0.5, 1.0])
    assert found.between == 0
    assert found.low < 1 < found.high


def test_few_sources_know_nothing():
    assert np.isnan(random_effects([1.0], [0.1]).low)
    two = random_effects([1.0, 2.0], [0.1, 0.1])
    assert np.isfinite(two.low)
    assert np.isnan(two.new_low)


def test_a_new_source_lies_inside_as_often_as_is_said():
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(150):
        truth = rng.normal(1.0, 0.3, 7)
        found = random_effects(truth[:6] + rng.normal(0, 0.3, 6), [0.09] * 6)
        inside += found.new_low <= truth[6] <= found.new_high
    assert inside / 150 > 0.9  # expected .95, standard error .018


def of_sources(table_of, skills, n=60):
    rng = np.random.default_rng(1)
    truth, p, sources = [], [], []
    for i, skill in enumerate(skills):
        for j in range(n):
            sick = j % 2
            logit = skill * (2 * sick - 1) + rng.normal()
            truth.append(('well', 'sick')[sick])
            p.append([1 / (1 + np.exp(logit)), 1 / (1 + np.exp(-logit))])
            sources.append(f'h{i}')
    return table_of(['well', 'sick'], truth, {'model': p}, source=sources)


def test_five_sources_give_an_interval_for_another(table_of):
    found = source_spread(of_sources(table_of, [0.2, 0.5, 0.8, 1.1, 1.4, 0.8]), 'model')
    assert found['known'] == 6
    low, high = found['new_source']['interval']
    areas = [area['value'] for area in found['areas'].values()]
    assert low < min(areas) < max(areas) < high
    mean_low, mean_high = found['mean']['interval']
    assert low < mean_low < mean_high < high
    assert 'In another hospital, expect an AUC between' in found['said']


def test_with_fewer_it_says_that_it_cannot_know(table_of):
    found = source_spread(of_sources(table_of, [0.5, 1.5, 1.0]), 'model')
    assert found['new_source']['interval'] is None
    assert found['mean']['interval'] is None
    assert found['said'].startswith('All 3 sources hold images of two classes. With fewer than 5')


def test_sources_of_one_class_cannot_be_judged(table_of):
    table = table_of(
        ['well', 'sick'],
        ['well'] * 5 + ['sick'] * 5,
        {'model': [[0.5, 0.5]] * 10},
        source=['a'] * 5 + ['b'] * 5,
    )
    found = source_spread(table, 'model')
    assert found['known'] == 0
    assert 'may be telling sources apart' in found['said']


def test_perfect_sources_have_finite_limits(table_of):
    found = source_spread(of_sources(table_of, [9.0] * 5, n=20), 'model')
    assert found['areas']['h0']['value'] == 1
    assert found['areas']['h0']['interval'][0] < 1
    assert 0.5 < found['new_source']['interval'][0] < 1
