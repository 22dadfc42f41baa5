"""How far readers agree, in sentences: a plain one for each comparison, and the statistics."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby

from napari_cxr.metrics.confidence_intervals import Interval
from napari_cxr.scoring.annotation.agreement import Agreement, AgreementReport, Reading
from napari_cxr.scoring.annotation.csv_export import count_text

__all__ = ['agreement_sentences', 'agreement_statistics', 'reading_sentences']

_ONE_READER = (
    'There is one reader so far. Agreement is shown when a second reader, or the same one a '
    'second time, has labelled some of the same images.'
)

#: Days that a person should wait before the second reading.
PAUSE_DAYS = 14


def reading_sentences(report: AgreementReport) -> list[str]:
    """Return one sentence for each reading: how many images, and how fast."""
    return [_reading(reading, report.images) for reading in report.readings if _started(reading)]


def agreement_sentences(report: AgreementReport) -> list[str]:
    """Return what a person wants to know first: on how many images readers agree."""
    persons = {r.reader.name.casefold() for r in report.readings if _is_person(r)}
    if not persons:
        return ['Nobody has labelled an image of this table yet.']
    out = []
    for _, same in groupby([*report.pairs, *report.together], key=lambda each: each.readers):
        out.append(_sentence(list(same)))
    if not out:
        return [_ONE_READER]
    if report.disagreements:
        left = len(report.disagreements) - report.settled
        images = count_text(len(report.disagreements), 'image')
        rest = f'{left:,} left to settle' if left else 'all are settled'
        out.append(f'Readers disagree on {images}: {rest}.')
    elif len(persons) > 1:
        out.append('Readers disagree on no image.')
    return out


def agreement_statistics(report: AgreementReport) -> list[str]:
    """Return kappa of each comparison with its interval, and what the figures are about."""
    out = []
    for each in (*report.pairs, *report.together):
        name = 'Cohen’s kappa' if len(each.readers) == 2 else 'Fleiss’ kappa'
        label = f', {each.label}' if each.label else ''
        out.append(
            f'{_names(each)}{label}: {name} {_kappa(each.kappa)}; {each.agreed:,} of '
            f'{count_text(each.images, "image")} alike, {_percent(each.fraction)}'
            + (f'; {each.left_out:,} unsure or not usable left out' if each.left_out else '')
            + '.'
        )
    if out:
        unit = (
            'Intervals are by patient.'
            if report.patients_known
            else 'Intervals are by image, because the table does not tell patients apart.'
        )
        few = any(not math.isfinite(each.kappa.low) for each in (*report.pairs, *report.together))
        out.append(f'{unit} Kappa is 1 for full agreement and 0 for that of chance.')
        if few:
            out.append('Kappa has no interval for fewer than ten patients, or full agreement.')
    return out


def _sentence(same: Sequence[Agreement]) -> str:
    first = same[0]
    images = count_text(first.images, 'image')
    if first.is_of_one_person:
        who = f'{first.readers[0].name or "The reader without a name"} gave the same answer twice'
    else:
        who = f'{_names(first)} agree'
    if not first.label or len(same) == 1:
        percent = f'{100 * first.fraction.value:.0f} %'
        return f'{who} on {first.agreed:,} of {images} ({percent}).'
    parts = ', '.join(f'{each.label} {each.agreed:,}' for each in same)
    return f'{who}, of {images}: {parts}.'


def _names(agreement: Agreement) -> str:
    titles = [reader.title for reader in agreement.readers]
    return f'{", ".join(titles[:-1])} and {titles[-1]}'


def _reading(reading: Reading, images: int) -> str:
    counts, seconds = reading.counts, reading.seconds
    parts = [f'{reading.reader.title}: {counts.read:,} of {images:,}']
    if counts.unusable:
        parts.append(f'{counts.unusable:,} not usable')
    if counts.unsure:
        parts.append(f'{counts.unsure:,} unsure')
    if reading.blinded:
        all_blinded = reading.blinded == counts.read
        parts.append('blinded' if all_blinded else f'{reading.blinded:,} blinded')
    if math.isfinite(seconds):
        parts.append(f'{seconds:.0f} s an image' if seconds >= 10 else f'{seconds:.1f} s an image')
    return ', '.join(parts) + '.'


def _is_person(reading: Reading) -> bool:
    return _started(reading) and not reading.reader.is_consensus


def _started(reading: Reading) -> bool:
    return bool(reading.counts.read)


def _kappa(interval: Interval) -> str:
    if not math.isfinite(interval.value):
        return 'is not defined, because all labels are the same'
    if not math.isfinite(interval.low):
        return f'{interval.value:.2f}'
    return f'{interval.value:.2f} ({interval.low:.2f} to {interval.high:.2f})'


def _percent(interval: Interval) -> str:
    value, low, high = (100 * each for each in (interval.value, interval.low, interval.high))
    return f'{value:.0f} % ({low:.0f} to {high:.0f})'
