"""The grey-scale chain of DICOM: Modality LUT, VOI LUT and windows, polarity.

Tables are read once and applied by :class:`~napari_cxr.radiograph.LookupTable`
and :class:`~napari_cxr.radiograph.Window`. pydicom's own ``apply_*`` functions
are not used: they invert by the image's maximum, fail on empty windows, and
look up wrongly in tables of more than 256 entries of 8 bits.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, cast

import numpy as np
from pydicom.dataset import Dataset

from napari_cxr.dicom.elements import functional_groups, integer, items, numbers, text, texts
from napari_cxr.dicom.headers import Header
from napari_cxr.dicom.lut_data import read_table
from napari_cxr.dicom.pixels import StoredPixels
from napari_cxr.dicom.privacy import window_name
from napari_cxr.radiograph import RANGE_OF_IMAGE, LookupTable, Window

__all__ = ['ModalityValues', 'is_inverted', 'padding_mask', 'presets', 'to_modality']

_FUNCTIONS = ('LINEAR', 'LINEAR_EXACT', 'SIGMOID')
_REPAIRED = 'The {} of this file had a number with the wrong sign, which was repaired.'
#: A window of fractions covers no less than this part of their range.
_FEW_WIDTHS = 4


@dataclass(frozen=True, eq=False)
class ModalityValues:
    """Values after the Modality LUT.

    Parameters
    ----------
    values : ndarray
        Of the shape of the stored values.
    low, high : float
        The least and the greatest value that any stored value could become; where
        `of_image`, that one of this image became.
    notes : tuple of str
        What of the header was broken and left out.
    of_image : bool
        Whether the range is that of the image itself.
    rescale : tuple of float or None
        Slope and intercept that made them; None where a table did, or each frame has its own.
    """

    values: np.ndarray
    low: float
    high: float
    notes: tuple[str, ...] = ()
    of_image: bool = False
    rescale: tuple[float, float] | None = (1.0, 0.0)

    def within(self, padding: np.ndarray | None) -> ModalityValues:
        """Return the same with the range of the pixels that are no padding."""
        inside = self.values if padding is None else self.values[~padding]
        low, high = float(inside.min()), float(inside.max())
        return replace(self, low=low, high=high, of_image=True)


def to_modality(header: Header, stored: StoredPixels) -> ModalityValues:
    """Apply the Modality LUT Sequence, or slope and intercept: DICOM PS3.3 C.11.1.

    Parameters
    ----------
    header : Header
        The object.
    stored : StoredPixels
        Its grey stored values.

    Returns
    -------
    ModalityValues
        Integers where the table is one, or where the slope is 1 and the
        intercept whole; float32 otherwise.
    """
    if stored.low is None or stored.high is None:
        finite = stored.values[np.isfinite(stored.values)]
        ends = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
        return ModalityValues(stored.values, *ends)
    notes: list[str] = []
    for item in items(header.dataset, 'ModalityLUTSequence')[:1]:
        entry = read_table(item, header.byte_order, stored.low, stored.high, signed=stored.low < 0)
        if entry is None:
            notes.append('The Modality LUT of this file is broken and was left out.')
            continue
        descriptor, table = entry
        first = descriptor.first
        if descriptor.repaired:
            notes.append(_REPAIRED.format('Modality LUT'))
        # The end of the table that no stored value can reach is no part of the range.
        span = np.clip(np.array([stored.low, stored.high], np.int64) - first, 0, len(table) - 1)
        reached = table[span[0] : span[1] + 1]
        position = np.clip(stored.values.astype(np.int64) - first, 0, len(table) - 1)
        ends = float(reached.min()), float(reached.max())
        return ModalityValues(table[position], *ends, tuple(notes), rescale=None)
    lines = _slopes(header.dataset, notes)
    if len(lines) > 1 and stored.values.ndim == 3 and len(lines) == len(stored.values):
        parts = [
            _line(frame, stored, *line) for frame, line in zip(stored.values, lines, strict=True)
        ]
        values, rescale = np.stack(parts), None
    else:
        lines = lines[:1]
        values, rescale = _line(stored.values, stored, *lines[0]), lines[0]
    ends_all = [slope * end + shift for slope, shift in lines for end in (stored.low, stored.high)]
    return ModalityValues(values, min(ends_all), max(ends_all), tuple(notes), rescale=rescale)


def _slopes(dataset: Dataset, notes: list[str]) -> list[tuple[float, float]]:
    """Return slope and intercept: one for all frames, or one for each."""
    groups = functional_groups(dataset, 'PixelValueTransformationSequence') or [dataset]
    lines: list[tuple[float, float]] = []
    for group in groups:
        slope, shift = numbers(group, 'RescaleSlope'), numbers(group, 'RescaleIntercept')
        if not slope and not shift:
            lines.append((1.0, 0.0))
            continue
        pair = (slope[0] if slope else 1.0, shift[0] if shift else 0.0)
        if pair[0] is None or pair[1] is None or pair[0] == 0:
            notes.append('The rescale slope or intercept of this file is broken and was left out.')
            pair = (1.0, 0.0)
        lines.append(cast('tuple[float, float]', pair))
    return lines


def _line(values: np.ndarray, stored: StoredPixels, slope: float, intercept: float) -> np.ndarray:
    """Return slope * stored + intercept, C.11.1.1.2, in the narrowest type that holds it."""
    if slope != 1 or intercept != int(intercept):
        if values.dtype.itemsize > 2:  # of which float32 would drop the last digits
            exact: np.ndarray = values * np.float64(slope) + np.float64(intercept)
            return exact.astype(np.float32)
        return values.astype(np.float32) * np.float32(slope) + np.float32(intercept)
    if intercept == 0:
        return values
    low, high = (stored.low or 0) + int(intercept), (stored.high or 0) + int(intercept)
    for dtype in (np.uint8, np.int8, np.uint16, np.int16, np.int32, np.int64):
        if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            # Through int64, since the stored type may not hold the intercept.
            return (values.astype(np.int64) + int(intercept)).astype(dtype)
    return values.astype(np.float32) + np.float32(intercept)


def padding_mask(header: Header, stored: StoredPixels) -> np.ndarray | None:
    """Find the pixels that are padding, PS3.3 C.7.5.1.1.2.

    Parameters
    ----------
    header : Header
        The object.
    stored : StoredPixels
        Its stored values, before the Modality LUT.

    Returns
    -------
    ndarray of bool, or None
        None where the header names no padding value, or no pixel has it, or all do.
    """
    limits = numbers(header.dataset, 'PixelPaddingValue')[:1]
    limits += numbers(header.dataset, 'PixelPaddingRangeLimit')[:1] if limits else []
    if not limits or None in limits or stored.is_colour or stored.low is None:
        return None
    known = [_signed_like(int(limit or 0), stored) for limit in limits]
    mask = (stored.values >= min(known)) & (stored.values <= max(known))
    return mask if mask.any() and not mask.all() else None


def _signed_like(number: int, stored: StoredPixels) -> int:
    """Repair a 16-bit number that was written with the wrong one of US and SS."""
    assert stored.low is not None and stored.high is not None
    for candidate in (number, number + (1 << 16), number - (1 << 16)):
        if stored.low <= candidate <= stored.high:
            return candidate
    return number


def presets(
    header: Header, modality: ModalityValues
) -> tuple[tuple[Window | LookupTable, ...], tuple[str, ...]]:
    """Collect how the header wants the values shown: VOI LUTs first, then windows.

    PS3.3 C.11.2: they are alternatives, not steps. What is broken is left out
    with a note; without anything usable it is the range of the modality values.

    Parameters
    ----------
    header : Header
        The object.
    modality : ModalityValues
        Its values, for their range.

    Returns
    -------
    tuple of Window or LookupTable
        Never empty.
    tuple of str
        Notes.
    """
    sources = [header.dataset, *functional_groups(header.dataset, 'FrameVOILUTSequence')[:1]]
    found: list[Window | LookupTable] = []
    notes: list[str] = []
    for source in sources:
        for item in items(source, 'VOILUTSequence'):
            table = _voi_table(item, header, modality, notes)
            if table is None:
                notes.append('A VOI LUT of this file is broken and was left out.')
            else:
                found.append(table)
    for source in sources:
        found += _windows(source, modality, notes)
    if not found:
        found = [Window.spanning(modality.low, modality.high, 'Full range')]
        if modality.of_image:
            notes.append(RANGE_OF_IMAGE.format('Integers of more than 16 bits'))
    return tuple(found), tuple(notes)


def _voi_table(
    item: Dataset, header: Header, modality: ModalityValues, notes: list[str]
) -> LookupTable | None:
    signed = integer(header.dataset, 'PixelRepresentation') == 1
    entry = read_table(item, header.byte_order, modality.low, modality.high, signed=signed)
    if entry is None or entry[1].min() == entry[1].max():
        return None
    descriptor, table = entry
    if descriptor.repaired:
        notes.append(_REPAIRED.format('VOI LUT'))
    white = _white(table, descriptor.depth)
    name = window_name(text(item, 'LUTExplanation'))
    return LookupTable(descriptor.first, table.astype(np.float32) / np.float32(white), name)


def _white(table: np.ndarray, depth: int) -> int:
    """Return the output that is white: 2**depth - 1, PS3.3 C.11.2.1.1, where that can be true.

    Devices state 16 bits, the size of the word, for entries of 12: their white is the table's
    maximum. So it is where the entries need fewer bits than stated, and of a table of
    16 bits that starts at black. 8 bits are those of a screen, and always meant.
    """
    top = int(table.max())
    if not 8 <= depth <= 16 or top >> depth:
        return int((1 << top.bit_length()) - 1)
    wider = top.bit_length() < depth or (depth == 16 and int(table.min()) == 0)
    return top if depth > 8 and wider else (1 << depth) - 1


def _windows(source: Dataset, modality: ModalityValues, notes: list[str]) -> list[Window]:
    centers, widths = numbers(source, 'WindowCenter'), numbers(source, 'WindowWidth')
    if not centers and not widths:
        return []
    function = text(source, 'VOILUTFunction') or 'LINEAR'
    if function not in _FUNCTIONS:
        notes.append('The windows of this file have an unknown function and were left out.')
        return []
    stated = cast("Literal['LINEAR', 'LINEAR_EXACT', 'SIGMOID']", function)
    explanations = texts(source, 'WindowCenterWidthExplanation')
    if len(centers) != len(widths):
        notes.append('A window of this file has no centre or no width and was left out.')
    found: list[Window] = []
    for index, (center, width) in enumerate(zip(centers, widths, strict=False)):
        explanation = explanations[index] if index < len(explanations) else ''
        kind = stated
        if width is not None and kind == 'LINEAR' and _is_fraction(width, modality):
            kind = 'LINEAR_EXACT'
            notes.append(
                'A LINEAR window of this file is too narrow for its values, which are fractions; '
                'it was applied as LINEAR_EXACT.'
            )
        least_met = width is not None and (width >= 1 if kind == 'LINEAR' else width > 0)
        if center is None or width is None or not least_met:
            notes.append('A window of this file has an impossible centre or width; left out.')
            continue
        found.append(Window(center, width, kind, window_name(explanation)))
    return found


def _is_fraction(width: float, modality: ModalityValues) -> bool:
    """Tell whether a window is one of 0 to 1, as exporters of fractions write it.

    By the letter LINEAR counts in whole steps: a width of 1 is a threshold, and none is
    less. Values from 0 to 1 would be all white.
    """
    if not 0 < width <= 1 or modality.values.dtype.kind != 'f':
        return False
    few = modality.high - modality.low <= _FEW_WIDTHS * width
    return few or (width < 1 and bool((modality.values != np.rint(modality.values)).any()))


def is_inverted(dataset: Dataset) -> tuple[bool, tuple[str, ...]]:
    """Tell whether the lowest value is white.

    MONOCHROME1 and a Presentation LUT Shape of INVERSE are two descriptions of
    one inversion (PS3.3 C.7.6.3.1.2, C.11.6), so at most one is applied. Where
    they contradict each other, Photometric Interpretation wins.

    Parameters
    ----------
    dataset : Dataset
        The object.

    Returns
    -------
    bool
        Whether to invert, once.
    tuple of str
        A note on a contradiction.
    """
    photometric = text(dataset, 'PhotometricInterpretation').upper()
    shape = text(dataset, 'PresentationLUTShape').upper()
    if photometric not in ('MONOCHROME1', 'MONOCHROME2'):
        return False, ()
    inverted = photometric == 'MONOCHROME1'
    if shape in ('INVERSE', 'IDENTITY') and (shape == 'INVERSE') != inverted:
        note = (
            f'The header contradicts itself on polarity ({photometric}, but Presentation LUT '
            f'Shape {shape}); {photometric} was followed.'
        )
        return inverted, (note,)
    return inverted, ()
