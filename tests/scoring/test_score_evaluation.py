"""Figures of the rows whose truth is known."""

import random
import threading
from dataclasses import replace

import pytest

from napari_cxr.inference.label_rule import CANNOT_SAY, NO_CLASS, LabelRule
from napari_cxr.inference.prediction import ImageWarning
from napari_cxr.scoring import ScoreRow, ScoringMeasured
from napari_cxr.scoring.score_evaluation import ScoreEvaluation, evaluate_rows, seen_warning


def row(number, truth, *probabilities, patient='', status='scored'):
    return ScoreRow(
        number, f'{number}', status, truth=truth, probabilities=probabilities, patient=patient
    )


def test_the_figures_by_hand():
    rows = [
        row(0, 'A', 0.9, 0.1),
        row(1, 'a', 0.4, 0.6),
        row(2, 'B', 0.3, 0.7),
        row(3, 'B', 0.2, 0.8),
        row(4, '', 0.2, 0.8),
        row(5, 'C', 0.2, 0.8),
        row(6, 'A', status='error'),
        row(7, 'A|B', 0.2, 0.8),
    ]
    measured = evaluate_rows(rows, ['A', 'B'], multilabel=False)
    assert measured.unknown == ('A|B', 'C') and measured.unmeasured == 2
    found = measured.metrics
    assert found['images'] == found['patients'] == 4
    assert found['confusion'] == [[1, 1], [0, 2]]
    assert found['accuracy'][0] == pytest.approx(0.75)
    assert found['classes']['A']['auc'][0] == pytest.approx(1)
    assert found['classes']['A']['sensitivity'][0] == pytest.approx(0.5)


def test_patients_are_counted_once():
    rows = [row(i, 'AB'[i % 2], 0.5 + 0.1 * i, 0.5 - 0.1 * i, patient='xyyx'[i]) for i in range(4)]
    assert evaluate_rows(rows, ['A', 'B'], multilabel=False).metrics['patients'] == 2


def test_several_labels():
    rows = [row(0, 'A|B', 0.9, 0.9), row(1, 'A', 0.8, 0.6), row(2, 'B', 0.1, 0.7)]
    measured = evaluate_rows(rows, ['A', 'B'], multilabel=True)
    found, unknown = measured.metrics, measured.unknown
    assert unknown == () and found['classes']['A']['counts'] == {
        'tp': 2,
        'fp': 0,
        'tn': 1,
        'fn': 0,
    }
    assert found['classes']['B']['counts'] == {'tp': 2, 'fp': 1, 'tn': 0, 'fn': 0}


def test_none_of_several_is_a_negative_and_no_label_is_not_measured():
    rows = [
        row(0, 'A', 0.9, 0.1),
        row(1, 'No finding', 0.2, 0.8),
        row(2, 'NO FINDING', 0.1, 0.1),
        row(3, '', 0.2, 0.8),
    ]
    measured = evaluate_rows(rows, ['A', 'B'], multilabel=True)
    found, unknown = measured.metrics, measured.unknown
    assert found['images'] == 3 and unknown == ()
    assert found['classes']['A']['counts'] == {'tp': 1, 'fp': 0, 'tn': 2, 'fn': 0}
    assert evaluate_rows(rows[1:], ['A', 'B'], multilabel=True) == ScoringMeasured({}, (), 0), (
        'they are all alike'
    )
    found = evaluate_rows(rows, ['A', 'no finding'], multilabel=True).metrics
    assert found['classes']['no finding']['images'] == 2, 'a class of the model itself'
    measured = evaluate_rows([*rows, row(4, 'B', 0.1, 0.9)], ['A', 'B'], multilabel=False)
    found, unknown = measured.metrics, measured.unknown
    assert found['images'] == 2 and unknown == ('NO FINDING', 'No finding')


def test_one_class_alone_is_no_measure():
    assert evaluate_rows([row(0, 'A', 1.0, 0.0)], ['A', 'B'], multilabel=False) == ScoringMeasured(
        {}, (), 0
    )


def many(n, seed=0):
    chance = random.Random(seed)
    rows = []
    for i in range(n):
        p = round(chance.random(), 3)
        rows.append(row(i, 'AB'[chance.random() < 0.5 + 0.4 * (0.5 - p)], p, 1 - p))
    return rows


