"""Size of a pixel, where it came from, and which way the image looks."""

from __future__ import annotations

from pydicom.dataset import Dataset

from napari_cxr.dicom.elements import functional_groups, items, numbers, text, texts
from napari_cxr.radiograph import Geometry, SpacingSource, View

__all__ = ['VIEW_POSITIONS', 'read_geometry', 'view_of']

# CID 4010 "DX View" and its SNOMED-RT predecessors.
_VIEW_CODES = {
    '399348003': View.AP,
    'R-10206': View.AP,
    '272479007': View.PA,
    'R-10214': View.PA,
    'R-40888': View.PA,
    '399173006': View.LATERAL,
    'R-10236': View.LATERAL,
    '399198007': View.LATERAL,
    'R-10232': View.LATERAL,
    '399067008': View.LATERAL,
    'R-102CD': View.LATERAL,
    '399260004': View.LATERAL,
    'R-10224': View.LATERAL,
    '399352003': View.LATERAL,
    'R-10228': View.LATERAL,
    '399182000': View.OBLIQUE,
    'R-102C1': View.OBLIQUE,
    '399160007': View.OBLIQUE,
    'R-10204': View.OBLIQUE,
    '399312000': View.OBLIQUE,
    'R-10208': View.OBLIQUE,
    '399059000': View.OBLIQUE,
    'R-10216': View.OBLIQUE,
    '260427002': View.OBLIQUE,
    'R-40783': View.OBLIQUE,
    '399135007': View.OBLIQUE,
    'R-10220': View.OBLIQUE,
    '399184004': View.OBLIQUE,
    'R-10238': View.OBLIQUE,
    '399006002': View.OBLIQUE,
    'R-10212': View.OBLIQUE,
    '399356000': View.OBLIQUE,
    'R-40985': View.OBLIQUE,
    '399236003': View.OBLIQUE,
    'R-10234': View.OBLIQUE,
    '399038007': View.OBLIQUE,
    'R-10210': View.OBLIQUE,
}

#: PS3.3 C.8.1.1.1 (CR) and C.8.11.5 (DX), and what devices write besides.
VIEW_POSITIONS = {
    'PA': View.PA,
    'AP': View.AP,
    'LL': View.LATERAL,
    'RL': View.LATERAL,
    'LAT': View.LATERAL,
    'LATERAL': View.LATERAL,
    'LLO': View.OBLIQUE,
    'RLO': View.OBLIQUE,
    'LAO': View.OBLIQUE,
    'RAO': View.OBLIQUE,
    'LPO': View.OBLIQUE,
    'RPO': View.OBLIQUE,
    'OBLIQUE': View.OBLIQUE,
}


def read_geometry(dataset: Dataset) -> tuple[Geometry, tuple[str, ...]]:
    """Read spacing, aspect and view.

    Spacing, in this order (PS3.3 10.7.1):

    - Pixel Spacing with a Calibration Type: calibrated.
    - Pixel Spacing that is not just a copy of Imager Pixel Spacing: as stated.
    - Imager Pixel Spacing: at the detector; divided by the Estimated
      Radiographic Magnification Factor where there is one.
    - Nominal Scanned Pixel Spacing: of the scanned film.

    Parameters
    ----------
    dataset : Dataset
        The object.

    Returns
    -------
    Geometry
    tuple of str
        Notes on what was broken or contradictory.
    """
    notes: list[str] = []
    spacing, source = _spacing(dataset, notes)
    aspect = spacing[0] / spacing[1] if spacing else _aspect(dataset, notes)
    view = _view(dataset, notes)
    _orientation(dataset, view, notes)
    return Geometry(spacing, source, aspect, view), tuple(notes)


def view_of(dataset: Dataset) -> View:
    """Return which way an image looks, as `read_geometry` does."""
    return _view(dataset, [])


def _pair(dataset: Dataset, keyword: str, notes: list[str]) -> tuple[float, float] | None:
    found = numbers(dataset, keyword)
    if not found:
        return None
    row, column = found if len(found) == 2 else (None, None)
    if row is None or column is None or row <= 0 or column <= 0:
        notes.append('A pixel spacing of this file is impossible and was left out.')
        return None
    return row, column


