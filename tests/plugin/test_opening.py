"""What is slow opens as a placeholder that is filled, and nobody waits for it."""

import time

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Layer
from qtpy.QtCore import QTimer

from napari_cxr.plugin import image_opening, opening
from napari_cxr.plugin.image_opening import OpeningPlan
from napari_cxr.plugin.layers import is_placeholder
from napari_cxr.plugin.opening import Opening, open_what_was_left_out
from napari_cxr.plugin.radiographs_on_show import watch_viewer
from napari_cxr.radiograph import Radiograph, UnreadableImage

WAIT = 60_000

pytestmark = pytest.mark.usefixtures('settled_threads', 'own_plugin')


class FakeDecoder:
    """Reads files named after a number when told to; `bad` ones never."""

    def __init__(self):
        self.ready, self.asked, self.given_up = set(), [], []

    def reading(self, path):
        self.asked.append(path.stem)
        try:
            while path.stem not in self.ready:
                time.sleep(0.005)
                yield None
        except GeneratorExit:
            self.given_up.append(path.stem)
            raise
        if path.stem.startswith('bad'):
            raise UnreadableImage('Its pixels are missing.')
        return Radiograph.from_array(np.full((20, 10), len(path.stem), np.uint8))


@pytest.fixture
def decoder(monkeypatch):
    fake = FakeDecoder()
    monkeypatch.setattr(image_opening, 'read_in_decoder', fake.reading)
    yield fake
    for one in list(opening._ALIVE):
        one.cancel()


@pytest.fixture
def said(monkeypatch):
    said = []
    monkeypatch.setattr(opening, 'show_warning', said.append)
    monkeypatch.setattr(opening, 'show_info', said.append)
    return said


@pytest.fixture
def viewer():
    return ViewerModel()


def open_paths(viewer, paths, patience=0.0, **options):
    """Open files as our reader has napari do it."""
    started = Opening(paths, viewer, **options)
    for data in started.layers_within(patience):
        viewer.add_layer(Layer.create(*data))
    return started


def ended(qtbot, *openings):
    qtbot.waitUntil(lambda: not opening._ALIVE.intersection(openings), timeout=WAIT)


def test_what_is_quick_is_there_at_once(qtbot, decoder, viewer, tmp_path):
    decoder.ready.add('one')
    started = open_paths(viewer, [tmp_path / 'one.png'], patience=30)
    (layer,) = viewer.layers
    assert isinstance(layer, Image) and layer.name == 'one' and layer.visible
    ended(qtbot, started)
    assert list(viewer.layers) == [layer]


def test_after_quick_ones_what_is_shown_is_selected(qtbot, decoder, viewer, tmp_path, monkeypatch):
    monkeypatch.setattr(opening, 'viewers', lambda: [viewer])
    decoder.ready |= {'one', 'three'}
    started = Opening([tmp_path / 'one.png', tmp_path / 'three.png'], None)  # as of a reader
    for data in watch_viewer(viewer).arriving(started.layers_within(30)):
        viewer.add_layer(Layer.create(*data))  # napari selects the last one, which is hidden
    ended(qtbot, started)
    assert [layer.visible for layer in viewer.layers] == [True, False]
    assert viewer.layers.selection.active is viewer.layers['one']


def test_the_wait_is_bounded(qtbot, decoder, viewer, tmp_path):
    began = time.monotonic()
    started = open_paths(viewer, [tmp_path / 'one.png'], patience=None)
    assert opening.PATIENCE == 0.4 and time.monotonic() - began >= opening.PATIENCE
    assert [is_placeholder(layer) for layer in viewer.layers] == [True]
    started.cancel()
    ended(qtbot, started)


