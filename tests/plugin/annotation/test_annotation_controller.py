"""Annotation in a real window, and the labels of a table whose dock goes away meanwhile."""

import errno
import gc
import os
from dataclasses import replace
from pathlib import Path
from threading import Event

import imageio.v3 as iio
import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import QEvent, QObject, Qt, QThreadPool
from qtpy.QtWidgets import (
    QAbstractItemView,
    QApplication,
    QComboBox,
    QDockWidget,
    QFileDialog,
    QSlider,
    QWidget,
)

from napari_cxr.inference.prediction import ImageWarning
from napari_cxr.plugin.annotation import label_export, row_loader
from napari_cxr.plugin.annotation.annotation_controller import TableLabels
from napari_cxr.plugin.background import Failure, JobCancelled
from napari_cxr.plugin.batch.dock import BatchDock
from napari_cxr.plugin.preferences import save_preferences
from napari_cxr.plugin.score_table.sort_filter import RowFilter, RowKind
from napari_cxr.plugin.train.dock import TrainDock
from napari_cxr.scoring import ScoreRow, table_reader, table_writer
from napari_cxr.scoring.annotation.folder_export import PATIENT_PATTERN
from napari_cxr.scoring.annotation.readers import Reader, reading_position
from napari_cxr.scoring.annotation.reading_list import ReadingList
from napari_cxr.scoring.append_log import AppendLog
from napari_cxr.scoring.score_row import ScoringRun

WAIT = 150_000
LABELS = ('covid19', 'normal', 'pneumonia')
#: What is said of an image on screen.
SEEN = 'Not annotated yet. It is shown without a heatmap. There is no model here.'


@pytest.fixture
def table(tmp_path):
    """A finished table of four images that are gone."""
    run = ScoringRun('tiny', '0' * 12, LABELS, {}, '0', truth=True)
    rows = [
        ScoreRow(
            number=n,
            path=str(tmp_path / f'{n}.png'),
            status='scored',
            label='normal',
            probabilities=(0.25, 0.5, 0.25),
            truth='normal',
        )
        for n in range(4)
    ]
    table_writer.write_table(tmp_path / 'scores.csv', rows, run)
    return tmp_path / 'scores.csv'


@pytest.fixture
def images(tmp_path, monkeypatch):
    """The images, which no model is asked about."""

    def asked(*_):
        raise ValueError('There is no model here.')
        yield

    monkeypatch.setattr(row_loader, 'classify_radiograph', asked)
    for n in range(4):
        iio.imwrite(tmp_path / f'{n}.png', np.full((40, 40 + n), 20 * n, np.uint8))


@pytest.fixture
def dock(qtbot, make_napari_viewer, own_plugin, models, settled_threads, tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_DATA_HOME', str(tmp_path / 'data'))
    save_preferences(
        'batch', model='tiny', device='cpu', images='', table='', folder=str(tmp_path)
    )
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1200, 1000)  # so high that the table stands above the annotation
    _, dock = viewer.window.add_plugin_dock_widget('napari-cxr', 'Score a folder')
    yield dock
    dock.release()
    qtbot.waitUntil(lambda: not dock.busy, timeout=WAIT)


@pytest.fixture
def reading(qtbot, dock, table, monkeypatch):
    """The dock with that table, measured by nobody, and its list open."""
    monkeypatch.setattr(dock.controller, 'measure', lambda truths: None)
    dock.open_table(str(table))
    qtbot.waitUntil(lambda: dock.annotation.annotations is not None, timeout=WAIT)
    qtbot.waitUntil(lambda: dock.panel.table.model.rowCount() == 4, timeout=WAIT)
    return dock


def activate(qtbot, dock):
    """Make the window the active one: shortcuts work in no other."""
    dock.window().activateWindow()
    dock.window().raise_()
    qtbot.waitUntil(lambda: QApplication.activeWindow() is dock.window(), timeout=WAIT)
    dock.panel.table.view.setFocus()


def canvas_of(dock):
    """What has the focus once a person has clicked into the image."""
    inside = dock.window().centralWidget().findChildren(QWidget)
    canvas = next(each for each in inside if 'CanvasBackend' in type(each).__name__)
    canvas.setFocus()
    return canvas


def on_screen(qtbot, dock, number):
    path = next(row.path for row in dock.panel.table.rows() if row.number == number)
    qtbot.waitUntil(lambda: dock.annotation.opener.on_screen == path, timeout=WAIT)
    opener = dock.annotation.opener
    qtbot.waitUntil(lambda: not opener.pending and opener._wanted is None, timeout=WAIT)


def open_first(qtbot, dock):
    qtbot.waitUntil(lambda: bool(dock.panel.table.rows()), timeout=WAIT)
    dock.panel.annotation.row_wanted.emit(dock.panel.table.rows()[0].path)
    on_screen(qtbot, dock, 0)


def read(dock):
    return {path[-5]: entry.labels for path, entry in dock.annotation.annotations}


