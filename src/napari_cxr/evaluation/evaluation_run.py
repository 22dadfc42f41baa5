"""An evaluation from beginning to end: `evaluate` lists the steps, each of which is a module."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np

from napari_cxr import __version__
from napari_cxr.checkpoint.model_file import digest, open_atomic
from napari_cxr.checkpoint.model_images import ModelImages, sources_known_to
from napari_cxr.evaluation.cautions import cautions
from napari_cxr.evaluation.evaluation_events import (
    EvaluationEvent,
    EvaluationFinished,
    EvaluationProgress,
    EvaluationResult,
    EvaluationWarned,
)
from napari_cxr.evaluation.evaluation_images import EvaluationImages
from napari_cxr.evaluation.evaluation_ledger import data_fingerprint
from napari_cxr.evaluation.evaluation_table import (
    PREDICTIONS_FILE,
    EvaluationTable,
    predictions_text,
)
from napari_cxr.evaluation.heatmap_gallery import heatmap_gallery
from napari_cxr.evaluation.looks import note_answers, note_look, open_ledgers, seals_of
from napari_cxr.evaluation.measuring import EvaluatedModel, MeasuringSettings, measure
from napari_cxr.evaluation.recomputing import METRICS_FILE, metrics_of
from napari_cxr.evaluation.report import REPORT_FILE, report_page
from napari_cxr.evaluation.run_predictions import read_run
from napari_cxr.evaluation.score_tables import CombinedScores, combine_scores
from napari_cxr.evaluation.shortcut_run import (
    SHORTCUTS_KEPT,
    ShortcutResults,
    shortcuts_of_models,
    write_shortcut_tests,
)
from napari_cxr.evaluation.split_baselines import ReadImages, baseline_predictions, read_images
from napari_cxr.scoring import ScoringSettings, score
from napari_cxr.scoring.background_thread import in_background
from napari_cxr.scoring.input_lists import Item, ListingError
from napari_cxr.scoring.journal import journal_of, read_header
from napari_cxr.scoring.row_writer import lacks_column
from napari_cxr.scoring.score_row import ScoringRun
from napari_cxr.scoring.scoring_checks import make_result_folder
from napari_cxr.scoring.scoring_events import ScoringPreparing, ScoringProgress, ScoringWarned
from napari_cxr.scoring.table_reader import read_rows
from napari_cxr.scoring.table_writer import metrics_path_of
from napari_cxr.training.sealed_images import SealedSet

if TYPE_CHECKING:
    from napari_cxr.checkpoint import Card
    from napari_cxr.inference.classifier import Classifier
    from napari_cxr.inference.preprocessing import Preprocessing
    from napari_cxr.scoring.image_preparation import PreparedImage, PrepareOptions
    from napari_cxr.training.training_image import TrainingImage

__all__ = ['EvaluationSettings', 'ModelToEvaluate', 'evaluate', 'evaluate_run', 'evaluate_scores']

#: Digits of the SHA-256 of a model's file by which tables of scores name it.
_MODEL_DIGITS = 12

#: How `seen_warning` begins. It counts validation images too; the report says what matters.
_OF_SEEN = 'The model was '


class ImageDecoders(Protocol):
    """What decodes images, as a `napari_cxr.workers.decoder_pool.DecoderPool`."""

    def __call__(
        self, items: Sequence[tuple[int, Path]], preprocessing: Preprocessing, bits: int
    ) -> Iterator[tuple[int, TrainingImage | str]]:
        """Decode files for training; an `ImageReader`."""

    def prepare(
        self, items: Iterable[tuple[int, Path]], wanted: PrepareOptions
    ) -> Generator[tuple[int, PreparedImage | str] | None, None, None]:
        """Prepare files for scoring; an `ImagePreparer`."""


@dataclass(frozen=True)
class ModelToEvaluate:
    """A model, and how to load it when its turn comes.

    Parameters
    ----------
    path : Path
        Its file.
    card : Card
        Its card.
    load : callable
        Returns the `Classifier`.
    """

    path: Path
    card: Card
    load: Callable[[], Classifier]


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings:
    """How to evaluate.

    Parameters
    ----------
    split : str
        By the images of which split: 'test', 'val', 'train' or 'all'. Empty for the test split
        where there is one, else all images. Where no table names splits they are those of the
        run that made the models, if that knows some of the images.
    classes : mapping of str to sequence of str
        Which labels of the images mean which class, see `class_of_labels`.
    baselines : bool
        Whether to fit classifiers that see no anatomy, for comparison.
    include_doubtful : bool
        Whether images count that are probably no upright frontal chest radiographs.
    gallery : bool
        Whether the report shows some images of each class with their heatmaps.
    shortcut_tests : bool
        Whether each image is shown again with one thing changed, to see whether the models take
        a shortcut; see `shortcut_run`. Their networks run in torch.
    sealed : bool
        Whether to seal the set: from now on it answers once for each model, and training refuses
        its images.
    measuring : MeasuringSettings
        What decides figures.
    scoring : ScoringSettings
        How to score.
    """

    split: str = ''
    classes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    baselines: bool = True
    include_doubtful: bool = False
    gallery: bool = True
    shortcut_tests: bool = False
    sealed: bool = False
    measuring: MeasuringSettings = field(default_factory=MeasuringSettings)
    scoring: ScoringSettings = field(default_factory=ScoringSettings)

    @classmethod
    def of(
        cls,
        *,
        cost: float = 0.0,
        prevalence: float | None = None,
        backend: str = '',
        include_doubtful: bool = False,
        **rest: Any,
    ) -> Self:
        """Return settings from plain values, as commands, docks and the API have them."""
        return cls(
            measuring=MeasuringSettings(cost=cost, prevalence=prevalence),
            scoring=ScoringSettings(backend=backend, include_doubtful=include_doubtful),
            include_doubtful=include_doubtful,
            **rest,
        )


def evaluate(
    images: EvaluationImages,
    models: Sequence[ModelToEvaluate],
    out: str | Path,
    decoders: ImageDecoders,
    settings: EvaluationSettings | None = None,
) -> Generator[EvaluationEvent | None, None, EvaluationResult]:
    """Evaluate models by labelled images, and write a report.

    Parameters
    ----------
    images : EvaluationImages
        As `list_images` finds them.
    models : sequence of ModelToEvaluate
        Those with several labels are not evaluated with those of one; where models do not give
        the same classes, only what all of them give is evaluated.
    out : str or Path
        Folder for ``report.html``, ``metrics.json``, ``predictions.csv`` and the tables of
        scores, in ``scores``. What was scored there before is not scored again.
    decoders : ImageDecoders
        What decodes the images.
    settings : EvaluationSettings, optional
        How to evaluate.

    Yields
    ------
    EvaluationEvent or None
        None while there is nothing to say. Closing the generator stops it; what was scored
        stays.

    Returns
    -------
    EvaluationResult
        As the last event, `EvaluationFinished`, has it.

    Raises
    ------
    napari_cxr.scoring.ListingError
        If there is no such split, or no image can be measured.
    napari_cxr.scoring.ScoringError
        If a table of scores cannot be written, or is of other images.
    """
    how, out = settings or EvaluationSettings(), Path(out)
    open_ledgers(images.place, '')  # before hours of work, in case one is damaged
    make_result_folder(out)
    names = _names(models)
    read: ReadImages = yield from read_images(images.items, decoders)
    given_splits = images.splits
    images = _with_splits_of_runs(images, models, read)
    split, items = _items_of(images, how.split)
    hashes = {name: digest(m.path)[:_MODEL_DIGITS] for name, m in zip(names, models, strict=True)}
    _refuse_other(out, images, set(hashes.values()), how, split)
    known = sum(item.split in ('train', 'val') for item in images.items if item.truth)
    if split == 'test' and known and not given_splits:
        count = sum(bool(item.truth) for item in images.items)
        yield EvaluationWarned(
            f'{known:,} of {count:,} images were used to train the model, so only the others '
            'count. Choose the split all to judge by all of them.'
        )
    seals = _seals(hashes, split, items, read)
    scores = {}
    for name, model in zip(names, models, strict=True):
        table = out / 'scores' / f'{_file_name(name)}.csv'
        table.parent.mkdir(exist_ok=True)
        yield from _score(name, model, items, table, decoders, how.scoring)
        scores[name] = table
    given = dict(zip(names, models, strict=True))
    combined = yield from _combined(images, scores, how, read)
    return (
        yield from _report(images, combined, scores, out, how, split, read, given, decoders, seals)
    )


def evaluate_scores(
    tables: Sequence[str | Path],
    out: str | Path,
    settings: EvaluationSettings | None = None,
) -> Generator[EvaluationEvent | None, None, EvaluationResult]:
    """Evaluate by finished tables of scores, of one model each; see `evaluate`.

    Without the images there are no baselines.
    """
    how, out = settings or EvaluationSettings(), Path(out)
    if how.sealed:
        raise ListingError(
            'A set is sealed by its images, and tables of scores have none. Give models and the '
            'images.'
        )
    _refuse_tests(how)
    scores: dict[str, Path] = {}
    hashes: set[str] = set()
    splits: list[str] = []
    for table in map(Path, tables):
        run, rows = read_rows(table)
        splits += [row.split for row in rows]
        name = run.model if run.model not in scores else f'{run.model} ({table.stem})'
        scores[name] = table
        hashes.add(run.model_hash)
    split = _split_of(set(splits) - {''}, how.split)
    make_result_folder(out)
    images = EvaluationImages(next(iter(scores.values())), ())
    _refuse_other(out, images, hashes, how, split)
    nothing = ReadImages({})
    combined = yield from _combined(images, scores, how, nothing)
    return (yield from _report(images, combined, scores, out, how, split, nothing, {}, None))


def evaluate_run(
    folder: str | Path, out: str | Path, settings: EvaluationSettings | None = None
) -> Generator[EvaluationEvent | None, None, EvaluationResult]:
    """Evaluate a training run by its own test images; see `evaluate`.

    Of a run in folds all test images are taken together, each with the prediction of the network
    that had not seen it. After ``napari-cxr train --leave-one-source-out`` these are the images of
    sources that were left out, and the spread between sources is that of hospitals that the
    networks had never seen.
    """
    how, out, folder = settings or EvaluationSettings(), Path(out), Path(folder)
    if how.sealed:
        raise ListingError('A set is sealed by its images. Give a model and the images.')
    _refuse_tests(how)
    yield EvaluationProgress('Reading the run')
    combined = yield from in_background(lambda _: read_run(folder))
    images = EvaluationImages(folder, ())
    open_ledgers(folder, '')
    make_result_folder(out)
    _refuse_other(out, images, {run.model_hash for run in combined.runs.values()}, how, 'test')
    return (yield from _report(images, combined, {}, out, how, 'test', ReadImages({}), {}, None))


def _refuse_other(
    out: Path, images: EvaluationImages, models: set[str], how: EvaluationSettings, split: str
) -> None:
    """Refuse a folder with the report of another evaluation, which would be lost.

    The same evaluation again replaces its report.
    """
    try:
        before = metrics_of(out)
        about = before['set']
        same = (
            about['name'] == images.name
            and about['split'] == split
            and about['doubtful_included'] == how.include_doubtful
            and {own['model_hash'] for own in before['models'].values()} == models
            and before['settings']['classes'] == {k: list(v) for k, v in how.classes.items()}
        )
        said = f'{" and ".join(before["models"])} by {about["name"]}, split {about["split"]}'
    except FileNotFoundError:
        return
    except (AttributeError, KeyError, OSError, TypeError, ValueError):
        same, said = False, 'something that cannot be read'
    if not same:
        raise ListingError(
            f'{out} holds the report of another evaluation ({said}). Name another folder for '
            'this one, or move that report away.'
        )


def _refuse_tests(how: EvaluationSettings) -> None:
    if how.shortcut_tests:
        raise ListingError(
            'Shortcut tests show the images again to the model. Give models and the images, not '
            'scores or a run.'
        )


def _split_of(known: set[str], asked: str) -> str:
    """Return the split to evaluate by; 'all' for all images."""
    if not asked:
        return 'test' if 'test' in known else 'all'
    if asked != 'all' and asked not in known:
        there = ', '.join(sorted(known)) or 'none'
        raise ListingError(
            f'There is no split {asked!r} in the table; it has {there}. Choose one of these, or '
            'all.'
        )
    return asked


def _with_splits_of_runs(
    images: EvaluationImages, models: Sequence[ModelToEvaluate], read: ReadImages
) -> EvaluationImages:
    """Return images that no table puts into splits in those of the run that made the models.

    Images that were no part of the run are test images like those that it held out.
    """
    if images.splits or not read:
        return images
    runs = [ModelImages.of_model(model.path, model.card) for model in models]
    found = [
        ['' if run is None else run.split_of(read.name_of(item.path)) for item in images.items]
        for run in runs
    ]
    splits = [split or 'test' for split in found[0]]
    if not any(found[0]) or 'test' not in splits or any(one != found[0] for one in found[1:]):
        return images
    items = tuple(
        replace(item, split=split) for item, split in zip(images.items, splits, strict=True)
    )
    return replace(images, items=items)


def _items_of(images: EvaluationImages, asked: str) -> tuple[str, list[Item]]:
    """Return the split, and the files to score: its own, and those to choose thresholds by."""
    split = _split_of(images.splits, asked)
    wanted = {split, 'val'} if split == 'test' else {split}
    return split, [i for i in images.items if i.truth and (split == 'all' or i.split in wanted)]


def _names(models: Sequence[ModelToEvaluate]) -> list[str]:
    """Return a name for each model, no two the same."""
    names: list[str] = []
    for model in models:
        name, number = model.card.name, 2
        while name in names:
            name, number = f'{model.card.name} {number}', number + 1
        names.append(name)
    return names


def _file_name(name: str) -> str:
    return re.sub(r'[^\w.-]+', '_', name).strip('.') or 'model'


def _seals(
    hashes: Mapping[str, str],
    split: str,
    items: Sequence[Item],
    read: ReadImages,
) -> list[SealedSet]:
    """Return the sealed sets that are evaluated by; raises ListingError if one has answered."""
    places = [
        read.places[item.path]
        for item in items
        if item.path in read.places and split in ('all', item.split)
    ]
    return seals_of(hashes, [read.digests[i] for i in places], read.thumbnails[places])


def _sealed_now(
    images: EvaluationImages, table: EvaluationTable, fingerprint: str, read: ReadImages
) -> SealedSet:
    places = [read.places[path] for path in table.paths if path in read.places]
    return SealedSet(
        name=images.name,
        fingerprint=fingerprint,
        time=datetime.now(UTC).isoformat(timespec='seconds'),
        digests=frozenset(read.digests[i] for i in places),
        thumbnails=read.thumbnails[places],
    )


def _score(
    name: str,
    model: ModelToEvaluate,
    items: Sequence[Item],
    table: Path,
    decoders: ImageDecoders,
    settings: ScoringSettings,
) -> Generator[EvaluationEvent | None, None, None]:
    """Score what is not scored yet."""
    step = f'Scoring with {name}'
    yield EvaluationProgress(step, 0, len(items))
    started = read_header(journal_of(table))
    # Scores of before, which say nothing of heatmaps, are gone on with as they are.
    located = started['shares'] if started else not lacks_column(table, 'shares')
    images = ModelImages.of_model(model.path, model.card)
    how = replace(settings, images=images, shares=located)
    classifier = yield from in_background(lambda _: model.load())
    events = score(items, classifier, table, decoders.prepare, how, resume=True)
    with closing(events):
        for event in events:
            match event:
                case ScoringPreparing(text=text):
                    yield EvaluationProgress(text)
                case ScoringProgress():
                    yield EvaluationProgress(step, event.done, event.total, event.seconds_left)
                case ScoringWarned(text=text) if not text.startswith(_OF_SEEN):
                    yield EvaluationWarned(text)
                case _:
                    yield None
    # Its figures are of validation and test images together, which nobody asked for.
    metrics_path_of(table).unlink(missing_ok=True)


def _combined(
    images: EvaluationImages,
    scores: Mapping[str, Path],
    how: EvaluationSettings,
    read: ReadImages,
) -> Generator[EvaluationEvent | None, None, CombinedScores]:
    """Bring the tables of scores together."""
    yield EvaluationProgress('Reading the scores')
    return (
        yield from in_background(
            lambda _: combine_scores(
                {name: read_rows(table) for name, table in scores.items()},
                how.classes,
                images.columns,
                read.name_of if read else None,
                read.patient_of,
                include_doubtful=how.include_doubtful,
            )
        )
    )


def _report(
    images: EvaluationImages,
    combined: CombinedScores,
    scores: Mapping[str, Path],
    out: Path,
    how: EvaluationSettings,
    split: str,
    read: ReadImages,
    given: Mapping[str, ModelToEvaluate],
    decoders: ImageDecoders | None,
    seals: Sequence[SealedSet] = (),
) -> Generator[EvaluationEvent | None, None, EvaluationResult]:
    """Bring scores together, compute the figures, note the look, and write the files."""
    whole = _with_seen(combined)
    baselines: list[str] = []
    if how.baselines and read:
        views = images.columns.get('view', {})
        ours = {'none', *(label.casefold() for label in whole.labels)}
        meant = {k: v for k, v in how.classes.items() if k.casefold() in ours}
        fitted = yield from baseline_predictions(images.items, views, read, whole, meant)
        for name, probabilities in fitted.probabilities.items():
            whole = whole.with_classifier(name, probabilities)
            baselines.append(name)
        fitted_on = fitted.fitted_on
    else:
        fitted_on = ''
    splits = np.array(whole.splits, dtype=object)
    table = whole if split == 'all' else whole.subset(splits == split)
    tuning = whole.subset(splits == 'val' if split == 'test' else np.zeros(len(whole), bool))
    if not len(table):
        raise ListingError(f'No image of the split {split!r} can be measured.')
    inside = [split in ('all', own) for own in whole.splits]
    models = {
        name: _about(
            combined.runs[name],
            given[name].card if name in given else None,
            table.labels,
            compress(combined.seen[name], inside),
            sum(
                own == 'train' and part == 'val'
                for own, part in zip(combined.seen[name], whole.splits, strict=True)
            ),
        )
        for name in combined.runs
    }
    metrics = yield from _measured(table, tuning, models, baselines, how.measuring)
    tests: ShortcutResults = {}
    if how.shortcut_tests and decoders is not None:
        loads = {name: model.load for name, model in given.items()}
        tests = yield from shortcuts_of_models(
            loads, table, decoders.prepare, out / SHORTCUTS_KEPT
        )
    fingerprint = data_fingerprint(
        table.images, ['|'.join(map(str, np.flatnonzero(row).tolist())) for row in table.truth]
    )
    varied = {
        'split': split,
        'classes': {name: sorted(labels) for name, labels in how.classes.items()},
        'include_doubtful': how.include_doubtful,
    }
    looks = note_look(images.place, fingerprint, metrics, varied)
    new = _sealed_now(images, table, fingerprint, read) if how.sealed else None
    content = {
        'form': 1,
        'version': __version__,
        'made': datetime.now(UTC).isoformat(timespec='seconds'),
        'labels': list(table.labels),
        'multilabel': table.multilabel,
        'set': {
            'name': images.name,
            'fingerprint': fingerprint,
            'split': split,
            'images': len(table),
            'patients': len(set(table.patients)),
            'counts': dict(zip(table.labels, table.truth.sum(axis=0).tolist(), strict=True)),
            'validation_images': len(tuning),
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
        'looks': looks,
        'baselines_fitted_on': fitted_on,
        **metrics,
    }
    known = {
        name: sources_known_to(model.card, table.values('source')) for name, model in given.items()
    }
    content['known_sources'] = {name: found for name, found in known.items() if found}
    if tests:
        content['shortcut_tests'] = {
            name: {'verdict': one.verdict, 'called_out': list(one.called_out)}
            for name, (one, _) in tests.items()
        }
    content['auc'] = next(iter(metrics['models'].values())).get('auc')
    content['cautions'] = cautions(content, table)
    result = EvaluationResult(content, table, tuning)
    pictures = {}
    if how.gallery and decoders is not None:
        for name, model in given.items():
            yield EvaluationProgress(f'Heatmaps of {name}')
            pictures[name] = yield from heatmap_gallery(
                table,
                name,
                model.load,
                decoders.prepare,
                how.scoring,
                models[name].thresholds or None,
            )
    yield EvaluationProgress('Writing the report')
    texts = {
        out / PREDICTIONS_FILE: predictions_text(_joined(table, tuning)),
        out / METRICS_FILE: json.dumps(content, indent=1, allow_nan=False) + '\n',
        out / REPORT_FILE: report_page(result, pictures),
    }
    with _written_together(texts):  # a sealed set has answered once there is room for the answer
        note_answers(seals, metrics['models'], new)
    page = write_shortcut_tests(out, tests, f'{images.name}, split {split}') if tests else None
    yield EvaluationFinished(
        result,
        str(out / REPORT_FILE),
        str(out / METRICS_FILE),
        str(out / PREDICTIONS_FILE),
        {name: str(path) for name, path in scores.items()},
        str(page or ''),
    )
    return result


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
