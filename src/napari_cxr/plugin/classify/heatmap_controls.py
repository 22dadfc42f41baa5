"""The controls of what lies over the radiograph: heatmap, its outline, and the lungs."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QSignalBlocker, Qt, Signal
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

from napari_cxr.plugin.lungs.layer import COLOURS

__all__ = ['HeatmapControls']


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
    visible_changed = Signal(bool)
    opacity_changed = Signal(float)
    #: Whether an outline is wanted, and at which share of the maximum.
    outline_changed = Signal(bool, float)
    lungs_changed = Signal(bool)
    #: The person wants to paint on the lungs.
    edit_wanted = Signal()

    def __init__(self, opacity: float, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.shown = QCheckBox('Heatmap')
        self.shown.setChecked(True)
        self.shown.setToolTip('Show or hide the heatmap')
        self.label = QComboBox()
        self.label.setToolTip('The class whose evidence the heatmap shows')
        self.label.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.label.setMinimumContentsLength(8)
        self.opacity = QSlider(Qt.Orientation.Horizontal)
        self.opacity.setRange(0, 100)
        self.opacity.setValue(round(100 * opacity))
        self.opacity.setToolTip('How strongly the heatmap covers the radiograph')
        self.outline = QCheckBox('Outline')
        self.outline.setToolTip('Draw a line where the heatmap reaches this share of its maximum')
        self.level = QSlider(Qt.Orientation.Horizontal)
        self.level.setRange(5, 95)
        self.level.setValue(50)
        self.level.setToolTip('Share of the maximum at which the outline lies')
        self.lungs = QCheckBox('Lungs')
        self.lungs.setToolTip('Show or hide the lungs as a layer that can be edited')
        right, left = (f'<span style="color: {colour}">■</span>' for colour in COLOURS)
        self._sides = QLabel(f'{right} R&nbsp; {left} L')
        self._sides.setToolTip('The patient’s right and left lung')
        self.edit = QPushButton('Edit')
        self.edit.setToolTip(
            'Take up napari’s brush to correct the lungs: 1 is the right one, 2 the left one, '
            'the eraser takes away, and Ctrl+Z undoes. What is said of them follows.'
        )
        self._percent = QLabel()
        self._level = QLabel()
        for number in (self._percent, self._level):
            number.setMinimumWidth(number.fontMetrics().horizontalAdvance('100 %'))
            number.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)

        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow(self.shown, self.label)
        form.addRow('Strength', _beside(self.opacity, self._percent))
        form.addRow(self.outline, _beside(self.level, self._level))
        form.addRow(self.lungs, _beside(self._sides, self.edit))

        self.label.currentTextChanged.connect(self.label_changed)
        self.shown.toggled.connect(self._show_toggled)
        self.opacity.valueChanged.connect(self._opacity_moved)
        self.outline.toggled.connect(self._outline_moved)
        self.level.valueChanged.connect(self._outline_moved)
        self.lungs.toggled.connect(self._lungs_toggled)
        self.edit.clicked.connect(self.edit_wanted)
        self._opacity_moved()
        self._outline_moved()
        self.set_lungs(False)

    def set_labels(self, labels: Sequence[str], current: str) -> None:
        """Offer the classes of a result, without a signal."""
        with QSignalBlocker(self.label):
            self.label.clear()
            self.label.addItems(list(labels))
            self.label.setCurrentText(current)

    def set_opacity(self, opacity: float) -> None:
        """Follow an opacity that was set elsewhere, without a signal."""
        with QSignalBlocker(self.opacity):
            self.opacity.setValue(round(100 * opacity))
        self._percent.setText(f'{self.opacity.value()} %')

    def set_shown(self, shown: bool) -> None:
        """Follow a visibility that was set elsewhere, without a signal."""
        with QSignalBlocker(self.shown):
            self.shown.setChecked(shown)

    def set_outlined(self, outlined: bool) -> None:
        """Follow an outline that is there or not, without a signal."""
        with QSignalBlocker(self.outline):
            self.outline.setChecked(outlined)
        self.level.setEnabled(outlined)
        self._level.setEnabled(outlined)

    def set_lungs(self, shown: bool) -> None:
        """Follow lungs that are shown or not, without a signal."""
        with QSignalBlocker(self.lungs):
            self.lungs.setChecked(shown)
        self.edit.setEnabled(shown)
        self._sides.setEnabled(shown)

    @property
    def outline_level(self) -> float | None:
        """The level of the outline, or None where none is wanted."""
        return self.level.value() / 100 if self.outline.isChecked() else None

    def _show_toggled(self, shown: bool) -> None:
        self.visible_changed.emit(shown)

    def _lungs_toggled(self, shown: bool) -> None:
        self.set_lungs(shown)
        self.lungs_changed.emit(shown)

    def _opacity_moved(self) -> None:
        self._percent.setText(f'{self.opacity.value()} %')
        self.opacity_changed.emit(self.opacity.value() / 100)

    def _outline_moved(self) -> None:
        wanted = self.outline.isChecked()
        self.level.setEnabled(wanted)
        self._level.setEnabled(wanted)
        self._level.setText(f'{self.level.value()} %')
        self.outline_changed.emit(wanted, self.level.value() / 100)


def _beside(wide: QWidget, narrow: QWidget) -> QWidget:
    row = QWidget()
    layout = QHBoxLayout(row)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.addWidget(wide, 1)
    layout.addWidget(narrow)
    return row