def test_keys_label_from_the_table_and_from_the_canvas(qtbot, reading, images):
    dock, table = reading, reading.panel.table
    activate(qtbot, dock)
    qtbot.keyClick(canvas_of(dock), Qt.Key.Key_3)  # nobody reads yet: napari's keys are napari's
    assert not read(dock) and not dock.annotation.opener.pending
    table.view.setFocus()
    table.go_to(table.rows()[0].path)
    qtbot.keyClick(table.view, Qt.Key.Key_J)
    on_screen(qtbot, dock, 1)
    qtbot.keyClick(table.view, Qt.Key.Key_3)
    assert read(dock) == {'1': ('pneumonia',)} and table.current().number == 2
    on_screen(qtbot, dock, 2)
    canvas = canvas_of(dock)
    qtbot.keyClick(canvas, Qt.Key.Key_Space)
    assert read(dock)['2'] == ('normal',) and table.current().number == 3
    qtbot.keyClick(canvas, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert set(read(dock)) == {'1'} and table.current().number == 2
    qtbot.keyClick(canvas, Qt.Key.Key_K)
    assert table.current().number == 1 and dock.panel.annotation.state.row.number == 1


def test_the_end_of_the_list_is_told(qtbot, reading):
    dock, table, panel = reading, reading.panel.table, reading.panel.annotation
    paths = [row.path for row in table.rows()]
    table.go_to(paths[3])
    dock.annotation.step(1)
    assert panel.hint.text() == (
        'This is the last row. Filter the table for those not annotated yet: 4 of 4.'
    )
    assert table.current().number == 3
    for path in paths[:2]:
        dock.annotation.annotations.unsure(path)
        table.refresh(path)
    table.filter_bar.uncertain.click()  # all are alike; the first that is not read is read next
    assert table.current().number == 2
    for path in paths:
        dock.annotation.annotations.set(path, ('normal',))
    table.go_to(paths[3])
    dock.annotation.step(1)
    assert panel.hint.text() == 'This is the last row, and all images are annotated.'


def test_nothing_is_said_of_an_image_that_is_still_to_come(qtbot, reading, images):
    dock, table, panel = reading, reading.panel.table, reading.panel.annotation
    activate(qtbot, dock)
    open_first(qtbot, dock)
    table.view.setFocus()
    for key in (Qt.Key.Key_1, Qt.Key.Key_1, Qt.Key.Key_Space, Qt.Key.Key_U):
        qtbot.keyClick(table.view, key)  # as fast as that, all are about the first image
    panel.buttons.buttons[2].click()
    panel.controls.unsure.click()
    assert read(dock) == {'0': ('covid19',)} and panel.state.row.number == 1
    assert panel.hint.text() == 'Not labelled: the image is still loading.'
    assert not panel.controls.unsure.isChecked()
    # As soon as it is painted it is on screen, but nobody has seen it yet.
    path = table.rows()[1].path
    qtbot.waitUntil(lambda: dock.annotation.opener.on_screen == path, timeout=WAIT)
    panel.agree()
    assert '1' not in read(dock)
    on_screen(qtbot, dock, 1)
    assert (
        panel.hint.text()
        == f'{SEEN} The label was ignored, because the image was not visible yet.'
    )
    qtbot.keyClick(table.view, Qt.Key.Key_2)
    assert read(dock) == {'0': ('covid19',), '1': ('normal',)}


def test_keys_are_heard_where_the_heatmap_is_hidden(qtbot, reading, images):
    dock = reading
    activate(qtbot, dock)
    open_first(qtbot, dock)
    for name, number in (('layer list', 0), ('layer controls', 1)):
        beside = dock.window().findChild(QDockWidget, name)
        inside = beside.findChild(QAbstractItemView if name == 'layer list' else QSlider)
        inside.setFocus()
        qtbot.waitUntil(inside.hasFocus, timeout=WAIT)
        qtbot.keyClick(inside, Qt.Key.Key_1)
        assert set(read(dock)) == {str(n) for n in range(number + 1)}
        on_screen(qtbot, dock, number + 1)
    dock.annotation.close()
    qtbot.keyClick(inside, Qt.Key.Key_1)
    assert dock.annotation.annotations is None


def test_keys_in_the_canvas_label_what_it_shows(qtbot, reading, images):
    dock, table, panel = reading, reading.panel.table, reading.panel.annotation
    hint = panel.hint
    activate(qtbot, dock)
    open_first(qtbot, dock)
    assert hint.text() == SEEN and panel.buttons.isEnabled()
    assert not panel.name.button.isVisible()
    table.step(1)  # chosen, not opened
    assert not panel.buttons.isEnabled() and panel.name.button.isVisible()
    assert dock.panel.annotation.state.row.number == 1
    assert hint.text() == 'Not annotated yet. Not on screen: Enter opens it.'
    canvas = canvas_of(dock)
    for key in (Qt.Key.Key_1, Qt.Key.Key_1, Qt.Key.Key_Space, Qt.Key.Key_U):
        qtbot.keyClick(canvas, key)  # the first one opens it
    assert not read(dock) and hint.text() == 'Not labelled: the image is still loading.'
    assert panel.buttons.isEnabled() and not panel.name.button.isVisible()
    on_screen(qtbot, dock, 1)
    assert hint.text().startswith(f'{SEEN} The label was ignored')
    qtbot.keyClick(canvas, Qt.Key.Key_1)
    assert read(dock) == {'1': ('covid19',)}
    on_screen(qtbot, dock, 2)
    # What cannot be opened is on no screen, and neither is the one before.
    qtbot.waitUntil(lambda: dock.annotation.opener._later.request is None, timeout=WAIT)
    Path(table.rows()[3].path).unlink()
    with qtbot.waitSignal(dock.annotation.opener.failed, timeout=WAIT):
        qtbot.keyClick(canvas, Qt.Key.Key_J)
        qtbot.keyClick(canvas, Qt.Key.Key_1)
    assert not any(layer.visible for layer in dock.viewer.layers)
    assert 'Not on screen' in hint.text()
    qtbot.keyClick(canvas, Qt.Key.Key_1)
    assert set(read(dock)) == {'1'}
    qtbot.keyClick(canvas, Qt.Key.Key_K)
    on_screen(qtbot, dock, 2)
    assert all(layer.visible for layer in dock.viewer.layers)
    assert set(read(dock)) == {'1'}


def test_a_label_goes_on_past_files_that_failed(qtbot, dock, table, images, tmp_path):
    run, rows = table_reader.read_rows(str(table))
    first, *others = rows
    bad = replace(others[0], status='error', error='It is cut off.', label='', probabilities=())
    table_writer.write_table(tmp_path / 'mixed.csv', [first, bad, *others[1:]], run)
    dock.controller.measure = lambda labels: None
    dock.open_table(str(tmp_path / 'mixed.csv'))
    qtbot.waitUntil(lambda: dock.annotation.annotations is not None, timeout=WAIT)
    qtbot.waitUntil(lambda: dock.panel.table.model.rowCount() == 4, timeout=WAIT)
    activate(qtbot, dock)
    open_first(qtbot, dock)
    view = dock.panel.table.view
    view.setFocus()
    for number, following in ((0, 2), (2, 3)):
        on_screen(qtbot, dock, number)
        qtbot.keyClick(view, Qt.Key.Key_1)
        assert dock.panel.table.current().number == following and view.hasFocus()
    assert set(read(dock)) == {'0', '2'}
    # Who goes there by J sees why it failed, and goes on.
    qtbot.keyClick(view, Qt.Key.Key_K)
    qtbot.keyClick(view, Qt.Key.Key_K)
    assert dock.panel.table.current().number == 1
    assert 'cannot be labelled: It is cut off.' in dock.panel.annotation.hint.text()
    qtbot.keyClick(view, Qt.Key.Key_J)
    assert dock.panel.table.current().number == 2


def test_heatmaps_of_doubtful_images_come_with_their_predictions(
    qtbot, reading, table, images, monkeypatch
):
    dock, opener = reading, reading.annotation.opener
    open_first(qtbot, dock)
    opened = []
    monkeypatch.setattr(opener, 'open', lambda row, *_: opened.append(row.number))
    wanted = dock.panel.table.choice.doubtful_wanted
    wanted.emit(True)
    assert opener.reveals_doubtful and not opened  # the row on show is none of them
    state = dock.panel.annotation.state
    state.row = replace(state.row, warnings=(ImageWarning('mirrored', 'May be mirrored.'),))
    wanted.emit(False)
    assert not opener.reveals_doubtful and opened == [0]
    wanted.emit(True)
    dock.open_table(str(table))
    qtbot.waitUntil(lambda: not opener.reveals_doubtful, timeout=WAIT)


def test_a_row_that_is_only_chosen_is_shown_before_it_is_labelled(qtbot, reading, images):
    dock, table, panel = reading, reading.panel.table, reading.panel.annotation
    activate(qtbot, dock)
    open_first(qtbot, dock)
    table.view.setFocus()
    says = (
        lambda: qtbot.keyClick(table.view, Qt.Key.Key_1),
        lambda: panel.buttons.buttons[0].clicked.emit(),
        panel.name.button.click,
    )
    for number, say in enumerate(says, start=1):
        qtbot.keyClick(table.view, Qt.Key.Key_Down)
        assert table.current().number == number and not panel.buttons.isEnabled()
        say()
        on_screen(qtbot, dock, number)
        assert not read(dock) and table.current().number == number
        assert panel.buttons.isEnabled() and not panel.name.button.isVisible()
    qtbot.keyClick(table.view, Qt.Key.Key_1)
    assert read(dock) == {'3': ('covid19',)}


def test_an_image_that_was_hidden_by_hand_is_not_labelled(qtbot, reading, images):
    dock, panel = reading, reading.panel.annotation
    open_first(qtbot, dock)
    (base,) = dock.viewer.layers
    base.visible = False
    panel.agree()
    assert not read(dock)
    qtbot.waitUntil(lambda: base.visible, timeout=WAIT)
    on_screen(qtbot, dock, 0)
    panel.agree()
    assert read(dock) == {'0': ('normal',)}


def test_a_key_of_reading_brings_it_forward_from_behind_the_figures(qtbot, reading, images):
    dock, tabs, panel = reading, reading.panel.tabs, reading.panel.annotation
    activate(qtbot, dock)
    open_first(qtbot, dock)
    page = tabs.widget(1)
    for number, focused in enumerate((dock.panel.table.view, canvas_of(dock), page)):
        tabs.setCurrentIndex(1)
        focused.setFocus()
        qtbot.waitUntil(focused.hasFocus, timeout=WAIT)
        assert not panel.isVisible()
        qtbot.keyClick(focused, Qt.Key.Key_3)
        assert tabs.currentIndex() == 0 and panel.isVisible()
        assert set(read(dock)) == {str(n) for n in range(number + 1)}
        on_screen(qtbot, dock, number + 1)
    assert panel.hasFocus()  # and not a field, in which the next key would be typed
    # What is not on screen is shown first, here too.
    tabs.setCurrentIndex(1)
    dock.panel.table.view.setFocus()
    qtbot.keyClick(dock.panel.table.view, Qt.Key.Key_Up)
    qtbot.keyClick(dock.panel.table.view, Qt.Key.Key_1)
    on_screen(qtbot, dock, 2)
    assert tabs.currentIndex() == 0 and read(dock)['2'] == ('pneumonia',)


def test_the_space_bar_presses_a_button_among_the_figures(qtbot, reading, images):
    dock, metrics = reading, reading.panel.metrics
    activate(qtbot, dock)
    open_first(qtbot, dock)
    dock.panel.tabs.setCurrentIndex(1)
    metrics.offer_measuring(True)
    metrics.measure.setFocus()
    qtbot.waitUntil(metrics.measure.hasFocus, timeout=WAIT)
    with qtbot.waitSignal(metrics.measure_wanted):
        qtbot.keyClick(metrics.measure, Qt.Key.Key_Space)
    assert dock.panel.tabs.currentIndex() == 1 and not read(dock)
    # When it goes, the table has the keys, and not a button of the window beside the dock.
    metrics.offer_measuring(False)
    assert dock.panel.table.view.hasFocus()
    metrics.show_measuring()
    metrics.stop.setFocus()
    qtbot.waitUntil(metrics.stop.hasFocus, timeout=WAIT)
    metrics.restore()
    assert dock.panel.table.view.hasFocus()


def test_no_key_labels_while_nobody_sees_the_panel_or_its_tab(qtbot, reading, images):
    dock = reading
    activate(qtbot, dock)
    open_first(qtbot, dock)
    canvas = canvas_of(dock)
    window = dock.window()
    behind = dock
    while not isinstance(behind, QDockWidget):
        behind = behind.parentWidget()
    other = QDockWidget('Other', window)
    other.setWidget(QWidget())
    window.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, other)
    window.tabifyDockWidget(behind, other)
    other.show()
    other.raise_()
    qtbot.waitUntil(lambda: dock.panel.annotation.visibleRegion().isEmpty(), timeout=WAIT)
    qtbot.keyClick(canvas, Qt.Key.Key_Space)
    qtbot.keyClick(canvas, Qt.Key.Key_J)
    assert not read(dock) and dock.panel.table.current().number == 0
    window.removeDockWidget(other)
    other.deleteLater()
    behind.hide()
    qtbot.keyClick(canvas, Qt.Key.Key_1)
    assert not read(dock)
    behind.show()
    behind.raise_()
    qtbot.waitUntil(lambda: not dock.panel.annotation.visibleRegion().isEmpty(), timeout=WAIT)
    qtbot.keyClick(canvas, Qt.Key.Key_1)
    assert read(dock) == {'0': ('covid19',)}


