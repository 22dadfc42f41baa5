"""An evaluation from beginning to end: `evaluate` lists the steps, each of which is a module."""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from napari_cxr.checkpoint.model_file import digest
from napari_cxr.checkpoint.model_images import ModelImages
from napari_cxr.evaluation.evaluation_events import (
    EvaluationEvent,
    EvaluationProgress,
    EvaluationResult,
    EvaluationWarned,
)
from napari_cxr.evaluation.evaluation_images import EvaluationImages
from napari_cxr.evaluation.evaluation_results import ScoredImages, write_results
from napari_cxr.evaluation.evaluation_settings import (
    EvaluationSettings,
    ImageDecoders,
    ModelToEvaluate,
)
from napari_cxr.evaluation.looks import open_ledgers, seals_of
from napari_cxr.evaluation.recomputing import metrics_of
from napari_cxr.evaluation.run_predictions import read_run
from napari_cxr.evaluation.score_tables import CombinedScores, combine_scores
from napari_cxr.evaluation.split_baselines import ReadImages, read_images
from napari_cxr.scoring import ScoringSettings, score
from napari_cxr.scoring.background_thread import in_background
from napari_cxr.scoring.input_lists import Item, ListingError
from napari_cxr.scoring.journal import journal_of, read_header
from napari_cxr.scoring.row_writer import lacks_column
from napari_cxr.scoring.scoring_checks import make_result_folder
from napari_cxr.scoring.scoring_events import ScoringPreparing, ScoringProgress, ScoringWarned
from napari_cxr.scoring.table_reader import read_rows
from napari_cxr.scoring.table_writer import metrics_path_of
from napari_cxr.training.sealed_images import SealedSet

__all__ = ['evaluate', 'evaluate_run', 'evaluate_scores']

#: Digits of the SHA-256 of a model's file by which tables of scores name it.
_MODEL_DIGITS = 12

#: How `seen_warning` begins. It counts validation images too; the report says what matters.
_OF_SEEN = 'The model was '


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
    scored = ScoredImages(
        images=images,
        combined=(yield from _combined(images, scores, how, read)),
        split=split,
        scores=scores,
        models=dict(zip(names, models, strict=True)),
        read=read,
        decoders=decoders,
        seals=seals,
    )
    return (yield from write_results(scored, out, how))


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
    combined = yield from _combined(images, scores, how, ReadImages({}))
    scored = ScoredImages(images=images, combined=combined, split=split, scores=scores)
    return (yield from write_results(scored, out, how))


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
    scored = ScoredImages(images=images, combined=combined, split='test')
    return (yield from write_results(scored, out, how))


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
