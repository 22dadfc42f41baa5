"""Read the images of a data set, and group those that belong together.

Usable images are decoded once and cached on disk; near-duplicates, and images that a person
joined, become one group.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_cxr.inference.preprocessing import Preprocessing
from napari_cxr.training import duplicates
from napari_cxr.training.dataset import SPLITS, Dataset, DatasetError
from napari_cxr.training.image_cache import ImageCache, cache_key
from napari_cxr.training.recipe import Recipe
from napari_cxr.training.sealed_images import sealed_among
from napari_cxr.training.splits import sufficient_subset
from napari_cxr.training.training_events import (
    ImageSkipped,
    ReadingProgress,
    TrainingEvent,
    WarningRaised,
)
from napari_cxr.training.training_image import (
    LATERAL,
    ImageReader,
    TrainingImage,
    UnusableImage,
    read_in_process,
)

__all__ = ['LoadedImages', 'group_duplicates', 'load_images', 'prepare']

_EVENT_EVERY = 0.2  # seconds between two events

_KEEP_AT_ONCE = 64  # images in one transaction

#: Digits of a file's SHA-256 by which recipes name it.
_DIGITS = 16

#: Images with contradictory labels that a warning names.
_NAMED = 5

_CACHED_OF_EACH = ('features', 'size', 'thumbnail', 'patient')


@dataclass(frozen=True, eq=False)
class LoadedImages:
    """The n images of a data set that can be used, and what is known of each.

    Parameters
    ----------
    dataset : Dataset
        The images, in the order of all that follows, in their final groups.
    digests : tuple of str
        How recipes name them: the first 16 hexadecimal digits of the file's SHA-256.
    features : ndarray of float32, shape (n, 44)
        Input of the no-anatomy baselines, see `napari_cxr.metrics.baseline`.
    sizes : ndarray of int, shape (n, 2)
        Rows and columns of the files.
    thumbnails : ndarray of uint8, shape (n, 32, 32)
        See `napari_cxr.training.duplicates`.
    preprocessing, bits
        How the images were prepared.
    cache, keys, reader
        Where the pixels are, under which keys, and what decodes them again if they are lost.
    """

    dataset: Dataset
    digests: tuple[str, ...]
    features: np.ndarray
    sizes: np.ndarray
    thumbnails: np.ndarray
    preprocessing: Preprocessing
    bits: int
    cache: ImageCache
    keys: tuple[bytes, ...]
    reader: ImageReader

    def images(self, places: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return images at the input size, from the disk.

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
            If an image is no longer in the cache, and its file has changed or cannot be read.
        """
        rows = [int(place) for place in places]
        wanted = {self.keys[row]: row for row in rows}
        found = self.cache.images(list(wanted))
        if lost := [row for key, row in wanted.items() if key not in found]:
            found |= self._read_again(lost)
        kind = np.uint8 if self.bits == 8 else np.uint16
        out = np.empty((len(rows), self.preprocessing.height, self.preprocessing.width), kind)
        for i, row in enumerate(rows):
            out[i] = np.frombuffer(found[self.keys[row]], kind).reshape(out.shape[1:])
        return out

    def subset(self, places: Sequence[int] | np.ndarray) -> LoadedImages:
        """Return some of the images."""
        rows = np.asarray(places, dtype=np.intp)
        return replace(
            self,
            dataset=self.dataset.subset(rows.tolist()),
            digests=tuple(self.digests[i] for i in rows),
            features=self.features[rows],
            sizes=self.sizes[rows],
            thumbnails=self.thumbnails[rows],
            keys=tuple(self.keys[i] for i in rows),
        )

    def _read_again(self, rows: list[int]) -> dict[bytes, bytes]:
        """Decode images again that are no longer in the cache."""
        found: dict[bytes, bytes] = {}
        items = []
        for row in rows:
            path = self.dataset.samples[row].path
            try:
                same = self.cache.digest_of(path).hex()[:_DIGITS] == self.digests[row]
            except OSError:
                same = False
            if not same:
                raise DatasetError(
                    f'The image {self.dataset.name_of(row)} was changed or removed after '
                    'it was read; start the run again.'
                )
            items.append((row, path))
        for row, result in self.reader(items, self.preprocessing, self.bits):
            if isinstance(result, str):
                raise DatasetError(
                    f'The image {self.dataset.name_of(row)} is no longer in the cache and '
                    f'could not be read again: {result}'
                )
            self.cache.put({self.keys[row]: result})
            found[self.keys[row]] = result.image.tobytes()
        return found


