"""Probabilities become a label by thresholds, and no answer is given inside a band."""

import pytest

from napari_cxr.checkpoint import Card
from napari_cxr.inference import Prediction
from napari_cxr.inference.label_rule import CANNOT_SAY, NO_CLASS, LabelRule

FINDINGS = ('effusion', 'nodule', 'hernia')


def findings(**more):
    return LabelRule(FINDINGS, True, (0.2, 0.5, 0.01), 'No finding', **more)


def opacity(**more):
    return LabelRule(('opacity',), True, (0.3,), 'no opacity', **more)


def test_the_label_is_the_one_furthest_above_its_threshold_not_the_most_probable():
    # effusion: 1 - 0.6 / 1.6 = 0.625; nodule: 1 - 0.3 / 1 = 0.7; hernia: 1 - .4 / 1.98 = 0.798
    rule, p = findings(), (0.4, 0.7, 0.6)
    assert rule.distances(p) == pytest.approx((0.625, 0.7, 0.79798), abs=1e-5)
    assert rule.above(p) == ('hernia', 'nodule', 'effusion')
    assert rule.label(p) == rule.leading(p) == 'hernia'
    # The most probable is below its threshold; the least probable is the only one above.
    p = (0.1, 0.45, 0.02)
    assert rule.above(p) == ('hernia',) and rule.label(p) == 'hernia'
    assert rule.ordered(p) == ('hernia', 'nodule', 'effusion')


def test_a_label_is_predicted_at_its_threshold_and_not_just_below():
    assert opacity().above((0.3,)) == ('opacity',)
    assert opacity().above((0.2999999,)) == ()
    assert opacity().label((0.2999999,)) == 'no opacity'


def test_without_any_above_the_label_is_the_negative_word():
    p = (0.1, 0.2, 0.001)
    assert findings().above(p) == () and findings().label(p) == 'No finding'
    assert findings().leading(p) == 'effusion'  # 0.25 against 0.2 and 0.05
    assert findings().answer(p) == 'No finding'


def test_between_the_two_of_a_band_there_is_no_answer():
    rule = opacity(undecided={'opacity': [0.2, 0.6]})
    answers = {p: rule.answer((p,)) for p in (0.2, 0.21, 0.3, 0.59, 0.6)}
    assert answers == {
        0.2: 'no opacity',
        0.21: CANNOT_SAY,
        0.3: CANNOT_SAY,
        0.59: CANNOT_SAY,
        0.6: 'opacity',
    }
    assert rule.label((0.21,)) == 'no opacity' and rule.label((0.3,)) == 'opacity'
    assert opacity(undecided={'opacity': [0.3, 0.3]}).answer((0.3,)) == 'opacity'


def test_of_several_labels_that_decides_which_the_answer_would_name():
    rule = findings(undecided={'effusion': [0.15, 0.3], 'nodule': [0.4, 0.6]})
    assert rule.answer((0.25, 0.7, 0.001)) == 'nodule'  # effusion is in its band, nodule leads
    assert rule.answer((0.25, 0.1, 0.001)) == CANNOT_SAY
    # That there is nothing can be said only where nothing is in its band.
    p = (0.1, 0.41, 0.001)
    assert rule.label(p) == 'No finding' and rule.answer(p) == CANNOT_SAY
    assert rule.in_doubt(p) == ('nodule',)
    assert rule.in_doubt((0.16, 0.41, 0.001)) == ('nodule', 'effusion')


def test_of_classes_that_exclude_each_other_the_most_probable_is_it():
    rule = LabelRule(('covid19', 'normal', 'pneumonia'))
    p = (0.2, 0.45, 0.35)
    assert rule.label(p) == rule.answer(p) == rule.leading(p) == 'normal'
    assert rule.above(p) == ('normal',)
    assert rule.ordered(p) == ('normal', 'pneumonia', 'covid19')
    assert rule.label((0.5, 0.5, 0.0)) == 'covid19'  # the first of equals


def test_without_thresholds_one_half_decides():
    rule = LabelRule(('a', 'b'), True, negative='No finding')
    assert rule.label((0.49, 0.2)) == 'No finding' and rule.above((0.5, 0.9)) == ('b', 'a')


