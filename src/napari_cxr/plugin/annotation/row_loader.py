"""Loading rows of a table: reading and classifying a file in the background, with a cache.

One job loads the row that is opened; another one loads rows ahead.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Container
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from qtpy.QtCore import QObject, Signal

from napari_cxr.checkpoint.model_images import image_digest
from napari_cxr.plugin.background import Failure, Job, JobOutcome, RunningJob, failure, run_job
from napari_cxr.plugin.classify_job import ExplainedPrediction, classify_radiograph
from napari_cxr.plugin.layers import radiograph_layer_data
from napari_cxr.plugin.preferences import preferences
from napari_cxr.plugin.source_file import as_scored, read_in_decoder
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
    'load_row',
]

#: Identifies what is shown: path, model, its hash, device, its name where that of the file must
#: not be seen, and whether there is a heatmap.
RowKey: TypeAlias = tuple[str, str, str, str, str, bool]


@dataclass(frozen=True)
class RowRequest:
    """A row to be shown, now or later.

    Parameters
    ----------
    row : ScoreRow
        The row.
    model, device : str
        As `napari_cxr.plugin.classify_job.classify` takes them.
    model_hash : str
        Of the model that made the table; empty if unknown.
    table : str
        Path of the table, by which a relative path is resolved.
    name : str
        What the image is called while it is read blinded; otherwise empty.
    """

    row: ScoreRow
    model: str
    device: str
    model_hash: str = ''
    table: str = ''
    name: str = ''

    @property
    def key(self) -> RowKey:
        """Key in the cache."""
        scored = self.row.status == 'scored'
        return self.row.path, self.model, self.model_hash, self.device, self.name, scored

    def is_of(self, answer: ExplainedPrediction) -> bool:
        """Return whether a prediction is of the model that made the table, as far as known."""
        return self.model_hash in ('', answer.prediction.model_hash)


@dataclass(frozen=True, eq=False)
class LoadedImage:
    """The radiograph of a file, as a layer.

    Parameters
    ----------
    radiograph : Radiograph
        As read by the decoder.
    data, attributes
        Of an image layer, see `radiograph_layer_data`.
    stamp : tuple of int
        Modification time and size of the file, by which changes are recognised.
    digest : str
        As `napari_cxr.checkpoint.model_images.image_digest` names the file.
    """

    radiograph: Radiograph
    data: Any
    attributes: dict[str, Any]
    stamp: tuple[int, int]
    digest: str = ''

    @property
    def nbytes(self) -> int:
        """Memory in bytes."""
        radiograph = self.radiograph
        parts = [radiograph.values, radiograph.padding]
        if self.data is not radiograph.values:
            parts.append(self.data)
        return sum(part.nbytes for part in parts if part is not None)


@dataclass(frozen=True, eq=False)
class LoadedRow:
    """Everything that is shown of a row.

    Parameters
    ----------
    image : LoadedImage
        Its radiograph.
    answer : ExplainedPrediction or None
        Prediction and heatmaps; None for a row that failed.
    problem : Failure or None
        Why there is no prediction although there should be one.
    """

    image: LoadedImage
    answer: ExplainedPrediction | None = None
    problem: Failure | None = None

    @property
    def nbytes(self) -> int:
        """Memory in bytes; the lungs can take more than a small image."""
        if self.answer is None:
            return self.image.nbytes
        field = self.answer.field
        maps = [field.right, field.left, *(each.values for each in self.answer.heatmaps)]
        return self.image.nbytes + sum(each.nbytes for each in maps)


def load_row(
    request: RowRequest, known: LoadedRow | None, file_names: bool
) -> Job[LoadedRow | Failure]:
    """Read a row's file and classify it; a job for `run_job`.

    It yields the `LoadedImage` as soon as it is read, and otherwise texts about progress or None.

    Parameters
    ----------
    request : RowRequest
        The row.
    known : LoadedRow, optional
        What was read before; it counts as long as the file is the same.
    file_names : bool
        Whether the layer is named after the file instead of its number in the table.
    """
    path = request.row.path
    path = image_path_of(path, request.table) if request.table else path
    try:
        state = os.stat(path)
        stamp = state.st_mtime_ns, state.st_size
        if known is not None and known.image.stamp == stamp:
            yield known.image
            return known
        yield 'Reading the image'
        radiograph = yield from read_in_decoder(path)
        digest = image_digest(path)
    except FileNotFoundError:
        return Failure(f'{path} does not exist. Restore the file, or score the folder again.', '')
    except OSError as error:
        return Failure(f'This file cannot be read: {error.strerror}.', '')
    frames, radiograph = radiograph.frames, _first_frame(radiograph)
    # File names may identify patients; the number is that of the column # of the table.
    number = f'Image {request.row.number + 1:,}'
    name = os.path.splitext(os.path.basename(path))[0] if file_names else number
    data, attributes, _ = radiograph_layer_data(radiograph, request.name or name)
    if frames is not None:
        attributes['name'] += f' · first of {frames} frames'
    image = LoadedImage(radiograph, data, attributes, stamp, digest)
    yield image
    if not request.key[-1]:
        return LoadedRow(image)
    yield 'Computing the heatmap'
    try:
        if request.row.decoded not in ('', '1'):  # as it was scored
            radiograph = yield from as_scored(radiograph, request.model)
        answer = yield from classify_radiograph(radiograph, request.model, request.device)
    except Exception as error:
        return LoadedRow(image, problem=failure(error, 'Classifying'))
    return LoadedRow(image, answer)


def _first_frame(radiograph: Radiograph) -> Radiograph:
    """Return the first frame: some graphics drivers crash if layers change dimensions."""
    if radiograph.frames is None:
        return radiograph
    padding = radiograph.padding[0] if radiograph.padding is not None else None
    values = radiograph.values[0].copy()
    return replace(radiograph, values=values, padding=padding, overlays=())


class RowCache:
    """Caches the rows that were used last, within a limit of memory.

    Parameters
    ----------
    max_bytes : int
        The limit.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._rows: OrderedDict[RowKey, LoadedRow] = OrderedDict()

    def __contains__(self, key: RowKey) -> bool:
        return key in self._rows

    @property
    def nbytes(self) -> int:
        """Memory in bytes."""
        return sum(opened.nbytes for opened in self._rows.values())

    def get(self, key: RowKey) -> LoadedRow | None:
        """Return a cached row; it counts as used. None if it is not cached."""
        opened = self._rows.get(key)
        if opened is not None:
            self._rows.move_to_end(key)
        return opened

    def put(self, key: RowKey, opened: LoadedRow, protected: Container[RowKey] = ()) -> bool:
        """Cache a row, in place of the least recently used ones.

        Parameters
        ----------
        key, opened
            The row.
        protected : container of keys
            Rows that stay in the cache.

        Returns
        -------
        bool
            Whether it fits beside the protected ones.
        """
        if opened.nbytes > self._max_bytes:
            return False
        self._rows[key] = opened
        self._rows.move_to_end(key)
        for old in list(self._rows):
            if self.nbytes <= self._max_bytes:
                return True
            if old != key and old not in protected:
                del self._rows[old]
        if self.nbytes <= self._max_bytes:
            return True
        del self._rows[key]
        return False

    def clear(self) -> None:
        """Remove all rows."""
        self._rows.clear()


