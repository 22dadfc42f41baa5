"""From batches to rows: the classifier, and what its answers mean."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cxr.explain.heatmap import Heatmap
from napari_cxr.explain.placement import cell_to_radiograph, seen_part
from napari_cxr.scoring import pictures
from napari_cxr.scoring.item import Item
from napari_cxr.scoring.journal import ScoringError
from napari_cxr.scoring.preparing import Ready
from napari_cxr.scoring.row import Row
from napari_cxr.scoring.settings import Settings

if TYPE_CHECKING:
    from napari_cxr.inference.classifier import Classifier

__all__ = ['Network', 'row_of']


class Network:
    """The classifier, with what it learns about the memory while it runs."""

    def __init__(
        self,
        classifier: Classifier,
        items: Sequence[Item] | Mapping[int, Item],
        settings: Settings,
    ) -> None:
        self._classifier, self._items, self._settings = classifier, items, settings
        self._rule = settings.rule(classifier.rule)
        self._at_most = 0
        self._lock, self._stopped = threading.Lock(), threading.Event()
        self.warning = ''

    def stop(self) -> None:
        """Let batches that are under way end with the image that they are at."""
        self._stopped.set()

    def rows(
        self, batch: np.ndarray, places: Sequence[int], images: Sequence[tuple[int, Ready]]
    ) -> list[Row]:
        """Run one batch; return the rows of its images, fewer where it was stopped.

        Raises
        ------
        ScoringError
            If a heatmap cannot be written, or the device fails.
        OutOfMemory
            If not even one image fits into the device's memory.
        """
        maps = None
        try:
            if self._settings.with_shares:
                logits, maps, fitted = self._classifier.maps(batch, self._at_most)
            else:
                logits, fitted = self._classifier.logits(batch, self._at_most)
        except RuntimeError as error:  # all that torch says of a device that fails
            said = str(error).strip().partition('\n')[0].rstrip('.:') or type(error).__name__
            raise ScoringError(
                f'The network failed on {self._classifier.device.name} ({said}). All rows that '
                'are done are kept: start the program again and resume; if it fails again, '
                'score on another device.'
            ) from error
        with self._lock:  # several batches may find out at once
            if fitted < min(len(batch), self._at_most or len(batch)):
                self._at_most = fitted
                self.warning = f'Memory ran short: going on with batches of {fitted}.'
        return [
            self._row(number, ready, logits[place], None if maps is None else maps[place])
            for place, (number, ready) in zip(places, images, strict=True)
            if not self._stopped.is_set()
        ]

    def _row(self, number: int, ready: Ready, logits: np.ndarray, maps: np.ndarray | None) -> Row:
        classifier, settings = self._classifier, self._settings
        if not np.isfinite(logits).all():
            return row_of(
                number,
                self._items[number],
                status='error',
                error='The network’s answer is no number: the model does not suit this image.',
            )
        probabilities = tuple(float(p) for p in classifier.probabilities(logits))
        called: tuple[str, ...] = ()
        if settings.decision is not None:
            called = settings.decision.called(classifier.labels, probabilities)
        where: Mapping[str, Any] = {}
        if maps is not None:
            heatmaps = self._heatmaps(ready, maps, probabilities, logits)
            shown = classifier.labels.index(self._rule.leading(probabilities))
            where = self._where(number, ready, heatmaps, shown)
        return row_of(
            number,
            self._items[number],
            status='scored',
            label=self._rule.label(probabilities),
            probabilities=probabilities,
            above=self._rule.above(probabilities) if self._rule.several else (),
            answer=self._rule.answer(probabilities) if self._rule.several else '',
            called=called,
            view=ready.view,
            cautions=classifier.with_own_cautions(ready.cautions),
            device=classifier.device.name,
            precision=classifier.way.precision,
            identity=ready.identity,
            **where,
        )

    def _where(
        self, number: int, ready: Ready, heatmaps: Sequence[Heatmap], k: int
    ) -> Mapping[str, Any]:
        """Say where the heatmap of class `k` lies, and draw it if that is wanted."""
        shown, folder = heatmaps[k], self._settings.heatmaps
        found = pictures.shares(shown, ready)
        if folder is None:
            return found
        picture = pictures.name_of(folder, number, self._items[number].path)
        try:
            pictures.save(picture, ready, shown, heatmaps)
        except OSError as error:
            raise ScoringError(
                f'{picture} cannot be written: {error.strerror}. All rows that are done are '
                'kept: make room and resume.'
            ) from None
        return {'heatmap': str(picture), **found}

    def _heatmaps(
        self,
        ready: Ready,
        maps: np.ndarray,
        probabilities: Sequence[float],
        logits: np.ndarray,
    ) -> list[Heatmap]:
        classifier = self._classifier
        height, width = ready.image.shape
        grid = classifier.network.grid(height, width)
        return [
            Heatmap(
                values=maps[k],
                to_radiograph=cell_to_radiograph(grid, ready.to_radiograph),
                label=label,
                probability=probabilities[k],
                logit=float(logits[k]),
                method='Grad-CAM',
                model=classifier.card.name,
                seen=seen_part(ready.to_radiograph, height, width),
            )
            for k, label in enumerate(classifier.labels)
        ]


def row_of(number: int, item: Item, **known: Any) -> Row:
    """Return a row with what the listing says of a path, and what else is known."""
    return Row(
        number=number,
        path=item.path,
        truth=item.truth,
        source=item.source,
        patient=item.patient,
        **known,
    )
