"""No patient on two sides, and it is said where patients are not known."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_cxr.training import Dataset, DatasetError, Sample, divide, index
from napari_cxr.training.dataset import SPLITS
from napari_cxr.training.recipe import SplitRecipe
from napari_cxr.training.splits import Split, equal_parts, splits_of, sufficient_subset


def made(patients=40, images=3, grouped=True):
    """Patients of two classes in turn, with as many images each."""
    samples = [
        Sample(Path(f'{p}-{i}'), ('a', 'b')[p % 2], group=f'{p}' if grouped else f'{p}-{i}')
        for p in range(patients)
        for i in range(images)
    ]
    return Dataset(Path(), tuple(samples), grouped)


def sides(dataset, split):
    return [
        {dataset.samples[i].group for i in part} for part in (split.train, split.val, split.test)
    ]


def test_hold_out_keeps_patients_whole_and_classes_alike():
    dataset = made()
    split = divide(dataset, SplitRecipe(val=0.2, test=0.2), seed=0)
    train, val, test = sides(dataset, split)
    assert not train & val
    assert not train & test
    assert not val & test
    assert sorted(np.r_[split.train, split.val, split.test]) == list(range(120))
    assert len(split.test) == 24
    assert len(split.val) == 24
    for part in (split.val, split.test):
        assert sum(dataset.samples[i].label == 'a' for i in part) == len(part) / 2
    assert split.kind == 'by patient'


@pytest.mark.parametrize(
    ('val', 'test'), [(0.1, 0.4), (0.15, 0.2), (0.3, 0.3), (0.1, 0.1), (0.45, 0.5)]
)
def test_the_shares_asked_for_are_met(val, test):
    dataset = made(patients=120)
    split = divide(dataset, SplitRecipe(val=val, test=test), seed=3)
    assert len(split.val) / 360 == pytest.approx(val, abs=0.02)
    assert len(split.test) / 360 == pytest.approx(test, abs=0.02)
    train, held, tested = sides(dataset, split)
    assert len(train | held | tested) == len(train) + len(held) + len(tested) == 120


def test_the_seed_decides():
    dataset = made()

    def test_of(seed):
        return divide(dataset, SplitRecipe(), seed).test.tolist()

    assert test_of(1) == test_of(1) != test_of(2)


def test_without_patients_it_is_by_image():
    assert divide(made(grouped=False), SplitRecipe(), 0).kind == 'by image'


def test_given_splits_are_kept(folder):
    dataset = index(folder)
    split = divide(dataset, SplitRecipe(), 0)
    assert split.names() == [sample.split for sample in dataset.samples]
    assert split.kind == 'by patient'


def test_a_val_split_that_was_not_given_comes_from_train():
    dataset = made()
    samples = [replace(s, split='test' if int(s.group) < 8 else 'train') for s in dataset.samples]
    dataset = replace(dataset, samples=tuple(samples))
    split = divide(dataset, SplitRecipe(val=0.25), 0)
    assert split.test.tolist() == list(range(24))
    assert len(split.val) == 24  # a quarter of the 96 others
    assert not sides(dataset, split)[0] & sides(dataset, split)[1]


def test_given_splits_that_divide_a_patient_are_refused(folder):
    dataset = index(folder)
    samples = list(dataset.samples)
    samples[0] = replace(samples[0], split='test')
    dataset = replace(dataset, samples=tuple(samples))
    with pytest.raises(DatasetError, match='divide 1 patients'):
        divide(dataset, SplitRecipe(), 0)
    # Held out by patient instead, it works.
    divide(dataset, SplitRecipe(method='holdout', val=0.3, test=0.3), 0)


def test_what_cannot_be_split_is_said():
    with pytest.raises(DatasetError, match='not every image has one'):
        divide(made(), SplitRecipe(method='given'), 0)
    with pytest.raises(DatasetError, match="class 'a' has images of only 2 patients"):
        divide(made(patients=4), SplitRecipe(), 0)
    alone = made(patients=4, images=1, grouped=False)
    least = "class 'a' has only 2 images; at least 5 are needed to hold out 20%"
    with pytest.raises(DatasetError, match=least):
        divide(alone, SplitRecipe(), 0)
    alone = made(patients=10, images=1, grouped=False)
    with pytest.raises(DatasetError, match="'a' has only 4 images, beside those already held out"):
        divide(alone, SplitRecipe(val=0.15, test=0.2), 0)
    joined = replace(made(patients=4), grouped=False)  # such as near-duplicates
    with pytest.raises(
        DatasetError, match='6 images, but some belong together, so they count as only 2'
    ):
        divide(joined, SplitRecipe(), 0)
    dataset = made()
    samples = [
        replace(s, split='val' if s.label == 'a' and int(s.group) < 10 else 'train')
        for s in dataset.samples
    ]
    with pytest.raises(DatasetError, match="class 'b' has no image in the split 'val'"):
        divide(replace(dataset, samples=tuple(samples)), SplitRecipe(), 0)


def test_each_fold_in_turn_is_the_test_split():
    dataset = made(patients=60)
    found = splits_of(dataset, SplitRecipe(method='k-fold', folds=4, val=0.25), seed=1)
    assert [name for name, _ in found] == ['fold-1', 'fold-2', 'fold-3', 'fold-4']
    tested = np.concatenate([split.test for _, split in found])
    assert sorted(tested) == list(range(180))
    for _, split in found:
        train, val, test = sides(dataset, split)
        assert not train & val and not train & test and not val & test
        assert len(split.test) == pytest.approx(45, abs=3)
        assert len(split.val) == pytest.approx(34, abs=4)
        assert sum(dataset.samples[i].label == 'a' for i in split.test) == pytest.approx(22, abs=3)
    ((name, third),) = splits_of(
        dataset, SplitRecipe(method='k-fold', folds=4, val=0.25, fold=3), seed=1
    )
    assert name == 'fold-3'
    assert third.names() == found[2][1].names()
    with pytest.raises(
        DatasetError, match='only 30 patients; at least 31 are needed to divide them into 31 parts'
    ):
        divide(dataset, SplitRecipe(method='k-fold', folds=31), 1)


def sourced(dataset, source_of):
    samples = [replace(s, source=source_of(int(s.group))) for s in dataset.samples]
    return replace(dataset, samples=tuple(samples))


def test_each_source_in_turn_is_left_out():
    dataset = sourced(made(patients=60), lambda p: ('x y', 'X/Y', 'z')[p // 2 % 3])
    recipe = SplitRecipe(method='leave-source-out', val=0.25)
    found = dict(splits_of(dataset, recipe, 0))
    assert set(found) == {'source-X-Y-1', 'source-x-y-2', 'source-z'}
    split = found['source-z']
    assert {dataset.samples[i].source for i in split.test} == {'z'}
    assert {dataset.samples[i].source for i in (*split.train, *split.val)} == {'x y', 'X/Y'}
    assert len(split.test) == 60 and len(split.val) == pytest.approx(30, abs=3)
    ((name, alone),) = splits_of(dataset, replace(recipe, left_out=(('z',),)), 0)
    assert name == 'without-z' and alone.names() == split.names()
    with pytest.raises(DatasetError, match="no source 'w'; the sources are 'X/Y'"):
        divide(dataset, replace(recipe, left_out=(('z', 'w'),)), 0)
    with pytest.raises(DatasetError, match='180 of 180 images have no source'):
        divide(made(patients=60), recipe, 0)
    odd = sourced(made(), lambda p: 'only a' if p % 2 == 0 else 'only b')
    with pytest.raises(DatasetError, match="Only the source 'only a' has images of the class 'a'"):
        divide(odd, recipe, 0)


def test_sets_of_sources_are_left_out_and_may_share_sources():
    dataset = sourced(made(patients=80), lambda p: ('a-b', 'a', 'b', 'c')[p // 2 % 4])
    sets = (('c', 'a'), ('b', 'c'), ('a', 'b'), ('a-b',))
    recipe = SplitRecipe(method='leave-source-out', left_out=sets, val=0.25)
    found = splits_of(dataset, recipe, 3)
    names = ['without-c-a', 'without-b-c', 'without-a-b-1', 'without-a-b-2']
    assert [name for name, _ in found] == names
    for left_out, (_, split) in zip(sets, found, strict=True):
        train, val, test = ([dataset.samples[i] for i in getattr(split, n)] for n in SPLITS)
        assert {s.source for s in test} == set(left_out)
        assert {s.source for s in (*train, *val)} == {'a-b', 'a', 'b', 'c'} - set(left_out)
        assert len(test) == 60 * len(left_out)
        assert len(val) == pytest.approx((240 - len(test)) / 4, abs=4)
        assert not {s.group for s in train} & {s.group for s in val}
        # One fold by itself, its sources in any order, is the same.
        again = replace(recipe, left_out=(left_out[::-1],))
        ((_, alone),) = splits_of(dataset, again, 3)
        assert alone.names() == split.names()
    odd = sourced(made(), lambda p: ('x', 'y')[p // 2 % 2] if p % 2 == 0 else 'z')
    recipe = SplitRecipe(method='leave-source-out', left_out=(('x', 'y'),))
    with pytest.raises(DatasetError, match="sources 'x' and 'y' have images of the class 'a'"):
        divide(odd, recipe, 0)


def test_a_patient_of_two_sources_is_learned_from_in_neither():
    dataset = sourced(made(patients=40), lambda p: ('x', 'y')[p // 2 % 2])
    samples = list(dataset.samples)
    samples[0] = replace(samples[0], source='y')  # the patient 0 is else in x
    dataset = replace(dataset, samples=tuple(samples))
    found = dict(splits_of(dataset, SplitRecipe(method='leave-source-out'), 0))
    assert 0 in found['source-y'].test
    assert found['source-y'].names()[1:3] == ['', '']
    assert found['source-x'].names()[:3] == ['', 'test', 'test']


def test_several_labels_are_kept_alike_the_rare_ones_too():
    combinations = (
        ['a'] * 60 + ['a|b'] * 30 + ['b'] * 20 + ['c'] * 5 + ['a|c', 'b|c'] * 2 + [''] * 9
    )
    samples = tuple(Sample(Path(f'{i}'), c, f'{i}') for i, c in enumerate(combinations))
    dataset = Dataset(Path(), samples, grouped=True)
    found = splits_of(dataset, SplitRecipe(method='k-fold', folds=3, val=0.3), seed=0)
    for _, split in found:
        for part in (split.train, split.val, split.test):
            labels = [label for i in part for label in samples[i].labels]
            assert labels.count('c') >= 1
        tested = [samples[i].label for i in split.test]
        assert tested.count('a') == 20 and tested.count('a|b') == 10
        assert sum('c' in combination for combination in tested) == 3


def test_a_limit_and_a_balance_take_whole_patients_first():
    dataset = replace(made(patients=100), limit=12)
    split = divide(dataset, SplitRecipe(), 0)
    for part in (split.train, split.val, split.test):
        labels = [dataset.samples[i].label for i in part]
        assert labels.count('a') == labels.count('b') == 12
        assert len({dataset.samples[i].group for i in part}) == 8  # of three images each
    names = split.names()
    assert len(names) == 300 and names.count('') == 300 - 72
    other = divide(dataset, SplitRecipe(), 1)
    assert other.train.tolist() != split.train.tolist()

    samples = [s for s in made(patients=100).samples if s.label == 'a' or int(s.group) < 40]
    uneven = Dataset(Path(), tuple(samples), grouped=True)
    plain = divide(uneven, SplitRecipe(), 0)
    split = divide(replace(uneven, balance=True), SplitRecipe(), 0)
    labels = [samples[i].label for i in split.train]
    assert labels.count('a') == labels.count('b')
    assert set(split.train) <= set(plain.train)
    assert split.val.tolist() == plain.val.tolist() and split.test.tolist() == plain.test.tolist()


@pytest.mark.parametrize(
    'recipe',
    [
        SplitRecipe(),
        SplitRecipe(method='k-fold', folds=4, val=0.25),
        SplitRecipe(method='leave-source-out'),
        SplitRecipe(method='given'),
    ],
)
def test_for_a_trial_few_images_are_read_and_they_suffice(recipe):
    dataset = sourced(made(patients=600, images=1), lambda p: ('x', 'y')[p // 2 % 2])
    samples = [
        replace(s, split=('train', 'val', 'test')[int(s.group) // 2 % 3])
        if recipe.method == 'given'
        else s
        for s in dataset.samples
    ]
    dataset = replace(dataset, samples=tuple(samples), limit=5)
    places = sufficient_subset(dataset, recipe, 0)
    assert 30 <= len(places) < 150
    small = dataset.subset(places)
    for _, split in splits_of(small, recipe, 0):
        for part in (split.train, split.val, split.test):
            labels = [small.samples[i].label for i in part]
            assert labels.count('a') == pytest.approx(5, abs=1)
            assert max(labels.count('a'), labels.count('b')) <= 5
    assert sufficient_subset(replace(dataset, limit=0), recipe, 0) == list(range(600))


def test_of_what_is_read_for_a_trial_the_smallest_share_is_no_less_than_the_limit():
    dataset = replace(made(patients=600, images=1), limit=5)
    recipe = SplitRecipe(method='holdout', val=0.15, test=0.2)
    labels = [dataset.samples[i].label for i in sufficient_subset(dataset, recipe, 0)]
    # 33 images would leave 4.95 of them to choose an epoch by.
    assert labels.count('a') == labels.count('b') == 34


def labelled(*labels, groups=None, grouped=True, **more):
    """An image each, of a patient of its own by default; 'a|b' has two labels."""
    groups = range(len(labels)) if groups is None else groups
    samples = tuple(
        Sample(Path(f'{i}'), label, f'{group}')
        for i, (label, group) in enumerate(zip(labels, groups, strict=True))
    )
    return Dataset(Path(), samples, grouped, **more)


def by_hand(dataset, places, folds, seed):
    """The first of equal parts, and all others."""
    first, *others = equal_parts(dataset, np.asarray(places), folds, seed)
    return sorted(first), np.concatenate(others)


def test_a_seed_gives_the_same_split_as_its_parts_made_one_by_one():
    # So a run of another day can be repeated: test by the seed, val by the next.
    dataset = made(patients=40)
    everything = np.arange(120)
    split = divide(dataset, SplitRecipe(method='holdout', val=0.2, test=0.2), 5)
    test, rest = by_hand(dataset, everything, 5, 5)
    val, train = by_hand(dataset, rest, 4, 6)  # .2 of all is .25 of the rest
    assert (split.test.tolist(), split.val.tolist()) == (test, val)
    assert split.train.tolist() == sorted(train)
    recipe = SplitRecipe(method='k-fold', folds=4, val=0.25)
    parts = equal_parts(dataset, everything, 4, 5)
    for number, (_, split) in enumerate(splits_of(dataset, recipe, 5)):
        rest = np.setdiff1d(everything, parts[number])
        val, _ = by_hand(dataset, rest, 4, 6 + number)
        assert (split.test.tolist(), split.val.tolist()) == (sorted(parts[number]), val)
    dataset = sourced(dataset, lambda p: 'xyz'[p // 2 % 3])
    recipe = SplitRecipe(method='leave-source-out', val=0.25)
    for number, (_, split) in enumerate(splits_of(dataset, recipe, 5)):
        rest = np.setdiff1d(everything, split.test)
        assert split.val.tolist() == by_hand(dataset, rest, 4, 6 + number)[0]


def test_names_of_all_images_and_of_those_that_are_split():
    split = Split(np.array([0, 3]), np.array([1]), np.array([2]), 'by image')
    assert split.names() == ['train', 'val', 'test', 'train']
    assert replace(split, total=6).names() == ['train', 'val', 'test', 'train', '', '']


def test_nothing_is_held_out_where_no_test_images_are_asked_for():
    split = divide(made(), SplitRecipe(method='holdout', val=0.25, test=0), 0)
    assert len(split.test) == 0
    assert (len(split.val), len(split.train), split.total) == (30, 90, 120)


@pytest.mark.parametrize(
    ('share', 'patients', 'held'),
    [
        (0.15, 20, 3),  # 3 of 20
        (0.15, 7, 1),  # 1 of 7 is nearest
        (0.5, 9, 4.5),  # 1 of 2
        (0.4, 5, 2),
        (0.05, 40, 2),  # 1 of 20: no more parts than that
        (0.01, 100, 5),
    ],
)
def test_a_share_is_the_nearest_of_up_to_twenty_parts(share, patients, held):
    dataset = labelled(*['a', 'b'] * patients)
    split = divide(dataset, SplitRecipe(method='holdout', val=share, test=0), 1)
    labels = [dataset.samples[i].label for i in split.val]
    for label in 'ab':
        assert labels.count(label) == pytest.approx(held, abs=0.8 if held % 1 else 0)


def test_how_many_patients_a_share_needs_at_least():
    # About as many as 1 / share, and where it is large, as 1 / (1 - share).
    few = labelled(*['a', 'b'] * 4)
    with pytest.raises(DatasetError, match='at least 5 are needed to hold out 20%'):
        divide(few, SplitRecipe(method='holdout', val=0.2, test=0), 0)
    divide(labelled(*['a', 'b'] * 5), SplitRecipe(method='holdout', val=0.2, test=0), 0)
    given = [replace(s, split='test' if i < 2 else 'train') for i, s in enumerate(few.samples)]
    given = replace(few, samples=tuple(given))
    split = divide(given, SplitRecipe(val=1 / 3), 0)
    assert [few.samples[i].label for i in split.val].count('a') == 1
    with pytest.raises(DatasetError, match='at least 2 are needed to hold out 45%'):
        divide(labelled('a', 'b'), SplitRecipe(method='holdout', val=0.45, test=0), 0)


@pytest.mark.parametrize(
    ('dataset', 'said'),
    [
        (labelled('a', 'b', 'b', 'b'), "class 'a' has images of only 1 patient; at"),
        (labelled('b', 'b', 'a', 'a', 'b'), "class 'a' has images of only 2 patients; at"),
        (labelled('a', 'b', 'b', grouped=False), "class 'a' has only 1 image; at"),
        (labelled('b', 'b', 'a', 'a', 'b', grouped=False), "class 'a' has only 2 images; at"),
        (
            labelled('a', 'b', 'a', 'b', 'b', groups=[0, 1, 0, 2, 3], grouped=False),
            "class 'a' has 2 images, but some belong together, so they count as only 1; at",
        ),
    ],
)
def test_what_is_said_of_a_class_with_too_few_patients(dataset, said):
    with pytest.raises(DatasetError) as error:
        equal_parts(dataset, np.arange(len(dataset.samples)), 3, 0)
    assert str(error.value).startswith(f'The {said} least 3 are needed')
    assert str(error.value).endswith(' to divide them into 3 parts.')
    # Of a part it is said that there are others.
    with pytest.raises(
        DatasetError, match='beside those already held out; at least 3 are needed to divide'
    ):
        equal_parts(dataset, np.arange(len(dataset.samples) - 1), 3, 0)


def test_parts_are_disjoint_and_equal_in_each_class():
    dataset = labelled(*['a'] * 12 + ['b'] * 30)
    places = np.arange(2, 42)
    parts = equal_parts(dataset, places, 5, 0)
    assert len(parts) == 5
    assert sorted(np.concatenate(parts)) == places.tolist()
    for part in parts:
        labels = [dataset.samples[i].label for i in part]
        assert (labels.count('a'), labels.count('b')) == (2, 6)
    assert equal_parts(dataset, places, 5, 0)[0].tolist() == parts[0].tolist()
    assert equal_parts(dataset, places, 5, 1)[0].tolist() != parts[0].tolist()
    # As many patients as parts are enough.
    assert [len(part) for part in equal_parts(dataset, np.arange(10, 15), 2, 0)] in (
        [3, 2],
        [2, 3],
    )


def test_no_part_is_short_of_a_rare_combination():
    # 'a|c' has fewer patients than there are parts: it counts as its rarest label, 'c'.
    labels = ['a'] * 12 + ['c'] * 4 + ['a|c'] * 2 + [''] * 6 + ['b', 'b|c'] * 6
    dataset = labelled(*labels)
    parts = equal_parts(dataset, np.arange(len(labels)), 6, 0)
    for part in parts:
        found = [labels[i] for i in part]
        assert found.count('a') == 2 and found.count('b') == 1 and found.count('b|c') == 1
        assert found.count('') == 1
        assert found.count('c') + found.count('a|c') == 1


def test_images_without_a_label_are_limited_too():
    labels = ['a', 'b', ''] * 40
    split = divide(labelled(*labels, limit=4), SplitRecipe(method='holdout'), 0)
    for part in (split.train, split.val, split.test):
        assert Counter(labels[i] for i in part) == {'a': 4, 'b': 4, '': 4}


def test_no_label_of_an_image_may_be_beyond_the_limit():
    labels = ['a|b'] * 30 + ['a'] * 30 + ['b'] * 30
    split = divide(labelled(*labels, limit=5), SplitRecipe(method='holdout'), 0)
    for part in (split.train, split.val, split.test):
        counts = Counter(label for i in part for label in labels[i].split('|'))
        assert counts == {'a': 5, 'b': 5}


def test_a_balance_is_by_the_rarest_class_of_what_is_learnt_from():
    dataset = labelled(*['a'] * 40 + ['b'] * 20 + ['c'] * 80, balance=True)
    split = divide(dataset, SplitRecipe(method='holdout', val=0.25, test=0.25), 0)
    count = Counter(dataset.samples[i].label for i in split.train)
    assert count == {'a': 10, 'b': 10, 'c': 10}
    assert len(split.val) == 35 and split.total == 140


def test_pairs_that_the_table_tears_apart_are_told_of_given_splits_only():
    dataset = replace(made(), divided_pairs=3)
    samples = [
        replace(s, split=('train', 'val', 'test')[int(s.group) // 2 % 3]) for s in dataset.samples
    ]
    given = replace(dataset, samples=tuple(samples))
    assert divide(given, SplitRecipe(), 0).divided_pairs == 3
    assert divide(given, SplitRecipe(method='holdout'), 0).divided_pairs == 0
    assert divide(dataset, SplitRecipe(), 0).divided_pairs == 0
    assert divide(given, SplitRecipe(method='k-fold', folds=4), 0).divided_pairs == 0


def test_given_splits_are_taken_only_where_they_are_asked_for_or_all_there():
    samples = list(made().samples)
    half = replace(made(), samples=(replace(samples[0], split='val'), *samples[1:]))
    with pytest.raises(DatasetError, match="fill the table's column 'split'"):
        divide(half, SplitRecipe(method='given'), 0)
    assert divide(half, SplitRecipe(), 0).kind == 'by patient'
    torn = replace(
        made(),
        samples=tuple(
            replace(s, split='train' if i % 3 else 'val') for i, s in enumerate(samples)
        ),
    )
    with pytest.raises(DatasetError, match='divide 40 patients between them'):
        divide(torn, SplitRecipe(), 0)


@pytest.mark.parametrize(
    ('recipe', 'splits', 'a_class'),
    [
        (SplitRecipe(val=0.3, test=0.1), (), 50),  # 5 / .1
        (SplitRecipe(val=0.3, test=0), (), 17),  # 5 / .3, and no test images
        (SplitRecipe(val=0.5, test=0.375), (), 40),  # 5 / .125 to learn from
        # A quarter is tested on, and of the rest a quarter chosen by: 3/16.
        (SplitRecipe(method='k-fold', folds=4, val=0.25), (), 27),
        (SplitRecipe(method='k-fold', folds=8, val=0.25), (), 40),
        (SplitRecipe(method='leave-source-out', val=0.2), (), 2 * 25),  # of each source
        (SplitRecipe(), ('train', 'val', 'test'), 3 * 5),
        (SplitRecipe(method='given', val=0.2), ('train', 'test'), 2 * 25),
        (SplitRecipe(method='holdout', val=0.2, test=0.2), ('train', 'val'), 25),
    ],
)
def test_how_many_of_each_class_are_read_for_a_trial(recipe, splits, a_class):
    dataset = sourced(made(patients=600, images=1), lambda p: ('x', 'y')[p // 2 % 2])
    if splits:
        samples = [
            replace(s, split=splits[int(s.group) // 2 % len(splits)]) for s in dataset.samples
        ]
        dataset = replace(dataset, samples=tuple(samples))
    dataset = replace(dataset, limit=5)
    places = sufficient_subset(dataset, recipe, 3)
    assert places == sorted(set(places)) and all(type(place) is int for place in places)
    assert Counter(dataset.samples[i].label for i in places) == {'a': a_class, 'b': a_class}
    assert sufficient_subset(dataset, recipe, 3) == places != sufficient_subset(dataset, recipe, 4)


def refusal(dataset, recipe):
    with pytest.raises(DatasetError) as error:
        divide(dataset, recipe, 0)
    return str(error.value)


def test_what_is_said_where_no_source_can_be_held_out():
    recipe = SplitRecipe(method='leave-source-out')
    advice = (
        "; fill the table's column 'source' or choose another data.layout, or set "
        "split.method to 'holdout'."
    )
    some = sourced(made(patients=10, images=1), lambda p: ('', 'x', 'y')[p % 3])
    assert refusal(some, recipe) == (
        f'The recipe holds a source out, but 4 of 10 images have no source{advice}'
    )
    one = sourced(made(patients=10, images=1), lambda p: 'x')
    assert refusal(one, recipe) == (
        f"The recipe holds a source out, but all images are of one source, 'x'{advice}"
    )
    three = sourced(made(patients=12, images=1), lambda p: ('x', 'y', 'z')[p // 2 % 3])
    assert refusal(three, replace(recipe, left_out=(('w',),))) == (
        "split.left_out: there is no source 'w'; the sources are 'x', 'y', 'z'."
    )


def test_what_is_said_where_a_class_would_not_be_learnt():
    recipe = SplitRecipe(method='leave-source-out')
    advice = 'name other sources in split.left_out, or leave the class out in data.classes.'
    one = sourced(made(), lambda p: ('x', 'y')[p % 2])
    assert refusal(one, recipe) == (
        "Only the source 'x' has images of the class 'a', so without it none are left for "
        f'training; {advice}'
    )
    two = sourced(made(), lambda p: ('x', 'y')[p // 2 % 2] if p % 2 == 0 else 'z')
    assert refusal(two, replace(recipe, left_out=(('x', 'y'),))) == (
        "Only the sources 'x' and 'y' have images of the class 'a', so without them none are "
        f'left for training; {advice}'
    )


def test_what_is_said_of_given_splits_that_cannot_be_used():
    recipe = SplitRecipe(method='given')
    assert refusal(made(), recipe) == (
        'The recipe asks for given splits, but not every image has one; fill the '
        "table's column 'split', or set split.method to 'holdout'."
    )
    dataset = made(patients=6, images=2)
    samples = [replace(s, split=SPLITS[i % 3]) for i, s in enumerate(dataset.samples)]
    assert refusal(replace(dataset, samples=tuple(samples)), recipe) == (
        'The given splits divide 6 patients between them, so metrics would mislead; put all '
        "images of a patient into one split, or set split.method to 'holdout'."
    )


@pytest.mark.parametrize('given', [False, True])
def test_which_images_a_limit_keeps_is_decided_by_the_seed(given):
    dataset = replace(made(patients=200, images=1), limit=9)
    recipe = SplitRecipe(val=0.3, test=0.2)
    if given:
        samples = [replace(s, split=SPLITS[int(s.group) // 2 % 3]) for s in dataset.samples]
        dataset = replace(dataset, samples=tuple(samples))
        recipe = SplitRecipe(method='given')
    found = divide(dataset, recipe, 5)
    assert [len(found.train), len(found.val), len(found.test)] == [18, 18, 18]
    assert divide(dataset, recipe, 5).names() == found.names()
    assert divide(dataset, recipe, 6).names() != found.names()


def test_which_images_are_left_to_balance_classes_is_decided_by_the_seed():
    samples = tuple(Sample(Path(f'{i}'), 'a' if i < 150 else 'b', f'{i}') for i in range(200))
    dataset = replace(Dataset(Path(), samples, True), balance=True)
    found = divide(dataset, SplitRecipe(val=0.2, test=0.2), 5)
    labels = Counter(samples[i].label for i in found.train)
    assert labels['a'] == labels['b'] == 30  # of 50, with 10 each to validate and to test
    assert divide(dataset, SplitRecipe(val=0.2, test=0.2), 5).names() == found.names()
    folds = SplitRecipe(method='k-fold', folds=4, val=0.25)
    twice = [[split.names() for _, split in splits_of(dataset, folds, 5)] for _ in range(2)]
    assert twice[0] == twice[1]
