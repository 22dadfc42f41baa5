"""Opens rows of a table with their heatmaps, and loads the following ones ahead."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from napari.components import ViewerModel
from napari.layers import Image
from qtpy.QtCore import QObject, QTimer, Signal

from napari_cxr.plugin import background
from napari_cxr.plugin.annotation.row_layers import RowLayers
from napari_cxr.plugin.annotation.row_loader import (
    LoadedImage,
    LoadedRow,
    RowCache,
    RowJob,
    RowRequest,
    RunningJobs,
)
from napari_cxr.plugin.background import Failure
from napari_cxr.scoring import ScoreRow
from napari_cxr.workers.decoder_pool import shared_decoder

__all__ = ['RowOpener']

#: Memory for rows that were read ahead or shown before, in bytes: some ten radiographs.
_CACHE = 256 << 20
#: Milliseconds in which nobody sees what was just painted: a key so soon is not about it.
_GLANCE = 150
#: Milliseconds after which an image that has not come is waited for: one that was read ahead has.
_SOON = 120
_OTHER_MODEL = (
    'It is shown without a heatmap: the table was made with another model than {} is now. Score '
    'the folder anew to see what this one says.'
)


class RowOpener(QObject):
    """Opens one row at a time; of several that are asked for, the latest is shown.

    A row that is shown has its radiograph as a layer, and the heatmap of its class over it;
    both are in place of the last row's. All work is done in other processes.

    Parameters
    ----------
    viewer : ViewerModel
        Where rows are shown.
    parent : QObject, optional
        Qt parent.
    """

    #: A row is shown, with its heatmap if it has one: a `Row`.
    opened = Signal(object)
    #: A row could not be shown, or not with its heatmap: a `Row` and one sentence.
    failed = Signal(object, str)
    #: What is being done; empty once nothing is.
    busy = Signal(str)
    #: A row's file was read, to be shown now or perhaps soon: a `Row`.
    fetched = Signal(object)
    #: `on_screen`, `coming` or `awaited` is otherwise now.
    turned = Signal()

    def __init__(self, viewer: ViewerModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        # Made in this thread: so the one is ended before Qt is, and there is one of each.
        background.shared_torch()
        shared_decoder()
        self._layers = RowLayers(viewer)
        self._cache = RowCache(_CACHE)
        self._wanted: RowRequest | None = None
        self._shown: Image | None = None  # of the row that is wanted, until it has all
        self._following: list[RowRequest] = []
        self._ahead: deque[RowRequest] = deque()
        self._on_screen = ''
        self._fresh = False  # what is on screen
        self._glance = QTimer(self)
        self._glance.setSingleShot(True)
        self._glance.setInterval(_GLANCE)
        self._glance.timeout.connect(self._seen)
        self._slow = QTimer(self)
        self._slow.setSingleShot(True)
        self._slow.setInterval(_SOON)
        self._slow.timeout.connect(self._veil)
        #: What ends the jobs, for whoever sees this end.
        self.stops = RunningJobs()
        self._now, self._later = RowJob(self.stops), RowJob(self.stops)
        for work in (self._now, self._later):
            work.told.connect(self._tell)
            work.seen.connect(self._see)
            work.done.connect(self._take)

    @property
    def on_screen(self) -> str:
        """The path of the row whose radiograph is on screen; empty where none is."""
        return self._on_screen if self._layers.shown else ''

    @property
    def coming(self) -> str:
        """The path of a row that nobody can have seen yet: it is being opened, or just was."""
        if self._wanted is not None and self._shown is None:
            return self._wanted.row.path
        return self._on_screen if self._fresh else ''

    @property
    def awaited(self) -> bool:
        """Whether a row is being opened, and no image is on screen meanwhile."""
        return self._wanted is not None and self._shown is None and not self._layers.shown

    def open(
        self, row: ScoreRow, model: str, device: str, model_hash: str = '', table: str = ''
    ) -> None:
        """Show a row as soon as it is there; returns at once.

        Parameters
        ----------
        row : Row
            Of the table; one without probabilities is shown without a heatmap.
        model, device : str
            As `napari_cxr.plugin.classify_job.classify` takes them.
        model_hash : str
            Of the model that made the table: another one's heatmap is not shown.
        table : str
            The table, by which a path is found that is not whole.
        """
        self._wanted, self._shown = RowRequest(row, model, device, model_hash, table), None
        if not self._slow.isActive():
            self._slow.start()
        picture = self._later.picture
        if self._later.is_at(self._wanted):
            if picture is not None:
                self._see(self._wanted, picture)
        elif self._wanted.key not in self._cache:
            self._later.cancel()  # one decoder, one network: whoever clicks goes first
        self._go_on()

    def ahead(
        self,
        rows: Sequence[ScoreRow],
        model: str,
        device: str,
        model_hash: str = '',
        table: str = '',
    ) -> None:
        """Read rows that a person may open next, one by one, once the wanted one is shown.

        Parameters
        ----------
        rows : sequence of Row
            The next one first. They replace those that were named before.
        model, device, model_hash, table : str
            As of `open`.
        """
        self._following = [RowRequest(row, model, device, model_hash, table) for row in rows]
        self._ahead = deque(self._following)
        at_work = self._later.order
        orders = [*self._following, *([self._wanted] if self._wanted is not None else [])]
        if at_work is not None and at_work.key not in {order.key for order in orders}:
            self._later.cancel()
        self._go_on()

    def close(self) -> None:
        """Stop all that is under way, forget what was read and hide what is shown."""
        self._wanted = self._shown = None
        self._slow.stop()
        self.busy.emit('')
        self._following = []
        self._ahead.clear()
        self._now.cancel()
        self._later.cancel()
        self._cache.clear()
        self._layers.hide()

    def _go_on(self) -> None:
        """Start what is next, where nothing stands in its way."""
        wanted = self._wanted
        if wanted is not None:
            if self._later.is_at(wanted) or self._now.is_at(wanted):
                return
            if self._now.order is not None:
                self._now.cancel()  # and here again when it has let go
            else:
                self._now.start(wanted, self._cache.get(wanted.key))
        elif self._now.order is None and self._later.order is None:
            while self._ahead:
                order = self._ahead.popleft()
                if order.key not in self._cache:
                    self._later.start(order, None)
                    break

    def _tell(self, order: RowRequest, words: str) -> None:
        if self._is_wanted(order):
            self.busy.emit(words)

    def _see(self, order: RowRequest, picture: LoadedImage) -> None:
        """Show the radiograph of the wanted row, before its heatmap is there."""
        if self._is_wanted(order):
            self._slow.stop()
            self._shown = self._layers.show(picture)
            self._on_screen, self._fresh = order.row.path, True
            self.turned.emit()
            QTimer.singleShot(0, self._glance.start)  # when it was painted

    def _veil(self) -> None:
        """Take the image before away: it is not that of the row which is being opened."""
        wanted = self._wanted
        if wanted is not None and self._shown is None and wanted.row.path != self._on_screen:
            self._layers.hide()
            self.turned.emit()

    def _seen(self) -> None:
        self._fresh = False
        self.turned.emit()

    def _take(self, order: RowRequest, result: LoadedRow | Failure | None) -> None:
        """Keep and show what was read; then go on."""
        if isinstance(result, LoadedRow):
            kept = self._cache.get(order.key) is result
            if not kept:
                self.fetched.emit(order.row)
            if not kept and result.problem is None:
                precious = {each.key for each in self._following}
                if not self._cache.put(order.key, result, precious):
                    self._ahead.clear()  # what is further on would push out what is near
        if self._is_wanted(order) and result is not None:
            wanted, base = self._wanted, self._shown
            assert wanted is not None
            row = wanted.row
            self._wanted = self._shown = None
            self.busy.emit('')
            if isinstance(result, Failure):
                if base is None:  # what is on screen is another row's
                    self._layers.hide()
                    self._on_screen = ''
                self.turned.emit()
                self.failed.emit(row, result.text)
            elif base is not None:  # which came before
                self._finish(wanted, base, result)
        self._go_on()

    def _finish(self, order: RowRequest, base: Image, opened: LoadedRow) -> None:
        row, strange = order.row, False
        if opened.answer is not None and not order.is_of(opened.answer):
            strange = True
        elif opened.answer is not None:
            labels = opened.answer.prediction.labels
            # A table that was made with another model may have other classes.
            label = row.label if row.label in labels else opened.answer.prediction.leading
            self._layers.lay_over(base, opened.answer, label)
        self.opened.emit(row)
        if opened.problem is not None:
            self.failed.emit(row, f'It is shown without a heatmap. {opened.problem.text}')
        elif strange:
            self.failed.emit(row, _OTHER_MODEL.format(order.model))

    def _is_wanted(self, order: RowRequest) -> bool:
        return self._wanted is not None and self._wanted.key == order.key
