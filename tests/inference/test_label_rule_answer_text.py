"""An answer comes with one sentence that says why."""

from napari_cxr.inference.label_rule import LabelRule, answer_reason

OPACITY = LabelRule(('opacity',), True, (0.41,), 'no opacity', {'opacity': [0.38, 0.55]})
FINDINGS = LabelRule(('effusion', 'nodule'), True, (0.2, 0.5), 'No finding')


def said(rule, *probabilities):
    return answer_reason(rule, probabilities).replace('\u00a0', ' ')


def test_one_finding():
    above = 'The probability of opacity, 62 %, is above its threshold, 41 %.'
    assert said(OPACITY, 0.62) == above
    assert said(OPACITY, 0.12) == 'The probability of opacity, 12 %, is below its threshold, 41 %.'
    assert said(OPACITY, 0.45) == (
        'The probability of opacity, 45 %, lies between 38 % and 55 %, where this model does '
        'not decide.'
    )


def test_what_is_apart_is_not_written_alike():
    plain = LabelRule(('opacity',), True, (0.41,), 'no opacity')
    assert said(plain, 0.4086) == (
        'The probability of opacity, 40.9 %, is below its threshold, 41.0 %.'
    )


def test_several_findings():
    assert said(FINDINGS, 0.3, 0.4) == '1 of 2 findings is above its threshold.'
    assert said(FINDINGS, 0.3, 0.6) == '2 of 2 findings are above their thresholds.'
    assert said(FINDINGS, 0.1, 0.4) == 'Nothing is above its threshold.'


def test_classes_that_exclude_each_other_need_no_reason():
    assert said(LabelRule(('a', 'b')), 0.3, 0.7) == ''
