"""From files to rows: decoders beside the network."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from napari_cxr.scoring.blocks import Blocks
from napari_cxr.scoring.events import Warned
from napari_cxr.scoring.listing import Item
from napari_cxr.scoring.network import Network, row_of
from napari_cxr.scoring.preparing import Reader, Wanted
from napari_cxr.scoring.row import Row
from napari_cxr.scoring.settings import Settings

if TYPE_CHECKING:
    from napari_cxr.inference.classifier import Classifier

__all__ = ['Rows', 'rows_of']

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
    """
    blocks = Blocks(total, batch, expected)
    network = Network(classifier, items, settings)
    wanted = Wanted(
        classifier.preprocessing,
        lungs=settings.with_shares,
        picture=settings.heatmaps is not None,
        identify=settings.identify,
    )
    with closing(read(((n, Path(items[n].path)) for n in todo), wanted)) as arriving:
        for arrived in arriving:
            if arrived is None:
                yield None
                continue
            number, result = arrived
            rows = []
            if isinstance(result, str):
                whole = blocks.put(number, None)
                rows.append(row_of(number, items[number], status='error', error=result))
            else:
                whole = blocks.put(number, result)
            if whole:
                rows += network.rows(*blocks.batch(whole), whole)
                if network.warning:
                    yield Warned(network.warning)
                    network.warning = ''
            yield rows
