"""Metrics of classifiers that see no anatomy, before any network is trained."""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial

import numpy as np

from napari_cxr.metrics.baseline import fit_baseline
from napari_cxr.metrics.classification import macro_auc
from napari_cxr.metrics.confidence_intervals import bootstrap
from napari_cxr.training.data_preparation import LoadedImages
from napari_cxr.training.dataset import Dataset
from napari_cxr.training.splits import equal_parts
from napari_cxr.training.training_events import ReadingProgress, TrainingEvent

__all__ = ['measure_baselines']

_FOLDS = 3
#: Patients that each class must have.
_FEWEST = 5
#: Images that suffice; of more, a sample is taken, patient by patient.
_MOST = 5000
_RESAMPLES = 500

Fit = Callable[[np.ndarray, np.ndarray, int], Callable[[np.ndarray], np.ndarray]]


def measure_baselines(
    images: LoadedImages, seed: int, run: str = ''
) -> Generator[TrainingEvent, None, dict[str, tuple[float, float, float]]]:
    """Measure two classifiers on image size, borders and grey histogram alone.

    Each image is classified by a model that has seen no image of its patient: 3 folds
    by patient. A network must beat the better one before its metrics mean anything.

    Parameters
    ----------
    images : LoadedImages
        The images; of more than 5,000, a sample of this size is taken.
    seed : int
        Seed of folds and bootstrap.
    run : str
        Name of the run in events.

    Yields
    ------
    ReadingProgress
        After each fold.

    Returns
    -------
    dict of str to tuple of float
        'logistic regression' and 'boosted trees': macro AUC and its 95 % interval, by
        bootstrap over patients. Empty where a class has fewer than 5 patients.
    """
    dataset, features = images.dataset, images.features
    places = _subset(dataset, seed)
    patients = {
        label: {dataset.samples[i].group for i in places if label in dataset.samples[i].labels}
        for label in dataset.labels
    }
    if min(map(len, patients.values())) < _FEWEST:
        return {}
    truth = _numbers(dataset)
    total = len(dataset.samples)
    fits: dict[str, Fit] = {'logistic regression': _logistic, 'boosted trees': fit_baseline}
    predictions = {name: np.zeros((total, len(dataset.labels))) for name in fits}
    for held in equal_parts(dataset, places, _FOLDS, seed):
        rest = np.setdiff1d(places, held)
        for name, fit in fits.items():
            yield ReadingProgress(run, total, total)
            predict = fit(features[rest], truth[rest], len(dataset.labels))
            predictions[name][held] = predict(features[held])
    out = {}
    for name, probabilities in predictions.items():
        yield ReadingProgress(run, total, total)
        chosen = probabilities[places]
        (interval,) = bootstrap(
            partial(macro_auc, truth[places], chosen),
            [dataset.samples[i].group for i in places],
            [dataset.samples[i].label for i in places],
            times=_RESAMPLES,
            seed=seed,
        )
        out[name] = (interval.value, interval.low, interval.high)
    return out


def _subset(dataset: Dataset, seed: int) -> np.ndarray:
    if len(dataset.samples) <= _MOST:
        return np.arange(len(dataset.samples))
    groups = np.unique([sample.group for sample in dataset.samples], return_inverse=True)[1]
    order = np.random.default_rng(seed).permutation(groups.max() + 1)
    ranked = np.argsort(order[groups], kind='stable')
    return np.sort(ranked[:_MOST])


def _numbers(dataset: Dataset) -> np.ndarray:
    """Return class numbers (n,), or the labels of each image (n, K) if it can have several."""
    labels = np.array(dataset.labels)
    truth = np.array([np.isin(labels, sample.labels) for sample in dataset.samples], dtype=bool)
    return truth if dataset.multilabel else truth.argmax(axis=1)


def _logistic(
    features: np.ndarray, truth: np.ndarray, classes: int
) -> Callable[[np.ndarray], np.ndarray]:
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def fitted(targets: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        if len(np.unique(targets)) < 2:
            return lambda others: np.full((len(others), 1), 1.0)
        steps = make_pipeline(
            SimpleImputer(keep_empty_features=True),  # a border that is all padding is NaN
            StandardScaler(),
            LogisticRegression(max_iter=2000, class_weight='balanced'),
        )
        return steps.fit(features.astype(np.float64), targets).predict_proba

    if truth.ndim == 2:
        columns = [fitted(column) for column in truth.T]
        return lambda others: np.stack([c(others)[:, -1] for c in columns], axis=1)
    present = np.unique(truth)
    model = fitted(truth)

    def probabilities(others: np.ndarray) -> np.ndarray:
        out = np.zeros((len(others), classes))
        out[:, present] = model(others)
        return out

    return probabilities
