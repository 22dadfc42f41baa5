"""The Train dock as a person uses it: look, train, stop, resume, and what goes wrong."""

import os
import shutil
import signal

import numpy as np
import pytest
from napari.components import ViewerModel
from PIL import Image
from qtpy.QtCore import Qt, QThreadPool
from qtpy.QtWidgets import QWidget

from napari_cxr.checkpoint import catalog
from napari_cxr.plugin.docks import dock_signals
from napari_cxr.plugin.preferences import save_preferences
from napari_cxr.plugin.radiographs_on_show import watch_viewer
from napari_cxr.plugin.runs.training_history import RunPhase
from napari_cxr.plugin.train import training_controllers, training_session
from napari_cxr.plugin.train.dock import TrainDock
from napari_cxr.plugin.train.training_setup import SWEEP_PREFIX
from napari_cxr.plugin.widgets.input_selector import InputSelector
from napari_cxr.training import Recipe, sweep
from napari_cxr.training import recipe as recipes

WAIT = 150_000


@pytest.fixture(scope='module', autouse=True)
def trainer():
    """End the training process with the module."""
    yield
    training_session.shared_trainer().close()


@pytest.fixture
def folder(tmp_path):
    """Two classes of ten images each."""
    root = tmp_path / 'images'
    for i in range(20):
        label = ('left', 'right')[i % 2]
        image = np.random.default_rng(i).integers(60, 120, (40, 40))
        image[:, slice(None, 20) if label == 'left' else slice(20, None)] += 90
        (root / label).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.astype(np.uint8)).save(root / label / f'{i}.png')
    return root


@pytest.fixture
def recipe_file(tmp_path):
    """Three short epochs of a small network on small images."""
    recipe = Recipe.from_dict(
        {
            'name': 'small',
            'network': 'resnet10',
            'epochs': 3,
            'batch': 4,
            'precision': 'float32',
            'input': {'height': 33, 'width': 33},
            'data': {'duplicates': False},
        }
    )
    path = tmp_path / 'small.toml'
    path.write_text(recipe.to_toml())
    return path


@pytest.fixture
def own_train_dock(qtbot, own_plugin, own_models, settled_threads, tmp_path, monkeypatch):
    """A dock that the test itself takes away."""
    monkeypatch.setenv('XDG_DATA_HOME', str(tmp_path / 'data'))
    save_preferences('train', images='', recipe='start-bundled', runs=str(tmp_path / 'runs'))
    return TrainDock(ViewerModel())


@pytest.fixture
def train_dock(qtbot, own_train_dock):
    dock = own_train_dock
    # pytest-qt deletes widgets before fixtures end, and then nobody could stop the job.
    qtbot.addWidget(dock, before_close_func=leave)
    dock.show()
    return dock


def leave(dock):
    dock._survey_timer.stop()
    dock.session.cancel()


def longer(recipe_file):
    """Make the run last until it is stopped."""
    recipe_file.write_text(recipe_file.read_text().replace('epochs = 3', 'epochs = 400', 1))


def look(qtbot, dock, folder, recipe_file):
    """Choose images and a recipe, and wait until they were looked at."""
    dock.setup.recipe_opened.emit(str(recipe_file))
    dock.setup.set_source(str(folder))
    qtbot.waitUntil(
        lambda: dock.survey is not None and not dock.busy and not dock._survey_timer.isActive(),
        timeout=WAIT,
    )


def epochs_of(dock):
    training = dock.run.training
    return len(training.epochs) if training is not None else 0


def end(qtbot, dock):
    qtbot.waitUntil(lambda: dock.session.job != 'train', timeout=WAIT)


def test_the_empty_dock_says_what_to_do(train_dock):
    assert not train_dock.start.isEnabled()
    assert not train_dock.message.isVisible()
    assert train_dock.recipe_controller.recipe.weights == 'cxr3-resnet10'
    assert train_dock.recipe_controller.recipe.card.name == 'my-resnet10'


