"""The controls of what lies over the radiograph: heatmap, outline and lungs.

`HeatmapControls` is the widget, and knows nothing of layers; `HeatmapController` keeps the
heatmap's layers in step with it.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

from napari.components import ViewerModel
from napari.layers import Image
from qtpy.QtCore import QObject, QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSlider,
    QWidget,
)

from napari_cxr.explain import explanation_methods
from napari_cxr.plugin.classify_job import ExplainedPrediction
from napari_cxr.plugin.heatmap_overlay import HeatmapOverlay
from napari_cxr.plugin.lungs_layer import LUNG_COLOURS
from napari_cxr.plugin.source_file import shows_other_pixels
from napari_cxr.plugin.widgets.text import PlainLabel

__all__ = ['HeatmapController', 'HeatmapControls']

#: Fractions of the maximum at which contours lie.
_CONTOURS = (0.25, 0.5, 0.75, 0.9)

_NO_CONTRAST = 'no other class'


class HeatmapControls(QWidget):
    """Emits what a person changed; knows nothing of layers.

    Parameters
    ----------
    opacity : float
        Opacity to start with, in [0, 1].
    parent : QWidget, optional
        Qt parent.
    """

    label_changed = Signal(str)
    #: How heatmaps are to be made, and the class to contrast with; empty for none.
    method_changed = Signal(str, str)
    visible_changed = Signal(bool)
    opacity_changed = Signal(float)
    #: At which fractions of the maximum to draw outlines; a tuple, empty for none.
    outline_changed = Signal(object)
    lungs_changed = Signal(bool)
    #: Whether to draw the edge of what the model was shown.
    field_of_view_changed = Signal(bool)
    #: The person wants to paint on the lungs.
    edit_wanted = Signal()

    def __init__(self, opacity: float, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.shown = QCheckBox('Heatmap')
        self.shown.setChecked(True)
        self.shown.setToolTip('Show or hide the heatmap')
        self.label = _combo_box('The class whose evidence the heatmap shows')
        self.method = _combo_box('How the heatmap is made')
        for name in explanation_methods.names():
            found = explanation_methods.method(name)
            slow = 'Takes seconds to minutes.' if found.slow else ''
            self.method.addItem(name)
            tip = ' '.join(filter(None, (found.summary, found.caution, slow)))
            self.method.setItemData(self.method.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)
        self.against = _combo_box(
            'Show what makes the image look like the class above rather than this one'
        )
        self.against.addItem(_NO_CONTRAST)
        self.opacity = QSlider(Qt.Orientation.Horizontal)
        self.opacity.setRange(0, 100)
        self.opacity.setValue(round(100 * opacity))
        self.opacity.setToolTip('How strongly the heatmap covers the radiograph')
        self.opacity.setAccessibleName('Strength of the heatmap')
        self.outline = QCheckBox('Outline')
        self.outline.setToolTip(
            'Draw a line where the heatmap reaches this fraction of its maximum'
        )
        self.level = QSlider(Qt.Orientation.Horizontal)
        self.level.setRange(5, 95)
        self.level.setValue(50)
        self.level.setToolTip('Fraction of the maximum at which the outline lies')
        self.level.setAccessibleName('Level of the outline')
        self.contours = QCheckBox('Contours')
        self.contours.setToolTip('Draw lines at 25, 50, 75 and 90 % of the maximum')
        self.lungs = QCheckBox('Lungs')
        self.lungs.setToolTip('Show or hide the lungs as a layer that can be edited')
        right, left = (f'<span style="color: {colour}">■</span>' for colour in LUNG_COLOURS)
        self._sides = QLabel(f'{right} R&nbsp; {left} L')
        self._sides.setToolTip('The patient’s right and left lung')
        self.edit = QPushButton('Edit')
        self.edit.setToolTip(
            'Correct the lungs with napari’s brush: label 1 is the right lung, 2 the left one, '
            'the eraser removes, and Ctrl+Z undoes. The percentages below follow.'
        )
        self.field_of_view = QCheckBox('Field of view')
        self.field_of_view.setChecked(True)
        self._percent = PlainLabel()
        self._level = PlainLabel()
        for number in (self._percent, self._level):
            number.setMinimumWidth(number.fontMetrics().horizontalAdvance('100 %'))
            number.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)

        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow(self.shown, self.label)
        form.addRow('Method', self.method)
        form.addRow('Rather than', self.against)
        form.addRow('Strength', _in_one_row(self.opacity, self._percent))
        form.addRow(self.outline, _in_one_row(self.level, self._level))
        form.addRow(self.lungs, _in_one_row(self._sides, self.edit))
        form.addRow(self.contours, self.field_of_view)

        self.label.currentTextChanged.connect(self.label_changed)
        self.shown.toggled.connect(self._show_toggled)
        self.opacity.valueChanged.connect(self._opacity_moved)
        self.method.currentTextChanged.connect(self._method_chosen)
        self.against.currentTextChanged.connect(self._method_chosen)
        self.outline.toggled.connect(self._outline_moved)
        self.contours.toggled.connect(self._outline_moved)
        self.level.valueChanged.connect(self._outline_moved)
        self.lungs.toggled.connect(self._lungs_toggled)
        self.edit.clicked.connect(self.edit_wanted)
        self.field_of_view.toggled.connect(self.field_of_view_changed)
        self._opacity_moved()
        self._outline_moved()
        self.set_lungs(False)
        self.set_crops(False)

    def set_labels(self, labels: Sequence[str], current: str) -> None:
        """Offer the classes of a result, without a signal."""
        with QSignalBlocker(self.label):
            self.label.clear()
            self.label.addItems(list(labels))
            self.label.setCurrentText(current)

    def set_method(self, labels: Sequence[str], method: str, against: str) -> None:
        """Follow how the heatmaps of a result were made, without a signal.

        Parameters
        ----------
        labels : sequence of str
            The model's classes; with one alone there is no contrast.
        method, against : str
            As of its heatmaps.
        """
        with QSignalBlocker(self.method), QSignalBlocker(self.against):
            self.method.setCurrentText(method)
            self.against.clear()
            self.against.addItem(_NO_CONTRAST)
            if len(labels) > 1:
                self.against.addItems(list(labels))
            self.against.setCurrentText(against or _NO_CONTRAST)
        self.against.setEnabled(len(labels) > 1)

    def set_opacity(self, opacity: float) -> None:
        """Follow an opacity that was set elsewhere, without a signal."""
        with QSignalBlocker(self.opacity):
            self.opacity.setValue(round(100 * opacity))
        self._percent.setText(f'{self.opacity.value()} %')

    def set_shown(self, shown: bool) -> None:
        """Follow a visibility that was set elsewhere, without a signal."""
        with QSignalBlocker(self.shown):
            self.shown.setChecked(shown)

    def set_outlined(self, levels: Sequence[float]) -> None:
        """Follow outlines that are there or not, without a signal."""
        with QSignalBlocker(self.outline), QSignalBlocker(self.contours):
            self.contours.setChecked(set(_CONTOURS) <= set(levels))
            single = [level for level in levels if level not in _CONTOURS]
            self.outline.setChecked(bool(single) or 0 < len(levels) < len(_CONTOURS))
        self._enable_level()

    def set_lungs(self, shown: bool) -> None:
        """Follow lungs that are shown or not, without a signal."""
        with QSignalBlocker(self.lungs):
            self.lungs.setChecked(shown)
        self.edit.setEnabled(shown)
        self._sides.setEnabled(shown)

    def set_crops(self, crops: bool) -> None:
        """Note whether the model sees less than the whole radiograph."""
        self.field_of_view.setEnabled(crops)
        self.field_of_view.setToolTip(
            'Draw a line around the part of the radiograph that the model was shown'
            if crops
            else 'This model was shown the whole radiograph'
        )

    @property
    def outline_levels(self) -> tuple[float, ...]:
        """The levels of the outlines, ascending; empty where there are to be none."""
        levels = set(_CONTOURS) if self.contours.isChecked() else set()
        if self.outline.isChecked():
            levels.add(self.level.value() / 100)
        return tuple(sorted(levels))

    def _method_chosen(self) -> None:
        if self.method.currentText() and self.against.currentText():
            at = self.against.currentIndex()
            self.method_changed.emit(
                self.method.currentText(), self.against.currentText() if at > 0 else ''
            )

    def _show_toggled(self, shown: bool) -> None:
        self.visible_changed.emit(shown)

    def _lungs_toggled(self, shown: bool) -> None:
        self.set_lungs(shown)
        self.lungs_changed.emit(shown)

    def _opacity_moved(self) -> None:
        self._percent.setText(f'{self.opacity.value()} %')
        self.opacity_changed.emit(self.opacity.value() / 100)

    def _outline_moved(self) -> None:
        self._enable_level()
        self._level.setText(f'{self.level.value()} %')
        self.outline_changed.emit(self.outline_levels)

    def _enable_level(self) -> None:
        for part in (self.level, self._level):
            part.setEnabled(self.outline.isChecked())


def _combo_box(tip: str) -> QComboBox:
    """Return a list to choose from that takes the width it is given."""
    box = QComboBox()
    box.setToolTip(tip)
    box.setAccessibleName(tip)
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(8)
    return box


def _in_one_row(wide: QWidget, narrow: QWidget) -> QWidget:
    row = QWidget()
    layout = QHBoxLayout(row)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.addWidget(wide, 1)
    layout.addWidget(narrow)
    return row


class HeatmapController(QObject):
    """Keeps the layers of one radiograph at a time in step with the dock's controls.

    Parameters
    ----------
    viewer : ViewerModel
        Where the layers live.
    controls : HeatmapControls
        The dock's.
    parent : QObject
        Qt parent.
    """

    def __init__(self, viewer: ViewerModel, controls: HeatmapControls, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._controls = controls
        self._overlays: WeakKeyDictionary[Image, HeatmapOverlay] = WeakKeyDictionary()
        self._base: weakref.ref[Image] | None = None
        self._answer: ExplainedPrediction | None = None
        self._label = ''
        controls.visible_changed.connect(self._set_visible)
        controls.opacity_changed.connect(self._set_opacity)
        controls.outline_changed.connect(self._set_outline)
        controls.field_of_view_changed.connect(self._set_field_of_view)

    def show_radiograph(self, base: Image, answer: ExplainedPrediction, label: str) -> None:
        """Connect the controls to another radiograph or class; draws nothing."""
        self._base, self._answer, self._label = weakref.ref(base), answer, label
        self._overlays.setdefault(base, HeatmapOverlay(self._viewer))
        self._follow_layer()
        self._controls.set_outlined(self._overlays[base].levels)
        self._controls.set_crops(answer.heatmaps[0].crops(answer.field.shape))

    def release(self) -> None:
        """Disconnect the controls from any radiograph."""
        self._base = self._answer = None

    def draw(self, base: Image, answer: ExplainedPrediction, label: str) -> None:
        """Show the heatmap of a radiograph, and its outline if the box is ticked."""
        controls = self._controls
        levels = controls.outline_levels  # as they were for the radiograph before, on a new one
        self.show_radiograph(base, answer, label)
        overlay = self._overlays[base]
        if shows_other_pixels(base):  # of another patient, perhaps
            overlay.remove()
            return
        heat = overlay.show(
            base, answer, label, controls.opacity.value() / 100, controls.shown.isChecked()
        )
        heat.events.opacity.connect(self._follow_layer)
        heat.events.visible.connect(self._follow_layer)
        overlay.outline(base, answer, label, levels)
        overlay.field_of_view(base, answer, controls.field_of_view.isChecked())

    def remove(self, base: Image) -> None:
        """Take away what lies over a radiograph."""
        if base in self._overlays:
            self._overlays[base].remove()

    @property
    def _radiograph(self) -> Image | None:
        return self._base() if self._base is not None else None

    @property
    def _heat(self) -> Image | None:
        base = self._radiograph
        return None if base is None else self._overlays[base].heat

    def _follow_layer(self, event: Any = None) -> None:
        """Keep the controls in step with napari's own controls of the heatmap layer."""
        heat = self._heat
        if heat is not None:
            self._controls.set_opacity(heat.opacity)
            self._controls.set_shown(heat.visible)

    def _set_visible(self, visible: bool) -> None:
        if self._heat is not None:
            self._heat.visible = visible

    def _set_opacity(self, opacity: float) -> None:
        if self._heat is not None:
            self._heat.opacity = opacity

    def _set_field_of_view(self, wanted: bool) -> None:
        base, answer = self._radiograph, self._answer
        if base is not None and answer is not None and not shows_other_pixels(base):
            self._overlays[base].field_of_view(base, answer, wanted)

    def _set_outline(self, levels: tuple[float, ...]) -> None:
        base, answer = self._radiograph, self._answer
        if base is not None and answer is not None and not shows_other_pixels(base):
            self._overlays[base].outline(base, answer, self._label, levels)
