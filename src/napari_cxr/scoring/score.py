"""The run: files are read beside the network, and each row is kept as soon as it is done."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari_cxr.scoring import pictures, reopening, tables
from napari_cxr.scoring.events import Event
from napari_cxr.scoring.into_table import into_table
from napari_cxr.scoring.item import Item
from napari_cxr.scoring.journal import Journal, ScoringError, journal_of, read_header
from napari_cxr.scoring.lanes import getting_ready, lanes_for, one_core
from napari_cxr.scoring.preparing import Reader
from napari_cxr.scoring.rows import Rows, rows_of
from napari_cxr.scoring.settings import Settings

if TYPE_CHECKING:
    from napari_cxr.inference.classifier import Classifier

__all__ = ['batch_for', 'check_heatmaps', 'check_out', 'kind_of', 'make_folder', 'score']

#: Images of 224 x 224 pixels in a batch, by kind of device. On a processor larger batches
#: are not faster; a GPU is not busy with fewer.
_BATCH = {'cpu': 8, 'mps': 32, 'cuda': 64}
_USUAL = 224 * 224


def check_out(out: str | Path, *, resume: bool) -> None:
    """See whether a table of this name can be begun, or resumed; costs nothing.

    Raises
    ------
    ScoringError
        If its name or folder is wrong, or if there is such a table, finished or begun, and it
        shall not be resumed; and if what is there is no table of scores.
    """
    out = Path(out)
    tables.check_name(out)
    journal = journal_of(out)
    if journal.exists():
        if not resume:
            raise ScoringError(
                f'{out} was begun already: resume (--resume), or remove {journal.name} to begin '
                'anew.'
            )
    elif os.path.lexists(out):
        if not resume:
            raise ScoringError(
                f'{out} exists: resume to add files that are new (--resume), remove it, or choose '
                'another name.'
            )
        reopening.reopen(out)


def check_heatmaps(folder: str | Path, out: str | Path, paths: Sequence[str | Path]) -> None:
    """See whether heatmaps of a table can be saved in a folder; costs nothing.

    Parameters
    ----------
    folder : str or Path
        The folder; it need not be there.
    out : str or Path
        The table.
    paths : sequence of str or Path
        What shall be scored, as `list_items` takes it.

    Raises
    ------
    ScoringError
        If nothing can be written to it, it holds those of another table, or it lies in a
        folder that is scored: there they would be taken for radiographs the next time, and
        nothing could be resumed.
    """
    folder, out = Path(folder), Path(out)
    place = Path(os.path.realpath(folder))
    for path in paths:
        if os.path.isdir(path) and place.is_relative_to(os.path.realpath(path)):
            raise ScoringError(
                f'{folder} lies in {path}, which is scored: its pictures would be taken for '
                'radiographs when you resume. Choose a folder outside.'
            )
    there = next(one for one in (place, *place.parents) if os.path.exists(one))
    if there == place:
        _check_folder(folder, out)
    elif not (there.is_dir() and os.access(there, os.W_OK)):
        raise ScoringError(f'{folder} cannot be made in {there}; choose another folder.')


def score(
    items: Sequence[Item],
    classifier: Classifier,
    out: str | Path,
    read: Reader,
    settings: Settings | None = None,
    *,
    resume: bool = False,
) -> Generator[Event, None, None]:
    """Score files and write a table with a row for each, in the order of the listing.

    Parameters
    ----------
    items : sequence of Item
        See `list_items`.
    classifier : Classifier
        The model, on its device.
    out : str or Path
        The table; its ending says of what form.
    read : Reader
        `read_here`, or `prepare` of a `napari_cxr.workers.decoding.DecoderPool`.
    settings : Settings, optional
        How.
    resume : bool
        Whether to go on with what was cut off, if anything was. Of a table that is finished
        the rows stay, and files that are new in the listing are scored.

    Yields
    ------
    Event
        Some every second, whatever happens. Closing the generator stops it; the rows that
        are done stay in the journal beside the table, see `journal_of`.

    Raises
    ------
    ScoringError
        If there is a table already, what is resumed is of another run, or the disk is full.
    napari_cxr.inference.classifier.OutOfMemory
        If not even one image fits into the device's memory.
    """
    out, settings = Path(out), settings or Settings()
    check_out(out, resume=resume)
    if settings.heatmaps is not None:
        make_folder(settings.heatmaps, out)
    there = read_header(journal_of(out))
    batch = settings.batch or there.get('batch') or batch_for(classifier, classifier.device.name)
    lanes = lanes_for(classifier, -(-len(items) // batch))
    way = there.get('way', '')
    with one_core():
        way = yield from getting_ready(items, classifier, settings, batch, lanes, way)
        yield from _score(items, classifier, out, read, settings, batch, way, lanes)


def _score(
    items: Sequence[Item],
    classifier: Classifier,
    out: Path,
    read: Reader,
    settings: Settings,
    batch: int,
    way: str,
    lanes: int,
) -> Generator[Event, None, None]:
    def rows(journal: Journal) -> Rows:
        def expected(number: int) -> bool:
            return number not in journal

        total = len(items)
        todo = filter(expected, range(total))
        return rows_of(items, todo, expected, total, classifier, read, settings, batch, lanes)

    device = classifier.device.name
    kind = kind_of([device])
    yield from into_table(items, classifier, out, rows, settings, batch, device, kind, way)


def kind_of(devices: Iterable[str]) -> str:
    """Return the kind that devices of these names are of, or 'mixed'."""
    kinds = {name.partition(':')[0] for name in devices}
    return kinds.pop() if len(kinds) == 1 else 'mixed'


def batch_for(classifier: Classifier, device: str) -> int:
    """Return how many images a device of this name takes at once, where nobody says it."""
    usual = _BATCH[kind_of([device])]
    pixels = classifier.preprocessing.height * classifier.preprocessing.width
    return max(1, min(usual, usual * _USUAL // pixels))


def make_folder(folder: Path, out: Path) -> None:
    """Make a folder for the heatmaps of a table if it is not there.

    Raises
    ------
    ScoringError
        If nothing can be written to it, or it holds those of another table.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ScoringError(f'{folder} cannot be made: {error.strerror}.') from None
    _check_folder(folder, out)


def _check_folder(folder: Path, out: Path) -> None:
    if not folder.is_dir():
        raise ScoringError(f'{folder} is no folder; choose another name.')
    if not os.access(folder, os.W_OK):
        raise ScoringError(f'Nothing can be written to {folder}; choose another folder.')
    try:
        # Of a table that is there already, they are its own.
        begun = journal_of(out).exists() or os.path.lexists(out)
        taken = not begun and pictures.any_in(folder)
    except OSError as error:
        raise ScoringError(f'{folder} cannot be opened: {error.strerror}.') from None
    if taken:
        raise ScoringError(
            f'{folder} holds heatmaps of another table, which would be overwritten; choose '
            'another folder, or remove them.'
        )
