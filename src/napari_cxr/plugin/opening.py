"""Opening files without keeping napari's window waiting.

napari wants the layers of a file when its reader returns, and its window stands still until
then. So a reader waits a moment, in which what is quick is opened; for what is not, it returns a
placeholder, and a job puts the radiographs in its place when they are there.
"""

from __future__ import annotations

import queue
import time
from collections import deque
from collections.abc import Callable, Generator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from napari.components import ViewerModel
from napari.layers import Layer
from napari.utils.notifications import show_info, show_warning
from qtpy.QtCore import QObject, QTimer, Signal
from qtpy.QtWidgets import QWidget

from napari_cxr.plugin.background import (
    ActivityEntry,
    Failure,
    JobOutcome,
    RunningJob,
    run_job,
    when_destroyed,
)
from napari_cxr.plugin.docks import unwrap_viewer
from napari_cxr.plugin.image_opening import (
    FOLDER_LIMIT,
    OpeningEvent,
    OpeningResult,
    open_images,
)
from napari_cxr.plugin.layers import is_placeholder, placeholder_layer_data
from napari_cxr.plugin.preferences import preferences
from napari_cxr.plugin.radiograph import prepare_viewer
from napari_cxr.plugin.radiographs_on_show import watch_viewer
from napari_cxr.plugin.widgets.opening_bar import OpeningBar, OpeningLine

__all__ = [
    'PATIENCE',
    'Opening',
    'open_what_was_left_out',
    'opening_bar',
    'report',
    'show_job',
    'viewers',
]

#: For so long may the window stand still for one file, and for all that are opened together, in
#: seconds.
PATIENCE = 0.4
_PATIENCE_WITH_ALL = 1.0

#: Milliseconds between two looks whether the placeholder is still there.
_INTERVAL = 200
#: For so long may napari take to add a placeholder, in seconds.
_UNSEEN = 10.0
#: After so many seconds of adding layers the window has its turn, for some milliseconds: a layer
#: takes napari a tenth of a second, in which the next file may have been read.
_AT_ONCE = 0.1
_BREATH = 10


