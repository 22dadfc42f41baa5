"""The list of models: what a person should take first, demonstrations last."""

import shutil
from dataclasses import replace

import pytest
from qtpy.QtCore import Qt, QUrl
from qtpy.QtGui import QImage

from napari_cxr.checkpoint import catalog, read_card
from napari_cxr.checkpoint.model_file import replace_card
from napari_cxr.plugin.preferences import preferences, save_preferences
from napari_cxr.plugin.widgets.model_selector import CardDialog, ModelComboBox

HEADING = 'Demonstrations'


@pytest.fixture
def box(qtbot, model_file, own_models):
    own_models.mkdir(exist_ok=True)
    shutil.copyfile(model_file, own_models / 'mine.safetensors')
    shutil.copyfile(model_file, own_models / 'a-toy.safetensors')
    card = replace(read_card(model_file), demonstration='A toy, because it is random.')
    replace_card(own_models / 'a-toy.safetensors', card)
    before = preferences('classify').model
    save_preferences('classify', model='')
    made = ModelComboBox('Which', 'classify')
    qtbot.addWidget(made)
    yield made
    save_preferences('classify', model=before)


def texts(box):
    return [box.itemText(i) for i in range(box.count())]


def test_demonstrations_stand_below_a_heading_that_cannot_be_chosen(box):
    listed = texts(box)
    heading = listed.index(HEADING)
    assert listed[-1] == 'From a file…' and 'mine' in listed[:heading]
    assert {'a-toy', 'cxr3-lung-texture', 'cxr3-resnet10'} == set(listed[heading + 1 : -1])
    assert not box.model().item(heading).isEnabled()
    tip = box.itemData(box.findData('a-toy'), Qt.ItemDataRole.ToolTipRole)
    assert 'A toy, because it is random.' in tip


def test_the_default_is_chosen_where_nobody_chose(box):
    assert box.current == catalog.default() != ''


def test_arrow_keys_pass_over_the_heading(qtbot, box):
    heading = texts(box).index(HEADING)
    box.setCurrentIndex(heading - 2)  # the line stands between
    qtbot.keyClick(box, Qt.Key.Key_Down)
    assert box.currentIndex() == heading + 1 and box.current


def test_a_file_is_no_demonstration(box, tmp_path, model_file):
    path = tmp_path / 'other.safetensors'
    shutil.copyfile(model_file, path)
    box.choose_file(str(path))
    listed = texts(box)
    assert box.current == str(path)
    assert listed.index('other') < listed.index(HEADING)


def test_a_card_draws_no_tags_and_opens_no_files(qtbot, model_file, tmp_path):
    picture = tmp_path / 'x.png'
    QImage(8, 8, QImage.Format.Format_RGB32).save(str(picture))
    text = f'<h1>large</h1> ![x]({picture.as_uri()}) <img src="{picture.as_uri()}">'
    card = replace(read_card(model_file), title=text, not_to_believe=text)
    dialog = CardDialog(card)
    qtbot.addWidget(dialog)
    assert '<h1>large</h1>' in dialog.text.toPlainText()
    loaded = dialog.text.loadResource(2, QUrl(picture.as_uri()))
    assert loaded is None
    dialog.resize(400, 300)
    dialog.show()
    qtbot.waitExposed(dialog)
    assert dialog.text.verticalScrollBar().maximum() > dialog.text.verticalScrollBar().value() == 0


def _stopped_run(model_file, folder):
    """The folder of a run that was stopped after its third epoch."""
    folder.mkdir(parents=True)
    path = folder / 'best.safetensors'
    shutil.copyfile(model_file, path)
    card = read_card(path)
    recipe, data = {**card.recipe, 'epochs': 30}, {**card.data, 'epoch': 3}
    replace_card(path, replace(card, metrics={}, recipe=recipe, data=data))
    return path


def test_the_model_of_a_stopped_run_says_so_and_is_not_the_default_of_tomorrow(
    qtbot, box, model_file, tmp_path
):
    path = str(_stopped_run(model_file, tmp_path / 'fine-tuned'))
    box.choose(path)  # as the docks of runs do
    assert box.current == path
    assert box.currentText() == 'fine-tuned · stopped at epoch 3 of 30'
    again = ModelComboBox('Which', 'classify')
    qtbot.addWidget(again)
    assert again.current == catalog.default() and again.findData(path) < 0

    box.choose_file(path, by_hand=True)
    again = ModelComboBox('Which', 'classify')
    qtbot.addWidget(again)
    assert again.current == path
    assert again.currentText() == 'fine-tuned · stopped at epoch 3 of 30'


def test_in_the_catalog_a_stopped_runs_model_says_so_too(qtbot, model_file, own_models):
    own_models.mkdir(exist_ok=True)
    shutil.copyfile(
        _stopped_run(model_file, own_models / 'run'), own_models / 'half-way.safetensors'
    )
    (own_models / 'broken.safetensors').write_bytes(b'nothing')
    box = ModelComboBox('Which', 'classify')
    qtbot.addWidget(box)
    place = box.findData('half-way')
    assert box.itemText(place) == 'half-way · stopped at epoch 3 of 30'
    assert 'was not measured' in box.itemData(place, Qt.ItemDataRole.ToolTipRole)
    assert box.itemText(box.findData('broken')) == 'broken · not usable'
    save_preferences('classify', model='broken')  # it was whole when it was chosen
    again = ModelComboBox('Which', 'classify')
    qtbot.addWidget(again)
    assert again.current == catalog.default()
    save_preferences('classify', model='')


def test_a_finished_model_that_another_dock_asks_for_is_remembered(qtbot, box, model_file):
    box.choose('mine')
    assert preferences('classify').model == 'mine'


def test_a_broken_file_of_its_name_does_not_hide_the_bundled_model(qtbot, own_models):
    own_models.mkdir(exist_ok=True)
    (own_models / f'{catalog.default()}.safetensors').write_bytes(b'nothing')
    box = ModelComboBox('Which', 'classify')
    qtbot.addWidget(box)
    assert box.current == catalog.default() and box.currentText() == catalog.default()
    assert box.current_card().title
    assert catalog.resolve(catalog.default()).parent != own_models
