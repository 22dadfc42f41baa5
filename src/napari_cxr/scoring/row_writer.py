"""Rows into a journal as they come, and from there into the table.

A finished table can be gone on with: for files that are new, and for errors to try again.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_cxr import __version__, lungs
from napari_cxr.decoding_memory import is_passing
from napari_cxr.lungs import frontal_check
from napari_cxr.scoring import table_reader, table_writer
from napari_cxr.scoring.background_thread import relay
from napari_cxr.scoring.batching import RowStream
from napari_cxr.scoring.heatmap_files import heatmap_is_complete, sync_heatmaps
from napari_cxr.scoring.input_lists import Item
from napari_cxr.scoring.journal import Journal, ScoringError, journal_of, read_header
from napari_cxr.scoring.score_evaluation import ScoreEvaluation, seen_warning
from napari_cxr.scoring.score_row import ScoreRow, ScoringRun
from napari_cxr.scoring.scoring_events import (
    RowScored,
    ScoringEvent,
    ScoringFinished,
    ScoringProgress,
    ScoringStarted,
    ScoringWarned,
)
from napari_cxr.scoring.scoring_inputs import listing_fingerprint
from napari_cxr.scoring.scoring_settings import ScoringSettings

if TYPE_CHECKING:
    from napari_cxr.inference.backends.backend import Backend
    from napari_cxr.inference.classifier import Classifier

__all__ = [
    'OpenTable',
    'ScoringRate',
    'lacks_decoded',
    'open_table',
    'rows_to_keep',
    'write_rows',
]

#: Seconds over which the speed is taken.
_LATELY = 20.0


class ScoringRate:
    """How fast rows come."""

    def __init__(self, total: int, journal: Journal) -> None:
        self._total, self._journal = total, journal
        self._lately = deque([(time.monotonic(), 0)])
        self._here = 0

    def count(self, rows: int) -> None:
        """Note that rows are done."""
        now = time.monotonic()
        self._here += rows
        self._lately.append((now, self._here))
        while len(self._lately) > 2 and self._lately[0][0] < now - _LATELY:
            self._lately.popleft()

    def event(self) -> ScoringProgress:
        """Return how far it is."""
        began, before = self._lately[0]
        seconds = time.monotonic() - began
        speed = (self._here - before) / seconds if seconds > 0 else 0.0
        left = self._total - self._journal.done
        return ScoringProgress(
            done=self._journal.done,
            failed=self._journal.failed,
            total=self._total,
            images_per_second=speed,
            seconds_left=left / speed if speed > 0 else math.nan,
        )


#: What must be the same for old and new rows to stand in one table, for a person.
_SAME = {
    'model_hash': 'another model',
    'version': 'another version of napari-cxr',
    'preprocessing': 'another preprocessing',
    'rule': 'another rule of labels or another prevalence',
    'decision': 'another decision',
    'heatmaps': 'another choice of heatmaps',
    'shares': 'another choice of what is said of heatmaps',
    'identify': 'another choice of what identifies',
    'truth': 'labels where there are none now, or none where there are',
    'patients': 'another table of patients',
    'splits': 'splits where there are none now, or none where there are',
    'model_split': 'no word of the images that the model was trained on, or other ones known',
}


def rows_to_keep(out: Path, items: Sequence[Item], run: ScoringRun) -> Iterator[ScoreRow]:
    """Yield the rows of a finished table that need not be made again.

    Parameters
    ----------
    out : Path
        The table.
    items : sequence of Item
        The listing as it is now; a row takes its number, label, source and patient from it.
    run : Run
        What the rows to come have in common.

    Raises
    ------
    ScoringError
        If the table is damaged, is of another run, has a row of a file that is no longer
        listed, which would get lost, or heatmaps whose numbers would be those of others.
    """
    there, rows = table_reader.read_table_rows(out)
    for name, words in _SAME.items():
        if name == 'preprocessing' and there.tidy:  # which the model's file decides
            continue
        if getattr(there, name) != getattr(run, name):
            raise ScoringError(
                f'{out} was made with {words}: give the options that it was made with, or '
                'choose another name.'
            )
    places: dict[str, int] = {}
    for number, item in enumerate(items):
        places.setdefault(item.path, number)
    for row in rows:
        if (number := places.get(row.path, -1)) < 0:
            raise ScoringError(
                f'{out} has a row of {row.path}, which is not among the files now, and would lose '
                'it: list that file as well, or choose another name.'
            )
        if run.heatmaps and number != row.number:
            raise ScoringError(
                f'Files were added before {row.path}, and the heatmaps of {out} are numbered: '
                'choose another name for the table and another folder for the heatmaps.'
            )
        item = items[number]
        yield replace(
            row,
            number=number,
            truth=item.truth,
            source=item.source or row.source,
            patient=item.patient,
            split=item.split,
        )


_FORM = 1

#: Rows of a finished table that are taken over at once.
_AT_ONCE = 1000


@dataclass(frozen=True, eq=False)
class OpenTable:
    """A table that is being made: its journal is open, and holds the rows from before.

    Parameters
    ----------
    out : Path
        The table.
    run : ScoringRun
        What its rows have in common.
    journal : Journal
        Where rows are kept until all are there.
    total : int
        How many rows it will have.
    include_doubtful : bool
        Whether doubtful images are measured.
    """

    out: Path
    run: ScoringRun
    journal: Journal
    total: int
    include_doubtful: bool = False

    def started(self, device: str, batch: int, backend: Backend) -> ScoringStarted:
        """Return the event that says so."""
        return ScoringStarted(
            total=self.total,
            done=self.journal.done,
            failed=self.journal.failed,
            run=self.run,
            device=device,
            batch=batch,
            backend=backend.title,
        )


@contextmanager
def open_table(
    items: Sequence[Item],
    classifier: Classifier,
    out: Path,
    settings: ScoringSettings,
    batch: int,
    kind: str,
    backend: Backend,
) -> Iterator[OpenTable]:
    """Start a table, or resume it; of a finished one the rows that stay are taken over.

    Parameters
    ----------
    items, classifier, out, settings
        As of `napari_cxr.scoring.score`.
    batch : int
        Images that the network takes at once.
    kind : str
        The kind of device: 'cpu', 'cuda', 'mps', or 'mixed'.
    backend : Backend
        What runs the network.

    Raises
    ------
    ScoringError
        If what is there is of another run, is damaged, or cannot be written.
    """
    run = _describe_run(items, classifier, settings)
    there = read_header(journal_of(out))
    if there and 'backend' not in there:  # started by version 0.1, whose tables lack the column
        run = replace(run, backend=False)
    if lacks_decoded(out):
        run = replace(run, decoded=False)
    if there and 'peaks' not in there:  # as well
        run = replace(run, peaks=False)
    if lacks_column(out, 'markers'):
        run = replace(run, markers=False)
    if lacks_column(out, 'lift'):
        run = replace(run, lift=False)
    if lacks_column(out, 'model_split'):  # so it was started before there was that one
        run = replace(run, model_split=False)
    if lacks_column(out, 'tidy'):
        run = replace(run, tidy=False)
    finished = os.path.lexists(out) and not journal_of(out).exists()
    ruled = 'rule' in there
    if finished:
        before = table_reader.read_table_rows(out)[0]
        ruled = before.tidy or bool(before.rule)
    ruled = ruled or 'tidy' in there
    if (there or finished) and not (ruled or run.multilabel):  # begun before there was a margin
        run = replace(run, rule={})
    header = _header(items, run, settings, batch, kind, backend.journal_name)
    if finished:
        for _ in rows_to_keep(out, items, run):  # what is wrong is said before anything changes
            pass
    counts = partial(_counts, retry_errors=settings.retry_errors)
    # Closed in any case, so that all rows are on the disk and others may open it.
    with closing(Journal(journal_of(out), header, len(items), counts)) as journal:
        if finished:
            for rows in _batched(filter(counts, rows_to_keep(out, items, run))):
                journal.add(rows)
        yield OpenTable(out, run, journal, len(items), settings.include_doubtful)


def lacks_decoded(out: Path) -> bool:
    """Tell whether a table was started when all files were decoded at their full size."""
    return lacks_column(out, 'decoded')


def lacks_column(out: Path, attribute: str) -> bool:
    """Tell whether a table was started without the column of an attribute of `ScoringRun`."""
    there = read_header(journal_of(out))
    if there or not os.path.lexists(out):
        return bool(there) and attribute not in there
    try:
        return not getattr(table_reader.open_table(out)[0], attribute)
    except ScoringError:  # which is told where its rows are read
        return False


def write_rows(rows: RowStream, table: OpenTable) -> Generator[ScoringEvent, None, None]:
    """Keep rows in the journal as they come, wherever they are made, and write the table.

    Parameters
    ----------
    rows : generator
        The rows that the journal does not hold, see `napari_cxr.scoring.batching.score_rows`.
    table : OpenTable
        Where they belong.

    Yields
    ------
    ScoringEvent
        As `napari_cxr.scoring.score`.

    Raises
    ------
    ScoringError
        If rows are missing at the end, or the disk is full.
    """
    journal, run = table.journal, table.run
    rate = ScoringRate(table.total, journal)
    evaluation = ScoreEvaluation.of_run(run, include_doubtful=table.include_doubtful)
    if run.truth or run.model_split:
        evaluation.add(journal.rows())
    with closing(rows) as arriving:
        for arrived in arriving:
            if isinstance(arrived, ScoringWarned):
                yield arrived
            elif arrived:
                journal.add(arrived)
                evaluation.add(arrived)
                rate.count(len(arrived))
                yield from (RowScored(row) for row in arrived)
            else:
                journal.sync_if_due()
            if measured := evaluation.look():
                yield measured
            yield rate.event()
    if missing := len(journal.missing):
        raise ScoringError(
            f'{missing} of {table.total} rows are missing. Those that are done are kept: resume.'
        )
    yield from relay(lambda unwanted: _write(table, unwanted), rate.event)
    last = yield from relay(lambda _: evaluation.found(), rate.event)
    metrics_file = table_writer.write_metrics(table.out, run, last)
    if warning := seen_warning(evaluation.seen, evaluation.scored):
        yield ScoringWarned(warning)
    if run.heatmaps:
        yield from relay(lambda _: sync_heatmaps(), rate.event)
    done, failed = journal.done, journal.failed
    journal.remove()
    yield ScoringFinished(
        str(table.out),
        done,
        failed,
        last.metrics,
        last.unknown,
        last.unmeasured,
        last.doubtful,
        last.doubtful_included,
        '' if metrics_file is None else str(metrics_file),
    )


def _counts(row: ScoreRow, *, retry_errors: bool) -> bool:
    """Return whether a row from before stays: its heatmap is whole, and it need not be retried.

    What failed because memory ran out, and not because of the file, is always tried again.
    """
    if row.status == 'error' and (retry_errors or is_passing(row.error)):
        return False
    return heatmap_is_complete(row)


def _batched(rows: Iterator[ScoreRow]) -> Iterator[list[ScoreRow]]:
    while some := list(islice(rows, _AT_ONCE)):
        yield some


def _write(table: OpenTable, unwanted: threading.Event) -> None:
    def rows() -> Iterator[ScoreRow]:
        for row in table.journal.rows():
            if unwanted.is_set():
                raise ScoringError('Writing the table was cancelled.')
            yield row

    table_writer.write_table(table.out, rows(), table.run)


def _describe_run(
    items: Sequence[Item], classifier: Classifier, settings: ScoringSettings
) -> ScoringRun:
    return ScoringRun(
        model=classifier.card.name,
        model_hash=classifier.file_hash,
        labels=classifier.labels,
        preprocessing=classifier.preprocessing.to_dict(),
        version=__version__,
        multilabel=classifier.card.multilabel,
        rule=_stored_rule(classifier, settings),
        decision=settings.decision is not None,
        heatmaps=settings.heatmaps is not None,
        shares=settings.with_shares,
        identify=settings.identify,
        truth=any(item.truth for item in items),
        patients=any(item.patient for item in items),
        backend=True,
        decoded=True,
        peaks=settings.with_shares,
        markers=settings.with_shares,
        lift=settings.with_shares,
        splits=any(item.split for item in items),
        model_split=settings.images is not None,
        tidy=True,
        possible=bool(classifier.card.prediction_sets),
    )


def _stored_rule(classifier: Classifier, settings: ScoringSettings) -> dict[str, Any]:
    """Return what decides labels, and at which prevalence a person wants probabilities to hold."""
    rule = settings.rule(classifier.rule)
    if not settings.prior:
        return rule.to_dict()
    margin = {} if rule.multilabel else {'least_margin': rule.least_margin}
    return {**margin, **rule.to_dict(), 'prevalence': dict(classifier.card.prevalence)}


def _header(
    items: Sequence[Item],
    run: ScoringRun,
    settings: ScoringSettings,
    batch: int,
    kind: str,
    way: str,
) -> dict[str, Any]:
    """Return all that decides the rows, for the journal."""
    decision, heatmaps = settings.decision, settings.heatmaps
    told = run.to_dict()
    # Journals that were started before there was one of these do not have it.
    optional = ('rule', 'backend', 'peaks', 'markers', 'lift', 'decoded', 'splits', 'model_split')
    for name in (*optional, 'tidy', 'possible'):
        if not told[name]:
            del told[name]
    if run.decoded:
        told['full_resolution'] = settings.full_resolution
    return {
        'form': _FORM,
        **told,
        'lung_field': lungs.lung_network_fingerprint(),
        'frontal_check': frontal_check.frontal_fingerprint(),
        'listing': listing_fingerprint(items),
        'folder': '' if all(os.path.isabs(item.path) for item in items) else os.getcwd(),
        'total': len(items),
        'batch': batch,
        'device': kind,
        'way': way,
        'precision': settings.precision,
        'decision': None if decision is None else [decision.name, decision.thresholds],
        'heatmaps': None if heatmaps is None else str(heatmaps),
    }