def test_a_placeholder_is_filled(qtbot, decoder, viewer, tmp_path):
    started = open_paths(viewer, [tmp_path / 'one.png'])
    (placeholder,) = viewer.layers
    assert placeholder.name == 'Opening a radiograph…' and len(placeholder.data) == 0
    decoder.ready.add('one')
    ended(qtbot, started)
    (layer,) = viewer.layers
    assert layer.data.max() == 3 and viewer.layers.selection.active is layer


def test_between_files_that_are_read_faster_than_shown_the_window_has_its_turn(
    qtbot, decoder, viewer, tmp_path, monkeypatch
):
    counted, inserted = [], Opening._insert
    names = [f'{number}.png' for number in range(5)]
    started = open_paths(viewer, [tmp_path / name for name in names])

    def slow(self, *given):
        counted.append(len(viewer.layers))
        inserted(self, *given)
        time.sleep(0.05)

    monkeypatch.setattr(Opening, '_insert', slow)
    monkeypatch.setattr(opening, '_AT_ONCE', 0.01)
    turns, clock = [], QTimer()
    clock.timeout.connect(lambda: turns.append(len(counted)))
    clock.start(1)
    decoder.ready |= {name[0] for name in names}
    ended(qtbot, started)
    clock.stop()
    assert [layer.name for layer in viewer.layers] == list('01234')
    assert len(set(turns) & {1, 2, 3, 4, 5}) > 2


def test_its_place_in_the_list_and_the_order_are_kept(qtbot, decoder, viewer, tmp_path):
    below = viewer.add_points([(1, 1)], name='below')
    started = open_paths(viewer, [tmp_path / 'one.png', tmp_path / 'three.png'])
    above = viewer.add_points([(1, 1)], name='above')
    decoder.ready |= {'one', 'three'}
    ended(qtbot, started)
    assert [layer.name for layer in viewer.layers] == ['below', 'one', 'three', 'above']
    assert [layer.visible for layer in viewer.layers] == [True, True, False, True]
    # What was selected meanwhile stays so, unless it cannot be seen.
    assert viewer.layers.selection.active in (above, viewer.layers['one']) and below.visible


def test_removing_the_placeholder_cancels(qtbot, decoder, viewer, tmp_path):
    started = open_paths(viewer, [tmp_path / 'one.png'])
    qtbot.waitUntil(lambda: started._seen and bool(decoder.asked), timeout=WAIT)
    viewer.layers.clear()
    ended(qtbot, started)
    assert decoder.given_up == ['one'] and not viewer.layers


def test_cancelling_takes_the_placeholder_away(qtbot, decoder, said, viewer, tmp_path):
    started = open_paths(viewer, [tmp_path / 'one.png'])
    qtbot.waitUntil(lambda: bool(decoder.asked), timeout=WAIT)
    started.cancel()
    ended(qtbot, started)
    assert decoder.given_up == ['one'] and not viewer.layers and not said


def test_a_failure_is_said_and_takes_the_placeholder_away(qtbot, decoder, said, viewer, tmp_path):
    started = open_paths(viewer, [tmp_path / 'bad.png', tmp_path / 'one.png'])
    decoder.ready |= {'bad', 'one'}
    ended(qtbot, started)
    assert [layer.name for layer in viewer.layers] == ['one']
    assert said == ['bad.png could not be opened. Its pixels are missing.']


@pytest.mark.parametrize(
    'status',
    ['Opening a radiograph… [1 2]', {'layer_name': 'Opening a radiograph…', 'coords': '[1 2]'}],
)
def test_the_status_line_forgets_a_placeholder_that_is_gone(
    qtbot, decoder, said, viewer, tmp_path, status
):
    started = open_paths(viewer, [tmp_path / 'bad.png'])
    viewer.status = status  # as napari writes it when the mouse is over the canvas
    decoder.ready.add('bad')
    ended(qtbot, started)
    assert viewer.status == 'Ready' and not viewer.layers