def test_the_order_of_the_rows_changes_nothing():
    rows = many(60)
    there = evaluate_rows(rows, ['A', 'B'], multilabel=False)
    assert evaluate_rows(rows[::-1], ['A', 'B'], multilabel=False) == there


def test_figures_on_the_way_come_when_there_are_a_fifth_more_images(monkeypatch):
    from napari_cxr.scoring import score_evaluation as module

    monkeypatch.setattr(module, '_BETWEEN', 0.0)
    threads = []
    begin = module.BackgroundThread
    monkeypatch.setattr(
        module, 'BackgroundThread', lambda work: threads.append(begin(work)) or threads[-1]
    )
    measuring, measured = ScoreEvaluation(['A', 'B'], multilabel=False), {}
    for i, one in enumerate(many(40), start=1):
        measuring.add([one])
        if measuring.look() is None and threads and threads[-1].ended(60):
            found = measuring.look()
            if found:
                measured[i] = found
    assert list(measured) == [10, 12, 15, 18, 22, 27, 33, 40]
    assert all(found.metrics['images'] == i for i, found in measured.items())
    assert measured[40] == evaluate_rows(many(40), ['A', 'B'], multilabel=False)


def test_figures_on_the_way_take_a_small_part_of_the_time(monkeypatch):
    from napari_cxr.scoring import score_evaluation as module

    now = [0.0]
    monkeypatch.setattr(module.time, 'monotonic', lambda: now[0])
    measuring = ScoreEvaluation(['A', 'B'], multilabel=False)
    go_on = threading.Event()
    found = measuring.found
    monkeypatch.setattr(
        ScoreEvaluation, 'found', lambda self, cost=0: go_on.wait(60) and found(cost)
    )
    measuring.add(many(20))
    assert measuring.look() is None and measuring.look() is None, 'nobody waits for them'
    now[0] = 2.0
    go_on.set()
    assert measuring._under_way.ended(60)
    assert measuring.look().metrics['images'] == 20
    measuring.add(many(20))
    now[0] = 61.0
    measuring.look()
    assert measuring._under_way is None
    now[0] = 63.0
    measuring.look()
    assert measuring._under_way is not None and measuring._under_way.ended(60)


def test_of_very_many_images_fewer_resamples_are_drawn(monkeypatch):
    from napari_cxr.scoring import score_evaluation as module

    asked = []
    monkeypatch.setattr(
        module, 'summarise', lambda *_, times, **__: asked.append(times) or {'classes': {}}
    )
    measuring = ScoreEvaluation(['A', 'B'], multilabel=False)
    measuring.add(many(50))
    for cost in (10**9, 50_000, 100):
        measuring.found(cost)
    assert asked == [2000, 500, 100]


def test_of_a_few_no_area_has_an_interval_and_they_are_counted():
    rows = [row(i, 'AB'[i % 2], 0.9 - 0.8 * (i % 2), 0.1 + 0.8 * (i % 2)) for i in range(4)]
    found = evaluate_rows(rows, ['A', 'B'], multilabel=False).metrics
    assert found['few'] == {'A': 2, 'B': 2}
    assert found['macro_auc'] == [1.0, None, None], 'resampled, two of two are always right'
    assert found['classes']['A']['auc'] == [1.0, None, None]
    # The exact interval of 2 of 2: the square root of .025 to 1.
    assert found['classes']['A']['sensitivity'] == [1.0, pytest.approx(0.1581, abs=1e-4), 1.0]


def test_patients_are_few_however_many_images_they_have():
    rows = [
        replace(one, patient=f'{one.truth}{i % 12 if one.truth == "A" else i % 3}')
        for i, one in enumerate(many(200))
    ]
    found = evaluate_rows(rows, ['A', 'B'], multilabel=False).metrics
    assert found['few'] == {'B': 3}
    assert found['classes']['A']['auc'][1:] == [None, None], 'it is told from these three'


def test_with_enough_of_each_there_are_intervals():
    found = evaluate_rows(many(200), ['A', 'B'], multilabel=False).metrics
    value, low, high = found['macro_auc']
    assert found['few'] == {} and low < value < high
    apart = [row(i, 'AB'[i % 2], 1.0 - i % 2, float(i % 2)) for i in range(40)]
    found = evaluate_rows(apart, ['A', 'B'], multilabel=False).metrics
    assert found['few'] == {} and found['macro_auc'][::2] == [1.0, 1.0]
    assert 0.8 < found['macro_auc'][1] < 1, 'an area of 1 is not certain either'


