"""No patient on two sides, and it is said where patients are not known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_cxr.training import Dataset, DatasetError, Sample, divide, index
from napari_cxr.training.dataset import SPLITS
from napari_cxr.training.recipe import SplitRecipe
from napari_cxr.training.splits import enough, splits_of


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
    with pytest.raises(DatasetError, match="class 'a' has images of 2 patients only"):
        divide(made(patients=4), SplitRecipe(), 0)
    alone = made(patients=4, images=1, grouped=False)
    with pytest.raises(DatasetError, match="class 'a' has 2 images only; to hold out"):
        divide(alone, SplitRecipe(), 0)
    alone = made(patients=10, images=1, grouped=False)
    with pytest.raises(DatasetError, match="'a' has 4 images only, beside those already held out"):
        divide(alone, SplitRecipe(val=0.15, test=0.2), 0)
    joined = replace(made(patients=4), grouped=False)  # such as near-duplicates
    with pytest.raises(
        DatasetError, match='6 images, but as some belong together they count as 2'
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
    with pytest.raises(DatasetError, match='30 patients only; to divide them into 31 parts'):
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
    with pytest.raises(DatasetError, match="no source 'w' to leave out; there are 'X/Y'"):
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
    places = enough(dataset, recipe, 0)
    assert 30 <= len(places) < 150
    small = dataset.at(places)
    for _, split in splits_of(small, recipe, 0):
        for part in (split.train, split.val, split.test):
            labels = [small.samples[i].label for i in part]
            assert labels.count('a') == pytest.approx(5, abs=1)
            assert max(labels.count('a'), labels.count('b')) <= 5
    assert enough(replace(dataset, limit=0), recipe, 0) == list(range(600))


def test_of_what_is_read_for_a_trial_the_smallest_share_is_no_less_than_the_limit():
    dataset = replace(made(patients=600, images=1), limit=5)
    recipe = SplitRecipe(method='holdout', val=0.15, test=0.2)
    labels = [dataset.samples[i].label for i in enough(dataset, recipe, 0)]
    # 33 images would leave 4.95 of them to choose an epoch by.
    assert labels.count('a') == labels.count('b') == 34
