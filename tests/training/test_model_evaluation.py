"""Thresholds come from validation images, figures from test images."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from napari_cxr.metrics import probabilities_of
from napari_cxr.training import Dataset, DatasetError, Sample, Split
from napari_cxr.training.answer_fitting import fit_answers, operating_points
from napari_cxr.training.model_evaluation import (
    counts_by_split,
    describe_data,
    evaluate_model,
    true_labels,
)
from napari_cxr.training.recipe import CalibrationRecipe, Recipe

RECIPE = Recipe(name='r', network='cxr3-resnet10')


def test_operating_points_by_hand():
    # Ten positives at .05 .15 ... .95; 90 % are called from .15 on.
    scores = np.r_[np.arange(10) / 10 + 0.05, [0.0, 0.1, 0.2]]
    truth = np.r_[np.ones(10, int), np.zeros(3, int)]
    found = operating_points(truth, np.column_stack([1 - scores, scores]), ('no', 'yes'))['yes']
    # Halfway down to the next image: at .10, and at 0.
    assert found['sensitivity 0.90'] == pytest.approx(0.125)
    assert found['sensitivity 0.95'] == pytest.approx(0.025)
    # Sensitivity + specificity: .8 + 1 from .25 on; .9 + 2/3 from .15; .8 is not beaten.
    assert found['Youden'] == pytest.approx(0.225)


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
    found = evaluate_model(dataset, split, cache, logits, RECIPE)
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
    metrics = evaluate_model(dataset, split, cache, logits, RECIPE)['metrics']
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
    """72 images of two labels, or one, or the other."""
    words = ('a|b', 'a', 'b')
    samples = tuple(
        Sample(Path(f'{i}'), words[i % 3], f'{i}', ('train', 'val', 'test')[i // 3 % 3])
        for i in range(72)
    )
    dataset = Dataset(Path(), samples, grouped=True)
    names = np.array([s.split for s in samples])
    split = Split(*(np.flatnonzero(names == n) for n in ('train', 'val', 'test')), 'by patient')
    features = np.random.default_rng(0).normal(size=(72, 5)).astype(np.float32)
    return dataset, split, SimpleNamespace(features=features)


def test_several_labels_are_judged_one_by_one():
    dataset, split, cache = several()
    truth = true_labels(dataset)
    np.testing.assert_array_equal(truth[:3], [[1, 1], [1, 0], [0, 1]])
    assert counts_by_split(dataset, split)['train'] == {'a': 16, 'b': 16}
    assert describe_data(dataset, split, [''] * 72)['counts']['all']['a']['val'] == 16
    logits = np.where(truth, 4.0, -4.0)
    logits[split.val[[0, 3]], 0] = -4.0  # two of 48 decisions are wrong
    logits[split.test[:6], 1] *= -1
    found = evaluate_model(dataset, split, cache, logits, RECIPE)
    p = probabilities_of(logits, True, found['temperature'], found['bias'])[split.val]
    assert p.mean(axis=0) == pytest.approx(truth[split.val].mean(axis=0), abs=0.01)
    # Halfway between the images with b and those without.
    assert found['operating_points']['b']['Youden'] == pytest.approx(0.5, rel=0.1)
    model = found['metrics']['model']['all']
    assert model['accuracy'][0] == 0.875
    assert model['classes']['a']['counts'] == {'tp': 16, 'fp': 0, 'tn': 8, 'fn': 0}
    assert model['classes']['b']['counts'] == {'tp': 12, 'fp': 2, 'tn': 6, 'fn': 4}
    # Each label is on two images of three.
    assert found['metrics']['most_frequent_class'] == pytest.approx(2 / 3, abs=1e-4)
    at = found['metrics']['operating_points']['b']['Youden']
    assert (at['sensitivity'][0], at['specificity'][0]) == (0.75, 0.75)
    for baseline in found['metrics']['baselines'].values():
        assert baseline['all'].keys() == model.keys()


def test_a_bias_undoes_what_class_weights_do():
    # Logits of a network that believes in equal classes, of data in which one of ten is sick.
    rng = np.random.default_rng(0)
    truth = (rng.random(4000) < 0.1).astype(int)
    score = rng.normal(size=4000) + 3 * truth - 1.5  # its log odds, at equal classes, are 3 x
    logits = np.column_stack([np.zeros(4000), 3 * score])
    groups = range(4000)
    entries, cautions = fit_answers(truth, logits, ('no', 'sick'), groups, CalibrationRecipe())
    assert cautions == []
    assert entries['temperature'] == pytest.approx(1, abs=0.1)
    # What is added to sick less what is added to no is log(1 / 9).
    no, sick = entries['bias']
    assert sick - no == pytest.approx(np.log(1 / 9), abs=0.25)
    assert entries['prevalence']['sick'] == pytest.approx(truth.mean(), abs=1e-6)
    p = probabilities_of(logits, False, entries['temperature'], entries['bias'])
    assert p[:, 1].mean() == pytest.approx(truth.mean(), abs=0.002)
    one = CalibrationRecipe(method='temperature')
    alone, _ = fit_answers(truth, logits, ('no', 'sick'), groups, one)
    assert alone['bias'] == ()
    assert probabilities_of(logits, False, alone['temperature'])[:, 1].mean() > 0.15
    # Where two of a hundred will be sick: the odds shrink by (.02 / .98) / (.1 / .9).
    stated, _ = fit_answers(
        truth, logits, ('no', 'sick'), groups, CalibrationRecipe(prior={'sick': 0.02})
    )
    assert stated['prevalence'] == {'no': 0.98, 'sick': 0.02}
    moved = np.subtract(stated['bias'], entries['bias'])
    share = truth.mean()
    assert moved[1] - moved[0] == pytest.approx(np.log(0.02 / 0.98 * (1 - share) / share))


def test_nothing_is_fitted_on_a_handful_without_a_word():
    truth = np.r_[np.zeros(30, int), np.ones(4, int)]
    logits = np.random.default_rng(0).normal(size=(34, 2))
    entries, cautions = fit_answers(truth, logits, ('no', 'sick'), range(34), CalibrationRecipe())
    assert (entries['temperature'], entries['bias']) == (1, ())
    assert list(entries['operating_points']) == ['no']
    assert entries['prediction_sets']['thresholds']['sick'] == 0, 'nothing is excluded'
    assert len(cautions) == 1 and 'sick (4)' in cautions[0] and 'not calibrated' in cautions[0]
    truth[:9] = 1
    _, cautions = fit_answers(truth, logits, ('no', 'sick'), range(34), CalibrationRecipe())
    assert len(cautions) == 1 and 'sick (13)' in cautions[0] and 'far off' in cautions[0]


def test_a_prior_that_cannot_be():
    truth, logits = np.arange(40) % 2, np.zeros((40, 2))
    for prior, word in (({'ill': 0.1}, 'does not exist'), ({'a': 0.6, 'b': 0.6}, 'add up')):
        with pytest.raises(DatasetError, match=word):
            fit_answers(truth, logits, ('a', 'b'), range(40), CalibrationRecipe(prior=prior))


def test_labels_that_are_not_known_count_nowhere():
    rng = np.random.default_rng(3)
    truth = rng.random((200, 2)) < 0.4
    logits = rng.normal(size=(200, 2)) + truth
    known = np.ones_like(truth)
    known[100:, 0] = False
    wrong = truth.copy()
    wrong[100:, 0] ^= True
    fit = [
        fit_answers(t, logits, ('a', 'b'), range(200), CalibrationRecipe(), known=known)[0]
        for t in (truth, wrong)
    ]
    assert fit[0] == fit[1]
    assert fit[0]['prevalence']['a'] == pytest.approx(truth[:100, 0].mean(), abs=1e-6)


def confounded(method='auto'):
    """Every image of class b is from another source than every one of class a."""
    dataset, split, cache, logits = made()
    samples = [replace(s, source=f'hospital {s.label}') for s in dataset.samples]
    dataset = Dataset(Path(), tuple(samples), grouped=True)
    numbers = np.array([s.label == 'b' for s in samples])
    cache.features[:, 0] = numbers  # the format tells the classes apart
    recipe = replace(RECIPE, split=replace(RECIPE.split, method=method))
    return evaluate_model(dataset, split, cache, logits, recipe)['metrics']


def test_two_confounded_sources_are_said_first():
    first, second, *_ = confounded()['cautions']
    assert first.startswith('Do not believe these metrics: the source of an image predicts')
    assert 'will not hold in another hospital' in first
    assert 'not shown to be better than a classifier that sees no anatomy' in second
    assert 'a macro AUC of 1.000' in second


def test_nothing_is_said_where_sources_hold_both_classes_and_format_tells_nothing():
    dataset, split, cache, logits = made()
    metrics = evaluate_model(dataset, split, cache, logits, RECIPE)['metrics']
    said = ' '.join(metrics.get('cautions', ()))
    assert 'Do not believe' not in said and 'no anatomy' not in said


def test_held_out_sources_are_no_confounded_ones():
    said = ' '.join(confounded('leave-source-out')['cautions'])
    assert 'Do not believe these metrics' not in said
    assert 'no anatomy' in said
