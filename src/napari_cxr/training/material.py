"""The images of a data set that can be used, read once and kept on disk."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_cxr.inference.preprocessing import Preprocessing
from napari_cxr.training.cache import LATERAL, Decoded, Reader, Unusable, read_here
from napari_cxr.training.dataset import Dataset, DatasetError
from napari_cxr.training.events import Event, Reading, Skipped, Warned
from napari_cxr.training.recipe import Recipe
from napari_cxr.training.store import ImageStore, key_of

__all__ = ['Material', 'gather']

_EVENT_EVERY = 0.2  # seconds between two events
_KEEP_AT_ONCE = 64  # images in one transaction
#: Digits of a file's SHA-256 by which recipes name it.
_DIGITS = 16
_KEPT_OF_EACH = ('features', 'size', 'thumbnail', 'patient')


@dataclass(frozen=True, eq=False)
class Material:
    """The n images of a data set that can be used, and what is known of each.

    Parameters
    ----------
    dataset : Dataset
        The images, in the order of all that follows, in their final groups.
    digests : tuple of str
        What recipes call them: the first 16 hexadecimal digits of the file's SHA-256.
    features : ndarray of float32, shape (n, 44)
        What the no-anatomy baselines see, see `napari_cxr.metrics.baseline`.
    sizes : ndarray of int, shape (n, 2)
        Rows and columns of the files.
    thumbnails : ndarray of uint8, shape (n, 32, 32)
        See `napari_cxr.training.duplicates`.
    preprocessing, bits
        How they were made.
    store, keys, reader
        Where the pixels are, under which names, and who reads them again if they are lost.
    """

    dataset: Dataset
    digests: tuple[str, ...]
    features: np.ndarray
    sizes: np.ndarray
    thumbnails: np.ndarray
    preprocessing: Preprocessing
    bits: int
    store: ImageStore
    keys: tuple[bytes, ...]
    reader: Reader

    def images(self, places: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return images at their working size, from the disk.

        Parameters
        ----------
        places : sequence of int
            In any order, with repeats.

        Returns
        -------
        ndarray of uint8 or uint16, shape (n, h, w)

        Raises
        ------
        DatasetError
            If the cache has lost an image, and its file has changed or cannot be read.
        """
        rows = [int(place) for place in places]
        wanted = {self.keys[row]: row for row in rows}
        found = self.store.images(list(wanted))
        if lost := [row for key, row in wanted.items() if key not in found]:
            found |= self._read_again(lost)
        kind = np.uint8 if self.bits == 8 else np.uint16
        out = np.empty((len(rows), self.preprocessing.height, self.preprocessing.width), kind)
        for i, row in enumerate(rows):
            out[i] = np.frombuffer(found[self.keys[row]], kind).reshape(out.shape[1:])
        return out

    def at(self, places: Sequence[int] | np.ndarray) -> Material:
        """Return the material of some of the images."""
        rows = np.asarray(places, dtype=np.intp)
        return replace(
            self,
            dataset=self.dataset.at(rows.tolist()),
            digests=tuple(self.digests[i] for i in rows),
            features=self.features[rows],
            sizes=self.sizes[rows],
            thumbnails=self.thumbnails[rows],
            keys=tuple(self.keys[i] for i in rows),
        )

    def _read_again(self, rows: list[int]) -> dict[bytes, bytes]:
        """Decode images anew that the cache has lost since they were prepared."""
        found: dict[bytes, bytes] = {}
        items = []
        for row in rows:
            path = self.dataset.samples[row].path
            try:
                same = self.store.digest_of(path).hex()[:_DIGITS] == self.digests[row]
            except OSError:
                same = False
            if not same:
                raise DatasetError(
                    f'The image {self.dataset.name_of(row)} was changed or taken away since '
                    'it was read; start the run again.'
                )
            items.append((row, path))
        for row, result in self.reader(items, self.preprocessing, self.bits):
            if isinstance(result, str):
                raise DatasetError(
                    f'The image {self.dataset.name_of(row)} is no longer in the cache and '
                    f'could not be read again: {result}'
                )
            self.store.put({self.keys[row]: result})
            found[self.keys[row]] = result.image.tobytes()
        return found


def gather(
    dataset: Dataset, recipe: Recipe, reader: Reader | None = None, run: str = ''
) -> Generator[Event, None, Material]:
    """Read the images of a data set that can be used, excluded ones as well; see `prepare`."""
    store = ImageStore()
    reader = read_here if reader is None else reader
    reading = _Images(dataset, recipe, reader, store, run)
    yield from reading.name()
    yield from reading.read()
    for text in store.problems:
        yield Warned(run, text)
    store.trim()
    return reading.material()


