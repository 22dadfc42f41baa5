"""The Batch dock as a person uses it: score, stop, resume, reopen, read, save."""

import csv
import math
import os
import signal
from itertools import pairwise

import imageio.v3 as iio
import numpy as np
import pytest
from made_up_scores import NOT_A_CHEST, run, scored
from napari.components import ViewerModel
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QThreadPool, QUrl
from qtpy.QtGui import QDropEvent
from qtpy.QtWidgets import QFileDialog, QPushButton, QVBoxLayout, QWidget

from napari_cxr import samples
from napari_cxr.plugin.batch import batch_jobs
from napari_cxr.plugin.batch.batch_layout import PanelScrollArea
from napari_cxr.plugin.batch.batch_panel import BatchPanel, ScoreProgress
from napari_cxr.plugin.batch.dock import BatchDock
from napari_cxr.plugin.batch.scoring_request import ImageCount
from napari_cxr.plugin.docks import dock_signals
from napari_cxr.plugin.preferences import preferences, save_preferences
from napari_cxr.plugin.score_table.sort_filter import RowKind
from napari_cxr.scoring import ScoringProgress
from napari_cxr.scoring.annotation.csv_export import ExportResult
from napari_cxr.scoring.journal import Journal, journal_of
from napari_cxr.scoring.table_writer import write_table

WAIT = 150_000
#: Images that take so much longer than a look at how far they are that a run can be stopped.
MANY = 4_000


@pytest.fixture(scope='module', autouse=True)
def scorer():
    """End the scoring process with the module."""
    yield
    batch_jobs.shared_scorer('inference').close()


def make_folder(root, images):
    """Two class folders of made radiographs, and a file that is none."""
    for i in range(images):
        label = ('normal', 'pneumonia')[i % 2]
        (root / label).mkdir(parents=True, exist_ok=True)
        pixels = np.uint8(255 * samples.phantom((120, 100), seed=i))
        iio.imwrite(root / label / f'{i}.png', pixels)
    (root / 'normal' / 'broken.png').write_text('<html>moved</html>')
    return root


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return make_folder(tmp_path_factory.mktemp('scored') / 'chests', 7)


@pytest.fixture(scope='module')
def many(tmp_path_factory):
    """So many that there is time to stop: links to a few images."""
    root = make_folder(tmp_path_factory.mktemp('many') / 'chests', 7)
    for i in range(7, MANY):
        (root / 'normal' / f'{i}.png').symlink_to(root / 'normal' / '1.png')
    return root


@pytest.fixture
def own_dock(qtbot, own_plugin, models, settled_threads, tmp_path, monkeypatch):
    """A dock that the test itself takes away."""
    monkeypatch.setenv('XDG_DATA_HOME', str(tmp_path / 'data'))
    save_preferences('batch', model='tiny', device='cpu', folder=str(tmp_path))
    save_preferences('batch', images='', table='', shown='')
    save_preferences('batch', shares=False, heatmaps=False, batch=8, precision='float32')
    return BatchDock(ViewerModel())


@pytest.fixture
def dock(qtbot, own_dock):
    # pytest-qt deletes widgets before fixtures end, and then nobody could stop the job.
    qtbot.addWidget(own_dock, before_close_func=BatchDock.release)
    own_dock.resize(420, 900)
    own_dock.show()
    return own_dock


def choose(qtbot, dock, folder):
    """Choose images and wait until they were looked at."""
    with qtbot.waitSignal(dock.session.input_scanned, timeout=WAIT):
        dock.panel.setup.set_images(str(folder))


def score(qtbot, dock, folder):
    choose(qtbot, dock, folder)
    with qtbot.waitSignal(dock.settled, timeout=WAIT):
        qtbot.mouseClick(dock.panel.start, Qt.MouseButton.LeftButton)
        assert dock.session.job == 'score'
    wait_for_rows(qtbot, dock)


def wait_for_rows(qtbot, dock):
    rows = len(dock.panel.table.rows())
    qtbot.waitUntil(lambda: dock.panel.table.model.rowCount() == rows, timeout=WAIT)


def paths_in(table):
    with open(table, newline='') as file:
        return [row['path'] for row in csv.DictReader(file)]


def test_the_empty_dock_says_what_to_do(dock):
    panel = dock.panel
    assert not panel.start.isEnabled() and 'Choose the images' in panel.start.toolTip()
    assert panel.advice.isVisible() and not panel.table.isVisible()
    assert not panel.message.isVisible() and not panel.progress.isVisible()


