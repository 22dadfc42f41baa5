"""One row of the table, and the run it belongs to: columns, values, JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from napari_cxr.inference.label_rule import NO_FINDING, LabelRule
from napari_cxr.inference.prediction import ImageWarning
from napari_cxr.messages import message_type
from napari_cxr.settings_file import parse_json

__all__ = [
    'IDENTITY',
    'NO_FINDING',
    'ScoreRow',
    'ScoringRun',
    'row_values',
    'stored_name',
    'table_columns',
]

#: What `--identify` adds, by its keyword in PS3.6.
IDENTITY = {
    'patient_id': 'PatientID',
    'patient_name': 'PatientName',
    'study_date': 'StudyDate',
    'accession_number': 'AccessionNumber',
    'study_uid': 'StudyInstanceUID',
    'series_uid': 'SeriesInstanceUID',
    'instance_uid': 'SOPInstanceUID',
}


@message_type
@dataclass(frozen=True, slots=True)
class ScoreRow:
    """What is known of one file.

    Parameters
    ----------
    number : int
        Its place in the listing, from 0.
    path : str
        As it was given.
    status : {'scored', 'error'}
        Whether there are probabilities.
    error : str
        Why there are none.
    label : str
        The most probable class; of several labels, see `LabelRule.label`.
    probabilities : tuple of float
        Of each class, in the model's order.
    above : tuple of str
        Where an image can have several labels: those that reach their thresholds, the furthest
        above first.
    answer : str
        The label, or 'cannot say' or 'no class stands out'; empty in tables that have no rule.
    called : tuple of str
        The classes whose probability reaches the threshold that was asked for.
    truth, source, patient : str
        What a table or the folders say of it: its label (several are joined by '|', and
        `NO_FINDING` is none of several), its collection or hospital, and a number
        that tells patients apart, see `Item`.
    split : str
        The split that a table or the folders put it in: 'train', 'val', 'test', or empty.
    model_split : str
        The split that it was in when the model was trained, or empty where it was in none.
    view : str
        By its header.
    warnings : tuple of ImageWarning
        Reasons to trust it less; those that doubt the image come first.
    heatmap : str
        The picture with the heatmap of its class.
    peak_in_lung : bool or None
        Whether the peak of that heatmap lies in a lung; None without heatmaps, and of one
        that has no peak.
    peak_region : str
        Where it lies, as `HeatmapLocation.region`.
    half_peak_lung_fraction : float or None
        The fraction in the lungs of the area above half of the peak.
    lung_share, lung_share_if_even, frame_share : float or None
        Of that heatmap: its share in the lungs, what that would be if it were even, and
        its share at the edge of what the network saw.
    lung_field : str
        What the lungs come from, see `LungField.source`; empty without shares.
    device, backend, precision : str
        Where, by what, and in what it was computed; `backend` is empty in rows of version 0.1.
    decoded : str
        At what part of its size the file was decoded: '1', '1/2', '1/4' …; empty in rows from
        before it was stated, when it was always 1.
    identity : dict of str to str
        Entries of `IDENTITY`, where a person asked for them.
    """

    number: int
    path: str
    status: Literal['scored', 'error']
    error: str = ''
    label: str = ''
    probabilities: tuple[float, ...] = ()
    above: tuple[str, ...] = ()
    answer: str = ''
    called: tuple[str, ...] = ()
    truth: str = ''
    source: str = ''
    patient: str = ''
    split: str = ''
    model_split: str = ''
    view: str = ''
    warnings: tuple[ImageWarning, ...] = ()
    heatmap: str = ''
    peak_in_lung: bool | None = None
    peak_region: str = ''
    half_peak_lung_fraction: float | None = None
    lung_share: float | None = None
    lung_share_if_even: float | None = None
    frame_share: float | None = None
    lung_field: str = ''
    device: str = ''
    precision: str = ''
    backend: str = ''
    decoded: str = ''
    identity: dict[str, str] = field(default_factory=dict)

    @property
    def doubts(self) -> tuple[str, ...]:
        """Codes of the warnings that say that this is no image for the model."""
        return tuple(warning.code for warning in self.warnings if warning.doubts_the_image)

    def to_json(self) -> str:
        """Return it as one line of JSON, without entries that are as they always are."""
        entries: dict[str, Any] = {}
        for one in fields(self):
            name, value = one.name, getattr(self, one.name)
            if name == 'warnings':  # stored under its first name
                name, value = 'cautions', [[warning.code, warning.text] for warning in value]
            if value not in ('', (), [], None, {}):
                entries[name] = value
        return json.dumps(entries, separators=(',', ':'))

    @classmethod
    def from_json(cls, line: str) -> ScoreRow:
        """Read what `to_json` wrote; raises ValueError, TypeError or KeyError if it is not."""
        entries = parse_json(line)
        for name in ('probabilities', 'above', 'called'):
            entries[name] = tuple(entries.get(name, ()))
        entries['warnings'] = tuple(ImageWarning(*pair) for pair in entries.pop('cautions', ()))
        return cls(**entries)


#: What an entry of a run is called in journals, where that is not the attribute's name.
_STORED_NAMES = {'multilabel': 'several'}


def stored_name(attribute: str) -> str:
    """Return what an attribute of `ScoringRun` is called in journals."""
    return _STORED_NAMES.get(attribute, attribute)


@message_type
@dataclass(frozen=True)
class ScoringRun:
    """What all rows of a table have in common.

    Parameters
    ----------
    model, model_hash : str
        Name of the model and the first 12 digits of its file's SHA-256.
    labels : tuple of str
        Its classes.
    preprocessing : dict
        As in its card.
    version : str
        Version of napari-cxr.
    multilabel : bool
        Whether an image can have several of the classes.
    rule : mapping
        What decides, as `LabelRule.to_dict` returns it. Empty in tables that were written
        before there were thresholds or a margin; the table has no column ``answer`` then.
    decision, heatmaps, shares, identify, truth, patients : bool
        Whether the table has columns for the classes called, for pictures of heatmaps, for
        where heatmaps lie, for identities, for labels that are known, and for numbers that tell
        patients apart.
    backend, peaks, decoded, splits, model_split : bool
        Whether it has columns for the backend, for the peaks of heatmaps and for the size of
        decoding, which earlier tables of version 0.1 lack, for splits that are given, and for
        those of the model's own run, where its images are known.
    """

    model: str
    model_hash: str
    labels: tuple[str, ...]
    preprocessing: Mapping[str, Any]
    version: str
    multilabel: bool = False
    rule: Mapping[str, Any] = field(default_factory=dict)
    decision: bool = False
    heatmaps: bool = False
    shares: bool = False
    identify: bool = False
    truth: bool = False
    patients: bool = False
    backend: bool = False
    decoded: bool = False
    peaks: bool = False
    splits: bool = False
    model_split: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return its entries by the names that they have in journals."""
        return {stored_name(name): value for name, value in asdict(self).items()}

    @property
    def label_rule(self) -> LabelRule:
        """How probabilities became labels; raises ValueError where `rule` cannot be one."""
        return LabelRule.from_dict(self.labels, self.multilabel, self.rule)


