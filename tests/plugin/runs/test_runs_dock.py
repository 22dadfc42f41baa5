import csv
import os

import pytest
from made_up_runs import LABELS, metrics, row, write_run
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog, QInputDialog

from napari_cxr.checkpoint import Card
from napari_cxr.inference import Preprocessing
from napari_cxr.plugin.docks import dock_signals
from napari_cxr.plugin.preferences import preferences, save_preferences
from napari_cxr.training.training_events import RunsDone

WAIT = 150_000
LEFT = Qt.MouseButton.LeftButton
CTRL = Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def runs(tmp_path):
    """Three runs: one finished, one stopped, and one better than both."""
    folder = tmp_path / 'runs'
    card = Card(
        name='made-up',
        title='Made up',
        architecture='resnet18',
        labels=LABELS,
        channels=1,
        preprocessing=Preprocessing(64, 64).to_dict(),
        data={'epoch': 4},
        metrics=metrics(),
    )
    write_run(folder / 'run-1', card=card)
    for file in write_run(folder / 'run-2', shift=0.05).iterdir():
        os.utime(file, (0, 0))  # nobody has written to it for long
    write_run(folder / 'run-10', shift=-0.01, card=card)
    return folder


@pytest.fixture
def make_dock(qtbot, own_plugin, settled_threads):
    from napari.components import ViewerModel

    from napari_cxr.plugin.runs.dock import RunsDock

    def make(folder):
        save_preferences('runs', folder=str(folder))
        dock = RunsDock(ViewerModel())
        qtbot.addWidget(dock)
        dock.resize(420, 900)
        with qtbot.waitExposed(dock):
            dock.show()
        # A click before everything is laid out hits buttons that have no height yet.
        qtbot.waitUntil(lambda: not dock.busy and dock.head.again.height() > 9, timeout=WAIT)
        return dock

    return make


@pytest.fixture
def dock(make_dock, runs):
    return make_dock(runs)


def names(dock):
    return [dock.proxy.row_at(i).name for i in range(dock.proxy.rowCount())]


def click(qtbot, dock, number, modifier=Qt.KeyboardModifier.NoModifier):
    place = dock.view.visualRect(dock.proxy.index(number, 0)).center()
    with qtbot.waitSignal(dock.curves.settled, timeout=WAIT):
        qtbot.mouseClick(dock.view.viewport(), LEFT, modifier, place)


def test_runs_of_a_folder_best_first(dock):
    assert names(dock) == ['run-10', 'run-1', 'run-2']
    assert dock.count.text() == '3 runs'
    assert dock.head.place.toolTip() == str(dock.folder)


def test_a_folder_without_runs_says_what_to_do(make_dock, tmp_path):
    dock = make_dock(tmp_path)
    assert 'Train a classifier' in dock.count.text() and not dock.view.isVisible()
    assert not dock.curves.isVisible() and not dock.head.save.isVisible()


def test_a_folder_that_is_not_there_yet_is_empty(make_dock, tmp_path):
    dock = make_dock(tmp_path / 'nowhere')
    assert 'There are no runs' in dock.count.text() and not dock.message.text


def test_nothing_is_read_in_the_thread_of_the_screen(qtbot, dock, runs, monkeypatch):
    import threading

    from napari_cxr.plugin.runs import run_files
    from napari_cxr.training import run_table as reading

    threads = []

    def noted(real):
        def read(*given):
            threads.append(threading.current_thread() is threading.main_thread())
            return real(*given)

        return read

    monkeypatch.setattr(reading, 'run_rows', noted(reading.run_rows))
    monkeypatch.setattr(run_files, 'read_run_history', noted(run_files.read_run_history))
    with qtbot.waitSignal(dock.settled, timeout=WAIT):
        qtbot.mouseClick(dock.head.again, LEFT)
    click(qtbot, dock, 1)
    assert threads == [False, False]


def test_a_click_shows_curves_and_a_second_one_compares(qtbot, dock):
    click(qtbot, dock, 1)
    plot = dock.curves.curves
    assert [line.name for line in plot.curves.lines] == ['training', 'validation', 'best epoch 4']
    click(qtbot, dock, 2, CTRL)
    assert [line.style for line in plot.curves.lines[-2:]] == ['dashed', 'dashed']
    assert plot.key.text() == 'Solid: run-1. Dashed: run-2.'
    assert not dock.actions_row.settings.isEnabled()  # of which one?
    click(qtbot, dock, 0)
    assert not plot.comparing


