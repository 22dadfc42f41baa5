"""Layers that napari's own reader made: the file behind them is what counts."""

import imagecodecs
import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers._source import layer_source
from PIL import Image as Picture
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless
from qtpy.QtCore import Qt

from napari_cxr import image_files, samples
from napari_cxr.correction import Correction
from napari_cxr.dicom import privacy
from napari_cxr.plugin import lungs_controller as lung_jobs
from napari_cxr.plugin import source_file
from napari_cxr.plugin.annotation import row_loader
from napari_cxr.plugin.background import run_job
from napari_cxr.plugin.layers import KEY, is_heatmap, radiograph_layer_data
from napari_cxr.plugin.model_correction import apply_correction, correct_radiograph
from napari_cxr.plugin.source_file import (
    as_scored,
    file_behind,
    is_of_other_reader,
    radiograph_behind,
    shows_other_pixels,
)
from napari_cxr.plugin.widgets.input_selector import OtherReaderNotice
from napari_cxr.radiograph import Radiograph, UnreadableImage
from napari_cxr.scoring import ScoreRow
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


@pytest.fixture(scope='module')
def wavelet_bytes(tmp_path_factory):
    path = tmp_path_factory.mktemp('wavelet') / 'made.dcm'
    pixels = np.add.outer(np.arange(1000), np.arange(960)).astype(np.uint16)
    samples.write_phantom_dicom(path, pixels=pixels)
    dataset = dcmread(path)
    dataset.compress(JPEG2000Lossless, generate_instance_uid=False)
    dataset.save_as(path)
    return path.read_bytes()


@pytest.fixture
def wavelet_file(tmp_path, wavelet_bytes):
    """A radiograph of which JPEG 2000 holds the half that a model needs."""
    path = tmp_path / 'wavelet.dcm'
    path.write_bytes(wavelet_bytes)
    return path


@pytest.fixture
def read_here(monkeypatch):
    """Read in this process, and count the reads."""
    reads = []

    def read(path, least=None):
        reads.append((str(path), least))
        yield None
        return image_files.read(path, least)

    monkeypatch.setattr(source_file, 'read_in_decoder', read)
    return reads


def layer_of(viewer, path):
    data, attributes, _ = radiograph_layer_data(image_files.read(path))
    return viewer.add_image(data, **attributes)


def asked(layer, model='cxr3-resnet10'):
    return ended(as_scored(ended(radiograph_behind(layer)), model))


def ended(run):
    while True:
        try:
            next(run)
        except StopIteration as end:
            return end.value


def test_a_model_is_shown_what_scoring_decodes(viewer, wavelet_file, read_here):
    layer = layer_of(viewer, wavelet_file)
    assert layer.data.shape == (1000, 960)
    assert str(wavelet_file) not in str(layer.metadata)
    one = asked(layer, 'cxr3-lung-texture')  # 80 pixels a side, of the lungs
    assert one.step == 2 and one.shape == (1000, 960) and not one.notes
    assert read_here == [(str(wavelet_file), (320, 320))]
    assert asked(layer, 'cxr3-lung-texture') is one and len(read_here) == 1


def test_nothing_is_decoded_again_where_it_would_be_the_same(viewer, tmp_path, read_here):
    layer = layer_of(viewer, dicom_file(tmp_path))
    whole = ended(radiograph_behind(layer))
    assert asked(layer) is whole and not read_here


def test_a_small_image_is_not_decoded_again(viewer, wavelet_file, read_here):
    layer = layer_of(viewer, wavelet_file)  # half of it has fewer rows than 2 * 224 of .84
    assert asked(layer).step == 1 and not asked(layer).notes and not read_here


@pytest.mark.parametrize('change', ['pixels', 'new pixels', 'file', 'gone'])
def test_what_was_changed_is_taken_from_the_layer_and_says_so(
    viewer, wavelet_file, read_here, change
):
    layer = layer_of(viewer, wavelet_file)
    if change == 'pixels':
        layer.data.flags.writeable = True
        layer.data[:10] = 0
    elif change == 'new pixels':
        layer.data = np.ascontiguousarray(layer.data[::-1])
    elif change == 'file':
        same_size = np.zeros((1000, 960), np.uint16)
        other = samples.write_phantom_dicom(wavelet_file, pixels=same_size, seed=4)
        assert other == wavelet_file
    else:
        wavelet_file.unlink()
    one = asked(layer, 'cxr3-lung-texture')
    assert one.step == 1 and 'differ' in one.notes[-1]
    assert one.values.shape == (1000, 960)
    np.testing.assert_array_equal(one.values, layer.data)


@pytest.mark.parametrize('correction', [Correction(inverted=True), Correction(mirrored=True)])
def test_a_corrected_image_is_shown_corrected(viewer, wavelet_file, read_here, correction):
    layer = layer_of(viewer, wavelet_file)
    before = asked(layer, 'cxr3-lung-texture').to_display()
    assert apply_correction(viewer, layer, ended(correct_radiograph(layer, correction)))
    one = asked(layer, 'cxr3-lung-texture')
    assert one.correction == correction and not one.notes
    if correction.moves:  # its pixel (0, 0) is no longer that of a part of its size
        assert (
            one.step == 1
            and (one.values[:, 0] == image_files.read(wavelet_file).values[:, -1]).all()
        )
    else:
        assert one.step == 2
        np.testing.assert_allclose(one.to_display(), 1 - before, atol=1e-6)


def test_a_row_that_is_opened_is_decoded_as_it_was_scored(wavelet_file, read_here):
    whole = image_files.read(wavelet_file)  # with its path, as the opener reads it
    one = ended(as_scored(whole, 'cxr3-lung-texture'))
    assert one.step == 2 and read_here == [(str(wavelet_file), (320, 320))]


def test_a_stream_without_a_smaller_image_is_taken_as_it_is(viewer, wavelet_file, read_here):
    """One look at the file is enough to know it."""
    stream = imagecodecs.jpeg2k_encode(
        image_files.read(wavelet_file).values,
        level=0,
        codecformat='j2k',
        reversible=True,
        bitspersample=12,
        resolutions=1,
    )
    dataset = dcmread(wavelet_file)
    dataset.PixelData = encapsulate([bytes(stream)])
    dataset.save_as(wavelet_file)
    layer = layer_of(viewer, wavelet_file)
    one = ended(radiograph_behind(layer))
    for _ in range(2):
        assert ended(as_scored(one, 'cxr3-lung-texture')) is one
    assert len(read_here) == 1 and not one.notes


@pytest.mark.parametrize(('decoded', 'step'), [('1/2', 2), ('1', 1), ('', 1)])
def test_an_opened_row_is_classified_as_it_was_scored(
    wavelet_file, read_here, monkeypatch, decoded, step
):
    shown = []

    def classify(radiograph, model, device):
        shown.append(radiograph)
        yield None

    monkeypatch.setattr(row_loader, 'classify_radiograph', classify)
    monkeypatch.setattr(row_loader, 'read_in_decoder', source_file.read_in_decoder)
    row = ScoreRow(0, str(wavelet_file), 'scored', decoded=decoded)
    request = row_loader.RowRequest(row, 'cxr3-lung-texture', 'cpu')
    loaded = ended(row_loader.load_row(request, None, False))
    assert loaded.image.data.shape == (1000, 960)
    assert [one.step for one in shown] == [step]
