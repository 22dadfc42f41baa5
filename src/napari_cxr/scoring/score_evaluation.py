"""How good the answers are, where labels are known: metrics with intervals, while scoring runs."""

from __future__ import annotations

import math
import time
from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from napari_cxr.inference.label_rule import UNDECIDED_ANSWERS, LabelRule, known_and_unknown
from napari_cxr.metrics.class_metrics import summarise
from napari_cxr.metrics.confidence_intervals import (
    FEWEST_PATIENTS,
    Interval,
    patients_by_class,
    proportion_interval,
)
from napari_cxr.scoring.background_thread import BackgroundThread
from napari_cxr.scoring.score_row import ScoreRow, ScoringRun
from napari_cxr.scoring.scoring_events import ScoringMeasured

__all__ = ['NO_SOURCE', 'ScoreEvaluation', 'evaluate_rows', 'evaluate_run', 'seen_warning']

#: Resamples times images times classes that intervals may cost: of the figures at the end,
#: about 4 s of processor time, and of those on the way. With very many images the resamples
#: get fewer; the intervals are narrow then, and a tenth more or less of their width is nothing.
_AT_THE_END, _ON_THE_WAY = 30_000_000, 3_000_000
_RESAMPLES, _FEWEST = 2000, 100
#: Splits of the model's own run whose images it has seen: trained on, or chosen by.
_SEEN = ('train', 'val')
#: Sources that have figures of their own; of more, those with the most images. What is said of
#: images without a source.
_MOST_SOURCES, NO_SOURCE = 40, 'no source'
#: Figures on the way come with so many images, and each time when there are more by this factor.
_FIRST, _MORE = 10, 1.2
#: The least that the run goes on between two of them, in the time that the last ones took.
_BETWEEN = 30.0


