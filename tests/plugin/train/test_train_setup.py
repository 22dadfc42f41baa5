"""The upper part of the Train dock: what is offered, chosen and remembered."""

from pathlib import Path

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

from napari_cxr.plugin.preferences import preferences
from napari_cxr.plugin.train.training_choices import plain_costs
from napari_cxr.plugin.train.training_setup import SWEEP_PREFIX, TrainingSetup
from napari_cxr.training import recipe as recipes
from napari_cxr.training import sweep
from napari_cxr.training.training_costs import cost_text


@pytest.fixture
def setup(qtbot, own_plugin):
    setup = TrainingSetup()
    qtbot.addWidget(setup)
    return setup


def test_all_recipes_and_sweeps_are_offered_by_title(setup):
    offered = {setup.recipe.itemData(i) for i in range(setup.recipe.count())} - {None}
    assert offered == {*recipes.names(), *(f'{SWEEP_PREFIX}{name}' for name in sweep.names())}
    first = setup.recipe.itemText(0)
    assert setup.recipe.itemData(0).startswith('start-') and first != setup.recipe.itemData(0)
    # Without a network a first run must work.
    assert recipes.find(setup.current_recipe).weights == 'cxr3-resnet10'


def test_typing_a_folder_says_so_once(setup, qtbot, tmp_path):
    with qtbot.waitSignal(setup.source_changed):
        qtbot.keyClicks(setup.source, str(tmp_path))
        qtbot.keyClick(setup.source, Qt.Key.Key_Return)
    with qtbot.assertNotEmitted(setup.source_changed):
        setup.source.editingFinished.emit()
    assert setup.current_source == str(tmp_path)


def test_folders_tables_and_recipes_are_asked_for(setup, qtbot, tmp_path, monkeypatch):
    monkeypatch.setattr(QFileDialog, 'getExistingDirectory', lambda *a: str(tmp_path))
    monkeypatch.setattr(QFileDialog, 'getOpenFileName', lambda *a: (str(tmp_path / 'x'), ''))
    monkeypatch.setattr(QFileDialog, 'getSaveFileName', lambda *a: (str(tmp_path / 'y'), ''))
    with qtbot.waitSignal(setup.source_changed):
        setup.choose_folder()
    assert setup.current_source == str(tmp_path)
    with qtbot.waitSignal(setup.source_changed):
        setup.choose_table()
    with qtbot.waitSignal(setup.recipe_opened) as opened:
        setup.open_recipe()
    with qtbot.waitSignal(setup.recipe_saved) as saved:
        setup.save_recipe()
    with qtbot.waitSignal(setup.run_chosen) as run:
        setup.choose_run()
    assert [opened.args, saved.args, run.args] == [
        [str(tmp_path / 'x')],
        [str(tmp_path / 'y')],
        [str(tmp_path)],
    ]
    setup.choose_out.click()
    assert setup.out.text() == str(tmp_path)


def test_a_dialog_that_is_closed_changes_nothing(setup, qtbot, monkeypatch):
    monkeypatch.setattr(QFileDialog, 'getExistingDirectory', lambda *a: '')
    monkeypatch.setattr(QFileDialog, 'getOpenFileName', lambda *a: ('', ''))
    before = setup.out.text()
    with qtbot.assertNotEmitted(setup.source_changed):
        setup.choose_folder()
        setup.choose_table()
    setup.choose_out.click()
    assert setup.out.text() == before


def test_each_run_gets_a_folder_of_its_own(setup, tmp_path):
    setup.out.setText(str(tmp_path))
    setup.name.setText('mine')
    assert setup.new_run_folder() == tmp_path / 'mine-1'
    (tmp_path / 'mine-1').mkdir()
    assert setup.new_run_folder() == tmp_path / 'mine-2'


