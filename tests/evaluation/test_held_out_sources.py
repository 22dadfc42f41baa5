import numpy as np
import pytest

from napari_cxr.evaluation.held_out_sources import (
    Stratum,
    balanced_weights,
    compare,
    leave_one_source_out,
    patient_folds,
    within_auc,
)


def test_pairs_count_only_within_a_stratum():
    positive = np.array([True, True, False, True, False, False])
    scores = np.array([0.9, 0.8, 0.7, 0.2, 0.3, 0.1])
    strata = ['AP', 'AP', 'AP', 'PA', 'PA', 'PA']
    # AP: 2 of 2 pairs in order. PA: 0.2 beats 0.1 but not 0.3: 1 of 2.
    assert within_auc(positive, scores, strata) == pytest.approx(3 / 4)


def test_what_only_tells_strata_apart_gives_one_half():
    rng = np.random.default_rng(0)
    strata = np.repeat(['AP', 'PA'], 200)
    positive = rng.random(400) < np.where(strata == 'AP', 0.8, 0.2)
    scores = (strata == 'AP').astype(float)
    assert within_auc(positive, scores, strata.tolist()) == pytest.approx(0.5)


def test_a_stratum_of_one_class_has_no_say():
    positive = np.array([True, False, True])
    assert within_auc(positive, np.array([1.0, 0.0, 0.0]), ['a', 'a', 'b']) == 1


def test_without_any_pair_it_is_not_defined():
    assert np.isnan(within_auc(np.array([True, False]), np.array([1.0, 0.0]), ['a', 'b']))


def test_weights_count_images_more_than_once():
    positive = np.array([True, False, False])
    scores = np.array([0.5, 0.4, 0.6])
    weights = np.array([[1, 1, 1], [1, 3, 1]])
    assert within_auc(positive, scores, ['a'] * 3, weights) == pytest.approx([0.5, 0.75])


def test_compare_gives_each_figure_and_the_difference_on_the_same_resamples():
    rng = np.random.default_rng(1)
    positive = rng.random(120) < 0.5
    good = positive + rng.normal(0, 0.8, 120)
    found = compare(
        positive,
        {'model': good, 'same': good, 'chance': rng.normal(0, 1, 120)},
        ['AP'] * 120,
        [f'p{i // 2}' for i in range(120)],
        times=300,
    )
    assert (found['images'], found['patients']) == (120, 60)
    assert found['positives'] == positive.sum()
    assert found['same']['difference'] == [0, 0, 0]
    value, low, high = found['chance']['difference_within']
    assert value == pytest.approx(
        found['model']['auc_within'][0] - found['chance']['auc_within'][0], abs=2e-4
    )
    assert 0 < low < value < high
    assert 'difference' not in found['model']


def test_compare_resamples_patients_not_images():
    # Ten patients, each with twenty copies of one image: the interval is that of ten images.
    rng = np.random.default_rng(2)
    positive = np.arange(10) % 2 == 0
    scores = positive + rng.normal(0, 1.0, 10)

    def width(repeat, groups):
        found = compare(
            np.repeat(positive, repeat),
            {'model': np.repeat(scores, repeat)},
            ['AP'] * (10 * repeat),
            groups,
            times=500,
        )
        _, low, high = found['model']['auc']
        return high - low

    once = width(1, list(range(10)))
    assert width(20, np.repeat(np.arange(10), 20).tolist()) == pytest.approx(once)
    assert width(20, list(range(200))) < once / 2


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
    found = {s: (a.tolist(), b.tolist()) for s, a, b in leave_one_source_out(['b', 'a', 'b'])}
    assert found == {'a': ([0, 2], [1]), 'b': ([1], [0, 2])}