@pytest.mark.slow
def test_from_a_folder_to_a_model_in_the_classify_dock(
    train_dock, qtbot, folder, recipe_file, own_models
):
    dock = train_dock
    choices = InputSelector(dock.viewer)
    qtbot.addWidget(choices)
    look(qtbot, dock, folder, recipe_file)
    assert dock.survey.labels == ('left', 'right')
    assert '20 images, 2 classes, split by image' in dock.status.text()
    dock.setup.name.clear()
    qtbot.keyClicks(dock.setup.name, 'mine')
    qtbot.mouseClick(dock.start, Qt.MouseButton.LeftButton)
    assert dock.session.job == 'train' and dock.tabs.tabText(dock.tabs.currentIndex()) == 'Run'
    end(qtbot, dock)
    assert dock.run.history.phase is RunPhase.FINISHED and not dock.run.message.text
    qtbot.waitUntil(lambda: (own_models / 'mine.safetensors').is_file(), timeout=WAIT)
    qtbot.waitUntil(lambda: choices.model.findData('mine') >= 0, timeout=WAIT)
    assert catalog.resolve('mine').read_bytes() == dock.run.checkpoint.read_bytes()
    dock.run.classify_requested.emit(str(dock.run.checkpoint))
    assert choices.current_model == 'mine'


@pytest.mark.slow
def test_stop_and_resume(train_dock, qtbot, folder, recipe_file):
    dock = train_dock
    longer(recipe_file)
    look(qtbot, dock, folder, recipe_file)
    dock.train()
    qtbot.waitUntil(lambda: epochs_of(dock) > 0, timeout=WAIT)
    dock.run.buttons.stop.click()
    end(qtbot, dock)
    assert dock.run.history.phase is RunPhase.STOPPED
    done = len(dock.run.training.epochs)
    dock.run.resume_requested.emit()
    qtbot.waitUntil(lambda: epochs_of(dock) > done + 1, timeout=WAIT)


def test_more_epochs_for_a_finished_run(train_dock, folder, monkeypatch, tmp_path):
    dock, started = train_dock, []
    dock.setup.set_source(str(folder))
    dock.session.cancel()  # the survey of the images
    monkeypatch.setattr(type(dock), 'busy', False)
    monkeypatch.setattr(dock.session, 'train', lambda *words, **named: started.append(
        (words, named)
    ))  # fmt: skip
    dock_signals().more_epochs_requested.emit(dock.viewer, str(tmp_path / 'run'), 9)
    (((source, plan, out, _), named),) = started
    assert (source, plan, out) == (str(folder), '', str(tmp_path / 'run'))
    assert named == {'epochs': 9}


@pytest.mark.slow
def test_a_dock_that_is_closed_stops_its_run(own_train_dock, qtbot, folder, recipe_file):
    train_dock = own_train_dock
    longer(recipe_file)
    look(qtbot, train_dock, folder, recipe_file)
    train_dock.train()
    qtbot.waitUntil(lambda: epochs_of(train_dock) > 0, timeout=WAIT)
    out = train_dock.run.folder
    holder = QWidget()
    train_dock.setParent(holder)
    with qtbot.waitSignal(holder.destroyed, timeout=WAIT):
        holder.deleteLater()
    assert QThreadPool.globalInstance().waitForDone(150_000)
    qtbot.waitUntil((out / 'state.safetensors').is_file, timeout=WAIT)
    assert not (out / 'result.json').exists()  # it was stopped, and can be resumed


@pytest.mark.slow
def test_the_worker_is_killed_and_the_run_goes_on(train_dock, qtbot, folder, recipe_file):
    dock = train_dock
    longer(recipe_file)
    look(qtbot, dock, folder, recipe_file)
    dock.train()
    qtbot.waitUntil(lambda: epochs_of(dock) > 0, timeout=WAIT)
    os.kill(training_session.shared_trainer().pid, signal.SIGKILL)
    end(qtbot, dock)
    assert dock.run.history.phase is RunPhase.FAILED
    assert 'napari is not affected' in dock.run.message.text
    done = len(dock.run.training.epochs)
    dock.run.resume_requested.emit()
    qtbot.waitUntil(lambda: epochs_of(dock) > done, timeout=WAIT)


def end_of_any(qtbot, dock):
    qtbot.waitUntil(lambda: not dock.busy, timeout=WAIT)


def wrong(qtbot, dock, folder, recipe_file):
    """Choose images, and return what the dock says of them."""
    dock.setup.recipe_opened.emit(str(recipe_file))
    dock.setup.set_source(str(folder))
    qtbot.waitUntil(lambda: bool(dock.message.text) and not dock.busy, timeout=WAIT)
    return dock.message.text


