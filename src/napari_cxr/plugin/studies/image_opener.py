"""Opens images of the study browser: one alone, or two side by side, as quickly as they come."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Sequence
from typing import Any
from weakref import WeakValueDictionary

from napari.components import ViewerModel
from napari.layers import Image, Layer
from qtpy.QtCore import QObject, Signal

from napari_cxr.plugin.background import Failure, JobOutcome, RunningJob, run_job
from napari_cxr.plugin.docks import unwrap_viewer
from napari_cxr.plugin.image_opening import FileNotOpened, FileOpened, open_images
from napari_cxr.plugin.preferences import preferences
from napari_cxr.plugin.radiographs_on_show import companions, watch_viewer

__all__ = ['ImageOpener']

#: So many images stay open; those that were shown longest ago are closed, unless something of a
#: person's lies on them.
MOST_OPEN = 6


class ImageOpener(QObject):
    """Shows images of files, each in a layer of its own; the last request counts.

    Parameters
    ----------
    viewer : ViewerModel
        Where they are shown.
    parent : QObject, optional
        Qt parent; its end cancels what is being opened.
    """

    #: Other images are on show: their paths, the left one first.
    shown = Signal(list)
    #: Something cannot be opened, and why.
    failed = Signal(str)
    #: Whether an image is being opened.
    busy = Signal(bool)

    def __init__(self, viewer: ViewerModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = unwrap_viewer(viewer)
        self._layers: WeakValueDictionary[str, Image] = WeakValueDictionary()
        self._order: list[str] = []  # those that were shown last stand at the end
        self._wanted: tuple[str, ...] = ()
        self._job: RunningJob | None = None

    @property
    def wanted(self) -> tuple[str, ...]:
        """What is on show, or is being opened."""
        return self._wanted

    def layer_of(self, path: str) -> Image | None:
        """Return the layer of a file, if it is open."""
        layer = self._layers.get(path)
        return layer if layer is not None and layer in self._viewer.layers else None

    def open(self, *paths: str) -> None:
        """Show one image alone, or two side by side; returns at once."""
        self._wanted = paths
        if self._job is not None:
            self._job.cancel()
            self._job = None
        missing = [path for path in paths if self.layer_of(path) is None]
        if not missing:
            self._show()
            return
        self.busy.emit(True)
        self._job = run_job(
            self, _read(missing), 'Opening', relay=self._take, done=self._done, ended=self._end
        )

    def _take(self, event: object) -> None:
        if isinstance(event, FileNotOpened):
            self.failed.emit(f'{event.reason}')
        elif isinstance(event, FileOpened) and str(event.path) in self._wanted:
            self._add(event)

    def _add(self, event: FileOpened) -> None:
        viewer = self._viewer
        added = [
            viewer.add_layer(Layer.create(*data))
            for data in watch_viewer(viewer).arriving(list(event.layers))
        ]
        base = added[0]
        if isinstance(base, Image):
            self._layers[str(event.path)] = base
            viewer.layers.selection.active = base

    def _done(self, outcome: JobOutcome | Failure) -> None:
        if isinstance(outcome, Failure):
            self.failed.emit(outcome.text)
        elif not outcome.cancelled:
            self._show()

    def _end(self) -> None:
        if self._job is None or self._job.cancelled:
            return
        self._job = None
        self.busy.emit(False)

    def _show(self) -> None:
        """Show what is wanted, as far as it is open."""
        viewer = self._viewer
        layers = [layer for path in self._wanted if (layer := self.layer_of(path)) is not None]
        watched = watch_viewer(viewer)
        if len(layers) == 2:
            problem = watched.compare((layers[0], layers[1]))
            if problem:
                self.failed.emit(problem)
            viewer.layers.selection.active = layers[0]
        elif layers:
            if watched.comparing or watched.on_show != layers:
                watched.show_alone(layers[0])
            viewer.layers.selection.active = layers[0]
        opened = [path for path in self._wanted if self.layer_of(path) in layers]
        self._order = [path for path in self._order if path not in opened] + opened
        self._close_oldest()
        self.shown.emit(opened)

    def _close_oldest(self) -> None:
        """Close images that nobody has looked at for long, and nobody has worked on."""
        there = [path for path in self._order if self.layer_of(path) is not None]
        for path in there[:-MOST_OPEN]:
            layer = self.layer_of(path)
            if layer is None or layer.visible:
                continue
            over = companions(layer, self._viewer.layers)
            if any('overlay' not in other.metadata.get('napari_cxr', {}) for other in over):
                continue
            for other in (*over, layer):
                with contextlib.suppress(ValueError):
                    self._viewer.layers.remove(other)
        self._order = [path for path in there if self.layer_of(path) is not None]


def _read(paths: Sequence[str]) -> Generator[Any, None, None]:
    from pathlib import Path

    yield from open_images([Path(path) for path in paths], preferences('layers').file_names)