def load_images(
    dataset: Dataset, recipe: Recipe, reader: ImageReader | None = None, run: str = ''
) -> Generator[TrainingEvent, None, LoadedImages]:
    """Read the images of a data set that can be used, excluded ones as well; see `prepare`."""
    cache = ImageCache()
    reader = read_in_process if reader is None else reader
    loader = _ImageLoader(dataset, recipe, reader, cache, run)
    yield from loader.hash_files()
    yield from loader.read()
    for text in cache.problems:
        yield WarningRaised(run, text)
    cache.trim()
    return loader.result()


class _ImageLoader:
    """Reads the images of a data set."""

    def __init__(
        self, dataset: Dataset, recipe: Recipe, reader: ImageReader, cache: ImageCache, run: str
    ) -> None:
        self.dataset, self.reader, self.cache, self.run = dataset, reader, cache, run
        self.preprocessing, self.bits = recipe.input, recipe.data.bits
        self.digests: dict[int, bytes] = {}
        self.keys: dict[int, bytes] = {}
        self.about: dict[bytes, dict[str, Any] | str] = {}
        self.first_reason = ''
        self._last_event = 0.0

    def hash_files(self) -> Iterator[TrainingEvent]:
        """Hash each file, and derive its key in the cache."""
        for place, sample in enumerate(self.dataset.samples):
            if sample.is_lateral:
                yield self._skipped(place, LATERAL)
                continue
            if sample.problem:
                yield self._skipped(place, sample.problem, 'The table names no file.')
                continue
            try:
                digest = self.cache.digest_of(sample.path)
            except OSError as error:
                yield self._skipped(place, f'It cannot be opened ({error.strerror}).')
                continue
            self.digests[place] = digest
            self.keys[place] = cache_key(digest, self.preprocessing, self.bits)
            yield from self._progress(0)

    def read(self) -> Iterator[TrainingEvent]:
        """Decode what is not in the cache, identical files once."""
        self.about.update(self.cache.find(list(dict.fromkeys(self.keys.values()))))
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

    def result(self) -> LoadedImages:
        """Return the usable images."""
        usable = [p for p, key in self.keys.items() if not isinstance(self.about[key], str)]
        dataset = self.dataset
        if not usable:
            raise DatasetError(
                f'None of the {len(dataset.samples)} images can be used. The first one: '
                f'{self.first_reason}'
            )
        about: list[Any] = [self.about[self.keys[p]] for p in usable]
        for label in dataset.labels:
            if not any(label in dataset.samples[p].labels for p in usable):
                raise DatasetError(f'No image of the class {label!r} can be used.')
        return LoadedImages(
            dataset=_with_patients(dataset.subset(usable), [a['patient'] for a in about]),
            digests=tuple(self.digests[p].hex()[:_DIGITS] for p in usable),
            features=np.stack([a['features'] for a in about]),
            sizes=np.array([a['size'] for a in about], dtype=np.intp),
            thumbnails=np.stack([a['thumbnail'] for a in about]),
            preprocessing=self.preprocessing,
            bits=self.bits,
            cache=self.cache,
            keys=tuple(self.keys[p] for p in usable),
            reader=self.reader,
        )

    def _decode(self, items: list[tuple[int, Path]], known: int) -> Iterator[TrainingEvent]:
        pending: dict[bytes, TrainingImage | UnusableImage] = {}
        results = self.reader(items, self.preprocessing, self.bits)
        try:
            for done, (place, result) in enumerate(results, start=known + 1):
                key = self.keys[place]
                if isinstance(result, TrainingImage):
                    # Its pixels go to the disk, and are not kept in memory.
                    self.about[key] = {name: getattr(result, name) for name in _CACHED_OF_EACH}
                else:
                    self.about[key] = result
                if isinstance(result, (TrainingImage, UnusableImage)):
                    pending[key] = result
                if len(pending) == _KEEP_AT_ONCE:
                    self.cache.put(pending)
                    pending = {}
                yield from self._progress(done)
        finally:  # what was decoded is kept even if the run is cancelled
            if close := getattr(results, 'close', None):
                close()
            self.cache.put(pending)

    def _progress(self, done: int, *, now: bool = False) -> Iterator[TrainingEvent]:
        if now or time.monotonic() - self._last_event >= _EVENT_EVERY:
            self._last_event = time.monotonic()
            yield ReadingProgress(self.run, done, len(self.dataset.samples))

    def _skipped(self, place: int, reason: str, logged: str = '') -> TrainingEvent:
        self.first_reason = self.first_reason or reason
        return ImageSkipped(self.run, self.dataset.name_of(place), reason, logged)