def test_keyboard_walks_and_return_opens_at_once(qtbot, dock):
    click(qtbot, dock, 0)
    qtbot.keyClick(dock.view, Qt.Key.Key_Down)
    with qtbot.waitSignal(dock.curves.settled, timeout=WAIT):
        qtbot.keyClick(dock.view, Qt.Key.Key_Return)
    assert dock.view.runs[0].name == 'run-1'
    assert dock.curves.curves.curves.lines


@pytest.mark.parametrize(
    ('number', 'button', 'signal', 'file'),
    [
        (1, 'settings', 'run_requested', ''),
        (2, 'resume', 'resume_requested', ''),
        (1, 'classify', 'model_requested', 'best.safetensors'),
    ],
)
def test_a_run_is_taken_up_again(qtbot, dock, number, button, signal, file):
    click(qtbot, dock, number)
    with qtbot.waitSignal(getattr(dock_signals(), signal)) as wanted:
        qtbot.mouseClick(getattr(dock.actions_row, button), LEFT)
    assert wanted.args == [dock.viewer, str(dock.folder / names(dock)[number] / file)]


def test_a_finished_run_goes_on_for_more_epochs(qtbot, dock, runs, monkeypatch):
    (runs / 'run-1' / 'final-state.safetensors').touch()
    dock.refresh()
    qtbot.waitUntil(lambda: not dock.busy, timeout=WAIT)
    click(qtbot, dock, names(dock).index('run-1'))
    button = dock.actions_row.resume
    assert button.isEnabled() and button.text() == 'More epochs…'
    asked = []

    def answer(parent, title, text, value, **limits):
        asked.append((title, text, value, limits['min']))
        return 9, len(asked) > 1

    monkeypatch.setattr(QInputDialog, 'getInt', answer)
    with qtbot.assertNotEmitted(dock_signals().more_epochs_requested):
        qtbot.mouseClick(button, LEFT)  # and then Cancel
    with qtbot.waitSignal(dock_signals().more_epochs_requested) as wanted:
        qtbot.mouseClick(button, LEFT)
    assert wanted.args == [dock.viewer, str(runs / 'run-1'), 9]
    done = dock.view.runs[0].values['epochs']
    assert asked[0] == (
        'More epochs', f'“run-1” has done {done} epochs. Epochs in all:', 2 * done, done + 1,
    )  # fmt: skip
    click(qtbot, dock, 2)
    assert button.text() == 'Resume'


def test_what_cannot_be_done_says_why(qtbot, dock):
    assert dock.actions_row.resume.toolTip() == 'Select one run first'
    click(qtbot, dock, 1)
    assert not dock.actions_row.resume.isEnabled()
    assert 'This run cannot go on' in dock.actions_row.resume.toolTip()
    click(qtbot, dock, 2)
    assert dock.actions_row.resume.isEnabled() and not dock.actions_row.classify.isEnabled()
    assert 'no model' in dock.actions_row.classify.toolTip()


def test_the_filter_needs_all_words(qtbot, dock):
    qtbot.keyClicks(dock.head.filter, 'RUN-1 finished')
    assert names(dock) == ['run-10', 'run-1'] and dock.count.text() == '3 runs, 2 shown'
    qtbot.keyClicks(dock.head.filter, ' nothing')
    assert not names(dock) and not dock.head.save.isEnabled()


def test_the_table_is_saved_as_it_is_shown(qtbot, dock, tmp_path, monkeypatch):
    path = tmp_path / 'table.csv'
    monkeypatch.setattr(QFileDialog, 'getSaveFileName', lambda *a: (str(path), ''))
    dock.head.filter.setText('run-1')
    with qtbot.waitSignal(dock.settled, timeout=WAIT):
        qtbot.mouseClick(dock.head.save, LEFT)
    with path.open(newline='', encoding='utf-8') as file:
        lines = list(csv.DictReader(file))
    assert [line['run'] for line in lines] == ['run-10', 'run-1']
    assert lines[0]['epochs'] == '5' and list(lines[0])[:4] == [
        'execution_time', 'minutes_per_epoch', 'acc', 'val_acc',
    ]  # fmt: skip
    monkeypatch.setattr(QFileDialog, 'getSaveFileName', lambda *a: (str(tmp_path), ''))
    with qtbot.waitSignal(dock.settled, timeout=WAIT):
        qtbot.mouseClick(dock.head.save, LEFT)
    assert 'Choose another folder' in dock.message.text