def test_choices_are_there_the_next_time(setup, qtbot, tmp_path):
    assert setup.out.text() == str(Path.home() / 'napari-cxr-runs')
    setup.source.setText(str(tmp_path))
    setup.out.setText(str(tmp_path / 'runs'))
    setup.choose_recipe('zhong')
    setup.device.setCurrentIndex(1)
    setup.keep()
    assert preferences('train').recipe == 'zhong'
    again = TrainingSetup()
    qtbot.addWidget(again)
    assert again.current_source == str(tmp_path)
    assert again.out.text() == str(tmp_path / 'runs')
    assert (again.current_recipe, again.current_device) == ('zhong', 'cpu')


def test_a_recipe_from_a_file_is_listed_once(setup):
    recipe = recipes.find('zhong')
    before = setup.recipe.count()
    setup.add_recipe('/somewhere/x.toml', recipe)
    setup.add_recipe('/somewhere/x.toml', recipe)
    assert setup.recipe.count() == before + 1
    setup.choose_recipe('/somewhere/x.toml')
    assert setup.current_recipe == '/somewhere/x.toml'


def test_a_name_with_blanks_becomes_a_file_name(setup, qtbot):
    setup.name.clear()
    qtbot.keyClicks(setup.name, 'my first')
    assert setup.name.text() == 'my-first'
    setup.name.clear()
    assert setup.new_run_folder().name == 'run-1'
    setup.out.clear()
    assert setup.new_run_folder().parent == Path.home() / 'napari-cxr-runs'


def test_a_title_that_is_cut_is_in_the_tooltip(setup):
    setup.resize(200, 200)
    setup.choose_recipe('start-bundled')
    assert setup.recipe.toolTip().startswith(setup.recipe.currentText())
    assert 'under Settings' in setup.recipe.toolTip()
    assert setup.recipe.grab().width() < setup.recipe.fontMetrics().horizontalAdvance(
        setup.recipe.currentText()
    )


def test_three_plain_ways_stand_before_the_recipes_of_papers(setup, qtbot):
    buttons = setup.choices.buttons
    assert [button.text() for button in buttons.values()] == [
        'Quick: new last layer', 'Fine-tune', 'From scratch',
    ]  # fmt: skip
    assert buttons['start-bundled'].isChecked() and not setup.papers.is_open
    with qtbot.waitSignal(setup.recipe_chosen) as chosen:
        buttons['start-from-scratch'].click()
    assert chosen.args == ['start-from-scratch'] == [setup.current_recipe]
    setup.choose_recipe('zhong')
    assert not any(button.isChecked() for button in buttons.values())
    assert setup.papers.summary.text() == recipes.find('zhong').title
    assert setup.about.text() == recipes.find('zhong').paper
    setup.choose_recipe('start-fine-tuning')
    assert buttons['start-fine-tuning'].isChecked() and setup.about.isHidden()


def test_what_each_way_costs_is_said(setup):
    costs = plain_costs(200, True)
    setup.choices.show_costs(costs, gpu=False)
    for name, label in setup.choices.costs.items():
        assert label.text() == cost_text(costs[name]) and 'memory' in label.text()
    setup.choices.show_costs(plain_costs(0, False), gpu=True)
    said = setup.choices.costs['start-bundled'].text()
    assert said.startswith('For 1,000 images: ') and 'without the GPU' in setup.choices.note.text()
    quick, _, scratch = costs.values()
    assert quick.seconds[1] < scratch.seconds[1]


def test_folders_that_were_trained_on_are_offered_again(setup, qtbot, tmp_path):
    for name in ('first', 'sec & ond', 'gone'):
        (tmp_path / name).mkdir()
        setup.source.setText(str(tmp_path / name))
        setup.keep()
    (tmp_path / 'gone').rmdir()
    menu = setup.browse.menu()
    for _ in range(2):  # not twice, however often it opens
        menu.aboutToShow.emit()
    texts = [action.text() for action in menu.actions() if str(tmp_path) in action.text()]
    assert texts == [f'{tmp_path}/sec && ond', f'{tmp_path}/first']
    with qtbot.waitSignal(setup.source_changed):
        next(action for action in menu.actions() if 'first' in action.text()).trigger()
    assert setup.current_source == str(tmp_path / 'first')
    menu.actions()[-1].trigger()
    menu.aboutToShow.emit()
    assert not any(str(tmp_path) in action.text() for action in menu.actions())
