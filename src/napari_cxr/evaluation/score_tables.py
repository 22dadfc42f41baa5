"""From tables of scores to one table of predictions, with a column for each model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from napari_cxr.evaluation.evaluation_images import class_of_labels
from napari_cxr.evaluation.evaluation_table import HEATMAP_MEASURES, EvaluationTable
from napari_cxr.inference.label_rule import known_and_unknown
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
    not_shared : dict of str to tuple of str
        By the model's name, the classes that not all models give: only what all give is
        evaluated. Empty where all give the same.
    """

    table: EvaluationTable
    runs: dict[str, ScoringRun]
    seen: dict[str, tuple[str, ...]] = field(default_factory=dict)
    failed: int = 0
    doubtful: int = 0
    unmeasured: int = 0
    unknown: tuple[str, ...] = ()
    not_shared: dict[str, tuple[str, ...]] = field(default_factory=dict)


def combine_scores(
    scores: Mapping[str, tuple[ScoringRun, Iterable[ScoreRow]]],
    classes: Mapping[str, Sequence[str]] | None = None,
    columns: Mapping[str, Mapping[str, str]] | None = None,
    name_of: Callable[[str], str] | None = None,
    patient_of: Callable[[str], str] = lambda _: '',
    *,
    include_doubtful: bool = False,
) -> CombinedScores:
    """Bring the scores of several models together, for the classes that all of them give.

    Of classes that exclude each other, where a model gives more of them, its probabilities are
    divided by the sum over the shared ones, and only images of these are measured.

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
        If the models share too few classes, or no image can be measured.
    """
    runs = {name: run for name, (run, _) in scores.items()}
    labels, not_shared = _shared_classes(runs)
    multilabel = next(iter(runs.values())).multilabel
    rules = [run.label_rule for run in runs.values()]
    # Labels of images mean classes of any of the models.
    anywhere = {label.casefold(): label for run in runs.values() for label in run.labels}
    mapped = class_of_labels(classes or {}, tuple(anywhere.values()))
    known = {label.casefold(): k for k, label in enumerate(labels)}
    rows = {name: {row.path: row for row in given} for name, (_, given) in scores.items()}
    every = [path for path in rows[next(iter(rows))] if all(path in own for own in rows.values())]
    kept, truth, given, unknown = [], [], [], set()
    whole = [True] * len(labels)
    failed = doubtful = unmeasured = 0
    for path in every:
        found = [own[path] for own in rows.values()]
        if any(row.status != 'scored' for row in found):
            failed += 1
            continue
        said = mapped(Item(path, truth=found[0].truth)).truth
        if not said:
            continue
        named, open_ = known_and_unknown(said)
        if len(named) == 1 and any(rule.is_negative(named[0]) for rule in rules):
            named = []
        elif not named and not multilabel:
            continue
        strange = [name for name in named if name.casefold() not in anywhere]
        if strange or (len(named) > 1 and not multilabel):
            unknown.update(strange or [said])
            unmeasured += 1
            continue
        if not multilabel and named[0].casefold() not in known:  # not all models give it
            unmeasured += 1
            continue
        named = [name for name in named if name.casefold() in known]
        if any(row.doubts for row in found):
            doubtful += 1
            if not include_doubtful:
                continue
        kept.append(path)
        has = [False] * len(labels)
        for name in named:
            has[known[name.casefold()]] = True
        truth.append(has)
        unsure = [known[name.casefold()] for name in open_ if name.casefold() in known]
        given.append([k not in unsure for k in range(len(labels))] if multilabel else whole)
    if not kept:
        raise ListingError(_nothing_left(failed, doubtful, unknown, labels))
    ours = [rows[next(iter(rows))][path] for path in kept]
    table = EvaluationTable(
        labels=labels,
        multilabel=multilabel,
        images=tuple(name_of(row.path) if name_of else f'row {row.number + 1}' for row in ours),
        paths=tuple(kept),
        truth=np.array(truth, dtype=bool).reshape(len(kept), len(labels)),
        patients=tuple(
            row.patient or patient_of(row.path) or f'image {row.number + 1}' for row in ours
        ),
        splits=tuple(row.split for row in ours),
        columns=_columns(ours, columns or {}),
        probabilities={
            name: _in_order(
                [rows[name][path] for path in kept], runs[name].labels, labels, multilabel
            )
            for name in rows
        },
        given=None if all(map(all, given)) else np.array(given, dtype=bool),
        heatmaps={
            name: _located([own[path] for path in kept])
            for name, own in rows.items()
            if runs[name].peaks
        },
    )
    seen = {name: tuple(own[path].model_split for path in kept) for name, own in rows.items()}
    return CombinedScores(
        table, runs, seen, failed, doubtful, unmeasured, tuple(sorted(unknown)), not_shared
    )


def _located(rows: Sequence[ScoreRow]) -> np.ndarray:
    """Return `HEATMAP_MEASURES` of each row."""
    found = [[getattr(row, name) for name in HEATMAP_MEASURES] for row in rows]
    return np.array(found, dtype=np.float64)  # None is NaN


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
    rows: Sequence[ScoreRow], theirs: Sequence[str], labels: Sequence[str], multilabel: bool
) -> np.ndarray:
    """Return probabilities of the shared classes, in the order of the first model's."""
    order = [list(theirs).index(label) for label in labels]
    found = np.array([row.probabilities for row in rows], dtype=np.float64)[:, order]
    if multilabel or len(order) == len(theirs):
        return found
    sums = found.sum(axis=1, keepdims=True)
    return np.where(sums > 0, found / np.where(sums > 0, sums, 1), 1 / len(order))


def _shared_classes(
    runs: Mapping[str, ScoringRun],
) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]]]:
    """Return the classes that all models give, and by model those that not all give."""
    (first, run), *others = runs.items()
    for name, other in others:
        if other.multilabel != run.multilabel:
            one, several = (name, first) if run.multilabel else (first, name)
            raise ListingError(
                f'{one} gives one class an image and {several} can give several, so their '
                'probabilities are not comparable. Evaluate them one by one.'
            )
    labels = tuple(k for k in run.labels if all(k in other.labels for _, other in others))
    if len(labels) < (1 if run.multilabel else 2):
        told = '; '.join(f'{name} gives {", ".join(one.labels)}' for name, one in runs.items())
        shared = f'only {labels[0]} in common' if labels else 'no class in common'
        raise ListingError(f'The models have {shared}: {told}. Evaluate them one by one.')
    rest = {name: tuple(k for k in one.labels if k not in labels) for name, one in runs.items()}
    return labels, {name: left for name, left in rest.items() if left}


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
