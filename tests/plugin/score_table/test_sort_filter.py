import random
import re
from dataclasses import replace

import numpy as np
import pytest
from made_up_scores import LABELS, LOSSY, NOT_A_CHEST, Labels, failed, run, scored

from napari_cxr.plugin.score_table.score_columns import columns_for_run
from napari_cxr.plugin.score_table.score_rows import ScoreRows
from napari_cxr.plugin.score_table.sort_filter import RowFilter, RowKind, RowOrder
from napari_cxr.scoring import ScoreRow

KEYS = ('number', 'file', 'label', 'p:normal', 'truth', 'source', 'status', 'warnings')


def some_rows(count, seed=0):
    """Rows with many ties, missing values, numbers within names, and names of any case."""
    draw = random.Random(seed)
    rows = []
    for i in draw.sample(range(10 * count), count):
        path = f'/a/{draw.choice(("Img", "img", "b/x"))}{draw.randrange(200)}-{i}.png'
        truth = draw.choice(('', 'normal', 'Normal', 'covid19'))
        source = draw.choice(('', 'site 2', 'site 10', 'Site 1'))
        if draw.random() < 0.2:
            error = draw.choice(('It is damaged.', 'It is no image.'))
            rows.append(failed(i, error, path, truth=truth, source=source))
            continue
        p = round(draw.random(), 1)
        cautions = draw.choice(((), (LOSSY,), (NOT_A_CHEST,), (NOT_A_CHEST, LOSSY)))
        rows.append(
            scored(i, p, 1 - p, 0.0, path=path, truth=truth, source=source, warnings=cautions)
        )
    return rows


def python_key(row, key):
    """What Python sorts a row by; None where nothing is known."""
    if key == 'number':
        return row.number
    if key == 'p:normal':
        return row.probabilities[1] if row.probabilities else None
    if key == 'warnings':
        doubts = sum(caution.doubts_the_image for caution in row.warnings)
        return (doubts, len(row.warnings)) if row.warnings else None
    text = getattr(row, {'file': 'path', 'status': 'error'}.get(key, key))
    parts = re.split(r'(\d+)', text.casefold())
    return [int(p) if p.isdigit() else p for p in parts] if text else None


def sorted_by_python(rows, key, descending):
    known = [row for row in rows if python_key(row, key) is not None]
    unknown = [row for row in rows if python_key(row, key) is None]
    return sorted(known, key=lambda row: python_key(row, key), reverse=descending) + unknown


def filled(rows, **changes):
    held = ScoreRows(run(**changes))
    held.append(rows)
    return held


def shown(order, rows):
    return [rows.rows[place] for place in order.shown]


@pytest.mark.parametrize('descending', [False, True])
@pytest.mark.parametrize('key', KEYS)
def test_rows_are_sorted_as_python_sorts_them(key, descending):
    every = some_rows(300)
    rows = filled(every)
    order = RowOrder(rows)
    order.sort(key, descending)
    assert shown(order, rows) == sorted_by_python(every, key, descending)


@pytest.mark.parametrize('descending', [False, True])
@pytest.mark.parametrize('key', KEYS)
def test_rows_that_come_later_stand_where_sorting_would_put_them(key, descending):
    every = some_rows(300, seed=1)
    rows = ScoreRows(run())
    order = RowOrder(rows)
    order.sort(key, descending)
    for start, stop in ((0, 5), (5, 6), (6, 90), (90, 300)):
        rows.append(every[start:stop])
        arrivals = order.arrivals()
        for part in arrivals.runs():
            order.insert(arrivals, part)
        assert shown(order, rows) == sorted_by_python(every[:stop], key, descending)
    order.arrange()
    assert shown(order, rows) == sorted_by_python(every, key, descending)


def test_parts_of_arrivals_come_to_the_same_as_all_at_once():
    every = some_rows(120, seed=2)
    orders = []
    for at_once in (True, False):
        rows = filled(every[:60])
        order = RowOrder(rows)
        order.sort('label', True)
        rows.append(every[60:])
        arrivals = order.arrivals()
        for part in [slice(0, 60)] if at_once else arrivals.runs():
            order.insert(arrivals, part)
        orders.append(shown(order, rows))
    assert orders[0] == orders[1] == sorted_by_python(every, 'label', True)


def test_rows_that_come_later_are_filtered_too():
    rows = filled([scored(0, 0.9, 0.1, 0.0), failed(1)])
    order = RowOrder(rows)
    order.set_filter(RowFilter(which=RowKind.FAILED))
    rows.append([failed(2), scored(3, 0.1, 0.9, 0.0), failed(4)])
    order.insert(order.arrivals())
    assert [row.number for row in shown(order, rows)] == [1, 2, 4]
    assert not len(order.arrivals().at)


