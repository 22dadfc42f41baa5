"""The elements of a DICOM file as rows of a table; the identity is hidden unless asked for.

What may be seen is listed, and not what may not: a header can hold a name in any free text, in a
private element, and in elements that no list of identifiers names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import UID

from napari_cxr.dicom.headers import quiet, read_header
from napari_cxr.dicom.privacy import window_name

__all__ = ['HIDDEN', 'TagRow', 'list_tags']

#: Stands for a value that may identify somebody.
HIDDEN = 'hidden'

#: Rows, levels and characters of a value that are listed at most.
_MOST_ROWS, _DEEPEST, _LONGEST = 20_000, 16, 2000
_NUMBERS = ('AT', 'DS', 'FD', 'FL', 'IS', 'SL', 'SS', 'SV', 'UL', 'US', 'UV')
_BINARY = ('OB', 'OD', 'OF', 'OL', 'OV', 'OW', 'UN')
_CODE = re.compile(r'[A-Z0-9_ ]{0,16}')
#: Free text of which the standard, or the maker of a device, is the author.
_OF_THE_DEVICE = frozenset(
    (
        'CodeMeaning',
        'CodeValue',
        'CodingSchemeDesignator',
        'CodingSchemeVersion',
        'ContextIdentifier',
        'ExposureIndexCalculationMethod',
        'Manufacturer',
        'ManufacturerModelName',
        'MappingResource',
    )
)
_OF_WINDOWS = frozenset(('LUTExplanation', 'WindowCenterWidthExplanation'))
#: Sequences in which codes and numbers stand for a person.
_PERSONS = re.compile(r'Person|Physician|Patient(?!Orientation)|Operator|Institution|OtherID')
_PATIENT_GROUPS = (0x0010, 0x0012, 0x0038)


class TagRow(NamedTuple):
    """One element.

    Parameters
    ----------
    depth : int
        In how many sequences it lies.
    tag, vr, name : str
        As the standard calls it; of a private element '(0019,1001)' with the name that pydicom
        knows, or that of its creator's block.
    value : str
        What it holds, shortened where it is long; `HIDDEN` where that may identify somebody.
    private, hidden : bool
        Whether it is private, and whether its value was left out.
    """

    depth: int
    tag: str
    vr: str
    name: str
    value: str
    private: bool
    hidden: bool


def list_tags(path: str | Path, identity: bool = False) -> list[TagRow]:
    """List the elements of a DICOM file. Call it where a file may do no harm.

    Parameters
    ----------
    path : str or Path
        The file.
    identity : bool
        Whether values that may identify somebody are listed too.

    Returns
    -------
    list of TagRow
        In the file's order: the file meta information, then the data set, items of sequences
        after their sequence.

    Raises
    ------
    UnreadableImage
        As `read_header`.
    """
    dataset = read_header(path).dataset
    rows: list[TagRow] = []
    with quiet():
        for part in (getattr(dataset, 'file_meta', Dataset()), dataset):
            for row in _rows(part, 0, identity, False):
                rows.append(row)
                if len(rows) >= _MOST_ROWS:
                    return rows
    return rows


def _rows(dataset: Dataset, depth: int, identity: bool, person: bool) -> Iterator[TagRow]:
    for tag in sorted(dataset.keys()):
        try:
            element: Any = dataset[tag]
        except RecursionError:
            raise
        except Exception:  # its bytes are not what its VR promises
            raw = dataset.get_item(tag)
            length = getattr(raw, 'length', 0)
            text = f'cannot be read, {length:,} bytes'
            yield TagRow(depth, str(tag), str(raw.VR or '??'), '', text, tag.is_private, False)
            continue
        name = element.name if not tag.is_private else element.name.strip('[]')
        if element.VR != 'SQ':
            shown = identity or (not person and _is_harmless(element))
            hidden = not shown and bool(_parts(element))
            value = HIDDEN if hidden else _text(element)
            yield TagRow(depth, str(tag), element.VR, name, value, tag.is_private, hidden)
            continue
        items = list(element.value or ())
        count = f'{len(items)} item{"s" * (len(items) != 1)}'
        yield TagRow(depth, str(tag), 'SQ', name, count, tag.is_private, False)
        if depth < _DEEPEST:
            whose = person or bool(_PERSONS.search(element.keyword)) or tag.is_private
            for item in items:
                yield from _rows(item, depth + 1, identity, whose)


def _is_harmless(element: DataElement) -> bool:
    """Tell whether an element's value cannot say whose image it is."""
    tag, kind = element.tag, element.VR
    if tag.is_private or tag.group in _PATIENT_GROUPS:
        return False
    if kind in _BINARY:
        return True  # only its length is listed
    if kind in _NUMBERS:
        return all(hasattr(part, 'real') for part in _parts(element))
    if kind == 'CS':
        return all(_CODE.fullmatch(str(part)) for part in _parts(element))
    if kind == 'UI':
        return all(UID(str(part)).name != str(part) for part in _parts(element))
    if element.keyword in _OF_WINDOWS:
        return all(window_name(str(part)) == str(part) for part in _parts(element))
    return element.keyword in _OF_THE_DEVICE


def _parts(element: DataElement) -> list[Any]:
    value = element.value
    if value is None or value == '':
        return []
    return list(value) if element.VM > 1 else [value]


def _text(element: DataElement) -> str:
    if isinstance(element.value, bytes):
        return f'{len(element.value):,} bytes'
    parts = [str(part) for part in _parts(element)]
    if element.VR == 'UI':
        named = (UID(part).name for part in parts)
        parts = [p if p == n else f'{p} ({n})' for p, n in zip(parts, named, strict=True)]
    text = '\\'.join(parts)
    return text if len(text) <= _LONGEST else f'{text[:_LONGEST]}… ({len(text):,} characters)'
