"""What the bars of a result say: their order, their groups, and where thresholds lie. No Qt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from napari_cxr.inference.answer_text import percent
from napari_cxr.inference.label_rule import LabelRule
from napari_cxr.metrics.calibration import normalised
from napari_cxr.plugin.classify.finding_groups import group_of

__all__ = ['BarRow', 'Group', 'groups_of']

#: Of more findings than this the bars stand in groups.
_MANY = 8


@dataclass(frozen=True)
class BarRow:
    """One bar.

    Parameters
    ----------
    label : str
        The class or finding.
    probability : float
        Its probability, which is written beside it.
    length : float
        How much of the bar is filled, 0 to 1.
    mark : float or None
        Where on the bar its threshold lies; None where there is none.
    band : tuple of float, optional
        From where to where on the bar nothing is decided.
    word : {'', 'above', 'below', 'undecided'}
        Where the probability lies.
    tip : str
        All of it in one sentence.
    """

    label: str
    probability: float
    length: float
    mark: float | None = None
    band: tuple[float, float] | None = None
    word: str = ''
    tip: str = ''


@dataclass(frozen=True)
class Group:
    """Bars under one heading, which is empty where there is but one group."""

    title: str
    rows: tuple[BarRow, ...]


def groups_of(rule: LabelRule, probabilities: Sequence[float]) -> tuple[Group, ...]:
    """Return the bars of a result.

    Classes that exclude each other stand in the model's order. Findings stand from the
    furthest above its threshold to the furthest below; where there are many, in groups, of
    which that with the furthest finding is the first. The bar of a single finding shows its
    probability as it is. Of several findings, whose thresholds may be a hundredfold apart, the
    middle of each bar is the threshold, so that bars can be compared.

    Parameters
    ----------
    rule : LabelRule
        What decides.
    probabilities : sequence of float
        Of each label.
    """
    known = dict(zip(rule.labels, probabilities, strict=True))
    if not rule.several:
        rows = tuple(
            BarRow(label, p, p, tip=f'{label}: {percent(p, 1)}') for label, p in known.items()
        )
        return (Group('', rows),)
    ordered = [_finding(rule, label, known[label]) for label in rule.ordered(probabilities)]
    if len(ordered) <= _MANY:
        return (Group('', tuple(ordered)),)
    found: dict[str, list[BarRow]] = {}
    for row in ordered:
        found.setdefault(group_of(row.label), []).append(row)
    return tuple(Group(title, tuple(rows)) for title, rows in found.items())


def _finding(rule: LabelRule, label: str, p: float) -> BarRow:
    threshold, band = rule.threshold(label), rule.band(label)
    word = 'above' if p >= threshold else 'below'
    tip = f'{label}: {percent(p, 1)}, {word} its threshold of {percent(threshold, 1)}.'
    if band is not None:
        tip += f' Between {percent(band[0], 1)} and {percent(band[1], 1)} this model does not '
        tip += 'decide.'
        word = 'undecided' if rule.is_undecided(label, p) else word

    def on_bar(value: float) -> float:
        return value if len(rule.labels) == 1 else float(normalised(value, threshold))

    return BarRow(
        label,
        p,
        on_bar(p),
        on_bar(threshold),
        None if band is None else (on_bar(band[0]), on_bar(band[1])),
        word,
        tip,
    )
