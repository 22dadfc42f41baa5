"""Classifiers that see no anatomy, on the very same splits as the models.

What a classifier reaches that knows only the size of an image, its border and grey levels, or only
where it comes from, is no sign of disease. A model has to beat it on the same images.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from napari_cxr.evaluation.evaluation_events import (
    EvaluationEvent,
    EvaluationProgress,
    EvaluationWarned,
)
from napari_cxr.evaluation.evaluation_images import class_of_labels
from napari_cxr.evaluation.evaluation_table import EvaluationTable
from napari_cxr.evaluation.held_out_sources import leave_one_source_out, patient_folds
from napari_cxr.inference.label_rule import known_and_unknown
from napari_cxr.metrics.baseline import BASELINES, fit_baseline
from napari_cxr.scoring.background_thread import in_background
from napari_cxr.scoring.input_lists import Item
from napari_cxr.scoring.score_row import NO_FINDING
from napari_cxr.training.data_preparation import load_images
from napari_cxr.training.dataset import Dataset, DatasetError, Sample
from napari_cxr.training.recipe import Recipe
from napari_cxr.training.training_events import ReadingProgress
from napari_cxr.training.training_image import ImageReader

__all__ = ['LEFT_OUT', 'FittedBaselines', 'ReadImages', 'baseline_predictions', 'read_images']

#: What the name of a baseline ends with that has not seen the image's own source.
LEFT_OUT = ', source left out'

#: Training images that each class must have; else baselines are fitted in folds.
_FEWEST, _FOLDS = 5, 5


@dataclass(frozen=True, eq=False)
class ReadImages:
    """What is known of images that were read, by path.

    Parameters
    ----------
    places : dict of str to int
        The row of each in what follows.
    digests : tuple of str
        16 digits of the SHA-256 of each file.
    features : ndarray of float32, shape (n, 44)
        See `napari_cxr.metrics.baseline_features`.
    thumbnails : ndarray of uint8, shape (n, 32, 32)
        See `napari_cxr.training.duplicates`.
    patients : tuple of str
        What tells patients apart by the headers of DICOM files; empty where nothing is known.
    """

    places: dict[str, int]
    digests: tuple[str, ...] = ()
    features: np.ndarray = field(default_factory=lambda: np.zeros((0, 44), np.float32))
    thumbnails: np.ndarray = field(default_factory=lambda: np.zeros((0, 32, 32), np.uint8))

    patients: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.places)

    def patient_of(self, path: str) -> str:
        """Return what the header of an image says of its patient; empty if nothing."""
        place = self.places.get(path)
        return '' if place is None or not self.patients else self.patients[place]

    def name_of(self, path: str) -> str:
        """Return how an image is named without its path; 'unread' where it could not be read."""
        place = self.places.get(path)
        return 'unread' if place is None else self.digests[place]


def read_images(
    items: Sequence[Item], reader: ImageReader
) -> Generator[EvaluationEvent | None, None, ReadImages]:
    """Read what baselines and seals need of each image; those that were read before are quick.

    Parameters
    ----------
    items : sequence of Item
        The files.
    reader : ImageReader
        What decodes them.
    """
    samples = tuple(
        Sample(Path(i.path), i.truth or NO_FINDING, i.patient or i.path, problem=i.problem)
        for i in items
    )
    step = 'Reading the images'
    try:
        dataset = Dataset(Path(), samples, grouped=False)
        events = load_images(dataset, Recipe(name='evaluation', network='resnet10'), reader)
        while True:
            try:
                event = next(events)
            except StopIteration as end:
                found = end.value
                break
            if isinstance(event, ReadingProgress):
                yield EvaluationProgress(step, event.done, event.total)
            else:
                yield None
    except DatasetError as error:
        yield EvaluationWarned(f'There are no baselines: {error}')
        return ReadImages({})
    places = {str(sample.path): i for i, sample in enumerate(found.dataset.samples)}
    by_path = {item.path: places[str(Path(item.path))] for item in items
               if str(Path(item.path)) in places}  # fmt: skip
    named = [sample.group if sample.known else '' for sample in found.dataset.samples]
    numbers = {name: str(i) for i, name in enumerate(dict.fromkeys(named), start=1)}
    patients = tuple(f'header {numbers[name]}' if name else '' for name in named)
    return ReadImages(by_path, found.digests, found.features, found.thumbnails, patients)


@dataclass(frozen=True, eq=False)
class FittedBaselines:
    """What baselines say of the images of a table.

    Parameters
    ----------
    probabilities : dict of str to ndarray, shape (n, K)
        By their names.
    fitted_on : str
        On which images they were fitted, in words.
    """

    probabilities: dict[str, np.ndarray]
    fitted_on: str


#: Takes the rows to fit on and those to predict; returns probabilities of the latter.
_Fit = Callable[[np.ndarray, np.ndarray], np.ndarray]


def baseline_predictions(
    items: Sequence[Item],
    views: Mapping[str, str],
    read: ReadImages,
    table: EvaluationTable,
    classes: Mapping[str, Sequence[str]],
) -> Generator[EvaluationEvent | None, None, FittedBaselines]:
    """Fit baselines, and let them predict the images of a table.

    They learn from the training images where the table of images has such; else in five folds
    by patient from the images that they are judged by, each image by those of other patients.

    Parameters
    ----------
    items : sequence of Item
        All images, of all splits.
    views : mapping of str to str
        The view of images, by path.
    read : ReadImages
        What is known of them.
    table : EvaluationTable
        Whose images to predict.
    classes : mapping
        As of `class_of_labels`.
    """
    rows = _rows(items, views, read, table, classes)
    judged = np.array([rows.number[path] for path in table.paths if path in rows.number])
    if len(judged) < len(table):
        yield EvaluationWarned('There are no baselines, since some images cannot be read again.')
        return FittedBaselines({}, '')
    training = np.flatnonzero(rows.training)
    enough = len(training) and (rows.truth[training].sum(axis=0) >= _FEWEST).all()
    said = (
        f'the {len(training):,} training images'
        if enough
        else 'other patients of the same images, in five folds'
    )
    if not enough and _folds(rows, judged) < 2:
        yield EvaluationWarned('There are no baselines: each class has one image or patient only.')
        return FittedBaselines({}, '')
    out: dict[str, np.ndarray] = {}
    for name, fit in _fits(rows, len(table.labels)).items():
        yield EvaluationProgress(f'Fitting the baseline "{name}"')

        def predict(_: object, fit: _Fit = fit) -> np.ndarray:
            if enough:
                return fit(training, judged)
            return _in_folds(fit, rows, judged, len(table.labels))

        out[name] = yield from in_background(predict)
    sources = rows.values['source']
    if len(set(sources[judged].tolist()) - {''}) > 1:
        for name in BASELINES:
            yield EvaluationProgress(f'Fitting the baseline "{name}" without each source')
            fit = _fits(rows, len(table.labels))[name]
            learn = training if enough else judged

            def left_out(_: object, fit: _Fit = fit, learn: np.ndarray = learn) -> np.ndarray:
                return _sources_left_out(fit, rows, learn, judged, len(table.labels))

            out[f'{name}{LEFT_OUT}'] = yield from in_background(left_out)
    return FittedBaselines(out, said)


@dataclass(frozen=True, eq=False)
class _Rows:
    """Images by number: their features, truth, patients, and what tells where they come from."""

    number: dict[str, int]
    features: np.ndarray
    truth: np.ndarray
    known: np.ndarray
    multilabel: bool
    patients: list[str]
    training: np.ndarray
    values: dict[str, np.ndarray]

    @property
    def targets(self) -> np.ndarray:
        """The truth as `fit_baseline` takes it."""
        return self.truth if self.multilabel else self.truth.argmax(axis=1)


def _rows(
    items: Sequence[Item],
    views: Mapping[str, str],
    read: ReadImages,
    table: EvaluationTable,
    classes: Mapping[str, Sequence[str]],
) -> _Rows:
    mapped = class_of_labels(classes, table.labels)
    known = {label.casefold(): k for k, label in enumerate(table.labels)}
    judged = {path: i for i, path in enumerate(table.paths)}
    kept, truth, given = [], [], []
    whole = [True] * len(table.labels)
    for item in items:
        if item.path not in read.places:
            continue
        if item.path in judged:
            has = table.truth[judged[item.path]].tolist()
            sure = table.known[judged[item.path]].tolist()
        else:
            named, unknown = known_and_unknown(mapped(item).truth)
            if not (named or unknown) or (not table.multilabel and len(named) > 1):
                continue
            unsure = {known.get(name.casefold()) for name in unknown}
            sure = [k not in unsure for k in range(len(table.labels))]
            sure = sure if table.multilabel else whole
            if any(n.casefold() not in known for n in named) and named != [NO_FINDING]:
                continue
            has = [label.casefold() in map(str.casefold, named) for label in table.labels]
            if not any(has) and not table.multilabel:
                continue
        kept.append(item)
        truth.append(has)
        given.append(sure)
    places = [read.places[item.path] for item in kept]
    return _Rows(
        number={item.path: i for i, item in enumerate(kept)},
        features=read.features[places],
        truth=np.array(truth, dtype=bool).reshape(len(kept), len(table.labels)),
        known=np.array(given, dtype=bool).reshape(len(kept), len(table.labels)),
        multilabel=table.multilabel,
        patients=[item.patient or read.patient_of(item.path) or item.path for item in kept],
        training=np.array([i.split == 'train' and i.path not in judged for i in kept], dtype=bool),
        values={
            'source': np.array([item.source for item in kept], dtype=object),
            'view': np.array([views.get(item.path, '').upper() for item in kept], dtype=object),
        },
    )


def _fits(rows: _Rows, classes: int) -> dict[str, _Fit]:
    """Return the baselines by name, without those that know nothing here."""

    def trees(features: int) -> _Fit:
        def fit(learn: np.ndarray, judged: np.ndarray) -> np.ndarray:
            columns = rows.features[:, :features]
            known = rows.known[learn] if rows.multilabel else None
            predict = fit_baseline(columns[learn], rows.targets[learn], classes, known)
            return predict(columns[judged])

        return fit

    def frequencies(values: np.ndarray) -> _Fit:
        def fit(learn: np.ndarray, judged: np.ndarray) -> np.ndarray:
            truth, known = rows.truth & rows.known, rows.known
            mean = truth[learn].sum(axis=0) / np.maximum(known[learn].sum(axis=0), 1)
            out = np.tile(mean, (len(judged), 1))
            for value in set(values[judged].tolist()):
                own = learn[values[learn] == value]
                # One image of each class more, so that nothing is certain.
                out[values[judged] == value] = (truth[own].sum(axis=0) + mean) / (
                    known[own].sum(axis=0) + 1
                )
            return out

        return fit

    out = {
        f'{name} only': frequencies(values)
        for name, values in rows.values.items()
        if len(set(values.tolist())) > 1
    }
    return out | {name: trees(count) for name, count in BASELINES.items()}


def _strata(rows: _Rows, judged: np.ndarray) -> np.ndarray:
    truth = rows.truth[judged]
    return truth[:, 0] if rows.multilabel else truth.argmax(axis=1)


def _folds(rows: _Rows, judged: np.ndarray) -> int:
    """Return into how many folds images can be split: no more than a class has of them."""
    patients = {rows.patients[i] for i in judged.tolist()}
    _, counts = np.unique(_strata(rows, judged), return_counts=True)
    return min(_FOLDS, len(patients), int(counts.max(initial=0)))


def _in_folds(fit: _Fit, rows: _Rows, judged: np.ndarray, classes: int) -> np.ndarray:
    out = np.zeros((len(judged), classes))
    patients = [rows.patients[i] for i in judged.tolist()]
    for held in patient_folds(patients, _strata(rows, judged), _folds(rows, judged)):
        rest = np.setdiff1d(np.arange(len(judged)), held)
        out[held] = fit(judged[rest], judged[held])
    return out


def _sources_left_out(
    fit: _Fit, rows: _Rows, learn: np.ndarray, judged: np.ndarray, classes: int
) -> np.ndarray:
    """Predict the images of each source by a baseline that was fitted to the other sources."""
    out = np.zeros((len(judged), classes))
    sources = rows.values['source']
    for source, _, held in leave_one_source_out(sources[judged].tolist()):
        others = learn[sources[learn] != source]
        if len(others) and (rows.truth[others] != rows.truth[others[0]]).any():
            out[held] = fit(others, judged[held])
        else:  # nothing is left to learn from
            out[held] = rows.truth[judged].mean(axis=0)
    return out
