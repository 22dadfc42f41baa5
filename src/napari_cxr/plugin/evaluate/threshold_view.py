"""What a threshold does, and what a result means where the disease is rarer or more frequent."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QComboBox, QDoubleSpinBox, QFormLayout, QGridLayout, QWidget

from napari_cxr.metrics.confidence_intervals import Interval
from napari_cxr.plugin.evaluate.result_figures import ThresholdRates
from napari_cxr.plugin.style import quiet_label
from napari_cxr.plugin.widgets.text import PlainLabel

__all__ = ['ThresholdView']

_OWN = 'Your own'
_CHOSEN_ON = {
    'validation': 'These thresholds were chosen on the validation images.',
    'card': 'These thresholds are those of the model’s card.',
}
_NOT_CHOSEN = (
    'There are no validation images, so no thresholds were chosen. One that you choose by these '
    'numbers looks better here than it is.'
)
_NAMES = (
    ('Sensitivity', 'Of those with the class, the fraction that is predicted so'),
    ('Specificity', 'Of those without it, the fraction that is not'),
    ('PPV', 'Of those that are predicted so, the fraction that has the class'),
    ('NPV', 'Of those that are not predicted so, the fraction that does not have it'),
)


class ThresholdView(QWidget):
    """A threshold and a prevalence, and what follows from both at once.

    Parameters
    ----------
    parent : QWidget, optional
        Qt parent.
    """

    #: The threshold has changed.
    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._rates: Callable[[float, float], ThresholdRates] | None = None
        self.point = QComboBox()
        self.point.setAccessibleName('Operating point')
        self.point.setToolTip('Thresholds that were fixed before these images were looked at')
        self.threshold = QDoubleSpinBox()
        self.threshold.setAccessibleName('Threshold')
        self.threshold.setRange(0, 1)
        self.threshold.setDecimals(4)
        self.threshold.setSingleStep(0.01)
        self.threshold.setToolTip('From which probability on the class is predicted')
        self.prevalence = QDoubleSpinBox()
        self.prevalence.setAccessibleName('Prevalence')
        self.prevalence.setRange(0, 100)
        self.prevalence.setDecimals(1)
        self.prevalence.setSuffix(' %')
        self.prevalence.setToolTip(
            'How many patients have the class where the model is to be used; PPV and NPV follow '
            'from it'
        )
        self.note = quiet_label()
        self._values = [PlainLabel() for _ in _NAMES]
        numbers = QGridLayout()
        numbers.setContentsMargins(0, 0, 0, 0)
        numbers.setHorizontalSpacing(12)
        for row, ((name, tip), value) in enumerate(zip(_NAMES, self._values, strict=True)):
            title = PlainLabel(name)
            title.setToolTip(tip)
            title.setIndent(0)
            value.setWordWrap(True)
            value.setToolTip(tip)
            value.setAccessibleName(name)
            value.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            numbers.addWidget(title, row, 0)
            numbers.addWidget(value, row, 1)
        numbers.setColumnStretch(1, 1)
        layout = QFormLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        layout.addRow('Point', self.point)
        layout.addRow('Threshold', self.threshold)
        layout.addRow('Prevalence', self.prevalence)
        layout.addRow(numbers)
        layout.addRow(self.note)
        self.point.currentIndexChanged.connect(self._take_point)
        self.threshold.valueChanged.connect(self._threshold_moved)
        self.prevalence.valueChanged.connect(self._update)

    @property
    def texts(self) -> list[str]:
        """What stands beside sensitivity, specificity, PPV and NPV."""
        return [value.text() for value in self._values]

    def show_points(
        self,
        points: Mapping[str, Mapping[str, Any]],
        chosen_on: str,
        share: float,
        rates: Callable[[float, float], ThresholdRates],
    ) -> None:
        """Show the thresholds of a class.

        Parameters
        ----------
        points : mapping
            By criterion, with ``threshold``.
        chosen_on : str
            'validation', 'card' or empty.
        share : float
            Fraction of the evaluated images that have the class.
        rates : callable
            Takes a threshold and a prevalence.
        """
        self._rates = rates
        with QSignalBlocker(self.point), QSignalBlocker(self.prevalence):
            before = self.point.currentText()
            self.point.clear()
            for name, one in points.items():
                self.point.addItem(name, float(one['threshold']))
            self.point.addItem(_OWN, None)
            self.point.setCurrentIndex(max(self.point.findText(before), 0))
            self.prevalence.setValue(100 * share)
        self.note.setText(_CHOSEN_ON.get(chosen_on, _NOT_CHOSEN))
        if self.point.currentData() is None:
            with QSignalBlocker(self.threshold):
                self.threshold.setValue(0.5)
        self._take_point()

    def _take_point(self) -> None:
        threshold = self.point.currentData()
        if threshold is not None:
            with QSignalBlocker(self.threshold):
                self.threshold.setValue(threshold)
        self._update()
        self.changed.emit()

    def _threshold_moved(self) -> None:
        with QSignalBlocker(self.point):
            self.point.setCurrentIndex(self.point.findText(_OWN))
        self._update()
        self.changed.emit()

    @property
    def exact_threshold(self) -> float:
        """The threshold, of an operating point with all its digits."""
        of_point = self.point.currentData()
        return float(self.threshold.value() if of_point is None else of_point)

    def _update(self) -> None:
        if self._rates is None:
            return
        found = self._rates(self.exact_threshold, self.prevalence.value() / 100)
        at = f' where {self.prevalence.value():.1f} % have the class'
        texts = (
            _interval_text(found.sensitivity),
            _interval_text(found.specificity),
            _percent(found.ppv) + at,
            _percent(found.npv) + at,
        )
        for label, text in zip(self._values, texts, strict=True):
            label.setText(text)


def _percent(value: float) -> str:
    return f'{100 * value:.1f} %' if math.isfinite(value) else 'undefined'


def _interval_text(interval: Interval) -> str:
    if not math.isfinite(interval.value):
        return 'undefined'
    text = _percent(interval.value)
    if math.isfinite(interval.low):
        text += f' ({100 * interval.low:.1f}–{100 * interval.high:.1f} %)'
    return text
