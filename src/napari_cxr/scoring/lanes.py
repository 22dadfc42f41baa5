"""How the network is run beside the decoders: in which way, and on how many cores at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, TypeVar

from napari_cxr.scoring.beside import beside
from napari_cxr.scoring.events import Event, Preparing
from napari_cxr.scoring.journal import ScoringError
from napari_cxr.scoring.listing import Item
from napari_cxr.scoring.settings import Settings

if TYPE_CHECKING:
    from napari_cxr.inference.classifier import Classifier

__all__ = ['getting_ready', 'lanes_for', 'one_core']

T = TypeVar('T')
#: How often a way is looked for, where the fastest cannot be got ready.
_TRIES = 2


def getting_ready(
    items: Sequence[Item],
    classifier: Classifier,
    settings: Settings,
    batch: int,
    lanes: int,
    way: str = '',
) -> Generator[Event, None, str]:
    """Let the network run in the fastest way, in so many batches at the same time.

    To be used within `one_core`, which is how a batch runs later.

    Parameters
    ----------
    items, classifier, settings
        As of `score`.
    batch : int
        Images that the network takes at once.
    lanes : int
        Batches that are under way at the same time.
    way : str
        The one that must be taken, because the table was begun with it.

    Returns
    -------
    str
        The generator's return value: the way. One that was the fastest once, and fails now,
        is forgotten, and what is left is compared anew.

    Raises
    ------
    ScoringError
        If the one that must be taken is not available here.
    napari_cxr.inference.classifier.OutOfMemory
        If it does not fit into the device's memory.
    """
    from napari_cxr.inference import ways
    from napari_cxr.inference.classifier import OutOfMemory
    from napari_cxr.inference.running import EAGER, WayUnavailable

    for _ in range(1 if way else _TRIES):
        found = way or (yield from _fastest(items, classifier, settings, batch))
        try:
            yield from _getting_ready(classifier, found, lanes, min(batch, len(items)))
        except WayUnavailable as error:
            if way:
                raise ScoringError(str(error)) from None
        except OutOfMemory:
            if way:
                raise
        else:
            return found
        ways.forget(classifier, batch, reduced=settings.precision == 'auto')
    classifier.use(EAGER.name)
    return EAGER.name


def _fastest(
    items: Sequence[Item], classifier: Classifier, settings: Settings, batch: int
) -> Generator[Event, None, str]:
    """Find the fastest way to run the network, unless the files are scored sooner."""
    from napari_cxr.inference.running import EAGER
    from napari_cxr.inference.ways import finding

    text = 'Finding the fastest way to run the network here'
    reduced = settings.precision == 'auto'
    trying = finding(classifier, batch, reduced=reduced, images=len(items))
    try:
        next(trying)  # what is remembered is known at once
    except StopIteration as end:
        return str(end.value)
    yield Preparing(text)

    def find(unwanted: threading.Event) -> str:
        with closing(trying):
            while not unwanted.is_set():
                try:
                    next(trying)
                except StopIteration as end:
                    return str(end.value)
        return EAGER.name

    return (yield from _meanwhile(text, find))


def _getting_ready(
    classifier: Classifier, way: str, lanes: int, batch: int
) -> Generator[Event, None, None]:
    """Let the network run in this way; raises as `Classifier.get_ready`."""
    from napari_cxr.inference.running import EAGER

    if way == EAGER.name:  # which is ready
        classifier.use(way)
        return
    network = yield from _meanwhile(
        'Getting the network ready', lambda _: classifier.get_ready(way, lanes, batch)
    )
    classifier.take(way, network)


def lanes_for(classifier: Classifier, batches: int) -> int:
    """Return how many of so many batches to run at the same time: on a processor one a core.

    A GPU takes one batch after the other.
    """
    import torch

    if classifier.device.name != 'cpu':
        return 1
    return max(1, min(torch.get_num_threads(), batches))


@contextmanager
def one_core() -> Iterator[None]:
    """Let a batch take one core of the processor, in whatever thread it runs.

    So no thread waits for another while decoders want its core, and the last digits of an
    answer do not depend on the number of cores. Runs of several threads may overlap: the
    last to leave restores what the first found.
    """
    import torch

    global _within, _before
    with _lock:
        if not _within:
            _before = torch.get_num_threads()
        _within += 1
        torch.set_num_threads(1)
    try:
        yield
    finally:
        with _lock:
            _within -= 1
            if not _within:
                torch.set_num_threads(_before)


_lock = threading.Lock()
_within, _before = 0, 1


def _meanwhile(text: str, work: Callable[[threading.Event], T]) -> Generator[Event, None, T]:
    """Do work of torch and its like in a thread, and say what until it is done."""
    with closing(beside(work, daemon=False)) as waiting:
        while True:
            try:
                next(waiting)
            except StopIteration as end:
                result: T = end.value
                return result
            yield Preparing(text)
