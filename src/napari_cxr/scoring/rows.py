"""From files to rows: decoders beside the network."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from napari_cxr.scoring.blocks import Blocks
from napari_cxr.scoring.events import Warned
from napari_cxr.scoring.item import Item
from napari_cxr.scoring.network import Network, row_of
from napari_cxr.scoring.preparing import Reader, Ready, Wanted
from napari_cxr.scoring.row import Row
from napari_cxr.scoring.settings import Settings

if TYPE_CHECKING:
    import numpy as np

    from napari_cxr.inference.classifier import Classifier

__all__ = ['Rows', 'rows_of']

#: How often a wait hands control back, in seconds.
_HEARTBEAT = 0.1
#: How long batches that nobody waits for any more may take to end, in seconds. No longer,
#: since a network cannot be stopped within a batch; what they made is made again.
_GRACE = 0.5

#: Rows as they are done, and warnings between them; None while there is nothing, so that
#: closing works.
Rows = Generator[list[Row] | Warned | None, None, None]


def rows_of(
    items: Sequence[Item] | Mapping[int, Item],
    todo: Iterable[int],
    expected: Callable[[int], bool],
    total: int,
    classifier: Classifier,
    read: Reader,
    settings: Settings,
    batch: int,
    lanes: int = 1,
) -> Rows:
    """Score files of a listing.

    Parameters
    ----------
    items : sequence or mapping of Item
        The listing, or a part of it by number.
    todo : iterable of int
        Numbers of the files to score.
    expected : callable
        Tells of a number whether it is in `todo`, or its row has not come yet; see `Blocks`.
    total : int
        Paths in the whole listing.
    classifier, read, settings
        As of `score`.
    batch : int
        Images that the network takes at once.
    lanes : int
        Batches that are under way at the same time, each in a thread of its own, while files
        are read.
    """
    blocks = Blocks(total, batch, expected)
    network = Network(classifier, items, settings)
    wanted = Wanted(
        classifier.preprocessing,
        lungs=settings.with_shares,
        picture=settings.heatmaps is not None,
        identify=settings.identify,
    )
    numbered = ((n, Path(items[n].path)) for n in todo)
    with _Lanes(network, lanes) as running, closing(read(numbered, wanted)) as arriving:
        for arrived in arriving:
            yield from running.done()
            if arrived is None:
                yield None
                continue
            number, result = arrived
            if isinstance(result, str):
                whole = blocks.put(number, None)
                yield [row_of(number, items[number], status='error', error=result)]
            else:
                whole = blocks.put(number, result)
            if whole:
                # Decoders wait as well, so that no more images are kept than are needed.
                yield from running.done(fewer_than=lanes)
                running.begin(*blocks.batch(whole), whole)
        yield from running.done(fewer_than=1)


class _Lanes:
    """Batches under way, each in a thread.

    One core computes one batch: threads of one batch would wait for each other whenever
    decoders hold a core, and turn in circles meanwhile.
    """

    def __init__(self, network: Network, lanes: int) -> None:
        self._network = network
        self._threads = ThreadPoolExecutor(lanes)
        self._under_way: set[Future[list[Row]]] = set()

    def __enter__(self) -> _Lanes:
        return self

    def __exit__(self, *_: object) -> None:
        self._network.stop()
        self._threads.shutdown(wait=False, cancel_futures=True)
        wait(self._under_way, _GRACE)

    def begin(
        self, batch: np.ndarray, places: Sequence[int], images: Sequence[tuple[int, Ready]]
    ) -> None:
        """Run a batch; see `Network.rows`."""
        self._under_way.add(self._threads.submit(self._network.rows, batch, places, images))

    def done(self, fewer_than: int = 0) -> Rows:
        """Yield the rows that are done; wait until fewer batches than that are under way.

        Raises what a batch raised.
        """
        while self._under_way:
            waits = 0 < fewer_than <= len(self._under_way)
            ended, self._under_way = wait(
                self._under_way, _HEARTBEAT if waits else 0, FIRST_COMPLETED
            )
            for future in ended:
                yield future.result()
            warning, self._network.warning = self._network.warning, ''
            if warning:
                yield Warned(warning)
            if not waits:
                return
            if not ended:
                yield None