def test_keys_are_left_to_fields_and_to_layers_that_are_edited(qtbot, reading, images):
    dock, table = reading, reading.panel.table
    activate(qtbot, dock)
    qtbot.keyClick(table.view, Qt.Key.Key_J)
    combo = next(box for box in dock.findChildren(QComboBox) if box.isVisible())
    combo.setFocus()
    for key in (Qt.Key.Key_1, Qt.Key.Key_U):
        qtbot.keyClick(combo, key)
    assert not read(dock)
    table.filter_bar.text.setFocus()
    qtbot.keyClicks(table.filter_bar.text, '1')
    assert table.filter_bar.text.text() == '1' and not read(dock)
    table.filter_bar.reset()
    dock.annotation.step(1)
    on_screen(qtbot, dock, table.current().number)
    canvas = canvas_of(dock)
    base = dock.viewer.layers[0]
    layer = dock.viewer.add_labels(np.zeros((20, 20), np.uint8))
    qtbot.keyClick(canvas, Qt.Key.Key_1)
    assert not read(dock)
    dock.viewer.layers.remove(layer)
    dock.viewer.layers.selection.active = base
    qtbot.keyClick(canvas, Qt.Key.Key_1)
    assert list(read(dock).values()) == [('covid19',)]


def test_a_row_that_cannot_be_opened_says_why_and_reading_goes_on(qtbot, reading):
    dock = reading
    with qtbot.waitSignal(dock.annotation.opener.failed, timeout=WAIT):
        dock.panel.table.view.doubleClicked.emit(dock.panel.table.model.index(2, 0))
        dock.annotation.step(1)
    # In the panel, and nothing moves the table away under the pointer.
    hint = dock.panel.annotation.hint.text()
    assert 'Not on screen: ' in hint and 'does not exist' in hint and 'Enter' not in hint
    assert not dock.panel.message.text
    assert dock.panel.annotation.state.row is dock.panel.table.current()


