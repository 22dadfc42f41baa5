"""The job behind a row that is opened: its radiograph, and what the model says of it."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from threading import Event
from typing import Any, TypeAlias

from napari.qt.threading import thread_worker

from napari_cxr.plugin.classifying import Answer, Failure, Job, asked, failure
from napari_cxr.plugin.layers import radiograph_layer_data
from napari_cxr.plugin.source_file import read_in_decoder
from napari_cxr.radiograph import Radiograph
from napari_cxr.scoring import Row
from napari_cxr.scoring.reopening import file_of

__all__ = ['Key', 'Opened', 'Order', 'Picture', 'fetch']

#: What decides what is shown: path, model, its hash, device, and whether there is a heatmap.
Key: TypeAlias = tuple[str, str, str, str, bool]


@dataclass(frozen=True)
class Order:
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

    row: Row
    model: str
    device: str
    model_hash: str = ''
    table: str = ''

    @property
    def key(self) -> Key:
        """What it is kept under."""
        scored = self.row.status == 'scored'
        return self.row.path, self.model, self.model_hash, self.device, scored

    def is_of(self, answer: Answer) -> bool:
        """Whether an answer is of the model that made the table, as far as that is known."""
        return self.model_hash in ('', answer.prediction.model_hash)


@dataclass(frozen=True, eq=False)
class Picture:
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
class Opened:
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

    picture: Picture
    answer: Answer | None = None
    problem: Failure | None = None

    @property
    def nbytes(self) -> int:
        """Memory that it takes, of which lungs can be more than a small picture."""
        if self.answer is None:
            return self.picture.nbytes
        field = self.answer.field
        maps = [field.right, field.left, *(each.values for each in self.answer.heatmaps)]
        return self.picture.nbytes + sum(each.nbytes for each in maps)


@thread_worker
def fetch(order: Order, known: Opened | None, file_names: bool, cancelled: Event) -> Job[Any]:
    """Read a row's file and classify it; yields the `Picture` as soon as there is one.

    Besides, it yields words about progress, or None.

    Parameters
    ----------
    order : Order
        The row.
    known : Opened, optional
        What was read before; it counts as long as the file is the same.
    file_names : bool
        Whether the layer is named after the file.
    cancelled : threading.Event
        Ends the job when set.

    Returns
    -------
    Opened or Failure
        None if it was cancelled.
    """
    try:
        path = file_of(order.row.path, order.table) if order.table else order.row.path
        state = os.stat(path)
        stamp = state.st_mtime_ns, state.st_size
        if known is not None and known.picture.stamp == stamp:
            yield known.picture
            return known
        yield 'Reading the image'
        radiograph = yield from read_in_decoder(path, cancelled)
        if radiograph is None:
            return None
        frames, radiograph = radiograph.frames, _first_frame(radiograph)
        name = os.path.splitext(os.path.basename(path))[0] if file_names else ''
        data, attributes, _ = radiograph_layer_data(radiograph, name)
        if frames is not None:
            attributes['name'] += f' · first of {frames} frames'
        picture = Picture(radiograph, data, attributes, stamp)
        yield picture
    except FileNotFoundError:
        return Failure(f'There is no file {path}. Put it back, or score the folder anew.', '')
    except OSError as error:
        return Failure(f'This file cannot be read: {error.strerror}.', '')
    except Exception as error:
        return failure(error, 'Opening the image')
    if not order.key[-1]:
        return Opened(picture)
    try:
        answer = yield from asked(radiograph, order.model, order.device, cancelled)
    except Exception as error:
        return Opened(picture, problem=failure(error, 'Classifying'))
    return None if answer is None else Opened(picture, answer)


def _first_frame(radiograph: Radiograph) -> Radiograph:
    """Return what is shown of a file: all rows in layers alike, or drivers end the program."""
    if radiograph.frames is None:
        return radiograph
    padding = radiograph.padding[0] if radiograph.padding is not None else None
    values = radiograph.values[0].copy()
    return replace(radiograph, values=values, padding=padding, overlays=())
