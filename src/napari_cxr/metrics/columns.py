"""All figures of one set of images, as functions of how often each image counts."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from napari_cxr.metrics.figures import (
    auc,
    f1,
    keras_auc,
    label_confusions,
    label_figures,
    memberships,
    precision,
    sensitivity,
    specificity,
)
from napari_cxr.metrics.validation import called_of

__all__ = ['OF_CLASS', 'OVERALL', 'Columns', 'restricted']

#: Figures of all classes together, as a summary has them; the last with two classes only.
OVERALL = ('accuracy', 'balanced_accuracy', 'macro_f1', 'macro_auc', 'keras_auc')

#: Figures of a class, as a summary has them.
OF_CLASS = ('sensitivity', 'specificity', 'precision', 'f1', 'auc', 'mean_probability')


class Columns:
    """Figures of one set of images, for one sample or for thousands of resamples at once.

    Parameters
    ----------
    truth : ndarray of int, shape (n,), or of bool, shape (n, classes)
        Class numbers; or, where an image can have several labels, which it has.
    probabilities : ndarray, shape (n, classes)
        Of each class.
    labels : sequence of str
        Names of the classes.
    pairs : bool
        Whether the areas between two classes are wanted, where an image has one label and
        there are more than two classes.
    thresholds : sequence of float, optional
        Where an image can have several labels, from which probability on each is called; 0.5
        by default.

    Attributes
    ----------
    present : list of int
        The classes that have images.
    inside, called : ndarray of bool, shape (n, classes)
        Which classes each image has, and which it was given: of one label the most
        probable, of several those that reach their thresholds.
    """

    def __init__(
        self,
        truth: np.ndarray,
        probabilities: np.ndarray,
        labels: Sequence[str],
        *,
        pairs: bool = False,
        thresholds: Sequence[float] | None = None,
    ) -> None:
        truth = np.asarray(truth)
        self.several = truth.ndim == 2
        self.labels = list(labels)
        classes = len(self.labels)
        self.inside = memberships(truth, classes)
        self.called = memberships(called_of(probabilities, self.several, thresholds), classes)
        self.present = [i for i in range(classes) if self.inside[:, i].any()]
        self._truth, self._probabilities = truth, probabilities
        self._two = classes == 2 and not self.several
        between = combinations(self.present, 2) if pairs else ()
        self._pairs = [] if self.several or classes == 2 else list(between)

    def __call__(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """Return the figures.

        Parameters
        ----------
        weights : ndarray, shape (m, n)
            How often each image counts in each of m resamples.

        Returns
        -------
        dict of str to ndarray, shape (m,)
            ``accuracy``, ``balanced_accuracy``, ``macro_f1``, ``macro_auc``, with two
            classes ``keras_auc``; then 'f1 of CLASS' and so on, see `OF_CLASS`; then
            'CLASS against CLASS', the area between two classes, scored by the first's
            share of both probabilities. NaN where a figure is not defined.
        """
        each = label_confusions(self.inside, self.called, weights)
        right, balanced, harmonic = self._overall(each)
        areas = [auc(self.inside[:, i], self._of(i), weights) for i in self.present]
        known = np.array(areas).reshape(len(areas), *weights.shape[:-1])
        counted = np.isfinite(known).sum(axis=0)
        with np.errstate(invalid='ignore'):
            macro = np.nansum(known, axis=0) / np.where(counted, counted, np.nan)
        out = {
            'accuracy': right,
            'balanced_accuracy': balanced,
            'macro_f1': harmonic,
            'macro_auc': macro,
        }
        if self._two:
            out['keras_auc'] = keras_auc(self._truth, self._probabilities, weights)
        shares = [figure(each)[..., 1] for figure in (sensitivity, specificity, precision, f1)]
        for place, i in enumerate(self.present):
            own = weights * self.inside[:, i]
            with np.errstate(invalid='ignore'):
                said = own @ self._of(i) / own.sum(axis=-1)
            values = (*(share[:, i] for share in shares), areas[place], said)
            out |= {
                f'{name} of {self.labels[i]}': value
                for name, value in zip(OF_CLASS, values, strict=True)
            }
        for i, j in self._pairs:
            rows = np.flatnonzero(self.inside[:, i] | self.inside[:, j])
            score = restricted(self._probabilities[rows], (i, j))[:, 0]
            area = auc(self.inside[rows, i], score, weights[:, rows])
            out[f'{self.labels[i]} against {self.labels[j]}'] = area
        return out

    @property
    def pairs(self) -> list[str]:
        """Names of the figures that compare two classes."""
        return [f'{self.labels[i]} against {self.labels[j]}' for i, j in self._pairs]

    def _of(self, i: int) -> np.ndarray:
        column: np.ndarray = self._probabilities[:, i]
        return column

    def _overall(self, each: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return accuracy, balanced accuracy and macro F1 from the classes' own counts."""
        if self.several:
            return label_figures(each)
        _, _, harmonic = label_figures(each)
        found = each[..., 1, :].sum(axis=-1) > 0
        sensitivities = np.where(found, sensitivity(each)[..., 1], 0)
        # A resample of all folds may hold no image of a small one: nothing is defined there.
        with np.errstate(invalid='ignore'):
            right = each[..., 1, 1].sum(axis=-1) / each[..., 0, :, :].sum(axis=(-2, -1))
            balanced = sensitivities.sum(axis=-1) / found.sum(axis=-1)
        return right, balanced, harmonic


def restricted(probabilities: np.ndarray, classes: Sequence[int]) -> np.ndarray:
    """Return the shares of some classes alone, shape (n, len(classes)).

    The softmax restricted to them; alike where all of them are 0.
    """
    chosen = np.asarray(probabilities, dtype=np.float64)[:, list(classes)]
    total = chosen.sum(axis=1, keepdims=True)
    alike = np.full_like(chosen, 1 / chosen.shape[1])
    return np.divide(chosen, total, out=alike, where=total > 0)