def test_why_a_row_cannot_be_opened_is_told_above_where_nobody_sees_the_panel(qtbot, reading):
    panel = reading.panel
    panel.tabs.setCurrentIndex(1)
    qtbot.waitUntil(lambda: not panel.annotation.isVisible())
    panel.table.opened.emit(panel.table.rows()[2])
    qtbot.waitUntil(lambda: 'does not exist' in panel.message.text, timeout=WAIT)


def test_docks_that_the_collector_takes_end_their_work(
    qtbot, own_plugin, models, settled_threads, monkeypatch
):
    ended = []

    def never_ends(*_):
        try:
            while True:
                yield None
        finally:
            ended.append(True)

    monkeypatch.setattr(label_export, 'open_labels', never_ends)
    for number in range(2):
        dock = BatchDock(ViewerModel())
        dock.itself = dock
        dock.annotation.start(ScoringRun('', '', LABELS, {}, ''), 'scores.csv', 'tiny', 'cpu')
        del dock
        gc.collect()
        qtbot.waitUntil(lambda: len(ended) == number + 1, timeout=WAIT)  # noqa: B023


def test_labels_that_another_window_has_open_are_told(qtbot, reading, table, own_plugin):
    another = BatchDock(ViewerModel())
    qtbot.addWidget(another)
    another.controller.measure = lambda truths: None
    another.open_table(str(table))
    panel = another.panel
    qtbot.waitUntil(lambda: 'another window' in panel.annotation.hint.text(), timeout=WAIT)
    assert len(panel.table.rows()) == 4