class Opening(QObject):
    """One request to open files, in the background.

    Openings run one after another, because one decoder reads for all.

    Parameters
    ----------
    paths : list of Path
        Files and folders.
    viewer : ViewerModel or None
        Where they are opened, as far as is known: napari's readers are not told.
    left : tuple of Path
        Images that were left out before, to be offered again.
    """

    #: Everything is open that can be, or it was cancelled.
    finished = Signal()

    def __init__(
        self, paths: list[Path], viewer: ViewerModel | None, left: tuple[Path, ...] = ()
    ) -> None:
        super().__init__()
        self.result = OpeningResult()
        self._viewer = None if viewer is None else unwrap_viewer(viewer)
        self._token = object()
        self._title = 'Opening a radiograph' if len(paths) == 1 else 'Opening radiographs'
        self._named = f'Opening {paths[0].name if len(paths) == 1 else f"{len(paths):,} files"}'
        self._arrived: queue.SimpleQueue[OpeningEvent | None] = queue.SimpleQueue()
        self._images = _tapped(
            open_images(paths, preferences('layers').file_names, left), self._arrived
        )
        self._job: RunningJob | None = None
        self._ended = self._slow = self._seen = self._cancelled = False
        self._asked = time.monotonic()
        self._first: Layer | None = None
        self._line: OpeningLine | None = None
        self._clock = QTimer(self)
        self._clock.setInterval(_INTERVAL)
        self._clock.timeout.connect(self._follow)
        self._turn = QTimer(self)
        self._turn.setSingleShot(True)
        self._turn.setInterval(_BREATH)
        self._turn.timeout.connect(self._follow)
        _ALIVE.add(self)
        _WAITING.append(self)
        _start_next()

    def layers_within(self, patience: float | None = None) -> list[Any]:
        """Return the layers that are there within a moment, and a placeholder for the others.

        Parameters
        ----------
        patience : float, optional
            Seconds to wait at most; by default `PATIENCE`, less where several files are opened
            one after the other.
        """
        global _spent
        began = time.monotonic()
        if patience is None:
            patience = min(PATIENCE, _PATIENCE_WITH_ALL - _spent)
        layers: list[Any] = []
        while self._job is not None and not self._ended:
            left = began + patience - time.monotonic()
            try:
                event = self._arrived.get(timeout=max(left, 0.0))
            except queue.Empty:
                break
            if event is None:
                self._ended = True
                self._give_way()
            else:
                layers += self.result.take(event)
        if not _spent:
            QTimer.singleShot(0, _forget_spent)
        _spent += time.monotonic() - began
        if not self._ended:
            self._slow = True
            layers.append(placeholder_layer_data(f'{self._title}…', self._token))
            self._clock.start()
        return layers if self._viewer is None else prepare_viewer(self._viewer).arriving(layers)

    def cancel(self) -> None:
        """Give up what is not open yet, and take the placeholder away."""
        self._cancelled = True
        if self._job is not None:
            self._job.cancel()
        else:
            _WAITING.remove(self)
            self._finish()

    def start(self) -> None:
        """Start the job; called when it is this opening's turn."""
        self._job = run_job(
            None,
            self._images,
            'Opening',
            relay=self._relay,
            done=self._take,
            ended=self._finish,
            description=self._title,
        )
        if self._slow:
            self._show_progress()

    # -- as it goes on --------------------------------------------------------------------

    def _relay(self, event: object) -> None:
        # Not at once: Qt delivers all events of a job before it lets the window have its turn.
        if not self._turn.isActive():
            self._turn.start()

    def _follow(self) -> None:
        """Put what has arrived into the place of the placeholder, as long as it is wanted."""
        if not self._slow or self._cancelled:
            return
        placeholder = self._placeholder()
        if placeholder is None:
            if self._seen or time.monotonic() - self._asked > _UNSEEN:
                self.cancel()  # somebody has removed it, or closed the viewer
            return
        if not self._seen:
            self._seen = True
            self._show_progress()
        began = time.monotonic()
        while not self._arrived.empty() and time.monotonic() - began < _AT_ONCE:
            event = self._arrived.get()
            if event is not None:
                self._insert(self.result.take(event), placeholder)
        if self._line is not None:
            self._line.show_progress(self.result.done, len(self.result.plan.files))
        if not self._arrived.empty():
            self._turn.start()

    def _placeholder(self) -> Layer | None:
        known = [self._viewer] if self._viewer is not None else []
        for viewer in [*known, *viewers()]:
            for layer in viewer.layers:
                if is_placeholder(layer, self._token):
                    self._viewer = viewer
                    return layer
        return None

    def _insert(self, layers: list[Any], placeholder: Layer) -> None:
        viewer = self._viewer
        assert viewer is not None  # that of the placeholder
        for data in prepare_viewer(viewer).arriving(layers):
            layer = Layer.create(*data)
            active = viewer.layers.selection.active
            viewer.layers.insert(viewer.layers.index(placeholder), layer)
            if self._first is None:
                self._first = layer
                active = layer if active is placeholder else active
            viewer.layers.selection.active = active

    def _show_progress(self) -> None:
        """Show in the window and in napari's activity view that it takes its time."""
        if self._job is not None and self._viewer is not None and self._line is None:
            ActivityEntry(self._job, self._title, self._fraction_done, self.cancel)
            self._line = _add_line(self._viewer, self._job, self._named, self.cancel)

    def _fraction_done(self, _: object) -> float | None:
        files = len(self.result.plan.files)
        return self.result.done / files if files > 1 else None

    # -- its end --------------------------------------------------------------------------

    def _take(self, outcome: JobOutcome | Failure) -> None:
        if isinstance(outcome, Failure):
            self.result.fail(outcome.text)

    def _finish(self) -> None:
        self._clock.stop()
        with suppress(ValueError):  # napari drops jobs of a window that closes: end it for good
            self._images.close()
        if self._slow and not self._cancelled:
            self._follow()
            if not self._cancelled and not self._arrived.empty():
                QTimer.singleShot(_BREATH, self._finish)
                return
        self._turn.stop()
        self._remove_placeholder()
        viewer, line, self._line = self._viewer, self._line, None
        bar = _bar_that_is_there(viewer)
        if line is not None and bar is not None:
            bar.remove_line(line)
        if not self._cancelled:
            report(self.result, viewer)
        if self.result.done:
            if viewer is not None:
                _select_what_is_shown(viewer)
            else:  # all was quick, and napari has not said where it has put the layers
                for one in viewers():
                    active = one.layers.selection.active
                    if active is not None and not active.visible:
                        _select_what_is_shown(one)
        self._give_way()
        self.finished.emit()
        # Not at once: one of its timers may be what has called.
        QTimer.singleShot(0, partial(_ALIVE.discard, self))

    def _give_way(self) -> None:
        """Let the next opening have its turn."""
        _RUNNING.discard(self)
        _start_next()

    def _remove_placeholder(self) -> None:
        placeholder = self._placeholder() if self._slow else None
        if placeholder is not None and self._viewer is not None:
            self._viewer.layers.remove(placeholder)
            _forget_in_status(self._viewer, placeholder)


