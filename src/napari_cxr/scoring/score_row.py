"""One row of the table, and the run it belongs to: columns, values, JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
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
    'stored_name',
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
    possible : tuple of str
        The classes that cannot be excluded, where the model says so.
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
    marker_fraction, marker_fraction_uniform : float or None
        Of that heatmap: its fraction on burnt-in text and side markers, and what that would be if
        it were uniform; 0 where there are none.
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
    possible: tuple[str, ...] = ()
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
    marker_fraction: float | None = None
    marker_fraction_uniform: float | None = None
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

    @property
    def half_peak_lung_lift(self) -> float | None:
        """How many times as much as by chance of the area above half of the peak is lung.

        None without lungs, or where the network saw none of them.
        """
        if self.half_peak_lung_fraction is None or not self.lung_share_if_even:
            return None
        # Of the digits that a table has, so that it is the same when it is read back.
        uniform = round(self.lung_share_if_even, 7)
        return round(self.half_peak_lung_fraction, 7) / uniform if uniform else None

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
        for name in ('probabilities', 'above', 'called', 'possible'):
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
    backend, peaks, markers, lift, decoded, splits, model_split : bool
        Whether it has columns for the backend, for the peaks of heatmaps, what of them lies on
        markers and how far they exceed chance, and for the size of
        decoding, which earlier tables of version 0.1 lack, for splits that are given, and for
        those of the model's own run, where its images are known.
    tidy : bool
        Whether each column holds one value. Earlier tables of version 0.1 hold lists and tables in
        some of their cells, see `napari_cxr.scoring.table_layout`.
    possible : bool
        Whether it has columns for the classes that cannot be excluded, where the model's card
        says from which probability on that is so.
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
    markers: bool = False
    lift: bool = False
    splits: bool = False
    model_split: bool = False
    tidy: bool = False
    possible: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return its entries by the names that they have in journals."""
        return {stored_name(name): value for name, value in asdict(self).items()}

    @property
    def label_rule(self) -> LabelRule:
        """How probabilities became labels; raises ValueError where `rule` cannot be one."""
        return LabelRule.from_dict(self.labels, self.multilabel, self.rule)
