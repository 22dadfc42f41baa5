"""What a person does with the radiographs of a viewer, by key, by menu and in the dock alike."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image
from napari.utils.notifications import show_info, show_warning
from qtpy.QtCore import QObject, Signal

from napari_cxr.correction import Correction
from napari_cxr.plugin.background import Failure, JobOutcome, run_job
from napari_cxr.plugin.docks import unwrap_viewer
from napari_cxr.plugin.lungs_layer import lungs_of
from napari_cxr.plugin.model_correction import (
    apply_correction,
    correct_radiograph,
    correction_of,
)
from napari_cxr.plugin.radiograph import zoom
from napari_cxr.plugin.radiograph.canvas_context import keep_canvas_current
from napari_cxr.plugin.radiograph.local_contrast import (
    contrast_range,
    local_contrast,
    local_contrast_layer,
)
from napari_cxr.plugin.radiograph.magnifier import Magnifier, canvas_under_mouse
from napari_cxr.plugin.radiograph.measure_tool import MeasureTool
from napari_cxr.plugin.radiograph.ratio_proposal import propose_ratio
from napari_cxr.plugin.radiograph.status_values import StatusValues
from napari_cxr.plugin.radiograph.window_drag import WindowDrag
from napari_cxr.plugin.radiograph_views import views_of
from napari_cxr.plugin.standard_windows import windows_of

__all__ = ['KEYS', 'RadiographTools', 'tools_of']

#: Keys of the canvas, and the methods of `RadiographTools` that they call. napari leaves them
#: free where an image is selected; the tools of other layers go before them.
KEYS = {
    'I': 'invert',
    'H': 'mirror',
    'R': 'turn_right',
    'Shift-R': 'turn_left',
    'W': 'next_window',
    'Shift-W': 'previous_window',
    'Q': 'reset',
    'L': 'toggle_local_contrast',
    'G': 'toggle_magnifier',
    'F': 'fit',
    'Shift-F': 'whole_pixels',
    'Shift-D': 'real_size',
    'Control-Z': 'undo',
    'Control-Shift-Z': 'redo',
    'Delete': 'delete_measurement',
    'Backspace': 'delete_measurement',
    'M': 'measure_length',
    'Shift-M': 'measure_angle',
    'Shift-H': 'measure_ratio',
    'Escape': 'stop_measuring',
    **{f'Alt-{number}': f'window_{number}' for number in range(1, 10)},
}
_NONE = 'Open a chest radiograph first.'


class RadiographTools(QObject):
    """Everything that can be done to the view of a radiograph, each a method without arguments.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer; it is not kept alive.
    """

    #: A switch has changed: local contrast, the magnifier, or what a model sees.
    switched = Signal()

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self._viewer = weakref.ref(viewer)
        self.views = views_of(viewer)
        self.drag = WindowDrag(self.views)
        self.measure = MeasureTool(viewer, self.views)
        self.status = StatusValues(viewer, self.views)
        self.magnifying = False
        self._lens: Magnifier | None = None
        self._equalising: set[int] = set()
        keep_canvas_current(viewer)
        viewer.mouse_drag_callbacks.append(self.drag)
        viewer.mouse_move_callbacks.append(self._moved)
        for key, name in KEYS.items():
            _bind(viewer, key, weakref.ref(self), name)

    @property
    def viewer(self) -> ViewerModel | None:
        """The viewer, as long as it is there."""
        return self._viewer()

    @property
    def base(self) -> Image | None:
        """The radiograph that is meant; see `RadiographViews.current`."""
        return self.views.current

    def act(self, name: str) -> None:
        """Do one of `KEYS`, or say that there is no radiograph."""
        if self.base is None:
            show_info(_NONE)
            return
        if name.startswith('window_'):
            self.show_window(int(name.removeprefix('window_')) - 1)
        else:
            getattr(self, name)()

    # -- window -----------------------------------------------------------------------------

    def show_window(self, at: int) -> None:
        """Show one of `windows_of` the radiograph, by its place."""
        base = self.base
        windows = windows_of(base) if base is not None else ()
        if base is not None and 0 <= at < len(windows):
            self.views.show_window(base, windows[at])

    def current_window(self) -> int:
        """Return the place of the window that is shown; -1 for one that a person has set."""
        base = self.base
        for at, window in enumerate(windows_of(base) if base is not None else ()):
            if base is not None and np.allclose(base.contrast_limits, window.limits):
                return at
        return -1

    def next_window(self) -> None:
        """Show the next window of the list."""
        self._step(1)

    def previous_window(self) -> None:
        """Show the previous window of the list."""
        self._step(-1)

    def _step(self, step: int) -> None:
        base = self.base
        windows = windows_of(base) if base is not None else ()
        if windows:
            at = self.current_window()
            self.show_window((at + step) % len(windows) if at >= 0 or step > 0 else 0)

    def invert(self) -> None:
        """Exchange black and white on screen."""
        self._correct(Correction(inverted=True))

    def mirror(self) -> None:
        """Exchange left and right on screen."""
        self._correct(Correction(mirrored=True))

    def turn_right(self) -> None:
        """Turn the view by 90 degrees clockwise."""
        self._correct(Correction(turns=1))

    def turn_left(self) -> None:
        """Turn the view by 90 degrees anticlockwise."""
        self._correct(Correction(turns=3))

    def _correct(self, correction: Correction) -> None:
        base = self.base
        if base is None:
            return
        if correction.inverted and base.rgb:
            show_info('A colour image cannot be inverted on screen.')
            return
        self.views.correct(base, correction)
        if correction.turns % 2:
            self.fit()

    def reset(self) -> None:
        """Show the radiograph as its file says, and fit it."""
        base = self.base
        if base is not None:
            self.views.reset(base)
            self.fit()
            self.switched.emit()

    def undo(self) -> None:
        """Take back the last thing that was done to the view, or drawn on it."""
        base = self.base
        if self.measure.kind:
            self.stop_measuring()
        elif base is not None:
            self.views.undo(base)

    def redo(self) -> None:
        """Do again what was taken back last."""
        base = self.base
        if base is not None and not self.measure.kind:
            self.views.redo(base)

    # -- size -------------------------------------------------------------------------------

    def fit(self) -> None:
        """Fit the view to the radiograph."""
        self._zoom(zoom.fit)

    def whole_pixels(self) -> None:
        """Draw a pixel of the radiograph as a pixel of the screen."""
        self._zoom(zoom.whole_pixels)

    def real_size(self) -> None:
        """Draw the radiograph as large as its spacing says."""
        base = self.base
        problem = zoom.real_size_problem(base) if base is not None else ''
        if problem:
            show_info(problem)
        else:
            self._zoom(zoom.real_size)

    def _zoom(self, act: Callable[[ViewerModel, Image], None]) -> None:
        viewer, base = self.viewer, self.base
        if viewer is not None and base is not None:
            act(viewer, base)

    # -- local contrast ---------------------------------------------------------------------

    @property
    def has_local_contrast(self) -> bool:
        """Whether the radiograph is shown with local contrast."""
        base = self.base
        return base is not None and any(
            layer.visible for layer in self.views.contrast_layers(base)
        )

    def toggle_local_contrast(self) -> None:
        """Show the radiograph with more local contrast, or without."""
        base = self.base
        if base is None:
            return
        layers = self.views.contrast_layers(base)
        if layers:
            self.views.remember(base)
            for layer in layers:
                layer.visible = not layer.visible
            self.switched.emit()
        elif base.rgb or base.ndim != 2:
            show_info('Local contrast needs a single grey image.')
        elif id(base) not in self._equalising:
            self._equalising.add(id(base))
            data = base.data[0] if base.multiscale else base.data
            run_job(
                self,
                partial(local_contrast, np.asarray(data), contrast_range(base)),
                'Computing the local contrast',
                done=partial(self._take_contrast, base, base.data),
                ended=partial(self._equalising.discard, id(base)),
            )

    def _take_contrast(self, base: Image, data: Any, outcome: JobOutcome | Failure) -> None:
        viewer = self.viewer
        if isinstance(outcome, Failure):
            show_warning(outcome.text)
        elif viewer is not None and base in viewer.layers and base.data is data:
            self.views.remember(base)
            selected = viewer.layers.selection.active
            layer = local_contrast_layer(base, outcome.result)
            viewer.layers.insert(viewer.layers.index(base) + 1, layer)
            viewer.layers.selection.active = selected
        self.switched.emit()

    # -- magnifier --------------------------------------------------------------------------

    def toggle_magnifier(self) -> None:
        """Let a magnifier follow the cursor, or no more."""
        self.magnifying = not self.magnifying
        if not self.magnifying and self._lens is not None:
            self._lens.hide()
        self.switched.emit()

    def _moved(self, viewer: ViewerModel, event: Any) -> None:
        if not self.magnifying:
            return
        base = self.views.at(event.position)
        lens = self._lens_on_canvas()
        if lens is None:
            return
        if base is None or base.ndim != 2:
            lens.hide()
        else:
            shown = self.views.shown_of(base)
            lens.look_at(shown, event.position, tuple(event.pos), viewer.scene.camera.zoom)

    def _lens_on_canvas(self) -> Magnifier | None:
        if self._lens is None:
            canvas = canvas_under_mouse()
            if canvas is None:
                return None
            self._lens = Magnifier(canvas)
        return self._lens

    # -- measuring --------------------------------------------------------------------------

    def measure_length(self) -> None:
        """Begin to draw a length, or leave off."""
        self.measure.start('length')

    def measure_angle(self) -> None:
        """Begin to draw an angle, or leave off."""
        self.measure.start('angle')

    def stop_measuring(self) -> None:
        """Leave off drawing a measurement."""
        self.measure.start('')

    def delete_measurement(self) -> None:
        """Remove the measurement under the cursor."""
        if not self.measure.remove_under_cursor():
            show_info('Point at a measurement to delete it.')

    def measure_ratio(self) -> None:
        """Propose the lines of the cardiothoracic ratio by the lung field."""
        viewer, base = self.viewer, self.base
        if viewer is None or base is None:
            return
        if base.ndim != 2:
            show_info('The cardiothoracic ratio needs a single image.')
            return
        run_job(
            self,
            propose_ratio(base, lungs_of(base, viewer.layers)),
            'Finding heart and lungs',
            done=partial(self._take_ratio, base, base.data),
        )

    def _take_ratio(self, base: Image, data: Any, outcome: JobOutcome | Failure) -> None:
        viewer = self.viewer
        if isinstance(outcome, Failure):
            show_warning(outcome.text)
        elif viewer is not None and base in viewer.layers and base.data is data:
            self.measure.add(base, [outcome.result])

    @property
    def has_scale_bar(self) -> bool:
        """Whether napari's scale bar is on the canvas."""
        viewer = self.viewer
        return viewer is not None and bool(viewer.canvas.overlays.scale_bar.visible)

    def show_scale_bar(self, wanted: bool) -> None:
        """Show napari's scale bar, or hide it."""
        viewer = self.viewer
        if viewer is not None:
            viewer.canvas.overlays.scale_bar.visible = wanted

    # -- what a model sees ------------------------------------------------------------------

    def use_view_for_model(self) -> None:
        """Let models see the radiograph as it lies on screen: inverted, mirrored, turned."""
        base = self.base
        if base is not None and self.views.lies(base):
            self._correct_pixels(base, self.views.lies(base))

    def use_file_for_model(self) -> None:
        """Let models see the radiograph as its file says again."""
        base = self.base
        if base is not None and correction_of(base):
            self._correct_pixels(base, correction_of(base).inverse())

    def _correct_pixels(self, base: Image, correction: Correction) -> None:
        run_job(
            self,
            correct_radiograph(base, correction),
            'Correcting the image',
            done=partial(self._take_correction, base),
        )

    def _take_correction(self, base: Image, outcome: JobOutcome | Failure) -> None:
        viewer = self.viewer
        if isinstance(outcome, Failure):
            show_warning(outcome.text)
        elif viewer is not None and outcome.result is not None:
            apply_correction(viewer, base, outcome.result)
        self.switched.emit()


def _bind(viewer: ViewerModel, key: str, tools: weakref.ref[RadiographTools], name: str) -> None:
    """Bind a key of the canvas, unless somebody has given it another meaning."""

    def press(viewer: ViewerModel) -> None:  # a function, since napari asks for its name
        found = tools()
        if found is not None:
            found.act(name)

    press.__doc__ = 'Chest X-ray: ' + name.replace('_', ' ')
    with suppress(ValueError):
        viewer.bind_key(key, press)


_TOOLS: WeakKeyDictionary[ViewerModel, RadiographTools] = WeakKeyDictionary()


def tools_of(viewer: ViewerModel) -> RadiographTools:
    """Return the tools of a viewer; at the first call they are bound to mouse and keys."""
    viewer = unwrap_viewer(viewer)
    if viewer not in _TOOLS:
        _TOOLS[viewer] = RadiographTools(viewer)
    return _TOOLS[viewer]
