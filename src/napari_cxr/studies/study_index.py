"""The images of a folder or a DICOMDIR, by their headers; kept on disk for the next time.

Headers are read in a decoder process. What is kept holds pseudonyms and shifted dates, and no
name, identifier or path: a file is known by a keyed hash of its path, size and time. So whoever
finds the cache learns nothing of a patient, and a second opening only lists the folder.
"""

from __future__ import annotations

import json
import os
import stat
import time
import zlib
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from napari_cxr import dicom
from napari_cxr.dicom.header_summary import HeaderSummary
from napari_cxr.dicom.privacy import user_secret
from napari_cxr.radiograph import UnreadableImage
from napari_cxr.user_cache import FileCache
from napari_cxr.workers.decoder_pool import Decoder

__all__ = ['IndexDone', 'IndexEvent', 'IndexGrown', 'IndexedImage', 'index_studies']

#: Bytes of all indices on disk: about a million images.
_CACHE = FileCache('studies', 256 << 20)
_FIELDS = HeaderSummary._fields
#: The first of them are text, the others numbers, of which the last may be missing.
_TEXTS = _FIELDS.index('rows')
#: How an index begins; of another version nothing is used.
_HEAD = ['napari-cxr studies 2', *_FIELDS]

#: Files of the first batch, and for how long a batch should keep the decoder, in seconds.
_FIRST_BATCH, _MOST_BATCH = 16, 400
_BATCH_TIME = 0.2
#: Seconds after which what was found is kept although there is more.
_KEEP_EVERY = 20.0
#: After so many entries of a folder whoever waits has a turn.
_LISTED_AT_ONCE = 500
#: Bytes that an index unpacks to at most.
_LARGEST = 1 << 28


class IndexedImage(NamedTuple):
    """An image that a person can open.

    Parameters
    ----------
    path : str
        Its file.
    format : str
        'DICOM', 'PNG', 'JPEG' or 'TIFF'.
    header : HeaderSummary or None
        What a DICOM header says.
    """

    path: str
    format: str
    header: HeaderSummary | None


@dataclass(frozen=True)
class IndexGrown:
    """More was read.

    Parameters
    ----------
    images : tuple of IndexedImage
        Those that are new.
    done, total : int
        Files so far, and in all.
    """

    images: tuple[IndexedImage, ...]
    done: int
    total: int


@dataclass(frozen=True)
class IndexDone:
    """All was read.

    Parameters
    ----------
    images : tuple of IndexedImage
        All of them, in the order of their paths, or of the DICOMDIR.
    left_out : tuple of (str, str)
        Files that should be images and cannot be listed, and folders that cannot be opened, with
        the reason.
    others : int
        How many files are no images.
    reused : int
        How many were known from before.
    """

    images: tuple[IndexedImage, ...]
    left_out: tuple[tuple[str, str], ...]
    others: int
    reused: int


IndexEvent: TypeAlias = IndexGrown | IndexDone

#: What is kept of a file: a header, or a format, a reason in brackets, or nothing.
_Entry: TypeAlias = HeaderSummary | str


def index_studies(
    source: str | Path, decoder: Decoder
) -> Generator[IndexEvent | None, None, None]:
    """Index a folder, or the files that a DICOMDIR lists; a long job.

    Closing it keeps what was read so far.

    Parameters
    ----------
    source : str or Path
        A folder, with the folders in it, or a DICOMDIR.
    decoder : Decoder
        What reads headers.

    Yields
    ------
    IndexGrown, IndexDone or None
        None while there is nothing.

    Raises
    ------
    UnreadableImage
        If the DICOMDIR cannot be read, or there is neither.
    """
    source = Path(source)
    index = _Index(source)
    files: list[_File] = []
    if source.is_dir():
        for number, file in enumerate(_walk(str(source), index.left_out)):
            files.append(file)
            if number % _LISTED_AT_ONCE == 0:
                yield None
        files.sort()
    elif dicom.is_directory(source):
        listed = yield from decoder.listing(source)
        for path in listed:
            try:
                files.append(_file(str(path), os.stat(path)))
            except (OSError, ValueError):
                index.left_out.append((str(path), 'The DICOMDIR lists it, but it is not there.'))
    else:
        raise UnreadableImage(
            'This is neither a folder nor a DICOMDIR. Choose the folder that holds the images, or '
            'the DICOMDIR of a CD.'
        )
    try:
        yield from index.read(files, decoder)
    finally:
        index.keep()
    yield index.result(files)


#: Path, size and time of the last change. Plain tuples: there are ten thousand of them.
_File: TypeAlias = tuple[str, int, int]


