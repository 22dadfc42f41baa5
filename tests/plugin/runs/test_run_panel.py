import math
from dataclasses import replace

import pytest
from made_up_runs import LABELS, batch, epoch, folds, started, whole_run, write_run
from qtpy.QtCore import Qt

from napari_cxr.plugin.runs.run_panel import RunPanel
from napari_cxr.plugin.runs.training_history import RunHistory, RunPhase
from napari_cxr.plugin.widgets.sections import scrollable
from napari_cxr.training.training_events import (
    ImageSkipped,
    ReadingProgress,
    RunsDone,
    TrainingFinished,
)

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def panel(qtbot, settled_threads):
    panel = RunPanel('dark')
    qtbot.addWidget(panel)
    panel.show()
    return panel


def feed(panel, events):
    for event in events:
        panel.add(event)
    panel.refresh()


def names(panel):
    return [line.name for line in panel.curves.curves.lines]


def test_before_anything_it_says_what_to_do(panel):
    assert panel.status.heading.text() == 'Nothing has been trained yet'
    assert 'click Train' in panel.kept.text()
    for part in (panel.buttons, panel.curves, panel.status.overall, panel.folds, panel.skipped):
        assert not part.isVisible()


def test_reading_then_training(panel):
    panel.begin('/runs/run')
    assert panel.status.heading.text() == 'Starting…'
    assert panel.status.overall.maximum() == 0  # nobody knows how long
    feed(panel, [ReadingProgress('run', 100, 400)])
    assert panel.status.overall.value() == 250 and not panel.status.epoch.isVisible()
    feed(panel, [started(), epoch(number=1), epoch(number=2), batch(epoch=3)])
    assert panel.status.place.text() == 'Epoch 3 of 28, batch 12 of 50'
    assert panel.status.speed.text() == ('41 images/s, about 12 min left, 93 % of the processor')
    assert panel.status.epoch.value() == 240 and panel.status.epoch.isVisible()
    assert panel.status.overall.value() == round(1000 * 2.24 / 28)


def test_events_however_fast_are_painted_ten_times_a_second_at_most(qtbot, panel, monkeypatch):
    panel.begin('/runs/run')
    painted = []
    monkeypatch.setattr(
        panel.status,
        'show_history',
        lambda history: painted.append(history.current_training.batch.batch),
    )
    panel.add(started())
    for number in range(1, 2001):
        panel.add(batch(number=number, batches=2000))
    assert painted == []  # nothing is drawn while events come in one go
    qtbot.waitUntil(lambda: bool(painted), timeout=150_000)
    assert painted == [2000]
    assert panel._paint.interval() == 100 and panel._paint.isSingleShot()


def test_batches_do_not_draw_curves_again(panel, monkeypatch):
    panel.begin('/runs/run')
    feed(panel, [started(), epoch(number=1)])
    drawn = []
    monkeypatch.setattr(panel.curves, 'set_training', lambda *given: drawn.append(given))
    feed(panel, [batch(epoch=2, number=1), batch(epoch=2, number=2)])
    assert not drawn
    feed(panel, [epoch(number=2)])
    assert len(drawn) == 1


def test_time_passes_where_no_event_comes(qtbot, panel):
    times = iter(range(0, 10_000, 30))
    panel.begin('/runs/run', resumed=RunHistory('run', clock=lambda: next(times)))
    feed(panel, [started(), batch(left=3000)])
    before = panel.status.elapsed.text(), panel.status.speed.text()
    assert panel._second.isActive() and panel._second.interval() == 1000
    panel._second.timeout.emit()
    assert panel.status.elapsed.text() != before[0] and panel.status.speed.text() != before[1]
    panel.stopped()
    assert not panel._second.isActive()


