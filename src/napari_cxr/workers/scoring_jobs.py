"""The scoring worker's jobs: score files into a table, and measure a table that is there."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_cxr.scoring import (
    Decision,
    ScoringEvent,
    ScoringPreparing,
    ScoringSettings,
    check_heatmaps,
    check_out,
    list_items,
    table_reader,
)
from napari_cxr.scoring.background_thread import in_background
from napari_cxr.scoring.score_row import NO_FINDING

if TYPE_CHECKING:
    from napari_cxr.scoring import ScoreRow, ScoringMeasured

__all__ = ['measure', 'score']


def score(
    paths: Sequence[str],
    labels: str | None,
    out: str,
    model: str,
    device: str,
    settings: Mapping[str, Any],
    resume: bool = False,
    workers: int | None = None,
) -> Generator[ScoringEvent | None, None, None]:
    """Score files into a table; see `napari_cxr.scoring.pipeline`.

    Parameters
    ----------
    paths : sequence of str
        What to score, as `napari_cxr.scoring.list_items` takes it.
    labels : str, optional
        'folders', or a table of paths and labels.
    out : str
        The table.
    model, device : str
        As in the catalog; as `napari_cxr.inference.device` takes it.
    settings : mapping
        Entries of `napari_cxr.scoring.ScoringSettings`; `decision` is an operating point of the
        model's card in words, or an empty string.
    resume : bool
        Whether to go on with what was stopped.
    workers : int, optional
        Processes that decode; as many as there are cores by default.

    Yields
    ------
    Event or None
        What scoring says; None while there is nothing, so that it can be closed.
    """
    from napari_cxr.workers.classifier_jobs import loaded_classifier
    from napari_cxr.workers.decoder_pool import DecoderPool, listed_images

    check_out(out, resume=resume)
    if settings.get('heatmaps'):
        check_heatmaps(settings['heatmaps'], out, paths)
    yield ScoringPreparing('Listing the files')
    items = yield from in_background(lambda _: list_items(paths, labels, listed_images))
    decoders = DecoderPool(workers)
    try:
        decoders.start(len(items))  # while the model is being loaded
        yield ScoringPreparing('Loading the model')
        classifier = yield from in_background(lambda _: loaded_classifier(model, device))
        how = _settings_of(settings, classifier.card)
        from napari_cxr.scoring import score as run

        with closing(run(items, classifier, out, decoders.prepare, how, resume=resume)) as events:
            yield from events
    finally:
        decoders.close()


def measure(table: str, truths: Mapping[str, str] | None = None) -> ScoringMeasured:
    """Compare the rows of a table with their labels.

    Parameters
    ----------
    table : str
        As `napari_cxr.scoring.table_reader.read_rows` takes it.
    truths : mapping of str to str, optional
        Labels that a person has given, by path; several joined by '|', and nothing for
        none of several. They go before those of the table.
    """
    from napari_cxr.scoring.score_evaluation import evaluate_run

    run, rows = table_reader.read_rows(table)
    none = (run.label_rule.negative or NO_FINDING) if run.multilabel else ''
    given = {path: truth or none for path, truth in (truths or {}).items()}

    def labelled(row: ScoreRow) -> ScoreRow:
        return replace(row, truth=given[row.path]) if row.path in given else row

    return evaluate_run(map(labelled, rows), run)


def _settings_of(entries: Mapping[str, Any], card: Any) -> ScoringSettings:
    """Return settings with what of them depends on the model."""
    rest = dict(entries)
    words, heatmaps = rest.pop('decision', ''), rest.pop('heatmaps', None)
    return ScoringSettings(
        decision=Decision.of_card(words, card) if words else None,
        heatmaps=Path(heatmaps) if heatmaps else None,
        **rest,
    )
