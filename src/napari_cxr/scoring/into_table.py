"""Rows into a journal as they come, and from there into the table."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from napari_cxr import __version__, lungs
from napari_cxr.lungs import frontal_network
from napari_cxr.scoring import tables
from napari_cxr.scoring.beside import beside
from napari_cxr.scoring.events import Event, Finished, Scored, Started, Warned
from napari_cxr.scoring.finished_table import rows_to_keep
from napari_cxr.scoring.item import Item
from napari_cxr.scoring.journal import Journal, ScoringError, journal_of
from napari_cxr.scoring.listing import fingerprint
from napari_cxr.scoring.measuring import Measuring
from napari_cxr.scoring.pace import Pace
from napari_cxr.scoring.pictures import sync, there_in_full
from napari_cxr.scoring.row import Row, Run
from napari_cxr.scoring.rows import Rows
from napari_cxr.scoring.settings import Settings

if TYPE_CHECKING:
    from napari_cxr.inference.classifier import Classifier

__all__ = ['into_table']

T = TypeVar('T')
_FORM = 1
#: Rows of a finished table that are taken over at once.
_AT_ONCE = 1000


def into_table(
    items: Sequence[Item],
    classifier: Classifier,
    out: Path,
    rows: Callable[[Journal], Rows],
    settings: Settings,
    batch: int,
    device: str,
    kind: str,
    way: str = 'eager',
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
    kind : str
        The kind of device: 'cpu', 'cuda', 'mps', or 'mixed'.
    way : str
        How the network is run, see `napari_cxr.inference.running.WAYS`.

    Yields
    ------
    Event
        As `score`.
    """
    run = _run_of(items, classifier, settings)
    header = _header(items, run, settings, batch, kind, way)

    def counts(row: Row) -> bool:
        return there_in_full(row) and not (settings.retry_errors and row.status == 'error')

    def kept() -> Iterator[Row]:
        return rows_to_keep(out, items, run)

    finished = os.path.lexists(out) and not journal_of(out).exists()
    if finished:
        for _ in kept():  # what is wrong with it is told before anything is begun
            pass
    # Closed in any case, so that all rows are on the disk and others may open it.
    with closing(Journal(journal_of(out), header, len(items), counts)) as journal:
        for some in _batched(filter(counts, kept())) if finished else ():
            journal.add(some)
        yield Started(
            total=len(items),
            done=journal.done,
            failed=journal.failed,
            run=run,
            device=device,
            batch=batch,
            way=way,
        )
        pace = Pace(len(items), journal)
        measuring = Measuring.of_run(run)
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
        if journal.done < len(items):
            raise ScoringError(
                f'{len(items) - journal.done} of {len(items)} rows are missing. Those that are '
                'done are kept: resume.'
            )
        yield from _meanwhile(pace, lambda unwanted: _write(out, journal, run, unwanted))
        last = yield from _meanwhile(pace, lambda _: measuring.found())
        if run.heatmaps:
            yield from _meanwhile(pace, lambda _: sync())
        total, failed = journal.done, journal.failed
        journal.remove()
    yield Finished(str(out), total, failed, last.metrics, last.unknown, last.unmeasured)


def _batched(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while some := list(islice(rows, _AT_ONCE)):
        yield some


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


def _run_of(items: Sequence[Item], classifier: Classifier, settings: Settings) -> Run:
    return Run(
        model=classifier.card.name,
        model_hash=classifier.file_hash,
        labels=classifier.labels,
        preprocessing=classifier.preprocessing.to_dict(),
        version=__version__,
        several=classifier.card.several,
        rule=settings.rule(classifier.rule).to_dict(),
        decision=settings.decision is not None,
        heatmaps=settings.heatmaps is not None,
        shares=settings.with_shares,
        identify=settings.identify,
        truth=any(item.truth for item in items),
        patients=any(item.patient for item in items),
    )


def _header(
    items: Sequence[Item], run: Run, settings: Settings, batch: int, kind: str, way: str
) -> dict[str, Any]:
    """Return all that decides the rows, for the journal."""
    decision, heatmaps = settings.decision, settings.heatmaps
    told = asdict(run)
    if not run.rule:  # of a journal that was begun before there were any
        del told['rule']
    return {
        'form': _FORM,
        **told,
        'lung_field': lungs.fingerprint(),
        'frontal_check': frontal_network.fingerprint(),
        'listing': fingerprint(items),
        'folder': '' if all(os.path.isabs(item.path) for item in items) else os.getcwd(),
        'total': len(items),
        'batch': batch,
        'device': kind,
        'way': way,
        'precision': settings.precision,
        'decision': None if decision is None else [decision.name, decision.thresholds],
        'heatmaps': None if heatmaps is None else str(heatmaps),
    }
