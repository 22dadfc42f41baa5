"""Preferences are what a person would set; what docks remember is kept elsewhere, and stays."""

import json
import os

import pytest
import yaml
from napari.settings import get_plugin_settings

import napari_cxr
from napari_cxr.plugin import preferences as module
from napari_cxr.plugin.preferences import preferences, save_preferences
from napari_cxr.workers.memory_budget import MEMORY, SECONDS, DecoderLimits

#: What a dock saves by itself: no person would type it into a dialog.
STATE = {
    ('batch', 'images'),
    ('batch', 'table'),
    ('batch', 'shown'),
    ('batch', 'columns'),
    ('batch', 'column_order'),
    ('batch', 'column_widths'),
    ('train', 'images'),
    ('runs', 'folder'),
    ('runs', 'hidden'),
    ('layers', 'folder'),
    ('layers', 'picture_folder'),
}


def test_napari_lists_no_state_as_a_preference():
    with open(os.path.join(os.path.dirname(napari_cxr.__file__), 'napari.yaml')) as file:
        found = yaml.safe_load(file)['contributions']['configurations']
    listed = {(category, key) for category in found for key in found[category]['properties']}
    assert not listed & STATE
    assert ('classify', 'model') in listed and ('layers', 'file_names') in listed


@pytest.fixture
def settings(tmp_path, monkeypatch, own_plugin):
    """Where napari keeps the preferences, and with that what is remembered."""
    path = tmp_path / 'of its own' / 'napari-cxr.yaml'
    path.parent.mkdir()
    monkeypatch.setattr(module, '_settings_file', lambda: path)
    return path


@pytest.mark.parametrize(('category', 'key'), sorted(STATE))
def test_what_is_remembered_is_there_again(settings, category, key):
    assert getattr(preferences(category), key) == ''
    save_preferences(category, **{key: f'ü {key}'})
    assert getattr(preferences(category), key) == f'ü {key}'
    stored = json.loads((settings.parent / 'napari-cxr.remembered.json').read_text())
    assert stored == {category: {key: f'ü {key}'}}


def test_what_the_first_version_kept_as_preferences_is_taken_over_once(settings):
    settings.write_text('batch: {table: a.csv, columns: +x, device: cpu}\nruns: {hidden: tp fp}\n')
    assert preferences('batch').table == 'a.csv' and preferences('runs').hidden == 'tp fp'
    settings.write_text('batch: {table: other.csv}\n')
    assert preferences('batch').table == 'a.csv' and preferences('batch').columns == '+x'


@pytest.mark.parametrize(
    'text', ['[' * 100_000, '[]', '{"batch": 3, "runs": {"hidden": [1]}}', 'nothing', '\x00']
)
def test_a_damaged_file_is_as_none(settings, text):
    (settings.parent / 'napari-cxr.remembered.json').write_text(text)
    settings.write_text(text)
    assert preferences('batch').table == '' and preferences('runs').hidden == ''
    save_preferences('batch', table='b.csv')
    assert preferences('batch').table == 'b.csv'


def test_a_pipe_or_a_folder_that_cannot_be_written_is_no_error(settings):
    pytest.importorskip('fcntl')
    os.mkfifo(settings.parent / 'napari-cxr.remembered.json')
    assert preferences('batch').table == ''
    module._store({'batch': {'table': 'x'}})  # takes its place
    assert preferences('batch').table == 'x'


def test_preferences_and_memory_are_saved_under_one_name(own_plugin):
    save_preferences('batch', table='c.csv', batch=7)
    assert (preferences('batch').table, preferences('batch').batch) == ('c.csv', 7)
    with pytest.raises(AttributeError):
        _ = preferences('runs').nothing


@pytest.fixture
def environment(monkeypatch, own_plugin):
    for name in (MEMORY, SECONDS):
        monkeypatch.setenv(name, 'to be put back')
        monkeypatch.delenv(name)
    monkeypatch.setattr(module, '_GIVEN', frozenset())


def test_by_default_no_limit_is_set(environment):
    chosen = preferences('reading')
    assert (chosen.memory, chosen.seconds) == (0, 60)
    assert MEMORY not in os.environ and SECONDS not in os.environ


def test_a_change_of_limits_is_followed_at_once(environment):
    preferences('layers')  # any look at preferences is enough
    save_preferences('reading', memory=2.5, seconds=20)
    limits = DecoderLimits.from_environment()
    assert (limits.memory, limits.seconds, limits.total) == (2_500_000_000, 20.0, 40.0)
    save_preferences('reading', memory=0, seconds=60)
    assert MEMORY not in os.environ and SECONDS not in os.environ


def test_napari_s_dialog_replaces_all_values_of_a_category(environment):
    preferences('layers')
    settings = get_plugin_settings('napari-cxr')
    settings.reading = {'memory': 3.0, 'seconds': 60.0}
    assert os.environ[MEMORY] == '3' and SECONDS not in os.environ
    settings.reading = {'memory': 4.0, 'seconds': 60.0}
    assert os.environ[MEMORY] == '4'
    save_preferences('reading', memory=0)
    assert MEMORY not in os.environ and SECONDS not in os.environ


def test_the_environment_goes_before_preferences(environment, monkeypatch):
    monkeypatch.setenv(MEMORY, '3')
    monkeypatch.setattr(module, '_GIVEN', frozenset({MEMORY}))
    preferences('layers')
    save_preferences('reading', memory=2.5, seconds=20)
    limits = DecoderLimits.from_environment()
    assert (limits.memory, limits.seconds) == (3_000_000_000, 20.0)