def show_job(viewer: ViewerModel, job: RunningJob, text: str) -> None:
    """Show a job that opens a file for a dock in the strip, if it takes its time.

    Parameters
    ----------
    viewer : ViewerModel
        Whose strip.
    job : RunningJob
        What `run_job` returned; the button cancels it.
    text : str
        What is being opened.
    """
    _JobLine(unwrap_viewer(viewer), job, text)


class _JobLine(QObject):
    """The line of a job, from a moment after its start to its end."""

    def __init__(self, viewer: ViewerModel, job: RunningJob, text: str) -> None:
        super().__init__(job)
        self._viewer, self._job, self._text = viewer, job, text
        self._line: OpeningLine | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._show)
        self._timer.start(round(1000 * PATIENCE))
        job.ended.connect(self._end)

    def _show(self) -> None:
        ActivityEntry(self._job, 'Opening a radiograph', lambda _: None, self._job.cancel)
        self._line = _add_line(self._viewer, self._job, self._text, self._job.cancel)

    def _end(self) -> None:
        self._timer.stop()
        bar = _bar_that_is_there(self._viewer)
        if bar is not None and self._line is not None:
            bar.remove_line(self._line)


def _add_line(
    viewer: ViewerModel, job: RunningJob, text: str, cancel: Callable[[], None]
) -> OpeningLine | None:
    """Add a line to a viewer's strip; its end, with the window, ends the job."""
    bar = opening_bar(viewer)
    if bar is None:
        return None
    line = bar.add_line(text)
    line.cancelled.connect(cancel)
    when_destroyed(line, job.cancel)
    return line


def report(result: OpeningResult, viewer: ViewerModel | None) -> None:
    """Say what was not opened, and offer what was left out.

    Parameters
    ----------
    result : OpeningResult
        Of an opening that has ended.
    viewer : ViewerModel or None
        Where it was; without a window, napari's notifications say it.
    """
    if viewer is not None and result.plan.left:
        _LEFT_OUT[viewer] = result.plan.left
    bar = opening_bar(viewer) if viewer is not None and (result.problem or result.notice) else None
    if bar is None:
        if result.problem:
            show_warning(result.problem)
        if result.notice:
            show_info(result.notice)
        return
    if result.problem:
        bar.add_note(result.problem, wrong=True)
    if result.notice or result.offer:
        bar.add_note(result.notice, False, result.offer, partial(open_what_was_left_out, viewer))