def test_they_run_one_after_another(qtbot, decoder, viewer, tmp_path):
    first, second = (open_paths(viewer, [tmp_path / f'{name}.png']) for name in ('one', 'two'))
    qtbot.waitUntil(lambda: decoder.asked == ['one'], timeout=WAIT)
    qtbot.wait(50)
    assert decoder.asked == ['one'] and len(viewer.layers) == 2
    second.cancel()  # whose turn has not come
    assert len(viewer.layers) == 1
    third = open_paths(viewer, [tmp_path / 'three.png'])
    decoder.ready |= {'one', 'three'}
    ended(qtbot, first, second, third)
    assert decoder.asked == ['one', 'three']
    assert [layer.name for layer in viewer.layers] == ['one', 'three']
    assert [layer.visible for layer in viewer.layers] == [False, True]


def test_several_quick_ones_together_wait_for_about_a_second(
    qtbot, decoder, viewer, tmp_path, monkeypatch
):
    monkeypatch.setattr(opening, 'PATIENCE', 10.0)
    monkeypatch.setattr(opening, '_PATIENCE_WITH_ALL', 0.2)
    decoder.ready.add('one')
    began = time.monotonic()
    quick = open_paths(viewer, [tmp_path / 'one.png'], patience=None)
    slow = open_paths(viewer, [tmp_path / 'slow.png'], patience=None)
    third = open_paths(viewer, [tmp_path / 'third.png'], patience=None)
    assert time.monotonic() - began < 10  # the second took what the first had left
    assert [is_placeholder(layer) for layer in viewer.layers] == [False, True, True]
    decoder.ready |= {'slow', 'third'}
    ended(qtbot, quick, slow, third)
    assert [layer.name for layer in viewer.layers] == ['one', 'slow', 'third']


def test_what_was_left_out_is_opened_when_asked_for(qtbot, decoder, said, viewer, tmp_path):
    decoder.ready |= {'one', 'two', 'four'}
    left = (tmp_path / 'two.png', tmp_path / 'four.png')
    assert not open_what_was_left_out(viewer)
    started = open_paths(viewer, [tmp_path / 'one.png'], left=left)
    ended(qtbot, started)
    assert said == ['2 images were left out.']
    assert open_what_was_left_out(viewer) and not open_what_was_left_out(viewer)
    ended(qtbot, *opening._ALIVE)
    assert [layer.name for layer in viewer.layers] == ['one', 'two', 'four']
    assert [layer.visible for layer in viewer.layers] == [False, True, False]


def test_docks_and_lungs_say_that_it_is_being_opened(qtbot, decoder, dock, tmp_path, monkeypatch):
    from napari_cxr.plugin import lungs_controller

    said = []
    monkeypatch.setattr(lungs_controller, 'show_info', said.append)
    viewer = dock.viewer
    started = open_paths(viewer, [tmp_path / 'one.png'])
    assert dock.inputs.current_layer is None and not dock.start.isEnabled()
    assert 'is being opened' in dock.status.text()
    lungs_controller.show_lung_field(viewer)
    assert 'still being opened' in said[0]
    decoder.ready.add('one')
    ended(qtbot, started)
    assert dock.inputs.current_layer is viewer.layers['one']
    assert 'is being opened' not in dock.status.text()


def test_the_first_radiograph_stays_on_show_until_the_next_is_there(
    qtbot, decoder, viewer, tmp_path
):
    decoder.ready.add('one')
    ended(qtbot, open_paths(viewer, [tmp_path / 'one.png'], patience=30))
    started = open_paths(viewer, [tmp_path / 'two.png'])
    assert [layer.name for layer in watch_viewer(viewer).on_show] == ['one']
    decoder.ready.add('two')
    ended(qtbot, started)
    assert [layer.name for layer in watch_viewer(viewer).on_show] == ['two']


def test_the_plan_is_the_first_event(decoder, tmp_path):
    job = image_opening.open_images([tmp_path / 'one.png'], False)
    assert isinstance(next(job), OpeningPlan)
    job.close()
