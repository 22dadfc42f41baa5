"""Rows of a table open as layers: the right ones, one at a time, and soon."""

import shutil
from dataclasses import replace
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from napari.components import ViewerModel
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, RLELossless
from qtpy.QtCore import QThreadPool

from napari_cxr import image_files, samples
from napari_cxr.inference.prediction import ImageWarning
from napari_cxr.plugin.annotation.row_loader import LoadedImage, LoadedRow, RowCache
from napari_cxr.plugin.annotation.row_opener import RowOpener
from napari_cxr.plugin.docks import dock_signals
from napari_cxr.plugin.heatmap_overlay import HeatmapOverlay
from napari_cxr.plugin.layers import KEY, is_blank, is_heatmap, radiograph_of
from napari_cxr.plugin.lungs_layer import is_lungs_layer, lungs_of
from napari_cxr.radiograph import Radiograph
from napari_cxr.scoring import ScoreRow

WAIT = 150_000


@pytest.fixture(scope='module')
def classifier(model_file):
    from napari_cxr.inference.classifier import Classifier

    return Classifier.load(model_file, 'cpu')


@pytest.fixture(scope='module')
def originals(tmp_path_factory, classifier):
    """Files with what a table says of each: four DICOM, a PNG of 8 bits, one in colour, a CT."""
    folder = tmp_path_factory.mktemp('files')
    chest = samples.phantom((200, 180), seed=2)
    pixels = np.rint(4095 * chest).astype(np.uint16)
    variants = [pixels, pixels[:, ::-1], pixels[20:], 4095 - pixels[:, 10:]]
    for i, variant in enumerate(variants):
        samples.write_phantom_dicom(
            folder / f'{i}.dcm',
            pixels=np.ascontiguousarray(variant),
            seed=i,
            photometric='MONOCHROME1' if i == 3 else 'MONOCHROME2',
            transfer_syntax=RLELossless if i == 1 else ExplicitVRLittleEndian,
        )
    iio.imwrite(folder / '4.png', (pixels // 16).astype(np.uint8))
    iio.imwrite(folder / '5.png', np.stack([pixels // 16] * 3, axis=-1).astype(np.uint8))
    samples.write_phantom_dicom(
        folder / '6.dcm',
        pixels=pixels[:64, :64].copy(),
        attributes={'SOPClassUID': CTImageStorage, 'Modality': 'CT'},
    )
    rows = []
    for i, path in enumerate(sorted(folder.iterdir())[:6]):
        (said,) = classifier.predict([image_files.read(path)])
        # Not the most probable class: a row's own label is what counts.
        label = said.labels[i % 3]
        rows.append(
            ScoreRow(i, str(path), 'scored', label=label, probabilities=said.probabilities)
        )
    return [*rows, ScoreRow(6, str(folder / '6.dcm'), 'error', error='This is a CT image.')]


@pytest.fixture
def rows(originals, tmp_path):
    """The same files in a folder of this test's own."""
    return [
        replace(row, path=str(shutil.copy2(row.path, tmp_path / Path(row.path).name)))
        for row in originals
    ]


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def opener(qtbot, viewer, models, own_plugin, settled_threads):
    opener = RowOpener(viewer)
    opener.history = []
    opener.opened.connect(lambda row: opener.history.append(('opened', row.number)))
    opener.failed.connect(lambda row, text: opener.history.append(('failed', row.number)))
    opener.loaded.connect(lambda row: opener.history.append(('loaded', row.number)))
    yield opener
    opener.close()


def show(qtbot, opener, row):
    with qtbot.waitSignal(opener.opened, timeout=WAIT) as shown:
        opener.open(row, 'tiny', 'cpu')
    assert shown.args == [row]


def heat_of(viewer):
    (heat,) = [layer for layer in viewer.layers if is_heatmap(layer)]
    return heat


def said_of(heat):
    """Return class and probability that a heatmap's layer tells of."""
    return heat.metadata[KEY]['label'], heat.metadata[KEY]['probability']


def test_a_row_is_its_radiograph_with_the_heatmap_of_its_class(qtbot, viewer, opener, rows):
    for row in (*rows[:2], *rows[3:6]):
        show(qtbot, opener, row)
        qtbot.waitUntil(lambda: len(viewer.layers) == 2, timeout=WAIT)
        base, heat = viewer.layers
        expected = image_files.read(row.path)
        np.testing.assert_array_equal(radiograph_of(base).to_display(), expected.to_display())
        label, probability = said_of(heat)
        assert label == row.label
        # The same score as the table's, however the file came here.
        place = ('covid19', 'normal', 'pneumonia').index(label)
        assert probability == pytest.approx(row.probabilities[place], abs=1e-6)
        # The middle of a map of 4 x 4 cells is the middle of the radiograph.
        middle = (np.array(expected.shape) - 1) / 2
        np.testing.assert_allclose(
            heat.data_to_world((1.5, 1.5)), base.data_to_world(middle), atol=1e-6
        )
        assert viewer.layers.selection.active is base
    assert opener.history[-2:] == [('loaded', 5), ('opened', 5)]


def test_the_heatmap_of_a_doubtful_image_is_withheld_like_its_prediction(
    qtbot, viewer, opener, rows
):
    doubtful = replace(rows[1], warnings=(ImageWarning('mirrored', 'This may be mirrored.'),))
    show(qtbot, opener, doubtful)
    qtbot.wait(50)
    assert not any(map(is_heatmap, viewer.layers)) and len(viewer.layers) == 1
    opener.reveals_doubtful = True
    show(qtbot, opener, doubtful)
    assert said_of(heat_of(viewer))[0] == doubtful.label
    opener.reveals_doubtful = False
    show(qtbot, opener, doubtful)
    assert is_blank(heat_of(viewer))


@pytest.mark.parametrize('which', [3, 4])
def test_grey_pictures_share_their_layers_and_look_as_if_opened_anew(
    qtbot, viewer, opener, rows, which
):
    from napari.layers import Image

    from napari_cxr.plugin.layers import radiograph_layer_data

    show(qtbot, opener, rows[0])
    base, heat = viewer.layers
    heat.opacity, heat.visible = 0.2, False
    base.contrast_limits, base.gamma = (100, 200), 0.5
    show(qtbot, opener, rows[which])
    assert list(viewer.layers) == [base, heat]
    assert (heat.opacity, heat.visible) == (0.2, False) and not is_blank(heat)
    data, attributes, _ = radiograph_layer_data(image_files.read(rows[which].path))
    fresh = Image(data, **attributes)
    np.testing.assert_array_equal(base.data, fresh.data)
    assert base.name == f'Image {which + 1}'  # and not what may name a patient
    for name in ('dtype', 'contrast_limits', 'contrast_limits_range', 'gamma', 'units'):
        assert getattr(base, name) == getattr(fresh, name), name
    assert base.colormap.name == fresh.colormap.name == ('gray_r' if which == 3 else 'gray')
    np.testing.assert_array_equal(base.scale, fresh.scale)
    assert heat.units == base.units


def test_a_picture_in_colour_has_layers_of_its_own(qtbot, viewer, opener, rows):
    show(qtbot, opener, rows[0])
    base, heat = viewer.layers
    heat.opacity, heat.visible = 0.2, False
    with qtbot.assertNotEmitted(opener.failed):
        show(qtbot, opener, rows[5])
    # Hidden at once, and removed when that was painted.
    assert not base.visible and not heat.visible
    qtbot.waitUntil(lambda: len(viewer.layers) == 2, timeout=WAIT)
    assert base not in viewer.layers and viewer.layers[0].rgb
    assert (heat_of(viewer).opacity, heat_of(viewer).visible) == (0.2, False)


@pytest.fixture
def frames(tmp_path):
    """A row with two frames."""
    path = tmp_path / 'frames.dcm'
    samples.write_phantom_dicom(
        path, pixels=np.stack([np.full((300, 240), 5 + i, np.uint16) for i in range(2)])
    )
    return ScoreRow(7, str(path), 'error', error='It has several frames.')


def test_of_several_frames_the_first_is_shown_in_the_same_layer(
    qtbot, viewer, opener, rows, frames
):
    show(qtbot, opener, rows[0])
    (base, *_) = viewer.layers
    show(qtbot, opener, frames)
    assert viewer.layers[0] is base and base.data.shape == (300, 240)
    assert base.name.endswith('first of 2 frames')
    np.testing.assert_array_equal(base.data, 5)


def test_rows_beside_a_volume_of_a_persons_own(qtbot, viewer, opener, rows):
    viewer.add_image(np.zeros((3, 20, 20), np.uint8))
    show(qtbot, opener, rows[1])
    assert opener.on_screen == rows[1].path


def test_what_is_a_persons_stays(qtbot, viewer, opener, rows):
    show(qtbot, opener, rows[0])
    points = viewer.add_points([[3, 4]])
    other = viewer.add_image(np.zeros((9, 9), np.uint8))
    (first, *_) = viewer.layers
    first.data = first.data // 2
    show(qtbot, opener, rows[1])
    assert {points, other, first} < set(viewer.layers)
    assert not first.visible and points.visible
    qtbot.waitUntil(lambda: len(viewer.layers) == 5, timeout=WAIT)
    second = next(layer for layer in viewer.layers if layer.metadata and layer is not first)
    viewer.layers.remove(second)
    show(qtbot, opener, rows[2])
    qtbot.waitUntil(lambda: len(viewer.layers) == 5, timeout=WAIT)
    assert heat_of(viewer).visible and {points, other, first} < set(viewer.layers)


def test_lungs_that_were_drawn_on_stay_with_their_radiograph(qtbot, viewer, opener, rows):
    from napari_cxr.plugin.lungs_controller import show_lung_field

    show(qtbot, opener, rows[0])
    base = viewer.layers[0]
    show_lung_field(viewer)
    qtbot.waitUntil(lambda: lungs_of(base, viewer.layers) is not None, timeout=WAIT)
    show(qtbot, opener, rows[1])  # as they were found, they can be found again
    assert viewer.layers[0] is base
    qtbot.waitUntil(lambda: not any(map(is_lungs_layer, viewer.layers)), timeout=WAIT)
    viewer.layers.selection.active = base
    show_lung_field(viewer)
    qtbot.waitUntil(lambda: lungs_of(base, viewer.layers) is not None, timeout=WAIT)
    lungs = lungs_of(base, viewer.layers)
    lungs.data_setitem((np.array([5]), np.array([6])), 2)
    show(qtbot, opener, rows[2])
    qtbot.waitUntil(lambda: len(viewer.layers) == 4, timeout=WAIT)
    assert {base, lungs} < set(viewer.layers)
    assert not base.visible and not lungs.visible and lungs_of(base, viewer.layers) is lungs


def test_of_several_the_latest_is_shown(qtbot, viewer, opener, rows):
    for row in rows[:4]:
        opener.open(row, 'tiny', 'cpu')
    show(qtbot, opener, rows[4])
    assert opener.history == [('loaded', 4), ('opened', 4)]
    assert len(viewer.layers) == 2 and said_of(heat_of(viewer))[0] == rows[4].label


def test_the_image_before_goes_while_another_is_awaited(qtbot, viewer, opener, rows):
    show(qtbot, opener, rows[0])
    base, heat = viewer.layers
    heat.opacity = 0.3
    outline = viewer.add_shapes(name='mine')
    opener._loading_delay.setInterval(WAIT)  # however busy this machine is
    told = []
    opener.layers_changed.connect(
        lambda: told.append((opener.waiting, opener.on_screen, base.visible))
    )
    opener.open(rows[0], 'tiny', 'cpu')  # what is on screen is its own image
    opener._loading_delay.timeout.emit()
    assert base.visible and not told
    qtbot.waitUntil(lambda: not opener.pending and opener._wanted is None, timeout=WAIT)
    told.clear()
    with qtbot.waitSignal(opener.opened, timeout=WAIT):
        opener.open(rows[3], 'tiny', 'cpu')
        assert base.visible and not opener.waiting
        opener._loading_delay.timeout.emit()  # without waiting for it
        assert told == [(True, '', False)] and not heat.visible and outline.visible
        assert opener.pending == rows[3].path
    assert base.visible and heat.visible and heat.opacity == 0.3
    assert not opener.waiting and opener.on_screen == rows[3].path
    assert told[1] == (False, rows[3].path, True)


def test_what_was_read_ahead_comes_without_the_image_before_going(qtbot, viewer, opener, rows):
    show(qtbot, opener, rows[0])
    opener.load_ahead(rows[3:4], 'tiny', 'cpu')
    qtbot.waitUntil(lambda: opener.history[-1] == ('loaded', 3), timeout=WAIT)
    opener._loading_delay.setInterval(WAIT)  # however busy this machine is
    gone = []
    base = viewer.layers[0]
    base.events.visible.connect(lambda: gone.append(not base.visible))
    show(qtbot, opener, rows[3])
    assert not any(gone) and not opener._loading_delay.isActive()


def test_what_was_read_ahead_is_not_read_again(qtbot, viewer, opener, rows):
    opener.open(rows[0], 'tiny', 'cpu')
    opener.load_ahead(rows[1:3], 'tiny', 'cpu')
    done = [('loaded', 0), ('opened', 0), ('loaded', 1), ('loaded', 2)]
    qtbot.waitUntil(lambda: opener.history == done, timeout=WAIT)
    for row in (rows[1], rows[2], rows[0]):
        show(qtbot, opener, row)
    assert opener.history[4:] == [('opened', 1), ('opened', 2), ('opened', 0)]
    assert said_of(heat_of(viewer))[0] == rows[0].label


def test_a_row_is_shown_when_its_reading_ahead_is_done(qtbot, viewer, opener, rows):
    show(qtbot, opener, rows[0])
    opener.load_ahead(rows[1:3], 'tiny', 'cpu')
    show(qtbot, opener, rows[1])
    assert opener.history[2:] == [('loaded', 1), ('opened', 1)]


def test_a_file_that_was_changed_is_read_again(qtbot, viewer, opener, rows):
    show(qtbot, opener, rows[0])
    shutil.copy(rows[2].path, rows[0].path)
    show(qtbot, opener, rows[0])
    assert [kind for kind, _ in opener.history] == ['loaded', 'opened'] * 2
    assert viewer.layers[0].data.shape == (180, 180)


def test_a_row_without_a_score_is_shown_without_a_heatmap(qtbot, viewer, opener, rows):
    show(qtbot, opener, rows[6])
    (base,) = viewer.layers
    assert 'CT' in radiograph_of(base).refusal
    show(qtbot, opener, rows[0])
    show(qtbot, opener, rows[6])
    # In one layer with the row before: nothing of that is told of this one.
    assert is_blank(heat_of(viewer)) and not heat_of(viewer).data.any()
    assert heat_of(viewer).name == 'Heatmap'


@pytest.mark.parametrize('state', ['gone', 'no image'])
def test_a_file_that_cannot_be_shown_is_told_in_place(qtbot, viewer, opener, rows, state):
    path = Path(rows[1].path)
    if state == 'gone':
        path.unlink()
    else:
        path.write_text('<html>moved</html>')
    show(qtbot, opener, rows[0])
    with qtbot.waitSignal(opener.failed, timeout=WAIT) as failed:
        opener.open(rows[1], 'tiny', 'cpu')
    row, text = failed.args
    assert row == rows[1] and text.endswith('.') and '\n' not in text
    assert ('does not exist' in text) == (state == 'gone')
    # What was shown is still there, and the next row opens.
    assert said_of(heat_of(viewer))[0] == rows[0].label
    show(qtbot, opener, rows[2])


def test_without_its_model_a_row_is_shown_without_a_heatmap(qtbot, viewer, opener, rows):
    with qtbot.waitSignals([opener.opened, opener.failed], timeout=WAIT) as both:
        opener.open(rows[0], 'no such model', 'cpu')
    text = both.all_signals_and_args[1].args[1]
    assert 'without a heatmap' in text and 'no such model' in text
    assert len(viewer.layers) == 1
    show(qtbot, opener, rows[0])
    assert len(viewer.layers) == 2


def test_a_heatmap_of_another_model_of_that_name_is_not_shown(
    qtbot, viewer, opener, rows, classifier
):
    for _ in range(2):  # also as it is kept
        with qtbot.waitSignals([opener.opened, opener.failed], timeout=WAIT) as both:
            opener.open(rows[0], 'tiny', 'cpu', 'f' * 12)
        assert 'another version of tiny' in both.all_signals_and_args[1].args[1]
        assert len(viewer.layers) == 1 and opener.on_screen == rows[0].path
    with qtbot.assertNotEmitted(opener.failed), qtbot.waitSignal(opener.opened, timeout=WAIT):
        opener.open(rows[0], 'tiny', 'cpu', classifier.file_hash)
    assert len(viewer.layers) == 2


def test_an_outline_that_is_filled_again_stays(qtbot, viewer, opener, rows):
    overlay, level = HeatmapOverlay(viewer), (0.3,)
    dock_signals().prediction_ready.connect(
        draw := lambda *said: (
            said[0] in viewer.layers
            and (overlay.show(*said, 0.5, True), overlay.outline(*said, level))
        )
    )
    for row in (rows[0], rows[1], rows[3]):
        show(qtbot, opener, row)
    line = overlay.line
    assert len(line.data) and line.visible
    dock_signals().prediction_ready.disconnect(draw)
    opener._layers._painted.done.emit()
    assert line in viewer.layers
    show(qtbot, opener, rows[6])  # nobody fills it: there is no answer
    assert not line.data
    qtbot.waitUntil(lambda: line not in viewer.layers, timeout=WAIT)


def test_nothing_comes_after_the_end(qtbot, viewer, opener, rows):
    opener.open(rows[0], 'tiny', 'cpu')
    opener.load_ahead(rows[1:3], 'tiny', 'cpu')
    with qtbot.assertNotEmitted(opener.opened):
        opener.close()
        assert QThreadPool.globalInstance().waitForDone(WAIT)
        qtbot.wait(1)
    assert not opener.history and not viewer.layers


def test_a_row_is_hidden_when_its_table_goes_and_its_layers_serve_the_next(
    qtbot, viewer, opener, rows
):
    show(qtbot, opener, rows[0])
    there = list(viewer.layers)
    opener.close()
    assert there and not any(layer.visible for layer in viewer.layers)
    show(qtbot, opener, rows[1])
    assert viewer.layers[0] is there[0] and viewer.layers[0].visible and heat_of(viewer).visible


def test_the_classify_dock_tells_what_is_known_without_a_click(qtbot, dock, rows):
    opener = RowOpener(dock.viewer)
    for row in (rows[0], rows[3], rows[4]):
        with qtbot.assertNotEmitted(dock.settled):
            show(qtbot, opener, row)
        assert not dock.busy and not dock.message.text
        said = [probability for _, probability in dock.result.bars.rows]
        np.testing.assert_allclose(said, row.probabilities, atol=1e-6)
        assert dock.result.label == row.label == said_of(heat_of(dock.viewer))[0]
        assert dock.result.warning.anyway.isHidden()
    dock.result.heat.opacity.setValue(80)
    assert heat_of(dock.viewer).opacity == pytest.approx(0.8)
    show(qtbot, opener, rows[6])
    assert dock.answer is None and is_blank(heat_of(dock.viewer))
    assert dock.result.isHidden()
    opener.close()


def test_lungs_that_come_late_are_not_laid_on_the_next_row(qtbot, dock, rows):
    from napari_cxr.plugin.preferences import save_preferences

    save_preferences('classify', lungs=True)
    opener = RowOpener(dock.viewer)
    show(qtbot, opener, rows[0])  # and its lungs are on their way
    show(qtbot, opener, rows[3])
    qtbot.waitUntil(lambda: dock.lungs.layer is not None, timeout=WAIT)
    # Those of 200 x 180 pixels would be another's: this one has 200 x 170.
    assert dock.lungs.layer.data.shape == dock.viewer.layers[0].data.shape == (200, 170)
    assert QThreadPool.globalInstance().waitForDone(WAIT)
    qtbot.wait(1)
    assert sum(map(is_lungs_layer, dock.viewer.layers)) == 1
    opener.close()


def test_a_dock_that_comes_later_fills_the_heatmap_that_is_there(qtbot, viewer, opener, rows):
    from napari_cxr.plugin.classify.dock import ClassifyDock
    from napari_cxr.plugin.preferences import save_preferences

    save_preferences('classify', model='tiny', device='cpu')
    show(qtbot, opener, rows[1])
    before = list(viewer.layers)
    dock = ClassifyDock(viewer)
    qtbot.addWidget(dock)
    with qtbot.waitSignal(dock.settled, timeout=WAIT):
        dock.classify()
    if not dock.result.warning.anyway.isHidden():
        dock.result.warning.anyway.click()
    # Beside them lies the outline of what the model saw.
    assert [one for one in viewer.layers if not one.name.startswith('Field of view')] == before
    assert said_of(heat_of(viewer)) == (dock.result.label, max(rows[1].probabilities))


@pytest.fixture
def window(make_napari_viewer, own_plugin, models, settled_threads):
    return make_napari_viewer(show=True)


def test_in_a_window(qtbot, window, rows):
    opener = RowOpener(window)
    colours = []
    for row in rows[:3]:
        show(qtbot, opener, row)
        assert len(window.layers) == 2
        image = window.screenshot(flash=False).astype(int)
        grey = np.ptp(image[..., :3], axis=-1) == 0
        colours.append((~grey).mean())
        # Fitted to the canvas: one side is filled but for the margin.
        shown = np.argwhere(image[..., :3].any(axis=-1))
        share = np.ptp(shown, axis=0) / (np.array(image.shape[:2]) - 1)
        assert 0.85 < share.max() <= 1
    assert max(colours) > 0.02
    opener.close()


def opened(size):
    values = np.zeros(size, np.uint8)[None]
    radiograph = Radiograph.from_array(values)
    return LoadedRow(LoadedImage(radiograph, values, {}, (0, 0)))


def test_the_cache_keeps_what_was_used_last_within_its_bound():
    cache = RowCache(100)
    a, b, c, d = ((name, 'm', '', 'cpu', True) for name in 'abcd')
    for key in (a, b, c):
        assert cache.put(key, opened(30))
    assert cache.nbytes == 90 and cache.get(a) is not None
    assert cache.put(d, opened(40))
    assert b not in cache and {a, c, d} == {key for key in (a, b, c, d) if key in cache}
    # What comes next in the list is not given up for what comes after it.
    assert not cache.put(b, opened(40), protected={a, c, d})
    assert b not in cache and cache.nbytes == 100
    assert not cache.put(b, opened(101)) and cache.nbytes == 100
    cache.clear()
    assert cache.nbytes == 0 and cache.get(a) is None


def test_what_lies_over_a_picture_counts_too(qtbot, viewer, opener, rows):
    show(qtbot, opener, rows[4])
    (kept,) = opener._cache._rows.values()
    field = kept.answer.field
    maps = sum(heatmap.values.nbytes for heatmap in kept.answer.heatmaps)
    assert kept.nbytes == kept.image.nbytes + 2 * field.right.nbytes + maps
    assert opener._cache.nbytes == kept.nbytes > kept.image.nbytes > 0