def test_a_dock_that_is_taken_away_lets_others_read(qtbot, reading, table, images):
    viewer = reading.viewer
    open_first(qtbot, reading)
    viewer.window.remove_dock_widget(reading)
    _, another = viewer.window.add_plugin_dock_widget('napari-cxr', 'Score a folder')
    assert another is not reading
    another.controller.measure = lambda truths: None
    another.open_table(str(table))
    qtbot.waitUntil(lambda: another.annotation.annotations is not None, timeout=WAIT)
    # The keys of the dock that has gone are gone from the canvas.
    activate(qtbot, another)
    open_first(qtbot, another)
    qtbot.keyClick(canvas_of(another), Qt.Key.Key_1)
    assert read(another) == {'0': ('covid19',)}
    another.release()


def test_labels_that_cannot_be_saved_are_kept_and_told(qtbot, reading, table, monkeypatch):
    controller, path = reading.annotation, reading.panel.table.rows()[0].path
    copy = table.with_name('copy.csv')
    copy.write_bytes(table.read_bytes())
    first = controller.annotations

    def full(*_):
        raise OSError(errno.ENOSPC, 'No space left on device')

    with monkeypatch.context() as patch:
        patch.setattr(AppendLog, 'append', full)
        first.set(path, ('normal',))
        qtbot.waitUntil(lambda: bool(controller.unsaved_problem), timeout=WAIT)
        assert '1 change is not saved: ' in controller.unsaved_problem
        with qtbot.waitSignal(controller.failed, timeout=WAIT) as told:
            controller.start(reading.controller.run, str(copy), 'tiny', 'cpu')
        assert told.args[0] == controller.unsaved_problem == reading.panel.message.text
        # The table itself has to wait until they are.
        hint = reading.panel.annotation.hint
        controller.start(reading.controller.run, str(table), 'tiny', 'cpu')
        reading.panel.annotation.show_row(None)
        qtbot.waitUntil(lambda: 'not saved yet' in hint.text(), timeout=WAIT)
    first.retry()
    qtbot.waitUntil(lambda: not controller.unsaved_problem, timeout=WAIT)
    qtbot.waitUntil(lambda: not reading.panel.message.text, timeout=WAIT)
    controller.start(reading.controller.run, str(table), 'tiny', 'cpu')
    qtbot.waitUntil(lambda: controller.annotations is not None, timeout=WAIT)
    assert read(reading) == {'0': ('normal',)}


def test_a_table_is_opened_again_while_it_is_being_opened_and_saved(
    qtbot, reading, table, monkeypatch
):
    controller, gate, real = reading.annotation, Event(), os.fsync
    monkeypatch.setattr(os, 'fsync', lambda file: (gate.wait(20), real(file)))
    controller.annotations.set(reading.panel.table.rows()[0].path, ('normal',))
    for _ in range(3):
        controller.start(reading.controller.run, str(table), 'tiny', 'cpu')
    gate.set()
    with qtbot.assertNotEmitted(controller.failed):
        qtbot.waitUntil(lambda: controller.annotations is not None, timeout=WAIT)
    assert read(reading) == {'0': ('normal',)}


def test_who_has_none_of_several_counts_as_labelled(reading):
    first, second, third, _ = (row.path for row in reading.panel.table.rows())
    reading.annotation.annotations.set(first, ())
    reading.annotation.annotations.unsure(second)
    reading.annotation.annotations.note(third, 'later')
    assert reading.annotation.labels() == {first: ''}


