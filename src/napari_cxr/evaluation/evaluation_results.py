"""From the scores of models to the result of an evaluation: figures, the look, and the files."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cxr import __version__
from napari_cxr.checkpoint.model_file import open_atomic
from napari_cxr.checkpoint.model_images import sources_known_to
from napari_cxr.evaluation.cautions import cautions
from napari_cxr.evaluation.evaluation_events import (
    EvaluationEvent,
    EvaluationFinished,
    EvaluationProgress,
    EvaluationResult,
)
from napari_cxr.evaluation.evaluation_images import EvaluationImages
from napari_cxr.evaluation.evaluation_ledger import data_fingerprint
from napari_cxr.evaluation.evaluation_settings import (
    EvaluationSettings,
    ImageDecoders,
    ModelToEvaluate,
)
from napari_cxr.evaluation.evaluation_table import (
    PREDICTIONS_FILE,
    EvaluationTable,
    predictions_text,
)
from napari_cxr.evaluation.heatmap_gallery import heatmap_gallery
from napari_cxr.evaluation.looks import note_answers, note_look
from napari_cxr.evaluation.measuring import EvaluatedModel, MeasuringSettings, measure
from napari_cxr.evaluation.recomputing import METRICS_FILE
from napari_cxr.evaluation.report import REPORT_FILE, report_page
from napari_cxr.evaluation.score_tables import CombinedScores
from napari_cxr.evaluation.shortcut_run import (
    SHORTCUTS_KEPT,
    ShortcutResults,
    shortcuts_of_models,
    write_shortcut_tests,
)
from napari_cxr.evaluation.split_baselines import ReadImages, baseline_predictions
from napari_cxr.scoring.background_thread import in_background
from napari_cxr.scoring.input_lists import ListingError
from napari_cxr.scoring.score_row import ScoringRun
from napari_cxr.training.sealed_images import SealedSet

if TYPE_CHECKING:
    from napari_cxr.checkpoint import Card

__all__ = ['ScoredImages', 'write_results']


@dataclass(frozen=True, kw_only=True)
class ScoredImages:
    """The images of an evaluation after all models have scored them.

    Parameters
    ----------
    images : EvaluationImages
        What was listed; without images where only scores were given.
    combined : CombinedScores
        Labels and predictions.
    split : str
        By which split is evaluated; 'all' for all images.
    scores : mapping of str to Path
        The table of each model.
    models : mapping of str to ModelToEvaluate
        The models, where they were given.
    read : ReadImages
        What else is known of the images.
    decoders : ImageDecoders, optional
        What decodes them.
    seals : sequence of SealedSet
        The sealed sets that answer by this evaluation.
    """

    images: EvaluationImages
    combined: CombinedScores
    split: str
    scores: Mapping[str, Path] = field(default_factory=dict)
    models: Mapping[str, ModelToEvaluate] = field(default_factory=dict)
    read: ReadImages = field(default_factory=lambda: ReadImages({}))
    decoders: ImageDecoders | None = None
    seals: Sequence[SealedSet] = ()

    def tables(self, whole: EvaluationTable) -> tuple[EvaluationTable, EvaluationTable]:
        """Return the part of a table to evaluate by, and that to choose thresholds by.

        Raises
        ------
        ListingError
            If there is nothing to evaluate by.
        """
        splits = np.array(whole.splits, dtype=object)
        table = whole if self.split == 'all' else whole.subset(splits == self.split)
        if not len(table):
            raise ListingError(f'No image of the split {self.split!r} can be measured.')
        wanted = splits == 'val' if self.split == 'test' else np.zeros(len(whole), bool)
        return table, whole.subset(wanted)

    def about_models(self, whole: EvaluationTable) -> dict[str, EvaluatedModel]:
        """Return what is known of each model, and of which images it has seen."""
        inside = [self.split in ('all', own) for own in whole.splits]
        return {
            name: _about(
                run,
                self.models[name].card if name in self.models else None,
                whole.labels,
                compress(self.combined.seen[name], inside),
                sum(
                    own == 'train' and part == 'val'
                    for own, part in zip(self.combined.seen[name], whole.splits, strict=True)
                ),
            )
            for name, run in self.combined.runs.items()
        }


def write_results(
    scored: ScoredImages, out: Path, how: EvaluationSettings
) -> Generator[EvaluationEvent | None, None, EvaluationResult]:
    """Compute the figures of an evaluation, note the look, and write the files.

    Parameters
    ----------
    scored : ScoredImages
        What all models said.
    out : Path
        The folder of the report.
    how : EvaluationSettings
        How to evaluate.

    Yields
    ------
    EvaluationEvent or None
        None while there is nothing to say.
    """
    whole, baselines, fitted_on = yield from _with_baselines(scored, how)
    table, tuning = scored.tables(whole)
    models = scored.about_models(whole)
    metrics = yield from _measured(table, tuning, models, baselines, how.measuring)
    tests: ShortcutResults = {}
    if how.shortcut_tests and scored.decoders is not None:
        loads = {name: model.load for name, model in scored.models.items()}
        tests = yield from shortcuts_of_models(
            loads, table, scored.decoders.prepare, out / SHORTCUTS_KEPT
        )
    content = _content(scored, how, table, len(tuning), metrics)
    content['looks'] = _note_look(scored, how, content)
    content['baselines_fitted_on'] = fitted_on
    if tests:
        content['shortcut_tests'] = {
            name: {'verdict': one.verdict, 'called_out': list(one.called_out)}
            for name, (one, _) in tests.items()
        }
    content['cautions'] = cautions(content, table)
    result = EvaluationResult(content, table, tuning)
    pictures = yield from _galleries(scored, how, table, models)
    yield EvaluationProgress('Writing the report')
    texts = {
        out / PREDICTIONS_FILE: predictions_text(_joined(table, tuning)),
        out / METRICS_FILE: json.dumps(content, indent=1, allow_nan=False) + '\n',
        out / REPORT_FILE: report_page(result, pictures),
    }
    new = _sealed_now(scored, table, content['set']['fingerprint']) if how.sealed else None
    with _written_together(texts):  # a sealed set has answered once there is room for the answer
        note_answers(scored.seals, metrics['models'], new)
    title = f'{scored.images.name}, split {scored.split}'
    page = write_shortcut_tests(out, tests, title) if tests else None
    yield EvaluationFinished(
        result,
        str(out / REPORT_FILE),
        str(out / METRICS_FILE),
        str(out / PREDICTIONS_FILE),
        {name: str(path) for name, path in scored.scores.items()},
        str(page or ''),
    )
    return result


def _with_baselines(
    scored: ScoredImages, how: EvaluationSettings
) -> Generator[EvaluationEvent | None, None, tuple[EvaluationTable, list[str], str]]:
    """Return the whole table, with what sees no anatomy; its names, and what it was fitted on."""
    whole = _with_seen(scored.combined)
    if not how.baselines or not scored.read:
        return whole, [], ''
    views = scored.images.columns.get('view', {})
    ours = {'none', *(label.casefold() for label in whole.labels)}
    meant = {k: v for k, v in how.classes.items() if k.casefold() in ours}
    fitted = yield from baseline_predictions(scored.images.items, views, scored.read, whole, meant)
    for name, probabilities in fitted.probabilities.items():
        whole = whole.with_classifier(name, probabilities)
    return whole, list(fitted.probabilities), fitted.fitted_on


def _content(
    scored: ScoredImages,
    how: EvaluationSettings,
    table: EvaluationTable,
    validation_images: int,
    metrics: dict[str, Any],
) -> dict[str, Any]:
    """Return what ``metrics.json`` says, without looks and cautions."""
    images, combined = scored.images, scored.combined
    fingerprint = data_fingerprint(
        table.images, ['|'.join(map(str, np.flatnonzero(row).tolist())) for row in table.truth]
    )
    known = {
        name: sources_known_to(model.card, table.values('source'))
        for name, model in scored.models.items()
    }
    return {
        'form': 1,
        'version': __version__,
        'made': datetime.now(UTC).isoformat(timespec='seconds'),
        'labels': list(table.labels),
        'multilabel': table.multilabel,
        'set': {
            'name': images.name,
            'fingerprint': fingerprint,
            'split': scored.split,
            'images': len(table),
            'patients': len(set(table.patients)),
            'counts': dict(zip(table.labels, table.truth.sum(axis=0).tolist(), strict=True)),
            'validation_images': validation_images,
            'failed': combined.failed,
            'doubtful': combined.doubtful,
            'doubtful_included': how.include_doubtful,
            'unmeasured': combined.unmeasured,
            'unknown_labels': list(combined.unknown),
            'not_shared': {name: list(left) for name, left in combined.not_shared.items()},
        },
        'settings': {
            **asdict(how.measuring),
            'classes': {k: list(v) for k, v in how.classes.items()},
        },
        'interval': {
            'level': 0.95,
            'resampled_by': 'patient',
            'resamples': how.measuring.resamples,
        },
        **metrics,
        'known_sources': {name: found for name, found in known.items() if found},
        'auc': next(iter(metrics['models'].values())).get('auc'),
    }


def _note_look(
    scored: ScoredImages, how: EvaluationSettings, content: Mapping[str, Any]
) -> dict[str, Any]:
    """Note in the ledger that the images were looked at; return what it says of them."""
    varied = {
        'split': scored.split,
        'classes': {name: sorted(labels) for name, labels in how.classes.items()},
        'include_doubtful': how.include_doubtful,
    }
    return note_look(scored.images.place, content['set']['fingerprint'], content, varied)


def _galleries(
    scored: ScoredImages,
    how: EvaluationSettings,
    table: EvaluationTable,
    models: Mapping[str, EvaluatedModel],
) -> Generator[EvaluationEvent | None, None, dict[str, Any]]:
    """Return pictures of heatmaps by model, where they are wanted."""
    pictures = {}
    if how.gallery and scored.decoders is not None:
        for name, model in scored.models.items():
            yield EvaluationProgress(f'Heatmaps of {name}')
            pictures[name] = yield from heatmap_gallery(
                table,
                name,
                model.load,
                scored.decoders.prepare,
                how.scoring,
                models[name].thresholds or None,
            )
    return pictures


def _sealed_now(scored: ScoredImages, table: EvaluationTable, fingerprint: str) -> SealedSet:
    read = scored.read
    places = [read.places[path] for path in table.paths if path in read.places]
    return SealedSet(
        name=scored.images.name,
        fingerprint=fingerprint,
        time=datetime.now(UTC).isoformat(timespec='seconds'),
        digests=frozenset(read.digests[i] for i in places),
        thumbnails=read.thumbnails[places],
    )


@contextmanager
def _written_together(texts: Mapping[Path, str]) -> Iterator[None]:
    """Write files that take their names at the end of the context: all, or none if it fails."""
    with ExitStack() as files:
        for path, text in texts.items():
            file = files.enter_context(open_atomic(path))
            file.write(text.encode())
            file.flush()
        yield


def _with_seen(combined: CombinedScores) -> EvaluationTable:
    """Return the table with a column for each model that was trained on some of the images."""
    columns = {
        f'whether {name} has seen it': tuple(
            'yes' if own in ('train', 'val') else 'no' for own in splits
        )
        for name, splits in combined.seen.items()
        if 'train' in splits
    }
    return replace(combined.table, columns={**combined.table.columns, **columns})


def _measured(
    table: EvaluationTable,
    tuning: EvaluationTable,
    models: Mapping[str, EvaluatedModel],
    baselines: Sequence[str],
    how: MeasuringSettings,
) -> Generator[EvaluationEvent | None, None, dict[str, Any]]:
    """Run `measure` in the background, a step at a time."""
    steps = measure(table, tuning, models, baselines, how)
    while True:
        end: list[dict[str, Any]] = []

        def step(_: object, end: list[dict[str, Any]] = end) -> str:
            try:
                return next(steps)
            except StopIteration as stop:
                end.append(stop.value)
                return ''

        said = yield from in_background(step)
        if end:
            return end[0]
        yield EvaluationProgress(said)


def _joined(table: EvaluationTable, tuning: EvaluationTable) -> EvaluationTable:
    """Return both in one table, the evaluated images first."""
    return replace(
        table,
        images=table.images + tuning.images,
        paths=table.paths + tuning.paths,
        truth=np.concatenate([table.truth, tuning.truth]),
        patients=table.patients + tuning.patients,
        splits=table.splits + tuning.splits,
        columns={k: v + tuning.columns[k] for k, v in table.columns.items()},
        probabilities={
            k: np.concatenate([p, tuning.probabilities[k]]) for k, p in table.probabilities.items()
        },
        given=np.concatenate([table.known, tuning.known]),
        heatmaps={
            k: np.concatenate([own, tuning.heatmaps[k]]) for k, own in table.heatmaps.items()
        },
    )


def _about(
    run: ScoringRun,
    card: Card | None,
    labels: Sequence[str],
    seen: Iterable[str],
    tuned_on_seen: int,
) -> EvaluatedModel:
    splits, rule = Counter(seen), run.label_rule
    # Thresholds of the card mean nothing for probabilities that were divided anew.
    same = card is not None and (run.multilabel or len(labels) == len(run.labels))
    return EvaluatedModel(
        title=card.title if card else '',
        model_hash=run.model_hash,
        thresholds=tuple(map(rule.threshold, labels)) if rule.thresholds else (),
        points={k: dict(v) for k, v in card.operating_points.items()} if card and same else {},
        seen={name: splits[name] for name in ('train', 'val')},
        validation_seen=tuned_on_seen,
        demonstration=card.demonstration if card else '',
        margin=rule.least_margin,
    )