def test_curves_of_each_figure_with_the_best_epoch(qtbot, panel):
    panel.begin('/runs/run')
    feed(panel, whole_run())
    assert names(panel) == ['training', 'validation', 'best epoch 17']
    (best,) = panel.curves.curves.lines[2:]
    assert list(best.xs) == [17] and list(best.ys) == [epoch(number=17).val_loss]
    panel.curves.metric_choice.setFocus()
    found = {}
    for _ in range(panel.curves.metric_choice.count()):
        found[panel.curves.metric_choice.currentText()] = names(panel)
        qtbot.keyClick(panel.curves.metric_choice, Qt.Key.Key_Down)
    assert list(found) == ['Loss', 'Accuracy', 'AUC', 'Balanced accuracy', 'F1', 'Learning rate']
    assert found['AUC'] == found['Loss']
    assert found['F1'] == ['validation', 'best epoch 17']
    assert found['Learning rate'] == ['learning rate', 'best epoch 17']


def test_figures_that_nobody_measured_are_left_out(panel):
    panel.begin('/runs/run')
    feed(panel, [started(), *(epoch(number=n, train_macro_auc=math.nan) for n in (1, 2))])
    panel.curves.metric_choice.setCurrentText('AUC')
    assert names(panel) == ['validation', 'kept epoch 2']


def test_the_matrix_is_of_the_latest_epoch_then_of_the_best(panel):
    panel.begin('/runs/run')
    assert not panel.matrix.isVisible()
    feed(panel, [started(), epoch(number=1), epoch(number=2, best=False)])
    assert panel.matrix.title.text() == 'Validation images after epoch 2'
    assert panel.matrix.matrix.values[0].tolist() == [62, 12, 18]
    assert panel.matrix.matrix.cell_text(0, 1).startswith('covid19 × normal: 12')
    panel.stopped()
    assert panel.matrix.title.text() == 'Validation images after the best epoch 1'
    assert panel.matrix.matrix.values[0, 0] == 61
    panel.begin('/runs/run')
    feed(panel, [started(), epoch(number=1, confusion=())])
    assert not panel.matrix.isVisible()


def test_stop_is_one_click_and_says_so_at_once(qtbot, panel):
    panel.begin('/runs/run')
    feed(panel, [started(), epoch(number=1), batch(epoch=2)])
    with qtbot.waitSignal(panel.stop_requested):
        qtbot.mouseClick(panel.buttons.stop, LEFT)
    assert panel.status.heading.text() == 'Stopping after this batch…'
    assert panel.kept.text() == 'The model of the last epoch is kept.'
    assert not panel.buttons.stop.isEnabled()
    feed(panel, [batch(epoch=2, number=13)])
    assert panel.status.heading.text() == 'Stopping after this batch…'
    panel.stopped()
    assert panel.kept.text() == (
        'The last model, of epoch 1, is kept. Resume continues from there.'
    )
    assert not panel.status.overall.isVisible() and not panel.buttons.stop.isVisible()
    with qtbot.waitSignal(panel.resume_requested):
        qtbot.mouseClick(panel.buttons.resume, LEFT)
    with qtbot.waitSignal(panel.classify_requested) as wanted:
        qtbot.mouseClick(panel.buttons.classify, LEFT)
    assert wanted.args == ['/runs/run/best.safetensors']


def test_a_run_without_a_model_offers_none(panel):
    panel.begin('/runs/run')
    feed(panel, [started(), batch()])
    panel.stopped()
    assert 'No epoch was completed' in panel.kept.text() and panel.checkpoint is None
    assert not panel.buttons.classify.isVisible() and not panel.buttons.card.isVisible()
    assert panel.buttons.resume.isVisible() and panel.buttons.folder.isVisible()


def test_what_never_began_is_not_resumed(panel):
    panel.begin('/runs/run')
    panel.fail('/runs is neither a folder of images nor a CSV file.')
    assert 'click Train again' in panel.kept.text() and 'Resume' not in panel.kept.text()
    assert not panel.buttons.resume.isVisible() and not panel.buttons.folder.isVisible()
    assert not panel.curves.isVisible()
    panel.begin('/runs/run', resumed=panel.history)
    panel.fail('/runs is neither a folder of images nor a CSV file.')
    assert panel.buttons.resume.isVisible()


