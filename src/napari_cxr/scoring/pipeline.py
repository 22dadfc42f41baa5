"""The run: files are read beside the network, and each row is kept as soon as it is done.

Before the first file the backend is selected that runs the network, and on how many cores.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from napari_cxr.scoring import heatmap_files, table_reader, table_writer
from napari_cxr.scoring.background_thread import in_background
from napari_cxr.scoring.batching import RowStream, score_rows
from napari_cxr.scoring.image_preparation import ImagePreparer
from napari_cxr.scoring.journal import Journal, ScoringError, journal_of, read_header
from napari_cxr.scoring.row_writer import write_rows
from napari_cxr.scoring.scoring_events import ScoringEvent, ScoringPreparing
from napari_cxr.scoring.scoring_inputs import Item
from napari_cxr.scoring.scoring_settings import ScoringSettings

if TYPE_CHECKING:
    from napari_cxr.inference.backends.backend import Backend
    from napari_cxr.inference.classifier import Classifier

__all__ = [
    'backend_to_resume',
    'batch_workers_for',
    'check_heatmaps',
    'check_out',
    'default_batch_size',
    'device_kind',
    'make_heatmap_folder',
    'one_core',
    'score',
    'select_network_backend',
]

T = TypeVar('T')


def select_network_backend(
    classifier: Classifier,
    settings: ScoringSettings,
    there: Mapping[str, Any],
    batch: int,
    workers: int,
) -> Generator[ScoringEvent, None, Backend]:
    """Let the network run on the backend that a table needs, or on the preferred one.

    To be used within `one_core`, which is how a batch runs later.

    Parameters
    ----------
    classifier, settings
        As of `score`.
    there : mapping
        The header of the journal that is resumed, which names the backend; empty for a new
        table.
    batch : int
        Images that the network takes at once.
    workers : int
        Batches that run at the same time.

    Returns
    -------
    Backend
        The generator's return value.

    Raises
    ------
    ScoringError
        If the backend that was asked for, or that the table was started with, cannot be had.
    napari_cxr.inference.classifier.OutOfMemory
        If it does not fit into the device's memory.
    """
    from napari_cxr.inference.backends.backend import BackendUnavailable
    from napari_cxr.inference.backends.selection import (
        SelectedBackend,
        select_backend,
        takes_no_time,
    )

    name, precision = backend_to_resume(settings, there)

    def select(_: threading.Event | None = None) -> SelectedBackend:
        return select_backend(classifier, name, precision, workers=workers, batch=batch)

    try:
        if takes_no_time(classifier, name, precision):
            selected = select()
        else:
            selected = yield from _meanwhile('Preparing the network', select)
    except BackendUnavailable as error:
        raise ScoringError(str(error)) from None
    classifier.use(selected.backend, selected.network)
    return selected.backend


def backend_to_resume(settings: ScoringSettings, there: Mapping[str, Any]) -> tuple[str, str]:
    """Return name and precision to select a backend by: those of a journal, if there is one.

    The last digits of a score depend on the backend, so a table keeps the one that it was
    started with.

    Raises
    ------
    ScoringError
        If the settings name another one.
    """
    from napari_cxr.inference.backends.backend import BackendUnavailable, find_backend

    name = str(there.get('way', ''))
    if not name:
        return settings.backend, settings.precision
    try:
        if settings.backend:
            precision = '' if settings.precision == 'auto' else settings.precision
            begun, asked = find_backend(name), find_backend(settings.backend, precision)
            if asked != begun:
                raise ScoringError(
                    f'The table was started with the backend {begun.title} and keeps it, because '
                    f'{asked.title} gives other last digits: leave out the backend, or choose '
                    'another name for the table.'
                )
    except BackendUnavailable as error:
        raise ScoringError(str(error)) from None
    return name, 'auto'


def batch_workers_for(classifier: Classifier, batches: int) -> int:
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


def _meanwhile(
    text: str, work: Callable[[threading.Event], T]
) -> Generator[ScoringEvent, None, T]:
    """Do work that may take seconds in a thread, and report it until it is done."""
    with closing(in_background(work, daemon=False)) as waiting:
        while True:
            try:
                next(waiting)
            except StopIteration as end:
                result: T = end.value
                return result
            yield ScoringPreparing(text)


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
    table_writer.check_table_name(out)
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
        table_reader.read_rows(out)


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
    read: ImagePreparer,
    settings: ScoringSettings | None = None,
    *,
    resume: bool = False,
) -> Generator[ScoringEvent, None, None]:
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
        `read_here`, or `prepare` of a `napari_cxr.workers.decoder_pool.DecoderPool`.
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
    out, settings = Path(out), settings or ScoringSettings()
    check_out(out, resume=resume)
    if settings.heatmaps is not None:
        make_heatmap_folder(settings.heatmaps, out)
    there = read_header(journal_of(out))
    batch = (
        settings.batch
        or there.get('batch')
        or default_batch_size(classifier, classifier.device.name)
    )
    lanes = batch_workers_for(classifier, -(-len(items) // batch))
    with one_core():
        backend = yield from select_network_backend(
            classifier, settings, there, min(batch, len(items)), lanes
        )
        yield from _score(items, classifier, out, read, settings, batch, backend, lanes)


def _score(
    items: Sequence[Item],
    classifier: Classifier,
    out: Path,
    read: ImagePreparer,
    settings: ScoringSettings,
    batch: int,
    backend: Backend,
    lanes: int,
) -> Generator[ScoringEvent, None, None]:
    def rows(journal: Journal) -> RowStream:
        def expected(number: int) -> bool:
            return number not in journal

        total = len(items)
        todo = filter(expected, range(total))
        return score_rows(items, todo, expected, total, classifier, read, settings, batch, lanes)

    device = classifier.device.name
    kind = device_kind([device])
    yield from write_rows(items, classifier, out, rows, settings, batch, device, kind, backend)


def device_kind(devices: Iterable[str]) -> str:
    """Return the kind that devices of these names are of, or 'mixed'."""
    kinds = {name.partition(':')[0] for name in devices}
    return kinds.pop() if len(kinds) == 1 else 'mixed'


def default_batch_size(classifier: Classifier, device: str) -> int:
    """Return how many images a device of this name takes at once, where nobody says it."""
    usual = _BATCH[device_kind([device])]
    pixels = classifier.preprocessing.height * classifier.preprocessing.width
    return max(1, min(usual, usual * _USUAL // pixels))


def make_heatmap_folder(folder: Path, out: Path) -> None:
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
        taken = not begun and heatmap_files.has_heatmaps(folder)
    except OSError as error:
        raise ScoringError(f'{folder} cannot be opened: {error.strerror}.') from None
    if taken:
        raise ScoringError(
            f'{folder} holds heatmaps of another table, which would be overwritten; choose '
            'another folder, or remove them.'
        )