def test_few_without_one_of_several():
    rows = [row(i, 'A' if i < 28 else 'A|B', 0.9, 0.1 + i / 40) for i in range(30)]
    rows += [row(30, 'B', 0.1, 0.9), row(31, 'No finding', 0.2, 0.2)]
    found = evaluate_rows(rows, ['A', 'B'], multilabel=True).metrics
    assert found['few'] == {'no A': 2, 'B': 3}
    assert found['classes']['A']['auc'] == [1.0, None, None]


def test_a_decision_is_measured_by_what_it_called():
    called = [('A',), ('A', 'B'), (), ('B',), ('A',)]
    rows = [
        replace(row(i, 'AABBB'[i], 0.9, 0.1, patient='uvwxx'[i]), called=called[i])
        for i in range(5)
    ]
    found = evaluate_rows(rows, ['A', 'B'], multilabel=False, decision=True).metrics
    a, b = (found['classes'][label]['called'] for label in 'AB')
    assert a['sensitivity'][0] == 1.0 and a['specificity'][0] == pytest.approx(2 / 3, abs=1e-4)
    assert b['sensitivity'][0] == pytest.approx(1 / 3, abs=1e-4) and b['specificity'][0] == 0.5
    # Three images of B are of two patients, which is wider than for three: .0084 to .9057.
    assert b['sensitivity'][1] < 0.0084 and b['sensitivity'][2] > 0.9057
    assert (
        'called' not in evaluate_rows(rows, ['A', 'B'], multilabel=False).metrics['classes']['A']
    )
    assert evaluate_rows(rows[::-1], ['A', 'B'], multilabel=False, decision=True).metrics == found


# -- one finding, or several with thresholds ------------------------------------------------

OPACITY = LabelRule(('opacity',), True, (0.3,), 'no opacity', {'opacity': [0.2, 0.6]})


def found(number, truth, p):
    return replace(row(number, truth, p), label=OPACITY.label((p,)), answer=OPACITY.answer((p,)))


def of_opacity(rows):
    return evaluate_rows(rows, ['opacity'], multilabel=True, rule=OPACITY)


def test_one_finding_is_measured_by_its_name_and_the_word_for_without():
    words = ['opacity', 'Opacity', 'no opacity', 'No_Opacity', 'NO-OPACITY', 'No finding']
    p = [0.9, 0.25, 0.1, 0.35, 0.05, 0.15]
    measured = of_opacity([found(i, word, p[i]) for i, word in enumerate(words)])
    assert measured.unknown == ()
    figures = measured.metrics['classes']['opacity']
    assert measured.metrics['images'] == 6 and figures['images'] == 2
    # At its threshold, 0.3, not at one half.
    assert figures['counts'] == {'tp': 1, 'fp': 1, 'tn': 3, 'fn': 1}
    assert figures['sensitivity'][0] == 0.5 and figures['specificity'][0] == 0.75
    # 7 of the 8 pairs are in the right order: 0.25 is above 0.1, 0.05 and 0.15, not 0.35.
    assert figures['auc'][0] == pytest.approx(7 / 8)
    assert of_opacity([found(0, 'normal', 0.1), found(1, 'opacity', 0.9)]).unknown == ('normal',)


def test_what_the_model_does_not_decide_is_counted_and_left_out_beside():
    truths = ['opacity', 'opacity', 'no opacity', 'no opacity', 'opacity']
    p = [0.9, 0.25, 0.1, 0.35, 0.7]
    measured = of_opacity([found(i, truth, p[i]) for i, truth in enumerate(truths)])
    every = measured.metrics['classes']['opacity']
    assert every['counts'] == {'tp': 2, 'fp': 1, 'tn': 1, 'fn': 1}
    undecided = measured.metrics['cannot_say']
    assert undecided['images'] == 2 and undecided['share'][0] == pytest.approx(0.4)
    assert undecided['decided']['images'] == 3
    others = undecided['decided']['classes']['opacity']
    assert others['counts'] == {'tp': 2, 'fp': 0, 'tn': 1, 'fn': 0}
    # Where the others are all alike, there is nothing to measure on them.
    alike = of_opacity([found(0, 'opacity', 0.9), found(1, 'no opacity', 0.3)])
    assert alike.metrics['cannot_say']['decided'] == {}
    decided = of_opacity([found(0, 'opacity', 0.9), found(1, 'no opacity', 0.1)])
    assert 'cannot_say' not in decided.metrics


