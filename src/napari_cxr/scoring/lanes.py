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

__all__ = ['fastest', 'getting_ready', 'lanes_for', 'one_core']

T = TypeVar('T')


def fastest(
    items: Sequence[Item], classifier: Classifier, settings: Settings, batch: int
) -> Generator[Event, None, str]:
    """Find the fastest way to run the network, unless the files are scored sooner.

    To be used within `one_core`, which is how a batch runs later.
    """
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


def getting_ready(classifier: Classifier, way: str, lanes: int) -> Generator[Event, None, None]:
    """Let the network run in a way, in so many batches at the same time.

    Raises
    ------
    ScoringError
        If this way is not available here.
    napari_cxr.inference.classifier.OutOfMemory
        If the device's memory is full.
    """
    from napari_cxr.inference.running import EAGER, WayUnavailable

    if way == EAGER.name:  # which is ready
        classifier.use(way)
        return
    try:
        network = yield from _meanwhile(
            'Getting the network ready', lambda _: classifier.get_ready(way, lanes)
        )
    except WayUnavailable as error:
        raise ScoringError(str(error)) from None
    classifier.take(way, network)


def lanes_for(classifier: Classifier) -> int:
    """Return how many batches to run at the same time: on a processor as many as cores.

    A GPU takes one batch after the other.
    """
    import torch

    return torch.get_num_threads() if classifier.device.name == 'cpu' else 1


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
