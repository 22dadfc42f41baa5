"""How the network is run beside the decoders: in which way, and on how many cores at once."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from napari_cxr.scoring.events import Event, Preparing
from napari_cxr.scoring.journal import ScoringError
from napari_cxr.scoring.listing import Item
from napari_cxr.scoring.settings import Settings

if TYPE_CHECKING:
    from napari_cxr.inference.classifier import Classifier

__all__ = ['fastest', 'on_cores']


def fastest(
    items: Sequence[Item], classifier: Classifier, settings: Settings, batch: int
) -> Generator[Event, None, str]:
    """Find the fastest way to run the network, unless the files are scored sooner."""
    from napari_cxr.inference.ways import finding

    reduced = settings.precision == 'auto'
    with (
        _threads(1),
        closing(finding(classifier, batch, reduced=reduced, images=len(items))) as trying,
    ):
        while True:
            try:
                next(trying)
            except StopIteration as end:
                return str(end.value)
            yield Preparing('Finding the fastest way to run the network here')


@contextmanager
def on_cores(classifier: Classifier, way: str) -> Iterator[int]:
    """Run the network in a way, and say how many batches to run at the same time.

    On a processor torch takes one core for a batch, and as many batches as it would take
    cores. So no thread waits for another while decoders want its core, and the last digits
    of an answer do not depend on the number of cores. A GPU takes one batch after the other,
    and so do other libraries, which bring threads of their own.

    Raises
    ------
    ScoringError
        If this way is not available here.
    """
    import torch

    from napari_cxr.inference.running import WAYS, WayUnavailable

    cores = torch.get_num_threads()
    alone = classifier.device.name != 'cpu' or bool(way in WAYS and WAYS[way].library)
    with _threads(cores if alone else 1):
        try:
            classifier.use(way)
        except WayUnavailable as error:
            raise ScoringError(str(error)) from None
        yield 1 if alone else cores


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Let torch take so many cores for one batch."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
