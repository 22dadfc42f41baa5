import numpy as np
import pytest

from napari_cxr.evaluation.selection_optimism import best_of_chance, nested_optimism


def test_the_best_of_so_many_by_hand():
    # Expected maxima of 2 and 3 standard normal numbers: 1 / sqrt(pi), 3 / (2 sqrt(pi)).
    assert best_of_chance(2, 1.0) == pytest.approx(1 / np.sqrt(np.pi), abs=1e-6)
    assert best_of_chance(3, 0.1) == pytest.approx(0.15 / np.sqrt(np.pi), abs=1e-6)
    assert best_of_chance(1, 1.0) == 0


def test_choosing_among_random_models_is_found_out(table_of):
    # Twenty classifiers that know nothing: the best looks better than .5, by luck alone.
    rng = np.random.default_rng(0)
    truth = np.arange(80) % 2
    p = rng.random((20, 80))
    table = table_of(
        ['well', 'sick'],
        [('well', 'sick')[i] for i in truth],
        {f'm{i}': np.stack([1 - q, q], axis=1) for i, q in enumerate(p)},
    )
    names = list(table.probabilities)
    from napari_cxr.metrics.classification import auc

    best = max(float(auc(truth == 1, q)) for q in p)
    found = nested_optimism(table, names)
    assert found == pytest.approx(best - 0.5, abs=0.06)
    assert nested_optimism(table, names[:1]) == 0


def test_a_model_that_is_much_better_is_no_luck(table_of):
    rng = np.random.default_rng(1)
    truth = np.arange(200) % 2
    good = np.clip(0.5 * truth + 0.5 * rng.random(200), 0, 1)
    bad = rng.random(200)
    table = table_of(
        ['well', 'sick'],
        [('well', 'sick')[i] for i in truth],
        {'good': np.stack([1 - good, good], 1), 'bad': np.stack([1 - bad, bad], 1)},
    )
    assert abs(nested_optimism(table, ['good', 'bad'])) < 0.01
