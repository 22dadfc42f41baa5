"""What a person set up for a folder is there again the next time."""

from pathlib import Path

import pytest
from platformdirs import user_data_path

from napari_cxr.plugin.train import training_controllers
from napari_cxr.training import recipe as recipes


@pytest.fixture(autouse=True)
def empty_drafts(tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_DATA_HOME', str(tmp_path / 'data'))


def test_a_draft_belongs_to_its_folder(tmp_path):
    recipe = recipes.find('bundled-resnet10').with_changes({'data.exclude': ['00ff']})
    assert training_controllers.load_draft(str(tmp_path)) is None
    training_controllers.save_draft(str(tmp_path), recipe)
    assert training_controllers.load_draft(str(tmp_path)) == recipe
    assert training_controllers.load_draft(str(tmp_path / 'other')) is None
    kept = list((user_data_path('napari-cxr', appauthor=False) / 'drafts').iterdir())
    assert len(kept) == 1 and tmp_path.name not in kept[0].name


def test_a_damaged_draft_is_no_draft(tmp_path):
    training_controllers.save_draft(str(tmp_path), recipes.find('bundled-resnet10'))
    (path,) = (user_data_path('napari-cxr', appauthor=False) / 'drafts').iterdir()
    path.write_bytes(b'\xff\x00')
    assert training_controllers.load_draft(str(tmp_path)) is None


def test_where_nothing_can_be_written_nothing_is_said(tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, 'No space left on device')

    training_controllers.save_draft(str(tmp_path), recipes.find('bundled-resnet10'))
    monkeypatch.setattr(Path, 'write_text', full)
    training_controllers.save_draft(
        str(tmp_path), recipes.find('bundled-resnet10').with_changes({'epochs': 3})
    )
    assert training_controllers.load_draft(str(tmp_path)).epochs == 28