@pytest.mark.slow
def test_from_a_folder_to_a_measured_table(dock, qtbot, folder, tmp_path):
    score(qtbot, dock, folder)
    panel = dock.panel
    assert not panel.message.text
    assert '7 of 8 files were scored into chests-1.csv, 1 failed' in panel.progress.text
    assert panel.progress.failures.text() == 'Show the failed file'
    assert len(panel.table.visible_rows()) == 8 and not panel.head.is_open
    assert paths_in(tmp_path / 'chests-1.csv') == [row.path for row in sorted_rows(dock)]
    # Labels are the names of the sub-folders.
    assert panel.metrics.matrix.values.sum() == 7 and panel.metrics.heading.text()
    assert 'counted by image' in panel.metrics.description.text()
    # Nothing is overwritten by the next run.
    assert panel.setup.target.path == str(tmp_path / 'chests-2.csv')
    # What failed is one click away.
    qtbot.mouseClick(panel.progress.failures, Qt.MouseButton.LeftButton)
    (row,) = panel.table.visible_rows()
    assert row.status == 'error' and panel.table.filter_bar.filter.which is RowKind.FAILED


def sorted_rows(dock):
    return sorted(dock.panel.table.rows(), key=lambda row: row.number)


@pytest.mark.slow
def test_what_was_stopped_is_kept_and_resumed(dock, qtbot, many, tmp_path):
    choose(qtbot, dock, many)
    dock.score()
    qtbot.waitUntil(lambda: dock.controller.done > 20, timeout=WAIT)
    with qtbot.waitSignal(dock.settled, timeout=WAIT):
        qtbot.mouseClick(dock.panel.progress.stop, Qt.MouseButton.LeftButton)
    table = tmp_path / 'chests-1.csv'
    done = len(paths_in(table))
    assert 20 < done < MANY + 1 and journal_of(table).exists()
    assert f'{done:,} of {MANY + 1:,} rows are in chests-1.csv' in dock.panel.progress.text
    assert len(dock.panel.table.rows()) == done
    with qtbot.waitSignal(dock.settled, timeout=WAIT):
        qtbot.mouseClick(dock.panel.progress.resume, Qt.MouseButton.LeftButton)
    assert not dock.panel.message.text
    paths = [row.path for row in sorted_rows(dock)]
    assert len(paths) == MANY + 1 == len(set(paths)) and paths_in(table) == paths
    assert not journal_of(table).exists()


@pytest.mark.slow
def test_another_day_goes_on_where_napari_was_closed(dock, qtbot, many, tmp_path):
    choose(qtbot, dock, many)
    dock.score()
    qtbot.waitUntil(lambda: dock.controller.done > 20, timeout=WAIT)
    with qtbot.waitSignal(dock.settled, timeout=WAIT):
        dock.stop()
    table = tmp_path / 'chests-1.csv'
    done = len(paths_in(table))
    another = BatchDock(ViewerModel())
    qtbot.addWidget(another, before_close_func=BatchDock.release)
    another.show()
    panel = another.panel
    qtbot.waitUntil(
        lambda: f'{done:,} of {MANY + 1:,}' in panel.setup.target.hint.text(), timeout=WAIT
    )
    assert panel.start.text() == 'Resume' and panel.setup.target.path == str(table)
    another.score()
    qtbot.waitUntil(lambda: another.controller.done > done + 8, timeout=WAIT)
    assert len(panel.table.rows()) > done  # those of yesterday are on show too
    with qtbot.waitSignal(another.settled, timeout=WAIT):
        another.stop()
    assert len(paths_in(table)) > done


def test_another_dock_opens_some_rows_of_a_table(dock, qtbot, tmp_path):
    table = tmp_path / 'made.csv'
    write_table(table, [scored(i, path=f'/a/{i}.png') for i in range(5)], run(truth=False))
    dock_signals().rows_requested.emit(ViewerModel(), str(table), (), '')  # of another viewer
    assert not dock.busy
    paths, title = ('/a/1.png', '/a/3.png'), 'labelled normal'
    with qtbot.waitSignal(dock.settled, timeout=WAIT):
        dock_signals().rows_requested.emit(dock.viewer, str(table), paths, title)
    rows = dock.panel.table
    qtbot.waitUntil(lambda: rows.model.rowCount() == 2, timeout=WAIT)
    assert [row.path for row in rows.visible_rows()] == list(paths)
    assert rows.filter_bar.count.text() == '2 of 5 rows: labelled normal'
    dock_signals().rows_requested.emit(dock.viewer, str(table), ('/a/4.png',), '')
    assert [row.path for row in rows.visible_rows()] == ['/a/4.png']
    rows.filter_bar.reset()
    assert len(rows.visible_rows()) == 5