def test_a_model_that_was_not_written_is_not_offered(panel, tmp_path):
    panel.begin(tmp_path / 'run')
    feed(panel, [started(), epoch(number=1)])
    panel.fail('No space left on device.')
    assert 'No model was saved' in panel.kept.text()
    assert panel.buttons.resume.isVisible() and not panel.buttons.classify.isVisible()


def test_resuming_keeps_the_curves(panel):
    panel.begin('/runs/run')
    feed(panel, list(whole_run(epochs=8))[:12])
    panel.stopped()
    panel.begin('/runs/run', resumed=panel.history)
    done = max(panel.training.epochs)
    feed(panel, [started(epochs=8, epoch=done), epoch(number=done + 1, epochs=8)])
    assert list(panel.curves.curves.lines[0].xs) == list(range(1, done + 2))
    assert panel.history.phase is RunPhase.TRAINING


def test_a_run_resumed_in_another_session_gets_its_curves_back(qtbot, panel, tmp_path):
    folder = write_run(tmp_path / 'run', epochs=4, planned=9)
    panel.begin(folder)
    panel.add(started(epochs=9, epoch=4))
    qtbot.waitUntil(lambda: len(panel.training.epochs) == 4, timeout=150_000)
    feed(panel, [epoch(number=5, epochs=9)])
    assert list(panel.curves.curves.lines[0].xs) == [1, 2, 3, 4, 5]


def test_a_failure_says_what_to_do_and_keeps_the_details_folded(qtbot, panel, tmp_path):
    (tmp_path / 'run').mkdir()
    (tmp_path / 'run' / 'best.safetensors').write_bytes(b'made up')
    panel.begin(tmp_path / 'run')
    feed(panel, [started(), epoch(number=1)])
    panel.fail('The memory of the device is full. Choose a smaller batch.', 'Traceback')
    assert panel.message.isVisible() and panel.message.details == 'Traceback'
    assert 'of epoch 1, is kept' in panel.kept.text()
    assert panel.status.heading.text() == 'The run failed'
    panel.begin('/runs/run')
    assert not panel.message.isVisible()


def test_the_end_with_interval_and_baseline(qtbot, panel):
    panel.begin('/runs/run')
    feed(panel, whole_run())
    panel.finish()
    assert panel.status.heading.text() == 'Finished'
    assert panel.result.text().startswith('Best epoch 17, test macro AUC 0.957 [0.941, 0.971]')
    assert 'no evidence' in panel.doubts.text() and panel.doubts.isVisible()
    with qtbot.waitSignal(panel.card_requested) as wanted:
        qtbot.mouseClick(panel.buttons.card, LEFT)
    assert wanted.args == ['/runs/run/best.safetensors']
    with qtbot.waitSignal(panel.folder_requested) as wanted:
        qtbot.keyClick(panel.buttons.folder, Qt.Key.Key_Space)
    assert wanted.args == ['/runs/run']


def test_another_run_is_laid_over_with_dashed_lines(qtbot, panel):
    panel.begin('/runs/run')
    feed(panel, whole_run())
    with qtbot.waitSignal(panel.compare_requested):
        qtbot.mouseClick(panel.curves.compare, LEFT)
    other = RunHistory('before')
    for event in whole_run('before', epochs=10):
        other.add(event)
    panel.compare_with(other)
    dashed = [line.name for line in panel.curves.curves.lines if line.style == 'dashed']
    assert dashed == ['other training', 'other validation']
    assert panel.curves.key.text() == 'Solid: run. Dashed: before.'
    feed(panel, [epoch(number=28, val_loss=0.1)])
    assert len(panel.curves.curves.lines) == 5  # stays while the run goes on
    qtbot.mouseClick(panel.curves.compare, LEFT)
    assert not panel.curves.comparing and not panel.curves.key.isVisible()
    panel.compare_with(RunHistory('empty'))
    assert 'empty has no completed epochs' in panel.message.text