def test_several_labels_are_measured_at_their_thresholds():
    rule = LabelRule(('A', 'B'), True, (0.1, 0.8), 'No finding')
    rows = [row(0, 'A', 0.15, 0.7), row(1, 'B', 0.05, 0.9), row(2, 'No finding', 0.12, 0.6)]
    figures = evaluate_rows(rows, ['A', 'B'], multilabel=True, rule=rule).metrics['classes']
    assert figures['A']['counts'] == {'tp': 1, 'fp': 1, 'tn': 1, 'fn': 0}
    assert figures['B']['counts'] == {'tp': 1, 'fp': 0, 'tn': 2, 'fn': 0}


def test_figures_on_the_way_know_what_is_undecided():
    measuring = ScoreEvaluation(['opacity'], multilabel=True, rule=OPACITY)
    measuring.add([found(0, 'opacity', 0.25), found(1, 'no opacity', 0.1)])
    copy = measuring._as_it_is()
    assert copy.found() == measuring.found()
    assert copy.found().metrics['cannot_say']['images'] == 1
    assert found(0, '', 0.25).answer == CANNOT_SAY


# -- doubtful images and near ties ------------------------------------------------------------

MIRRORED = ImageWarning('mirrored', 'This may be mirrored.')
LOSSY = ImageWarning('lossy', 'The image went through lossy compression.')


def of_two(rows, **more):
    return evaluate_rows(rows, ['A', 'B'], multilabel=False, **more)


def test_doubtful_images_are_left_out_unless_they_are_asked_for():
    # The second and the fourth are wrong; the fourth is doubtful, and so is one without a label
    # that the model knows.
    rows = [row(0, 'A', 0.9, 0.1), row(1, 'A', 0.2, 0.8), row(2, 'B', 0.1, 0.9)]
    rows[0] = replace(rows[0], warnings=(LOSSY,))
    rows.append(replace(row(3, 'B', 0.7, 0.3), warnings=(MIRRORED, LOSSY)))
    rows.append(replace(row(4, 'C', 0.7, 0.3), warnings=(MIRRORED,)))
    measured = of_two(rows)
    assert (measured.doubtful, measured.doubtful_included) == (1, False)
    assert measured.metrics['confusion'] == [[1, 1], [0, 1]]
    assert measured.metrics['doubtful'] == {'images': 1, 'included': False}
    assert measured.unmeasured == 1  # of a label that the model does not know
    everything = ScoreEvaluation(['A', 'B'], multilabel=False, include_doubtful=True)
    everything.add(rows)
    found = everything.found()
    assert (found.doubtful, found.doubtful_included) == (1, True)
    assert found.metrics['confusion'] == [[1, 1], [1, 1]]


def test_their_number_is_said_where_nothing_else_is_left():
    doubtful = [replace(row(i, 'AB'[i], 0.6, 0.4), warnings=(MIRRORED,)) for i in range(2)]
    measured = of_two(doubtful)
    assert measured.metrics == {} and measured.doubtful == 2


def test_near_ties_count_by_their_label_and_are_left_out_beside():
    rows = [row(0, 'A', 0.9, 0.1), row(1, 'B', 0.1, 0.9), row(2, 'B', 0.52, 0.48)]
    rows[2] = replace(rows[2], answer=NO_CLASS)
    rule = LabelRule(('A', 'B'), multilabel=False, least_margin=0.1)
    metrics = of_two(rows, rule=rule).metrics
    assert metrics['confusion'] == [[1, 0], [1, 1]]
    assert 'cannot_say' not in of_two(rows).metrics  # by a rule that leaves nothing open
    assert metrics['cannot_say']['images'] == 1
    assert metrics['cannot_say']['decided']['confusion'] == [[1, 0], [0, 1]]


# -- images of the training, and sources ------------------------------------------------------


