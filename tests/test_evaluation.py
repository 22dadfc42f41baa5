""""""

import numpy as np
import pytest

from napari_cxr.evaluation import (
    AbstentionBand,
    EvaluationLedger,
    Stratum,
    abstention_band,
    balanced_weights,
    compare,
    coverage,
    fit_shortcut,
    leave_one_source_out,
    lungs_blanked,
    patient_folds,
    within_auc,
)
from napari_cxr.metrics.classification import auc


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


def test_the_band_by_hand():
    # Of 9 positives, alpha 0.2 allows floor(0.2 * 10) = 2 to lie lower than a further one.
    have = np.array([0.31, 0.42, 0.5, 0.6, 0.65, 0.7, 0.8, 0.9, 0.95])
    lack = np.array([0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.55, 0.72])
    positive = np.repeat([True, False], 9)
    band = abstention_band(positive, np.r_[have, lack], ['a'] * 18, threshold=0.45, alpha=0.2)
    assert band.low == pytest.approx(0.42)
    assert band.low < 0.42  # an image at 0.42 is not denied
    assert band.high == pytest.approx(0.55)
    assert band.high > 0.55


def test_the_widest_source_decides():
    sure = np.r_[np.full(50, 0.9), np.full(50, 0.1)]
    unsure = np.r_[np.linspace(0.2, 0.9, 50), np.linspace(0.1, 0.7, 50)]
    positive = np.tile(np.repeat([True, False], 50), 2)
    both = abstention_band(positive, np.r_[sure, unsure], ['a'] * 100 + ['b'] * 100, 0.5)
    alone = abstention_band(positive[100:], unsure, ['b'] * 100, 0.5)
    assert both == alone


def test_too_few_images_leave_nothing_to_say():
    band = abstention_band(
        np.array([True, False]), np.array([0.9, 0.1]), ['a', 'a'], 0.5, alpha=0.1
    )
    assert band == AbstentionBand(0, 1)


def test_the_threshold_lies_inside():
    positive = np.repeat([True, False], 100)
    p = np.r_[np.full(100, 0.9), np.full(100, 0.8)]
    band = abstention_band(positive, p, ['a'] * 200, threshold=0.3)
    assert band.low <= 0.3 <= band.high


@pytest.mark.parametrize('alpha', [0, 1, -0.1])
def test_an_alpha_outside_its_range(alpha):
    with pytest.raises(ValueError, match='alpha'):
        abstention_band(
            np.array([True, False]), np.array([0.9, 0.1]), ['a', 'a'], 0.5, alpha=alpha
        )


def test_both_errors_keep_to_alpha_on_images_to_come():
    rng = np.random.default_rng(0)
    wrong = np.zeros(2)
    for _ in range(200):
        positive = np.repeat([True, False], 60)
        p = 1 / (1 + np.exp(-np.where(positive, 1.0, -1.0) - rng.normal(0, 1.2, 120)))
        band = abstention_band(positive[::2], p[::2], ['a'] * 60, threshold=0.5, alpha=0.1)
        new = coverage(positive[1::2], p[1::2], band)
        wrong += [new['wrong_positives'], new['wrong_negatives']]
    # The bound is on the mean; its standard error here is about 0.004.
    assert (wrong / 200 < 0.112).all()
    assert (wrong / 200 > 0.05).all()  # and the band is not wider than it need be


def test_coverage_counts():
    positive = np.array([True, True, True, False, False, False])
    p = np.array([0.9, 0.5, 0.1, 0.1, 0.5, 0.9])
    found = coverage(positive, p, AbstentionBand(0.2, 0.8))
    assert found == {
        'images': 6,
        'answered': pytest.approx(4 / 6),
        'wrong_positives': pytest.approx(1 / 3),
        'wrong_negatives': pytest.approx(1 / 3),
        'sensitivity': 0.5,
        'specificity': 0.5,
    }


def test_coverage_where_nothing_is_answered():
    found = coverage(np.array([True, False]), np.array([0.5, 0.5]), AbstentionBand(0, 1))
    assert found['answered'] == 0
    assert np.isnan(found['sensitivity'])


def test_records_are_counted_by_set_and_purpose_and_kept(tmp_path):
    records = EvaluationLedger(tmp_path / 'ledger' / 'records.jsonl')
    records.add('north', 'linear', 'report', 0.7)
    records.add('north', 'trees', 'choose', 0.6)
    records.add('south', 'linear', 'report', 0.8)
    again = EvaluationLedger(records.path)
    assert [record.configuration for record in again] == ['linear', 'trees', 'linear']
    assert again.count() == 3
    assert again.count('north') == 2
    assert again.count(purpose='report') == 2
    assert again.count('north', 'choose') == 1


def test_the_same_evaluation_again_adds_no_record(tmp_path):
    records = EvaluationLedger(tmp_path / 'records.jsonl')
    records.add('north', 'linear', 'report', 0.7)
    records.add('north', 'linear', 'report', 0.7)
    records.add('north', 'linear', 'choose', 0.7)
    assert records.count() == 2
    assert len(records.path.read_text().splitlines()) == 2


def test_a_record_needs_a_purpose(tmp_path):
    with pytest.raises(ValueError, match='purpose'):
        EvaluationLedger(tmp_path / 'records.jsonl').add('north', 'linear', 'fun', 0.7)


@pytest.mark.parametrize('line', ['nonsense', '{"images": "north"}', '[]'])
def test_a_damaged_ledger_is_named(tmp_path, line):
    path = tmp_path / 'records.jsonl'
    EvaluationLedger(path).add('north', 'linear', 'report', 0.7)
    with path.open('a') as file:
        file.write(line + '\n')
    with pytest.raises(ValueError, match=r'Line 2 of records\.jsonl'):
        EvaluationLedger(path)


def test_projection_alone_answers_how_often_it_had_the_finding():
    guess = fit_shortcut(
        'projection only',
        np.zeros((5, 44)),
        ['AP', 'AP', 'AP', 'AP', 'PA'],
        np.array([True, True, True, False, False]),
    )
    # A projection that was never seen gets the mean of all.
    assert guess(np.zeros((3, 44)), ['AP', 'PA', 'LL']).tolist() == [0.75, 0, 0.6]


@pytest.mark.parametrize(
    ('name', 'column', 'expected'),
    [
        ('format only', 3, 1.0),
        ('format only', 20, 0.5),
        ('format and grey levels', 20, 1.0),
    ],
)
def test_what_each_shortcut_sees(name, column, expected):
    positive = np.arange(200) % 2 == 0
    features = np.zeros((200, 44))
    features[:, column] = positive
    guess = fit_shortcut(name, features, ['AP'] * 200, positive)
    assert auc(positive, guess(features, ['AP'] * 200)) == expected


def test_an_unknown_shortcut():
    with pytest.raises(ValueError, match=r'no shortcut .*format only'):
        fit_shortcut('magic', np.zeros((2, 44)), ['', ''], np.array([True, False]))


def test_blanked_lungs_are_black_and_nothing_else_changes():
    images = np.full((1, 2, 2), 0.7, np.float32)
    lungs = np.array([[[0.9, 0.1], [0.5, 0.51]]])
    blank = lungs_blanked(images, lungs)
    assert blank.dtype == np.float32
    assert blank[0].tolist() == [[0, pytest.approx(0.7)], [pytest.approx(0.7), 0]]


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
