"""Patients, their studies, series and images, in order; and which images belong together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from os.path import dirname
from typing import Any

from napari_cxr.radiograph import View
from napari_cxr.studies.study_index import IndexedImage

__all__ = [
    'BY_DATE',
    'ORDERS',
    'Patient',
    'Series',
    'Study',
    'companion_view',
    'group_studies',
    'image_text',
    'interval_text',
    'matches',
    'prior_image',
]

_SECONDS_A_DAY = 86_400
_FRONTAL = {str(view) for view in View if view.is_frontal}
_LATERAL = str(View.LATERAL)


@dataclass(eq=False)
class Series:
    """Images of one series, by their number.

    Parameters
    ----------
    key : str
        Its pseudonym, or the folder of pictures.
    images : list of IndexedImage
        At least one.
    """

    key: str
    images: list[IndexedImage] = field(default_factory=list)


@dataclass(eq=False)
class Study:
    """Series of one study, by their number.

    Parameters
    ----------
    key : str
        Its pseudonym, or the folder of pictures.
    series : list of Series
        At least one.
    taken : int or None
        Its shifted time, see `HeaderSummary`.
    """

    key: str
    series: list[Series] = field(default_factory=list)
    taken: int | None = None

    @property
    def images(self) -> list[IndexedImage]:
        """All images of the study, in order."""
        return [image for one in self.series for image in one.images]


@dataclass(eq=False)
class Patient:
    """Studies of one patient, the latest first.

    Parameters
    ----------
    key : str
        The pseudonym; where the header has none, that of the study; a folder of pictures.
    studies : list of Study
        At least one.
    """

    key: str
    studies: list[Study] = field(default_factory=list)

    @property
    def images(self) -> list[IndexedImage]:
        """All images of the patient, in order."""
        return [image for study in self.studies for image in study.images]

    @property
    def latest(self) -> int | None:
        """When the latest study was made."""
        return self.studies[0].taken


def group_studies(
    images: Iterable[IndexedImage], order: str = '', dates: Mapping[str, str] | None = None
) -> list[Patient]:
    """Group images by patient, study and series.

    Images without a Patient ID are grouped by study, so that nobody's images are pooled with
    another's; pictures that are not DICOM by their folder.

    Parameters
    ----------
    images : iterable of IndexedImage
        In the order of their files.
    order : str
        One of `ORDERS`; by default that of the files.
    dates : mapping of str to str, optional
        Days of studies by their key, as they are written in headers or with hyphens, for
        `BY_DATE`. Patients without one come last.
    """
    patients: dict[str, Patient] = {}
    studies: dict[tuple[str, str], Study] = {}
    series: dict[tuple[str, str, str], Series] = {}
    for image in images:
        who, which, what = _keys(image)
        patient = patients.get(who)
        if patient is None:
            patient = patients[who] = Patient(who)
        study = studies.get((who, which))
        if study is None:
            study = studies[who, which] = Study(which)
            patient.studies.append(study)
        one = series.get((who, which, what))
        if one is None:
            one = series[who, which, what] = Series(what)
            study.series.append(one)
        one.images.append(image)
        if image.header is not None and image.header.taken is not None:
            study.taken = min(image.header.taken, study.taken or image.header.taken)
    for patient in patients.values():
        patient.studies.sort(key=_latest_first)
        for study in patient.studies:
            for one in study.series:
                one.images.sort(key=_number)
            study.series.sort(key=lambda one: _series_number(one.images[0]))
    found = list(patients.values())
    key = ORDERS.get(order)
    if key is not None:
        found.sort(key=key)
    elif order == BY_DATE:
        known = dates or {}
        found.sort(
            key=lambda patient: max(known.get(study.key, '') for study in patient.studies),
            reverse=True,
        )
    return found


def _keys(image: IndexedImage) -> tuple[str, str, str]:
    header = image.header
    if header is None:
        folder = dirname(image.path)
        return folder, folder, folder
    study = header.study or header.instance or image.path
    return header.patient or study, study, header.series


def _latest_first(study: Study) -> tuple[bool, int]:
    return study.taken is None, -(study.taken or 0)


def _number(image: IndexedImage) -> tuple[int, str]:
    return (image.header.image_number if image.header else 0), image.path


def _series_number(image: IndexedImage) -> int:
    return image.header.series_number if image.header else 0


#: By the latest study, the latest first; needs the dates themselves.
BY_DATE = 'Latest date'

#: What patients can be sorted by, as a person reads it.
ORDERS: dict[str, Callable[[Patient], Any] | None] = {
    'Folder order': None,
    BY_DATE: None,
    'Most studies': lambda patient: -len(patient.studies),
    'Most images': lambda patient: -len(patient.images),
    'Patient': lambda patient: patient.key,
}


def image_text(image: IndexedImage) -> str:
    """Return what an image is in a few words, without identity: 'DX PA', 'PNG'."""
    header = image.header
    if header is None:
        return image.format
    view = '' if header.view == str(View.UNKNOWN) else header.view
    return ' '.join(part for part in (header.modality or 'DICOM', view) if part)


def interval_text(study: Study, patient: Patient) -> str:
    """Return when a study was made: 'Latest study', '214 days earlier', 'Date not known'."""
    if study.taken is None or patient.latest is None:
        return 'Date not known' if len(patient.studies) > 1 else 'Study'
    if study is patient.studies[0]:
        return 'Latest study' if len(patient.studies) > 1 else 'Study'
    seconds = patient.latest - study.taken
    days = seconds // _SECONDS_A_DAY
    if days < 1:
        hours = seconds // 3600
        return f'{_count(hours, "hour")} earlier' if hours else 'Less than an hour earlier'
    if days < 60:
        return f'{_count(days, "day")} earlier'
    if days < 730:
        return f'{_count(round(days / 30.44), "month")} earlier'
    return f'{days / 365.25:.1f} years earlier'


def matches(text: str, words: Sequence[str]) -> bool:
    """Return whether all words occur in a text, in whatever case."""
    lowered = text.casefold()
    return all(word in lowered for word in words)


def prior_image(image: IndexedImage, patients: Iterable[Patient]) -> IndexedImage | None:
    """Return the same view of the same patient in the study before, if there is one.

    PA and AP count as one view. Where the study before has no such view, an earlier one is taken.
    """
    found = _place_of(image, patients)
    if found is None or image.header is None:
        return None
    patient, study = found
    if study.taken is None:
        return None
    for earlier in patient.studies:  # the latest first
        if earlier.taken is None or earlier.taken >= study.taken:
            continue
        for other in earlier.images:
            if other.header is not None and _same_view(other.header.view, image.header.view):
                return other
    return None


def companion_view(image: IndexedImage, patients: Iterable[Patient]) -> IndexedImage | None:
    """Return the lateral view that belongs to a frontal one of a study, or the other way round."""
    found = _place_of(image, patients)
    if found is None or image.header is None:
        return None
    if image.header.view in _FRONTAL:
        wanted = {_LATERAL}
    elif image.header.view == _LATERAL:
        wanted = _FRONTAL
    else:
        return None
    _, study = found
    views = (one for one in study.images if one.header and one.header.view in wanted)
    return next(views, None)


def _place_of(image: IndexedImage, patients: Iterable[Patient]) -> tuple[Patient, Study] | None:
    who, which, _ = _keys(image)
    for patient in patients:
        if patient.key == who:
            return next(
                ((patient, study) for study in patient.studies if study.key == which), None
            )
    return None


def _same_view(one: str, other: str) -> bool:
    return one == other or (one in _FRONTAL and other in _FRONTAL)


def _count(number: int, noun: str) -> str:
    return f'1 {noun}' if number == 1 else f'{number:,} {noun}s'
