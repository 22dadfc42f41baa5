"""What the Batch dock makes of jobs that end otherwise than well: no torch, tables by hand."""

import math
import stat
import time
from dataclasses import replace
from pathlib import Path

import pytest
from made_up_scores import failed, run, scored
from napari.components import ViewerModel
from qtpy.QtCore import QEvent, Qt
from qtpy.QtWidgets import QApplication, QFileDialog

from napari_cxr.plugin.background import JobCancelled
from napari_cxr.plugin.batch import batch_jobs
from napari_cxr.plugin.batch.dock import BatchDock
from napari_cxr.plugin.batch.scoring_request import ScoreRequest, load_request, save_request
from napari_cxr.plugin.preferences import preferences, save_preferences
from napari_cxr.scoring import (
    RowScored,
    ScoringFinished,
    ScoringMeasured,
    ScoringPreparing,
    ScoringProgress,
    ScoringStarted,
    table_reader,
    table_writer,
)
from napari_cxr.scoring.append_log import AppendLog
from napari_cxr.scoring.journal import Journal, journal_of
from napari_cxr.scoring.scoring_inputs import LABELS_FROM_FOLDERS
from napari_cxr.workers.worker_process import JobFailed

WAIT = 150_000
NO_FIGURES = ScoringMeasured({})


class Scorer:
    """Stands for the scoring process: each job yields what a test says, then waits to be ended."""

    def __init__(self):
        self.busy, self.jobs, self.said = False, [], {}
        self.found = NO_FIGURES

    def start(self):
        self.jobs.append('start')

    def run(self, job, **arguments):
        self.jobs.append(job)
        for event in self.said.get(job, ()):
            if isinstance(event, Exception):
                raise event
            if event is ends:
                return self.found
            yield event
        while True:
            time.sleep(0.01)
            yield None


ends = object()


def of_no_model(*_):
    return 'inference'
    yield


@pytest.fixture
def scorer(monkeypatch):
    scorer = Scorer()
    monkeypatch.setattr(batch_jobs, 'shared_scorer', lambda role: scorer)
    monkeypatch.setattr(batch_jobs, 'worker_role', of_no_model)
    return scorer


