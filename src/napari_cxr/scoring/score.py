"""The run: files are read beside the network, and each row is kept as soon as it is done."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from napari_cxr import __version__, lungs
from napari_cxr.lungs import frontal_network
from napari_cxr.scoring import tables
from napari_cxr.scoring.beside import beside
from napari_cxr.scoring.events import Event, Finished, Scored, Started, Warned
from napari_cxr.scoring.journal import Journal, ScoringError, read_header
from napari_cxr.scoring.listing import Item, fingerprint
from napari_cxr.scoring.measuring import Measuring
from napari_cxr.scoring.pace import Pace
from napari_cxr.scoring.preparing import Reader
from napari_cxr.scoring.row import Row, Run
from napari_cxr.scoring.rows import Rows, rows_of
from napari_cxr.scoring.settings import Settings

if TYPE_CHECKING:
    from napari_cxr.inference.classifier import Classifier

__all__ = [
    'batch_for',
    'check_out',
    'into_table',
    'journal_of',
    'make_folder',
    'score',
    'write_so_far',
]

T = TypeVar('T')
_FORM = 1
#: Images of 224 x 224 pixels in a batch, by kind of device. On a processor larger batches
#: are not faster; a GPU is not busy with fewer.
_BATCH = {'cpu': 8, 'mps': 32, 'cuda': 64}
_USUAL = 224 * 224


def journal_of(out: Path) -> Path:
    """Return where the rows of a table are kept until it is finished."""
    return out.with_name(f'{out.name}.journal')


def check_out(out: str | Path, *, resume: bool) -> None:
    """See whether a table of this name can be begun, or resumed; costs nothing.

    Raises
    ------
    ScoringError
        If its name or folder is wrong, if there is such a table already, or if one was begun
        and shall not be resumed.
    """
    out = Path(out)
    tables.check_name(out)
    journal = journal_of(out)
    if journal.exists():
        if not resume:
            raise ScoringError(
                f'{out} was begun already: resume, or remove {journal.name} to begin anew.'
            )
    elif out.exists():
        finished = 'is finished already, there is nothing to resume' if resume else 'exists'
        raise ScoringError(f'{out} {finished}; remove it, or choose another name.')


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
        Whether to go on with what was cut off, if anything was.

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
        make_folder(settings.heatmaps)
    there = read_header(journal_of(out))
    batch = settings.batch or there.get('batch') or batch_for(classifier, classifier.device.name)

    def rows(journal: Journal) -> Rows:
        def expected(number: int) -> bool:
            return number not in journal

        total = len(items)
        todo = filter(expected, range(total))
        return rows_of(items, todo, expected, total, classifier, read, settings, batch)

    yield from into_table(items, classifier, out, rows, settings, batch, classifier.device.name)


def into_table(
    items: Sequence[Item],
    classifier: Classifier,
    out: Path,
    rows: Callable[[Journal], Rows],
    settings: Settings,
    batch: int,
    device: str,
) -> Generator[Event, None, None]:
    """Keep rows in the journal as they come, wherever they are made, and write the table.

    Parameters
    ----------
    items, classifier, out
        As of `score`.
    rows : callable
        Begins to score what a journal does not hold.
    settings : Settings
        How.
    batch : int
        Images that the network takes at once.
    device : str
        Where, for a person.

    Yields
    ------
    Event
        As `score`.
    """
    run = _run_of(items, classifier, settings)
    header = _header(items, run, settings, batch)
    # Closed in any case, so that all rows are on the disk and others may open it.
    with closing(Journal(journal_of(out), header, len(items))) as journal:
        yield Started(
            total=len(items),
            done=journal.done,
            failed=journal.failed,
            labels=run.labels,
            model=run.model,
            device=device,
            batch=batch,
        )
        pace = Pace(len(items), journal)
        measuring = Measuring(run.labels, several=run.several)
        if run.truth:
            measuring.add(journal.rows())
        with closing(rows(journal)) as arriving:
            for arrived in arriving:
                if isinstance(arrived, Warned):
                    yield arrived
                elif arrived:
                    journal.add(arrived)
                    measuring.add(arrived)
                    pace.count(len(arrived))
                    yield from (Scored(row) for row in arrived)
                else:
                    journal.sync_if_due()
                if measured := measuring.look():
                    yield measured
                yield pace.event()
        yield from _meanwhile(pace, lambda unwanted: _write(out, journal, run, unwanted))
        last = yield from _meanwhile(pace, lambda _: measuring.found())
        total, failed = journal.done, journal.failed
        journal.remove()
    yield Finished(str(out), total, failed, last.metrics, last.unknown)


def _meanwhile(pace: Pace, work: Callable[[threading.Event], T]) -> Generator[Event, None, T]:
    with closing(beside(work)) as waiting:
        while True:
            try:
                next(waiting)
            except StopIteration as end:
                return end.value
            yield pace.event()


def _write(out: Path, journal: Journal, run: Run, unwanted: threading.Event) -> None:
    def rows() -> Iterator[Row]:
        for row in journal.rows():
            if unwanted.is_set():
                raise ScoringError('Nobody waits for this table any more.')
            yield row

    tables.write(out, rows(), run)


def write_so_far(
    items: Sequence[Item],
    classifier: Classifier,
    out: str | Path,
    settings: Settings | None = None,
) -> int:
    """Write a table of the rows that are done, after scoring was stopped.

    The journal stays, so scoring can be resumed. Parameters are those of `score`.

    Returns
    -------
    int
        How many rows there are.

    Raises
    ------
    ScoringError
        If it cannot be written, or there is no such run.
    """
    out, settings = Path(out), settings or Settings()
    there = read_header(journal_of(out))
    if not there:
        raise ScoringError(f'No row of {out} is done yet.')
    run = _run_of(items, classifier, settings)
    header = _header(items, run, settings, settings.batch or there.get('batch', 0))
    with closing(Journal(journal_of(out), header, len(items))) as journal:
        tables.write(out, journal.rows(), run)
        return journal.done


def _run_of(items: Sequence[Item], classifier: Classifier, settings: Settings) -> Run:
    return Run(
        model=classifier.card.name,
        model_hash=classifier.file_hash,
        labels=classifier.labels,
        preprocessing=classifier.preprocessing.to_dict(),
        version=__version__,
        several=classifier.card.several,
        decision=settings.decision is not None,
        heatmaps=settings.heatmaps is not None,
        shares=settings.with_shares,
        identify=settings.identify,
        truth=any(item.truth for item in items),
        patients=any(item.patient for item in items),
    )


def _header(items: Sequence[Item], run: Run, settings: Settings, batch: int) -> dict[str, Any]:
    """Return all that decides the rows, for the journal."""
    decision, heatmaps = settings.decision, settings.heatmaps
    return {
        'form': _FORM,
        **asdict(run),
        'lung_field': lungs.fingerprint(),
        'frontal_check': frontal_network.fingerprint(),
        'listing': fingerprint(items),
        'total': len(items),
        'batch': batch,
        'decision': None if decision is None else [decision.name, decision.thresholds],
        'heatmaps': None if heatmaps is None else str(heatmaps),
    }


def batch_for(classifier: Classifier, device: str) -> int:
    """Return how many images a device of this name takes at once, where nobody says it."""
    usual = _BATCH[device.partition(':')[0]]
    pixels = classifier.preprocessing.height * classifier.preprocessing.width
    return max(1, min(usual, usual * _USUAL // pixels))


def make_folder(folder: Path) -> None:
    """Make a folder for heatmaps if it is not there; raises ScoringError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ScoringError(f'{folder} cannot be made: {error.strerror}.') from None