def test_folds_are_a_table_that_chooses_the_curves(qtbot, panel):
    panel.begin('/runs/run', runs=5)
    events = list(folds())
    feed(panel, events[:30])
    assert panel.folds.isVisible() and panel.training.name == 'run/fold-2'
    feed(panel, events[30:])
    panel.finish()
    model = panel.folds.model()
    cells = [[model.index(r, c).data() for c in range(4)] for r in range(model.rowCount())]
    assert [row[0] for row in cells] == [f'fold {n}' for n in range(1, 6)]
    assert [row[3] for row in cells] == ['0.955', '0.960', '0.965', '0.970', '0.975']
    assert all(row[1] == '4' for row in cells)
    spot = panel.folds.visualRect(model.index(1, 0)).center()
    qtbot.mouseClick(panel.folds.viewport(), LEFT, pos=spot)
    assert panel.training.name == 'run/fold-2'
    assert panel.checkpoint.as_posix() == '/runs/run/fold-2/best.safetensors'
    assert panel.buttons.classify.text() == 'Classify with fold 2'
    qtbot.keyClick(panel.folds, Qt.Key.Key_Down)
    assert panel.training.name == 'run/fold-3'


def test_a_sweep_ends_on_its_best_run(panel):
    panel.begin('/runs/sweep')
    for number, shift in enumerate((0.02, 0.0, 0.05), 1):
        for event in whole_run(f'try-{number}', epochs=4, best=3, shift=shift):
            panel.add(replace(event, path='') if isinstance(event, TrainingFinished) else event)
        panel.add(RunsDone('sweep', number, 3, {}))
    panel.finish()
    assert (
        panel.training.name == 'sweep/try-2' and 'validation images: try 2' in panel.result.text()
    )
    assert panel.checkpoint.as_posix() == '/runs/sweep/try-2/best.safetensors'
    assert panel.folds.model().index(2, 0).data() == 'try 3'


def test_left_out_images_unfold(qtbot, panel):
    panel.begin('/runs/run')
    feed(panel, [ImageSkipped('run', f'image {n}', 'A lateral view.') for n in range(3)])
    assert panel.skipped.button.text() == '▸ 3 images were left out'
    assert not panel.skipped.list.isVisible()
    qtbot.mouseClick(panel.skipped.button, LEFT)
    assert panel.skipped.list.isVisible()
    assert panel.skipped.list.toPlainText().splitlines() == [
        f'image {n}: A lateral view.' for n in range(3)
    ]
    feed(panel, [ImageSkipped('run', 'image 3', 'It is empty.')])
    assert panel.skipped.button.text() == '▾ 4 images were left out'
    panel.begin('/runs/run')
    assert not panel.skipped.isVisible()


def test_a_run_of_the_past(panel):
    history = RunHistory('old')
    for event in whole_run('old'):
        history.add(event)
    history.end(RunPhase.FINISHED)
    panel.show_history(history, '/runs/old')
    assert 'Best epoch 17' in panel.result.text() and names(panel)
    assert panel.training.labels == LABELS


def test_both_themes(panel):
    panel.begin('/runs/run')
    feed(panel, whole_run())
    for theme in ('light', 'dark'):
        panel.set_theme(theme)
        assert panel.curves.curves.theme == theme
    assert panel.minimumSizeHint().width() <= 290


@pytest.mark.parametrize('width', [300, 390, 600])
def test_stop_stays_where_it_is_as_long_as_a_run_goes_on(qtbot, settled_threads, width):
    panel = RunPanel('dark')
    page = scrollable(panel)  # as in the docks
    qtbot.addWidget(page)
    page.resize(width, 900)
    page.show()
    panel.begin('/runs/run')
    places = set()

    def look():
        qtbot.wait(20)
        assert panel.buttons.stop.isVisible()
        places.add(panel.buttons.y())

    look()
    feed(panel, [ReadingProgress('run', 100, 400)])
    look()
    feed(panel, [ImageSkipped('run', '/a/b.png', 'It is cut off.')])
    look()
    feed(panel, [started(), batch(epoch=1)])
    look()
    feed(panel, [epoch(number=1), batch(epoch=2)])
    look()
    assert len(places) == 1