class _Images:
    """A data set while it is read."""

    def __init__(
        self, dataset: Dataset, recipe: Recipe, reader: Reader, store: ImageStore, run: str
    ) -> None:
        self.dataset, self.reader, self.store, self.run = dataset, reader, store, run
        self.preprocessing, self.bits = recipe.input, recipe.data.bits
        self.digests: dict[int, bytes] = {}
        self.keys: dict[int, bytes] = {}
        self.about: dict[bytes, dict[str, Any] | str] = {}
        self.first_reason = ''
        self._spoken = 0.0

    def name(self) -> Iterator[Event]:
        """Find out what each file is called by its content."""
        for place, sample in enumerate(self.dataset.samples):
            if sample.is_lateral:
                yield self._skipped(place, LATERAL)
                continue
            try:
                digest = self.store.digest_of(sample.path)
            except OSError as error:
                yield self._skipped(place, f'It cannot be opened ({error.strerror}).')
                continue
            self.digests[place] = digest
            self.keys[place] = key_of(digest, self.preprocessing, self.bits)
            yield from self._progress(0)

    def read(self) -> Iterator[Event]:
        """Decode what is not in the cache, each content once."""
        self.about.update(self.store.find(list(dict.fromkeys(self.keys.values()))))
        first: dict[bytes, int] = {}
        for place, key in self.keys.items():
            if key not in self.about:
                first.setdefault(key, place)
        known = len(self.dataset.samples) - len(first)
        items = [(place, self.dataset.samples[place].path) for place in first.values()]
        if items:
            yield from self._decode(items, known)
        yield from self._progress(len(self.dataset.samples), now=True)
        for place, key in self.keys.items():
            reason = self.about[key]
            if isinstance(reason, str):
                yield self._skipped(place, str(reason))

    def material(self) -> Material:
        """Return what was read."""
        usable = [p for p, key in self.keys.items() if not isinstance(self.about[key], str)]
        dataset = self.dataset
        if not usable:
            raise DatasetError(
                f'None of the {len(dataset.samples)} images could be used, the first for this '
                f'reason: {self.first_reason}'
            )
        about: list[Any] = [self.about[self.keys[p]] for p in usable]
        for label in dataset.labels:
            if not any(label in dataset.samples[p].labels for p in usable):
                raise DatasetError(f'No image of the class {label!r} could be used.')
        return Material(
            dataset=_with_patients(dataset.at(usable), [a['patient'] for a in about]),
            digests=tuple(self.digests[p].hex()[:_DIGITS] for p in usable),
            features=np.stack([a['features'] for a in about]),
            sizes=np.array([a['size'] for a in about], dtype=np.intp),
            thumbnails=np.stack([a['thumbnail'] for a in about]),
            preprocessing=self.preprocessing,
            bits=self.bits,
            store=self.store,
            keys=tuple(self.keys[p] for p in usable),
            reader=self.reader,
        )

    def _decode(self, items: list[tuple[int, Path]], known: int) -> Iterator[Event]:
        pending: dict[bytes, Decoded | Unusable] = {}
        results = self.reader(items, self.preprocessing, self.bits)
        try:
            for done, (place, result) in enumerate(results, start=known + 1):
                key = self.keys[place]
                if isinstance(result, Decoded):
                    # Its pixels go to the disk, and are not kept here.
                    self.about[key] = {name: getattr(result, name) for name in _KEPT_OF_EACH}
                else:
                    self.about[key] = result
                if isinstance(result, (Decoded, Unusable)):
                    pending[key] = result
                if len(pending) == _KEEP_AT_ONCE:
                    self.store.put(pending)
                    pending = {}
                yield from self._progress(done)
        finally:  # what was decoded is kept, also where the person cancels
            if close := getattr(results, 'close', None):
                close()
            self.store.put(pending)

    def _progress(self, done: int, *, now: bool = False) -> Iterator[Event]:
        if now or time.monotonic() - self._spoken >= _EVENT_EVERY:
            self._spoken = time.monotonic()
            yield Reading(self.run, done, len(self.dataset.samples))

    def _skipped(self, place: int, reason: str) -> Event:
        self.first_reason = self.first_reason or reason
        return Skipped(self.run, self.dataset.name_of(place), reason)


def _with_patients(dataset: Dataset, pseudonyms: Sequence[str]) -> Dataset:
    """Return the data set with patients out of DICOM headers, where none was known."""
    samples = tuple(
        replace(sample, group=f'DICOM {pseudonym}', known=True)
        if pseudonym and not sample.known
        else sample
        for sample, pseudonym in zip(dataset.samples, pseudonyms, strict=True)
    )
    return replace(
        dataset,
        samples=samples,
        grouped=dataset.grouped or all(sample.known for sample in samples),
    )
