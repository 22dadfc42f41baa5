"""From tables of scores to one table of predictions, with a column for each model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from napari_cxr.evaluation.evaluation_images import class_of_labels
from napari_cxr.evaluation.evaluation_table import EvaluationTable
from napari_cxr.scoring.input_lists import Item, ListingError
from napari_cxr.scoring.score_row import ScoreRow, ScoringRun

__all__ = ['CombinedScores', 'combine_scores']


@dataclass(frozen=True, eq=False)
class CombinedScores:
    """Predictions of several models for the same images.

    Parameters
    ----------
    table : EvaluationTable
        The images that all models have scored, whose label they know.
    runs : dict of str to ScoringRun
        By the model's name, what its rows have in common.
    seen : dict of str to tuple of str
        By the model's name, in which split of its own run each image was; empty for none.
    failed, doubtful, unmeasured : int
        Images that could not be scored; that are probably no upright frontal chest radiographs;
        and whose label no model knows.
    unknown : tuple of str
        These labels.
    """

    table: EvaluationTable
    runs: dict[str, ScoringRun]
    seen: dict[str, tuple[str, ...]] = field(default_factory=dict)
    failed: int = 0
    doubtful: int = 0
    unmeasured: int = 0
    unknown: tuple[str, ...] = ()


def combine_scores(
    scores: Mapping[str, tuple[ScoringRun, Iterable[ScoreRow]]],
    classes: Mapping[str, Sequence[str]] | None = None,
    columns: Mapping[str, Mapping[str, str]] | None = None,
    name_of: Callable[[str], str] | None = None,
    patient_of: Callable[[str], str] = lambda _: '',
    *,
    include_doubtful: bool = False,
) -> CombinedScores:
    """Bring the scores of several models together.

    Parameters
    ----------
    scores : mapping of str to (ScoringRun, iterable of ScoreRow)
        By the model's name, as `napari_cxr.scoring.table_reader.read_rows` returns them.
    classes : mapping, optional
        Which labels of the images mean which class, see `class_of_labels`.
    columns : mapping of str to mapping of str to str, optional
        By column, what is said of images, by path.
    name_of : callable, optional
        Takes a path and returns how its image is called; 'row N' by default.
    patient_of : callable, optional
        Takes a path and returns what tells its patient from others, where no table does.
    include_doubtful : bool
        Whether doubtful images count.

    Raises
    ------
    ListingError
        If the models do not give the same classes, or no image can be measured.
    """
    runs = {name: run for name, (run, _) in scores.items()}
    first, *others = runs.items()
    _, run = first
    for name, other in others:
        if set(other.labels) != set(run.labels) or other.multilabel != run.multilabel:
            raise ListingError(
                f'The models {first[0]} ({", ".join(run.labels)}) and {name} '
                f'({", ".join(other.labels)}) give different classes. Evaluate them one by one.'
            )
    labels = run.labels
    rule, mapped = run.label_rule, class_of_labels(classes or {}, labels)
    known = {label.casefold(): k for k, label in enumerate(labels)}
    rows = {name: {row.path: row for row in given} for name, (_, given) in scores.items()}
    every = [path for path in rows[first[0]] if all(path in own for own in rows.values())]
    kept, truth, unknown = [], [], set()
    failed = doubtful = unmeasured = 0
    for path in every:
        found = [own[path] for own in rows.values()]
        if any(row.status != 'scored' for row in found):
            failed += 1
            continue
        said = mapped(Item(path, truth=found[0].truth)).truth
        if not said:
            continue
        named = [] if rule.is_negative(said) else said.split('|')
        strange = [name for name in named if name.casefold() not in known]
        if strange or (len(named) > 1 and not run.multilabel):
            unknown.update(strange or [said])
            unmeasured += 1
            continue
        if any(row.doubts for row in found):
            doubtful += 1
            if not include_doubtful:
                continue
        kept.append(path)
        has = [False] * len(labels)
        for name in named:
            has[known[name.casefold()]] = True
        truth.append(has)
    if not kept:
        raise ListingError(_nothing_left(failed, doubtful, unknown, labels))
    ours = [rows[first[0]][path] for path in kept]
    table = EvaluationTable(
        labels=labels,
        multilabel=run.multilabel,
        images=tuple(name_of(row.path) if name_of else f'row {row.number + 1}' for row in ours),
        paths=tuple(kept),
        truth=np.array(truth, dtype=bool).reshape(len(kept), len(labels)),
        patients=tuple(
            row.patient or patient_of(row.path) or f'image {row.number + 1}' for row in ours
        ),
        splits=tuple(row.split for row in ours),
        columns=_columns(ours, columns or {}),
        probabilities={
            name: _in_order([rows[name][path] for path in kept], runs[name].labels, labels)
            for name in rows
        },
    )
    seen = {name: tuple(own[path].model_split for path in kept) for name, own in rows.items()}
    return CombinedScores(table, runs, seen, failed, doubtful, unmeasured, tuple(sorted(unknown)))


def _columns(
    rows: Sequence[ScoreRow], more: Mapping[str, Mapping[str, str]]
) -> dict[str, tuple[str, ...]]:
    """Return the columns by which a report is divided, without those that say nothing."""
    found = {
        'source': [row.source for row in rows],
        'view': [_view(more.get('view', {}).get(row.path, '')) or _view(row.view) for row in rows],
    }
    for name, said in more.items():
        if name != 'view':
            found[name] = [said.get(row.path, '') for row in rows]
    return {name: tuple(values) for name, values in found.items() if any(values)}


def _view(said: str) -> str:
    word = said.strip().upper()
    return '' if word == 'UNKNOWN' else word


def _in_order(
    rows: Sequence[ScoreRow], theirs: Sequence[str], labels: Sequence[str]
) -> np.ndarray:
    """Return probabilities in the order of the first model's classes."""
    order = [list(theirs).index(label) for label in labels]
    return np.array([row.probabilities for row in rows], dtype=np.float64)[:, order]


def _nothing_left(failed: int, doubtful: int, unknown: set[str], labels: Sequence[str]) -> str:
    if unknown:
        return (
            f'The model knows none of these labels: {", ".join(sorted(unknown)[:6])}. Its classes '
            f'are {", ".join(labels)}. Say which mean the same, for instance '
            f'--class {labels[0]}={min(unknown)}; "none" stands for none of them.'
        )
    if doubtful:
        return (
            f'All {doubtful} images are doubtful: probably no upright frontal chest radiographs. '
            'Count them with --include-doubtful.'
        )
    if failed:
        return f'None of the {failed} images could be scored; the tables of scores say why.'
    return 'No image has a label, so there is nothing to evaluate by.'
