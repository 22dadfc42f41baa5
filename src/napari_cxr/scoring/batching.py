"""From files to rows: files are put into batches, and batches run beside the decoders.

Batches do not depend on the order in which files arrive: each path has its place in one batch.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Container, Generator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cxr.explain.heatmap import Heatmap, input_bounds
from napari_cxr.inference.cpu import compute_threads
from napari_cxr.metrics.conformal import prediction_set
from napari_cxr.scoring import heatmap_files
from napari_cxr.scoring.image_preparation import ImagePreparer, PreparedImage, PrepareOptions
from napari_cxr.scoring.input_lists import Item
from napari_cxr.scoring.journal import ScoringError
from napari_cxr.scoring.score_row import ScoreRow
from napari_cxr.scoring.scoring_events import ScoringWarned
from napari_cxr.scoring.scoring_settings import ScoringSettings

if TYPE_CHECKING:
    from napari_cxr.inference.classifier import Classifier

__all__ = [
    'BatchScorer',
    'ListingBatches',
    'RowStream',
    'batch_workers_for',
    'row_for_item',
    'score_rows',
]


class ListingBatches:
    """Batches of neighbours in the listing, each handed out as soon as it is whole.

    What a network says of an image depends, in its last digits, on the size of the batch
    and on the image's place in it, though not on the other images. So each path has its
    place in one batch whatever comes first, fails, or was scored before a crash: then the
    same table comes out to the last digit. No batch waits for another. Only as many are
    open as there are files being read, so memory does not grow with the listing.

    Parameters
    ----------
    total : int
        Paths in the listing.
    size : int
        Images in a batch; the last has what is left.
    missing : container of int
        Numbers of the paths whose rows are still to come.
    """

    def __init__(self, total: int, size: int, missing: Container[int]) -> None:
        self._total, self._size, self._missing = total, size, missing
        self._open: dict[int, dict[int, PreparedImage | None]] = {}

    def put(
        self, number: int, ready: PreparedImage | None
    ) -> list[tuple[int, PreparedImage]] | None:
        """Take in a file, or None for one that gives no image.

        Returns
        -------
        list of (int, Ready), or None
            The images of its batch by number, if that was the last file of it.
        """
        block = number // self._size
        arrived = self._open.setdefault(block, {})
        arrived[number] = ready
        if any(n in self._missing and n not in arrived for n in self._numbers(block)):
            return None
        del self._open[block]
        return [(n, one) for n, one in sorted(arrived.items()) if one is not None]

    def batch(self, images: list[tuple[int, PreparedImage]]) -> tuple[np.ndarray, list[int]]:
        """Return a batch as the network takes it, with nothing where no image is.

        Returns
        -------
        ndarray of float32, shape (n, height, width)
            Always as many as the batch has paths.
        list of int
            The place in it of each image.
        """
        numbers = self._numbers(images[0][0] // self._size)
        places = [number - numbers.start for number, _ in images]
        shape = images[0][1].image.shape
        batch = np.zeros((len(numbers), *shape), dtype=np.float32)
        for place, (_, ready) in zip(places, images, strict=True):
            batch[place] = ready.image
        return batch, places

    def _numbers(self, block: int) -> range:
        return range(block * self._size, min((block + 1) * self._size, self._total))


class BatchScorer:
    """The classifier, with what it learns about the memory while it runs."""

    def __init__(
        self,
        classifier: Classifier,
        items: Sequence[Item] | Mapping[int, Item],
        settings: ScoringSettings,
    ) -> None:
        self._classifier, self._items, self._settings = classifier, items, settings
        self._rule = settings.rule(classifier.rule)
        self._at_most = 0
        self._lock, self._stopped = threading.Lock(), threading.Event()
        self.warning = ''

    def stop(self) -> None:
        """Let running batches end with the image that they are at."""
        self._stopped.set()

    def score_batch(
        self, batch: np.ndarray, places: Sequence[int], images: Sequence[tuple[int, PreparedImage]]
    ) -> list[ScoreRow]:
        """Run one batch; return the rows of its images, fewer where it was stopped.

        Raises
        ------
        ScoringError
            If a heatmap cannot be written, or the device fails.
        OutOfMemory
            If not even one image fits into the device's memory.
        """
        maps = None
        try:
            if self._settings.with_shares:
                logits, maps, fitted = self._classifier.maps(batch, self._at_most)
            else:
                logits, fitted = self._classifier.logits(batch, self._at_most)
        except RuntimeError as error:  # all that torch says of a device that fails
            said = str(error).strip().partition('\n')[0].rstrip('.:') or type(error).__name__
            raise ScoringError(
                f'The network failed on {self._classifier.device.name} ({said}). All rows that '
                'are done are kept: start the program again and resume; if it fails again, '
                'score on another device.'
            ) from error
        with self._lock:  # several batches may find out at once
            if fitted < min(len(batch), self._at_most or len(batch)):
                self._at_most = fitted
                self.warning = f'Memory ran short: going on with batches of {fitted}.'
        return [
            self._row(number, ready, logits[place], None if maps is None else maps[place])
            for place, (number, ready) in zip(places, images, strict=True)
            if not self._stopped.is_set()
        ]

    def _row(
        self, number: int, ready: PreparedImage, logits: np.ndarray, maps: np.ndarray | None
    ) -> ScoreRow:
        classifier, settings = self._classifier, self._settings
        if not np.isfinite(logits).all():
            return row_for_item(
                number,
                self._items[number],
                status='error',
                error='The network’s answer is no number: the model does not suit this image.',
            )
        probabilities = tuple(float(p) for p in classifier.probabilities(logits))
        sets = classifier.card.prediction_sets
        called: tuple[str, ...] = ()
        if settings.decision is not None:
            called = settings.decision.called(classifier.labels, probabilities)
        where: Mapping[str, Any] = {}
        if maps is not None:
            heatmaps = self._heatmaps(ready, maps, probabilities, logits)
            shown = classifier.labels.index(self._rule.leading(probabilities))
            where = self._where(number, ready, heatmaps, shown)
        return row_for_item(
            number,
            self._items[number],
            status='scored',
            label=self._rule.label(probabilities),
            probabilities=probabilities,
            above=self._rule.above(probabilities) if self._rule.multilabel else (),
            answer=self._rule.answer(probabilities) if self._rule.to_dict() else '',
            called=called,
            possible=prediction_set(classifier.labels, probabilities, sets) if sets else (),
            view=ready.view,
            model_split=settings.images.split_of(ready.digest) if settings.images else '',
            warnings=classifier.with_own_warnings(ready.warnings),
            device=classifier.device.name,
            precision=classifier.backend.precision,
            backend=classifier.backend.name,
            decoded=ready.decoded,
            identity=ready.identity,
            **where,
        )

    def _where(
        self, number: int, ready: PreparedImage, heatmaps: Sequence[Heatmap], k: int
    ) -> Mapping[str, Any]:
        """Say where the heatmap of class `k` lies, and draw it if that is wanted."""
        shown, folder = heatmaps[k], self._settings.heatmaps
        found = heatmap_files.heatmap_fractions(shown, ready)
        if folder is None:
            return found
        picture = heatmap_files.heatmap_path(folder, number, self._items[number].path)
        try:
            heatmap_files.save_heatmap(picture, ready, shown, heatmaps)
        except OSError as error:
            raise ScoringError(
                f'{picture} cannot be written: {error.strerror}. All rows that are done are '
                'kept: make room and resume.'
            ) from None
        return {'heatmap': str(picture), **found}

    def _heatmaps(
        self,
        ready: PreparedImage,
        maps: np.ndarray,
        probabilities: Sequence[float],
        logits: np.ndarray,
    ) -> list[Heatmap]:
        classifier = self._classifier
        height, width = ready.image.shape
        matrix = classifier.cell_to_radiograph((height, width), ready.to_radiograph)
        return [
            Heatmap(
                values=maps[k],
                to_radiograph=matrix,
                label=label,
                probability=probabilities[k],
                logit=float(logits[k]),
                method='Grad-CAM',
                model=classifier.card.name,
                input_bounds=input_bounds(ready.to_radiograph, height, width),
            )
            for k, label in enumerate(classifier.labels)
        ]


def row_for_item(number: int, item: Item, **known: Any) -> ScoreRow:
    """Return a row with what the listing says of a path, and what else is known."""
    return ScoreRow(
        number=number,
        path=item.path,
        truth=item.truth,
        source=item.source,
        patient=item.patient,
        split=item.split,
        **known,
    )


#: How often a wait hands control back, in seconds.
_HEARTBEAT = 0.1

#: How long batches that nobody waits for any more may take to end, in seconds. No longer,
#: since a network cannot be stopped within a batch; what they made is made again.
_GRACE = 0.5

#: Rows as they are done, and warnings between them; None while there is nothing, so that
#: closing works.
RowStream = Generator[list[ScoreRow] | ScoringWarned | None, None, None]


def score_rows(
    items: Sequence[Item] | Mapping[int, Item],
    missing: Collection[int],
    total: int,
    classifier: Classifier,
    read: ImagePreparer,
    settings: ScoringSettings,
    batch: int,
    workers: int = 1,
) -> RowStream:
    """Score files of a listing.

    Parameters
    ----------
    items : sequence or mapping of Item
        The listing, or a part of it by number.
    missing : collection of int
        Numbers of the files to score; a number may leave it once its row has come.
    total : int
        Paths in the whole listing.
    classifier, read, settings
        As of `score`.
    batch : int
        Images that the network takes at once.
    workers : int
        Batches that run at the same time, each in a thread of its own, while files are read.
    """
    batches = ListingBatches(total, batch, missing)
    scorer = BatchScorer(classifier, items, settings)
    options = PrepareOptions(
        classifier.preprocessing,
        lungs=settings.with_shares,
        picture=settings.heatmaps is not None,
        identify=settings.identify,
        full_resolution=settings.full_resolution,
        digest=settings.images is not None,
    )
    numbered = ((n, Path(items[n].path)) for n in missing)
    with _BatchWorkers(scorer, workers) as running, closing(read(numbered, options)) as arriving:
        for arrived in arriving:
            yield from running.finished()
            if arrived is None:
                yield None
                continue
            number, result = arrived
            if isinstance(result, str):
                whole = batches.put(number, None)
                why = items[number].problem or result
                yield [row_for_item(number, items[number], status='error', error=why)]
            else:
                whole = batches.put(number, result)
            if whole:
                # Decoders wait as well, so that no more images are kept than are needed.
                yield from running.finished(fewer_than=workers)
                running.start(*batches.batch(whole), whole)
        yield from running.finished(fewer_than=1)


class _BatchWorkers:
    """Batches that run, each in a thread.

    One core computes one batch: threads of one batch would wait for each other whenever
    decoders hold a core, and spin meanwhile.
    """

    def __init__(self, scorer: BatchScorer, workers: int) -> None:
        self._scorer = scorer
        self._threads = ThreadPoolExecutor(workers)
        self._running: set[Future[list[ScoreRow]]] = set()

    def __enter__(self) -> _BatchWorkers:
        return self

    def __exit__(self, *_: object) -> None:
        self._scorer.stop()
        self._threads.shutdown(wait=False, cancel_futures=True)
        wait(self._running, _GRACE)

    def start(
        self, batch: np.ndarray, places: Sequence[int], images: Sequence[tuple[int, PreparedImage]]
    ) -> None:
        """Run a batch; see `BatchScorer.score_batch`."""
        self._running.add(self._threads.submit(self._scorer.score_batch, batch, places, images))

    def finished(self, fewer_than: int = 0) -> RowStream:
        """Yield the rows that are done; wait until fewer batches than that are running.

        Raises what a batch raised.
        """
        while self._running:
            waits = 0 < fewer_than <= len(self._running)
            ended, self._running = wait(self._running, _HEARTBEAT if waits else 0, FIRST_COMPLETED)
            for future in ended:
                yield future.result()
            warning, self._scorer.warning = self._scorer.warning, ''
            if warning:
                yield ScoringWarned(warning)
            if not waits:
                return
            if not ended:
                yield None


def batch_workers_for(classifier: Classifier, batches: int) -> int:
    """Return how many of so many batches to run at the same time: on a processor one a core.

    A GPU takes one batch after the other.
    """
    if classifier.device.name != 'cpu':
        return 1
    return max(1, min(compute_threads(), batches))