HAND_MADE = [
    scored(0, 0.1, 0.8, 0.1, path='/s/normal/A 1.png', truth='normal', source='Hannover'),
    scored(1, 0.7, 0.2, 0.1, path='/s/normal/a2.png', truth='Normal', warnings=(LOSSY,)),
    scored(2, 0.1, 0.4, 0.5, path='/s/pneumonia/b.png', truth='pneumonia'),
    scored(3, 0.0, 0.5, 0.5, path='/s/c.png', warnings=(NOT_A_CHEST, LOSSY), source='NIH'),
    failed(4, 'It is damaged: the stream ends.', '/s/d.png', truth='covid19'),
    scored(5, 0.9, 0.0, 0.1, path='/s/e.png', truth='tuberculosis'),
]


@pytest.mark.parametrize(
    ('wanted', 'numbers'),
    [
        (RowFilter(), [0, 1, 2, 3, 4, 5]),
        (RowFilter(text='  '), [0, 1, 2, 3, 4, 5]),
        (RowFilter(text='NORMAL'), [0, 1]),
        (RowFilter(text='normal a2'), [1]),
        (RowFilter(text='"A 1"'), [0]),
        (RowFilter(text='a 1'), [0]),
        (RowFilter(text='stream'), [4]),
        (RowFilter(text='lossy'), [1, 3]),
        (RowFilter(text='nih'), [3]),
        (RowFilter(text='nih lossy c.png'), [3]),
        (RowFilter(text='nowhere'), []),
        (RowFilter(answer='normal'), [0]),  # the prediction of 3 is withheld
        (RowFilter(answer='pneumonia'), [2]),
        (RowFilter(answer='never seen'), []),
        (RowFilter(truth='normal'), [0, 1]),
        (RowFilter(truth='normal', answer='covid19'), [1]),
        (RowFilter(truth='covid19'), [4]),
        (RowFilter(truth='tuber'), []),
        (RowFilter(label='normal', at_least=0.5), [0, 3]),
        (RowFilter(label='covid19', at_least=0.0), [0, 1, 2, 3, 5]),
        (RowFilter(which=RowKind.SCORED), [0, 1, 2, 3, 5]),
        (RowFilter(which=RowKind.FAILED), [4]),
        (RowFilter(which=RowKind.WARNED), [1, 3]),
        (RowFilter(which=RowKind.DOUBTED), [3]),
        (RowFilter(which=RowKind.NOT_DOUBTED), [0, 1, 2, 5]),
        (RowFilter(which=RowKind.PREDICTION_IS_NOT_LABEL), [1]),
        (RowFilter(which=RowKind.WARNED, label='normal', at_least=0.3, text='NIH'), [3]),
    ],
)
def test_filters(wanted, numbers):
    rows = filled(HAND_MADE)
    order = RowOrder(rows)
    order.set_filter(wanted)
    assert [row.number for row in shown(order, rows)] == numbers
    assert wanted.is_open is (numbers == [0, 1, 2, 3, 4, 5])


def test_filters_by_what_a_person_said():
    rows, labels = filled(HAND_MADE), Labels()
    labels.say('/s/normal/A 1.png', 'normal')
    labels.say('/s/normal/a2.png', 'normal')
    labels.say('/s/c.png', note='Rotated, please look again')
    rows.set_annotations(labels)
    order = RowOrder(rows)

    def numbers(wanted):
        order.set_filter(wanted)
        return [row.number for row in shown(order, rows)]

    assert numbers(RowFilter(which=RowKind.PREDICTION_IS_NOT_MINE)) == [1]
    assert numbers(RowFilter(which=RowKind.NOT_ANNOTATED)) == [2, 3, 5]
    assert numbers(RowFilter(text='rotated')) == [3]
    labels.say('/s/c.png', 'covid19')
    rows.refresh(rows.place_of('/s/c.png'))
    assert numbers(RowFilter(which=RowKind.PREDICTION_IS_NOT_MINE)) == [1, 3]
    assert numbers(RowFilter(text='rotated')) == []
    rows.set_annotations(None)
    assert numbers(RowFilter(which=RowKind.NOT_ANNOTATED)) == [0, 1, 2, 3, 5]


