"""Opens rows of a table with their heatmaps, and loads the following ones ahead."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from napari.components import ViewerModel
from napari.layers import Image
from qtpy.QtCore import QElapsedTimer, QObject, QTimer, Signal

from napari_cxr.plugin import background
from napari_cxr.plugin.annotation.row_layers import RowLayers
from napari_cxr.plugin.annotation.row_loader import (
    LoadedImage,
    LoadedRow,
    RowCache,
    RowJob,
    RowRequest,
)
from napari_cxr.plugin.background import Failure
from napari_cxr.plugin.classify_job import shared_inference
from napari_cxr.scoring import ScoreRow
from napari_cxr.workers.decoder_pool import shared_decoder

__all__ = ['RowOpener']

#: Memory for rows that were loaded ahead or shown before, in bytes: about ten radiographs.
_CACHE = 256 << 20
#: Milliseconds after painting in which nobody can react: a key is about the previous image.
_REACTION = 150
#: Milliseconds after which the previous image is hidden; an image loaded ahead is there by then.
_LOADING_DELAY = 120
_OTHER_MODEL = (
    'It is shown without a heatmap: the table was made with another version of {}. Score the '
    'folder again with the current one.'
)


class RowOpener(QObject):
    """Opens one row at a time: the last one that was asked for.

    Its radiograph and the heatmap of its class become layers, in place of those of the previous
    row. All work is done in other processes.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer.
    parent : QObject, optional
        Qt parent.
    """

    #: A `ScoreRow` is shown, with its heatmap if it has one.
    opened = Signal(object)
    #: A `ScoreRow` could not be shown, or only without its heatmap: the row and the reason.
    failed = Signal(object, str)
    #: What is being done; empty when it is done.
    busy = Signal(str)
    #: A `ScoreRow` was loaded, to be shown now or later.
    loaded = Signal(object)
    #: `on_screen`, `pending` or `waiting` has changed.
    layers_changed = Signal()

    def __init__(self, viewer: ViewerModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        # Created in this thread, so that all are ended before Qt, and once only.
        shared_inference()
        background.shared_torch()
        shared_decoder()
        self._layers = RowLayers(viewer)
        self._cache = RowCache(_CACHE)
        #: Whether the heatmaps of doubtful images are shown: their predictions are withheld.
        self.reveals_doubtful = False
        #: Whether the heatmap of a row is hidden, and what its image is called then.
        self.hides: Callable[[ScoreRow], bool] = lambda row: False
        self.name_of: Callable[[ScoreRow], str] = lambda row: ''
        #: The image on screen: the hash and the bytes of its file.
        self.image: tuple[str, int] = ('', 0)
        self._seen = QElapsedTimer()
        self._wanted: RowRequest | None = None
        self._shown: Image | None = None  # the layer of the wanted row, until it is complete
        self._following: list[RowRequest] = []
        self._ahead: deque[RowRequest] = deque()
        self._on_screen = ''
        self._just_shown = False  # nobody can have seen it yet
        self._reaction_timer = QTimer(self)
        self._reaction_timer.setSingleShot(True)
        self._reaction_timer.setInterval(_REACTION)
        self._reaction_timer.timeout.connect(self._mark_seen)
        self._loading_delay = QTimer(self)
        self._loading_delay.setSingleShot(True)
        self._loading_delay.setInterval(_LOADING_DELAY)
        self._loading_delay.timeout.connect(self._hide_stale)
        self._now, self._later = RowJob(self), RowJob(self)
        for job in (self._now, self._later):
            job.message.connect(self._show_busy)
            job.image_loaded.connect(self._show_image)
            job.finished.connect(self._take)

    @property
    def on_screen(self) -> str:
        """Path of the row whose radiograph is visible; empty if none is."""
        return self._on_screen if self._layers.shown else ''

    @property
    def pending(self) -> str:
        """Path of the row that is being opened or was just shown: nobody can have seen it yet."""
        if self._wanted is not None and self._shown is None:
            return self._wanted.row.path
        return self._on_screen if self._just_shown else ''

    @property
    def waiting(self) -> bool:
        """Whether a row is being opened, and no image is visible meanwhile."""
        return self._wanted is not None and self._shown is None and not self._layers.shown

    def open(
        self, row: ScoreRow, model: str, device: str, model_hash: str = '', table: str = ''
    ) -> None:
        """Show a row as soon as it is loaded; returns at once.

        Parameters
        ----------
        row : ScoreRow
            The row; one that failed is shown without a heatmap.
        model, device : str
            As `napari_cxr.plugin.classify_job.classify` takes them.
        model_hash : str
            Of the model that made the table: heatmaps of other models are not shown.
        table : str
            Path of the table, by which a relative path is resolved.
        """
        self._wanted = RowRequest(row, model, device, model_hash, table, self.name_of(row))
        self._shown = None
        if not self._loading_delay.isActive():
            self._loading_delay.start()
        image = self._later.image
        if self._later.is_loading(self._wanted):
            if image is not None:
                self._show_image(self._wanted, image)
        elif self._wanted.key not in self._cache:
            self._later.cancel()  # it shares decoder and network
        self._go_on()

    def load_ahead(
        self,
        rows: Sequence[ScoreRow],
        model: str,
        device: str,
        model_hash: str = '',
        table: str = '',
    ) -> None:
        """Load rows that may be opened next, one by one, after the wanted one is shown.

        Parameters
        ----------
        rows : sequence of ScoreRow
            In the order of loading; they replace those of the last call.
        model, device, model_hash, table : str
            As for `open`.
        """
        self._following = [
            RowRequest(row, model, device, model_hash, table, self.name_of(row)) for row in rows
        ]
        self._ahead = deque(self._following)
        at_work = self._later.request
        requests = [*self._following, *([self._wanted] if self._wanted is not None else [])]
        if at_work is not None and at_work.key not in {request.key for request in requests}:
            self._later.cancel()
        self._go_on()

    def close(self) -> None:
        """Cancel all jobs, clear the cache and hide the layers."""
        self._wanted = self._shown = None
        self._loading_delay.stop()
        self.busy.emit('')
        self._following = []
        self._ahead.clear()
        self._now.cancel()
        self._later.cancel()
        self._cache.clear()
        self._layers.hide()

    def _go_on(self) -> None:
        """Start the next job, if nothing else is running."""
        wanted = self._wanted
        if wanted is not None:
            if self._later.is_loading(wanted) or self._now.is_loading(wanted):
                return
            if self._now.request is not None:
                self._now.cancel()  # and continue when it has ended
            else:
                self._now.start(wanted, self._cache.get(wanted.key))
        elif self._now.request is None and self._later.request is None:
            while self._ahead:
                request = self._ahead.popleft()
                if request.key not in self._cache:
                    self._later.start(request, None)
                    break

    def _show_busy(self, request: RowRequest, text: str) -> None:
        if self._is_wanted(request):
            self.busy.emit(text)

    def _show_image(self, request: RowRequest, image: LoadedImage) -> None:
        """Show the radiograph of the wanted row, before its heatmap is computed."""
        if self._is_wanted(request):
            self._loading_delay.stop()
            again = request.row.path == self.on_screen  # such as with its heatmap
            self._shown = self._layers.show(image)
            self._on_screen, self._just_shown = request.row.path, not again
            self.image = image.digest, image.stamp[1]
            if not again:
                self._seen.start()
            self.layers_changed.emit()
            QTimer.singleShot(0, self._reaction_timer.start)  # after painting

    @property
    def seconds(self) -> float:
        """For how long the image has been on screen; 0 if none is."""
        return self._seen.elapsed() / 1000 if self.on_screen and self._seen.isValid() else 0.0

    def _hide_stale(self) -> None:
        """Hide the previous image, which is not that of the row that is being opened."""
        wanted = self._wanted
        if wanted is not None and self._shown is None and wanted.row.path != self._on_screen:
            self._layers.hide()
            self.layers_changed.emit()

    def _mark_seen(self) -> None:
        self._just_shown = False
        self.layers_changed.emit()

    def _take(self, request: RowRequest, result: LoadedRow | Failure | None) -> None:
        """Cache and show a loaded row; then continue."""
        if isinstance(result, LoadedRow):
            cached = self._cache.get(request.key) is result
            if not cached:
                self.loaded.emit(request.row)
            if not cached and result.problem is None:
                protected = {each.key for each in self._following}
                if not self._cache.put(request.key, result, protected):
                    self._ahead.clear()  # later rows would displace earlier ones
        if self._is_wanted(request) and result is not None:
            wanted, base = self._wanted, self._shown
            assert wanted is not None
            row = wanted.row
            self._wanted = self._shown = None
            self.busy.emit('')
            if isinstance(result, Failure):
                if base is None:  # another row is on screen
                    self._layers.hide()
                    self._on_screen = ''
                self.layers_changed.emit()
                self.failed.emit(row, result.text)
            elif base is not None:  # the radiograph is shown
                self._finish(wanted, base, result)
        self._go_on()

    def _finish(self, request: RowRequest, base: Image, opened: LoadedRow) -> None:
        row, other_model = request.row, False
        hidden = self.hides(row)
        withheld = hidden or (bool(row.doubts) and not self.reveals_doubtful)
        if opened.answer is not None and not request.is_of(opened.answer):
            other_model = True
        elif opened.answer is not None and not withheld:
            labels = opened.answer.prediction.labels
            # A table that was made with another model may have other classes.
            label = row.label if row.label in labels else opened.answer.prediction.leading
            self._layers.show_heatmap(base, opened.answer, label)
        self.opened.emit(row)
        if hidden:
            return  # whether there would be a heatmap is nothing to be told
        if opened.problem is not None:
            self.failed.emit(row, f'It is shown without a heatmap. {opened.problem.text}')
        elif other_model:
            self.failed.emit(row, _OTHER_MODEL.format(request.model))

    def _is_wanted(self, request: RowRequest) -> bool:
        return self._wanted is not None and self._wanted.key == request.key
