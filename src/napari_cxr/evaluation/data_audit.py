"""What in a labelled data set would mislead whoever trains or measures on it.

Copies and near-duplicates, images that are not frontal radiographs, labels that are probably
wrong, and whether source, view, age, sex or the mere format of the files could give a good
result by themselves. A `napari_cxr.training.dataset_survey.Survey` shows a part of this before a
training; an audit takes minutes. Importing this imports no torch.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_cxr.evaluation.audit_features import (
    LUNG_VIEW,
    WHOLE_VIEW,
    frontal_checks,
    lung_features,
)
from napari_cxr.evaluation.audit_findings import NO_SOURCE, SourceAudit, audit_findings
from napari_cxr.evaluation.label_doubt import LabelDoubt, doubt_labels
from napari_cxr.evaluation.variable_audit import VariableAudit, age_in_years, audit_variable
from napari_cxr.lungs.frontal_check import FrontalKind
from napari_cxr.messages import message_type
from napari_cxr.training import duplicates
from napari_cxr.training.data_preparation import LoadedImages, group_duplicates, load_images
from napari_cxr.training.dataset import Dataset, DatasetError, Sample
from napari_cxr.training.dataset_index import index
from napari_cxr.training.dataset_survey import DuplicatePair, dataset_warnings, duplicate_pairs
from napari_cxr.training.recipe import Recipe
from napari_cxr.training.recipe.data_sections import DataRecipe, SplitRecipe
from napari_cxr.training.shortcut_baseline import measure_baselines
from napari_cxr.training.splits import equal_parts
from napari_cxr.training.training_events import ImageSkipped, ReadingProgress, TrainingEvent
from napari_cxr.training.training_image import ImageReader

__all__ = ['Audit', 'AuditProgress', 'audit']

_FOLDS = 5
#: The parts of an audit, and about which fraction of its time each takes.
_PARTS = {
    'Reading the images': 0.3,
    'Looking at the views': 0.1,
    'Asking what gives the class away': 0.1,
    'Finding the lungs': 0.35,
    'Describing the lungs': 0.05,
    'Judging the labels': 0.1,
}

#: From this fraction on, the time that is left is told.
_TOLD_FROM = 0.02


@message_type
@dataclass(frozen=True)
class AuditProgress(TrainingEvent):
    """How far an audit is.

    Parameters
    ----------
    doing : str
        What is being done.
    fraction : float
        Of the whole audit that is done, in [0, 1].
    seconds_left : float
        Until its end, about; NaN while it is not known.
    """

    doing: str
    fraction: float
    seconds_left: float


@message_type
@dataclass(frozen=True, eq=False)
class Audit(TrainingEvent):
    """What was found in a data set of n images and K classes.

    Parameters
    ----------
    labels : tuple of str
        The classes.
    paths, digests : tuple of str
        The n images that can be used, and how recipes name them.
    truth : ndarray of bool, shape (n, K)
        Labels as given.
    multilabel : bool
        Whether an image can have several labels, or none.
    sources, views, splits : tuple of str
        As given, '' where unknown.
    groups : tuple of str
        Numbers that tell patients apart; near-duplicates count as one patient.
    probabilities : ndarray, shape (n, K)
        Of the classes, by classifiers that saw no image of the patient; NaN where none could
        judge.
    doubts : ndarray, shape (n,)
        Of the label, the higher the more doubtful; see `LabelDoubt`. NaN where none could judge.
    suggested : ndarray of int, shape (n,)
        The class that a doubted label should rather be (of several labels: the one that should
        rather be the other way), or -1.
    frontal : tuple of str
        'frontal', 'inverted', 'upside-down', 'mirrored' or 'other'.
    copies : tuple of tuple of int
        Images with the same bytes and different labels.
    pairs : tuple of DuplicatePair
        Near-duplicates, the most similar first.
    variables : tuple of VariableAudit
        What each variable alone tells about the class.
    baselines : dict of str to tuple of float
        See `napari_cxr.training.shortcut_baseline`.
    by_source : tuple of SourceAudit
        Each source by itself, the largest first.
    skipped : tuple of (str, str)
        Files that cannot be used, and why.
    findings : tuple of str
        All this in sentences, the most serious first.
    """

    labels: tuple[str, ...]
    paths: tuple[str, ...]
    digests: tuple[str, ...]
    truth: np.ndarray
    multilabel: bool
    sources: tuple[str, ...]
    views: tuple[str, ...]
    splits: tuple[str, ...]
    groups: tuple[str, ...]
    probabilities: np.ndarray
    doubts: np.ndarray
    suggested: np.ndarray
    frontal: tuple[FrontalKind, ...]
    copies: tuple[tuple[int, ...], ...]
    pairs: tuple[DuplicatePair, ...]
    variables: tuple[VariableAudit, ...]
    baselines: dict[str, tuple[float, float, float]]
    by_source: tuple[SourceAudit, ...]
    skipped: tuple[tuple[str, str], ...]
    findings: tuple[str, ...]

    @property
    def most_doubtful(self) -> np.ndarray:
        """The images whose labels were judged, as indices, the most doubtful label first."""
        order = np.argsort(-self.doubts, kind='stable')
        return order[: int(np.isfinite(self.doubts).sum())]


Steps = Generator[TrainingEvent, None, Audit]
Baselines = dict[str, tuple[float, float, float]]


def audit(
    source: str | Path,
    data: DataRecipe | None = None,
    reader: ImageReader | None = None,
    *,
    asked: float | None = None,
    seed: int = 0,
    run: str = '',
) -> Steps:
    """Audit a labelled data set.

    Parameters
    ----------
    source : str or Path
        A folder or a table, see `napari_cxr.training.index`.
    data : DataRecipe, optional
        What folders and columns mean, and which images are excluded.
    reader : ImageReader, optional
        See `napari_cxr.training.data_preparation.prepare`.
    asked : float, optional
        The AUC of a model: variables are then asked whether they alone could give it.
    seed : int
        Of folds and bootstrap.
    run : str
        Name for its events.

    Yields
    ------
    TrainingEvent
        `AuditProgress`, `ImageSkipped`, `WarningRaised`.

    Returns
    -------
    Audit

    Raises
    ------
    DatasetError
        If there are no labelled images, or none can be used.
    """
    if asked is not None and not 0 < asked <= 1:
        raise DatasetError(f'{asked} is not an AUC, which is a number between 0 and 1.')
    return (yield from _Auditor(data or DataRecipe(), reader, asked, seed, run).steps(source))


class _Auditor:
    """The parts of an audit in turn, and how far it is."""

    def __init__(
        self,
        data: DataRecipe,
        reader: ImageReader | None,
        asked: float | None,
        seed: int,
        run: str,
    ) -> None:
        self._data, self._reader, self._asked, self._seed, self._run = (
            data,
            reader,
            asked,
            seed,
            run,
        )
        self._skipped: list[tuple[str, str]] = []
        self._began = time.monotonic()

    def steps(self, source: str | Path) -> Steps:
        """Audit a data set."""
        dataset = index(source, self._data)
        images = yield from self._load(dataset, WHOLE_VIEW, 'Reading the images')
        kept = [i for i, d in enumerate(images.digests) if d not in set(self._data.exclude)]
        images = images.subset(kept)
        found = duplicates.find_near_duplicates(images.thumbnails)
        given = [sample.split for sample in images.dataset.samples]
        pairs = duplicate_pairs(images.dataset, found, given)
        warned = images  # of the patients that are known, not of those that copies join
        images = group_duplicates(images, self._recipe(WHOLE_VIEW), found[0])
        frontal = yield from self._frontal(images)
        baselines, variables = yield from self._shortcuts(images)
        features = yield from self._lung_features(images)
        doubt = yield from self._doubt(images, features)
        by_source = yield from self._sources(images, doubt)
        samples = images.dataset.samples
        copies = _copies(images)
        truth = _truth(images.dataset)
        warnings = dataset_warnings(
            warned, pairs, np.zeros(len(samples), bool), self._skipped, baselines, ''
        )
        numbers: dict[str, int] = {}
        return Audit(
            run=self._run,
            labels=images.dataset.labels,
            paths=tuple(str(sample.path.absolute()) for sample in samples),
            digests=images.digests,
            truth=truth,
            multilabel=images.dataset.multilabel,
            sources=tuple(sample.source for sample in samples),
            views=tuple(sample.view for sample in samples),
            splits=tuple(given),
            groups=tuple(str(numbers.setdefault(s.group, len(numbers))) for s in samples),
            probabilities=doubt.probabilities,
            doubts=doubt.doubts,
            suggested=doubt.suggested,
            frontal=frontal,
            copies=copies,
            pairs=pairs,
            variables=variables,
            baselines=baselines,
            by_source=by_source,
            skipped=tuple(self._skipped),
            findings=audit_findings(copies, frontal, variables, by_source, warnings),
        )

    def _recipe(self, view: object) -> Recipe:
        # Each near-duplicate joins a group, whatever splits a table gives.
        return Recipe(
            name='audit',
            network='none',
            seed=self._seed,
            input=view,  # type: ignore[arg-type]
            data=self._data,
            split=SplitRecipe(method='k-fold'),
        )

    def _load(
        self, dataset: Dataset, view: object, doing: str, *, told: bool = True
    ) -> Generator[TrainingEvent, None, LoadedImages]:
        """Read images; with `told`, those that cannot be used are noted."""
        steps = load_images(dataset, self._recipe(view), self._reader, self._run)
        while True:
            try:
                event = next(steps)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            if isinstance(event, ReadingProgress):
                yield self._at(doing, event.done / max(event.total, 1))
            elif not isinstance(event, ImageSkipped):
                yield event
            elif told:
                self._skipped.append((event.path, event.reason))
                yield event

    def _at(self, doing: str, fraction: float) -> AuditProgress:
        before = 0.0
        for name, part in _PARTS.items():
            if name == doing:
                done = before + part * min(1.0, fraction)
                seconds = time.monotonic() - self._began
                left = seconds * (1 - done) / done if done > _TOLD_FROM else math.nan
                return AuditProgress(self._run, doing, done, left)
            before += part
        raise ValueError(f'{doing} is no part of an audit')

    def _frontal(
        self, images: LoadedImages
    ) -> Generator[TrainingEvent, None, tuple[FrontalKind, ...]]:
        checks = frontal_checks(images)
        while True:
            try:
                done = next(checks)
            except StopIteration as end:
                return tuple(check.kind for check in end.value)
            yield self._at('Looking at the views', done / len(images.digests))

    def _shortcuts(
        self, images: LoadedImages
    ) -> Generator[TrainingEvent, None, tuple[Baselines, tuple[VariableAudit, ...]]]:
        """Measure what could give the class away without a look at the lungs."""
        doing = 'Asking what gives the class away'
        yield self._at(doing, 0)
        baselines = yield from self._baselines(images, doing, 0)
        values = _variables(images.dataset.samples)
        out = []
        for number, name in enumerate(values, start=1):
            out.append(self._variable(name, values[name], images.dataset))
            yield self._at(doing, number / len(values))
        return baselines, tuple(out)

    def _variable(self, name: str, values: np.ndarray, dataset: Dataset) -> VariableAudit:
        return audit_variable(
            name,
            values,
            _target(dataset),
            dataset.labels,
            _folds(dataset, self._seed),
            [sample.group for sample in dataset.samples],
            asked=self._asked,
        )

    def _baselines(
        self, images: LoadedImages, doing: str, fraction: float
    ) -> Generator[TrainingEvent, None, dict[str, tuple[float, float, float]]]:
        steps = measure_baselines(images, self._seed, self._run)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            yield self._at(doing, fraction)

    def _lung_features(
        self, images: LoadedImages
    ) -> Generator[TrainingEvent, None, np.ndarray | None]:
        """Describe the lungs; NaN where there is nothing to describe, None without any."""
        try:
            lungs = yield from self._load(
                images.dataset, LUNG_VIEW, 'Finding the lungs', told=False
            )
        except DatasetError:  # no lungs in any image of a class
            return None
        steps = lung_features(lungs)
        while True:
            try:
                done = next(steps)
            except StopIteration as end:
                described = end.value
                break
            yield self._at('Describing the lungs', done / len(lungs.digests))
        place = {sample.path: i for i, sample in enumerate(images.dataset.samples)}
        out = np.full((len(place), described.shape[1]), np.nan, np.float32)
        out[[place[sample.path] for sample in lungs.dataset.samples]] = described
        return out

    def _doubt(
        self, images: LoadedImages, features: np.ndarray | None
    ) -> Generator[TrainingEvent, None, LabelDoubt]:
        samples, labels = images.dataset.samples, images.dataset.labels
        nothing = np.full(len(samples), np.nan)
        out = LabelDoubt(
            np.full((len(samples), len(labels)), np.nan), nothing, np.full(len(samples), -1)
        )
        if features is None:
            return out
        truth = _target(images.dataset)
        # Where an image can have several labels, each is a question of its own.
        columns = [truth] if truth.ndim == 1 else [column.astype(int) for column in truth.T]
        for k, column in enumerate(columns):
            steps = doubt_labels(
                features,
                column,
                [sample.source for sample in samples],
                [_known_view(sample.view) for sample in samples],
                [sample.group for sample in samples],
                classes=len(labels) if truth.ndim == 1 else 2,
                seed=self._seed,
            )
            while True:
                try:
                    next(steps)
                except StopIteration as end:
                    found: LabelDoubt = end.value
                    break
                yield self._at('Judging the labels', k / len(columns))
            if truth.ndim == 1:
                return found
            out.probabilities[:, k] = found.probabilities[:, 1]
            worse = found.judged & ~(found.doubts <= out.doubts)
            out.doubts[worse] = found.doubts[worse]
            out.suggested[worse] = np.where(found.suggested[worse] >= 0, k, -1)
        return out

    def _sources(
        self, images: LoadedImages, doubt: LabelDoubt
    ) -> Generator[TrainingEvent, None, tuple[SourceAudit, ...]]:
        samples, labels = images.dataset.samples, images.dataset.labels
        names = np.array([sample.source for sample in samples], dtype=object)
        out = []
        for name in sorted(set(names), key=lambda one: -int((names == one).sum())):
            places = np.flatnonzero(names == name)
            counts = {label: sum(label in samples[i].labels for i in places) for label in labels}
            baseline: tuple[float, ...] = ()
            variables: tuple[VariableAudit, ...] = ()
            if sum(count > 0 for count in counts.values()) > 1:
                measured = yield from self._baselines(
                    images.subset(places), 'Judging the labels', 1
                )
                baseline = max(measured.values(), default=())
                own = images.dataset.subset(places.tolist())
                variables = tuple(
                    self._variable(variable, values, own)
                    for variable, values in _variables(own.samples).items()
                    if variable != 'source'
                )
            ages = np.array([age_in_years(samples[i].age) for i in places])
            known = ages[np.isfinite(ages)]
            judged, doubted = doubt.judged[places], doubt.suggested[places] >= 0
            out.append(
                SourceAudit(
                    name or NO_SOURCE,
                    counts,
                    baseline,
                    int(judged.sum()),
                    int(doubted.sum()),
                    variables,
                    float(np.median(known)) if len(known) else math.nan,
                )
            )
        return tuple(out)


def _variables(samples: Sequence[Sample]) -> dict[str, np.ndarray]:
    """Return what is known of each image beside its pixels: texts (n,), or numbers (n, 1)."""
    return {
        'source': np.array([sample.source for sample in samples], dtype=object),
        'view': np.array([_known_view(sample.view) for sample in samples], dtype=object),
        'age': np.array([age_in_years(sample.age) for sample in samples])[:, None],
        'sex': np.array([sample.sex.strip().lower() for sample in samples], dtype=object),
    }


#: What tables write where the view is not known.
_NO_VIEW = ('', 'unknown', 'none', 'n/a', 'na', 'nan', '?')


def _known_view(view: str) -> str:
    plain = view.strip().upper()
    return '' if plain.lower() in _NO_VIEW else plain


def _folds(dataset: Dataset, seed: int) -> list[np.ndarray]:
    """Return folds by patient, as many as the class with fewest patients allows."""
    places = np.arange(len(dataset.samples))
    for folds in range(_FOLDS, 1, -1):
        try:
            return equal_parts(dataset, places, folds, seed)
        except DatasetError:
            continue
    return []


def _truth(dataset: Dataset) -> np.ndarray:
    labels = np.array(dataset.labels)
    return np.array([np.isin(labels, sample.labels) for sample in dataset.samples], dtype=bool)


def _target(dataset: Dataset) -> np.ndarray:
    """Return class numbers (n,), or labels (n, K) where an image can have several."""
    truth = _truth(dataset)
    return truth if dataset.multilabel else truth.argmax(axis=1)


def _copies(images: LoadedImages) -> tuple[tuple[int, ...], ...]:
    """Return groups of images with the same bytes and different labels."""
    by_digest: dict[str, list[int]] = {}
    for place, digest in enumerate(images.digests):
        by_digest.setdefault(digest, []).append(place)
    samples = images.dataset.samples
    return tuple(
        tuple(places)
        for places in by_digest.values()
        if len({samples[i].label for i in places}) > 1
    )