def _with_patients(dataset: Dataset, pseudonyms: Sequence[str]) -> Dataset:
    """Return the data set with patients from DICOM headers, where none was known."""
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


def prepare(
    dataset: Dataset, recipe: Recipe, reader: ImageReader | None = None, run: str = ''
) -> Generator[TrainingEvent, None, LoadedImages]:
    """Read the images that a recipe uses, and group those that belong together.

    Parameters
    ----------
    dataset : Dataset
        As `index` found it.
    recipe : Recipe
        Its sections input and data: excluded images are dropped, and patients (from the file
        name, the table or the DICOM header) are joined where near-duplicates or a person say
        so. With a limit, only as many images are read as can fill every part of a split.
    reader : ImageReader, optional
        What decodes the files; `read_in_process` by default. For untrusted files, pass a pool
        of decoder processes.
    run : str
        Name of the run in its events.

    Yields
    ------
    TrainingEvent
        `ReadingProgress`, `ImageSkipped`, and `WarningRaised`.

    Returns
    -------
    LoadedImages

    Raises
    ------
    DatasetError
        If no image can be used, or none of a class.
    """
    dataset = replace(dataset, limit=recipe.data.limit, balance=recipe.data.balance)
    dataset = dataset.subset(sufficient_subset(dataset, recipe.split, recipe.split_seed))
    everything = yield from load_images(dataset, recipe, reader, run)
    left_out = set(recipe.data.exclude)
    for text in _unused_entries(everything, recipe):
        yield WarningRaised(run, text)
    kept = [i for i, digest in enumerate(everything.digests) if digest not in left_out]
    for label in everything.dataset.labels:
        if not any(label in everything.dataset.samples[i].labels for i in kept):
            raise DatasetError(
                f'Every image of the class {label!r} is excluded by data.exclude; include some '
                'of them again, or leave the class out in data.classes.'
            )
    images = everything.subset(kept)
    for text in (_contradictions(images), _never_absent(images.dataset)):
        if text:
            yield WarningRaised(run, text)
    images = yield from _without_sealed(images, recipe, run)
    pairs = duplicates.find_near_duplicates(images.thumbnails)[0] if recipe.data.duplicates else ()
    images = group_duplicates(images, recipe, pairs)
    if divided := images.dataset.divided_pairs:
        yield WarningRaised(
            run,
            f'{divided} pairs of near-duplicates are divided between the given splits, so metrics '
            "will be too high; set split.method to 'holdout', or put such images into one "
            'group.',
        )
    return images


def _without_sealed(
    images: LoadedImages, recipe: Recipe, run: str
) -> Generator[TrainingEvent, None, LoadedImages]:
    """Leave out sealed test images, and refuse to train on sealed images or to choose by them."""
    try:
        found = sealed_among(images.digests, images.thumbnails)
    except ValueError as error:
        raise DatasetError(str(error)) from None
    if not found:
        return images
    dataset = images.dataset
    given = recipe.split.method in ('auto', 'given') and dataset.has_splits
    used = [i for i in found if not given or dataset.samples[i].split != 'test']
    if used:
        sealed = found[used[0]]
        raise DatasetError(
            f'{len(used):,} of the images are sealed: they, or copies of them, belong to the '
            f'sealed set {sealed.name!r}, the first one being {dataset.name_of(used[0])}. Nothing '
            'is trained on a sealed set. Take them out of the folder or table, or mark them as '
            'its test split.'
        )
    yield WarningRaised(
        run,
        f'{len(found):,} test images are left out of this run, because they belong to a sealed '
        'set, which answers once for each model: evaluate the finished model with '
        '"napari-cxr evaluate".',
    )
    return images.subset([i for i in range(len(images.digests)) if i not in found])


def _contradictions(images: LoadedImages) -> str:
    """Say which files have the same content and different labels; empty if none."""
    labels: dict[str, dict[str, int]] = {}
    for digest, sample in zip(images.digests, images.dataset.samples, strict=True):
        own = labels.setdefault(digest, {})
        own[sample.label] = own.get(sample.label, 0) + 1
    found = {digest: own for digest, own in labels.items() if len(own) > 1}
    if not found:
        return ''
    shown = [
        f'{digest} ({" and ".join(label.replace("|", ", ") or "none" for label in own)})'
        for digest, own in list(found.items())[:_NAMED]
    ]
    more = f' and {len(found) - _NAMED} more' if len(found) > _NAMED else ''
    files = sum(sum(own.values()) for own in found.values())
    return (
        f'{len(found)} image{"s" * (len(found) > 1)}, in {files} files of the very same content, '
        f'stand under different labels: {"; ".join(shown)}{more}. At least one label of each is '
        'wrong. They are used as they are, in one split each; correct the labels, or name these '
        'images in data.exclude.'
    )