def test_an_empty_class_one_class_and_twins_are_told(train_dock, qtbot, folder, recipe_file):
    (folder / 'none').mkdir()
    assert "'none' contains no images" in wrong(qtbot, train_dock, folder, recipe_file)
    (folder / 'none').rmdir()
    shutil.copytree(folder / 'left', folder / 'LEFT')
    assert 'differ only in case' in wrong(qtbot, train_dock, folder, recipe_file)
    shutil.rmtree(folder / 'LEFT')
    shutil.rmtree(folder / 'left')
    assert 'at least two classes' in wrong(qtbot, train_dock, folder, recipe_file)
    assert 'neither a folder' in wrong(qtbot, train_dock, folder / 'gone', recipe_file)


@pytest.mark.slow
def test_unreadable_files_are_listed_and_the_run_goes_on(train_dock, qtbot, folder, recipe_file):
    (folder / 'left' / 'broken.png').write_bytes((folder / 'left' / '0.png').read_bytes()[:200])
    look(qtbot, train_dock, folder, recipe_file)
    assert [path for path, _ in train_dock.survey.skipped] == ['left/broken.png']
    assert len(train_dock.survey.paths) == 20


def test_images_that_cannot_be_divided_are_not_trained_on(train_dock, qtbot, folder, recipe_file):
    for path in sorted((folder / 'right').iterdir())[2:]:
        path.unlink()
    dock = train_dock
    look(qtbot, dock, folder, recipe_file)
    told = '12 images, 2 classes, but they cannot be split for training; see Images.'
    assert dock.status.text() == told and dock.start.toolTip() == told
    assert not dock.start.isEnabled()
    assert "'right' has only 2 images; at least" in dock.survey.flags[0]
    dock.train()  # by its keys
    assert not dock.busy
    base = dock.recipe_controller.recipe
    other = base.with_changes({'split.val': 0.5, 'split.test': 0.0})
    runs = (sweep.SweepRun('a', base), sweep.SweepRun('b', other))
    plan = folder.parent / 'plan.toml'
    plan.write_text(sweep.Sweep('plan', base, runs).to_toml())
    dock.setup.recipe_opened.emit(str(plan))
    assert dock.start.isEnabled() and 'Only runs of the sweep' in dock.status.text()
    dock.setup.recipe_opened.emit(str(recipe_file))
    assert not dock.start.isEnabled()
    # What was found does not hold for other settings, whether these are looked at or not.
    changed = folder.parent / 'changed.toml'
    changed.write_text(other.to_toml())
    dock.setup.recipe_opened.emit(str(changed))
    qtbot.waitUntil(lambda: dock.session.job == 'survey', timeout=WAIT)
    dock.cancel.click()
    end_of_any(qtbot, dock)
    assert dock.start.isEnabled() and 'Train with these settings' in dock.start.toolTip()
    dock.setup.source_changed.emit()
    dock.setup.recipe_opened.emit(str(changed))
    qtbot.waitUntil(lambda: dock.survey is not None and not dock.busy, timeout=WAIT)
    assert dock.start.isEnabled() and 'split by image' in dock.status.text()


def test_a_folder_that_cannot_be_written_to(train_dock, qtbot, folder, recipe_file, tmp_path):
    (tmp_path / 'file').write_text('')
    look(qtbot, train_dock, folder, recipe_file)
    train_dock.setup.out.setText(str(tmp_path / 'file' / 'runs'))
    train_dock.train()
    end(qtbot, train_dock)
    assert 'cannot be written to' in train_dock.run.message.text
    assert train_dock.start.isEnabled()


def test_two_docks_share_one_process_and_say_so(
    train_dock, qtbot, folder, recipe_file, monkeypatch, own_plugin
):
    monkeypatch.setattr(type(training_session.shared_trainer()), 'busy', True)
    train_dock.setup.source.setText(str(folder))
    train_dock.session.list_networks()
    assert 'Waiting for another Train dock' in train_dock.status.text()
    end_of_any(qtbot, train_dock)
    assert 'Waiting' not in train_dock.status.text()


def test_what_another_viewer_wants_is_not_done(train_dock, recipe_file, tmp_path):
    run = tmp_path / 'run'
    run.mkdir()
    shutil.copy(recipe_file, run / 'recipe.toml')
    dock_signals().run_requested.emit(ViewerModel(), str(run))
    assert train_dock.recipe_controller.recipe.name == 'start-bundled'
    dock_signals().run_requested.emit(train_dock.viewer, str(run))
    assert train_dock.recipe_controller.recipe.name == 'small'


