"""Loading rows of a table: reading and classifying a file in the background, with a cache.

One job loads the row that is opened; another may load rows ahead. Rows that were used last are
cached as far as they fit.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Container
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from qtpy.QtCore import QObject, Signal

from napari_cxr.plugin.background import (
    Failure,
    Job,
    JobOutcome,
    RunningJob,
    failure,
    run_job,
)
from napari_cxr.plugin.classify_job import ExplainedPrediction, classify_radiograph
from napari_cxr.plugin.layers import radiograph_layer_data
from napari_cxr.plugin.preferences import preferences
from napari_cxr.plugin.source_file import read_in_decoder
from napari_cxr.radiograph import Radiograph
from napari_cxr.scoring import ScoreRow
from napari_cxr.scoring.table_reader import image_path_of

__all__ = [
    'LoadedImage',
    'LoadedRow',
    'RowCache',
    'RowJob',
    'RowKey',
    'RowRequest',
    'RunningJobs',
    'load_row',
]

#: What decides what is shown: path, model, its hash, device, and whether there is a heatmap.
RowKey: TypeAlias = tuple[str, str, str, str, bool]


@dataclass(frozen=True)
class RowRequest:
    """A row that shall be shown, now or perhaps soon.

    Parameters
    ----------
    row : Row
        The table's.
    model, device : str
        As `classifying.classify` takes them.
    model_hash : str
        Of the model that made the table; empty where that is not known.
    table : str
        The table, by which a path is found that is not whole.
    """

    row: ScoreRow
    model: str
    device: str
    model_hash: str = ''
    table: str = ''

    @property
    def key(self) -> RowKey:
        """What it is kept under."""
        scored = self.row.status == 'scored'
        return self.row.path, self.model, self.model_hash, self.device, scored

    def is_of(self, answer: ExplainedPrediction) -> bool:
        """Whether an answer is of the model that made the table, as far as that is known."""
        return self.model_hash in ('', answer.prediction.model_hash)


@dataclass(frozen=True, eq=False)
class LoadedImage:
    """A file's radiograph, ready to be a layer.

    Parameters
    ----------
    radiograph : Radiograph
        As the decoder read it.
    data, attributes
        Of an image layer, see `radiograph_layer_data`.
    stamp : tuple of int
        Time and size of the file, by which a changed one is known.
    """

    radiograph: Radiograph
    data: Any
    attributes: dict[str, Any]
    stamp: tuple[int, int]

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        radiograph = self.radiograph
        parts = [radiograph.values, radiograph.padding]
        if self.data is not radiograph.values:
            parts.append(self.data)
        return sum(part.nbytes for part in parts if part is not None)


@dataclass(frozen=True, eq=False)
class LoadedRow:
    """All that is shown of a row.

    Parameters
    ----------
    picture : Picture
        Its radiograph.
    answer : Answer or None
        What the model says; None for a row without probabilities.
    problem : Failure or None
        Why there is no answer although there should be one.
    """

    picture: LoadedImage
    answer: ExplainedPrediction | None = None
    problem: Failure | None = None

    @property
    def nbytes(self) -> int:
        """Memory that it takes, of which lungs can be more than a small picture."""
        if self.answer is None:
            return self.picture.nbytes
        field = self.answer.field
        maps = [field.right, field.left, *(each.values for each in self.answer.heatmaps)]
        return self.picture.nbytes + sum(each.nbytes for each in maps)


def load_row(
    order: RowRequest, known: LoadedRow | None, file_names: bool
) -> Job[LoadedRow | Failure]:
    """Read a row's file and classify it; a job for `run_job`.

    It yields the `LoadedImage` as soon as there is one; besides, words about progress, or None.

    Parameters
    ----------
    order : RowRequest
        The row.
    known : LoadedRow, optional
        What was read before; it counts as long as the file is the same.
    file_names : bool
        Whether the layer is named after the file.
    """
    path = image_path_of(order.row.path, order.table) if order.table else order.row.path
    try:
        state = os.stat(path)
        stamp = state.st_mtime_ns, state.st_size
        if known is not None and known.picture.stamp == stamp:
            yield known.picture
            return known
        yield 'Reading the image'
        radiograph = yield from read_in_decoder(path)
    except FileNotFoundError:
        return Failure(f'There is no file {path}. Put it back, or score the folder anew.', '')
    except OSError as error:
        return Failure(f'This file cannot be read: {error.strerror}.', '')
    frames, radiograph = radiograph.frames, _first_frame(radiograph)
    name = os.path.splitext(os.path.basename(path))[0] if file_names else ''
    data, attributes, _ = radiograph_layer_data(radiograph, name)
    if frames is not None:
        attributes['name'] += f' · first of {frames} frames'
    picture = LoadedImage(radiograph, data, attributes, stamp)
    yield picture
    if not order.key[-1]:
        return LoadedRow(picture)
    try:
        answer = yield from classify_radiograph(radiograph, order.model, order.device)
    except Exception as error:
        return LoadedRow(picture, problem=failure(error, 'Classifying'))
    return LoadedRow(picture, answer)


def _first_frame(radiograph: Radiograph) -> Radiograph:
    """Return what is shown of a file: all rows in layers alike, or drivers end the program."""
    if radiograph.frames is None:
        return radiograph
    padding = radiograph.padding[0] if radiograph.padding is not None else None
    values = radiograph.values[0].copy()
    return replace(radiograph, values=values, padding=padding, overlays=())


class RowCache:
    """Keeps the rows that were used last, within a bound on their memory.

    Parameters
    ----------
    most : int
        Bytes.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[RowKey, LoadedRow] = OrderedDict()

    def __contains__(self, key: RowKey) -> bool:
        return key in self._kept

    @property
    def nbytes(self) -> int:
        """Memory that is taken."""
        return sum(opened.nbytes for opened in self._kept.values())

    def get(self, key: RowKey) -> LoadedRow | None:
        """Return what is kept of a row; it counts as used."""
        opened = self._kept.get(key)
        if opened is not None:
            self._kept.move_to_end(key)
        return opened

    def put(self, key: RowKey, opened: LoadedRow, precious: Container[RowKey] = ()) -> bool:
        """Keep a row, in place of those that were not used for longest.

        Parameters
        ----------
        key, opened
            The row.
        precious : container of keys
            Rows that stay in any case.

        Returns
        -------
        bool
            Whether there was room for it beside the precious ones.
        """
        if opened.nbytes > self._most:
            return False
        self._kept[key] = opened
        self._kept.move_to_end(key)
        for old in list(self._kept):
            if self.nbytes <= self._most:
                return True
            if old != key and old not in precious:
                del self._kept[old]
        if self.nbytes <= self._most:
            return True
        del self._kept[key]
        return False

    def clear(self) -> None:
        """Forget all."""
        self._kept.clear()