def _spacing(
    dataset: Dataset, notes: list[str]
) -> tuple[tuple[float, float] | None, SpacingSource]:
    stated = _pair(dataset, 'PixelSpacing', notes)
    if stated is None:
        for measures in functional_groups(dataset, 'PixelMeasuresSequence')[:1]:
            stated = _pair(measures, 'PixelSpacing', notes)
    detector = _pair(dataset, 'ImagerPixelSpacing', notes)
    calibration = text(dataset, 'PixelSpacingCalibrationType').upper()
    if stated and calibration in ('GEOMETRY', 'FIDUCIAL'):
        return stated, SpacingSource.CALIBRATED
    if stated and not (detector and _equal(stated, detector)):
        return stated, SpacingSource.AS_STATED
    if detector:
        factor = next(iter(numbers(dataset, 'EstimatedRadiographicMagnificationFactor')), 0)
        if factor is None or (factor and factor < 1):
            # The detector is never nearer to the source than the patient.
            notes.append('The magnification factor of this file is impossible; left out.')
        elif factor:
            return (detector[0] / factor, detector[1] / factor), SpacingSource.MAGNIFICATION
        return detector, SpacingSource.DETECTOR
    scanned = _pair(dataset, 'NominalScannedPixelSpacing', notes)
    return scanned, SpacingSource.SCANNED if scanned else SpacingSource.NONE


def _equal(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return all(abs(a - b) <= 1e-4 * b for a, b in zip(one, other, strict=True))


def _aspect(dataset: Dataset, notes: list[str]) -> float:
    """Pixel Aspect Ratio, PS3.3 C.7.6.3.1.7: vertical over horizontal size."""
    found = numbers(dataset, 'PixelAspectRatio')
    if not found:
        return 1.0
    vertical, horizontal = found if len(found) == 2 else (None, None)
    if vertical is None or horizontal is None or vertical <= 0 or horizontal <= 0:
        notes.append('The pixel aspect ratio of this file is impossible and was left out.')
        return 1.0
    return vertical / horizontal


def _view(dataset: Dataset, notes: list[str]) -> View:
    position = text(dataset, 'ViewPosition').upper()
    by_position = VIEW_POSITIONS.get(position, View.UNKNOWN)
    codes = [text(item, 'CodeValue') for item in items(dataset, 'ViewCodeSequence')]
    by_code = next((_VIEW_CODES[code] for code in codes if code in _VIEW_CODES), View.UNKNOWN)
    if View.UNKNOWN not in (by_position, by_code) and by_position != by_code:
        notes.append(
            f'The header names two views, {by_position} and {by_code}; '
            f'{by_position} (View Position) was taken.'
        )
    if position in ('LLD', 'RLD'):
        notes.append('Decubitus view: the patient lies on the side.')
    return by_position if by_position != View.UNKNOWN else by_code


#: Words of Patient Orientation, PS3.3 C.7.6.1.1.1, from left to right and from top to bottom,
#: of a frontal image that is turned and not mirrored: upright, upside down, on either side.
_TURNED = {('L', 'F'), ('R', 'H'), ('H', 'L'), ('F', 'R')}
_WHERE = {'H': 'right', 'F': 'left'}


def _orientation(dataset: Dataset, view: View, notes: list[str]) -> None:
    """Note an image that lies, stands on its head or is mirrored; it is never turned.

    Only the first letter of each word counts: the others say by how much it is tilted.
    """
    words = [word.upper()[:1] for word in texts(dataset, 'PatientOrientation')]
    along, down = [*words, '', ''][:2]
    if along in _WHERE:
        notes.append(
            "The header says the image lies on its side: the patient's head is on the "
            f'{_WHERE[along]}.'
        )
    elif down == 'H':
        notes.append("The header says the image is upside down: the patient's head is below.")
    if not view.is_frontal:
        return
    upright = along not in _WHERE and down != 'H'
    if upright and along == 'R':
        notes.append("The header says the image is mirrored: the patient's right is on the right.")
    elif not upright and {along, down} & {'L', 'R'} and (along, down) not in _TURNED:
        notes.append('The header says the image is mirrored.')
