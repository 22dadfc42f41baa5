"""How radiographs are shown, and how that is taken back."""

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image

from napari_cxr.correction import Correction
from napari_cxr.plugin.layers import radiograph_layer_data
from napari_cxr.plugin.radiograph_views import views_of
from napari_cxr.plugin.standard_windows import inverted_colormap, windows_of
from napari_cxr.radiograph import LookupTable, Radiograph, Window


@pytest.fixture
def base():
    ramp = np.arange(1000, dtype=np.int16).reshape(20, 50)
    presets = (Window(500, 201, explanation='BONE'), LookupTable(0, np.linspace(0, 1, 1000)))
    data, attributes, _ = radiograph_layer_data(Radiograph(ramp, presets, inverted=True), 'ramp')
    return Image(data, **attributes)


@pytest.fixture
def viewer(qapp, base):
    viewer = ViewerModel()
    viewer.add_layer(base)
    return viewer


def test_windows_of_the_file_come_before_the_standard_ones(base):
    windows = windows_of(base)
    assert [w.name for w in windows[:3]] == ['Bone', 'Window 2 of the file', 'Whole range']
    assert [w.of_file for w in windows[:3]] == [True, True, False]
    assert windows[0].limits == (399.5, 599.5)
    by_name = {w.name: w for w in windows}
    assert by_name['Whole range'].limits == (0, 999)
    # Of a MONOCHROME1 image the lungs, which are dark, are the high values.
    assert by_name['Lungs'].limits == pytest.approx((0.3 * 999, 0.995 * 999))
    assert by_name['Mediastinum and bones'].limits == pytest.approx((0.005 * 999, 0.6 * 999))
    assert windows_of(Image(np.zeros((4, 4, 3), np.uint8), rgb=True)) == ()


def test_what_was_done_is_taken_back_step_by_step(viewer, base):
    views = views_of(viewer)
    first = views.state(base)
    views.correct(base, Correction(inverted=True, mirrored=True))
    assert base.colormap.name == 'gray'
    views.correct(base, Correction(turns=1))
    views.show_window(base, windows_of(base)[1])
    assert base.colormap.name.endswith('(inverted)') and base.contrast_limits == [0, 999]
    # Mirrored, what was top left is top right; then turned, it is bottom right.
    assert base.data_to_world((0, 0)) == pytest.approx(base.extent.world[1])
    views.undo(base)
    assert base.contrast_limits == list(first.limits)
    views.undo(base)
    assert views.lies(base) == Correction(inverted=True, mirrored=True)
    assert base.data_to_world((0, 0)) == pytest.approx((0, 49))
    views.undo(base)
    assert not views.can_undo(base) and base.colormap.name == 'gray_r'
    assert np.allclose(base.affine, np.eye(3))


def test_reset_shows_the_file_and_can_be_undone(viewer, base):
    views = views_of(viewer)
    views.correct(base, Correction(True, True, 3))
    base.contrast_limits, base.gamma = (1, 2), 0.5
    views.reset(base)
    assert base.contrast_limits == [399.5, 599.5] and base.gamma == 1
    assert base.colormap.name == 'gray_r' and np.allclose(base.affine, np.eye(3))
    views.undo(base)
    assert base.contrast_limits == [1, 2] and base.gamma == 0.5
    assert views.lies(base) == Correction(True, True, 3)


def test_a_table_is_inverted_and_back(base):
    table = windows_of(base)[1].colormap
    twice = inverted_colormap(inverted_colormap(table))
    assert twice.name == table.name and np.allclose(twice.colors, table.colors)
    places = np.linspace(0, 1, 9)
    assert np.allclose(inverted_colormap(table).map(places), table.map(1 - places), atol=2e-3)