class RunningJobs:
    """What ends the jobs under way, held by nothing that must go before they end."""

    def __init__(self) -> None:
        self.jobs: dict[int, RunningJob] = {}

    def stop(self) -> None:
        """Ask all of them to end."""
        for job in self.jobs.values():
            job.cancel()


class RowJob(QObject):
    """One job at a time, and the picture that it has found so far.

    Parameters
    ----------
    stops : Stops
        Where what ends the job is kept.
    """

    #: What is being done: the `Order`, and words.
    told = Signal(object, str)
    #: The `Order`, and its `Picture`.
    seen = Signal(object, object)
    #: The `Order`, and what came of it: an `Opened`, a `Failure`, or None if it was cancelled.
    done = Signal(object, object)

    def __init__(self, stops: RunningJobs) -> None:
        super().__init__()
        self._stops = stops
        self.order: RowRequest | None = None
        self.picture: LoadedImage | None = None
        self._result: LoadedRow | Failure | None = None
        self._running: RunningJob | None = None

    def is_at(self, order: RowRequest) -> bool:
        """Whether this very row is being read, and shall be."""
        at_work = self.order is not None and not self._cancelled
        return at_work and self.order.key == order.key  # type: ignore[union-attr]

    def start(self, order: RowRequest, known: LoadedRow | None) -> None:
        """Begin; nothing else is under way."""
        self.order, self.picture, self._result = order, None, None
        self._running = run_job(
            None,  # `_stops` ends it with the dock
            load_row(order, known, preferences('layers').file_names),
            'Opening the image',
            relay=self._hear,
            done=self._keep,
            ended=self._finish,
        )
        self._stops.jobs[id(self)] = self._running

    def cancel(self) -> None:
        """Ask the job to end; `done` tells when it has."""
        if self._running is not None:
            self._running.cancel()

    @property
    def _cancelled(self) -> bool:
        return self._running is not None and self._running.cancelled

    def _hear(self, event: LoadedImage | str) -> None:
        if self.order is None or self._cancelled:
            return
        if isinstance(event, LoadedImage):
            self.picture = event
            self.seen.emit(self.order, event)
        else:
            self.told.emit(self.order, event)

    def _keep(self, outcome: JobOutcome | Failure) -> None:
        if not self._cancelled:
            self._result = outcome if isinstance(outcome, Failure) else outcome.result

    def _finish(self) -> None:
        order, result = self.order, self._result
        self.order = self.picture = self._result = None
        self.done.emit(order, result)
