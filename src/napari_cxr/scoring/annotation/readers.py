"""Who reads a table: names of a person's choice, and a file for each beside the table.

Each reader writes a file of its own, and so does each repetition, so two persons who read one
table on a shared disk never write into the same file, and nothing depends on locks that some
shared disks do not have. Whoever has no name writes into TABLE.labels, as ever.
"""

from __future__ import annotations

import hashlib
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

__all__ = [
    'CONSENSUS',
    'LONGEST_NAME',
    'UNNAMED',
    'Reader',
    'labels_files_of',
    'labels_path_of',
    'reader_from_dict',
    'reading_position',
]

#: Characters in the name of a reader.
LONGEST_NAME = 40
#: Characters of it in the name of a file, encoded, before it is cut.
_LONGEST_SLUG = 120

_ENDING = '.labels'


@dataclass(frozen=True)
class Reader:
    """One reading of a table by one person.

    Parameters
    ----------
    name : str
        As the person chose it; empty for the labels of somebody without a name. Names that
        differ in case or spaces only are the same.
    reading : int
        1 for the first time that the person reads the table, 2 for the second.

    Raises
    ------
    ValueError
        If it is not a valid name or number; the message says why.
    """

    name: str = ''
    reading: int = 1

    def __post_init__(self) -> None:
        name = ' '.join(unicodedata.normalize('NFC', self.name).split())
        if len(name) > LONGEST_NAME:
            raise ValueError(
                f'{name[:20]}… is not a valid name because it has more than {LONGEST_NAME} '
                'characters. Choose a shorter one.'
            )
        if not name.isprintable():
            raise ValueError('This is not a valid name because it has unprintable characters.')
        if not 1 <= self.reading <= 99:
            raise ValueError(f'{self.reading} is not a valid number of a reading.')
        object.__setattr__(self, 'name', name)

    @property
    def is_consensus(self) -> bool:
        """Whether these are the labels on which all readers settled."""
        return self.name.casefold() == _CONSENSUS

    @property
    def title(self) -> str:
        """What it is called on screen."""
        name = self.name or 'Reader without a name'
        return name if self.reading == 1 else f'{name} (reading {self.reading})'

    @property
    def key(self) -> tuple[str, int]:
        """What tells readings apart."""
        return self.name.casefold(), self.reading

    def to_dict(self) -> dict[str, Any]:
        """Return what the first line of its file says of it; nothing of the first without a name.

        So files of earlier versions are as they were.
        """
        if self.key == UNNAMED.key:
            return {}
        return {'reader': self.name, 'reading': self.reading}


_CONSENSUS = 'consensus'

#: Who labels without a name.
UNNAMED = Reader()

#: The labels on which all readers settled.
CONSENSUS = Reader('Consensus')


def reader_from_dict(header: dict[str, Any]) -> Reader:
    """Read what `Reader.to_dict` returned; raises ValueError where it is something else."""
    name, reading = header.get('reader', ''), header.get('reading', 1)
    if not isinstance(name, str) or not isinstance(reading, int):
        raise ValueError('This is not the name of a reader.')
    return Reader(name, reading)


def labels_path_of(table: str | Path, reader: Reader = UNNAMED) -> Path:
    """Return where the labels of a reader are kept: TABLE.labels, or TABLE.NAME.labels."""
    table = Path(table)
    if reader.key == UNNAMED.key:
        return table.with_name(f'{table.name}{_ENDING}')
    slug = _slug(reader.name)
    number = f'.{reader.reading}' if reader.reading > 1 else ''
    return table.with_name(f'{table.name}.{slug}{number}{_ENDING}')


def labels_files_of(table: str | Path) -> list[Path]:
    """Return all files of labels of a table that there are, of whatever readers, sorted."""
    table = Path(table)
    start = f'{table.name}.'
    try:
        names = [path.name for path in table.parent.iterdir()]
    except OSError:
        return []
    # What lies between has at most a name without a dot, and a number: TABLE.csv.labels of a
    # table called TABLE is not one of its own.
    found = [
        name
        for name in names
        if name.startswith(start) and name.endswith(_ENDING) and _is_reader(name, start)
    ]
    return [table.with_name(name) for name in sorted(found)]


def _is_reader(name: str, start: str) -> bool:
    middle = name[len(start) - 1 : -len(_ENDING)]
    slug, _, number = middle.removeprefix('.').partition('.')
    if not middle:
        return True
    return bool(slug) and '.' not in number and (number.isdecimal() or not number)


def _slug(name: str) -> str:
    """Return a name as part of a file's: in small letters, without dots or separators."""
    slug = quote(name.casefold(), safe=' ').replace('.', '%2E') if name != '_' else '%5F'
    if len(slug) > _LONGEST_SLUG:
        slug = f'{slug[:80]}-{hashlib.sha256(name.casefold().encode()).hexdigest()[:12]}'
    return slug or '_'


def reading_position(reader: Reader, image: str) -> float:
    """Return where an image stands in a reader's own order, in [0, 1).

    The order is random and the same each time: it follows from who reads, for the how many-th
    time, and from the path of the image, so that nothing needs to be kept, every reader has
    another order, and rows that arrive later do not move the others.

    Parameters
    ----------
    reader : Reader
        Who reads.
    image : str
        The path of a row.
    """
    key = f'{reader.name.casefold()}\0{reader.reading}\0{image}'
    digest = hashlib.blake2b(key.encode('utf-8', 'surrogateescape'), digest_size=6).digest()
    return int.from_bytes(digest, 'big') / 2**48