class ScoreEvaluation:
    """Figures of rows, of which no more is kept than their truth and probabilities.

    Labels are those of the model whatever their case. An image whose label the model does
    not know is not measured; neither is one with several labels, if the model gives one. If
    it can give several, what `LabelRule.is_negative` knows is none of them. Nor is a doubtful
    image measured, one that is probably no upright frontal chest radiograph: its prediction is
    withheld wherever predictions are shown.

    Parameters
    ----------
    labels : sequence of str
        The model's classes.
    multilabel : bool
        Whether an image can have several.
    decision : bool
        Whether rows say which classes reach their thresholds, so that these are measured too.
    rule : LabelRule, optional
        With `multilabel`, by which thresholds labels are predicted; by default from 0.5 on.
    include_doubtful : bool
        Whether doubtful images are measured all the same.
    """

    def __init__(
        self,
        labels: Sequence[str],
        *,
        multilabel: bool,
        decision: bool = False,
        rule: LabelRule | None = None,
        include_doubtful: bool = False,
    ) -> None:
        self._include_doubtful, self._doubtful = include_doubtful, 0
        self._labels, self._multilabel, self._decision = tuple(labels), multilabel, decision
        self._rule = LabelRule(self._labels, multilabel) if rule is None else rule
        self._may_be_open = bool(self._rule.undecided_answer)
        self._known = {label.casefold(): k for k, label in enumerate(labels)}
        self._numbers, self._patients = array('q'), array('q')
        self._probabilities = array('d')
        self._truths: list[tuple[int, ...]] = []
        self._unsure: list[tuple[int, ...]] = []  # classes of which nobody knows
        self._one_of_each_open: dict[tuple[int, ...], tuple[int, ...]] = {}
        self._called: list[tuple[int, ...]] = []
        self._open = array('b')  # whether the model does not decide
        self._seen = array('b')  # the place in `_SEEN`, or -1
        self._sources, self._source_numbers = array('q'), dict[str, int]()
        #: Scored images that the model has seen, with a label or without, by split of its run.
        self.seen = dict.fromkeys(_SEEN, 0)
        self.scored = 0
        self._one_of_each: dict[tuple[int, ...], tuple[int, ...]] = {}
        self._patient_numbers: dict[str, int] = {}
        self._unknown: set[str] = set()
        self._unmeasured = 0
        self._under_way: BackgroundThread[ScoringMeasured] | None = None
        self._due_at, self._not_before = _FIRST, 0.0
        self._began = 0.0

    @classmethod
    def of_run(cls, run: ScoringRun, *, include_doubtful: bool = False) -> ScoreEvaluation:
        """Return figures, of no row yet, of a run's rows."""
        return cls(
            run.labels,
            multilabel=run.multilabel,
            decision=run.decision,
            rule=run.label_rule,
            include_doubtful=include_doubtful,
        )

    def add(self, rows: Iterable[ScoreRow]) -> None:
        """Take rows in; those without a label are only counted, those not scored passed over."""
        for row in rows:
            if row.status != 'scored':
                continue
            self.scored += 1
            if row.model_split in self.seen:
                self.seen[row.model_split] += 1
            if not row.truth:
                continue
            named, unknown = known_and_unknown(row.truth)
            if len(named) == 1 and self._rule.is_negative(named[0]):
                named = []
            elif not named and not self._multilabel:
                continue
            strange = [name for name in named if name.casefold() not in self._known]
            if strange or (len(named) > 1 and not self._multilabel):
                self._unknown.update(strange or [row.truth])
                self._unmeasured += 1
                continue
            self._doubtful += bool(row.doubts)
            if row.doubts and not self._include_doubtful:
                continue
            truth = tuple(self._known[name.casefold()] for name in named)
            self._truths.append(self._one_of_each.setdefault(truth, truth))
            open_ = (self._known.get(name.casefold(), -1) for name in unknown)
            unsure = tuple(sorted(k for k in open_ if k >= 0)) if self._multilabel else ()
            self._unsure.append(self._one_of_each_open.setdefault(unsure, unsure))
            if self._decision:
                self._called.append(tuple(self._labels.index(name) for name in row.called))
            # A table of before, whose rule leaves nothing open, may have been gone on with.
            self._open.append(self._may_be_open and row.answer in UNDECIDED_ANSWERS)
            self._seen.append(_SEEN.index(row.model_split) if row.model_split in _SEEN else -1)
            numbers = self._source_numbers
            self._sources.append(numbers.setdefault(row.source or NO_SOURCE, len(numbers)))
            self._probabilities.extend(row.probabilities)
            self._numbers.append(row.number)
            patients = self._patient_numbers
            # An image of nobody known is a patient of its own.
            own = -1 - row.number
            self._patients.append(
                patients.setdefault(row.patient, len(patients)) if row.patient else own
            )

    def found(self, cost: int = _AT_THE_END) -> ScoringMeasured:
        """Return the figures of the rows so far, the same in whatever order they came.

        Parameters
        ----------
        cost : int
            What intervals may cost: resamples times images times classes.

        Returns
        -------
        Measured
            Its metrics are empty if all images have the same labels. Beside what `summarise`
            gives they have ``few``: by class how many patients have it, where these are fewer
            than five; and by 'no CLASS' how many have not, where an image can have several and
            these are fewer. With so few an area and what is a mean of it have no interval. Of a
            decision each class has under ``called`` its sensitivity and specificity at its
            threshold. Where the model does not decide for some images, ``cannot_say`` has how
            many ``images`` they are, their ``share`` with its interval, and ``decided``: the
            figures of the others, empty where these have the same labels. Where the model has
            seen some images in its own training, ``unseen`` has how many it was
            ``trained_on``, how many were its ``validation`` images, how many ``images`` are
            left, and their ``metrics``; where there are several
            sources, ``sources`` has the same for each, beside its ``images`` and ``metrics``.
        """
        unmeasured = tuple(sorted(self._unknown)), self._unmeasured
        doubtful = self._doubtful, self._include_doubtful
        if len(self._one_of_each) < 2:
            return ScoringMeasured({}, *unmeasured, *doubtful)
        images, classes = len(self._truths), len(self._labels)
        order = np.argsort(np.array(self._numbers), kind='stable')
        probabilities = np.array(self._probabilities).reshape(images, classes)[order]
        truth = self._table(self._truths, order)
        known = ~self._table(self._unsure, order)
        patients = np.array(self._patients)[order]
        metrics = self._figures(truth, probabilities, patients, known, cost)
        if self._decision:
            called = self._table(self._called, order)
            for k, label in enumerate(self._labels):
                if label in metrics['classes']:
                    own = called[:, k], truth[:, k], ~truth[:, k] & known[:, k]
                    metrics['classes'][label]['called'] = {
                        'sensitivity': _fraction(own[0], own[1], patients).to_list(),
                        'specificity': _fraction(~own[0], own[2], patients).to_list(),
                    }
        undecided = np.array(self._open, dtype=bool)[order]
        if undecided.any():
            every = np.ones(images, dtype=bool)
            decided, left = {}, truth[~undecided]
            if len(left) and (left != left[0]).any():
                decided = self._figures(
                    left,
                    probabilities[~undecided],
                    patients[~undecided],
                    known[~undecided],
                    cost,
                )
            metrics['cannot_say'] = {
                'images': int(undecided.sum()),
                'share': _fraction(undecided, every, patients).to_list(),
                'decided': decided,
            }
        metrics['doubtful'] = {'images': doubtful[0], 'included': doubtful[1]}
        metrics |= self._parts(truth, probabilities, patients, known, order, cost)
        return ScoringMeasured(metrics, *unmeasured, *doubtful)

    def _parts(
        self,
        truth: np.ndarray,
        probabilities: np.ndarray,
        patients: np.ndarray,
        known: np.ndarray,
        order: np.ndarray,
        cost: int,
    ) -> dict[str, Any]:
        """Return the figures of images that the model has not seen, and of each source."""
        seen, sources = np.array(self._seen)[order], np.array(self._sources)[order]
        counts = np.bincount(sources, minlength=len(self._source_numbers))
        names = sorted(
            sorted(self._source_numbers, key=lambda n: -counts[self._source_numbers[n]])[
                :_MOST_SOURCES
            ]
        )
        cost //= len(names) + 1

        def figures(where: np.ndarray) -> dict[str, Any]:
            some = truth[where]
            if not len(some) or not (some != some[0]).any():
                return {}
            return self._figures(some, probabilities[where], patients[where], known[where], cost)

        def unseen(where: np.ndarray) -> dict[str, Any]:
            trained_on, validation = (int((seen[where] == k).sum()) for k in range(len(_SEEN)))
            if not trained_on + validation:
                return {}
            left = where & (seen < 0)
            return {
                'unseen': {
                    'trained_on': trained_on,
                    'validation': validation,
                    'images': int(left.sum()),
                    'metrics': figures(left),
                }
            }

        every = np.ones(len(order), dtype=bool)
        found = unseen(every)
        if len(self._source_numbers) > 1:
            found['sources'] = {
                name: {'images': int(own.sum()), 'metrics': figures(own), **unseen(own)}
                for name in names
                for own in [sources == self._source_numbers[name]]
            }
        return found

    def _figures(
        self,
        truth: np.ndarray,
        probabilities: np.ndarray,
        patients: np.ndarray,
        known: np.ndarray,
        cost: int,
    ) -> dict[str, Any]:
        """Return the figures of some images, and of what there are few."""
        times = min(_RESAMPLES, max(_FEWEST, cost // truth.size))
        metrics = summarise(
            truth if self._multilabel else truth.argmax(axis=1),
            probabilities,
            self._labels,
            patients.tolist(),
            thresholds=self._rule.thresholds or None,
            times=times,
            known=known if self._multilabel and not known.all() else None,
        )
        return metrics | {'few': self._few(truth, patients, known)}

    def _table(self, classes: Sequence[tuple[int, ...]], order: np.ndarray) -> np.ndarray:
        """Return which classes images have, shape (images, classes), in an order."""
        table = np.zeros((len(order), len(self._labels)), dtype=bool)
        for i, place in enumerate(order):
            table[i, list(classes[place])] = True
        return table

    def _few(self, truth: np.ndarray, patients: np.ndarray, known: np.ndarray) -> dict[str, int]:
        """Return what `found` calls few."""
        few: dict[str, int] = {}
        with_it = patients_by_class(truth, patients)
        without = patients_by_class(~truth & known, patients)
        for label, having, others in zip(self._labels, with_it, without, strict=True):
            if 0 < having < FEWEST_PATIENTS:
                few[label] = int(having)
            if having and self._multilabel and others < FEWEST_PATIENTS:
                few[f'no {label}'] = int(others)
        return few

    def look(self) -> ScoringMeasured | None:
        """Return figures on the way, if new ones are ready; make such in a thread when due.

        They come each time when there are a fifth more images, but take no more than a
        small part of one core's time.
        """
        if self._under_way is None:
            due = len(self._truths) >= self._due_at and time.monotonic() >= self._not_before
            if not due or len(self._one_of_each) < 2:
                return None
            self._due_at, self._began = math.ceil(len(self._truths) * _MORE), time.monotonic()
            now = self._as_it_is()
            self._under_way = BackgroundThread(lambda _: now.found(_ON_THE_WAY))
        if not self._under_way.ended():
            return None
        found, self._under_way = self._under_way.result(), None
        ended = time.monotonic()
        self._not_before = ended + _BETWEEN * (ended - self._began)
        return found

    def _as_it_is(self) -> ScoreEvaluation:
        """Return a copy that a thread may look at."""
        copy = ScoreEvaluation(
            self._labels,
            multilabel=self._multilabel,
            decision=self._decision,
            rule=self._rule,
            include_doubtful=self._include_doubtful,
        )
        copy._numbers, copy._patients = self._numbers[:], self._patients[:]
        copy._probabilities = self._probabilities[:]
        copy._truths, copy._one_of_each = self._truths[:], dict(self._one_of_each)
        copy._unsure = self._unsure[:]
        copy._called, copy._open, copy._seen = self._called[:], self._open[:], self._seen[:]
        copy._sources, copy._source_numbers = self._sources[:], dict(self._source_numbers)
        copy._unknown, copy._unmeasured = set(self._unknown), self._unmeasured
        copy._doubtful = self._doubtful
        return copy


def seen_warning(seen: Mapping[str, int], images: int) -> str:
    """Return how many images the model has seen in its own training; empty if none.

    Parameters
    ----------
    seen : mapping of str to int
        Images by split of the model's run: 'train' and 'val'.
    images : int
        All of them.
    """
    trained_on, validation = (seen.get(name, 0) for name in _SEEN)
    if not trained_on + validation:
        return ''
    parts = []
    if trained_on:
        parts.append(f'was trained on {trained_on:,}')
    if validation:
        parts.append(f'was selected by {validation:,}')
    return (
        f'The model {" and ".join(parts)} of these {images:,} images, so what it says of them is '
        'better than what it says of others. Judge it by the rest.'
    )


def _fraction(right: np.ndarray, of: np.ndarray, patients: np.ndarray) -> Interval:
    """Return the share of some images that is right, with as many cases as these have patients."""
    return proportion_interval(right[of], patients[of])


def evaluate_rows(
    rows: Iterable[ScoreRow],
    labels: Sequence[str],
    *,
    multilabel: bool,
    decision: bool = False,
    rule: LabelRule | None = None,
) -> ScoringMeasured:
    """Compare the rows that have a label with it, as `Measuring` does.

    Parameters
    ----------
    rows : iterable of Row
        Those without a label and those that were not scored are passed over.
    labels, several, decision, rule
        As of `Measuring`.
    """
    measuring = ScoreEvaluation(labels, multilabel=multilabel, decision=decision, rule=rule)
    measuring.add(rows)
    return measuring.found()


def evaluate_run(
    rows: Iterable[ScoreRow], run: ScoringRun, *, include_doubtful: bool = False
) -> ScoringMeasured:
    """Compare the rows of a run that have a label with it, as `ScoreEvaluation` does."""
    measuring = ScoreEvaluation.of_run(run, include_doubtful=include_doubtful)
    measuring.add(rows)
    return measuring.found()
