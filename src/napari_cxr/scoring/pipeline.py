"""Scoring from beginning to end: `score` lists the steps, each of which is a module.

A backend for the network is selected, files are read beside the network (`batching`), and each
row is kept as soon as it is done (`row_writer`).
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_cxr.inference.cpu import one_core
from napari_cxr.scoring.background_thread import relay
from napari_cxr.scoring.batching import batch_workers_for, score_rows
from napari_cxr.scoring.image_preparation import ImagePreparer
from napari_cxr.scoring.input_lists import Item
from napari_cxr.scoring.journal import ScoringError, journal_of, read_header
from napari_cxr.scoring.row_writer import lacks_decoded, open_table, write_rows
from napari_cxr.scoring.scoring_checks import check_out, make_heatmap_folder
from napari_cxr.scoring.scoring_events import ScoringEvent, ScoringPreparing
from napari_cxr.scoring.scoring_settings import ScoringSettings

if TYPE_CHECKING:
    from napari_cxr.inference.backends.backend import Backend
    from napari_cxr.inference.classifier import Classifier

__all__ = [
    'backend_to_resume',
    'classifier_at_prevalence',
    'default_batch_size',
    'device_kind',
    'score',
    'select_network_backend',
]

#: Images of 224 x 224 pixels in a batch, by kind of device. On a processor larger batches
#: are not faster; a GPU is not busy with fewer.
_BATCH = {'cpu': 8, 'mps': 32, 'cuda': 64}
_USUAL_PIXELS = 224 * 224


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
    read : ImagePreparer
        `prepare_here`, or `prepare` of a `napari_cxr.workers.decoder_pool.DecoderPool`.
    settings : ScoringSettings, optional
        How to score.
    resume : bool
        Whether to go on with what was cut off, if anything was. Of a table that is finished
        the rows stay, and files that are new in the listing are scored.

    Yields
    ------
    ScoringEvent
        Some every second, whatever happens. Closing the generator stops it; the rows that
        are done stay in the journal beside the table, see `journal_of`.

    Raises
    ------
    ScoringError
        If there is a table already, what is resumed is of another run, the prevalence cannot be
        stated for this model, or the disk is full.
    napari_cxr.inference.classifier.OutOfMemory
        If not even one image fits into the device's memory.
    """
    out, settings = Path(out), settings or ScoringSettings()
    check_out(out, resume=resume)
    classifier = classifier_at_prevalence(classifier, settings)
    if settings.heatmaps is not None:
        make_heatmap_folder(settings.heatmaps, out)
    header = read_header(journal_of(out))
    if lacks_decoded(out):  # its other rows were made so
        settings = replace(settings, full_resolution=True)
    batch = (
        settings.batch
        or header.get('batch')
        or default_batch_size(classifier, classifier.device.name)
    )
    device = classifier.device.name
    workers = batch_workers_for(classifier, -(-len(items) // batch))
    with one_core():
        backend = yield from select_network_backend(
            classifier, settings, header, min(batch, len(items)), workers
        )
        kind = device_kind([device])
        with open_table(items, classifier, out, settings, batch, kind, backend) as table:
            yield table.started(device, batch, backend)
            missing = table.journal.missing
            rows = score_rows(
                items, missing, len(items), classifier, read, settings, batch, workers
            )
            yield from write_rows(rows, table)


def classifier_at_prevalence(classifier: Classifier, settings: ScoringSettings) -> Classifier:
    """Return the classifier at the prevalence of the settings; raises ScoringError."""
    try:
        return classifier.at_prevalence(settings.prior)
    except ValueError as error:
        raise ScoringError(str(error)) from None


def select_network_backend(
    classifier: Classifier,
    settings: ScoringSettings,
    header: Mapping[str, Any],
    batch: int,
    workers: int,
) -> Generator[ScoringEvent, None, Backend]:
    """Let the network run on the backend that a table needs, or on the preferred one.

    To be used within `one_core`, which is how a batch runs later.

    Parameters
    ----------
    classifier, settings
        As of `score`.
    header : mapping
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

    name, precision = backend_to_resume(settings, header)

    def select(_: threading.Event | None = None) -> SelectedBackend:
        return select_backend(classifier, name, precision, workers=workers, batch=batch)

    try:
        if takes_no_time(classifier, name, precision):
            selected = select()
        else:
            selected = yield from relay(
                select, lambda: ScoringPreparing('Preparing the network'), daemon=False
            )
    except BackendUnavailable as error:
        raise ScoringError(str(error)) from None
    classifier.use(selected.backend, selected.network)
    return selected.backend


def backend_to_resume(settings: ScoringSettings, header: Mapping[str, Any]) -> tuple[str, str]:
    """Return name and precision to select a backend by: those of a journal, if there is one.

    The last digits of a score depend on the backend, so a table keeps the one that it was
    started with.

    Raises
    ------
    ScoringError
        If the settings name another one.
    """
    from napari_cxr.inference.backends.backend import BackendUnavailable, find_backend

    name = str(header.get('way', ''))
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


def device_kind(devices: Iterable[str]) -> str:
    """Return the kind that devices of these names are of, or 'mixed'."""
    kinds = {name.partition(':')[0] for name in devices}
    return kinds.pop() if len(kinds) == 1 else 'mixed'


def default_batch_size(classifier: Classifier, device: str) -> int:
    """Return how many images a device of this name takes at once, where nobody says it."""
    usual = _BATCH[device_kind([device])]
    pixels = classifier.preprocessing.height * classifier.preprocessing.width
    return max(1, min(usual, usual * _USUAL_PIXELS // pixels))
