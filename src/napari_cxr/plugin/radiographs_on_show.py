"""Which radiographs of a viewer are on show: one at a time, or two side by side.

napari lays all layers on each other. Radiographs of different sizes, in millimetres and in pixels,
make no picture there, and it warns of their units; so opening one hides the others with what
lies on them, and fits the view. Whatever a person shows or hides afterwards stays so.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer

from napari_cxr.plugin.docks import unwrap_viewer
from napari_cxr.plugin.layers import KEY, is_base_image, is_placeholder, lay_on, lying_on
from napari_cxr.plugin.linked_window import LinkedWindow
from napari_cxr.plugin.lungs_layer import lungs_of
from napari_cxr.plugin.side_by_side import SideBySide
from napari_cxr.plugin.source_file import file_behind
from napari_cxr.radiograph import Radiograph

__all__ = [
    'NOTHING_TO_COMPARE',
    'RadiographsOnShow',
    'companions',
    'is_radiograph',
    'watch_viewer',
]

NOTHING_TO_COMPARE = (
    'Two radiographs are compared side by side. Open a second one, or select two in the list of '
    'layers.'
)
#: Units as napari calls them: of what has a size, and of what has none.
_MILLIMETRE, _PIXEL = 'millimeter', 'pixel'


def is_radiograph(layer: Layer) -> bool:
    """Return whether a layer shows an image of a file that we, or napari's reader, opened."""
    if not isinstance(layer, Image) or not is_base_image(layer):
        return False
    return _is_ours(layer) or file_behind(layer) is not None


def companions(base: Image, layers: Iterable[Layer]) -> list[Layer]:
    """Return the layers that lie on a radiograph's: heatmap, outline, overlays, lungs."""
    layers = list(layers)
    lungs = lungs_of(base, layers)
    return [*lying_on(base, layers), *([lungs] if lungs is not None else [])]


def watch_viewer(viewer: ViewerModel) -> RadiographsOnShow:
    """Return what keeps one radiograph of this viewer on show; made at the first call."""
    viewer = unwrap_viewer(viewer)
    if viewer not in _WATCHED:
        _WATCHED[viewer] = RadiographsOnShow(viewer)
    return _WATCHED[viewer]


