import numpy as np
import pytest

from napari_cxr.evaluation import Stratum, balanced_weights, held_out, patient_folds

AP, PA, OTHER = Stratum('north', 'AP'), Stratum('north', 'PA'), Stratum('south', 'AP')


def test_classes_count_alike_in_each_stratum_and_sources_alike():
    strata = [AP] * 6 + [PA] * 2 + [OTHER] * 2
    positive = np.array([1, 1, 1, 1, 1, 0, 0, 1, 1, 0], bool)
    weights = balanced_weights(positive, strata)
    total = weights.sum()
    assert weights.mean() == pytest.approx(1)
    assert weights[:5].sum() == pytest.approx(weights[5])
    assert weights[6] == pytest.approx(weights[7])
    assert weights[:8].sum() == pytest.approx(total / 2)
    # Within north, the projections count by their images: 6 to 2.
    assert weights[:6].sum() == pytest.approx(3 * weights[6:8].sum())


def test_projection_says_nothing_any_more():
    rng = np.random.default_rng(0)
    strata = [AP if i % 3 else PA for i in range(300)]
    positive = rng.random(300) < [0.8 if s == AP else 0.3 for s in strata]
    weights = balanced_weights(positive, strata)
    ap = np.array([s == AP for s in strata])
    rates = [(weights * positive)[there].sum() / weights[there].sum() for there in (ap, ~ap)]
    assert rates == pytest.approx([0.5, 0.5])


def test_a_stratum_of_one_class_counts_for_nothing():
    weights = balanced_weights(np.array([True, True, True, False]), [PA, PA, AP, AP])
    assert weights.tolist() == [0, 0, 2, 2]


def test_a_source_of_one_class_counts_for_nothing():
    weights = balanced_weights(np.array([True, True, False]), [OTHER, AP, AP])
    assert weights.tolist() == [0, 1.5, 1.5]


def test_nothing_to_compare():
    with pytest.raises(ValueError, match='No source and projection'):
        balanced_weights(np.array([True, False]), [AP, PA])


def test_folds_keep_patients_whole_and_hold_every_image_once():
    groups = [f'p{i // 3}' for i in range(90)]
    positive = np.array([i // 3 % 2 == 0 for i in range(90)])
    folds = patient_folds(groups, positive, 5, seed=3)
    assert sorted(np.concatenate(folds).tolist()) == list(range(90))
    owners = [{groups[i] for i in fold} for fold in folds]
    assert sum(map(len, owners)) == 30
    assert all(0.3 < positive[fold].mean() < 0.7 for fold in folds)


def test_each_source_is_held_out_once():
    found = {s: (a.tolist(), b.tolist()) for s, a, b in held_out(['b', 'a', 'b'])}
    assert found == {'a': ([0, 2], [1]), 'b': ([1], [0, 2])}
