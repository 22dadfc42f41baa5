"""A radiograph is opened with the window, the overlays and the lungs that were asked for."""

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels
from PIL import Image as Picture

from napari_cxr import samples
from napari_cxr.dicom import privacy
from napari_cxr.plugin.lungs_layer import is_lungs_layer
from napari_cxr.plugin.open_options import OpenOptionsDock
from napari_cxr.plugin.preferences import preferences

WAIT = 150_000

pytestmark = pytest.mark.usefixtures('settled_threads')


@pytest.fixture
def dock(qtbot, own_plugin, monkeypatch, tmp_path):
    monkeypatch.setattr(privacy, 'secret_path', lambda: tmp_path / 'secret')
    dock = OpenOptionsDock(ViewerModel())
    qtbot.addWidget(dock)
    return dock


@pytest.fixture
def film(tmp_path):
    """A film with two windows."""
    folder = tmp_path / 'films'
    folder.mkdir()
    return samples.write_phantom_dicom(
        folder / 'film.dcm',
        shape=(60, 50),
        seed=3,
        attributes={'WindowCenter': [1000, 500], 'WindowWidth': [2000, 300]},
    )


def open_file(qtbot, dock, file, **options):
    dock.form.file.value = file
    for name, value in options.items():
        getattr(dock.form, name).value = value
    with qtbot.waitSignal(dock.settled, timeout=WAIT):
        dock.form.call_button.native.click()


@pytest.mark.parametrize(
    ('window', 'limits'),
    [('First in the file', (0, 2000)), ('Second in the file', (350, 650))],
)
def test_the_window_is_the_one_asked_for(qtbot, dock, film, window, limits):
    open_file(qtbot, dock, film, window=window)
    (layer,) = dock.viewer.layers
    np.testing.assert_allclose(layer.contrast_limits, limits, atol=1)
    assert layer.name in dock.status.text() and not dock.message.text
    assert preferences('layers').folder == str(film.parent)


def test_the_full_range_is_that_of_the_values(qtbot, dock, film):
    open_file(qtbot, dock, film, window='Full range of values')
    (layer,) = dock.viewer.layers
    assert tuple(layer.contrast_limits) == (layer.data.min(), layer.data.max())


def test_a_window_that_the_file_does_not_have_is_said(qtbot, dock, film):
    open_file(qtbot, dock, film, window='Third in the file', overlays=True)
    (layer,) = dock.viewer.layers
    np.testing.assert_allclose(layer.contrast_limits, (0, 2000), atol=1)
    assert 'The file has 2 windows: its first is shown.' in dock.status.text()
    assert 'no overlays' in dock.status.text()


def test_the_lungs_are_shown(qtbot, dock, film):
    open_file(qtbot, dock, film, lungs=True)
    base = dock.viewer.layers[0]
    qtbot.waitUntil(lambda: any(map(is_lungs_layer, dock.viewer.layers)), timeout=WAIT)
    assert isinstance(dock.viewer.layers[1], Labels) and base in dock.viewer.layers


def test_a_picture_keeps_its_name(qtbot, dock, tmp_path):
    Picture.fromarray(np.zeros((20, 30), np.uint8)).save(tmp_path / 'chest.png')
    open_file(qtbot, dock, tmp_path / 'chest.png')
    assert dock.viewer.layers[0].name == 'chest'


@pytest.mark.parametrize(
    ('name', 'problem'),
    [
        (None, 'Choose a file first'),
        ('', 'is a folder'),
        ('gone.dcm', 'There is no file'),
        ('notes.txt', 'not a DICOM, PNG, JPEG or TIFF image'),
    ],
)
def test_what_cannot_be_opened_is_said_in_place(dock, tmp_path, name, problem):
    (tmp_path / 'notes.txt').write_text('text')
    dock.form.file.value = None if name is None else tmp_path / name
    dock.form.call_button.native.click()
    assert problem in dock.message.text and not dock.busy and not dock.viewer.layers


def test_a_damaged_file_is_said_in_place(qtbot, dock, tmp_path):
    path = tmp_path / 'page.dcm'
    path.write_text('<!DOCTYPE html><html></html>')
    open_file(qtbot, dock, path)
    assert 'page.dcm could not be opened' in dock.message.text and 'web page' in dock.message.text


def test_it_can_be_cancelled(qtbot, dock, tmp_path, monkeypatch):
    from napari_cxr.plugin import open_options

    def reading(path):
        while True:
            yield None

    monkeypatch.setattr(open_options, 'read_in_decoder', reading)
    Picture.fromarray(np.zeros((20, 30), np.uint8)).save(tmp_path / 'chest.png')
    dock.form.file.value = tmp_path / 'chest.png'
    dock.form.call_button.native.click()
    with qtbot.waitSignal(dock.settled, timeout=WAIT):
        dock._job.cancel()
    assert dock.status.text() == 'Opening chest.png was cancelled.' and not dock.viewer.layers


def test_the_folder_of_before_is_offered_if_it_is_still_there(dock, tmp_path, monkeypatch):
    from napari_cxr.plugin import open_options
    from napari_cxr.plugin.preferences import save_preferences

    asked = []
    monkeypatch.setattr(
        open_options.QFileDialog,
        'getOpenFileName',
        lambda parent, title, folder, filters: asked.append(folder) or ('', ''),
    )
    for folder in (tmp_path, tmp_path / 'gone'):
        save_preferences('layers', folder=str(folder))
        dock._choose_file()
    assert asked == [str(tmp_path), '']