@pytest.fixture
def dock(qtbot, own_plugin, own_models, settled_threads, scorer, tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_DATA_HOME', str(tmp_path / 'data'))
    save_preferences('batch', device='cpu', images='', table='', shown='', folder=str(tmp_path))
    dock = BatchDock(ViewerModel())
    qtbot.addWidget(dock, before_close_func=BatchDock.release)
    dock.show()
    return dock


def finished(tmp_path, name, **changes):
    """Make a finished table of three rows."""
    table = tmp_path / name
    rows = [scored(i, 0.1, 0.7, 0.2, path=f'/{name}/{i}.png', truth='normal') for i in range(3)]
    table_writer.write_table(table, iter(rows), run(**changes))
    return table


def begun(tmp_path, name, rows=2):
    """Make the journal of a table that was begun, and the request that it is of."""
    table = tmp_path / name
    journal = Journal(journal_of(table), {**run().to_dict(), 'total': 9}, 9)
    journal.add([scored(i, path=f'/{name}/{i}.png') for i in range(rows)])
    journal.close()
    return ScoreRequest(paths=('/images',), out=str(table), model='another', device='cpu')


def show(qtbot, dock, table, scorer):
    """Open a table, and let what follows of it end."""
    scorer.said['measure'] = [ends]
    with qtbot.waitSignal(dock.settled, timeout=WAIT):
        dock.open_table(str(table))
    qtbot.waitUntil(lambda: not dock.busy, timeout=WAIT)


def paths(dock):
    return [row.path for row in dock.panel.table.rows()]


def test_how_many_images_could_not_be_measured_is_told(qtbot, dock, scorer, tmp_path):
    scorer.found = ScoringMeasured({}, ('tuberculosis',), 4)
    show(qtbot, dock, finished(tmp_path, 'a.csv'), scorer)
    assert dock.panel.metrics.unmeasured.text() == (
        'Left out: 4 images with a label the model does not know: tuberculosis.'
    )


def test_rows_of_a_table_that_is_resumed_take_the_place_of_those_on_show_at_once(
    qtbot, dock, scorer, tmp_path
):
    show(qtbot, dock, finished(tmp_path, 'a.csv'), scorer)
    request = begun(tmp_path, 'b.csv')
    assert len(paths(dock)) == 3
    dock.controller.score(request, resume=True)  # the process says nothing yet
    qtbot.waitUntil(lambda: paths(dock) == ['/b.csv/0.png', '/b.csv/1.png'], timeout=WAIT)
    with qtbot.waitSignal(dock.settled, timeout=WAIT):
        dock.stop()
    assert len(paths(dock)) == 2 and dock.controller.request == request
    assert 'Stopped: 2 of 9 rows are in b.csv' in dock.panel.progress.text
    assert dock.panel.progress.resume.isVisible()
    scorer.said['score'] = [ScoringStarted(9, 2, 0, run(), 'CPU', 1)]
    dock.panel.progress.resume.click()
    qtbot.waitUntil(lambda: dock.controller.done == 2 and dock.busy, timeout=WAIT)
    with qtbot.waitSignal(dock.settled, timeout=WAIT):
        dock.stop()
    assert len(paths(dock)) == 2 and dock.panel.progress.resume.isVisible()


def test_how_far_a_run_is_goes_with_the_rows_that_are_on_show(
    qtbot, dock, scorer, tmp_path, monkeypatch
):
    monkeypatch.setattr(batch_jobs, '_GATHER', 0.5)  # all is said before rows are handed on
    rows = [RowScored(scored(i)) for i in range(3)]
    said = [
        ScoringStarted(9, 0, 0, run(), 'CPU', 1),
        *rows,
        ScoringProgress(3, 0, 9, 0.0, math.nan),
    ]
    scorer.said['score'] = said
    request = ScoreRequest(paths=('/images',), out=str(tmp_path / 'b.csv'), model='another')
    dock.controller.score(request, resume=False)
    qtbot.waitUntil(lambda: len(paths(dock)) == 3, timeout=WAIT)
    qtbot.waitUntil(lambda: dock.panel.progress.text == '3 of 9', timeout=WAIT)
    with qtbot.waitSignal(dock.settled, timeout=WAIT):
        dock.stop()


def test_a_new_run_that_is_stopped_at_once_leaves_what_is_on_show(qtbot, dock, scorer, tmp_path):
    show(qtbot, dock, finished(tmp_path, 'a.csv'), scorer)
    before = paths(dock)
    request = ScoreRequest(paths=('/images',), out=str(tmp_path / 'b.csv'), model='another')
    dock.controller.score(request, resume=False)
    qtbot.waitUntil(lambda: 'score' in scorer.jobs, timeout=WAIT)
    with qtbot.waitSignal(dock.settled, timeout=WAIT):
        dock.stop()
    assert paths(dock) == before and len(before) == 3
    assert 'Stopped before the first file' in dock.panel.progress.text
    assert not Path(request.out).exists()


def test_a_resumed_run_that_is_stopped_before_its_first_row_says_how_far_it_is(
    qtbot, dock, scorer, tmp_path
):
    request = begun(tmp_path, 'b.csv')
    scorer.said['score'] = [ScoringPreparing('Loading the model')]
    dock.controller.score(request, resume=True)
    qtbot.waitUntil(lambda: 'Loading' in dock.panel.progress.text, timeout=WAIT)
    with qtbot.waitSignal(dock.settled, timeout=WAIT):
        dock.stop()
    assert len(paths(dock)) == 2 and '2 of 9 rows' in dock.panel.progress.text
    # The process was not asked: it may be busy for as long as torch is being imported.
    assert [job for job in scorer.jobs if job != 'start'] == ['score']
    assert len(Path(request.out).read_text().splitlines()) == 1 + 2


def test_a_table_so_far_is_written_when_the_process_has_let_go_of_its_rows(tmp_path):
    request = begun(tmp_path, 'a.csv')
    out = Path(request.out)
    held = AppendLog(journal_of(out))
    assert batch_jobs.partial_table(out) is None and not out.exists()
    held.close()
    assert batch_jobs.partial_table(out) == 2 and len(out.read_text().splitlines()) == 1 + 2
    assert batch_jobs.partial_table(tmp_path / 'never.csv') == 0
    assert not journal_of(tmp_path / 'never.csv').exists()


def test_a_run_that_fails_at_once_leaves_what_is_on_show(qtbot, dock, scorer, tmp_path):
    first = begun(tmp_path, 'a.csv')
    save_request(first)
    show(qtbot, dock, first.out, scorer)
    words, progress = dock.panel.progress.text, dock.panel.progress
    assert progress.resume.isVisible() and progress.save.isVisible()
    scorer.said['score'] = [JobFailed('It is written by another process.', 'ScoringError')]
    with qtbot.waitSignal(dock.settled, timeout=WAIT):
        dock.controller.score(replace(first, out=str(tmp_path / 'b.csv')), resume=False)
    assert 'another process' in dock.panel.message.text and progress.text == words
    assert progress.resume.isVisible() and progress.save.isVisible()
    assert dock.controller.request == first


def test_going_on_with_the_table_on_show_takes_what_is_asked_for_now(
    qtbot, dock, scorer, tmp_path, monkeypatch
):
    request = begun(tmp_path, 'a.csv')
    show(qtbot, dock, request.out, scorer)
    assert dock.controller.request is None and not dock.panel.progress.resume.isVisible()
    used = []
    monkeypatch.setattr(dock.annotation, 'set_model', lambda *which: used.append(which))
    scorer.said['score'] = [ScoringStarted(9, 2, 0, run(), 'CPU', 1)]
    dock.controller.score(request, resume=True)
    qtbot.waitUntil(lambda: bool(used), timeout=WAIT)
    assert used == [('another', 'cpu')] and dock.controller.request == request
    with qtbot.waitSignal(dock.settled, timeout=WAIT):
        dock.stop()
    assert dock.panel.progress.resume.isVisible() and len(paths(dock)) == 2


def test_waiting_to_measure_is_said_with_the_figures_and_can_be_stopped(
    qtbot, dock, scorer, tmp_path
):
    scorer.busy = True
    dock.open_table(str(finished(tmp_path, 'a.csv')))
    panel = dock.panel
    qtbot.waitUntil(lambda: dock.session.job == 'measure', timeout=WAIT)
    assert 'a.csv: 3 rows' in panel.progress.text and panel.progress.save.isVisible()
    assert panel.progress.stop.isHidden() and 'Waiting' in panel.metrics.description.text()
    with qtbot.waitSignal(dock.settled, timeout=WAIT):
        panel.metrics.stop.click()
    assert 'have not been computed yet' in panel.metrics.description.text()
    assert panel.metrics.stop.isHidden() and panel.progress.save.isVisible()


def test_a_measurement_that_fails_leaves_the_figures_before(qtbot, dock, scorer, tmp_path):
    show(qtbot, dock, finished(tmp_path, 'a.csv'), scorer)
    before, progress = dock.panel.metrics.description.text(), dock.panel.progress.text
    scorer.said['measure'] = [JobFailed('There is no room.', 'ScoringError')]
    with qtbot.waitSignal(dock.settled, timeout=WAIT):
        dock.controller.measure({'/a.csv/0.png': 'normal'})
    assert dock.panel.metrics.description.text() == before and before
    assert dock.panel.progress.text == progress and 'no room' in dock.panel.message.text


def test_a_table_that_is_damaged_is_not_measured_and_says_so(
    qtbot, dock, scorer, tmp_path, monkeypatch
):
    whole = table_reader.read_rows

    def torn(table):
        shape, rows = whole(table)
        return shape, one_and_no_more(rows)

    def one_and_no_more(rows):
        yield next(rows)
        raise table_reader.ScoringError('a.csv is damaged at row 2.')

    table = finished(tmp_path, 'a.csv')
    monkeypatch.setattr(batch_jobs, '_PARCEL', 1)
    monkeypatch.setattr(batch_jobs.table_reader, 'read_rows', torn)
    with qtbot.waitSignal(dock.settled, timeout=WAIT):
        dock.open_table(str(table))
    assert 'measure' not in scorer.jobs and not dock.busy
    assert 'damaged' in dock.panel.message.text
    assert 'only its first row is shown' in dock.panel.progress.text
    assert 'Resume' not in dock.panel.progress.text


def test_stop_ends_also_the_showing_of_rows_from_before(
    qtbot, dock, scorer, tmp_path, monkeypatch
):
    request = begun(tmp_path, 'a.csv', rows=6)
    held = AppendLog(journal_of(Path(request.out)))  # by the process
    monkeypatch.setattr(batch_jobs, '_PARCEL', 1)
    monkeypatch.setattr(batch_jobs, '_BREATH', 0.0)
    scorer.said['score'] = [ScoringStarted(9, 6, 0, run(), 'CPU', 1)]
    events = batch_jobs.score_images(request, True, [])
    first = next(event for event in events if isinstance(event, batch_jobs.RowsArrived))
    assert events.throw(JobCancelled()) is None and not Path(request.out).exists()
    held.close()
    rows = [row.number for event in [first, *events] if event for row in event.rows]
    # Nothing more came before the process had let go; then each of the others, once.
    assert rows == list(range(6))
    assert len(Path(request.out).read_text().splitlines()) == 1 + 6


def test_napari_asks_in_words_whether_to_close_while_a_folder_is_scored(
    qtbot, dock, scorer, tmp_path, monkeypatch
):
    asked, start = [], dock.session.start_job
    monkeypatch.setattr(
        dock.session, 'start_job', lambda *a, **k: (asked.append(k['description']), start(*a, **k))
    )
    dock.controller.score(begun(tmp_path, 'a.csv'), resume=True)
    with qtbot.waitSignal(dock.settled, timeout=WAIT):
        dock.stop()
    assert f'Executing {asked[0]}'.startswith('Executing the scoring of a folder. Finished rows')


def test_an_ending_that_is_added_overwrites_nothing(qtbot, dock, scorer, tmp_path, monkeypatch):
    show(qtbot, dock, finished(tmp_path, 'a.csv'), scorer)
    other = finished(tmp_path, 'other.csv')
    before = other.read_bytes()

    def chosen(path):
        monkeypatch.setattr(QFileDialog, 'getSaveFileName', lambda *a, **k: (str(path), ''))
        dock.save_as()

    chosen(tmp_path / 'other')
    assert 'other.csv already exists' in dock.panel.message.text and other.read_bytes() == before
    with qtbot.waitSignal(dock.session.saved, timeout=WAIT):
        chosen(other)  # of which the file dialog has asked
    assert other.read_bytes() != before
    chosen('')


def test_a_part_of_a_table_that_is_saved_is_called_one(qtbot, dock, scorer, tmp_path, monkeypatch):
    request, asked = begun(tmp_path, 'a.csv'), []
    show(qtbot, dock, request.out, scorer)

    def ask(parent, title, place, forms):
        asked.append((title, place))
        return place, ''

    monkeypatch.setattr(QFileDialog, 'getSaveFileName', ask)
    with qtbot.waitSignal(dock.session.saved, timeout=WAIT):
        dock.save_as()
    part = tmp_path / 'a-part.csv'
    assert asked == [('Save the 2 rows that are done', str(part))]
    assert dock.panel.status.text() == (f'Saved to {part}: the 2 rows of 9 that are done.')
    assert len(part.read_text().splitlines()) == 3
    show(qtbot, dock, finished(tmp_path, 'b.csv'), scorer)
    with qtbot.waitSignal(dock.session.saved, timeout=WAIT):
        dock.save_as()  # over itself
    assert asked[1] == ('Save the table', str(tmp_path / 'b.csv'))
    assert dock.panel.status.text() == f'Saved to {tmp_path / "b.csv"}'


def test_a_place_that_cannot_be_written_is_told_before_a_process_is_asked(
    qtbot, dock, scorer, tmp_path, monkeypatch
):
    def full(**where):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(batch_jobs, 'TemporaryFile', full)
    request = ScoreRequest(
        paths=('/images',), out=str(tmp_path / 'new' / 'a.csv'), model='another'
    )
    with qtbot.waitSignal(dock.settled, timeout=WAIT):
        dock.controller.score(request, resume=False)
    assert 'No space left on device' in dock.panel.message.text and not scorer.jobs


def test_a_folder_without_images_is_told_before_the_click_and_looked_at_again(
    qtbot, dock, tmp_path
):
    panel, empty = dock.panel, tmp_path / 'empty'
    empty.mkdir()
    with qtbot.waitSignal(dock.session.images_counted, timeout=WAIT):
        panel.setup.set_images(str(empty))
    assert 'There are no images in empty' in panel.setup.images.problem.text()
    assert not panel.start.isEnabled() and 'no images' in panel.start.toolTip()
    (empty / 'a.png').write_bytes(b'')
    with qtbot.waitSignal(dock.session.images_counted, timeout=WAIT):
        QApplication.sendEvent(dock, QEvent(QEvent.Type.WindowActivate))
    assert panel.setup.images.hint.text() == '1 image' and panel.start.isEnabled()


def test_what_was_scored_is_kept_for_one_person_until_it_is_finished(
    qtbot, dock, scorer, tmp_path
):
    request = begun(tmp_path, 'a.csv')
    scorer.said['score'] = [ScoringStarted(9, 2, 0, run(), 'CPU', 1)]
    dock.controller.score(request, resume=True)
    qtbot.waitUntil(lambda: len(paths(dock)) == 2, timeout=WAIT)
    with qtbot.waitSignal(dock.settled, timeout=WAIT):
        dock.stop()
    (kept,) = Path(tmp_path / 'data').rglob('*.json')
    assert load_request(request.out) == request
    assert stat.S_IMODE(kept.stat().st_mode) & 0o077 == 0
    scorer.said['score'] = [ScoringFinished(request.out, 9, 0), ends]
    with qtbot.waitSignal(dock.settled, timeout=WAIT):
        dock.controller.score(request, resume=True)
    assert load_request(request.out).paths == () and '/images' not in kept.read_text()


def test_a_single_file_is_not_remembered_and_names_no_table(qtbot, dock, tmp_path):
    folder = tmp_path / 'study'
    folder.mkdir()
    file = folder / 'DOE^JANE.dcm'
    file.write_bytes(b'')
    setup = dock.panel.setup
    setup.options.identify.setChecked(True)
    setup.set_images(str(file))
    assert setup.target.path == str(tmp_path / 'study-1.csv')
    assert not setup.options.identify.isChecked()
    setup.remember()
    assert preferences('batch').images == ''
    (folder / 'list.txt').write_text('DOE^JANE.dcm\n')
    for path, name in ((folder, 'study-1.csv'), (folder / 'list.txt', 'list-1.csv')):
        setup.set_images(str(path))
        setup.remember()
        assert preferences('batch').images == str(path)
        assert setup.target.path == str(tmp_path / name)


def another(qtbot):
    """A fresh dock, as after a restart of napari."""
    dock = BatchDock(ViewerModel())
    qtbot.addWidget(dock, before_close_func=BatchDock.release)
    dock.resize(480, 900)
    dock.show()
    return dock


def test_the_table_that_was_on_show_is_offered_again(qtbot, dock, scorer, tmp_path):
    again = dock.panel.reopen
    assert not again.isVisible()  # nothing was on show yet
    table = finished(tmp_path, 'read.csv')
    show(qtbot, dock, table, scorer)
    assert not again.isVisible()  # it is on show
    fresh = another(qtbot)
    again = fresh.panel.reopen
    assert again.isVisible() and again.text() == 'Reopen read.csv'
    assert again.toolTip().endswith(str(table))
    with qtbot.waitSignal(fresh.settled, timeout=WAIT):
        qtbot.mouseClick(again, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not fresh.busy, timeout=WAIT)
    assert paths(fresh) == paths(dock) and not again.isVisible()
    fresh.panel.head.set_open(True)
    assert not again.isVisible()


def test_a_table_that_is_gone_is_not_offered_again_and_one_that_was_begun_is(
    qtbot, dock, scorer, tmp_path
):
    table = finished(tmp_path, 'read.csv')
    show(qtbot, dock, table, scorer)
    table.unlink()
    assert not another(qtbot).panel.reopen.isVisible()
    request = begun(tmp_path, 'begun.csv')  # as after a crash: a journal, and no table yet
    show(qtbot, dock, request.out, scorer)
    save_preferences('batch', table=request.out)
    show(qtbot, dock, finished(tmp_path, f'{"long" * 30}.csv'), scorer)
    fresh = another(qtbot)
    # A name that is too long is shortened, and what was begun can still be resumed.
    shown = fresh.panel.reopen.text()
    assert shown.startswith('Reopen long') and '…' in shown and shown.endswith('long.csv')
    assert fresh.width() == 480 and not another(qtbot).panel.reopen.visibleRegion().isEmpty()
    show(qtbot, dock, request.out, scorer)
    assert another(qtbot).panel.reopen.text() == 'Reopen begun.csv'


def test_files_that_are_gone_are_found_by_the_look(qtbot, dock, tmp_path):
    first = tmp_path / 'a.png'
    first.write_bytes(b'')
    with qtbot.waitSignal(dock.session.input_scanned, timeout=WAIT):
        dock.panel.setup.set_images(str(first), str(tmp_path / 'b.png'))
        assert not dock.panel.setup.images.problem.text()
    assert 'b.png does not exist' in dock.panel.setup.images.problem.text()


def test_a_click_waits_for_the_labels_that_lie_in_the_images(qtbot, dock, scorer, tmp_path):
    dock.panel.setup.model.choose('cxr3-resnet10')
    scorer.said['score'] = [ScoringStarted(2, 0, 0, run(), 'CPU', 1)]
    for name in ('normal', 'pneumonia'):
        (tmp_path / 'ward' / name).mkdir(parents=True)
        (tmp_path / 'ward' / name / 'a.png').write_bytes(b'')
    start, setup = dock.panel.start, dock.panel.setup
    setup.set_images(str(tmp_path / 'ward'))
    qtbot.mouseClick(start, Qt.MouseButton.LeftButton)
    assert not dock.busy and start.text() == 'Scanning the images…' and not start.isEnabled()
    qtbot.waitUntil(lambda: dock.controller.request is not None, timeout=WAIT)
    assert (
        dock.controller.request.labels == LABELS_FROM_FOLDERS
        and start.text() != 'Scanning the images…'
    )
    with qtbot.waitSignal(dock.settled, timeout=WAIT):
        dock.stop()
    # What is changed after the click is not scored unasked.
    setup.set_images(str(tmp_path / 'ward' / 'normal'))
    qtbot.mouseClick(start, Qt.MouseButton.LeftButton)
    with qtbot.waitSignal(dock.session.input_scanned, timeout=WAIT):
        setup.set_images(str(tmp_path / 'ward'))
        assert start.text() == 'Score' and start.isEnabled()
    assert not dock.busy


def test_a_look_that_fails_is_told(qtbot, dock, tmp_path, monkeypatch):
    def fails(*_):
        raise RuntimeError('what nobody has thought of')

    monkeypatch.setattr(batch_jobs, 'summarise_inputs', fails)
    with qtbot.waitSignal(dock.session.input_scanned, timeout=WAIT):
        dock.panel.setup.set_images(str(tmp_path))
    assert 'Scanning the images' in dock.panel.setup.images.problem.text()
    assert not dock.panel.start.isEnabled()


def active(qtbot, dock):
    with qtbot.waitActive(dock):
        dock.activateWindow()


def test_the_keys_are_with_the_table_after_stop_and_resume_and_the_end(
    qtbot, dock, scorer, tmp_path
):
    panel, request = dock.panel, begun(tmp_path, 'a.csv')
    save_request(request)
    show(qtbot, dock, request.out, scorer)
    active(qtbot, dock)
    panel.progress.resume.setFocus()
    panel.progress.resume.click()
    assert panel.table.view.hasFocus()
    panel.progress.stop.setFocus()
    with qtbot.waitSignal(dock.settled, timeout=WAIT):
        panel.progress.stop.click()
        assert panel.table.view.hasFocus()
    panel.progress.resume.setFocus()
    scorer.said['score'] = [ScoringFinished(request.out, 9, 0), ends]
    with qtbot.waitSignal(dock.settled, timeout=WAIT):
        panel.progress.resume.click()
    assert panel.table.view.hasFocus()
    panel.table.filter_bar.text.setFocus()  # who types there goes on typing
    scorer.said['score'] = [ScoringStarted(9, 2, 0, run(), 'CPU', 1), ends]
    with qtbot.waitSignal(dock.settled, timeout=WAIT):
        dock.controller.score(request, resume=True)
    assert panel.table.filter_bar.text.hasFocus()


def test_the_keys_come_to_the_table_with_its_first_rows(qtbot, dock, scorer, tmp_path):
    active(qtbot, dock)
    request = begun(tmp_path, 'a.csv')
    dock.panel.head.button.setFocus()
    dock.controller.score(request, resume=True)
    qtbot.waitUntil(dock.panel.table.view.hasFocus, timeout=WAIT)


def test_the_heading_names_images_and_table_that_belong_together(qtbot, dock, scorer, tmp_path):
    said = dock.panel.head.summary.text
    show(qtbot, dock, finished(tmp_path, 'a.csv'), scorer)
    other = tmp_path / 'other'
    other.mkdir()
    dock.panel.setup.set_images(str(other))
    assert said() == 'a.csv'  # of which images is not known
    request = replace(begun(tmp_path, 'b.csv'), paths=(str(other),))
    dock.panel.setup.show_request(request)
    dock.controller.score(request, resume=False)
    assert said() == 'other → b.csv'
    with qtbot.waitSignal(dock.settled, timeout=WAIT):
        dock.stop()


def test_a_first_row_that_failed_says_nothing_of_those_to_come(qtbot, dock, scorer, tmp_path):
    hint = dock.panel.annotation.hint.text
    scorer.said['score'] = [
        ScoringStarted(2, 0, 0, run(), 'CPU', 1),
        RowScored(failed(0)),
        ScoringProgress(1, 1, 2, 0.0, math.nan),
    ]
    request = ScoreRequest(paths=('/images',), out=str(tmp_path / 'a.csv'), model='another')
    dock.controller.score(request, resume=False)
    qtbot.waitUntil(lambda: len(paths(dock)) == 1, timeout=WAIT)
    qtbot.waitUntil(lambda: dock.annotation.annotations is not None, timeout=WAIT)
    assert hint() == 'No image has been scored yet.'
    with qtbot.waitSignal(dock.settled, timeout=WAIT):
        dock.stop()
    assert hint() == 'No image has been scored yet.'
    scorer.said['score'] = [ScoringFinished(request.out, 1, 1), ends]
    with qtbot.waitSignal(dock.settled, timeout=WAIT):
        dock.controller.score(request, resume=True)
    assert hint() == 'All files of this table failed, so there is nothing to annotate.'


def test_there_is_one_button_to_resume(qtbot, dock, scorer, tmp_path):
    panel, request = dock.panel, begun(tmp_path, 'a.csv')
    save_request(request)
    show(qtbot, dock, request.out, scorer)
    panel.setup.show_request(request)
    assert panel.progress.resume.isVisible() and not panel.start.isVisible()
    panel.head.set_open(True)
    assert panel.start.isVisible() and panel.start.text() == 'Resume'
    assert not panel.progress.resume.isVisible()
    panel.head.set_open(False)
    assert panel.progress.resume.isVisible()


def test_a_message_pushes_no_row_away(qtbot, dock, scorer, tmp_path):
    show(qtbot, dock, finished(tmp_path, 'a.csv'), scorer)
    panel = dock.panel
    before = panel.table.view.mapTo(dock, panel.table.view.rect().topLeft())
    panel.message.show_error('It cannot be opened.')
    panel.show_message('Saved.')
    qtbot.waitUntil(lambda: panel.message.y() > panel.table.y(), timeout=WAIT)
    assert panel.table.view.mapTo(dock, panel.table.view.rect().topLeft()) == before


def test_labels_that_are_known_are_not_denied_while_there_are_no_figures(
    qtbot, dock, scorer, tmp_path
):
    request = ScoreRequest(paths=('/images',), out=str(tmp_path / 'a.csv'), model='another')
    counted = dock.panel.metrics.description.text
    for truth, words in (
        (True, 'as soon as images of two classes'),
        (False, 'There are no labels'),
    ):
        scorer.said['score'] = [ScoringStarted(9, 0, 0, run(truth=truth), 'CPU', 1)]
        dock.controller.score(request, resume=False)
        qtbot.waitUntil(lambda: words in counted(), timeout=WAIT)  # noqa: B023
        with qtbot.waitSignal(dock.settled, timeout=WAIT):
            dock.stop()
        assert words in counted()