#: What is in a column: a text, several, a number or none, or entries by name.
ColumnKind = Literal['text', 'texts', 'number', 'table']


def table_columns(run: ScoringRun) -> dict[str, ColumnKind]:
    """Return the columns of a run's table in order, and what is in each."""
    out: dict[str, ColumnKind] = dict.fromkeys(('path', 'status', 'error', 'label'), 'text')
    out |= dict.fromkeys((f'p_{label}' for label in run.labels), 'number')
    if run.rule:
        out['answer'] = 'text'
    if 'thresholds' in run.rule:
        out['above'] = 'texts'
    if run.decision:
        out['called'] = 'texts'
    if run.truth:
        out['truth'] = 'text'
    if run.patients:
        out['patient'] = 'text'
    if run.splits:
        out['split'] = 'text'
    if run.model_split:
        out['model_split'] = 'text'
    out |= {'view': 'text', 'source': 'text', 'doubts': 'texts', 'warnings': 'texts'}
    if run.heatmaps:
        out['heatmap'] = 'text'
    if run.peaks:
        out |= {'heatmap_peak_in_lung': 'number', 'heatmap_peak_region': 'text'}
        out['heatmap_half_peak_lung_fraction'] = 'number'
    if run.shares:
        out |= dict.fromkeys(
            ('heatmap_lung_share', 'heatmap_lung_share_if_even', 'heatmap_frame_share'), 'number'
        )
        out['lung_field'] = 'text'
    out |= {'model': 'text', 'model_hash': 'text', 'preprocessing': 'table'}
    if run.rule:
        out['rule'] = 'table'
    out['version'] = 'text'
    out |= {'device': 'text', 'precision': 'text'}
    if run.backend:
        out['backend'] = 'text'
    if run.decoded:
        out['decoded'] = 'text'
    if run.identify:
        out |= dict.fromkeys(IDENTITY, 'text')
    return out


def row_values(row: ScoreRow, run: ScoringRun) -> dict[str, Any]:
    """Return what is in each column for a row: None where there is no number.

    Probabilities are rounded to 7 digits, which is what single precision can tell.
    """
    shares: Sequence[float | None] = row.probabilities or [None] * len(run.labels)
    every = {
        'path': row.path,
        'status': row.status,
        'error': row.error,
        'label': row.label,
        **{f'p_{name}': _rounded(p) for name, p in zip(run.labels, shares, strict=True)},
        'answer': row.answer,
        'above': list(row.above),
        'called': list(row.called),
        'truth': row.truth,
        'patient': row.patient,
        'split': row.split,
        'model_split': row.model_split,
        'view': row.view,
        'source': row.source,
        'doubts': list(row.doubts),
        'warnings': [caution.text for caution in row.warnings],
        'heatmap': row.heatmap,
        'heatmap_peak_in_lung': None if row.peak_in_lung is None else int(row.peak_in_lung),
        'heatmap_peak_region': row.peak_region,
        'heatmap_half_peak_lung_fraction': _rounded(row.half_peak_lung_fraction),
        'heatmap_lung_share': _rounded(row.lung_share),
        'heatmap_lung_share_if_even': _rounded(row.lung_share_if_even),
        'heatmap_frame_share': _rounded(row.frame_share),
        'lung_field': row.lung_field,
        'model': run.model,
        'model_hash': run.model_hash,
        'preprocessing': dict(run.preprocessing),
        'rule': dict(run.rule),
        'version': run.version,
        'device': row.device,
        'precision': row.precision,
        'backend': row.backend,
        'decoded': row.decoded,
        **{name: row.identity.get(name, '') for name in IDENTITY},
    }
    return {name: every[name] for name in table_columns(run)}


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 7)
