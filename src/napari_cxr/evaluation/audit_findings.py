"""What an audit found, source by source and as sentences, the most serious first."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from napari_cxr.evaluation.variable_audit import VariableAudit
from napari_cxr.messages import message_type

__all__ = ['NO_SOURCE', 'SourceAudit', 'audit_findings']

#: What images without a source are called.
NO_SOURCE = 'no source'

#: A source whose no-anatomy baseline has a lower bound above this is called out.
_FORMAT = 0.8
#: Fraction of a source's labels that are doubted, above which its labels are called noisy.
_NOISY = 0.05
#: Within a source, a variable whose AUC has a lower bound above this, chance, is called out.
_WITHIN = 0.5
#: Years by which the median ages of two sources differ, for it to be said.
_YEARS = 15
#: Classes that are named in one sentence.
_MOST_NAMED = 6


@message_type
@dataclass(frozen=True)
class SourceAudit:
    """One source of a data set.

    Parameters
    ----------
    name : str
        Of the source; 'no source' where none is known.
    counts : dict of str to int
        Images by class.
    baseline : tuple of float
        Macro AUC within this source of a classifier that sees image size, borders and grey
        levels only, with its 95 % interval; empty where it has one class or too few patients.
    judged, doubted : int
        Images whose label was compared with others of this source, and those of them whose
        label is doubted.
    variables : tuple of VariableAudit
        What view, age and sex tell about the class within this source.
    median_age : float
        Of its patients in years; NaN where no age is known.
    """

    name: str
    counts: dict[str, int]
    baseline: tuple[float, ...]
    judged: int
    doubted: int
    variables: tuple[VariableAudit, ...]
    median_age: float


def audit_findings(
    copies: Sequence[Sequence[int]],
    frontal: Sequence[str],
    variables: Sequence[VariableAudit],
    by_source: Sequence[SourceAudit],
    warnings: Sequence[str],
) -> tuple[str, ...]:
    """Return what was found, as sentences.

    Parameters
    ----------
    copies : sequence of sequence of int
        Images with the same bytes and different labels.
    frontal : sequence of str
        The kind of each image, see `napari_cxr.lungs.frontal_check`.
    variables : sequence of VariableAudit
        What each variable tells about the class.
    by_source : sequence of SourceAudit
        The sources.
    warnings : sequence of str
        Those of `napari_cxr.training.dataset_survey.dataset_warnings`.
    """
    out = []
    if copies:
        count = sum(map(len, copies))
        out.append(
            f'{count:,} files are byte for byte copies of a file with another label; at most one '
            'label of each can be right. Exclude them, or correct the labels.'
        )
    out += warnings
    out += [one.text for one in variables if one.answer in ('yes', 'partly')]
    out += _about_sources(by_source)
    out += _about_labels(by_source)
    if sentence := _about_views(frontal):
        out.append(sentence)
    return tuple(dict.fromkeys(out))


def _about_sources(by_source: Sequence[SourceAudit]) -> Iterator[str]:
    for source in by_source if len(by_source) > 1 else ():
        if source.baseline and source.baseline[1] > _FORMAT:
            value, low, high = source.baseline
            yield (
                f'Within {source.name}, a classifier that sees only image size, borders and grey '
                f'levels reaches a macro AUC of {value:.3f} ({low:.3f} to {high:.3f}): its '
                'classes were not recorded alike, so even a result within this source proves '
                'little.'
            )

    for source in by_source if len(by_source) > 1 else ():
        for one in source.variables:
            if one.auc and one.auc[1] > _WITHIN:
                value, low, high = one.auc
                yield (
                    f'Within {source.name}, the {one.name} alone reaches a macro AUC of '
                    f'{value:.3f} ({low:.3f} to {high:.3f}){_shares(one)}.'
                )
    ages = {s.name: s.median_age for s in by_source if math.isfinite(s.median_age)}
    if ages and max(ages.values()) - min(ages.values()) > _YEARS:
        listed = ', '.join(f'{name} {age:.0f}' for name, age in ages.items())
        yield (
            f'The sources differ in age. Median in years: {listed}. What holds for one need not '
            'hold for another.'
        )


def _shares(variable: VariableAudit) -> str:
    """Return how often each class has the most frequent value, if there are few values."""
    if not 2 <= len(variable.counts) <= _MOST_NAMED:
        return ''
    value, counts = next(iter(variable.counts.items()))
    totals = {label: sum(of.get(label, 0) for of in variable.counts.values()) for label in counts}
    listed = ', '.join(
        f'{counts[label] / total:.0%} of {label}' for label, total in totals.items() if total
    )
    return f': {value} are {listed}'


def _about_labels(by_source: Sequence[SourceAudit]) -> Iterator[str]:
    for source in by_source:
        if source.judged and source.doubted / source.judged > _NOISY:
            fraction = source.doubted / source.judged
            named = (
                '' if source.name == NO_SOURCE and len(by_source) == 1 else f' of {source.name}'
            )
            yield (
                f'{source.doubted:,} of {source.judged:,} labels{named} ({fraction:.0%}) disagree '
                'with what the other images suggest: many labels are wrong, or the classes look '
                'alike there. Read the most doubtful ones first.'
            )
    single = [s for s in by_source if not s.judged]
    if single and len(single) < len(by_source):
        names = ', '.join(s.name for s in single[:_MOST_NAMED])
        yield (
            f'The labels of {names} could not be judged, because these sources have one class, or '
            'too few patients of a second one.'
        )
    elif single:
        yield 'No label could be judged: each class needs ten patients within a source.'


def _about_views(frontal: Sequence[str]) -> str:
    kinds = Counter(kind for kind in frontal if kind not in ('', 'frontal'))
    if not kinds:
        return ''
    words = {'other': 'something else', 'inverted': 'with black and white exchanged'}
    listed = ', '.join(f'{count} {words.get(kind, kind)}' for kind, count in kinds.most_common())
    total = sum(kinds.values())
    return (
        f'{total:,} of {len(frontal):,} images do not look like upright frontal chest radiographs '
        f'({listed}). Look at them before you train.'
    )
