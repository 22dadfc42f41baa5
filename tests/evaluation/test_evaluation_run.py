import json
from importlib import resources

import jsonschema
import numpy as np
import pytest

from napari_cxr.evaluation.evaluation_events import EvaluationFinished
from napari_cxr.evaluation.evaluation_run import evaluate_scores
from napari_cxr.evaluation.evaluation_settings import EvaluationSettings
from napari_cxr.evaluation.measuring import EvaluatedModel, MeasuringSettings, measure
from napari_cxr.evaluation.recomputing import recompute
from napari_cxr.evaluation.report import near_tie_text
from napari_cxr.scoring import ListingError

LABELS = ('normal', 'pneumonia')


def to_the_end(steps):
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def scored(n, seed=0, skill=1.0, source=lambda i, sick: f'hospital {i % 2}', splits=('test',)):
    """Images of two classes; `skill` separates the model's probabilities."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(n):
        sick = bool(rng.random() < 0.5)
        p = 1 / (1 + np.exp(-(skill * (2 * sick - 1) + rng.normal())))
        rows.append(
            {
                'truth': LABELS[sick],
                'p': (1 - p, p),
                'source': source(i, sick),
                'patient': str(i // 2 + 1),
                'split': splits[i % len(splits)],
            }
        )
    return rows


@pytest.fixture
def finish():
    def run(*tables, out, **settings):
        settings.setdefault('measuring', MeasuringSettings(resamples=200))
        events = list(evaluate_scores(tables, out, EvaluationSettings(**settings)))
        assert isinstance(events[-1], EvaluationFinished)
        return events[-1]

    return run


def test_a_report_and_its_files(tmp_path, scores_of, finish):
    table = scores_of(LABELS, scored(200, splits=('val', 'test')))
    finished = finish(table, out=tmp_path / 'report')
    content = json.loads((tmp_path / 'report' / 'metrics.json').read_text())
    assert content == finished.result.metrics
    assert {'looks', 'sources', 'baselines', 'auc', 'interval'} <= content.keys()
    assert content['set']['split'] == 'test'
    assert content['set']['images'] == content['set']['validation_images'] == 100
    schema = json.loads(
        resources.files('napari_cxr.evaluation').joinpath('metrics.schema.json').read_text()
    )
    jsonschema.Draft202012Validator(schema).validate(content)
    assert set(content) <= set(schema['properties'])
    points = content['models']['one']['operating_points']
    assert points['chosen_on'] == 'validation'
    assert {'sensitivity 0.90', 'sensitivity 0.95', 'sensitivity 0.975', 'Youden'} == set(
        points['classes']['pneumonia']
    )
    page = (tmp_path / 'report' / 'report.html').read_text()
    for caution in content['cautions']:
        assert caution['text'].split('"')[0] in page.replace('&#39;', "'")


def test_every_figure_can_be_computed_again(tmp_path, scores_of, finish):
    rows = scored(160, splits=('val', 'test'), source=lambda i, sick: f'h{i % 3}')
    measuring = MeasuringSettings(resamples=200, cost=5, prevalence=0.1)
    one = scores_of(LABELS, rows)
    two = scores_of(LABELS, scored(160, 1, splits=('val', 'test')), 'two', 'two')
    finish(one, two, out=tmp_path / 'report', measuring=measuring)
    found = to_the_end(recompute(tmp_path / 'report'))
    assert found.different == ()
    assert found.numbers > 1000
    # And a number that was changed is found.
    path = tmp_path / 'report' / 'metrics.json'
    content = json.loads(path.read_text())
    content['models']['one']['auc']['value'] += 0.01
    path.write_text(json.dumps(content))
    assert to_the_end(recompute(tmp_path / 'report')).different == ('models.one.auc.value',)


def test_a_folder_without_a_report(tmp_path):
    with pytest.raises(OSError, match=r'metrics\.json'):
        to_the_end(recompute(tmp_path))
    (tmp_path / 'metrics.json').write_text('[]')
    with pytest.raises(ValueError, match='no result of an evaluation'):
        to_the_end(recompute(tmp_path))


def test_who_confounds_source_and_class_is_told_first(tmp_path, scores_of, finish):
    # One hospital has nearly all the sick, and the model tells hospitals apart.
    rng = np.random.default_rng(3)
    rows = []
    for _ in range(300):
        sick = bool(rng.random() < 0.5)
        east = sick if rng.random() < 0.93 else not sick
        p = 1 / (1 + np.exp(-(3 * (2 * east - 1) + rng.normal())))
        rows.append({'truth': LABELS[sick], 'p': (1 - p, p), 'source': 'east' if east else 'west'})
    finished = finish(scores_of(LABELS, rows, split=False), out=tmp_path / 'report')
    content = finished.result.metrics
    assert content['auc']['value'] > 0.9
    first = content['cautions'][0]
    assert first['kind'] == 'stop'
    assert 'will not hold in another' in first['text']
    page = (tmp_path / 'report' / 'report.html').read_text()
    assert 0 < page.index('will not hold in another') < page.index('<table>')


def test_two_models_are_compared_and_make_it_a_development_set(tmp_path, scores_of, finish):
    good = scores_of(LABELS, scored(200, skill=1.5), 'good', 'good')
    poor = [dict(row) for row in scored(200, skill=1.5)]
    rng = np.random.default_rng(9)
    for row in poor:
        p = float(np.clip(row['p'][1] + rng.normal(0, 0.6), 0.01, 0.99))
        row['p'] = (1 - p, p)
    poor = scores_of(LABELS, poor, 'poor', 'poor')
    content = finish(good, poor, out=tmp_path / 'report').result.metrics
    (compared,) = content['comparisons']
    assert compared['models'] == ['good', 'poor']
    assert compared['auc']['interval'][0] > 0
    assert compared['delong']['p'] < 0.01
    assert compared['delong']['difference'] == compared['auc']['value']
    assert content['looks']['kind'] == 'development set'
    assert content['looks']['looks'] == 2


def test_looks_are_counted_beside_the_set(tmp_path, scores_of, finish):
    table = scores_of(LABELS, scored(100))
    finish(table, out=tmp_path / 'one')
    again = finish(table, out=tmp_path / 'two').result.metrics['looks']
    assert (again['looks'], again['configurations'], again['kind']) == (2, 1, 'test set')
    assert again['ledger'] == 'beside the set'
    assert len((tmp_path / 'scores.evaluations.jsonl').read_text().splitlines()) == 2


def test_looks_of_a_set_that_cannot_be_written_to(tmp_path, scores_of, finish):
    table = scores_of(LABELS, scored(100))
    folder = tmp_path / 'read only'
    folder.mkdir()
    table = table.rename(folder / table.name)
    folder.chmod(0o555)
    try:
        finish(table, out=tmp_path / 'one')
        looks = finish(table, out=tmp_path / 'two').result.metrics['looks']
    finally:
        folder.chmod(0o755)
    assert (looks['looks'], looks['ledger']) == (2, 'in the user data folder')


def test_a_split_that_is_not_there(tmp_path, scores_of, finish):
    table = scores_of(LABELS, scored(20))
    with pytest.raises(ListingError, match="no split 'val'"):
        finish(table, out=tmp_path / 'report', split='val')


def test_labels_of_other_names(tmp_path, scores_of, finish):
    rows = scored(100)
    for row in rows:
        row['truth'] = {'normal': 'healthy', 'pneumonia': 'sick'}[row['truth']]
    table = scores_of(LABELS, rows)
    with pytest.raises(ListingError, match=r'healthy, sick.*--class normal='):
        finish(table, out=tmp_path / 'report')
    classes = {'normal': ['healthy'], 'pneumonia': ['Sick']}
    assert finish(table, out=tmp_path / 'report', classes=classes).result.metrics['auc']


def test_a_damaged_ledger_is_told_and_nothing_is_written(tmp_path, scores_of, finish):
    table = scores_of(LABELS, scored(40))
    ledger = tmp_path / 'scores.evaluations.jsonl'
    ledger.write_text('{"images": \n')
    with pytest.raises(ListingError, match=r'Line 1 of scores\.evaluations\.jsonl.*begin anew'):
        finish(table, out=tmp_path / 'report')
    assert not (tmp_path / 'report' / 'metrics.json').exists()
    assert ledger.read_text() == '{"images": \n'


def test_models_of_different_classes_are_compared_on_what_both_give(scores_of, tmp_path):
    truth = ['normal', 'ill', 'covid', 'ill', 'normal', 'normal', 'ill']
    three = [[0.6, 0.2, 0.2], [0.1, 0.3, 0.6], [0.1, 0.1, 0.8], [0.5, 0.4, 0.1], [0.2, 0.1, 0.7],
             [0.3, 0.6, 0.1], [0.0, 0.0, 1.0]]  # fmt: skip
    two = [[0.3, 0.7], [0.9, 0.1], [0.5, 0.5], [0.6, 0.4], [0.1, 0.9], [0.2, 0.8], [0.7, 0.3]]
    tables = [
        scores_of(
            labels, [{'truth': t, 'p': p} for t, p in zip(truth, ps, strict=True)], name, name,
            split=False,
        )
        for name, labels, ps in (
            ('three', ['normal', 'ill', 'covid'], three), ('two', ['ill', 'normal'], two)
        )
    ]  # fmt: skip
    finished = list(evaluate_scores(tables, tmp_path / 'report'))[-1]
    content, table = finished.result.metrics, finished.result.table
    assert table.labels == ('normal', 'ill') and len(table) == 6
    assert content['set']['not_shared'] == {'three': ['covid']}
    assert content['set']['unmeasured'] == 1 and content['set']['unknown_labels'] == []
    assert table.probabilities['three'][0] == pytest.approx([0.75, 0.25])
    assert table.probabilities['three'][5] == pytest.approx([0.5, 0.5])  # knows nothing of it
    assert table.probabilities['two'][0] == pytest.approx([0.7, 0.3])
    # Of nine pairs of ill (.75, .444, .5) and normal (.25, .333, .667), eight are ranked rightly
    # but .444 and .5 below .667: seven.
    assert content['models']['three']['auc']['value'] == pytest.approx(7 / 9)
    assert content['models']['two']['auc']['value'] == 1
    (apart,) = content['comparisons']
    assert apart['models'] == ['three', 'two']
    assert apart['auc']['value'] == pytest.approx(-2 / 9)
    assert apart['delong']['difference'] == pytest.approx(-2 / 9, abs=1e-6)
    (said,) = [one for one in content['cautions'] if one['code'] == 'shared classes']
    assert 'three also gives covid' in said['text']


def test_models_without_a_class_in_common_are_refused_in_one_sentence(scores_of, tmp_path):
    tables = [
        scores_of(labels, [{'truth': 'a', 'p': [0.4, 0.6]}], name, name, split=False)
        for name, labels in (('one', ['a', 'b']), ('other', ['b', 'c']))
    ]
    with pytest.raises(ListingError, match='only b in common: one gives a, b; other gives b, c'):
        list(evaluate_scores(tables, tmp_path / 'report'))


def test_near_ties_are_counted_and_told(table_of):
    p = [[0.5, 0.45, 0.05], [0.6, 0.3, 0.1], [0.2, 0.41, 0.39], [0.55, 0.45, 0.0]]
    table = table_of('abc', ['a', 'a', 'b', 'c'], {'m': p})
    models = {'m': EvaluatedModel(margin=0.1)}
    steps = measure(table, table.subset([]), models, settings=MeasuringSettings(resamples=50))
    while True:
        try:
            next(steps)
        except StopIteration as end:
            own = end.value['models']['m']
            break
    assert own['near_ties'] == 2  # a margin of .1 itself is enough
    assert '2 of 4 images for which no class stands out' in near_tie_text(own, 4)
    assert near_tie_text({}, 4) == ''
