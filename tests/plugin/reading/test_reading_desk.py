"""Reading in a real window: keys work where they should, and nowhere else."""

from pathlib import Path

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QWidget

from napari_cxr.plugin.settings import remember
from napari_cxr.plugin.shared import shared
from napari_cxr.plugin.train_dock import TrainDock
from napari_cxr.scoring import Row, tables
from napari_cxr.scoring.row import Run

WAIT = 8_000
LABELS = ('covid19', 'normal', 'pneumonia')


@pytest.fixture
def table(tmp_path):
    """A finished table of four images that are gone."""
    run = Run('tiny', '0' * 12, LABELS, {}, '0', truth=True)
    rows = [
        Row(
            number=n,
            path=str(tmp_path / f'{n}.png'),
            status='scored',
            label='normal',
            probabilities=(0.25, 0.5, 0.25),
            truth='normal',
        )
        for n in range(4)
    ]
    tables.write(tmp_path / 'scores.csv', rows, run)
    return tmp_path / 'scores.csv'


@pytest.fixture
def dock(qtbot, make_napari_viewer, own_plugin, models, settled_threads, tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_DATA_HOME', str(tmp_path / 'data'))
    remember('batch', model='tiny', device='cpu', images='', table='', folder=str(tmp_path))
    viewer = make_napari_viewer(show=True)
    _, dock = viewer.window.add_plugin_dock_widget('napari-cxr', 'Score a folder')
    yield dock
    dock.session.cancel()
    dock.desk.opener.close()
    dock.desk._close_reading()
    qtbot.waitUntil(lambda: not dock.busy, timeout=WAIT)


@pytest.fixture
def reading(qtbot, dock, table, monkeypatch):
    """The dock with that table, measured by nobody, and its list open."""
    monkeypatch.setattr(dock.course, 'measure', lambda truths: None)
    dock.open_table(str(table))
    qtbot.waitUntil(lambda: dock.desk.reading is not None, timeout=WAIT)
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


def read(dock):
    return {path[-5]: entry.labels for path, entry in dock.desk.reading}


def test_keys_label_from_the_table_and_from_the_canvas(qtbot, reading):
    dock, table = reading, reading.panel.table
    activate(qtbot, dock)
    canvas_keys = dock.desk._keys
    assert len(canvas_keys) == 1  # nobody reads yet: napari's keys are napari's
    qtbot.keyClick(table.view, Qt.Key.Key_J)
    assert table.current().number == 1 and len(canvas_keys) == 2
    qtbot.keyClick(table.view, Qt.Key.Key_3)
    assert read(dock) == {'1': ('pneumonia',)} and table.current().number == 2
    canvas = canvas_of(dock)
    qtbot.keyClick(canvas, Qt.Key.Key_Space)
    assert read(dock)['2'] == ('normal',) and table.current().number == 3
    qtbot.keyClick(canvas, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert set(read(dock)) == {'1'} and table.current().number == 2
    qtbot.keyClick(canvas, Qt.Key.Key_K)
    assert table.current().number == 1 and dock.panel.reading.reads.row.number == 1


def test_keys_are_left_to_text_fields_and_to_layers_that_are_edited(qtbot, reading):
    dock, table = reading, reading.panel.table
    activate(qtbot, dock)
    qtbot.keyClick(table.view, Qt.Key.Key_J)
    table.strip.text.setFocus()
    qtbot.keyClicks(table.strip.text, '1')
    assert table.strip.text.text() == '1' and not read(dock)
    table.strip.reset()
    dock.desk.step(1)
    canvas = canvas_of(dock)
    layer = dock.viewer.add_labels(np.zeros((20, 20), np.uint8))
    qtbot.keyClick(canvas, Qt.Key.Key_1)
    assert not read(dock)
    dock.viewer.layers.remove(layer)
    qtbot.keyClick(canvas, Qt.Key.Key_1)
    assert list(read(dock).values()) == [('covid19',)]


def test_a_row_that_cannot_be_opened_says_why_and_reading_goes_on(qtbot, reading):
    dock = reading
    with qtbot.waitSignal(dock.desk.failed, timeout=WAIT):
        dock.panel.table.view.doubleClicked.emit(dock.panel.table.model.index(2, 0))
        dock.desk.step(1)
    assert dock.panel.message.text
    assert dock.panel.reading.reads.row is dock.panel.table.current()


def test_labels_that_another_window_has_open_are_told(qtbot, reading, table, own_plugin):
    from napari.components import ViewerModel

    from napari_cxr.plugin.batch.dock import BatchDock

    another = BatchDock(ViewerModel())
    qtbot.addWidget(another)
    another.course.measure = lambda truths: None
    another.open_table(str(table))
    panel = another.panel
    qtbot.waitUntil(lambda: 'another window' in panel.reading.hint.text(), timeout=WAIT)
    assert len(panel.table.rows()) == 4


def test_a_dock_that_is_taken_away_lets_others_read(qtbot, reading, table):
    viewer = reading.viewer
    viewer.window.remove_dock_widget(reading)
    _, another = viewer.window.add_plugin_dock_widget('napari-cxr', 'Score a folder')
    assert another is not reading
    another.course.measure = lambda truths: None
    another.open_table(str(table))
    qtbot.waitUntil(lambda: another.desk.reading is not None, timeout=WAIT)
    another.desk.leave()


def test_who_has_none_of_several_counts_as_labelled(reading):
    first, second, third, _ = (row.path for row in reading.panel.table.rows())
    reading.desk.reading.set(first, ())
    reading.desk.reading.unsure(second)
    reading.desk.reading.note(third, 'later')
    assert reading.desk.truths() == {first: ''}


def test_exported_labels_are_opened_in_the_train_dock(qtbot, reading, tmp_path):
    for row in reading.panel.table.rows():
        Path(row.path).write_bytes(b'there')
        reading.desk.reading.set(row.path, ('normal',))
    with qtbot.waitSignal(reading.desk.saved, timeout=WAIT) as said:
        reading.desk.export('csv', str(tmp_path / 'labels.csv'))
    saved = reading.panel.reading.saved
    assert said.args == [str(tmp_path / 'labels.csv')]
    assert saved.words.text().startswith('Saved 4 images as labels.csv.')
    wanted = []
    shared().images_wanted.connect(lambda viewer, source: wanted.append(source))
    saved.train.click()
    assert wanted == [str(tmp_path / 'labels.csv')]
    (train,) = reading.window().findChildren(TrainDock)
    assert train.setup.current_source == str(tmp_path / 'labels.csv')
