"""The part of the dock that measures: tools, a list of results, a file to keep them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from napari.layers import Image
from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QGridLayout,
    QListWidget,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_cxr.measurements import (
    POINTS,
    MeasuredImage,
    Measurement,
    read_measurements,
    result_text,
    write_measurements,
)
from napari_cxr.plugin.preferences import preferences, save_preferences
from napari_cxr.plugin.radiograph.measure_layer import measured_image, measurements_in
from napari_cxr.plugin.radiograph.tools import RadiographTools
from napari_cxr.plugin.style import keep_space, quiet_label
from napari_cxr.plugin.widgets.text import InlineMessage

__all__ = ['MeasurePanel']

_HINTS = {
    'length': 'Drag from one end to the other, or click both. Esc leaves off.',
    'angle': 'Click the end of one leg, the corner, and the end of the other leg. Esc leaves off.',
}
_READY = 'Ends of lines can be dragged at any time.'
_RATIO = (
    'The lines of the ratio are a proposal from the lung field. Drag their ends to the edges of '
    'heart and ribs before you use it.'
)


class MeasurePanel(QWidget):
    """Draws measurements on the radiograph that is meant, and lists them.

    Parameters
    ----------
    tools : RadiographTools
        Of the viewer.
    parent : QWidget, optional
        Qt parent.
    """

    def __init__(self, tools: RadiographTools, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._tools = tools
        self._base: Image | None = None
        self.length = self._button('Length', 'measure_length', 'Measure a length (M)', True)
        self.angle = self._button('Angle', 'measure_angle', 'Measure an angle (Shift+M)', True)
        self.ratio = self._button(
            'Heart / thorax',
            'measure_ratio',
            'Cardiothoracic ratio: propose both lines by the lung field (Shift+H)',
            False,
        )
        self.ratio.setAccessibleName('Cardiothoracic ratio')
        self.hint = quiet_label(_READY)
        keep_space(self.hint, lines=4)
        self.list = QListWidget()
        self.list.setAccessibleName('Measurements of this radiograph')
        self.list.setWordWrap(True)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setMinimumHeight(5 * self.list.fontMetrics().lineSpacing() + 8)
        self.delete = self._plain('Delete', 'Remove the chosen measurement (Del)', self._delete)
        self.save = self._plain('Save…', 'Save the measurements as a JSON file', self.save_as)
        self.load = self._plain('Load…', 'Add the measurements of a JSON file', self.load_from)
        self.bar = QCheckBox('Scale bar')
        self.bar.setToolTip("napari's scale bar on the canvas")
        self.bar.clicked.connect(lambda on: self._tools.show_scale_bar(bool(on)))
        self.message = InlineMessage()
        grid = QGridLayout()
        grid.setSpacing(6)
        for at, part in enumerate((self.length, self.angle, self.ratio)):
            grid.addWidget(part, at // 2, at % 2)
        grid.addWidget(self.bar, 1, 1)
        grid.setColumnStretch(0, 1)
        grid.setColumnStretch(1, 1)
        below = QGridLayout()
        below.setSpacing(6)
        for at, part in enumerate((self.delete, self.save, self.load)):
            below.addWidget(part, 0, at)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 8, 0, 0)
        layout.setSpacing(8)
        layout.addLayout(grid)
        layout.addWidget(self.hint)
        layout.addWidget(self.list)
        layout.addLayout(below)
        layout.addWidget(self.message)
        layout.addStretch(1)
        self._key = QShortcut(QKeySequence('Delete'), self.list)
        self._key.setContext(Qt.ShortcutContext.WidgetShortcut)
        self._key.activated.connect(self._delete)
        self.list.currentRowChanged.connect(lambda *_: self._enable())

    @property
    def measurements(self) -> list[Measurement]:
        """Those of the radiograph that is meant."""
        layer = self._tools.measure.layer_of(self._base) if self._base is not None else None
        return measurements_in(layer) if layer is not None else []

    def show_radiograph(self, base: Image | None) -> None:
        """List the measurements of a radiograph."""
        if base is not self._base:
            self.message.clear()
        self._base = base
        kind = self._tools.measure.kind
        self.length.setChecked(kind == 'length')
        self.angle.setChecked(kind == 'angle')
        found = self.measurements
        ratio = any(each.kind == 'cardiothoracic ratio' for each in found)
        self.hint.setText(_HINTS.get(kind, _RATIO if ratio else _READY))
        self._list(found, measured_image(base) if base is not None and base.ndim == 2 else None)
        self.bar.setChecked(self._tools.has_scale_bar)
        self._enable()

    def save_as(self) -> None:
        """Ask for a file and save the measurements there."""
        if self._base is None or not self.measurements:
            return
        folder = Path(preferences('layers').measure_folder or Path.home())
        chosen, _ = QFileDialog.getSaveFileName(
            self,
            'Save measurements',
            str(folder / 'measurements.json'),
            'Measurements (*.json)',
        )
        if chosen:
            path = Path(chosen if Path(chosen).suffix else f'{chosen}.json')
            self.save_to(path)

    def save_to(self, path: Path) -> None:
        """Save the measurements to a file, which may be there already."""
        if self._base is None:
            return
        try:
            write_measurements(path, measured_image(self._base), self.measurements)
        except OSError as error:
            reason = error.strerror or str(error)
            self.message.show_error(f'{path} cannot be written: {reason}. Choose another place.')
            return
        self.message.clear()
        save_preferences('layers', measure_folder=str(path.parent))

    def load_from(self) -> None:
        """Ask for a file and add the measurements in it."""
        start = preferences('layers').measure_folder or str(Path.home())
        chosen, _ = QFileDialog.getOpenFileName(
            self, 'Load measurements', start, 'Measurements (*.json)'
        )
        if chosen:
            self.load_file(Path(chosen))

    def load_file(self, path: Path) -> None:
        """Add the measurements of a file to those of the radiograph."""
        base = self._base
        if base is None:
            return
        try:
            found, same = read_measurements(path, measured_image(base))
        except OSError as error:
            reason = error.strerror or str(error)
            self.message.show_error(f'{path.name} cannot be read: {reason}.')
            return
        except ValueError as error:
            self.message.show_error(str(error))
            return
        self.message.clear()
        self._tools.measure.add(base, list(found))
        save_preferences('layers', measure_folder=str(path.parent))
        if not same:
            self.message.show_error(
                'This file was made on another image of the same size, or by another person. '
                'Check that the lines fit.'
            )

    def _list(self, found: list[Measurement], image: MeasuredImage | None) -> None:
        names = {kind: kind.capitalize() for kind in POINTS}
        texts = [
            f'{names[each.kind]}: {result_text(each, image.geometry)}'
            for each in found
            if image is not None
        ]
        with QSignalBlocker(self.list):
            at = self.list.currentRow()
            while self.list.count() > len(texts):
                self.list.takeItem(self.list.count() - 1)
            for place, text in enumerate(texts):
                item = self.list.item(place)
                if item is None:
                    self.list.addItem(text)
                elif item.text() != text:
                    item.setText(text)
            self.list.setCurrentRow(min(at, len(texts) - 1))

    def _enable(self) -> None:
        base = self._base
        can = base is not None and base.ndim == 2
        for part in (self.length, self.angle, self.ratio, self.load):
            part.setEnabled(can)
        self.save.setEnabled(self.list.count() > 0)
        self.delete.setEnabled(self.list.currentRow() >= 0)

    def _delete(self) -> None:
        if self._base is not None and self.list.currentRow() >= 0:
            self._tools.measure.remove(self._base, self.list.currentRow())

    def _button(self, text: str, name: str, tip: str, switch: bool) -> QPushButton:
        button = self._plain(text, tip, partial(self._tools.act, name))
        button.setCheckable(switch)
        return button

    def _plain(self, text: str, tip: str, act: Callable[[], Any]) -> QPushButton:
        button = QPushButton(text)
        button.setAccessibleName(text.rstrip('…'))
        button.setToolTip(tip)
        button.setMinimumWidth(button.fontMetrics().horizontalAdvance(text) + 14)
        button.clicked.connect(lambda *_: act())
        return button