def save(qtbot, reading, form, path):
    with qtbot.waitSignal(reading.annotation.saved, timeout=WAIT) as said:
        reading.annotation.export(form, str(path))
    assert said.args[0].path == str(path)
    return reading.panel.saved


def test_exported_labels_are_opened_in_the_train_dock(qtbot, reading, tmp_path):
    for row in reading.panel.table.rows():
        Path(row.path).write_bytes(b'there')
        reading.annotation.annotations.set(row.path, ('normal',))
    saved = save(qtbot, reading, 'csv', tmp_path / 'labels.csv')
    assert saved.label.text().startswith('Saved 4 images as labels.csv in ')
    saved.train.click()
    (train,) = reading.window().findChildren(TrainDock)
    assert train.setup.current_source == str(tmp_path / 'labels.csv')
    assert train.recipe_controller.recipe.data.patient == ''
    # In folders, names tell patients apart.
    known = [replace(row, patient=f'{row.number // 2}') for row in reading.panel.table.rows()]
    reading.panel.table.add(known)
    qtbot.waitUntil(lambda: reading.panel.table.rows() == known, timeout=WAIT)
    save(qtbot, reading, 'folders', tmp_path / 'labels').train.click()
    assert train.setup.current_source == str(tmp_path / 'labels')
    assert train.recipe_controller.recipe.data.patient == PATIENT_PATTERN
    save(qtbot, reading, 'csv', tmp_path / 'labels.csv').train.click()
    assert train.recipe_controller.recipe.data.patient == ''


def test_a_csv_has_its_ending_and_replaces_nothing_unasked(qtbot, reading, tmp_path, monkeypatch):
    path = reading.panel.table.rows()[0].path
    Path(path).write_bytes(b'there')
    reading.annotation.annotations.set(path, ('normal',))
    chosen = lambda *_: (str(tmp_path / 'mine'), '')  # noqa: E731
    monkeypatch.setattr(QFileDialog, 'getSaveFileName', chosen)
    with qtbot.waitSignal(reading.annotation.saved, timeout=WAIT) as said:
        reading.panel.annotation.export_wanted.emit('csv')
    assert said.args[0].path == str(tmp_path / 'mine.csv')
    before = (tmp_path / 'mine.csv').read_bytes()
    reading.annotation.annotations.set(path, ('pneumonia',))
    with qtbot.waitSignal(reading.annotation.failed, timeout=WAIT) as told:
        reading.panel.annotation.export_wanted.emit('csv')
    assert told.args[0].startswith('mine.csv already exists')
    assert (tmp_path / 'mine.csv').read_bytes() == before


def test_labels_of_a_table_before_are_offered_when_the_folder_is_scored_again(
    qtbot, reading, table, tmp_path
):
    paths = [row.path for row in reading.panel.table.rows()]
    first = reading.annotation.annotations
    first.set(paths[0], ('covid19',))
    first.set(paths[1], ('normal',), agreed=True)
    first.unsure(paths[2])
    first.note(paths[2], 'rotated')
    first.set('/elsewhere/9.png', ('normal',))
    run, rows = table_reader.read_rows(str(table))
    others = [replace(row, label='covid19', probabilities=(0.6, 0.2, 0.2)) for row in rows]
    table_writer.write_table(tmp_path / 'scores-2.csv', others, run)
    panel = reading.panel.annotation
    assert not panel.earlier.isVisible()
    reading.open_table(str(tmp_path / 'scores-2.csv'))
    qtbot.waitUntil(panel.earlier.isVisible, timeout=WAIT)
    assert panel.earlier.label.text() == '3 images have labels or notes in scores.csv.'
    assert not read(reading)  # nothing is taken over unasked
    panel.earlier.button.click()
    assert read(reading) == {'0': ('covid19',), '1': ('normal',), '2': ()}
    second = reading.annotation.annotations
    assert second.path.name == 'scores-2.csv.labels' and second.get(paths[2]).unsure
    assert second.get(paths[2]).note == 'rotated'
    # Who agreed with the model then does not agree with this one, and the other way round.
    assert second.get(paths[0]).agreed and not second.get(paths[1]).agreed
    assert not panel.earlier.isVisible() and panel.head.counts.text().startswith(
        '3 of 4 annotated'
    )
    shown = reading.panel.table.model
    assert shown.index(0, shown.column_of('read')).data() == 'covid19'


def test_labels_follow_files_that_were_renamed_and_leave_those_that_were_replaced(
    qtbot, reading, images, tmp_path
):
    dock, panel = reading, reading.panel.annotation
    activate(qtbot, dock)
    open_first(qtbot, dock)
    for number in range(2):
        on_screen(qtbot, dock, number)
        panel.choose(2)
    assert read(dock) == {'0': ('pneumonia',), '1': ('pneumonia',)}
    dock.release()
    # Scored again after one was renamed, and another put in the place of one.
    (tmp_path / '0.png').rename(tmp_path / 'moved.png')
    (tmp_path / '1.png').write_bytes((tmp_path / '2.png').read_bytes())
    run, rows = table_reader.read_rows(tmp_path / 'scores.csv')
    rows = [replace(row, path=row.path.replace('0.png', 'moved.png')) for row in rows]
    table_writer.write_table(tmp_path / 'scores.csv', rows, run)
    noted = []
    dock.annotation.noted.connect(noted.append)
    dock.open_table(str(tmp_path / 'scores.csv'))
    qtbot.waitUntil(lambda: bool(noted), timeout=WAIT)
    assert '1 label followed' in noted[0] and '1 image changed since' in noted[0]
    reading_list = dock.annotation.annotations
    assert reading_list.get(str(tmp_path / 'moved.png')).labels == ('pneumonia',)
    assert reading_list.get(str(tmp_path / '1.png')) is None and panel.state.counts.read == 1


