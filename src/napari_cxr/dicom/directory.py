"""The images that a DICOMDIR lists, PS3.3 annex F and PS3.10 section 8."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from pydicom.dataset import Dataset

from napari_cxr.dicom.elements import integer, items, text, texts
from napari_cxr.dicom.headers import quiet, read_header
from napari_cxr.radiograph import UnreadableImage

__all__ = ['listed_images']

_VERSION = re.compile(r';\d+$')
_ENDINGS = ('.dcm', '.dicom', '.ima', '.img')
_INACTIVE = 0x0000


def listed_images(directory: str | Path) -> list[Path]:
    """Return the files of the images that a DICOMDIR lists.

    Call it where a file of unknown origin may do no harm.

    Parameters
    ----------
    directory : str or Path
        The DICOMDIR. File IDs in it are relative to its folder. What was copied from a disc
        often has other names: of the other case, with ``.dcm``, with the version ``;1`` or
        the dot of ISO 9660; all are looked for.

    Returns
    -------
    list of Path
        In its order, each once; not all of them need to be there. Records that are not in
        use, and what is below them, are left out.

    Raises
    ------
    UnreadableImage
        If it is not a DICOMDIR, is damaged, lists no image, or leads out of its folder.
    """
    directory = Path(directory)
    try:
        dataset = read_header(directory).dataset
        with quiet():
            found = _listed(dataset, _Folder(directory.parent))
    except RecursionError as error:
        raise UnreadableImage('This DICOMDIR is nested too deeply to be one.') from error
    except MemoryError as error:
        raise UnreadableImage('There is not enough memory to read this DICOMDIR.') from error
    if not found:
        raise UnreadableImage('This DICOMDIR lists no image.')
    return found


def _listed(dataset: Dataset, folder: _Folder) -> list[Path]:
    records = items(dataset, 'DirectoryRecordSequence')
    unused = _unused(records)
    found: dict[Path, None] = {}
    for index, record in enumerate(records):
        if index in unused or text(record, 'DirectoryRecordType') != 'IMAGE':
            continue
        # Some writers put the whole path into one value, against PS3.10 8.2.
        parts = [p for value in texts(record, 'ReferencedFileID') for p in value.split('/')]
        if not any(parts):
            continue
        if not parts[0] or any(p == '..' or '\\' in p or ':' in p for p in parts):
            raise UnreadableImage('This DICOMDIR names files outside its folder.')
        found[folder.find([p for p in parts if p not in ('', '.')])] = None
    return list(found)


def _unused(records: list[Dataset]) -> set[int]:
    """Return the records that are inactive, or below one that is, PS3.3 F.3.2.2."""
    at = {getattr(record, 'seq_item_tell', None): i for i, record in enumerate(records)}
    unused: set[int] = set()

    def chain(offset: int | None) -> Iterator[int]:
        index = at.get(offset) if offset else None
        while index is not None and index not in unused:
            yield index
            index = at.get(integer(records[index], 'OffsetOfTheNextDirectoryRecord') or None)

    waiting = [
        i for i, record in enumerate(records) if integer(record, 'RecordInUseFlag') == _INACTIVE
    ]
    while waiting:
        index = waiting.pop()
        if index in unused:
            continue
        unused.add(index)
        below = integer(records[index], 'OffsetOfReferencedLowerLevelDirectoryEntity')
        for other in chain(below):
            if other in waiting:
                break
            waiting.append(other)
    return unused


class _Folder:
    """A folder whose entries are found by what a disc's names became."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._names: dict[Path, dict[str, str]] = {}

    def find(self, parts: list[str]) -> Path:
        """Return a file by its File ID; where it would be, if it is not there."""
        path = self._root
        for i, part in enumerate(parts):
            exact = path / part
            if exact.exists():
                path = exact
                continue
            names = self._listing(path)
            wanted = _plain(part)
            endings = _ENDINGS if i == len(parts) - 1 else ()
            tried = (wanted, *(wanted + ending for ending in endings))
            name = next((names[one] for one in tried if one in names), None)
            if name is None:
                return self._root.joinpath(*parts)
            path = path / name
        return path

    def _listing(self, folder: Path) -> dict[str, str]:
        if folder not in self._names:
            try:
                there = sorted(os.listdir(folder), reverse=True)
            except OSError:
                there = []
            self._names[folder] = {_plain(name): name for name in there}
        return self._names[folder]


def _plain(name: str) -> str:
    """Return a name without what a file system or a disc added to it."""
    return _VERSION.sub('', name).rstrip('. ').casefold()
