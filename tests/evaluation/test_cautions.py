"""What a report says first, of planted sets."""

import numpy as np
import pytest

from napari_cxr.evaluation.cautions import cautions

FIGURE = {'value': 0.9, 'interval': [0.85, 0.94]}


def content_of(**changes):
    """A result that nothing is to be said of, and what a test changes in it."""
    model = {'auc': FIGURE, 'seen': {'train': 0, 'val': 0}, 'demonstration': ''}
    content = {
        'models': {'model': model | changes.pop('model', {})},
        'baselines': {},
        'sources': {'model': {'said': 'Of sources.'}},
        'looks': {'looks': 1, 'kind': 'test set', 'said': 'Of looks.'},
        'set': {
            'failed': 0,
            'doubtful': 0,
            'doubtful_included': False,
            'unmeasured': 0,
            'unknown_labels': [],
        },
    }
    return content | changes


@pytest.fixture
def fair(table_of):
    """Two sources with equal shares of the sick, and a model that tells them in both."""
    rng = np.random.default_rng(0)
    sick = np.arange(120) % 2
    p = np.clip(0.5 * sick + 0.5 * rng.random(120), 0, 1)
    return table_of(
        ['well', 'sick'],
        [('well', 'sick')[i] for i in sick],
        {'model': np.stack([1 - p, p], axis=1)},
        source=[('a', 'b')[i // 2 % 2] for i in range(120)],
    )


def codes(found):
    return [one['code'] for one in found]


def test_of_a_fair_set_only_the_sources_are_said(fair):
    assert codes(cautions(content_of(), fair)) == ['sources']


def test_images_of_the_training_stop_everything(fair):
    (first, *_) = cautions(content_of(model={'seen': {'train': 12, 'val': 3}}), fair)
    assert (first['kind'], first['code']) == ('stop', 'trained on')
    assert 'trained on 12 of these images' in first['text']
    chosen = cautions(content_of(model={'seen': {'train': 0, 'val': 3}}), fair)
    assert 'chosen by' in codes(chosen)


@pytest.mark.parametrize(('low', 'stops'), [(-0.01, True), (0.02, False)])
def test_a_baseline_has_to_be_beaten_with_the_whole_interval(fair, low, stops):
    baseline = {
        'auc': {'value': 0.86, 'interval': [0.8, 0.9]},
        'differences': {'model': {'auc': {'value': 0.04, 'interval': [low, 0.09]}}},
    }
    found = cautions(content_of(baselines={'format only': baseline}), fair)
    assert ('no better than a baseline' in codes(found)) == stops
    assert ('format tells' in codes(found)) != stops


def test_a_model_that_tells_hospitals_apart(table_of):
    rng = np.random.default_rng(1)
    sick = rng.random(300) < 0.5
    east = np.where(rng.random(300) < 0.95, sick, ~sick)
    p = np.clip(0.6 * east + 0.4 * rng.random(300), 0, 1)
    table = table_of(
        ['well', 'sick'],
        [('well', 'sick')[int(i)] for i in sick],
        {'model': np.stack([1 - p, p], axis=1)},
        source=['east' if e else 'west' for e in east],
    )
    first = cautions(content_of(), table)[0]
    assert (first['kind'], first['code']) == ('stop', 'source tells')
    assert 'model falls from 0.90 to 0.5' in first['text']


def test_a_model_that_holds_within_hospitals_is_not_stopped(table_of):
    rng = np.random.default_rng(2)
    sick = rng.random(300) < 0.5
    east = np.where(rng.random(300) < 0.9, sick, ~sick)
    p = np.clip(0.5 * sick + 0.5 * rng.random(300), 0, 1)
    table = table_of(
        ['well', 'sick'],
        [('well', 'sick')[int(i)] for i in sick],
        {'model': np.stack([1 - p, p], axis=1)},
        source=['east' if e else 'west' for e in east],
    )
    found = {one['code']: one for one in cautions(content_of(), table)}
    assert found['source tells']['kind'] == 'caution'
    assert 'model keeps' in found['source tells']['text']


def test_too_few_that_differ_from_their_hospital_do_not_clear_a_model(table_of):
    # 4 of 80 patients are the other way round: a model cannot be judged by them.
    sick = np.arange(80) % 2 == 0
    east = np.where(np.arange(80) < 4, ~sick, sick)
    p = np.where(sick, 0.9, 0.1)
    table = table_of(
        ['well', 'sick'],
        [('well', 'sick')[int(i)] for i in sick],
        {'model': np.stack([1 - p, p], axis=1)},
        source=['east' if e else 'west' for e in east],
    )
    first = cautions(content_of(), table)[0]
    assert (first['kind'], first['code']) == ('stop', 'source tells')
    assert 'too few patients of one source differ in their class' in first['text']


def test_looks_few_patients_and_what_was_left_out(table_of):
    table = table_of(['well', 'sick'], ['well'] * 9 + ['sick'] * 30, {'model': [[0.5, 0.5]] * 39})
    content = content_of(looks={'looks': 7, 'kind': 'test set', 'said': 'Seven looks.'})
    content['set'] |= {'doubtful': 4, 'unmeasured': 2, 'unknown_labels': ['mass']}
    found = {one['code']: one['text'] for one in cautions(content, table)}
    assert found['looks'] == 'Seven looks.'
    assert '9 with well' in found['few patients']
    assert '4 are probably no upright frontal' in found['left out']
    assert 'mass' in found['left out']


@pytest.mark.parametrize('label', ['well', 'sick'])
def test_images_of_one_class_are_said_to_show_nothing(table_of, label):
    p = np.full((30, 2), 0.5)
    table = table_of(['well', 'sick'], [label] * 30, {'model': p}, source=['a'] * 30)
    (said,) = [one for one in cautions(content_of(), table) if one['code'] == 'one class']
    assert said['text'].startswith(f'All images are {label},')


def test_what_shortcut_tests_and_the_card_say(table_of):
    table = table_of(
        ['well', 'sick'],
        ['well', 'sick'] * 30,
        {'model': [[0.9, 0.1], [0.1, 0.9]] * 30},
        source=['a', 'a', 'b', 'b'] * 15,
    )
    said = {
        'shortcut_tests': {
            'model': {'verdict': 'It takes a shortcut.', 'called_out': ['lungs removed']},
            'other': {'verdict': 'No test speaks for it.', 'called_out': []},
        },
        'known_sources': {'model': ['a', 'b'], 'other': ['b']},
    }
    found = cautions(content_of(**said), table)
    tests = [(one['kind'], one['text']) for one in found if one['code'] == 'shortcut tests']
    assert tests == [
        ('stop', 'Shortcut tests of model: It takes a shortcut.'),
        ('caution', 'Shortcut tests of other: No test speaks for it.'),
    ]
    known = [one['text'] for one in found if one['code'] == 'known sources']
    assert 'images of all of these sources' in known[0] and 'cannot be seen here' in known[0]
    assert 'images of b, by its card' in known[1] and 'by the others only' in known[1]
