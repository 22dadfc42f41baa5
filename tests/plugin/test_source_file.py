"""Layers that napari's own reader made: the file behind them is what counts."""

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers._source import layer_source
from PIL import Image as Picture
from qtpy.QtCore import Qt

from napari_cxr import samples
from napari_cxr.dicom import privacy
from napari_cxr.plugin import lungs_controller as lung_jobs
from napari_cxr.plugin.background import run_job
from napari_cxr.plugin.layers import KEY, is_heatmap, radiograph_layer_data
from napari_cxr.plugin.source_file import (
    file_behind,
    is_of_other_reader,
    radiograph_behind,
    shows_other_pixels,
)
from napari_cxr.plugin.widgets.input_selector import OtherReaderNotice
from napari_cxr.radiograph import Radiograph, UnreadableImage
from napari_cxr.workers.decoder_pool import shared_decoder

WAIT = 150_000
GREY = (np.arange(24 * 30).reshape(24, 30) % 256).astype(np.uint8)


@pytest.fixture(autouse=True)
def own_secret(tmp_path, monkeypatch):
    monkeypatch.setattr(privacy, 'secret_path', lambda: tmp_path / 'secret')


@pytest.fixture
def viewer():
    return ViewerModel()


def opened_by_napari(viewer, data, path):
    with layer_source(path=str(path), reader_plugin='napari'):
        return viewer.add_image(data)


def dicom_file(folder, **options):
    return samples.write_phantom_dicom(folder / 'chest.dcm', shape=(120, 100), seed=3, **options)


def read(layer):
    run = radiograph_behind(layer)
    while True:
        try:
            next(run)
        except StopIteration as end:
            return end.value


def test_the_pixels_of_a_dicom_layer_are_never_used(viewer, tmp_path):
    path = dicom_file(tmp_path)
    wrapped = np.full((120, 100), 7, np.int8)
    layer = opened_by_napari(viewer, wrapped, path)
    assert file_behind(layer) == path
    assert is_of_other_reader(layer) and not shows_other_pixels(layer)
    found = read(layer)
    assert found.values.dtype == np.uint16
    assert found.values.shape == (120, 100)
    assert "napari's own reader" in found.notes[0]
    assert found.provenance.path == ''
    assert is_of_other_reader(layer) and shows_other_pixels(layer)


def test_a_series_that_napari_stacked_is_read_as_the_file_that_was_named(viewer, tmp_path):
    layer = opened_by_napari(viewer, np.zeros((3, 50, 60), np.int16), dicom_file(tmp_path))
    assert read(layer).values.shape == (120, 100)


def test_right_pixels_are_no_reason_to_replace_the_layer(viewer, tmp_path):
    path = dicom_file(tmp_path)
    right = read(opened_by_napari(viewer, np.zeros((2, 2)), path)).values
    layer = opened_by_napari(viewer, right, path)
    assert read(layer).notes
    assert not is_of_other_reader(layer)


def test_our_own_layers_and_arrays_are_used_as_they_are(viewer, tmp_path):
    ours = Radiograph.from_array(GREY)
    data, attributes, _ = radiograph_layer_data(ours)
    with layer_source(path=str(dicom_file(tmp_path)), reader_plugin='napari-cxr'):
        layer = viewer.add_image(data, **attributes)
    assert file_behind(layer) is None
    assert read(layer) is layer.metadata[KEY]['radiograph']
    assert read(viewer.add_image(GREY)).values is GREY


def test_a_folder_and_a_file_that_has_gone_are_said(viewer, tmp_path):
    path = dicom_file(tmp_path)
    with pytest.raises(UnreadableImage, match='from a folder'):
        read(opened_by_napari(viewer, GREY, tmp_path))
    path.unlink()
    with pytest.raises(UnreadableImage, match='no longer there'):
        read(opened_by_napari(viewer, GREY, path))
    path.write_bytes(bytes(128) + b'DICM')
    with pytest.raises(UnreadableImage, match='nothing after its preamble'):
        read(opened_by_napari(viewer, GREY, path))


