"""Values out of a data set that may hold anything.

pydicom converts a value when it is first touched, and raises where the bytes
are not what their VR promises. A radiograph must open although one optional
element is broken, so everything optional is read through here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence as Items
from typing import Any

from pydicom.dataset import Dataset
from pydicom.tag import Tag

__all__ = ['functional_groups', 'integer', 'items', 'numbers', 'text', 'texts', 'value']


def value(dataset: Dataset, keyword: str) -> Any:
    """Return the value of an element, or None where it is missing or broken."""
    try:
        return dataset.get(keyword)
    except RecursionError:
        raise
    except Exception:
        return None


def _parts(dataset: Dataset, keyword: str) -> list[Any]:
    """Return the values of an element one by one, falling back to its raw bytes."""
    found = value(dataset, keyword)
    if found is None:
        # One bad number makes pydicom refuse its good neighbours too.
        raw = getattr(dataset.get_item(Tag(keyword)), 'value', None)
        found = raw.decode('latin-1').split('\\') if isinstance(raw, bytes) else None
    if found is None or found == '':
        return []
    if isinstance(found, bytes):
        return [found]
    if isinstance(found, str) or not isinstance(found, Items):
        return [found]
    return list(found)


def numbers(dataset: Dataset, keyword: str) -> list[float | None]:
    """Return the numbers of an element; None stands for one that is no finite number."""
    result: list[float | None] = []
    for part in _parts(dataset, keyword):
        try:
            number = float(str(part).strip(' \0'))
        except ValueError:
            number = math.nan
        result.append(number if math.isfinite(number) else None)
    return result


def integer(dataset: Dataset, keyword: str) -> int | None:
    """Return the one whole number of an element; None if it is missing, several or none."""
    found = numbers(dataset, keyword)
    if len(found) != 1 or found[0] is None or found[0] != int(found[0]):
        return None
    return int(found[0])


def texts(dataset: Dataset, keyword: str) -> list[str]:
    """Return the strings of an element, stripped."""
    return [str(part).strip(' \0') for part in _parts(dataset, keyword)]


def text(dataset: Dataset, keyword: str) -> str:
    """Return the first string of an element, stripped; empty where there is none."""
    return next(iter(texts(dataset, keyword)), '')


def items(dataset: Dataset, keyword: str) -> list[Dataset]:
    """Return the items of a sequence; an empty list where it is missing or broken."""
    found = value(dataset, keyword)
    if isinstance(found, (str, bytes)) or not isinstance(found, Items):
        return []
    return [item for item in found if isinstance(item, Dataset)]


def functional_groups(dataset: Dataset, keyword: str) -> list[Dataset]:
    """Return what an enhanced multi-frame object says in a functional group.

    DICOM PS3.3 C.7.6.16: a group is either shared by all frames or given for
    each frame.

    Parameters
    ----------
    dataset : Dataset
        The whole object.
    keyword : str
        The sequence that is the functional group macro, such as
        ``PixelValueTransformationSequence``.

    Returns
    -------
    list of Dataset
        One item that holds for all frames, or one for each frame, or nothing.
    """
    for shared in items(dataset, 'SharedFunctionalGroupsSequence'):
        if found := items(shared, keyword):
            return found[:1]
    frames = items(dataset, 'PerFrameFunctionalGroupsSequence')
    per_frame = [items(frame, keyword)[:1] for frame in frames]
    if not per_frame or not all(per_frame):
        return []
    return [item for group in per_frame for item in group]
