import numpy as np
import pytest

from napari_cxr.evaluation.operating_points import (
    choose_thresholds,
    performance_at,
    predictive_values,
)

LABELS = ['normal', 'sick']


@pytest.fixture
def ten(table_of):
    """Five sick and five well, the probability of sick from 0.05 to 0.95."""
    p = np.array([0.05, 0.15, 0.25, 0.35, 0.55, 0.45, 0.65, 0.75, 0.85, 0.95])
    truth = ['normal'] * 5 + ['sick'] * 5
    return table_of(LABELS, truth, {'model': np.stack([1 - p, p], axis=1)})


def test_thresholds_by_hand(ten):
    points = choose_thresholds(ten, 'model')['sick']
    # Of five, none may be missed for a sensitivity above 80 %.
    assert 0.35 < points['sensitivity 0.90'] == points['sensitivity 0.975'] <= 0.45
    # At 0.45 one well person is called, at 0.65 one sick person is missed: the first is taken.
    assert 0.35 < points['Youden'] <= 0.45
    assert 'cost 5' not in points


@pytest.mark.parametrize(('cost', 'expected'), [(5, 0.45), (0.2, 0.65)])
def test_what_a_miss_costs_moves_the_threshold(ten, cost, expected):
    assert choose_thresholds(ten, 'model', cost)['sick'][f'cost {cost:g}'] == expected


def test_where_the_class_is_rare_the_threshold_by_cost_is_higher(ten):
    assert choose_thresholds(ten, 'model', 5, prevalence=0.01)['sick']['cost 5'] == 0.65


def test_thresholds_are_applied_to_other_images(table_of):
    p = np.array([0.2, 0.6, 0.7, 0.3, 0.8, 0.9])
    truth = ['normal'] * 3 + ['sick'] * 3
    table = table_of(LABELS, truth, {'model': np.stack([1 - p, p], axis=1)})
    found = performance_at(table, 'model', {'sick': {'Youden': 0.5}}, 0.1, times=200)
    own = found['sick']['Youden']
    assert own['threshold'] == 0.5
    values = {name: own[name]['value'] for name in ('recall', 'specificity', 'ppv', 'npv')}
    assert values == pytest.approx({'recall': 2 / 3, 'specificity': 1 / 3, 'ppv': 0.5, 'npv': 0.5})
    # 0.1 * 2/3 of all are found, 0.9 * 2/3 are false alarms.
    assert own['ppv_at_prevalence']['value'] == pytest.approx(0.1, abs=1e-6)
    assert own['npv_at_prevalence']['value'] == pytest.approx(0.9, abs=1e-6)


def test_predictive_values_by_bayes_rule():
    positive, negative = predictive_values(np.array(0.9), np.array(0.8), 0.05)
    assert positive == pytest.approx(0.045 / (0.045 + 0.19))
    assert negative == pytest.approx(0.76 / (0.76 + 0.005))