def test_where_an_image_can_have_several_labels_all_must_agree():
    rows = filled(
        [
            scored(0, 0.9, 0.1, 0.6, truth='pneumonia|covid19'),
            scored(1, 0.9, 0.1, 0.4, truth='pneumonia|covid19'),
            scored(2, 0.9, 0.1, 0.6, truth='covid19'),
        ],
        multilabel=True,
    )
    assert rows.flags['against_truth'].values.tolist() == [False, True, True]


def test_no_finding_is_none_of_several_labels_unless_it_is_a_class():
    none = [
        scored(0, 0.9, 0.1, 0.6, truth='no finding'),
        scored(1, 0.1, 0.1, 0.4, truth='No finding'),
    ]
    for changes, against in (
        ({'multilabel': True}, [True, False]),
        ({'multilabel': False}, [False, False]),  # no label that the model knows
        ({'multilabel': True, 'labels': ('covid19', 'No finding', 'pneumonia')}, [True, True]),
    ):
        rows = filled(none, **changes)
        assert rows.flags['against_truth'].values.tolist() == against


def test_a_row_whose_file_is_there_replaces_it_where_it_stands():
    rows = filled([failed(0), scored(1, 0.2, 0.5, 0.3)])
    order = RowOrder(rows)
    order.sort('p:normal', True)
    assert rows.append([scored(0, 0.1, 0.9, 0.0), scored(2, 0.3, 0.6, 0.1)]) == [0]
    assert len(rows) == 3 and rows.rows[0].status == 'scored'
    order.insert(order.arrivals())
    assert [row.number for row in shown(order, rows)] == [2, 1, 0]  # nothing jumps
    order.arrange()
    assert [row.number for row in shown(order, rows)] == [0, 2, 1]


def test_the_folder_that_all_files_share():
    rows = ScoreRows(run())
    for path, root in (
        ('/data/a/x.png', '/data/a/'),
        ('/data/a/y.png', '/data/a/'),
        ('/data/ab/y.png', '/data/'),
        ('C:\\images\\z.png', ''),
    ):
        rows.append([scored(len(rows), path=path)])
        assert rows.root == root
    assert filled([scored(0, path='C:\\images\\z.png')]).root == 'C:\\images\\'


def test_splits_are_there_where_they_are_known():
    rows = filled([scored(0), scored(1)])
    assert not rows.has('split') and not rows.has('model_split')
    rows = filled([scored(0, model_split='train'), scored(1, split='test')])
    assert rows.texts['model_split'][0] == 'train' and rows.texts['split'][1] == 'test'
    assert rows.has('split') and rows.has('model_split')


def test_numbers_of_rows_without_probabilities_are_not_known():
    rows = filled([failed(0), scored(1, 1.0, 0.0, 0.0), scored(2)])
    np.testing.assert_allclose(rows.numbers['p:covid19'].values, [np.nan, 1, 1 / 3])
    np.testing.assert_allclose(rows.numbers['uncertainty'].values, [np.nan, 0, 1], atol=1e-12)
    assert not rows.has('lung_share') and not rows.has('view') and rows.has('status')
    rows.append([replace(scored(3), lung_share=0.5, view='PA'), scored(4, view='unknown')])
    assert rows.has('lung_share') and rows.texts['view'].categories == ['', 'PA']


def test_an_unknown_column_is_refused():
    order = RowOrder(filled(HAND_MADE))
    with pytest.raises(KeyError):
        order.sort('p:nothing', True)
    assert order.column == 'number'


def test_a_remark_that_all_rows_have_is_no_warning_of_its_own():
    cautions = [(LOSSY,), (LOSSY, NOT_A_CHEST), (LOSSY,)]
    held = filled([scored(i, warnings=found) for i, found in enumerate(cautions)] + [failed(3)])
    wanted = RowFilter(which=RowKind.WARNED)
    assert wanted.matches(held, np.arange(4)).tolist() == [False, True, False, False]
    held.append([scored(4)])  # one that does not have it sets the others apart
    assert wanted.matches(held, np.arange(5)).tolist() == [True, True, True, False, False]
    held.append([scored(4, warnings=(LOSSY,))])  # scored again
    assert wanted.matches(held, np.array([4, 1])).tolist() == [False, True]
    # What doubts the image is one, also where it doubts all.
    assert wanted.matches(
        filled([scored(i, warnings=(NOT_A_CHEST,)) for i in range(2)]), np.arange(2)
    ).all()


# -- findings with thresholds ---------------------------------------------------------------

RULE = {
    'thresholds': {'effusion': 0.1, 'nodule': 0.5},
    'negative': 'No finding',
    'undecided': {'nodule': [0.4, 0.6]},
}


