"""Means over folds that share images, and differences on the same resamples, by hand."""

import numpy as np
import pytest

from napari_cxr.metrics import (
    FoldPredictions,
    average_over_folds,
    bootstrap,
    macro_auc,
    metric_differences,
    summarise,
)

LABELS = ('a', 'b', 'c')


def part(places, probabilities, **others):
    return FoldPredictions(np.asarray(places), np.asarray(probabilities, float), others)


def certain(truth, wrong=()):
    """Probabilities of .8 for the class that is called."""
    called = np.array(truth)
    called[list(wrong)] = (called[list(wrong)] + 1) % 3
    return 0.1 + 0.7 * (called[:, None] == np.arange(3))


def test_a_figure_is_the_mean_over_folds_and_an_image_is_counted_once():
    truth = np.array([0, 0, 1, 1, 2, 2])
    first = part([0, 2, 3, 4], certain(truth[[0, 2, 3, 4]], wrong=[1]))
    second = part([0, 1, 3, 5], certain(truth[[0, 1, 3, 5]]))
    found = average_over_folds(
        truth, [first, second], LABELS, list('mnopqr'), truth.tolist(), times=50
    )
    assert (found['images'], found['patients'], found['folds']) == (6, 6, 2)
    assert found['accuracy'][0] == (3 / 4 + 1) / 2
    assert found['balanced_accuracy'][0] == pytest.approx((2.5 / 3 + 1) / 2, abs=1e-4)
    assert found['classes']['b']['sensitivity'][0] == (1 / 2 + 1) / 2
    assert found['classes']['b']['images'] == 2
    # Each fold's own area, as a summary has it.
    alone = [summarise(truth[p.places], p.probabilities, LABELS) for p in (first, second)]
    areas = [one['macro_auc'][0] for one in alone]
    assert found['macro_auc'][0] == pytest.approx(np.mean(areas), abs=1e-4)
    assert 'confusion' not in found and 'pairs' not in found


def test_a_figure_that_a_fold_lacks_is_left_out_of_the_mean():
    truth = np.array([0, 0, 1, 1])
    one_class = part([0, 1], certain(truth[:2]))
    both = part([0, 1, 2, 3], certain(truth, wrong=[2]))
    found = average_over_folds(
        truth, [one_class, both], LABELS, range(4), truth.tolist(), times=50
    )
    alone = summarise(truth, both.probabilities, LABELS)
    assert found['macro_auc'][0] == alone['macro_auc'][0]
    assert found['classes'].keys() == {'a', 'b'}
    assert found['accuracy'][0] == (1 + 3 / 4) / 2