class RowJob(QObject):
    """Loads one row at a time; its image is available before the prediction is.

    When it is destroyed, its job is cancelled.

    Parameters
    ----------
    parent : QObject, optional
        Qt parent.
    """

    #: What is being done: the `RowRequest` and a text.
    message = Signal(object, str)
    #: The `RowRequest` and its `LoadedImage`.
    image_loaded = Signal(object, object)
    #: The `RowRequest` and its `LoadedRow`, a `Failure`, or None if it was cancelled.
    finished = Signal(object, object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.request: RowRequest | None = None
        self.image: LoadedImage | None = None
        self._result: LoadedRow | Failure | None = None
        self._running: RunningJob | None = None

    def is_loading(self, request: RowRequest) -> bool:
        """Return whether this row is being loaded, and is not cancelled."""
        return self.request is not None and not self._cancelled and self.request.key == request.key

    def start(self, request: RowRequest, known: LoadedRow | None) -> None:
        """Start to load a row; no other job may be running."""
        self.request, self.image, self._result = request, None, None
        self._running = run_job(
            self,
            load_row(request, known, preferences('layers').file_names),
            'Opening the image',
            relay=self._relay,
            done=self._take,
            ended=self._finish,
        )

    def cancel(self) -> None:
        """Ask the job to end; `finished` tells when it has."""
        if self._running is not None:
            self._running.cancel()

    @property
    def _cancelled(self) -> bool:
        return self._running is not None and self._running.cancelled

    def _relay(self, event: LoadedImage | str) -> None:
        if self.request is None or self._cancelled:
            return
        if isinstance(event, LoadedImage):
            self.image = event
            self.image_loaded.emit(self.request, event)
        else:
            self.message.emit(self.request, event)

    def _take(self, outcome: JobOutcome | Failure) -> None:
        if not self._cancelled:
            self._result = outcome if isinstance(outcome, Failure) else outcome.result

    def _finish(self) -> None:
        request, result = self.request, self._result
        self.request = self.image = self._result = self._running = None
        self.finished.emit(request, result)