class _Index:
    """What is known of the files of one source."""

    def __init__(self, source: Path) -> None:
        secret = user_secret()
        self.left_out: list[tuple[str, str]] = []
        self._secret = sha256(secret).digest()
        self._name = self._hash(os.path.abspath(source))
        self._known = _stored(self._name)
        self._entries: dict[str, _Entry] = {}
        self._fresh, self._kept_at = 0, time.monotonic()

    def read(
        self, files: Sequence[_File], decoder: Decoder
    ) -> Generator[IndexGrown | None, None, None]:
        """Read the headers of files that are not known."""
        unknown, grown = [], []
        known, entries = self._known, self._entries
        for number, file in enumerate(files):
            entry = known.get(self._key(file))
            if entry is not None:
                entries[file[0]] = entry
                grown.append(file[0])
            else:
                unknown.append(file)
            if number % _LISTED_AT_ONCE == 0:
                yield None
        total, at, size = len(files), 0, _FIRST_BATCH
        if unknown or not grown:
            yield IndexGrown(self._images(grown), len(grown), total)
        while at < len(unknown):
            batch = unknown[at : at + size]
            began = time.monotonic()
            yield from self._read_batch(batch, decoder)
            at += len(batch)
            took = max(time.monotonic() - began, 1e-3)
            size = max(1, min(_MOST_BATCH, int(size * min(4, _BATCH_TIME / took)) or 1))
            yield IndexGrown(self._images([file[0] for file in batch]), len(grown) + at, total)
            if time.monotonic() - self._kept_at > _KEEP_EVERY:
                self.keep()

    def _read_batch(self, batch: Sequence[_File], decoder: Decoder) -> Generator[None, None, None]:
        try:
            found = yield from decoder.headers([file[0] for file in batch])
            entries = [_entry_of(one) for one in found]
        except (UnreadableImage, ValueError) as error:
            if len(batch) > 1:  # one of them has ended the decoder
                for file in batch:
                    yield from self._read_batch([file], decoder)
                return
            self._entries[batch[0][0]] = f'[{error}]'  # not kept: it may pass
            return
        for file, entry in zip(batch, entries, strict=True):
            self._entries[file[0]] = self._known[self._key(file)] = entry
            self._fresh += 1

    def result(self, files: Sequence[_File]) -> IndexDone:
        """Return everything."""
        paths = [file[0] for file in files]
        reasons, others = [], 0
        for path in paths:
            entry = self._entries.get(path)
            if not entry:
                others += 1
            elif isinstance(entry, str) and entry[0] == '[':
                reasons.append((path, entry[1:-1]))
        return IndexDone(
            self._images(paths),
            tuple(self.left_out + reasons),
            others,
            len(paths) - self._fresh,
        )

    def keep(self) -> None:
        """Keep on disk what is known, if there is anything new."""
        self._kept_at = time.monotonic()
        if not self._fresh:
            return
        _CACHE.put(self._name, _packed(self._known))

    def _images(self, paths: Sequence[str]) -> tuple[IndexedImage, ...]:
        images = []
        for path in paths:
            entry = self._entries.get(path)
            if isinstance(entry, HeaderSummary):
                images.append(IndexedImage(path, 'DICOM', entry))
            elif entry and not entry.startswith('['):
                images.append(IndexedImage(path, entry, None))
        return tuple(images)

    def _key(self, file: _File) -> str:
        path, size, changed = file
        return self._hash(f'{path}\0{size}\0{changed}')

    def _hash(self, text: str) -> str:
        raw = text.encode('utf-8', 'surrogateescape')
        return blake2b(raw, key=self._secret, digest_size=12).hexdigest()


def _stored(name: str) -> dict[str, _Entry]:
    """Return what is kept under a name; nothing where it is damaged or of another version."""
    packed = _CACHE.get(name)
    if packed is None:
        return {}
    try:
        head, texts, keys, *columns = json.loads(zlib.decompressobj().decompress(packed, _LARGEST))
        kinds = [{str}] * _TEXTS + [{int}] * (len(columns) - _TEXTS - 1) + [{int, type(None)}]
        if (
            head != _HEAD
            or any(not set(map(type, c)) <= k for c, k in zip(columns, kinds, strict=True))
            or not set(map(type, texts.values())) <= {str}
        ):
            return {}
        headers = map(HeaderSummary._make, zip(*columns, strict=True))
        return texts | dict(zip(keys, headers, strict=True))
    except (ValueError, TypeError, AttributeError, RecursionError, zlib.error):
        return {}


def _packed(known: dict[str, _Entry]) -> bytes:
    """Return what `_stored` reads: column by column, which is parsed in half of the time."""
    texts = {key: entry for key, entry in known.items() if isinstance(entry, str)}
    headers = {key: entry for key, entry in known.items() if not isinstance(entry, str)}
    columns = [list(column) for column in zip(*headers.values(), strict=True)]
    columns = columns or [[] for _ in _FIELDS]
    content = json.dumps([_HEAD, texts, list(headers), *columns], separators=(',', ':'))
    return zlib.compress(content.encode(), 1)


def _entry_of(found: Any) -> _Entry:
    """Return what a decoder says of a file; raises ValueError where it talks nonsense."""
    if found is None or isinstance(found, str):
        return found or ''
    if not isinstance(found, list) or len(found) != len(_FIELDS):
        raise ValueError('The decoder gave no header.')
    *numbers, taken = found[_TEXTS:]
    if not all(type(text) is str for text in found[:_TEXTS]):
        raise ValueError('The decoder gave no header.')
    if not all(type(number) is int for number in (*numbers, taken or 0)):
        raise ValueError('The decoder gave no header.')
    return HeaderSummary._make(found)


def _walk(folder: str, shut: list[tuple[str, str]]) -> Iterator[_File]:
    """Yield the files of a folder and the folders in it, but hidden ones; links are followed."""
    waiting, seen = [folder], set()
    while waiting:
        here = waiting.pop()
        try:
            status = os.stat(here)
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(here) as entries:
                for entry in entries:
                    if entry.name[0] == '.':
                        continue
                    try:
                        if entry.is_dir():
                            waiting.append(entry.path)
                            continue
                        status = entry.stat()
                    except OSError:  # a dead link
                        continue
                    if stat.S_ISREG(status.st_mode):  # reading a pipe could block for ever
                        yield entry.path, status.st_size, status.st_mtime_ns
        except OSError as error:
            reason = error.strerror or 'it cannot be read'
            shut.append((here, f'This folder cannot be opened ({reason}). Make it readable.'))


def _file(path: str, status: os.stat_result) -> _File:
    if not stat.S_ISREG(status.st_mode):  # reading a pipe could block for ever
        raise ValueError('not a file')
    return path, status.st_size, status.st_mtime_ns