def test_an_entry_that_makes_no_sense_is_told_at_once(train_dock, qtbot, folder, recipe_file):
    dock = train_dock
    look(qtbot, dock, folder, recipe_file)
    field = dock.form._fields['optimiser.learning_rate'].editor
    field.selectAll()
    qtbot.keyClicks(field, 'fast')
    assert 'optimiser.learning_rate must be a number' in dock.message.text
    assert not dock.start.isEnabled()
    dock.setup.reset_requested.emit()
    assert not dock.message.text and dock.start.isEnabled()


@pytest.mark.slow
def test_images_that_were_left_out_stay_out(train_dock, qtbot, folder, recipe_file):
    dock = train_dock
    look(qtbot, dock, folder, recipe_file)
    digest = dock.survey.digests[3]
    dock.data.excluded.emit([digest], True)
    qtbot.waitUntil(
        lambda: dock.survey is not None and dock.survey.excluded.sum() == 1, timeout=WAIT
    )
    assert dock.recipe_controller.recipe.data.exclude == (digest,)
    dock.recipe_controller.choose('zhong')
    assert dock.recipe_controller.recipe.data.exclude == (digest,)
    dock.data.excluded.emit([digest], False)
    assert dock.recipe_controller.recipe.data.exclude == ()


@pytest.mark.slow
def test_what_was_set_up_for_a_folder_is_there_again(train_dock, qtbot, folder, recipe_file):
    dock = train_dock
    look(qtbot, dock, folder, recipe_file)
    training_controllers.save_draft(
        str(folder), dock.recipe_controller.recipe.with_changes({'epochs': 17})
    )
    dock.setup.set_source(str(folder))
    assert dock.recipe_controller.recipe.epochs == 17


def test_a_sweep_is_handed_on_with_what_was_changed(train_dock, qtbot, folder, monkeypatch):
    handed = []
    monkeypatch.setattr(train_dock.session, 'train', lambda *given: handed.append(given))
    dock = train_dock
    dock._survey_timer.stop()
    qtbot.waitUntil(lambda: not dock.busy, timeout=WAIT)
    dock.setup.source.setText(str(folder))
    dock.recipe_controller.choose(f'{SWEEP_PREFIX}nova')
    dock.form._fields['epochs'].editor.setValue(2)
    dock._survey_timer.stop()
    dock.train()
    ((source, text, out, _, runs),) = handed
    assert runs == 19
    plan = sweep.Sweep.from_toml(text)
    assert source == str(folder) and out.endswith('-1')
    assert len(plan.runs) == 19 and {run.recipe.epochs for run in plan.runs} == {2}
    dock.run.stopped()


def test_a_pair_opens_side_by_side(train_dock, folder):
    train_dock.setup.set_source(str(folder))
    train_dock.data.pair_opened.emit('left/0.png', 'right/1.png')
    watcher = watch_viewer(train_dock.viewer)
    assert watcher.comparing and len(watcher.on_show) == 2


def test_a_sweep_of_ones_own_is_opened_like_a_recipe(train_dock, tmp_path):
    path = tmp_path / 'mine.toml'
    path.write_text('name = "mine"\nbase = "start-bundled"\n[grid]\nepochs = [2, 3]\n')
    train_dock.setup.recipe_opened.emit(str(path))
    assert [run.recipe.epochs for run in train_dock.recipe_controller.plan.runs] == [2, 3]
    path.write_text('name = "mine"\nbase = "nothing"\n')
    train_dock.setup.recipe_opened.emit(str(path))
    assert "no recipe 'nothing'" in train_dock.message.text


def test_a_recipe_can_be_saved_and_opened_again(train_dock, tmp_path, recipe_file):
    dock = train_dock
    dock.recipe_controller.choose('zhong')
    dock.setup.recipe_saved.emit(str(tmp_path / 'saved.toml'))
    dock.recipe_controller.choose(str(recipe_file))
    dock.recipe_controller.choose(str(tmp_path / 'saved.toml'))
    assert dock.recipe_controller.recipe.loss == recipes.find('zhong').loss
    dock.setup.recipe_saved.emit(str(tmp_path / 'no' / 'folder.toml'))
    assert 'could not be saved' in dock.message.text
