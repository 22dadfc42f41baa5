"""Why an image got its answer, in one sentence."""

from __future__ import annotations

from collections.abc import Sequence

from napari_cxr.inference.label_rule import LabelRule

__all__ = ['NOTHING_ABOVE', 'percent', 'reason']

NOTHING_ABOVE = 'Nothing is above its threshold.'


def reason(rule: LabelRule, probabilities: Sequence[float]) -> str:
    """Say why an image got its answer; nothing where classes exclude each other.

    Parameters
    ----------
    rule : LabelRule
        How the answer came about.
    probabilities : sequence of float
        Of each label.

    Returns
    -------
    str
        For instance 'The probability of opacity, 62 %, is above its threshold, 41 %.'
    """
    if not rule.several:
        return ''
    known = dict(zip(rule.labels, probabilities, strict=True))
    if doubtful := rule.in_doubt(probabilities):
        label = doubtful[0]
        band = rule.band(label)
        assert band is not None
        (p_low, low), (p_high, high) = (apart(known[label], end) for end in band)
        return (
            f'The probability of {label}, {max(p_low, p_high, key=len)}, lies between {low} '
            f'and {high}, where this model does not decide.'
        )
    above = rule.above(probabilities)
    if len(rule.labels) > 1:
        if not above:
            return NOTHING_ABOVE
        return (
            f'{len(above)} of {len(rule.labels)} findings {"is" if len(above) == 1 else "are"} '
            f'above {"its threshold" if len(above) == 1 else "their thresholds"}.'
        )
    (label,) = rule.labels
    where = 'above' if above else 'below'
    # Numbers that are written alike must not be said to be apart.
    p, threshold = apart(known[label], rule.threshold(label))
    return f'The probability of {label}, {p}, is {where} its threshold, {threshold}.'


def percent(p: float, digits: int = 0) -> str:
    """Return a probability in per cent."""
    return f'{100 * p:.{digits}f}\u00a0%'


def apart(p: float, q: float) -> tuple[str, str]:
    """Return two probabilities with as few digits as tell them apart, at most three."""
    for digits in range(3):
        if (first := percent(p, digits)) != (second := percent(q, digits)):
            return first, second
    return percent(p, 3), percent(q, 3)
