"""The Evaluate dock as a person uses it."""

import csv
from dataclasses import replace

import imageio.v3 as iio
import numpy as np
import pytest
from made_up_evaluation import finished
from napari.components import ViewerModel
from qtpy.QtCore import QPointF, Qt
from qtpy.QtWidgets import QLabel, QScrollArea

from napari_cxr import samples
from napari_cxr.evaluation.evaluation_events import EvaluationProgress
from napari_cxr.plugin.docks import dock_signals
from napari_cxr.plugin.evaluate import dock as dock_module
from napari_cxr.plugin.evaluate import evaluation_jobs
from napari_cxr.plugin.evaluate.dock import EvaluateDock
from napari_cxr.plugin.evaluate.evaluation_setup import EvaluationRequest, classes_of_text
from napari_cxr.plugin.preferences import preferences, save_preferences

WAIT = 150_000


@pytest.fixture
def dock(qtbot, own_plugin, models, settled_threads, tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    save_preferences('evaluate', images='', models='tiny', device='cpu')
    made = EvaluateDock(ViewerModel())
    # pytest-qt deletes widgets before fixtures end, and then nobody could stop the job.
    qtbot.addWidget(made, before_close_func=lambda one: one.session.cancel())
    made.resize(420, 900)
    made.show()
    return made


@pytest.fixture
def shown(dock, tmp_path):
    dock._show_event(finished(tmp_path))
    return dock


@pytest.fixture
def wanted():
    """What other docks are asked to open."""
    said = []
    signal = dock_signals().rows_requested
    signal.connect(lambda viewer, *rest: said.append(rest))
    yield said
    signal.disconnect()


def test_the_empty_dock_says_what_is_missing(dock, qtbot, tmp_path):
    assert not dock.start.isEnabled() and 'Choose the images' in dock.status.text()
    assert not dock.results.isVisible() and not dock.stop.isVisible()
    dock.setup.set_images(str(tmp_path / 'nowhere'))
    qtbot.waitUntil(lambda: 'There is no' in dock.setup.reason, timeout=WAIT)
    assert not dock.start.isEnabled()
    with qtbot.waitSignal(dock.setup.changed, timeout=WAIT):
        dock.setup.set_images(str(tmp_path))
    assert dock.start.isEnabled() and dock.status.text() == ''
    assert dock.setup.request.models == ('tiny',)
    dock.setup.choose_models()
    assert dock.setup.reason == 'Tick a model.' and dock.setup.request is None


def test_each_evaluation_has_a_folder_of_its_own(dock, tmp_path):
    dock.setup.set_images(str(tmp_path / 'films'))
    folder = tmp_path / 'napari-cxr-evaluations'
    assert dock.setup.out.text() == str(folder / 'films by tiny')
    dock.setup.choose_models('tiny', 'cxr-opacity')
    assert dock.setup.out.text() == str(folder / 'films by cxr-opacity and 1 more')
    dock.setup.out.clear()
    dock.setup.out.insert(str(tmp_path / 'mine'))  # as a person types
    dock.setup.choose_models('tiny')
    assert dock.setup.out.text() == str(tmp_path / 'mine')


def test_labels_that_mean_a_class():
    assert classes_of_text('opacity = pneumonia, covid19; none=normal;') == {
        'opacity': ['pneumonia', 'covid19'],
        'none': ['normal'],
    }
    assert classes_of_text('') == {}
    with pytest.raises(ValueError, match='does not say which labels mean a class'):
        classes_of_text('opacity')


def test_a_wrong_mapping_of_classes_is_said_in_place(dock, qtbot, tmp_path):
    dock.setup.set_images(str(tmp_path))
    with qtbot.waitSignal(dock.setup.changed, timeout=WAIT):
        dock.setup.classes.setText('opacity')
    assert 'Write it like' in dock.setup.classes_field.problem.text()
    assert not dock.start.isEnabled()


def test_what_the_number_is_worth_comes_first(shown):
    results = shown.results
    assert results.worth.text().startswith('AUC 1.000 [')
    assert results.about.text().startswith('good, on 60 images')
    said = [label for label in results.findChildren(QLabel) if label.objectName() == 'caution']
    assert [label.text() for label in said] == ['Do not believe <b>this</b>.']  # as it is
    assert results.worth.y() < said[0].mapTo(results, said[0].rect().topLeft()).y()
    assert not shown.head.is_open and shown.files.isVisible()
    results.model.setCurrentIndex(1)
    assert results.about.text().startswith('poor, on 60 images')


def test_it_fits_into_a_narrow_dock(shown):
    shown.resize(320, 900)
    area = shown.findChild(QScrollArea)
    assert area.widget().minimumSizeHint().width() <= area.viewport().width()


def test_prevalence_and_threshold_change_the_numbers_at_once(shown, qtbot):
    view = shown.results.thresholds
    assert view.point.currentText() == 'Youden' and view.threshold.value() == 0.5
    assert view.prevalence.value() == 50
    before = view.texts
    view.prevalence.setValue(1)
    assert view.texts[:2] == before[:2] and '1.0 % have the class' in view.texts[2]
    view.threshold.setValue(0.95)
    assert view.point.currentText() == 'Your own' and view.texts[0] != before[0]
    shown.results.model.setCurrentIndex(1)  # whose card has no points
    assert view.point.count() == 1 and 'no validation images' in view.note.text()


def test_a_click_on_a_cell_or_a_bin_fills_the_reading_list(shown, wanted, qtbot, tmp_path):
    results = shown.results
    box = results.matrix.cell_box(0, 0)
    qtbot.mouseClick(
        results.matrix.viewport(), Qt.MouseButton.LeftButton, pos=box.center().toPoint()
    )
    table, paths, title = wanted[0]
    assert table == str(tmp_path / 'scores' / 'good.csv')
    assert (len(paths), title) == (30, 'normal → normal')
    plot = results.reliability
    x = plot.lines[0].xs[-1]
    place = plot.axes().points(np.array([x]), np.array([0.5]))[0]
    qtbot.mouseClick(plot, Qt.MouseButton.LeftButton, pos=QPointF(*place).toPoint())
    assert len(wanted) == 2 and wanted[1][2].startswith('p(opacity) from')
    plot.setFocus()
    qtbot.keyClick(plot, Qt.Key.Key_Left)
    qtbot.keyClick(plot, Qt.Key.Key_Return)
    assert len(wanted) == 3 and wanted[2] != wanted[1]


def test_with_several_labels_the_matrix_is_that_of_the_threshold(dock, tmp_path, wanted):
    dock._show_event(finished(tmp_path, multilabel=True))
    results = dock.results
    assert results.matrix.values.tolist() == [[30, 0], [0, 30]]
    results.thresholds.threshold.setValue(1)
    assert results.matrix.values.tolist() == [[0, 30], [0, 30]]
    results.matrix.chosen.emit(0, 1)
    assert wanted[0][2] == 'opacity → no opacity' and len(wanted[0][1]) == 30


def test_it_can_be_stopped_and_goes_on(dock, qtbot, tmp_path, monkeypatch):
    def forever(request):
        while True:
            yield EvaluationProgress(f'Scoring with {request.models[0]}', 3, 12, 90.0)

    monkeypatch.setattr(dock_module, 'evaluate_models', forever)
    dock.setup.set_images(str(tmp_path))
    qtbot.waitUntil(dock.start.isEnabled, timeout=WAIT)
    dock.start.click()
    wanted = 'Scoring with tiny… 3 of 12, 2 min left'
    qtbot.waitUntil(lambda: dock.status.text() == wanted, timeout=WAIT)
    assert dock.stop.isVisible() and not dock.start.isEnabled() and not dock.setup.isEnabled()
    with qtbot.waitSignal(dock.settled, timeout=WAIT):
        dock.stop.click()
    assert dock.status.text().startswith('Stopped.') and dock.start.isEnabled()
    assert preferences('evaluate').images == str(tmp_path)


def test_shortcut_tests_are_asked_for_and_their_page_is_opened(dock, qtbot, tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr(dock_module.QDesktopServices, 'openUrl', opened.append)
    dock.setup.set_images(str(tmp_path))
    assert not dock.setup.request.shortcut_tests
    dock.setup.shortcut_tests.setFocus()
    qtbot.keyClick(dock.setup.shortcut_tests, Qt.Key.Key_Space)
    assert dock.setup.request.shortcut_tests
    dock._show_event(finished(tmp_path))
    assert dock.open_report.isVisible() and not dock.open_shortcuts.isVisible()
    page = str(tmp_path / 'shortcuts.html')
    dock._show_event(replace(finished(tmp_path), shortcuts_page=page))
    dock.open_shortcuts.click()
    assert [url.toLocalFile() for url in opened] == [page]


def test_shortcut_tests_look_into_the_network(monkeypatch):
    """So they run in the process that has torch, with a model that needs none."""
    asked = []

    class Worker:
        def run(self, job, **arguments):
            asked.append((job, arguments['shortcut_tests']))
            yield

    def role(*_):
        yield
        return 'inference'

    roles = []
    monkeypatch.setattr(evaluation_jobs, 'worker_role', role)
    monkeypatch.setattr(
        evaluation_jobs, 'shared_evaluator', lambda role: roles.append(role) or Worker()
    )
    for wanted in (False, True):
        request = EvaluationRequest(('a',), 'images', 'out', shortcut_tests=wanted)
        list(evaluation_jobs.evaluate_models(request))
    assert roles == ['inference', 'torch']
    assert asked == [('evaluate', False), ('evaluate', True)]


@pytest.mark.slow
@pytest.mark.timeout(600)  # at a low priority, on a machine that may be busy
def test_from_images_to_a_report(dock, qtbot, tmp_path):
    rows = [('path', 'label', 'source')]
    for i in range(12):
        label = ('no opacity', 'opacity')[i % 2]
        iio.imwrite(tmp_path / f'{i}.png', np.uint8(255 * samples.phantom((120, 100), seed=i)))
        rows.append((f'{i}.png', label, 'ab'[i // 6]))
    with open(tmp_path / 'list.csv', 'w', newline='') as file:
        csv.writer(file).writerows(rows)
    dock.setup.choose_models('cxr-opacity')  # which needs no torch
    dock.setup.set_images(str(tmp_path / 'list.csv'))
    dock.setup.out.setText(str(tmp_path / 'out'))
    qtbot.waitUntil(dock.start.isEnabled, timeout=WAIT)
    try:
        with qtbot.waitSignal(dock.settled, timeout=4 * WAIT):
            dock.start.click()
    finally:
        evaluation_jobs.shared_evaluator('inference').close()
    assert not dock.message.text and dock.finished is not None
    assert (tmp_path / 'out' / 'report.html').is_file()
    assert dock.results.result.table.paths[0].endswith('.png')
    assert dock.results.column.currentText() == 'source'
