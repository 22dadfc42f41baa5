"""A label is shown as it is, wherever it becomes the text of a widget."""

from dataclasses import replace

import pytest
from made_up_lungs import made_up_answer
from made_up_scores import Labels, run, scored
from qtpy.QtCore import QObject
from qtpy.QtWidgets import QAbstractButton, QGroupBox, QLabel, QMenu, QTabBar

from napari_cxr.plugin.annotation.annotation_panel import AnnotationPanel
from napari_cxr.plugin.batch.metrics_view import MetricsView
from napari_cxr.plugin.classify.result_view import ResultView
from napari_cxr.plugin.runs.run_actions import RunButtons
from napari_cxr.plugin.runs.training_history import RunPhase
from napari_cxr.plugin.score_table.table_widget import ScoreTable
from napari_cxr.plugin.widgets.text import button_text
from napari_cxr.scoring.annotation.reading_list import ReadingList
from napari_cxr.scoring.score_evaluation import evaluate_rows

LABEL = 'nodule & mass'
LABELS = (LABEL, 'normal', 'other')


def texts_with_shortcuts(part: QObject):
    """Yield the texts in which Qt takes one "&" for the mark of a shortcut."""
    for inner in (part, *part.findChildren(QObject)):
        if isinstance(inner, QAbstractButton):
            yield inner.text()
        elif isinstance(inner, QGroupBox):
            yield inner.title()
        elif isinstance(inner, QTabBar):
            yield from (inner.tabText(i) for i in range(inner.count()))
        elif isinstance(inner, QLabel) and inner.buddy() is not None:
            yield inner.text()
        elif isinstance(inner, QMenu):
            yield inner.title()
        if hasattr(inner, 'actions'):
            yield from (action.text() for action in inner.actions())


def score_table(tmp_path):
    table = ScoreTable('dark')
    table.start(run(labels=LABELS), 'scores.csv')
    table.model.rows.append([scored(0)])
    table.set_annotations(Labels())
    return table, table.choice.menu(table.model.columns, table.model.rows, 'number', table)


def annotation(tmp_path):
    panel = AnnotationPanel('dark')
    reading = ReadingList.open(tmp_path / 'scores.csv', LABELS)
    panel.start(LABELS, False, reading)
    panel.add([scored(0)])
    panel.show_row(scored(0))
    panel.destroyed.connect(reading.close)
    return panel, panel


def metrics(tmp_path):
    view = MetricsView('dark')
    rows = [replace(scored(i, 0.5, 0.3, 0.2), label=LABEL, truth=LABELS[i % 2]) for i in range(8)]
    found = evaluate_rows(rows, LABELS, multilabel=False)
    view.show_metrics(found.metrics, (LABEL,), LABELS)
    return view, view


def result(tmp_path):
    view = ResultView('dark', 0.4)
    view.show_answer(made_up_answer(), 'ill')
    view.heat.set_labels(LABELS, LABEL)
    return view, view


def run_buttons(tmp_path):
    buttons = RunButtons()
    buttons.offer(RunPhase.FINISHED, True, LABEL)
    return buttons, buttons


@pytest.mark.parametrize('make', [score_table, annotation, metrics, result, run_buttons])
def test_an_ampersand_is_no_shortcut(qtbot, own_plugin, tmp_path, make):
    part, shown = make(tmp_path)
    qtbot.addWidget(part)
    with_label = [text for text in texts_with_shortcuts(shown) if 'nodule' in text]
    assert all(button_text(LABEL) in text for text in with_label)
    assert bool(with_label) is (make in (score_table, run_buttons)), 'others draw it, or list it'