def _never_absent(dataset: Dataset) -> str:
    """Say which labels no image is known not to have, so that they cannot be learnt."""
    if not dataset.multilabel:
        return ''
    found = [
        label
        for label in dataset.labels
        if all(label in s.labels or label in s.unknown for s in dataset.samples)
    ]
    if not found:
        return ''
    return (
        f'Of no image it is known that it does not have: {", ".join(found)}. Blank, -1 and '
        '"uncertain" say that nobody knows, so nothing can be learnt of these labels. Write 0 '
        'where an image does not have one.'
    )


def _unused_entries(everything: LoadedImages, recipe: Recipe) -> Iterator[str]:
    """Yield warnings of what the recipe or the table says without effect."""
    named = set(recipe.data.exclude).union(*recipe.data.together)
    unknown = named - set(everything.digests)
    if unknown and not recipe.data.limit:  # with a limit, not all are looked at
        yield (
            f'{len(unknown)} of the {len(named)} images that data.exclude and data.together name '
            'are missing or have changed; check that the recipe was made for these images.'
        )
    samples = everything.dataset.samples
    given = sum(bool(sample.split) for sample in samples)
    if recipe.split.method == 'auto' and 0 < given < len(samples):
        yield (
            f'Only {given} of {len(samples)} images have a split, so these splits are ignored and '
            "new ones are drawn; fill the table's column 'split' to use it."
        )


def group_duplicates(
    images: LoadedImages, recipe: Recipe, pairs: Iterable[tuple[int, int]] | np.ndarray
) -> LoadedImages:
    """Join the groups of near-duplicates, and of images that a person put together.

    Where splits are given, near-duplicates in two splits stay there and are counted; images
    that a person put together all move to the training split, or else to val.

    Parameters
    ----------
    images : LoadedImages
        The images, in groups by patient.
    recipe : Recipe
        Its sections data and split.
    pairs : iterable of (int, int)
        Indices of near-duplicates.
    """
    dataset = images.dataset
    given = recipe.split.method in ('auto', 'given') and dataset.has_splits
    by_hand = _Groups(dataset)
    for digests in recipe.data.together:
        names = set(digests)
        by_hand.join([i for i, digest in enumerate(images.digests) if digest in names])
    if given and recipe.data.together:
        dataset = _in_one_split(dataset, by_hand)
    groups, divided = _Groups(dataset, by_hand), 0
    for first, second in pairs:
        sides = {dataset.samples[first].split, dataset.samples[second].split}
        if given and len(sides) > 1:
            divided += 1
        else:
            groups.join([first, second])
    names_of = groups.names()
    samples = tuple(
        replace(sample, group=name) for sample, name in zip(dataset.samples, names_of, strict=True)
    )
    return replace(images, dataset=replace(dataset, samples=samples, divided_pairs=divided))


def _in_one_split(dataset: Dataset, groups: _Groups) -> Dataset:
    """Move images that were put together to one given split; the test split may only lose."""
    before = Counter(sample.group for sample in dataset.samples)
    after = groups.names()
    now = Counter(after)
    members: dict[str, list[int]] = {}
    for i, name in enumerate(after):
        if now[name] > before[dataset.samples[i].group]:
            members.setdefault(name, []).append(i)
    samples = list(dataset.samples)
    for places in members.values():
        present = {samples[i].split for i in places}
        side = next(name for name in SPLITS if name in present)
        for i in places:
            samples[i] = replace(samples[i], split=side)
    return replace(dataset, samples=tuple(samples))


class _Groups:
    """Groups of images that can be joined: disjoint sets over the names of groups."""

    def __init__(self, dataset: Dataset, others: _Groups | None = None) -> None:
        self._own = [sample.group for sample in dataset.samples]
        self._above: dict[str, str] = {} if others is None else dict(others._above)

    def join(self, places: Iterable[int]) -> None:
        roots = [self._root(self._own[i]) for i in places]
        for root in roots[1:]:
            if root != roots[0]:
                self._above[root] = roots[0]

    def names(self) -> list[str]:
        return [self._root(name) for name in self._own]

    def _root(self, name: str) -> str:
        while name in self._above:
            name = self._above[name]
        return name