def open_what_was_left_out(viewer: ViewerModel) -> bool:
    """Open images that were left out of the last folder, a few dozen at most.

    Returns
    -------
    bool
        Whether there were any.
    """
    viewer = unwrap_viewer(viewer)
    paths = _LEFT_OUT.pop(viewer, ())
    if not paths:
        return False
    bar = _bar_that_is_there(viewer)
    if bar is not None:
        bar.withdraw_offers()
    opening = Opening(list(paths[:FOLDER_LIMIT]), viewer, paths[FOLDER_LIMIT:])
    for data in opening.layers_within():
        viewer.add_layer(Layer.create(*data))
    return True


def opening_bar(viewer: ViewerModel) -> OpeningBar | None:
    """Return the strip of a viewer's window that says what is being opened; made when needed."""
    viewer = unwrap_viewer(viewer)
    window = getattr(viewer, 'window', None)
    if window is None:
        return None
    bar = _bar_that_is_there(viewer)
    if bar is not None:
        return bar
    try:
        bar = OpeningBar(viewer)
        dock = window.add_dock_widget(
            bar,
            name='Opening radiographs',
            area='bottom',
            allowed_areas=['top', 'bottom'],
            add_vertical_stretch=False,
        )
        # napari's title, with its three buttons, is higher than a line of text.
        dock.setTitleBarWidget(QWidget())
    except (RuntimeError, AttributeError):  # the window was closed
        return None
    _BARS[viewer] = bar
    return bar


def _bar_that_is_there(viewer: ViewerModel | None) -> OpeningBar | None:
    bar = None if viewer is None else _BARS.get(viewer)
    try:
        return bar if bar is not None and bar.parent() is not None else None
    except RuntimeError:  # it was closed, or its window
        return None


def _tapped(
    images: Generator[OpeningEvent | None, None, None],
    arrived: queue.SimpleQueue[OpeningEvent | None],
) -> Generator[OpeningEvent | None, None, None]:
    """Run a job as it is, and lay its events down where the GUI thread finds them in time."""
    try:
        with closing(images):
            for event in images:
                if event is not None:
                    arrived.put(event)
                yield event
    finally:
        arrived.put(None)


#: Openings whose turn has not come, and that which runs.
_WAITING: deque[Opening] = deque()
_RUNNING: set[Opening] = set()
#: All of them, until they have ended.
_ALIVE: set[Opening] = set()
_BARS: WeakKeyDictionary[ViewerModel, OpeningBar] = WeakKeyDictionary()
_LEFT_OUT: WeakKeyDictionary[ViewerModel, tuple[Path, ...]] = WeakKeyDictionary()
#: For how long the window stood still for openings, since it last could react.
_spent = 0.0


def _forget_spent() -> None:
    global _spent
    _spent = 0.0


def _start_next() -> None:
    if _WAITING and not _RUNNING:
        opening = _WAITING.popleft()
        _RUNNING.add(opening)
        opening.start()


def _select_what_is_shown(viewer: ViewerModel) -> None:
    """Select the radiograph on show, where napari has selected one that is not, or an overlay."""
    on_show = watch_viewer(viewer)
    selection, shown = viewer.layers.selection, on_show.on_show
    if shown and selection.active not in shown and len(selection) <= 1:
        selection.active = shown[-1]


def _forget_in_status(viewer: ViewerModel, layer: Layer) -> None:
    """Take the name of a layer that is gone out of the status line, before the mouse moves."""
    status = viewer.status
    said = status.values() if isinstance(status, dict) else [status]
    if any(layer.name in str(text) for text in said):
        viewer.status = 'Ready'
        viewer.update_status_from_cursor()  # where it is over the canvas, what it points at


def viewers() -> list[ViewerModel]:
    """Return napari's viewers with a window."""
    from napari import Viewer

    return list(Viewer._instances)