@pytest.fixture
def findings():
    rows = ScoreRows(run(labels=('effusion', 'nodule'), multilabel=True, rule=RULE))
    rule = rows.rule
    said = [(0.3, 0.1), (0.01, 0.45), (0.01, 0.1), (0.2, 0.7), (0.01, 0.3)]
    truths = ['effusion', 'no_finding', 'No finding', 'effusion', 'nodule']
    rows.append(
        [
            ScoreRow(
                i, f'/study/{i}.png', 'scored', label=rule.label(p), probabilities=p,
                above=rule.above(p), answer=rule.answer(p), truth=truths[i],
            )
            for i, p in enumerate(said)
        ]
    )  # fmt: skip
    return rows


def kept(rows, **entries):
    return np.flatnonzero(RowFilter(**entries).matches(rows, np.arange(len(rows)))).tolist()


def test_rows_are_filtered_by_finding_none_of_them_and_what_cannot_be_said(findings):
    assert kept(findings, answer='effusion') == [0, 3]  # also where it is not the furthest
    assert kept(findings, answer='nodule') == [3]
    assert kept(findings, answer='No finding') == [1, 2, 4]
    assert kept(findings, answer='cannot say') == [1]
    assert kept(findings, truth='No finding') == [1, 2]
    assert kept(findings, truth='effusion') == [0, 3]


@pytest.mark.parametrize('multilabel', [False, True])
def test_withheld_predictions_are_found_only_when_they_are_shown(multilabel):
    thresholds = {'thresholds': dict.fromkeys(LABELS, 0.5), 'negative': 'none', 'undecided': {}}
    rows = ScoreRows(
        run(multilabel=multilabel, rule=thresholds if multilabel else {'least_margin': 0.1})
    )
    rule = rows.rule
    said = [(0.1, 0.8, 0.1), (0.4, 0.4, 0.2)] * 2
    for i, p in enumerate(said):
        row = ScoreRow(
            i, f'/study/{i}.png', 'scored', label=rule.label(p), probabilities=p,
            above=rule.above(p) if multilabel else (), answer=rule.answer(p),
            warnings=(NOT_A_CHEST,) if i > 1 else (),
        )  # fmt: skip
        rows.append([row])
    undecided = rows.rule.undecided_answer
    assert kept(rows, answer='normal') == [0]
    assert kept(rows, which=RowKind.DOUBTED) == [2, 3]
    if not multilabel:
        assert kept(rows, answer=undecided) == [1]
    rows.reveals_doubtful = True
    assert kept(rows, answer='normal') == [0, 2]
    if not multilabel:
        assert kept(rows, answer=undecided) == [1, 3]


def test_an_answer_is_against_the_label_by_thresholds(findings):
    against = findings.flags['against_truth'].values.tolist()
    assert against == [False, False, False, True, True]
    assert kept(findings, which=RowKind.PREDICTION_IS_NOT_LABEL) == [3, 4]


def test_uncertainty_is_about_thresholds_not_about_one_half(findings):
    unsure = findings.numbers['uncertainty'].values
    # By hand: 0.01 and 0.1 are moved to 0.05 and 0.1, of which the entropies are 0.286 and 0.469.
    assert unsure[2] == pytest.approx((0.2864 + 0.4690) / 2, abs=1e-4)
    # The effusion of the fourth is nearer to its threshold than that of the first.
    assert unsure[3] > unsure[0] > unsure[2]
    assert findings.longest()['answer'] == 'No finding'


def test_findings_have_columns_of_their_own(findings):
    columns = {column.key: column for column in columns_for_run(findings.run)}
    assert columns['label'].title == 'Predicted' and columns['answer'].title == 'Answer'
    assert columns['answer'].text(findings, 1) == 'cannot say'
    assert columns['above'].text(findings, 3) == 'nodule, effusion'
    plain = {column.key for column in columns_for_run(run())}
    assert not {'answer', 'above'} & plain
    one = {'thresholds': {'a': 0.5}, 'negative': 'no a', 'undecided': {}}
    keys = {
        column.key for column in columns_for_run(run(labels=('a',), multilabel=True, rule=one))
    }
    assert not {'answer', 'above'} & keys


def test_only_some_rows_are_shown_by_their_paths():
    rows = filled([scored(i, 0.5, 0.5, 0.0, path=f'/a/{i}.png') for i in range(4)])
    order = RowOrder(rows)
    order.set_filter(RowFilter(only=frozenset({'/a/3.png', '/a/1.png', '/b/0.png'})))
    assert not order.filter.is_open
    assert [row.number for row in shown(order, rows)] == [1, 3]