# -- several readers, and blinded ----------------------------------------------------------


def shown_columns(table):
    return {table.model.columns[place].key for place in table.view.titles.shown}


def read_as(qtbot, dock, name, *, blinded=False, number=1, reveals_after=True):
    """Choose a reader in the dialog."""
    controller = dock.readers
    controller.dialog = None
    dock.panel.annotation.reader.button.click()
    qtbot.waitUntil(lambda: controller.dialog is not None, timeout=WAIT)
    dialog = controller.dialog
    dialog.name.setCurrentText(name)
    dialog.reading.setCurrentIndex(dialog.reading.findData(number))
    dialog.blinded.setChecked(blinded)
    dialog.reveals_after.setChecked(reveals_after)
    told = dialog.about.text()
    dialog.read.click()
    qtbot.waitUntil(
        lambda: (
            dock.annotation.annotations is not None
            and dock.annotation.annotations.reader == Reader(name, number)
        ),
        timeout=WAIT,
    )
    return told


def test_table_and_annotation_are_tabs_where_there_is_little_height(qtbot, reading, images):
    dock, panel, tabs = reading, reading.panel, reading.panel.tabs
    assert not panel.short and tabs.count() == 3
    dock.viewer.window.resize(1200, 720)
    qtbot.waitUntil(lambda: panel.short, timeout=WAIT)
    view = panel.table.view
    row = view.rowHeight(0)
    qtbot.waitUntil(lambda: view.viewport().height() >= 8 * row, timeout=WAIT)
    assert tabs.tabText(0) == 'Table' and tabs.currentIndex() == 0
    activate(qtbot, dock)
    qtbot.keyClick(view, Qt.Key.Key_J)
    on_screen(qtbot, dock, 0)
    qtbot.keyClick(view, Qt.Key.Key_3)  # a label brings the annotation forward
    assert panel.annotation.isVisible() and read(dock) == {'0': ('pneumonia',)}
    panel.table.show_only(RowFilter(which=RowKind.NOT_ANNOTATED))
    assert view.isVisible() and not panel.annotation.isVisible()
    dock.viewer.window.resize(1200, 1000)
    qtbot.waitUntil(lambda: not panel.short, timeout=WAIT)
    qtbot.waitUntil(lambda: view.isVisible() and panel.annotation.isVisible(), timeout=WAIT)


def test_a_blinded_reading_shows_the_models_answer_after_ones_own(qtbot, reading, images):
    dock, table, panel = reading, reading.panel.table, reading.panel.annotation
    assert 'label' in shown_columns(table)
    told = read_as(qtbot, dock, 'Anna', blinded=True)
    assert 'hidden' in told and 'random order' in told
    tabs = dock.panel.tabs
    metrics = next(i for i in range(tabs.count()) if tabs.tabText(i) == 'Metrics')
    assert shown_columns(table) == {'file'} and not tabs.isTabEnabled(metrics)
    order = [row.path for row in table.visible_rows()]
    assert order == sorted(order, key=lambda path: reading_position(Reader('Anna'), path))
    activate(qtbot, dock)
    first = order[0]  # it is open already
    qtbot.waitUntil(lambda: dock.annotation.opener.on_screen == first, timeout=WAIT)
    qtbot.waitUntil(lambda: not dock.annotation.opener.pending, timeout=WAIT)
    qtbot.waitUntil(lambda: dock.annotation.opener._wanted is None, timeout=WAIT)
    state = panel.state
    layer = next(layer for layer in dock.viewer.layers if layer.visible)
    assert panel.name.name.text() == 'Image 1 of 4' and layer.name == 'Image 1'
    texts = [button.accessibleName() for button in panel.buttons.buttons]
    assert texts == list(LABELS) and not panel.controls.agree.isEnabled()
    assert panel.hint.text() == 'Not annotated yet.'  # not even that there is no heatmap
    qtbot.keyClick(table.view, Qt.Key.Key_3)
    entry = dock.annotation.annotations.get(first)
    assert entry.blinded and entry.shown and entry.image and entry.seconds > 0
    assert state.row.path == first and not state.is_hidden  # it stays, with the model's answer
    assert 'Predicted: normal' in panel.hint.text()
    qtbot.waitUntil(lambda: dock.annotation.opener._wanted is None, timeout=WAIT)
    qtbot.waitUntil(lambda: not dock.annotation.opener.pending, timeout=WAIT)
    qtbot.keyClick(table.view, Qt.Key.Key_1)  # a second thought is not blinded any more
    assert not dock.annotation.annotations.get(first).blinded
    qtbot.waitUntil(lambda: dock.annotation.opener.on_screen == order[1], timeout=WAIT)
    assert state.is_hidden
    qtbot.waitUntil(lambda: dock.annotation.opener._wanted is None, timeout=WAIT)
    qtbot.waitUntil(lambda: not dock.annotation.opener.pending, timeout=WAIT)
    qtbot.keyClick(table.view, Qt.Key.Key_X)
    reasons = panel.controls.unusable.reasons
    qtbot.waitUntil(reasons.isVisible, timeout=WAIT)
    qtbot.keyClick(reasons, Qt.Key.Key_2)  # a reason, and not the second class
    unusable = dock.annotation.annotations.get(order[1])
    assert unusable.unusable and unusable.reason == 'motion blur' and not reasons.isVisible()
    # Another day it goes on blinded; another reader begins as they like.
    dock.open_table(dock.annotation.out)
    qtbot.waitUntil(lambda: dock.annotation.annotations is not None, timeout=WAIT)
    assert dock.annotation.choice.blinded and shown_columns(table) == {'file', 'read'}
    read_as(qtbot, dock, 'Ben')
    assert 'label' in shown_columns(table) and tabs.isTabEnabled(metrics)
    assert not panel.state.counts.read