def test_reading_can_be_cancelled(viewer, tmp_path):
    shared_decoder().close()  # which takes its time to start again
    run = radiograph_behind(opened_by_napari(viewer, GREY, dicom_file(tmp_path)))
    assert next(run) is None
    run.close()
    assert list(run) == []


def test_an_image_that_napari_does_not_turn(viewer, tmp_path):
    exif = Picture.Exif()
    exif[274] = 6
    path = tmp_path / 'a.png'
    Picture.fromarray(np.rot90(GREY).copy()).save(path, exif=exif)
    layer = opened_by_napari(viewer, np.rot90(GREY).copy(), path)
    assert not is_of_other_reader(layer)  # not known before it is read
    np.testing.assert_array_equal(read(layer).values, GREY)
    assert is_of_other_reader(layer)


def test_a_picture_that_somebody_has_worked_on_stays_as_it_is(viewer, tmp_path):
    path = tmp_path / 'a.png'
    Picture.fromarray(GREY).save(path)
    layer = opened_by_napari(viewer, 255 - GREY, path)
    np.testing.assert_array_equal(read(layer).values, 255 - GREY)
    assert not is_of_other_reader(layer)
    same = read(opened_by_napari(viewer, GREY, path))
    np.testing.assert_array_equal(same.values, GREY)
    assert (same.provenance.format, same.notes) == ('PNG', ())


def test_no_lungs_on_other_pixels(qtbot, viewer, tmp_path, settled_threads):
    layer = opened_by_napari(viewer, np.zeros((120, 100), np.int8), dicom_file(tmp_path))
    found = []
    run_job(None, lung_jobs.find_lungs(layer), 'Finding the lungs', done=found.append)
    qtbot.waitUntil(lambda: bool(found), timeout=WAIT)
    assert "napari's own reader" in found[0].text


def test_the_layer_can_be_replaced(qtbot, viewer, tmp_path, own_plugin, settled_threads):
    viewer.add_image(GREY)
    layer = opened_by_napari(viewer, np.zeros((120, 100), np.int8), dicom_file(tmp_path))
    above = viewer.add_image(GREY)
    offer = OtherReaderNotice(viewer)
    qtbot.addWidget(offer)
    offer.show_layer(above)
    assert offer.isHidden()
    offer.show_layer(layer)
    assert not offer.isHidden() and 'DICOM' in offer.text.text()
    with qtbot.waitSignal(offer.replaced, timeout=WAIT):
        qtbot.mouseClick(offer.button, Qt.MouseButton.LeftButton)
    assert layer not in viewer.layers
    new = viewer.layers[1]
    assert viewer.layers.selection.active is new
    assert new.metadata[KEY]['radiograph'].values.dtype == np.uint16
    assert len(viewer.layers) == 3


def test_classify_shows_the_file_and_no_heatmap_on_other_pixels(qtbot, dock, tmp_path):
    path = dicom_file(tmp_path)
    wrapped = np.zeros((120, 100), np.int8)
    layer = opened_by_napari(dock.viewer, wrapped, path)
    assert not dock.inputs.other_reader.isHidden()
    with qtbot.waitSignal(dock.settled, timeout=WAIT):
        qtbot.mouseClick(dock.start, Qt.MouseButton.LeftButton)
    assert not dock.message.text
    assert dock.answer is not None
    assert any("napari's own reader" in c.text for c in dock.answer.prediction.warnings)
    assert not any(is_heatmap(each) for each in dock.viewer.layers)
    shown = dock.answer.prediction.probabilities
    with qtbot.waitSignal(dock.inputs.other_reader.replaced, timeout=WAIT):
        dock.inputs.other_reader.replace()
    assert layer not in dock.viewer.layers
    assert dock.inputs.other_reader.isHidden()
    with qtbot.waitSignal(dock.settled, timeout=WAIT):
        dock.classify()
    assert dock.answer.prediction.probabilities == shown
