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