def test_images_that_the_model_has_seen_are_told_apart():
    """The model knows what it was trained on, and is wrong about half of the rest."""
    seen = [
        replace(row(i, 'AB'[i % 2], 1 - i % 2, i % 2), model_split=('train', 'val')[i >= 4])
        for i in range(6)
    ]
    others = [
        row(6, 'A', 0.9, 0.1),
        row(7, 'A', 0.2, 0.8),
        replace(row(8, 'B', 0.4, 0.6), model_split='test'),
        row(9, 'B', 0.7, 0.3),
        replace(row(10, '', 0.7, 0.3), model_split='train'),  # no label: counted, not measured
        replace(row(11, 'A', status='error'), model_split='train'),
    ]
    evaluation = ScoreEvaluation(['A', 'B'], multilabel=False)
    evaluation.add([*seen, *others])
    assert (evaluation.seen, evaluation.scored) == ({'train': 5, 'val': 2}, 11)
    found = evaluation.found().metrics
    assert found['images'] == 10 and found['accuracy'][0] == pytest.approx(0.8)
    unseen = found['unseen']
    assert (unseen['trained_on'], unseen['validation'], unseen['images']) == (4, 2, 4)
    assert unseen['metrics']['accuracy'][0] == pytest.approx(0.5)
    # Of the four pairs (A, B), (.9, .4) and (.9, .7) are in order, (.2, .4) and (.2, .7) not.
    assert unseen['metrics']['classes']['A']['auc'][0] == pytest.approx(0.5)
    assert seen_warning(evaluation.seen, evaluation.scored).startswith(
        'The model was trained on 5 and was selected by 2 of these 11 images'
    )
    assert seen_warning({'train': 0, 'val': 0}, 11) == ''
    only = evaluate_rows(seen, ['A', 'B'], multilabel=False).metrics['unseen']
    assert only == {'trained_on': 4, 'validation': 2, 'images': 0, 'metrics': {}}
    assert 'unseen' not in evaluate_rows(others[:4], ['A', 'B'], multilabel=False).metrics


def test_each_source_has_its_own_metrics():
    rows = [
        replace(row(0, 'A', 0.9, 0.1), source='x', model_split='train'),
        replace(row(1, 'B', 0.8, 0.2), source='x'),
        replace(row(2, 'A', 0.7, 0.3), source='x'),
        replace(row(3, 'A', 0.6, 0.4)),
    ]
    found = evaluate_rows(rows, ['A', 'B'], multilabel=False).metrics['sources']
    assert list(found) == ['no source', 'x']
    assert found['no source'] == {'images': 1, 'metrics': {}}
    assert found['x']['images'] == 3
    assert found['x']['metrics']['accuracy'][0] == pytest.approx(2 / 3, abs=1e-4)
    unseen = found['x']['unseen']
    assert (unseen['trained_on'], unseen['images']) == (1, 2)
    assert unseen['metrics']['accuracy'][0] == pytest.approx(1 / 2)
    alone = evaluate_rows(rows[:3], ['A', 'B'], multilabel=False).metrics
    assert 'sources' not in alone


def test_cells_of_which_nobody_knows_count_for_their_label_alone():
    rows = [
        row(0, 'A|B?', 0.9, 0.9),
        row(1, 'B', 0.8, 0.6),
        row(2, 'A?', 0.9, 0.7),
        row(3, 'A|C?', 0.2, 0.1),
        row(4, 'A?|B?', 0.2, 0.9),
    ]
    measured = evaluate_rows(rows, ['A', 'B'], multilabel=True)
    assert measured.unknown == () and measured.unmeasured == 0
    found = measured.metrics['classes']
    assert found['A']['counts'] == {'tp': 1, 'fp': 1, 'tn': 0, 'fn': 1}
    assert found['B']['counts'] == {'tp': 1, 'fp': 1, 'tn': 1, 'fn': 0}
    assert found['A']['auc'][0] == pytest.approx(0.5)  # .9 and .2 against .8
    one = evaluate_rows([row(0, 'A|B?', 0.9, 0.1), row(1, 'B', 0.4, 0.6), row(2, 'A?', 0.4, 0.6)],
                        ['A', 'B'], multilabel=False)  # fmt: skip
    assert one.metrics['images'] == 2 and one.unmeasured == 0