@pytest.mark.slow
def test_a_table_is_opened_again_measured_read_and_saved(
    dock, qtbot, folder, tmp_path, monkeypatch
):
    score(qtbot, dock, folder)
    rows, figures = sorted_rows(dock), dock.panel.metrics.heading.text()
    another = BatchDock(ViewerModel())
    qtbot.addWidget(another, before_close_func=BatchDock.release)
    another.show()
    panel = another.panel
    dock.release()  # as if the first dock were closed
    another.open_table(str(tmp_path / 'chests-1.csv'))
    qtbot.waitUntil(lambda: panel.metrics.heading.text() != '', timeout=WAIT)
    wait_for_rows(qtbot, another)
    assert [row.path for row in sorted_rows(another)] == [row.path for row in rows]
    assert panel.metrics.heading.text() == figures and not panel.message.text
    assert not panel.progress.resume.isVisible() and panel.progress.save.isVisible()
    # A cell of the matrix is a click away from its rows.
    counts = panel.metrics.matrix.values
    label, called = np.argwhere(counts > 0)[0]
    panel.metrics.matrix.chosen.emit(label, called)
    assert len(panel.table.visible_rows()) == counts[label, called]
    panel.table.filter_bar.reset()
    # A label is given by a key, counts, and is part of the figures when asked for.
    qtbot.waitUntil(lambda: another.annotation.annotations is not None, timeout=WAIT)
    panel.annotation.state.auto_advance = False
    another.annotation.step(1)
    row, opener = panel.table.current(), another.annotation.opener
    qtbot.waitUntil(lambda: opener.on_screen == row.path and not opener.pending, timeout=WAIT)
    panel.annotation.choose(1)
    assert another.annotation.labels() == {row.path: 'normal'}
    qtbot.waitUntil(lambda: panel.metrics.measure.isVisibleTo(panel.metrics), timeout=WAIT)
    with qtbot.waitSignal(another.settled, timeout=WAIT):
        panel.metrics.measure.click()
    assert '7 images with a label, 1 of them by you' in panel.metrics.description.text()
    # Labels and table are saved where a person says.
    with qtbot.waitSignal(another.annotation.saved, timeout=WAIT):
        another.annotation.export('csv', str(tmp_path / 'labels.csv'))
    assert paths_in(tmp_path / 'labels.csv') == [row.path]
    monkeypatch.setattr(
        QFileDialog, 'getSaveFileName', lambda *a, **k: (str(tmp_path / 'copy.jsonl'), '')
    )
    with qtbot.waitSignal(another.session.saved, timeout=WAIT):
        panel.progress.save.click()
    assert len((tmp_path / 'copy.jsonl').read_text().splitlines()) == 8
    assert 'copy.jsonl' in panel.status.text()


@pytest.mark.slow
def test_what_cannot_be_scored_is_told_and_the_setup_stays(dock, qtbot, tmp_path):
    (tmp_path / 'list.csv').write_text('age,place\n3,here\n')
    choose(qtbot, dock, tmp_path / 'list.csv')
    with qtbot.waitSignal(dock.settled, timeout=WAIT):
        dock.score()
    assert "no column 'path'" in dock.panel.message.text and dock.panel.head.is_open
    assert not dock.panel.progress.isVisible() and dock.panel.start.isEnabled()


@pytest.mark.slow
def test_a_table_that_another_process_writes_is_left_to_it(dock, qtbot, folder, tmp_path):
    choose(qtbot, dock, folder)
    with qtbot.waitSignal(dock.settled, timeout=WAIT):
        dock.score()
    journal = Journal(journal_of(tmp_path / 'chests-2.csv'), {}, 8)
    try:
        choose(qtbot, dock, folder)
        dock.panel.setup.target.show_path(str(tmp_path / 'chests-2.csv'))
        with qtbot.waitSignal(dock.settled, timeout=WAIT):
            dock.score()
        assert 'Another process is scoring' in dock.panel.message.text
    finally:
        journal.close()