def test_readers_are_compared_and_settle_what_they_differ_on(qtbot, reading, images, tmp_path):
    dock, table, panel = reading, reading.panel.table, reading.panel.annotation
    paths = [row.path for row in table.rows()]
    for name, places in (('Anna', (0, 1, 2, 0)), ('Ben', (0, 1, 1, 2))):
        opened = ReadingList.open(dock.annotation.out, LABELS, reader=Reader(name))
        for path, place in zip(paths, places, strict=True):
            opened.set(path, [LABELS[place]])
        opened.close()
    dock.panel.show_page(dock.panel.agreement)
    view = dock.panel.agreement
    qtbot.waitUntil(lambda: 'agree on 2 of 4 images (50 %)' in view.text.text(), timeout=WAIT)
    assert 'kappa' in view.statistics.text() and not view.statistics.isVisible()
    view.settle.click()
    qtbot.waitUntil(lambda: len(table.visible_rows()) == 2, timeout=WAIT)
    assert [row.path for row in table.visible_rows()] == paths[2:]
    qtbot.waitUntil(lambda: dock.annotation.opener.on_screen == paths[2], timeout=WAIT)
    qtbot.waitUntil(lambda: not dock.annotation.opener.pending, timeout=WAIT)
    assert panel.others.text() == 'Anna: pneumonia\nBen: normal'
    panel.choose(2)
    qtbot.waitUntil(lambda: '1 left to settle' in view.text.text(), timeout=WAIT)
    saved = []
    dock.annotation.noted.connect(saved.append)
    dock.readers.export(str(tmp_path / 'readings.csv'))
    qtbot.waitUntil(lambda: bool(saved), timeout=WAIT)
    assert len((tmp_path / 'readings.csv').read_text().splitlines()) == 1 + 4 + 4 + 1
    told = read_as(qtbot, dock, 'Anna', number=2)
    assert 'two weeks' in told and not any(dock.annotation.annotations)


# -- opening the labels of a table ---------------------------------------------------------


def test_labels_that_come_after_the_dock_has_gone_raise_nothing(
    qtbot, monkeypatch, settled_threads
):
    gate = Event()

    def opening(*_):
        gate.wait(20)
        return Failure('There is no such table.', '')
        yield

    monkeypatch.setattr(label_export, 'open_labels', opening)
    owner = QObject()
    labels, opened = TableLabels(lambda: None, owner), []
    labels.opened.connect(opened.append)
    labels.open('/scores.csv', ['normal'])
    owner.deleteLater()
    QApplication.sendPostedEvents(owner, QEvent.Type.DeferredDelete)
    gate.set()
    assert QThreadPool.globalInstance().waitForDone(WAIT)
    qtbot.wait(1)  # an error in a slot fails the test
    assert not opened
    gc.collect()


def test_only_the_table_that_was_asked_for_last_is_told_of(qtbot, monkeypatch, settled_threads):
    first, second = Failure('It is damaged.', ''), Failure('It is locked.', '')

    def opening(table, *_):
        yield None
        return first if table == '/first.csv' else second

    monkeypatch.setattr(label_export, 'open_labels', opening)
    labels, opened = TableLabels(lambda: None), []
    labels.opened.connect(opened.append)
    labels.open('/first.csv', ['normal'])
    labels.open('/second.csv', ['normal'])
    qtbot.waitUntil(lambda: bool(opened), timeout=WAIT)
    assert opened == [second]


def test_labels_that_nobody_takes_are_closed(tmp_path):
    opening = label_export.open_labels(str(tmp_path / 'scores.csv'), LABELS, lambda: None)
    assert next(opening) is None
    with pytest.raises(JobCancelled):
        opening.throw(JobCancelled())
    # They can be opened again, as by another window.
    ReadingList.open(str(tmp_path / 'scores.csv'), LABELS).close()
