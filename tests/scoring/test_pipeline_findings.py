"""Models with one finding or several: from files to a table."""

import csv
from dataclasses import replace

import pytest

from napari_cxr.inference.classifier import Classifier
from napari_cxr.inference.label_rule import LabelRule
from napari_cxr.scoring import (
    Decision,
    ScoringError,
    ScoringFinished,
    ScoringSettings,
    journal_of,
    list_items,
    prepare_here,
    score,
)

SETTINGS = ScoringSettings(batch=4)
POINTS = {'opacity': {'Youden': 0.4, 'sensitivity 0.95': 0.1}}


@pytest.fixture(scope='module')
def opacity(findings_file):
    """A model of one finding, whose threshold lies in the midst of what it says."""
    path = findings_file(
        ['opacity'],
        [0.4],
        name='one',
        operating_points=POINTS,
        decision='Youden',
        undecided={'opacity': [0.39, 0.41]},
        prediction_sets={'alpha': 0.1, 'thresholds': {'opacity': 0.41}, 'images': {'opacity': 30}},
    )
    return Classifier.load(path, 'cpu')


@pytest.fixture
def items(folder):
    (folder / 'normal').rename(folder / 'No opacity')
    (folder / 'pneumonia').rename(folder / 'opacity')
    return list_items([folder], 'folders')


pytestmark = pytest.mark.usefixtures('plain_torch')


def table_of(items, classifier, out, settings=SETTINGS):
    *_, end = score(items, classifier, out, prepare_here, settings)
    with out.open(newline='') as file:
        return end, [row for row in csv.DictReader(file) if row['status'] == 'scored']


def test_each_row_says_what_its_probability_means(opacity, items, tmp_path):
    end, rows = table_of(items, opacity, tmp_path / 't.csv')
    assert isinstance(end, ScoringFinished) and len(rows) == 7
    rule = LabelRule(('opacity',), True, (0.4,), 'no opacity', {'opacity': [0.39, 0.41]})
    for row in rows:
        p = (float(row['p_opacity']),)
        assert row['possible_opacity'] == str(int(p[0] >= 0.41))
        assert (row['label'], row['answer']) == (rule.label(p), rule.answer(p))
        assert row['predicted_opacity'] == str(int(p[0] >= 0.4))
        assert (row['threshold_opacity'], row['negative_label']) == ('0.4', 'no opacity')
        assert (row['undecided_from_opacity'], row['undecided_to_opacity']) == ('0.39', '0.41')
    assert {row['truth'] for row in rows} == {'opacity', 'No opacity'}
    # The folders' names are what is measured by.
    assert end.unknown == () and end.metrics['classes']['opacity']['images'] == 4
    undecided = sum(row['answer'] == 'cannot say' for row in rows)
    assert end.metrics.get('cannot_say', {'images': 0})['images'] == undecided


def test_a_decision_moves_the_threshold(opacity, items, tmp_path):
    decision = Decision.of_card('sensitivity=0.95', opacity.card)
    asked = replace(SETTINGS, decision=decision)
    _, rows = table_of(items, opacity, tmp_path / 't.csv', asked)
    for row in rows:
        assert row['label'] == 'opacity'
        assert row['predicted_opacity'] == row['positive_opacity'] == '1'
        assert row['threshold_opacity'] == '0.1'


def test_a_run_with_other_thresholds_is_not_gone_on_with(opacity, items, tmp_path, findings_file):
    out = tmp_path / 't.csv'
    begun = score(items, opacity, out, prepare_here, SETTINGS)
    next(begun)
    begun.close()
    assert journal_of(out).exists()
    asked = replace(SETTINGS, decision=Decision.of_card('sensitivity=0.95', opacity.card))
    with pytest.raises(ScoringError, match=r'another decision \(none instead of sensitivity'):
        next(score(items, opacity, out, prepare_here, asked, resume=True))
    *_, end = score(items, opacity, out, prepare_here, SETTINGS, resume=True)
    assert end.total == 8


def test_without_any_above_several_findings_are_no_finding(findings_file, items, tmp_path):
    path = findings_file(
        ['effusion', 'nodule', 'hernia'],
        [0.45, 0.2, 0.05],
        operating_points={'hernia': {'Youden': 0.01}},
    )
    classifier = Classifier.load(path, 'cpu')
    _, rows = table_of(items, classifier, tmp_path / 't.csv')
    for row in rows:  # not the most probable one: it is below one half
        assert row['label'] == row['answer'] == 'No finding'
        assert '1' not in (row[name] for name in row if name.startswith('predicted_'))
    # The same network with the card's operating point deciding: the rarest one is above.
    decided = replace(classifier.card, decision='Youden')
    classifier.rule = LabelRule.of_card(decided)
    _, rows = table_of(items, classifier, tmp_path / 'u.csv')
    assert {row['label'] for row in rows} == {'hernia'}
