"""The pieces of a run on a cluster, as they are handed out and come back."""

from __future__ import annotations

import json
import os
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_cxr.scoring.beside import Beside
from napari_cxr.scoring.cluster.kept import Decoders, Job
from napari_cxr.scoring.cluster.link import first_line, unseen
from napari_cxr.scoring.cluster.piece import score_piece
from napari_cxr.scoring.events import Warned
from napari_cxr.scoring.journal import Journal, ScoringError
from napari_cxr.scoring.listing import Item
from napari_cxr.scoring.network import row_of
from napari_cxr.scoring.row import Row
from napari_cxr.scoring.rows import Rows
from napari_cxr.scoring.settings import Settings

if TYPE_CHECKING:
    from distributed import Client, Future

__all__ = ['Pieces']

#: Batches in a piece. More of them let decoders and network overlap, fewer come back sooner.
_BATCHES = 8
#: Pieces that are under way or wait on the scheduler, for each task that runs at once.
_AHEAD = 2
#: How often to look how many workers there are, in seconds, and for results.
_LOOK = 2.0
_PATIENCE = 0.05


class Pieces:
    """The pieces of one run, as they are handed out and come back."""

    def __init__(
        self,
        client: Client,
        job: Job,
        items: Sequence[Item],
        settings: Settings,
        pool: Callable[[int], Decoders],
    ) -> None:
        self._client, self._job, self._items = client, job, items
        self._settings, self._pool = settings, pool
        self._id = uuid.uuid4().hex[:12]
        self._submitted = 0
        #: Batches at which workers died, or beside which: each is tried again alone, at the end.
        self._suspects: deque[list[int]] = deque()
        self._alone: list[int] = []
        self._under_way: dict[Future, list[int]] = {}
        self._tasks = self._tasks_at_once()
        self._looked = time.monotonic()
        #: The scheduler is asked beside: one that hangs must not keep anybody from stopping.
        self._asking: Beside[int] | None = None
        self._any = False
        self._said: set[str] = set()

    def rows(self, journal: Journal) -> Rows:
        """Score what a journal does not hold."""
        from distributed import as_completed

        fresh = self._pieces(journal)
        arriving = as_completed(loop=self._client.loop, with_results=True, raise_errors=False)
        try:
            while True:
                while len(self._under_way) < max(2, _AHEAD * self._tasks):
                    piece = next(fresh, None)
                    if piece is None:
                        break
                    arriving.add(self._submit(piece))
                if not self._under_way:
                    if not self._suspects:
                        return
                    self._alone = self._suspects.popleft()
                    arriving.add(self._submit(self._alone))
                done = arriving.next_batch(block=False)
                for future, result in done:
                    yield from self._take(future, result)
                if not done:
                    time.sleep(_PATIENCE)
                    yield None
                yield from self._look()
        finally:
            arriving.clear()
            if self._client.status == 'running':
                self._client.cancel(list(self._under_way), force=True)

    def _pieces(self, journal: Journal) -> Iterator[list[int]]:
        """Cut what has no row yet into pieces of whole batches, each when it is wanted."""
        total, batch = len(self._items), self._job.batch
        fair = -(-total // (4 * max(1, self._tasks) * batch))
        size = batch * max(1, min(_BATCHES, fair))
        for start in range(0, total, size):
            piece = [n for n in range(start, min(start + size, total)) if n not in journal]
            if piece:
                yield piece

    def _submit(self, piece: list[int]) -> Future:
        self._submitted += 1
        future = self._client.submit(
            score_piece,
            self._job,
            [(n, self._items[n].path) for n in piece],
            self._pool,
            key=f'napari-cxr-{self._id}-{self._submitted}',
            pure=False,
            retries=1,
        )
        self._under_way[future] = piece
        return future

    def _take(self, future: Future, result: Any) -> Rows:
        """Take in what became of a piece."""
        from distributed import KilledWorker

        piece = self._under_way.pop(future)
        if isinstance(result, str):
            yield from self._take_rows(piece, result)
            return
        if future.status == 'error':
            error = result[1]
            if isinstance(error, KilledWorker):
                yield self._bury(piece, error.allowed_failures + 1)
                return
            if isinstance(error, ScoringError):
                raise error
            raise ScoringError(
                f'A worker failed ({type(error).__name__}: {first_line(error)}). All rows that '
                'are done are kept: see what the workers say, and resume.'
            )
        raise _lost()

    def _take_rows(self, piece: list[int], reply: str) -> Rows:
        first, *lines = reply.split('\n')
        about = json.loads(first)
        # Error rows of files that are there would be final: a worker without the shared disk
        # must not write them.
        if not about['seen'] and any(os.path.exists(self._items[n].path) for n in piece):
            raise unseen(about['host'], self._job, self._items[piece[0]].path)
        for text in about['warnings']:
            if text not in self._said:
                self._said.add(text)
                yield Warned(f'{about["host"]}: {text}')
        rows = [Row.from_json(line) for line in lines]
        if sorted(row.number for row in rows) != piece:
            raise ScoringError(
                f'The worker on {about["host"]} sent other rows than it was asked for. All rows '
                'that are done are kept: see what it says, and resume.'
            )
        self._any = True
        yield [self._completed(row) for row in rows]

    def _completed(self, row: Row) -> Row:
        """Return a row with what the workers are not told, and with the folder as it was given."""
        item, heatmap = self._items[row.number], row.heatmap
        if heatmap and self._settings.heatmaps is not None:
            heatmap = str(self._settings.heatmaps / Path(heatmap).name)
        return replace(
            row, truth=item.truth, source=item.source, patient=item.patient, heatmap=heatmap
        )

    def _bury(self, piece: list[int], deaths: int) -> list[Row]:
        """Go on after a piece at which one worker after the other died; return rows for it."""
        if not self._any:
            raise ScoringError(
                f'{deaths} workers died at their first piece, one after the other: see what they '
                'say. Often their memory is too small for the model.'
            )
        if piece is not self._alone:
            batches: dict[int, list[int]] = {}
            for number in piece:
                batches.setdefault(number // self._job.batch, []).append(number)
            self._suspects.extend(batches.values())
            return []
        why = (
            f'{deaths} workers of the cluster died, one after the other, while they scored the '
            'batch that this file is in.'
        )
        return [row_of(n, self._items[n], status='error', error=why) for n in piece]

    def _look(self) -> Rows:
        """See now and then how many workers there are."""
        if self._asking is None and time.monotonic() - self._looked >= _LOOK:
            self._asking = Beside(lambda _: self._tasks_at_once())
        if self._asking is None or not self._asking.ended():
            return
        asked, self._asking = self._asking, None
        self._tasks = asked.result()
        self._looked = time.monotonic()
        if not self._tasks and 'none' not in self._said:
            self._said.add('none')
            yield Warned('The cluster has no worker left; waiting for one.')
        if self._tasks:
            self._said.discard('none')

    def _tasks_at_once(self) -> int:
        try:
            return sum(self._client.nthreads().values())
        except (OSError, TimeoutError, RuntimeError, AttributeError):
            raise _lost() from None


def _lost() -> ScoringError:
    return ScoringError(
        'The connection to the Dask scheduler was lost. All rows that are done are kept: resume '
        'when it is there again.'
    )