def test_runs_of_a_sweep_come_in_as_they_end(dock):
    folder = str(dock.folder / 'sweep')
    dock_signals().run_done.emit(folder, RunsDone('sweep', 1, 19, row(1, val_auc=0.999)))
    assert names(dock)[0] == 'sweep/run-1'
    assert dock.count.text() == '4 runs · 1 of 19 complete' and dock.progress.value() == 1
    dock_signals().run_done.emit(folder, RunsDone('sweep', 2, 19, row(1, val_auc=0.1)))
    assert names(dock)[-1] == 'sweep/run-1' and dock.model.rowCount() == 4
    dock_signals().run_done.emit('/elsewhere', RunsDone('other', 1, 2, row(7)))
    assert dock.model.rowCount() == 4
    dock_signals().run_done.emit(folder, RunsDone('sweep', 19, 19, row(19)))
    assert not dock.progress.isVisible() and dock.count.text() == '5 runs'


def test_folds_are_rows_only_where_their_run_is_opened(qtbot, make_dock, dock):
    fold = row(1, run='cv/fold-1')
    dock_signals().run_done.emit(str(dock.folder / 'cv'), RunsDone('cv', 1, 5, fold))
    assert dock.model.rowCount() == 3 and dock.progress.value() == 1
    (dock.folder / 'cv').mkdir()
    other = make_dock(dock.folder / 'cv')
    dock_signals().run_done.emit(str(dock.folder / 'cv'), RunsDone('cv', 1, 5, fold))
    assert names(other) == ['fold-1'] and other.model.row(0).path == other.folder / 'fold-1'


def test_a_run_that_ends_elsewhere_is_read(qtbot, dock, runs):
    write_run(runs / 'run-11')
    with qtbot.waitSignal(dock.settled, timeout=WAIT):
        dock_signals().run_done.emit(str(runs / 'run-11'), None)
    assert dock.model.rowCount() == 4


def test_folder_and_columns_are_remembered(qtbot, dock, tmp_path, monkeypatch):
    monkeypatch.setattr(QFileDialog, 'getExistingDirectory', lambda *a: str(tmp_path))
    with qtbot.waitSignal(dock.settled, timeout=WAIT):
        qtbot.mouseClick(dock.head.choose, LEFT)
    assert preferences('runs').folder == str(tmp_path)
    assert names(dock)[0] == 'runs/run-10'
    menu = dock.view.columns_menu()
    next(a for a in menu.actions() if a.text() == 'Kernel').trigger()
    assert preferences('runs').hidden == 'filter' and dock.view.hidden == ['filter']


def test_what_was_selected_stays_selected_when_read_again(qtbot, dock):
    click(qtbot, dock, 2)
    with qtbot.waitSignal(dock.settled, timeout=WAIT):
        qtbot.mouseClick(dock.head.again, LEFT)
    assert [run.name for run in dock.view.runs] == ['run-2']


def test_a_run_that_went_away_is_told(qtbot, dock, runs):
    import shutil

    shutil.rmtree(runs / 'run-1')
    click(qtbot, dock, 1)
    assert 'run-1 cannot be read' in dock.message.text


def test_both_themes(dock):
    for theme in ('light', 'dark'):
        dock.viewer.theme = theme
        assert dock.curves.curves.curves.theme == theme
    assert dock.minimumSizeHint().width() <= 330  # napari's own style is narrower


def test_in_a_real_window_it_opens_by_its_name_and_goes_quietly(
    qtbot, make_napari_viewer, own_plugin, runs, settled_threads
):
    save_preferences('runs', folder=str(runs))
    viewer = make_napari_viewer(show=True)
    _, dock = viewer.window.add_plugin_dock_widget('napari-cxr', 'Training runs')
    qtbot.waitUntil(lambda: not dock.busy, timeout=WAIT)
    assert names(dock) == ['run-10', 'run-1', 'run-2']
    viewer.theme = 'light'
    assert dock.curves.curves.curves.theme == 'light'
    viewer.window.remove_dock_widget(dock)
    with qtbot.waitSignal(dock.destroyed, timeout=WAIT):
        dock.deleteLater()
    dock_signals().run_done.emit(str(runs), None)  # nobody listens any more
