"""What an evaluation came to: what the number is worth first, then the figures and plots."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtGui import QFontMetricsF
from qtpy.QtWidgets import QComboBox, QFormLayout, QLabel, QVBoxLayout, QWidget

from napari_cxr.evaluation.evaluation_events import EvaluationResult
from napari_cxr.evaluation.metric_text import METRIC_NAMES, figure_text
from napari_cxr.evaluation.report import near_tie_text
from napari_cxr.plugin.evaluate import result_figures
from napari_cxr.plugin.evaluate.metrics_tables import (
    GROUP_METRICS,
    FigureTable,
    group_rows,
    metric_rows,
)
from napari_cxr.plugin.evaluate.threshold_view import ThresholdView
from napari_cxr.plugin.plots.axes import Axes, Scale
from napari_cxr.plugin.plots.curves import Curves, Histogram, Line
from napari_cxr.plugin.plots.matrix import Matrix
from napari_cxr.plugin.style import quiet_label
from napari_cxr.plugin.widgets.sections import CollapsibleSection
from napari_cxr.plugin.widgets.text import ElidedComboBox, PlainLabel

__all__ = ['EvaluationView']

_ALL_CLASSES = 'All classes'
_NOTHING = 'Nothing'
_CLICK_CELL = 'Click a cell to read its images in the Score dock.'
_CLICK_BIN = (
    'Each dot is a tenth of the images. Below the line the model is too sure, above it not sure '
    'enough. Click a place to read its images in the Score dock.'
)
_NO_CURVES = 'All images have this class, or none, so there is no curve.'


class _UnitCurves(Curves):
    """Curves of which both axes go from 0 to 1, whatever the lines reach."""

    def axes(self) -> Axes:
        """Return where values lie on the widget."""
        unit = Scale(0.0, 1.0)
        return Axes.within(self.plot_area(), unit, unit, QFontMetricsF(self.font()))


class EvaluationView(QWidget):
    """Shows an evaluation.

    Parameters
    ----------
    theme : str
        Name of napari's theme.
    parent : QWidget, optional
        Qt parent.
    """

    #: Images should be read: the model, their paths, and what they are.
    images_wanted = Signal(str, object, str)

    def __init__(self, theme: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._result: EvaluationResult | None = None
        self._build(theme)
        self.model.currentIndexChanged.connect(self._show_model)
        self.label.currentIndexChanged.connect(self._show_class)
        self.column.currentIndexChanged.connect(self._show_groups)
        self.group_metric.currentIndexChanged.connect(self._show_groups)
        self.metrics_of.currentIndexChanged.connect(self._show_metrics)
        self.beside.currentIndexChanged.connect(self._show_metrics)
        self.matrix.chosen.connect(self._read_cell)
        self.reliability.chosen.connect(self._read_bin)
        self.thresholds.changed.connect(self._threshold_changed)
        self.hide()

    def _build(self, theme: str) -> None:
        self.worth = PlainLabel()
        self.worth.setObjectName('headline')
        self.worth.setWordWrap(True)
        self.worth.setIndent(0)
        self.worth.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.about = quiet_label()
        self.about.setIndent(0)
        self._cautions = QWidget()
        self._caution_rows = QVBoxLayout(self._cautions)
        self._caution_rows.setContentsMargins(0, 0, 0, 0)
        self._caution_rows.setSpacing(6)
        self.model = ElidedComboBox('The model whose plots are shown')
        self.model.setAccessibleName('Model')
        self.label = ElidedComboBox('The class whose curves and thresholds are shown')
        self.label.setAccessibleName('Class')
        self.choice = _form(('Model', self.model), ('Class', self.label))
        self.metrics_of = QComboBox()
        self.metrics_of.setAccessibleName('Metrics of')
        self.beside = ElidedComboBox('What the model is compared with')
        self.metrics = FigureTable('Metrics with 95 % intervals')
        self.roc = _UnitCurves(theme, '', '1 - specificity')
        self.roc.setAccessibleName('ROC curve')
        self.precision_recall = _UnitCurves(theme, '', 'recall')
        self.precision_recall.setAccessibleName('Precision-recall curve')
        self.reliability = _UnitCurves(theme, '', 'mean probability')
        self.reliability.setAccessibleName('Reliability')
        self.by_class = Histogram(theme, '', 'probability')
        self.by_class.setAccessibleName('Probability by true class')
        self.by_class.setToolTip('Of each true class, the fraction with this probability')
        self.means = quiet_label()
        self.matrix = Matrix(theme, 'true label', 'predicted')
        self.column = QComboBox()
        self.column.setAccessibleName('Divide by')
        self.group_metric = QComboBox()
        self.group_metric.setAccessibleName('Metric of each group')
        for key in GROUP_METRICS:
            self.group_metric.addItem(METRIC_NAMES[key], key)
        self.groups = FigureTable('Metrics by group')
        self.spread = quiet_label()
        self.thresholds = ThresholdView()
        self.curve_note = quiet_label()
        self.matrix_note = quiet_label(_CLICK_CELL)
        for plot in (self.roc, self.precision_recall, self.reliability, self.by_class):
            plot.set_empty_text(_NO_CURVES)
        self.sections: dict[str, CollapsibleSection] = {}
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addWidget(self.worth)
        layout.addWidget(self.about)
        layout.addWidget(self._cautions)
        layout.addWidget(self.choice)
        for key, title, widgets in (
            (
                'metrics',
                'Metrics',
                (_form(('Of', self.metrics_of), ('Beside', self.beside)), self.metrics),
            ),
            ('confusion', 'Confusion matrix', (self.matrix_note, self.matrix)),
            ('roc', 'ROC curve', (self.roc,)),
            ('precision_recall', 'Precision and recall', (self.precision_recall,)),
            ('reliability', 'Reliability', (self.reliability, quiet_label(_CLICK_BIN))),
            ('by_class', 'Probability by true class', (self.by_class, self.means)),
            ('thresholds', 'Thresholds, PPV and NPV', (self.thresholds,)),
            (
                'groups',
                'By source, view or another column',
                (
                    _form(('Divide by', self.column), ('Metric', self.group_metric)),
                    self.groups,
                    self.spread,
                ),
            ),
        ):
            section = CollapsibleSection(title)
            section.add(*widgets)
            self.sections[key] = section
            layout.addWidget(section)

    # -- contents -----------------------------------------------------------------------

    @property
    def result(self) -> EvaluationResult | None:
        """What is shown."""
        return self._result

    def clear(self) -> None:
        """Show nothing."""
        self._result = None
        self.hide()

    def show_result(self, result: EvaluationResult) -> None:
        """Show an evaluation; the chosen class and column stay where they are there too."""
        self._result = result
        _fill(self.model, list(result.metrics['models']))
        labels, first = list(result.metrics['labels']), result_figures.first_class(result)
        _fill(self.label, labels, first)
        if not result.table.truth[:, labels.index(self.label.currentText())].any():
            _fill(self.label, labels, first, keep=False)  # nobody looks for what is not there
        _fill(self.metrics_of, [_ALL_CLASSES, *result.metrics['labels']])
        self._show_cautions(result.metrics['cautions'])
        self._show_model()
        self.show()

    def set_theme(self, theme: str) -> None:
        """Repaint in another of napari's themes."""
        for plot in (self.roc, self.precision_recall, self.reliability, self.by_class):
            plot.set_theme(theme)
        self.matrix.set_theme(theme)

    def _show_cautions(self, cautions: list[dict[str, str]]) -> None:
        while (item := self._caution_rows.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.setParent(None)
                widget.deleteLater()
        for one in cautions:
            text = PlainLabel(one['text'])
            text.setObjectName('caution' if one['kind'] == 'stop' else 'quiet')
            text.setWordWrap(True)
            text.setIndent(0)
            text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            self._caution_rows.addWidget(text)
        self._cautions.setVisible(bool(cautions))

    @property
    def _own(self) -> Mapping[str, Any]:
        assert self._result is not None
        return self._result.metrics['models'][self.model.currentText()]  # type: ignore[no-any-return]

    def _show_metrics(self) -> None:
        if self._result is not None:
            label, other = self.metrics_of.currentText(), self.beside.currentText()
            label = '' if label == _ALL_CLASSES else label
            other = '' if other == _NOTHING else other
            rows = metric_rows(self._result.metrics, label, self.model.currentText(), other)
            self.metrics.show_rows(*rows)

    def _show_model(self) -> None:
        result, model = self._result, self.model.currentText()
        if result is None or not model:
            return
        self.worth.setText(result_figures.worth_headline(result.metrics, model))
        self.about.setText(result_figures.worth_sentence(result.metrics, model))
        every = [*result.metrics['models'], *result.metrics['baselines']]
        others = [_NOTHING, *(name for name in every if name != model)]
        _fill(self.beside, others, result_figures.best_baseline(result.metrics))
        self._show_metrics()
        _fill(self.column, list(self._own.get('by', {})))
        self.spread.setText(result.metrics['sources'].get(model, {}).get('said', ''))
        self._show_class()
        self._show_groups()

    def _show_groups(self) -> None:
        result, column = self._result, self.column.currentText()
        if result is None:
            return
        self.sections['groups'].setVisible(bool(column))
        if column:
            metric = self.group_metric.currentData()
            rows = group_rows(result.metrics, self.model.currentText(), column, metric)
            self.groups.show_rows(*rows)

    def _show_class(self) -> None:
        result, model, label = self._result, self.model.currentText(), self.label.currentText()
        if result is None or not label:
            return
        self._show_curves(label)
        k = result.table.labels.index(label)
        points = self._own.get('operating_points', {})
        self.thresholds.show_points(
            points.get('classes', {}).get(label, {}),
            points.get('chosen_on', ''),
            float(result.table.truth[:, k].mean()),
            partial(result_figures.rates_at, result, model, label),
        )

    def _show_curves(self, label: str) -> None:
        """Show the curves of a class: all models, and the interval of the chosen one."""
        assert self._result is not None
        models, chosen = self._result.metrics['models'], self.model.currentText()
        for plot, key in ((self.roc, 'roc'), (self.precision_recall, 'precision_recall')):
            lines = []
            for number, (name, one) in enumerate(models.items()):
                curve = one.get('curves', {}).get(label, {}).get(key)
                if curve is None:
                    continue
                lines.append(Line(name, curve['x'], _gaps(curve['y']), 'solid', number))
                if name == chosen:
                    lines += [
                        Line(f'95 %, {side}', curve['x'], _gaps(curve[side]), 'dashed', number)
                        for side in ('low', 'high')
                    ]
            plot.set_lines(lines)
        curves = self._own.get('curves', {}).get(label, {})
        number = list(models).index(chosen)
        reliability = curves.get('reliability')
        lines = []
        if reliability:
            x = reliability['x']
            lines = [Line(chosen, x, _gaps(reliability['y']), 'solid', number)]
            lines += [
                Line(f'95 %, {side}', x, _gaps(reliability[side]), 'dashed', number)
                for side in ('low', 'high')
            ]
            lines.append(Line('perfect', x, x, 'dashed', number + 1))
        self.reliability.set_lines(lines)
        by_class = curves.get('by_class', {})
        bars = [np.array(one['bars'], float) for one in by_class.values()]
        shares = np.array([row / max(row.sum(), 1) for row in bars]) if bars else np.zeros((0, 0))
        self.by_class.set_histograms(shares, list(by_class))
        self.means.setText(
            '\n'.join(
                f'Mean of {name}: {figure_text(one["mean"])}' for name, one in by_class.items()
            )
        )

    def _threshold_changed(self) -> None:
        result = self._result
        if result is None:
            return
        found = result_figures.confusion(result, *self._cell_arguments())
        self.matrix.set_values(found.counts, found.rows, found.columns)
        model = result.metrics['models'][self.model.currentText()]
        tied = near_tie_text(model, result.metrics['set']['images'])
        self.matrix_note.setText(f'{_CLICK_CELL} {tied}'.strip())

    def _cell_arguments(self) -> tuple[str, str, float]:
        return (
            self.model.currentText(),
            self.label.currentText(),
            self.thresholds.exact_threshold,
        )

    # -- images behind a number ---------------------------------------------------------

    def _read_cell(self, row: int, column: int) -> None:
        if self._result is not None:
            paths, title = result_figures.paths_in_cell(
                self._result, *self._cell_arguments(), (row, column)
            )
            if paths:
                self.images_wanted.emit(self.model.currentText(), paths, title)

    def _read_bin(self, x: float) -> None:
        result, model, label = self._result, self.model.currentText(), self.label.currentText()
        if result is None:
            return
        places = self._own['curves'][label]['reliability']['x']
        number = int(np.argmin(np.abs(np.array(places) - x)))
        paths, title = result_figures.paths_in_bin(result, model, label, number)
        if paths:
            self.images_wanted.emit(model, paths, title)


def _gaps(values: list[float | None]) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in values], dtype=float)


def _fill(box: QComboBox, texts: list[str], first: str = '', *, keep: bool = True) -> None:
    """Offer texts; the chosen one stays where it is still offered, else `first` is chosen."""
    with QSignalBlocker(box):
        before = box.findText(box.currentText()) if keep and box.count() else -1
        chosen = box.currentText() if before >= 0 else first
        box.clear()
        box.addItems(texts)
        place = box.findText(chosen)
        box.setCurrentIndex(max(place if place >= 0 else box.findText(first), 0))


def _form(*rows: tuple[str, QWidget]) -> QWidget:
    """Return fields with their labels."""
    held = QWidget()
    form = QFormLayout(held)
    form.setContentsMargins(0, 0, 0, 0)
    form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    for text, field in rows:
        form.addRow(text, field)
        if isinstance(label := form.labelForField(field), QLabel):
            label.setIndent(0)  # in line with what stands above and below the form
    return held
