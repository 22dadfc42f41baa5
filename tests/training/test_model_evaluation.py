"""Thresholds come from validation images, figures from test images."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from napari_cxr.training import Dataset, Sample, Split
from napari_cxr.training.model_evaluation import (
    counts_by_split,
    describe_data,
    evaluate_model,
    operating_points,
    true_labels,
)


def test_operating_points_by_hand():
    # Ten positives at .05 .15 ... .95; 90 % are called from .15 on.
    scores = np.r_[np.arange(10) / 10 + 0.05, [0.0, 0.1, 0.2]]
    truth = np.r_[np.ones(10, int), np.zeros(3, int)]
    found = operating_points(truth, np.column_stack([1 - scores, scores]), ('no', 'yes'))['yes']
    assert found['sensitivity 0.90'] == pytest.approx(0.15)
    assert found['sensitivity 0.95'] == pytest.approx(0.05)
    # Sensitivity + specificity: .8 + 1 from .25 on; .9 + 2/3 from .15; .8 is not beaten.
    assert found['Youden'] == pytest.approx(0.25)


def made(test=True):
    """Two sources; the model errs on source b in the test split only."""
    samples, logits = [], []
    for split, n in (('train', 20), ('val', 20), ('test', 20 if test else 0)):
        for i in range(n):
            label, source = i % 2, i // 2 % 2
            right = 0 if split == 'test' and source == 1 and i < 10 else 1
            if split == 'val' and i >= 18:
                right = 0
            call = label if right else 1 - label
            samples.append(
                Sample(
                    Path(f'{split}{i}'), 'ab'[label], f'{split}{i // 2}', split, 's' + 'ab'[source]
                )
            )
            logits.append([4.0, 0.0] if call == 0 else [0.0, 4.0])
    dataset = Dataset(Path(), tuple(samples), grouped=True)
    names = np.array([s.split for s in samples])
    split = Split(*(np.flatnonzero(names == n) for n in ('train', 'val', 'test')), 'by patient')
    features = np.random.default_rng(0).normal(size=(len(samples), 5)).astype(np.float32)
    return dataset, split, SimpleNamespace(features=features), np.array(logits)


def test_figures_by_source_and_temperature_from_val():
    dataset, split, cache, logits = made()
    found = evaluate_model(dataset, split, cache, logits, 0)
    # 18 of 20 right at a logit of 4: sigmoid(4 / T) = .9, T = 4 / ln 9.
    assert found['temperature'] == pytest.approx(4 / np.log(9), rel=1e-3)
    metrics = found['metrics']
    assert metrics['model']['sa']['accuracy'][0] == 1
    # Of source b's ten test images the first four are wrong.
    assert metrics['model']['sb']['accuracy'][0] == 0.6
    # Ten patients, two images each, both right or both wrong: wider than of ten cases.
    value, low, high = metrics['model']['all']['accuracy']
    assert value == 0.8 and low < 0.4440 and high > 0.9747
    assert metrics['most_frequent_class'] == 0.5
    for baseline in metrics['baselines'].values():
        assert baseline['all']['images'] == 20
        assert baseline.keys() == {'all', 'sa', 'sb'}
    at = metrics['operating_points']['a']['Youden']
    assert at['sensitivity'][0] == at['specificity'][0] == 0.8


def test_without_a_test_split_it_says_so():
    dataset, split, cache, logits = made(test=False)
    metrics = evaluate_model(dataset, split, cache, logits, 0)['metrics']
    assert metrics['measured_on'] == 'val'
    assert metrics['model']['all']['accuracy'][0] == 0.9


def test_the_fingerprint_follows_content_label_and_split_but_not_names_or_order():
    dataset, split, _, _ = made()
    digests = [f'{i:016x}' for i in range(len(dataset.samples))]
    first = describe_data(dataset, split, digests)
    assert first['counts']['sa']['a'] == {'train': 5, 'val': 5, 'test': 5}
    assert (first['images'], first['patients'], first['divided_pairs']) == (60, 30, 0)
    torn = replace(split, divided_pairs=3)
    assert describe_data(dataset, torn, digests) == {**first, 'divided_pairs': 3}
    order = np.random.default_rng(0).permutation(60)
    shuffled = Dataset(Path('x'), tuple(dataset.samples[i] for i in order), grouped=True)
    place = np.argsort(order)
    moved = Split(place[split.train], place[split.val], place[split.test], 'by patient')
    again = describe_data(shuffled, moved, [digests[i] for i in order])
    assert again['fingerprint'] == first['fingerprint']
    digests[0] = 'f' * 16
    assert describe_data(dataset, split, digests)['fingerprint'] != first['fingerprint']


def several():
    """30 images of two labels, or one, or the other."""
    words = ('a|b', 'a', 'b')
    samples = tuple(
        Sample(Path(f'{i}'), words[i % 3], f'{i}', ('train', 'val', 'test')[i // 3 % 3])
        for i in range(36)
    )
    dataset = Dataset(Path(), samples, grouped=True)
    names = np.array([s.split for s in samples])
    split = Split(*(np.flatnonzero(names == n) for n in ('train', 'val', 'test')), 'by patient')
    features = np.random.default_rng(0).normal(size=(36, 5)).astype(np.float32)
    return dataset, split, SimpleNamespace(features=features)


def test_several_labels_are_judged_one_by_one():
    dataset, split, cache = several()
    truth = true_labels(dataset)
    np.testing.assert_array_equal(truth[:3], [[1, 1], [1, 0], [0, 1]])
    assert counts_by_split(dataset, split)['train'] == {'a': 8, 'b': 8}
    assert describe_data(dataset, split, [''] * 36)['counts']['all']['a']['val'] == 8
    logits = np.where(truth, 4.0, -4.0)
    logits[split.val[0], 0] = -4.0  # one of 24 decisions is wrong
    logits[split.test[:3], 1] *= -1
    found = evaluate_model(dataset, split, cache, logits, 0)
    assert found['temperature'] == pytest.approx(4 / np.log(23), rel=1e-3)
    assert found['operating_points']['b']['Youden'] == pytest.approx(23 / 24, rel=1e-3)
    model = found['metrics']['model']['all']
    assert model['accuracy'][0] == 0.875
    assert model['classes']['a']['counts'] == {'tp': 8, 'fp': 0, 'tn': 4, 'fn': 0}
    assert model['classes']['b']['counts'] == {'tp': 6, 'fp': 1, 'tn': 3, 'fn': 2}
    # Each label is on two images of three.
    assert found['metrics']['most_frequent_class'] == pytest.approx(2 / 3, abs=1e-4)
    at = found['metrics']['operating_points']['b']['Youden']
    assert (at['sensitivity'][0], at['specificity'][0]) == (0.75, 0.75)
    for baseline in found['metrics']['baselines'].values():
        assert baseline['all'].keys() == model.keys()