def test_a_card_gives_the_rule():
    card = Card(
        name='findings',
        title='',
        architecture='resnet10',
        labels=FINDINGS,
        channels=1,
        preprocessing={'height': 64, 'width': 64, 'channels': 1},
        multilabel=True,
        operating_points={'effusion': {'Youden': 0.2}, 'hernia': {'Youden': 0.01, 'other': 0.9}},
        decision='Youden',
        undecided={'effusion': [0.1, 0.3]},
    )
    rule = LabelRule.of_card(card)
    assert rule == LabelRule(
        FINDINGS, True, (0.2, 0.5, 0.01), 'No finding', {'effusion': [0.1, 0.3]}
    )


def test_a_prediction_says_the_same():
    said = Prediction(
        labels=('opacity',),
        probabilities=(0.25,),
        logits=(-1.1,),
        multilabel=True,
        thresholds=(0.2,),
        negative='no opacity',
        undecided={'opacity': [0.1, 0.24]},
    )
    assert (said.label, said.above, said.answer) == ('opacity', ('opacity',), 'opacity')
    assert said.leading == 'opacity'


@pytest.mark.parametrize('threshold', [0.1, 0.3, 0.5, 0.7, 0.9])
def test_a_higher_probability_never_gets_an_answer_further_from_the_label(threshold):
    rule = LabelRule(('opacity',), True, (threshold,), 'no opacity', {'opacity': [0.3, 0.7]})
    ranks = {'no opacity': 0, CANNOT_SAY: 1, 'opacity': 2}
    answers = [rule.answer((p,)) for p in (i / 100 for i in range(101))]
    assert [ranks[a] for a in answers] == sorted(ranks[a] for a in answers)
    assert set(answers) == set(ranks)
    # Never an answer that is not the label.
    for i, answer in enumerate(answers):
        assert answer in (CANNOT_SAY, rule.label((i / 100,)))


# -- near ties --------------------------------------------------------------------------------


THREE = LabelRule(('covid19', 'normal', 'pneumonia'), least_margin=0.1)


@pytest.mark.parametrize(
    ('probabilities', 'answer'),
    [
        ((0.270, 0.361, 0.369), NO_CLASS),
        ((0.05, 0.43, 0.52), NO_CLASS),
        ((0.05, 0.425, 0.525), 'pneumonia'),  # just the margin
        ((0.33, 0.32, 0.35), NO_CLASS),
        ((0.4, 0.3, 0.3), 'covid19'),
        ((0.05, 0.15, 0.8), 'pneumonia'),
    ],
)
def test_a_near_tie_of_classes_is_no_answer(probabilities, answer):
    assert THREE.answer(probabilities) == answer
    assert THREE.near_tie(probabilities) == (answer == NO_CLASS)
    # The label is the most probable class all the same: metrics count by it.
    labels = dict(zip(THREE.labels, probabilities, strict=True))
    assert THREE.label(probabilities) == max(labels, key=labels.get)


def test_seven_digits_of_a_table_give_the_same_answer():
    exactly = (0.1, 0.4, 0.5)  # of which the difference is less than 0.1 in binary
    assert 0.5 - 0.4 < 0.1
    assert THREE.answer(exactly) == 'pneumonia'


def test_the_margin_goes_through_json():
    assert THREE.to_dict() == {'least_margin': 0.1}
    assert LabelRule.from_dict(THREE.labels, False, THREE.to_dict()) == THREE
    assert LabelRule(('a', 'b')).to_dict() == {}
    assert LabelRule(('a', 'b')).answer((0.5, 0.5)) == 'a'
    for wrong in ({'least_margin': 'much'}, {'least_margin': 2}, {'other': 1}):
        with pytest.raises(ValueError, match='no rule'):
            LabelRule.from_dict(('a', 'b'), False, wrong)


def test_which_answer_is_no_label():
    assert THREE.undecided_answer == NO_CLASS
    assert LabelRule(('a', 'b')).undecided_answer == ''
    assert opacity(undecided={'opacity': [0.2, 0.4]}).undecided_answer == CANNOT_SAY
    assert opacity().undecided_answer == ''