class RadiographsOnShow:
    """Keeps one radiograph of a viewer on show, and lays two side by side where asked to.

    All radiographs of a viewer have one unit of length, that of the one on show: napari
    draws without units, and warns, where layers differ in them, hidden ones too. Each gets
    its own back as soon as it is the one on show.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer; it is not kept alive.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = weakref.ref(viewer)
        self._own_units: WeakKeyDictionary[Image, tuple[str, ...]] = WeakKeyDictionary()
        #: What was hidden together with each radiograph, and comes back with it.
        self._hidden_with: WeakKeyDictionary[Image, list[weakref.ref[Layer]]] = WeakKeyDictionary()
        #: Radiographs that were on show, the last one at the end.
        self._seen: list[weakref.ref[Image]] = []
        self._fitted: tuple[float, ...] | None = None
        #: What a layer's place was multiplied with to lay it beside another one.
        self._moved: tuple[Image, Image, np.ndarray] | None = None
        self._linked: LinkedWindow | None = None
        self._cells: SideBySide | None = None
        self._acting = False
        for layer in viewer.layers:
            if is_radiograph(layer):
                self._take_up(layer)
        viewer.layers.events.inserted.connect(self._layer_inserted)
        viewer.layers.events.removed.connect(self._layer_removed)

    # -- one at a time --------------------------------------------------------------------

    @property
    def on_show(self) -> list[Image]:
        """The radiographs that are visible, from the bottom."""
        return [layer for layer in self._radiographs() if layer.visible]

    def show_alone(self, base: Image, fit: bool = True) -> None:
        """Hide all radiographs but one, with what lies on them.

        Parameters
        ----------
        base : napari.layers.Image
            The one to show.
        fit : bool
            Whether the view is fitted to it.
        """
        with self._act():
            self._end_comparison()
            for other in self.on_show:
                if other is not base:
                    self._hide(other)
            self._show(base)
            self._match_units()
        if fit:
            self._fit([base])

    def _hide(self, base: Image) -> None:
        over = [layer for layer in companions(base, self._layers()) if layer.visible]
        self._hidden_with[base] = [weakref.ref(layer) for layer in over]
        for layer in (base, *over):
            layer.visible = False

    def _show(self, base: Image) -> None:
        """Show a radiograph, with what was hidden together with it."""
        base.visible = True
        there = set(self._layers())
        for reference in self._hidden_with.pop(base, []):
            layer = reference()
            if layer is not None and layer in there:
                layer.visible = True
        self._seen = [one for one in self._seen if one() not in (None, base)]
        self._seen.append(weakref.ref(base))

    # -- side by side ---------------------------------------------------------------------

    @property
    def comparing(self) -> bool:
        """Whether two lie side by side."""
        return self._moved is not None

    def compare(self, pair: tuple[Image, Image] | None = None) -> str:
        """Lay two radiographs side by side, or show one alone again.

        Two that are selected in napari's list of layers; else the one on show and the one
        that was on show before it. Where both are measured in millimetres they keep their
        sizes; else both get the same height. One camera looks at the same place of both.

        Parameters
        ----------
        pair : tuple of Image, optional
            These two, the left one first, whatever lies side by side now.

        Returns
        -------
        str
            Why it cannot be done; empty if it was.
        """
        viewer = self._viewer()
        if viewer is None:
            return ''
        if self._moved is not None and pair is None:
            left, right, _ = self._moved
            active = viewer.layers.selection.active
            alone = right if active is right else left
            self.show_alone(alone)
            viewer.layers.selection.active = alone
            return ''
        pair = self._pair(viewer) if pair is None else pair
        if pair is None or any(layer.ndim != 2 for layer in pair):
            return NOTHING_TO_COMPARE
        left, right = pair
        with self._act():
            self._end_comparison()
            for other in self.on_show:
                if other not in pair:
                    self._hide(other)
            self._show(left)
            self._show(right)
            self._match_units()
            matrix = self._onto(left, right)
            self.move(right, matrix)
            self._moved = left, right, matrix
            self._linked = LinkedWindow(left, right)
            self._cells = SideBySide(viewer, right, companions, self._grid_left)
        self._fit([left, right])
        return ''

    def _pair(self, viewer: ViewerModel) -> tuple[Image, Image] | None:
        """Return what to compare, the lower one in the list of layers first."""
        there = self._radiographs()
        chosen = [layer for layer in there if layer in viewer.layers.selection]
        if len(chosen) != 2:
            recent = [layer for one in reversed(self._seen) if (layer := one()) in there]
            shown = self.on_show
            # Visible ones first, of these the last shown; sorting keeps the order.
            order = sorted({*recent, *there}, key=lambda x: recent.index(x) if x in recent else 99)
            chosen = sorted(order, key=lambda x: x not in shown)[:2]
        if len(chosen) != 2:
            return None
        first, second = sorted(chosen, key=there.index)
        return first, second

    def _onto(self, left: Image, right: Image) -> np.ndarray:
        """Return the matrix that lays a radiograph on another one, middle to middle.

        Where both are measured in millimetres their sizes stay; else both get one height.
        """
        (top, start), (bottom, end) = left.extent.world[:, -2:]
        (upper, first), (lower, last) = right.extent.world[:, -2:]
        sized = all(self._own_units[layer][-1] != _PIXEL for layer in (left, right))
        factor = 1.0 if sized else (bottom - top) / max(lower - upper, 1e-9)
        matrix = np.diag([factor, factor, 1.0])
        matrix[0, 2] = (top + bottom) / 2 - factor * (upper + lower) / 2
        matrix[1, 2] = (start + end) / 2 - factor * (first + last) / 2
        return matrix

    def _grid_left(self) -> None:
        """Show one alone again: a person has switched napari's grid off."""
        self.compare()

    def _end_comparison(self) -> None:
        if self._moved is not None:
            _, right, matrix = self._moved
            self._moved = None
            self.move(right, np.linalg.inv(matrix))
        if self._linked is not None:
            self._linked.end()
            self._linked = None
        if self._cells is not None:
            self._cells.end()
            self._cells = None

    def move(self, base: Image, matrix: np.ndarray) -> None:
        """Move a radiograph and what lies on it.

        Parameters
        ----------
        base : napari.layers.Image
            Its layer.
        matrix : ndarray, shape (3, 3)
            What their places (y, x, 1) in the world are multiplied with.
        """
        for layer in (base, *companions(base, self._layers())):
            whole = np.eye(layer.ndim + 1)
            whole[-3:, -3:] = matrix  # frames stay where they are
            moved = whole @ np.asarray(layer.affine)
            # What it was before, without the traces of rounding.
            unmoved = np.eye(layer.ndim + 1)
            layer.affine = unmoved if np.allclose(moved, unmoved) else moved

    # -- layers that come, go and change --------------------------------------------------

    def _layer_inserted(self, event: Any) -> None:
        layer = event.value
        if 'overlay' in layer.metadata.get(KEY, {}):
            self._lay_on_its_radiograph(layer)
        if is_radiograph(layer):
            self._take_up(layer)
            if layer.visible and not self._may_be_a_mask(layer):
                self.show_alone(layer)
        layer.events.visible.connect(self._overlay_shown)
        self._show_what_lies_below(layer)
        if layer in self._own_units or is_placeholder(layer):
            with self._act():
                self._match_units()
            if not _is_ours(layer):
                self._withdraw_warning()

    def _layer_removed(self, event: Any) -> None:
        if self._moved is not None and event.value in self._moved[:2]:
            with self._act():
                self._end_comparison()

    def _take_up(self, layer: Image) -> None:
        self._own_units[layer] = _units_of_file(layer)
        if layer.visible:
            self._seen.append(weakref.ref(layer))
        layer.events.visible.connect(self._visible_changed)
        layer.events.units.connect(self._units_changed)

    def _visible_changed(self, event: Any) -> None:
        """Follow what a person shows or hides."""
        base = event.source
        if self._acting or base not in self._layers():
            return
        with self._act():
            if base.visible:
                self._show(base)
            self._match_units()
        shown = self.on_show
        if len(shown) == 1 and self._moved is None and _frame(shown) != self._fitted:
            self._fit(shown)

    def _overlay_shown(self, event: Any) -> None:
        if event.source in self._layers():
            self._show_what_lies_below(event.source)

    def _show_what_lies_below(self, layer: Layer) -> None:
        """Show the radiograph of a heatmap or of lungs: it must not be seen on another one."""
        if self._acting or not layer.visible or not self.on_show:
            return
        for base in self._radiographs():
            if not base.visible and companions(base, [layer]):
                self.show_alone(base)

    def _units_changed(self, event: Any) -> None:
        if not self._acting and event.source in self._layers():
            self._own_units[event.source] = tuple(map(str, event.source.units))
            with self._act():
                self._match_units()

    def _lay_on_its_radiograph(self, overlay: Layer) -> None:
        layers = self._layers()
        below = layers[: layers.index(overlay)]
        bases = [base for base in below if isinstance(base, Image) and _is_ours(base)]
        if bases and isinstance(overlay, Labels) and bases[-1].ndim == overlay.ndim:
            lay_on(overlay, bases[-1])

    def _may_be_a_mask(self, layer: Image) -> bool:
        """Tell whether an image of another reader may be meant to lie on the one on show."""
        return not _is_ours(layer) and any(
            other is not layer
            and other.extent.data[1].tolist() == layer.extent.data[1].tolist()
            and self._own_units[other] == self._own_units[layer]
            for other in self.on_show
        )

    # -- units and view -------------------------------------------------------------------

    def _match_units(self) -> None:
        """Give all radiographs the unit of the one on show; see the class."""
        units = [self._own_units[layer][-1] for layer in self.on_show]
        if not units:
            return
        # Beside a radiograph without millimetres there are none.
        unit = _PIXEL if _PIXEL in units else units[0]
        layers = self._layers()
        for base in self._radiographs():
            _set_units(base, _in_unit(self._own_units[base], unit))
            for layer in companions(base, layers):
                _set_units(layer, tuple(map(str, base.units[-layer.ndim :])))
        for layer in layers:
            if is_placeholder(layer):
                _set_units(layer, (unit,) * layer.ndim)

    def arriving(self, layers: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """Return layers of our reader in the unit of those that are there, so without a warning.

        Their own comes back when one of them is the one on show.

        Parameters
        ----------
        layers : list of LayerData
            As napari takes them from a reader.
        """
        there = [x for x in self._layers() if x in self._own_units or is_placeholder(x)]
        unit, arriving = str(there[0].units[-1]) if there else '', []
        for data, attributes, kind in layers:
            own = tuple(map(_full_name, attributes.get('units', (_PIXEL, _PIXEL))))
            units = _in_unit(own, unit) if unit else own
            arriving.append((data, {**attributes, 'units': units}, kind))
            if kind == 'image' and attributes.get('visible', True):
                unit = own[-1]  # it is alone on show before the next one comes
        return arriving

    def _withdraw_warning(self) -> None:
        """Take away napari's notification that units differ, which they do no more.

        It comes from the first drawing, while napari takes up a layer, and before anybody
        is told of it.
        """
        viewer = self._viewer()
        if viewer is None or viewer.layers.extent.units is None or 'qtpy' not in sys.modules:
            return
        from qtpy.QtWidgets import QApplication

        for widget in QApplication.allWidgets():
            if type(widget).__name__ == 'NapariQtNotification':
                notification: Any = widget
                if notification.message.text().startswith('Inconsistent units'):
                    notification.close()

    def fit(self, base: Image) -> None:
        """Fit the view to a radiograph, or to both where two lie side by side."""
        pair = self._moved[:2] if self._moved is not None else ()
        self._fit(list(pair) if base in pair else [base])

    def _fit(self, shown: list[Image]) -> None:
        viewer = self._viewer()
        if viewer is not None:
            if all(layer.ndim == viewer.dims.ndim for layer in shown):
                viewer.fit_to_view(layers=shown)
            else:
                _fit_beside_frames(viewer, shown)
            self._fitted = _frame(shown)

    @contextmanager
    def _act(self) -> Iterator[None]:
        """Change layers without taking that for the doing of a person."""
        before, self._acting = self._acting, True
        try:
            yield
        finally:
            self._acting = before

    def _layers(self) -> list[Layer]:
        viewer = self._viewer()
        return [] if viewer is None else list(viewer.layers)

    def _radiographs(self) -> list[Image]:
        return [layer for layer in self._layers() if layer in self._own_units]


_WATCHED: WeakKeyDictionary[ViewerModel, RadiographsOnShow] = WeakKeyDictionary()


def _is_ours(layer: Layer) -> bool:
    return isinstance(layer.metadata.get(KEY, {}).get('radiograph'), Radiograph)


def _units_of_file(layer: Image) -> tuple[str, ...]:
    """Return the units of a layer as its file has them, whichever it came with."""
    units = tuple(map(str, layer.units))
    radiograph = layer.metadata.get(KEY, {}).get('radiograph')
    if not isinstance(radiograph, Radiograph):
        return units
    own = _MILLIMETRE if radiograph.geometry.spacing else _PIXEL
    return (*units[:-2], own, own)


def _full_name(unit: str) -> str:
    return _MILLIMETRE if unit == 'mm' else unit


def _in_unit(own: tuple[str, ...], unit: str) -> tuple[str, ...]:
    """Return units of which the last two can be drawn together with another; see the class."""
    alike = (own[-1] == _PIXEL) == (unit == _PIXEL)  # napari converts lengths
    return own if alike else (*own[:-2], unit, unit)


def _set_units(layer: Layer, units: tuple[str, ...]) -> None:
    if tuple(map(str, layer.units)) != units:
        layer.units = units


def _fit_beside_frames(viewer: ViewerModel, shown: list[Image]) -> None:
    """Fit the view to radiographs; napari cannot beside layers with more dimensions."""
    ends = np.concatenate([layer.extent.world[:, -2:] for layer in shown])
    low, high = ends.min(axis=0), ends.max(axis=0)
    size = np.maximum(high - low, 1e-9)
    viewer.scene.camera.center = (0.0, *(low + size / 2))
    viewer.scene.camera.zoom = 0.95 * float(np.min(np.array(viewer.canvas.size) / size))


def _frame(shown: list[Image]) -> tuple[float, ...]:
    """Return where radiographs lie, as far as the view is concerned."""
    return tuple(
        round(float(value), 3) for layer in shown for value in layer.extent.world[:, -2:].ravel()
    )
