"""No patient on two sides, and it is said where patients are not known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_cxr.training import Dataset, DatasetError, Sample, divide, index
from napari_cxr.training.recipe import SplitRecipe


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
    dataset = made()
    samples = [
        replace(s, split='val' if s.label == 'a' and int(s.group) < 10 else 'train')
        for s in dataset.samples
    ]
    with pytest.raises(DatasetError, match="class 'b' has no image in the split 'val'"):
        divide(replace(dataset, samples=tuple(samples)), SplitRecipe(), 0)