@pytest.mark.slow
def test_a_killed_process_takes_no_row_with_it(dock, qtbot, many, tmp_path):
    choose(qtbot, dock, many)
    dock.score()
    qtbot.waitUntil(lambda: dock.controller.done > 20, timeout=WAIT)
    with qtbot.waitSignal(dock.settled, timeout=WAIT):
        os.kill(batch_jobs.shared_scorer('inference').pid, signal.SIGKILL)
    panel = dock.panel
    assert 'ended from outside' in panel.message.text and panel.progress.resume.isVisible()
    before = {row.number for row in panel.table.rows()}
    panel.progress.resume.click()
    qtbot.waitUntil(
        lambda: dock.session.job == 'score' and dock.controller.done > len(before), timeout=WAIT
    )
    with qtbot.waitSignal(dock.settled, timeout=WAIT):
        dock.stop()
    paths = [row.path for row in sorted_rows(dock)]
    assert not panel.message.text and paths == paths_in(tmp_path / 'chests-1.csv')


def test_what_is_dropped_is_taken(dock, folder):
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(folder))])
    event = QDropEvent(
        QPointF(5, 5),
        Qt.DropAction.CopyAction,
        data,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    dock.dropEvent(event)
    assert dock.panel.setup.images.paths == (str(folder),) and dock.panel.start.isEnabled()


def test_the_setup_opens_over_nothing_that_was_said_of_saved_files(qtbot, own_plugin, models):
    panel = BatchPanel('dark')
    area = PanelScrollArea(panel)
    qtbot.addWidget(area)
    area.resize(310, 570)
    panel.show_table(True)
    panel.head.set_open(False)
    with qtbot.waitExposed(area):
        area.show()
    panel.progress.show_summary(
        '42 of 60 files were scored. ' * 4, 18, resumable=False, saveable=True
    )
    panel.progress.warn('The model was trained on 10 of these 42 images. ' * 3)
    panel.show_message('Saved to /ward/a/long/name/of/a/folder/scores.parquet')
    panel.saved.show_saved(ExportResult('/ward/labels', 9, ('Left out: 1 image.',) * 5), True)
    assert panel.saved.isVisible() and panel.status.isVisible()
    panel.head.set_open(True)
    assert panel.saved.isHidden() and panel.status.isHidden()

    def lie_apart():
        warning = panel.progress.warning
        below = warning.mapTo(panel, QPoint(0, warning.height())).y()
        return panel.tabs.isVisible() and panel.tabs.mapTo(panel, QPoint()).y() >= below

    qtbot.waitUntil(lie_apart)


@pytest.mark.parametrize(('included', 'numbers'), [(False, [0]), (True, [0, 1])])
def test_a_cell_lists_the_images_that_it_counts(qtbot, own_plugin, models, included, numbers):
    panel = BatchPanel('dark')
    qtbot.addWidget(panel)
    panel.show_table(True)
    panel.show()
    panel.table.start(run(), '/study/scores.csv')
    chances = (0.8, 0.1, 0.1)
    with qtbot.waitSignal(panel.table.settled, timeout=WAIT):
        panel.table.add(
            [
                scored(0, *chances, truth='covid19'),
                scored(1, *chances, truth='covid19', warnings=(NOT_A_CHEST,)),
                scored(2, *chances, truth='normal', warnings=(NOT_A_CHEST,)),
            ]
        )
    panel.metrics.show_metrics(
        {
            'images': len(numbers) + included,
            'patients': len(numbers) + included,
            'few': {},
            'accuracy': [0.6, 0.1, 0.9],
            'classes': {},
            'confusion': [[len(numbers), 0, 0], [int(included), 0, 0], [0, 0, 0]],
        },
        (),
        ('covid19', 'normal', 'pneumonia'),
        doubtful=2,
        doubtful_included=included,
    )
    panel.metrics.matrix.chosen.emit(0, 0)
    assert [row.number for row in panel.table.visible_rows()] == numbers
    assert panel.table.choice.doubtful is included  # a cell says what is predicted


def test_parts_stand_beside_each_other_where_there_is_room(qtbot, own_plugin, models):
    panel = BatchPanel('dark')
    qtbot.addWidget(panel)
    panel.show()
    panel.show_table(True)
    for size, orientation in (
        ((1500, 420), Qt.Orientation.Horizontal),
        ((400, 900), Qt.Orientation.Vertical),
        ((1500, 420), Qt.Orientation.Horizontal),
    ):
        panel.resize(*size)
        qtbot.waitUntil(lambda wanted=orientation: panel.parts.orientation() == wanted)
    assert panel.table.width() > 500 and panel.setup.width() < 400


def test_the_least_height_of_the_dock_is_always_the_same(qtbot, dock):
    """Of what napari has in a dock widget, the least height can only grow."""
    least = dock.minimumSizeHint().height()
    assert least < 150
    dock.panel.show_table(True)
    dock.panel.setup.options.set_open(True)
    dock.panel.message.show_error('A sentence. ' * 20)
    qtbot.waitUntil(lambda: dock.panel.minimumSizeHint().height() > least + 150)
    assert dock.minimumSizeHint().height() == least


def test_there_is_room_for_the_table_at_the_bottom_of_a_small_window(qtbot, dock):
    panel = dock.panel
    panel.show_table(True)
    panel.head.set_open(False)
    panel.table.start(run(), 'scores.csv')
    with qtbot.waitSignal(panel.table.settled, timeout=WAIT):
        panel.table.add([scored(i) for i in range(50)])
    panel.progress.show_summary('scores.csv: 50 rows.', 3, resumable=False, saveable=True)
    dock.resize(1258, 205)  # what napari leaves of 1280 x 720
    qtbot.waitUntil(lambda: panel.wide and panel.height() <= 205)
    qtbot.waitUntil(lambda: len(panel.table.view.lines_on_screen) >= 2)
    view = panel.table.view
    bottom = view.mapTo(dock, view.rect().bottomLeft()).y()
    assert bottom < 205 and panel.table.width() > 600


@pytest.mark.parametrize('width', [328, 410, 620])
def test_a_message_squeezes_no_button_of_the_table(qtbot, dock, width):
    panel, bar = dock.panel, dock.panel.table.filter_bar
    dock.resize(width, 420)  # as 410 x 525 at 125 %
    panel.show_table(True)
    panel.fold_setup()
    panel.table.start(run(), 'scores.csv')
    with qtbot.waitSignal(panel.table.settled, timeout=WAIT):
        panel.table.add([scored(i) for i in range(50)])
    panel.progress.show_summary('All 50 files were scored. ' * 3, 3, resumable=True, saveable=True)
    panel.message.show_error('Another window has this table open. ' * 3, 'details')
    buttons = (bar.uncertain, bar.pictures, bar.columns)

    def fit():
        return all(button.height() >= button.fontMetrics().height() for button in buttons)

    qtbot.waitUntil(fit)
    assert panel.table.view.height() >= panel.table.view.minimumHeight()


@pytest.mark.parametrize(('table', 'height'), [(False, 670), (True, 900)])
def test_the_setup_scrolls_only_where_there_is_no_room(qtbot, own_plugin, models, table, height):
    panel = BatchPanel('dark')
    qtbot.addWidget(panel)
    panel.resize(640, height)
    panel.show()
    panel.show_table(table)
    panel.setup.options.set_open(True)
    area = panel.head.parent().parent()
    bar = area.verticalScrollBar()
    qtbot.waitUntil(lambda: bar.maximum() == 0 and area.height() > 300)
    panel.resize(640, 330)
    qtbot.waitUntil(lambda: bar.maximum() > 0 and bar.isVisible())
    panel.resize(640, height)
    qtbot.waitUntil(lambda: bar.maximum() == 0 and not bar.isVisible())


def test_what_is_told_of_saved_labels_takes_nothing_from_the_reading(qtbot, own_plugin, models):
    panel = BatchPanel('dark')
    qtbot.addWidget(panel)
    panel.resize(480, 900)
    panel.show_table(True)
    panel.fold_setup()
    with qtbot.waitExposed(panel):
        panel.show()
    reading = panel.annotation
    reading.start(('covid19', 'normal', 'pneumonia'), False, None)
    reading.add([scored(0)])
    qtbot.waitUntil(lambda: not reading.controls.auto_advance.visibleRegion().isEmpty())
    before = panel.tabs.height()
    panel.saved.show_saved(ExportResult('/ward/labels', 9, ('Left out: 1 image.',) * 5), True)
    qtbot.waitUntil(lambda: not panel.saved.folder.visibleRegion().isEmpty())
    assert panel.tabs.height() == before
    assert not reading.controls.auto_advance.visibleRegion().isEmpty()


def test_what_comes_into_the_setup_is_never_squeezed(qtbot, own_plugin, models, tmp_path):
    panel = BatchPanel('dark')
    qtbot.addWidget(panel)
    panel.resize(480, 900)
    with qtbot.waitExposed(panel):
        panel.show()
    setup, options = panel.setup, panel.setup.options
    setup.set_images(str(tmp_path))
    start = panel.start.mapTo(panel, QPoint())
    # Qt may paint before it handles another event, so all has its place at once.
    setup.show_count(ImageCount(str(tmp_path), 60, whole=True))
    assert setup.images.hint.isVisible()
    assert setup.images.height() == setup.images.sizeHint().height()
    # The count comes by itself, when somebody may be about to click.
    assert panel.start.mapTo(panel, QPoint()) == start
    options.set_open(True)
    assert options.height() >= options.sizeHint().height()
    assert not options.identify.visibleRegion().isEmpty()


@pytest.mark.parametrize(
    ('files', 'width', 'beside'), [('', 300, True), ('files ' * 9, 300, False)]
)
def test_buttons_stand_beside_the_words_where_there_is_room(qtbot, files, width, beside):
    progress = ScoreProgress()
    qtbot.addWidget(progress)
    progress.resize(width, 60)
    progress.show()
    progress.show_summary(f'All 30 {files} were scored.', 0, resumable=False, saveable=True)
    words, save = progress.message, progress.save

    def is_beside():
        top = save.mapTo(progress, save.rect().topLeft()).y()
        return top <= words.geometry().center().y() <= top + save.height()

    qtbot.waitUntil(lambda: words.width() > 0 and is_beside() is beside)


@pytest.mark.slow
def test_a_dock_that_is_closed_stops_and_loses_nothing(own_dock, qtbot, many, tmp_path):
    dock = own_dock
    dock.show()
    choose(qtbot, dock, many)
    dock.score()
    qtbot.waitUntil(lambda: dock.controller.done > 8, timeout=WAIT)
    with qtbot.waitSignal(dock.destroyed, timeout=WAIT):
        dock.close()
        dock.deleteLater()
    assert QThreadPool.globalInstance().waitForDone(WAIT)
    assert 8 < len(paths_in(tmp_path / 'chests-1.csv')) < MANY + 1
    assert preferences('batch').table == str(tmp_path / 'chests-1.csv')


@pytest.mark.parametrize(('width', 'height'), [(320, 655), (320, 520), (410, 520), (600, 600)])
def test_a_message_covers_neither_the_table_s_buttons_nor_the_tabs(
    qtbot, own_plugin, models, width, height
):
    panel = BatchPanel('dark')
    around = PanelScrollArea(panel)
    qtbot.addWidget(around)
    around.resize(width, height)
    with qtbot.waitExposed(around):
        around.show()
    panel.table.start(run(), '/study/s.csv')
    panel.table.add([scored(i) for i in range(20)])
    panel.fold_setup()
    panel.show_table(True)
    panel.progress.show_summary('20 files were scored. ' * 3, 2, resumable=False, saveable=True)
    panel.message.show_error('The file could not be opened. ' * 6, 'details')

    def ends(part):
        top = part.mapTo(panel, QPoint()).y()
        return top, top + part.height()

    # In a low panel the table is one of the tabs.
    inside = (panel.tabs.tabBar(), panel.table) if panel.short else (panel.tabs,)
    above = () if panel.short else (panel.table,)
    parts = (panel.progress, *above, panel.message, *inside)
    qtbot.waitUntil(lambda: all(ends(a)[1] <= ends(b)[0] for a, b in pairwise(parts)))
    bar = panel.table.filter_bar
    for button in (bar.uncertain, bar.columns):
        assert button.height() >= button.sizeHint().height()
        assert ends(bar)[0] <= ends(button)[0] and ends(button)[1] <= ends(bar)[1]


@pytest.mark.parametrize('width', [292, 382, 572])
def test_progress_keeps_its_height_while_a_run_goes_on(qtbot, width):
    around = QWidget()
    qtbot.addWidget(around)
    layout, progress, below = QVBoxLayout(around), ScoreProgress(), QPushButton('a row')
    layout.addWidget(progress)
    layout.addWidget(below)
    layout.addStretch(1)
    around.resize(width, 400)
    with qtbot.waitExposed(around):
        around.show()

    def place(done, failed, seconds):
        progress.show_progress(ScoringProgress(done, failed, 20_000, 14.2, seconds))
        qtbot.wait(20)
        return below.y()

    # The first failure brings a button, and the counts and times change their length.
    places = {place(0, 0, math.nan), place(7, 0, 12.0), place(8, 1, 12.0)}
    places |= {place(12_345, 0, 4000.0), place(12_345, 678, 4000.0)}
    assert len(places) == 1
    assert progress.message.height() >= progress.message.heightForWidth(progress.message.width())
