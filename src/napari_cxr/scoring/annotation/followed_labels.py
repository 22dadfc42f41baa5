"""Labels that follow their images: when files were renamed, moved, or scored into another table.

A label knows the image that it was given to by the hash and the size of its file. Only files
of a size that some label knows are hashed, so a folder of which nothing is known costs nothing.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from napari_cxr.checkpoint.model_images import image_digest
from napari_cxr.scoring.annotation import Annotation
from napari_cxr.scoring.annotation.readers import UNNAMED, Reader, labels_path_of, reader_from_dict
from napari_cxr.scoring.annotation.reading_list import read_entries
from napari_cxr.scoring.journal import ScoringError
from napari_cxr.scoring.table_reader import image_path_of

__all__ = ['FollowedLabels', 'follow_labels']


@dataclass(frozen=True, eq=False)
class FollowedLabels:
    """What was said elsewhere of the images of a table.

    Parameters
    ----------
    table : str
        The table for which it was looked for.
    moved : mapping of str to Annotation
        What the same list says of the same image under another path, by the path in the table.
    changed : frozenset of str
        Paths in the list whose files are other images by now.
    entries : mapping of str to Annotation
        What lists of other tables in the folder say of images that this one says nothing of,
        by the path in the table; of several, the latest.
    tables : mapping of str to str
        The name of the table that it is from, by the path in this one.
    """

    table: str = ''
    moved: Mapping[str, Annotation] = field(default_factory=dict)
    changed: frozenset[str] = frozenset()
    entries: Mapping[str, Annotation] = field(default_factory=dict)
    tables: Mapping[str, str] = field(default_factory=dict)


def follow_labels(
    table: str | Path,
    labels: Sequence[str],
    paths: Sequence[str],
    own: Mapping[str, Annotation],
    reader: Reader = UNNAMED,
) -> Generator[None, None, FollowedLabels]:
    """Find what a reader said of the images of a table under other paths, or in other tables.

    Labels of versions that did not know the image count by their path.

    Parameters
    ----------
    table : str or Path
        The table.
    labels : sequence of str
        Its classes; lists of other classes do not count.
    paths : sequence of str
        Paths of its images.
    own : mapping of str to Annotation
        What its list says.
    reader : Reader
        Whose list that is; only lists of the same reader count.

    Yields
    ------
    None
        After each file.
    """
    files = _Files(table)
    changed = set()
    for path, entry in own.items():
        if entry.image and files.is_other(path, entry):
            changed.add(path)
        yield None
    there = set(paths)
    free = [path for path in paths if path not in own or path in changed]
    lost = _by_size(entry for path, entry in own.items() if path not in there or path in changed)
    moved = {}
    for path in free:
        if (found := files.known(path, lost)) is not None:
            moved[path] = found
        yield None
    entries: dict[str, Annotation] = {}
    tables: dict[str, str] = {}
    for name, others in _other_lists(table, labels, reader):
        sized = _by_size(others.values())
        for path in free:
            if path in moved:
                continue
            said = others.get(path)
            if said is None or said.image:
                said = files.known(path, sized)
            if said is not None and (path not in entries or entries[path].when < said.when):
                entries[path], tables[path] = said, name
            yield None
    return FollowedLabels(str(table), moved, frozenset(changed), entries, tables)


class _Files:
    """Sizes and hashes of the files of a table, each looked up once."""

    def __init__(self, table: str | Path) -> None:
        self._table = table
        self._sizes: dict[str, int] = {}
        self._digests: dict[str, str] = {}

    def size(self, path: str) -> int:
        """Return the size of a file in bytes; -1 if it is not there."""
        if path not in self._sizes:
            try:
                self._sizes[path] = os.stat(image_path_of(path, self._table)).st_size
            except (OSError, ValueError):
                self._sizes[path] = -1
        return self._sizes[path]

    def digest(self, path: str) -> str:
        """Return the hash of a file; empty if it cannot be read."""
        if path not in self._digests:
            try:
                self._digests[path] = image_digest(image_path_of(path, self._table))
            except (OSError, ValueError):
                self._digests[path] = ''
        return self._digests[path]

    def is_other(self, path: str, entry: Annotation) -> bool:
        """Return whether the file is there and is not the image that was labelled."""
        size = self.size(path)
        if size < 0:
            return False
        return size != entry.size or self.digest(path) not in ('', entry.image)

    def known(
        self, path: str, labelled: Mapping[int, Mapping[str, Annotation]]
    ) -> Annotation | None:
        """Return what is said of the image in a file."""
        same_size = labelled.get(self.size(path))
        return None if not same_size else same_size.get(self.digest(path))


def _by_size(entries: Iterable[Annotation]) -> dict[int, dict[str, Annotation]]:
    """Return entries by the size and the hash of their image, the latest of each."""
    out: dict[int, dict[str, Annotation]] = {}
    for entry in sorted(entries, key=lambda each: each.when):
        if entry.image and (entry.read or entry.note):
            out.setdefault(entry.size, {})[entry.image] = entry
    return out


def _other_lists(
    table: str | Path, labels: Sequence[str], reader: Reader
) -> list[tuple[str, dict[str, Annotation]]]:
    """Return the names of other tables in the folder, and what the same reader says of them."""
    own, out = labels_path_of(table, reader), []
    for path in sorted(own.parent.glob('*.labels')):
        if path == own:
            continue
        try:
            header, entries = read_entries(path)
            there = reader_from_dict(header)
        except (ScoringError, ValueError):
            continue  # damaged, or not ours
        # The rest of its name is that of its table.
        name = path.name.removesuffix(labels_path_of('-', there).name.removeprefix('-'))
        if there.key == reader.key and set(header['labels']) == set(labels):
            out.append((name, entries))
    return out
