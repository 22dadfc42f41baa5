"""The dock "Chest radiograph": how a radiograph is shown, and what lies under the cursor."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from napari.components import ViewerModel
from napari.layers import Image
from qtpy.QtCore import QSignalBlocker, QTimer
from qtpy.QtWidgets import (
    QDoubleSpinBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from napari_cxr.plugin.base_dock import Dock
from napari_cxr.plugin.docks import unwrap_viewer
from napari_cxr.plugin.model_correction import correction_of
from napari_cxr.plugin.radiograph.measure_panel import MeasurePanel
from napari_cxr.plugin.radiograph.pixel_values import pixel_value
from napari_cxr.plugin.radiograph.tools import tools_of
from napari_cxr.plugin.radiograph.zoom import geometry_of, real_size_problem, spacing_text
from napari_cxr.plugin.standard_windows import windows_of
from napari_cxr.plugin.style import keep_space, quiet_label, separator_line
from napari_cxr.plugin.widgets.sections import fill_dock
from napari_cxr.plugin.widgets.text import ElidedComboBox, ElidedLine, PlainLabel

__all__ = ['RadiographDock']

_EMPTY = (
    'Open a chest radiograph to begin: drop a DICOM, PNG, JPEG or TIFF file onto the viewer, '
    'or choose File ▸ Open Sample ▸ Chest radiographs.'
)
_DRAG = 'Right-drag: right is wider, down is darker.'
_OWN = 'Set by hand'
#: Milliseconds until numbers follow a drag.
_NUMBERS = 60
_NOWHERE = 'Move the cursor over the radiograph to read its values.'


class RadiographDock(Dock):
    """Window, polarity, orientation and size of the radiograph on show, and its grey values.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        The viewer; a bare `ViewerModel` does as well.
    """

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__(napari_viewer)
        self._viewer = unwrap_viewer(napari_viewer)
        self.tools = tools_of(self._viewer)
        self._followed: Image | None = None
        self._position: Any = None
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(0)
        self._soon.timeout.connect(self._show)
        #: A drag changes the window faster than a person reads its numbers.
        self._numbers_soon = QTimer(self)
        self._numbers_soon.setSingleShot(True)
        self._numbers_soon.setInterval(_NUMBERS)
        self._numbers_soon.timeout.connect(self._show_window)
        self._build()
        self.tools.views.changed.connect(self._later)
        self.tools.switched.connect(self._later)
        self.tools.measure.changed.connect(self._later)
        self._viewer.cursor.events.position.connect(self._cursor_moved)
        self._show()

    def _build(self) -> None:
        self.name = ElidedLine()
        self.spacing = quiet_label()
        self.windows = ElidedComboBox(
            'Which grey values are black and white: of the file, standard'
        )
        self.windows.setAccessibleName('Window')
        self.windows.activated.connect(self.tools.show_window)
        self.window_level, self.window_width = self._number('Level'), self._number('Width')
        self.invert = self._button('Invert', 'invert', 'Exchange black and white (I)')
        self.mirror = self._button('Mirror', 'mirror', 'Exchange left and right (H)')
        self.left = self._button('Turn left', 'turn_left', 'Turn anticlockwise (Shift+R)')
        self.right = self._button('Turn right', 'turn_right', 'Turn clockwise (R)')
        self.contrast = self._button(
            'Local contrast',
            'toggle_local_contrast',
            'Make local contrast alike (CLAHE), for the eye alone: no model sees it (L)',
            switch=True,
        )
        self.lens = self._button(
            'Magnifier', 'toggle_magnifier', 'Let a magnifier follow the cursor (G)', switch=True
        )
        self.fit = self._button('Fit', 'fit', 'Fit the radiograph into the canvas (F)')
        self.pixels = self._button(
            '1:1', 'whole_pixels', 'One pixel of the image on one pixel of the screen (Shift+F)'
        )
        self.pixels.setAccessibleName('One to one')
        self.real = self._button('Real size', 'real_size', '')
        self.undo = self._button(
            'Undo', 'undo', 'Take back the last change of the view, or what was drawn (Ctrl+Z)'
        )
        self.redo = self._button('Redo', 'redo', 'Do again what was taken back (Ctrl+Shift+Z)')
        self.reset = self._button('Reset', 'reset', 'Show the radiograph as its file says (Q)')
        self.seen = PlainLabel()
        self.seen.setWordWrap(True)
        keep_space(self.seen, lines=2)
        self.use_view = self._button(
            'Use this view for the model',
            'use_view_for_model',
            'Let models see the radiograph inverted, mirrored and turned as it is on screen. '
            'The file stays as it is; every result says what was done.',
        )
        self.use_file = self._button(
            'Use the file as it is',
            'use_file_for_model',
            'Let models see the radiograph as its file says again',
        )
        self.value = PlainLabel(_NOWHERE)
        self.value.setWordWrap(True)
        self.value.setAccessibleName('Grey value under the cursor')
        keep_space(self.value, lines=2)
        self.hint = quiet_label(_DRAG)
        view = self._page(
            self.windows,
            self._grid(
                (PlainLabel('Level'), self.window_level),
                (PlainLabel('Width'), self.window_width),
                stretches=(0, 1),
            ),
            self.hint,
            self._grid(
                (self.invert, self.mirror),
                (self.left, self.right),
                (self.contrast, self.lens),
            ),
            self._row(self.fit, self.pixels, self.real),
            self._row(self.undo, self.redo, self.reset),
            separator_line(),
            self.seen,
            self.use_view,
            self.use_file,
        )
        self.measuring = MeasurePanel(self.tools)
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        self.tabs.addTab(view, 'View')
        self.tabs.addTab(self.measuring, 'Measure')
        fill_dock(self, self.name, self.spacing, self.value, self.tabs)

    # -- parts --------------------------------------------------------------------------------

    def _number(self, name: str) -> QDoubleSpinBox:
        field = QDoubleSpinBox()
        field.setRange(-1e12, 1e12)
        field.setDecimals(0)
        field.setKeyboardTracking(False)
        field.setAccessibleName(name)
        field.setToolTip(f'{name} of the window, in the values of the image')
        field.setMinimumWidth(70)
        field.valueChanged.connect(self._set_window)
        return field

    def _button(self, text: str, name: str, tip: str, switch: bool = False) -> QPushButton:
        button = QPushButton(text)
        button.setCheckable(switch)
        button.setAccessibleName(text)
        button.setToolTip(tip)
        button.setMinimumWidth(button.fontMetrics().horizontalAdvance(text) + 14)
        act: Callable[[], None] = partial(self.tools.act, name)
        button.clicked.connect(lambda *_: act())
        return button

    @staticmethod
    def _page(*widgets: QWidget) -> QWidget:
        page = QWidget()
        layout = QVBoxLayout(page)
        layout.setContentsMargins(0, 8, 0, 0)
        layout.setSpacing(8)
        for widget in widgets:
            layout.addWidget(widget)
        layout.addStretch(1)
        return page

    @staticmethod
    def _row(*widgets: QWidget) -> QWidget:
        row = QWidget()
        layout = QHBoxLayout(row)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        for widget in widgets:
            layout.addWidget(widget, 0 if isinstance(widget, QLabel) else 1)
        return row

    @staticmethod
    def _grid(*rows: tuple[QWidget, ...], stretches: tuple[int, ...] = (1, 1)) -> QWidget:
        grid = QWidget()
        layout = QGridLayout(grid)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        for at, row in enumerate(rows):
            for column, widget in enumerate(row):
                layout.addWidget(widget, at, column)
                layout.setColumnStretch(column, stretches[column])
        return grid

    # -- showing ------------------------------------------------------------------------------

    def _later(self, *_: Any) -> None:
        self._soon.start()

    def _window_changed(self, event: Any = None) -> None:
        if not self._numbers_soon.isActive():
            self._numbers_soon.start()

    def _show_window(self) -> None:
        """Show which window the radiograph has."""
        self._show_windows(self.tools.base)
        self._show_window_numbers()
        self._show_value()

    def _show(self) -> None:
        """Show what is so of the radiograph that is meant."""
        base = self.tools.base
        self._follow(base)
        there = base is not None
        grey = base is not None and not base.rgb
        self.name.show_text(base.name if base is not None else 'No radiograph')
        self.spacing.setText(spacing_text(geometry_of(base)) if base is not None else _EMPTY)
        for button in (self.mirror, self.left, self.right, self.fit, self.pixels, self.reset):
            button.setEnabled(there)
        for field in (self.windows, self.window_level, self.window_width, self.invert):
            field.setEnabled(grey)
        self.contrast.setEnabled(grey and base is not None and base.ndim == 2)
        self.lens.setEnabled(there)
        self.contrast.setChecked(self.tools.has_local_contrast)
        self.lens.setChecked(self.tools.magnifying)
        self.undo.setEnabled(self.tools.views.can_undo(base))
        self.redo.setEnabled(self.tools.views.can_redo(base))
        problem = real_size_problem(base) if base is not None else ''
        self.real.setEnabled(there and not problem)
        self.real.setToolTip(problem or 'As large as its spacing says, on this screen (Shift+D)')
        self._show_window()
        self._show_model_view(base)
        self.measuring.show_radiograph(base)

    def _follow(self, base: Image | None) -> None:
        """Follow the window of another radiograph, and let go of the one before."""
        if base is self._followed:
            return
        if self._followed is not None:
            self._followed.events.contrast_limits.disconnect(self._window_changed)
            self._followed.events.name.disconnect(self._later)
        self._followed = base
        if base is not None:
            base.events.contrast_limits.connect(self._window_changed)
            base.events.name.connect(self._later)

    def _show_windows(self, base: Image | None) -> None:
        names = [window.name for window in windows_of(base)] if base is not None else []
        at = self.tools.current_window()
        with QSignalBlocker(self.windows):
            if [self.windows.itemText(i) for i in range(len(names))] != names or (
                self.windows.count() != len(names)
            ):
                self.windows.clear()
                self.windows.addItems(names)
            self.windows.setPlaceholderText(_OWN)
            self.windows.setCurrentIndex(at)

    def _show_window_numbers(self) -> None:
        base = self.tools.base
        if base is None or base.rgb:
            return
        low, high = (float(end) for end in base.contrast_limits)
        small = high - low < 20
        for field, number in (
            (self.window_level, (low + high) / 2),
            (self.window_width, high - low),
        ):
            with QSignalBlocker(field):
                field.setDecimals(3 if small else 0)
                field.setSingleStep(max((high - low) / 20, 10 ** -field.decimals()))
                field.setValue(number)

    def _set_window(self) -> None:
        base = self.tools.base
        width = self.window_width.value()
        if base is not None and not base.rgb and width > 0:
            level = self.window_level.value()
            self.tools.views.remember(base)
            base.contrast_limits = (level - width / 2, level + width / 2)
            self._later()

    def _show_model_view(self, base: Image | None) -> None:
        done = correction_of(base)
        lies = self.tools.views.lies(base) if base is not None else None
        if base is None:
            text = ''
        elif done:
            text = f'Models see the image {done}, as you asked.'
        else:
            text = 'Models see the image as its file says, whatever you change here.'
        self.seen.setText(text)
        self.use_view.setEnabled(bool(lies) and base is not None and base.ndim == 2)
        self.use_file.setEnabled(bool(done))

    def _cursor_moved(self, event: Any) -> None:
        self._position = event.value
        self._show_value()

    def _show_value(self) -> None:
        views = self.tools.views
        base = views.at(self._position) if self._position is not None else None
        found = pixel_value(base, views.shown_of(base), self._position) if base else None
        self.value.setText(_NOWHERE if found is None else str(found))