def test_a_patient_in_two_folds_is_drawn_into_both():
    random = np.random.default_rng(0)
    truth = np.repeat([0, 1], 100)
    said = random.dirichlet([1, 1], 200)
    whole = part(range(200), said)
    groups, strata = (np.arange(200) // 2).tolist(), truth.tolist()
    once = average_over_folds(truth, [whole], ('a', 'b'), groups, strata, seed=3)
    twice = average_over_folds(truth, [whole, whole], ('a', 'b'), groups, strata, seed=3)
    # Said twice, nothing more is known: the interval stays as wide.
    assert twice['macro_auc'] == once['macro_auc']
    plain = summarise(truth, said, ('a', 'b'), groups, seed=3)
    assert once['keras_auc'] == plain['keras_auc']
    # Over folds the F1 keeps the interval of the bootstrap, which is narrower on small sets.
    assert once['macro_f1'][0] == plain['macro_f1'][0]
    assert (
        plain['macro_f1'][1] <= once['macro_f1'][1] < once['macro_f1'][2] <= plain['macro_f1'][2]
    )


def test_two_classes_are_compared_by_themselves():
    truth = np.array([0, 1, 0, 1, 2])
    said = np.array(
        [[0.3, 0.1, 0.6], [0.2, 0.2, 0.6], [0.1, 0.2, 0.7], [0.0, 0.0, 1.0], [0.1, 0.2, 0.7]]
    )
    found = summarise(truth, said, LABELS, pairs=True, times=20)
    # Shares of a in a and b: 3/4 and 1/3 of a; 1/2 and (of nothing) 1/2 of b.
    assert found['pairs']['a against b'][0] == 2 / 4
    assert found['pairs'].keys() == {'a against b', 'a against c', 'b against c'}
    assert 'pairs' not in summarise(truth, said, LABELS, times=20)
    two = summarise(truth[:4], said[:4, :2] / said[:4, :2].sum(1, keepdims=True).clip(1e-9),
                    ('a', 'b'), pairs=True, times=20)  # fmt: skip
    assert 'pairs' not in two


def test_a_difference_is_measured_on_the_same_resamples():
    random = np.random.default_rng(1)
    truth = np.repeat([0, 1, 2], 60)
    model = random.dirichlet([1, 1, 1], 180) + 0.5 * (truth[:, None] == np.arange(3))
    model /= model.sum(axis=1, keepdims=True)
    other = random.dirichlet([1, 1, 1], 180) + 0.3 * (truth[:, None] == np.arange(3))
    other /= other.sum(axis=1, keepdims=True)
    groups, strata = (np.arange(180) // 3).tolist(), truth.tolist()
    whole = part(range(180), model, blind=other, same=model)
    found = metric_differences(truth, [whole], LABELS, groups, strata, pairs=True, seed=5)
    assert found['same']['macro_auc'] == [0, None, None]
    assert found['same']['pairs']['a against b'] == [0, None, None]

    def by_hand(weights):
        return macro_auc(truth, model, weights) - macro_auc(truth, other, weights)

    (expected,) = bootstrap(by_hand, groups, strata, seed=5)
    assert found['blind']['macro_auc'] == expected.to_list()
    ours, theirs = (
        summarise(truth, said, LABELS, groups, seed=5)['macro_auc'] for said in (model, other)
    )
    assert found['blind']['macro_auc'][0] == pytest.approx(ours[0] - theirs[0], abs=2e-4)
    # Of two halves: the mean of both differences.
    halves = [part(whole.places[i::2], model[i::2], blind=other[i::2]) for i in (0, 1)]
    both = metric_differences(truth, halves, LABELS, groups, strata, seed=5)['blind']
    each = [
        metric_differences(truth, [half], LABELS, groups, strata, seed=5)['blind']
        for half in halves
    ]
    mean = np.mean([one['accuracy'][0] for one in each])
    assert both['accuracy'][0] == pytest.approx(mean, abs=1e-4)


def test_of_a_part_only_some_images():
    truth = np.array([0, 1, 2, 0])
    said, other = certain(truth), certain(truth, wrong=[1, 2])
    whole = part([3, 1, 2], said[[3, 1, 2]], blind=other[[3, 1, 2]])
    some = whole.subset(np.array([True, True, False, True]))
    assert some.places.tolist() == [3, 1]
    np.testing.assert_array_equal(some.probabilities, said[[3, 1]])
    assert some.others.keys() == {'blind'}
    np.testing.assert_array_equal(some.others['blind'], other[[3, 1]])
    blind = whole.of_classifier('blind')
    assert blind.places.tolist() == [3, 1, 2] and blind.others == {}
    np.testing.assert_array_equal(blind.probabilities, other[[3, 1, 2]])


def test_images_that_no_part_has_do_not_count():
    truth = np.array([0, 2, 1, 1, 0])
    found = average_over_folds(
        truth, [part([4, 2], certain(truth[[4, 2]]))], LABELS, list('vwxyz'), truth.tolist(),
        times=50,
    )  # fmt: skip
    assert (found['images'], found['patients'], found['folds']) == (2, 2, 1)
    assert found['classes'].keys() == {'a', 'b'}
    assert found['accuracy'] == [1, None, None]


def test_strata_are_those_of_the_images_that_count():
    # Of the classes' one patient each, every resample has both: no figure can move.
    truth = np.array([2, 0, 1, 1])
    said = part([1, 2, 3], certain(truth[[1, 2, 3]], wrong=[2]))
    other = part([1, 2, 3], said.probabilities, blind=certain(truth[[1, 2, 3]]))
    groups = ['w', 'x', 'y', 'y']
    found = average_over_folds(truth, [said], LABELS, groups, truth.tolist(), times=50)
    assert found['accuracy'] == [0.6667, None, None]
    assert found['classes']['b']['sensitivity'] == [0.5, None, None]
    found = metric_differences(truth, [other], LABELS, groups, truth.tolist(), times=50)
    assert found['blind']['accuracy'] == [-0.3333, None, None]
    assert found['blind'].keys() == {'accuracy', 'balanced_accuracy', 'macro_auc'}


def test_pairs_of_the_folds_that_have_them():
    truth = np.array([0, 1, 2, 0, 1])
    said = np.array(
        [[0.6, 0.4, 0], [0.3, 0.7, 0], [0, 0.1, 0.9], [0.2, 0.7, 0.1], [0.5, 0.4, 0.1]]
    )
    two = part([0, 1], said[:2], blind=said[:2])
    three = part([0, 1, 2, 3, 4], said, blind=said[:, ::-1])
    found = average_over_folds(
        truth, [two, three], LABELS, range(5), truth.tolist(), pairs=True, times=50
    )
    # 1 in the first fold; .6 and .22 against .3 and .56 in the second: 2 of 4.
    assert found['pairs']['a against b'][0] == (1 + 2 / 4) / 2
    assert found['pairs']['a against c'][0] == 1
    found = metric_differences(
        truth, [two, three], LABELS, range(5), truth.tolist(), pairs=True, times=50
    )['blind']
    assert found['pairs'].keys() == {'a against b', 'a against c', 'b against c'}
    alone = summarise(truth, said[:, ::-1], LABELS, pairs=True, times=5)['pairs']
    assert found['pairs']['a against c'][0] == 1 - alone['a against c'][0]


def test_several_labels_over_folds():
    truth = np.array([[1, 1], [1, 0], [0, 0], [0, 1]], dtype=bool)
    said = np.array([[0.9, 0.6], [0.4, 0.7], [0.3, 0.2], [0.6, 0.1]])
    parts = [part([0, 1, 2], said[:3]), part([1, 3], said[[1, 3]])]
    found = average_over_folds(truth, parts, ('x', 'y'), 'abcd', [0] * 4, times=50)
    # One wrong of three and one of three more, then all four wrong.
    assert found['accuracy'][0] == pytest.approx((4 / 6 + 0) / 2, abs=1e-4)
    assert [found['classes'][name]['images'] for name in 'xy'] == [2, 2]
    assert found['classes']['x']['sensitivity'][0] == pytest.approx((1 / 2 + 0) / 2)
