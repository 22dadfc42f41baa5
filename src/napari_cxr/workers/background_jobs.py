"""Jobs of minutes and hours: scoring files, and, in torch workers, training."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cxr.checkpoint import catalog, read_card
from napari_cxr.checkpoint.model_images import ModelImages
from napari_cxr.inference.stated_prevalence import card_at_prevalence
from napari_cxr.output_text import get_logger
from napari_cxr.scoring import (
    Decision,
    Item,
    ScoringError,
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
from napari_cxr.scoring.scoring_inputs import select_split
from napari_cxr.settings_file import parse_toml

if TYPE_CHECKING:
    from napari_cxr.evaluation.data_audit import Audit
    from napari_cxr.evaluation.evaluation_events import EvaluationEvent, EvaluationResult
    from napari_cxr.scoring import ScoreRow, ScoringMeasured
    from napari_cxr.training.dataset_survey import Survey
    from napari_cxr.training.training_events import TrainingEvent
    from napari_cxr.workers.decoder_pool import DecoderPool

__all__ = [
    'audit',
    'evaluate',
    'evaluate_scores',
    'exporting',
    'measure',
    'network_names',
    'preview',
    'score',
    'survey',
    'train',
]


log = get_logger(__name__)


def score(
    paths: Sequence[str],
    labels: str | None,
    out: str,
    model: str,
    device: str,
    settings: Mapping[str, Any],
    resume: bool = False,
    workers: int | None = None,
    columns: Mapping[str, str] | None = None,
    split: str = '',
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
    columns : mapping of str to str, optional
        What tables call their columns, see `napari_cxr.scoring.list_items`.
    split : str
        The only split to score, see `napari_cxr.scoring.scoring_inputs.select_split`.

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
    path = catalog.resolve(model)
    images = ModelImages.of_model(path, read_card(path))

    def list_split(_: object) -> list[Item]:
        return select_split(
            list_items(paths, labels, listed_images, columns=columns), split, images
        )

    items = yield from in_background(list_split)
    decoders = DecoderPool(workers)
    try:
        decoders.start(len(items))  # while the model is being loaded
        yield ScoringPreparing('Loading the model')
        classifier = yield from in_background(lambda _: loaded_classifier(model, device))
        how = replace(_settings_of(settings, classifier.card), images=images)
        from napari_cxr.scoring import score as run

        with closing(run(items, classifier, out, decoders.prepare, how, resume=resume)) as events:
            yield from events
    finally:
        decoders.close()


def measure(
    table: str, truths: Mapping[str, str] | None = None, include_doubtful: bool = False
) -> ScoringMeasured:
    """Compare the rows of a table with their labels.

    Parameters
    ----------
    table : str
        As `napari_cxr.scoring.table_reader.read_rows` takes it.
    truths : mapping of str to str, optional
        Labels that a person has given, by path; several joined by '|', and nothing for
        none of several. They go before those of the table.
    include_doubtful : bool
        Whether doubtful images count.
    """
    from napari_cxr.scoring.score_evaluation import evaluate_run

    run, rows = table_reader.read_rows(table)
    none = (run.label_rule.negative or NO_FINDING) if run.multilabel else ''
    given = {path: truth or none for path, truth in (truths or {}).items()}

    def labelled(row: ScoreRow) -> ScoreRow:
        return replace(row, truth=given[row.path]) if row.path in given else row

    return evaluate_run(map(labelled, rows), run, include_doubtful=include_doubtful)


def evaluate(
    models: Sequence[str],
    images: str,
    out: str,
    device: str = 'auto',
    labels: str | None = None,
    columns: Mapping[str, str] | None = None,
    by: Sequence[str] = (),
    workers: int | None = None,
    **settings: Any,
) -> Generator[EvaluationEvent | None, None, EvaluationResult]:
    """Evaluate models by labelled images; see `napari_cxr.evaluation.evaluation_run.evaluate`.

    Parameters
    ----------
    models : sequence of str
        As in the catalog.
    images : str
        A folder or a table, as `napari_cxr.evaluation.evaluation_images.list_images` takes it,
        and the next three.
    out : str
        Folder for the report.
    device : str
        As `napari_cxr.inference.device` takes it.
    labels, columns, by
        Of the images.
    workers : int, optional
        Processes that decode; as many as there are cores by default.
    **settings
        As `napari_cxr.evaluation.evaluation_settings.EvaluationSettings.of` takes them.

    Yields
    ------
    EvaluationEvent or None
        What the evaluation says; the last one is `EvaluationFinished`.
    """
    from napari_cxr.evaluation.evaluation_images import list_images
    from napari_cxr.evaluation.evaluation_run import evaluate
    from napari_cxr.evaluation.evaluation_settings import EvaluationSettings, ModelToEvaluate
    from napari_cxr.workers.classifier_jobs import loaded_classifier
    from napari_cxr.workers.decoder_pool import DecoderPool, listed_images

    def to_evaluate(model: str) -> ModelToEvaluate:
        path = catalog.resolve(model)
        return ModelToEvaluate(path, read_card(path), lambda: loaded_classifier(model, device))

    given = [to_evaluate(model) for model in models]
    listed = yield from in_background(
        lambda _: list_images(
            images, labels=labels, columns=columns, by=by, directory=listed_images
        )
    )
    how = EvaluationSettings.of(**settings)
    with (
        closing(DecoderPool(workers)) as decoders,
        closing(evaluate(listed, given, out, decoders, how)) as events,
    ):
        return (yield from events)


def evaluate_scores(
    tables: Sequence[str], out: str, **settings: Any
) -> Generator[EvaluationEvent | None, None, EvaluationResult]:
    """Evaluate by finished tables of scores, of one model each.

    See `napari_cxr.evaluation.evaluation_run.evaluate_scores`.
    """
    from napari_cxr.evaluation.evaluation_run import evaluate_scores
    from napari_cxr.evaluation.evaluation_settings import EvaluationSettings

    how = EvaluationSettings.of(**settings)
    with closing(evaluate_scores(tables, out, how)) as events:
        return (yield from events)


def _settings_of(entries: Mapping[str, Any], card: Any) -> ScoringSettings:
    """Return settings with what of them depends on the model."""
    rest = dict(entries)
    words, heatmaps = rest.pop('decision', ''), rest.pop('heatmaps', None)
    try:
        card = card_at_prevalence(card, rest.get('prior', {}))
    except ValueError as error:
        raise ScoringError(str(error)) from None
    return ScoringSettings(
        decision=Decision.of_card(words, card) if words else None,
        heatmaps=Path(heatmaps) if heatmaps else None,
        **rest,
    )


def network_names() -> tuple[str, ...]:
    """Return the names of the networks that recipes can name."""
    from napari_cxr import networks

    return networks.names()


def survey(source: str, recipe: dict[str, Any]) -> Generator[TrainingEvent, None, Survey]:
    """See `napari_cxr.training.dataset_survey.survey`."""
    from napari_cxr.training.dataset_survey import survey
    from napari_cxr.training.recipe import Recipe

    with _decoders() as read, closing(survey(source, Recipe.from_dict(recipe), read)) as events:
        return (yield from events)


def audit(
    source: str, data: dict[str, Any] | None = None, out: str = '', asked: float | None = None
) -> Generator[TrainingEvent, None, Audit]:
    """Audit a labelled data set; see `napari_cxr.evaluation.data_audit.audit`.

    Parameters
    ----------
    source : str
        A folder or a table.
    data : dict, optional
        Section `data` of a recipe.
    out : str
        Folder into which `write_audit` writes; empty for none.
    asked : float, optional
        The AUC of a model.
    """
    from napari_cxr.evaluation.audit_output import write_audit
    from napari_cxr.evaluation.data_audit import audit
    from napari_cxr.training.recipe.data_sections import DataRecipe
    from napari_cxr.training.recipe.schema import build_from_table

    chosen = build_from_table(DataRecipe, data or {}, 'data.')
    with _decoders() as read, closing(audit(source, chosen, read, asked=asked)) as steps:
        found = yield from steps
    if out:
        write_audit(found, Path(out))
    return found


def preview(paths: Sequence[str], labels: Sequence[str], recipe: dict[str, Any]) -> np.ndarray:
    """Return images as they are and as the first epoch may change them.

    Parameters
    ----------
    paths : sequence of str
        Their files; those that cannot be read are left out.
    labels : sequence of str
        Their labels, several joined by '|'.
    recipe : dict
        As `Recipe.to_dict`.

    Returns
    -------
    ndarray
        As `napari_cxr.training.augmentation.preview` makes it.
    """
    from napari_cxr.training.augmentation import preview
    from napari_cxr.training.recipe import Recipe

    plan = Recipe.from_dict(recipe)
    with _decoders() as read:
        decoded = dict(read([(i, Path(p)) for i, p in enumerate(paths)], plan.input, 8))
    found = {i: one.image for i, one in sorted(decoded.items()) if not isinstance(one, str)}
    images = np.stack(list(found.values()))
    return preview(images, plan, plan.seed, [labels[i] for i in found])


def train(
    source: str, plan: str, out: str, device: str, epochs: int = 0
) -> Iterator[TrainingEvent]:
    """Train, or do the runs of a sweep.

    Parameters
    ----------
    source : str
        As `napari_cxr.training.index` takes it.
    plan : str
        A recipe or a sweep, as TOML; empty to take up again what `out` holds.
    out : str
        Folder of the run or the sweep.
    device : str
        'auto', 'cpu', 'cuda' or 'mps'.
    epochs : int
        To how many the run in `out` goes on, if it is to have more; see `extend_run`.
    """
    from napari_cxr.training.sweep import PLAN

    if epochs:
        from napari_cxr.training.run_extension import extend_run
        from napari_cxr.training.training_events import WarningRaised

        yield WarningRaised(Path(out).name, extend_run(out, epochs))
    sweeps = 'base' in parse_toml(plan) if plan else (Path(out) / PLAN).is_file()
    yield from (_sweep if sweeps else _train)(source, plan, Path(out), device)


def _sweep(source: str, plan: str, out: Path, device: str) -> Iterator[TrainingEvent]:
    from napari_cxr.training.recipe.recipe_catalog import toml_text
    from napari_cxr.training.sweep import PLAN, Sweep, sweep

    text = plan or toml_text(out / PLAN, 'sweep', Sweep.from_toml)
    with _decoders() as read:
        events = sweep(source, Sweep.from_toml(text), out, device, read=read, resume=not plan)
        with closing(events):
            yield from events


def _train(source: str, plan: str, out: Path, device: str) -> Iterator[TrainingEvent]:
    from napari_cxr.inference.cpu import keep_freed_memory
    from napari_cxr.training.dataset_index import index
    from napari_cxr.training.recipe import Recipe
    from napari_cxr.training.run_folder import recipe_of
    from napari_cxr.training.training_loop import train

    recipe = Recipe.from_toml(plan) if plan else recipe_of(out)
    keep_freed_memory()
    with _decoders() as read:
        dataset = index(source, recipe.data)
        events = train(dataset, recipe, out, device, read=read, resume=not plan)
        with closing(events):  # type: ignore[type-var]
            yield from exporting(events)


def exporting(events: Iterator[TrainingEvent]) -> Iterator[TrainingEvent]:
    """Hand on the events of a run; at its end export its model, while torch is at hand."""
    from napari_cxr.training.training_events import TrainingFinished
    from napari_cxr.workers.classifier_jobs import export

    made = ''
    for event in events:
        if isinstance(event, TrainingFinished) and '/' not in event.run:  # no fold of it
            made = event.path
        yield event
    if made:
        try:
            export(made)
        except Exception as error:  # the run is done all the same
            log.info('%s was not exported: %s', made, error)


@contextmanager
def _decoders() -> Iterator[DecoderPool]:
    from napari_cxr.workers.decoder_pool import DecoderPool

    pool = DecoderPool()
    try:
        yield pool
    finally:
        pool.close()
