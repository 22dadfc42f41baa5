"""The picture that is saved has the radiograph's pixels and what lies on them."""

import imageio.v3 as iio
import numpy as np
import pytest
from made_up_lungs import lung_field, made_up_answer
from napari.components import ViewerModel
from napari.utils._proxies import PublicOnlyProxy

from napari_cxr.correction import Correction
from napari_cxr.plugin.heatmap_overlay import HeatmapOverlay
from napari_cxr.plugin.layers import radiograph_layer_data
from napari_cxr.plugin.lungs_layer import lungs_layer
from napari_cxr.plugin.preferences import preferences, save_preferences
from napari_cxr.plugin.radiograph_views import views_of
from napari_cxr.plugin.save_picture import SavePictureDock, picture_parts, render_picture
from napari_cxr.radiograph import Radiograph

WAIT = 60_000
GREY = np.tile(np.arange(80, dtype=np.uint8) * 3, (40, 1))

pytestmark = pytest.mark.usefixtures('settled_threads')


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def base(viewer):
    from napari.layers import Image

    data, attributes, _ = radiograph_layer_data(Radiograph.from_array(GREY))
    return viewer.add_layer(Image(data, **attributes))


@pytest.fixture
def dock(qtbot, viewer, base, own_plugin, tmp_path):
    save_preferences('layers', picture_folder=str(tmp_path))
    dock = SavePictureDock(viewer)
    qtbot.addWidget(dock)
    return dock


def render(viewer, base, overlays=True, scale=(1, 1), longest=None):
    parts = picture_parts(base, viewer.layers, overlays)
    return render_picture(parts, base.data.shape, scale, longest)


def saved(qtbot, dock):
    with qtbot.waitSignal(dock.settled, timeout=WAIT):
        dock.form.call_button.native.click()


def test_a_picture_is_mirrored_and_turned_as_the_view_is(qtbot, viewer, base, dock):
    upright = render(viewer, base)
    views_of(viewer).correct(base, Correction(mirrored=True))
    views_of(viewer).correct(base, Correction(turns=1))
    path = dock.form.file.value
    saved(qtbot, dock)
    picture = iio.imread(path)
    # Left and right exchanged; then the bottom left corner has come to the top left.
    np.testing.assert_array_equal(picture, np.rot90(upright[:, ::-1], -1))


def test_a_radiograph_alone_is_as_its_window_shows_it(viewer, base):
    base.contrast_limits = (60, 180)
    picture = render(viewer, base)
    expected = np.clip((GREY.astype(float) - 60) / 120, 0, 1) * 255
    np.testing.assert_allclose(picture[..., 0], expected, atol=1)
    assert (np.ptp(picture, axis=-1) == 0).all()


def test_a_heatmap_lies_where_it_does_on_screen(viewer, base):
    overlay = HeatmapOverlay(viewer)
    heat = overlay.show(base, made_up_answer(), 'ill', opacity=1.0, visible=True)
    plain, drawn = render(viewer, base, overlays=False), render(viewer, base)
    colour = np.ptp(drawn.astype(int), axis=-1)
    # The map's one cell is the second quarter of the columns.
    assert colour[:, 25:35].min() > 60
    assert colour[:, 60:].max() < 8
    heat.visible = False
    np.testing.assert_array_equal(render(viewer, base), plain)


def test_outline_and_lungs_are_drawn(viewer, base):
    field = lung_field()
    layer = lungs_layer(field, field.labels(), base)
    viewer.add_layer(layer)
    drawn = render(viewer, base)
    assert np.ptp(drawn[:, 22:58].astype(int), axis=-1).min() > 5
    assert np.ptp(drawn[:, :18], axis=-1).max() == 0
    layer.visible = False
    HeatmapOverlay(viewer).outline(base, made_up_answer(), 'ill', (0.5,))
    red = render(viewer, base).astype(int)
    found = (red[..., 0] - red[..., 1] > 120) & (red[..., 0] - red[..., 2] > 120)
    assert 40 < found.sum() < 400


def test_size_and_pixels_that_are_no_squares(viewer, base):
    assert render(viewer, base, longest=20).shape == (10, 20, 3)
    assert render(viewer, base, longest=2000).shape == (40, 80, 3)
    assert render(viewer, base, scale=(0.4, 0.2)).shape == (80, 80, 3)


def test_it_is_saved_and_the_next_name_is_another(qtbot, dock, tmp_path):
    first = dock.form.file.value
    saved(qtbot, dock)
    assert not dock.message.text and 'Saved to' in dock.status.text()
    second = dock.form.file.value
    assert second != first and second.parent == tmp_path and not second.exists()
    (path,) = tmp_path.glob('*.png')
    assert iio.imread(path).shape == (40, 80, 3)
    assert preferences('layers').picture_folder == str(tmp_path)
    assert list(tmp_path.glob('.*')) == []


@pytest.mark.parametrize(
    ('name', 'problem'),
    [
        ('a.jpg', 'does not end in .png'),
        ('gone/a.png', 'There is no folder'),
        ('there.png', 'exists already'),
    ],
)
def test_what_cannot_be_written_is_said_in_place(dock, tmp_path, name, problem):
    (tmp_path / 'there.png').write_bytes(b'old')
    dock.form.file.value = tmp_path / name
    dock.form.call_button.native.click()
    assert problem in dock.message.text and not dock.busy
    assert (tmp_path / 'there.png').read_bytes() == b'old'


def test_an_existing_file_is_replaced_if_asked_for(qtbot, dock, tmp_path):
    (tmp_path / 'there.png').write_bytes(b'old')
    dock.form.file.value = tmp_path / 'there.png'
    dock.form.replace.value = True
    saved(qtbot, dock)
    assert iio.imread(tmp_path / 'there.png').shape == (40, 80, 3)


def test_without_a_radiograph_it_says_so(dock, viewer, tmp_path):
    viewer.layers.clear()
    dock.form.file.value = tmp_path / 'a.png'
    dock.form.call_button.native.click()
    assert 'Open one first' in dock.message.text


def test_what_lies_on_it_is_saved_from_napari_s_menu(qtbot, viewer, base, own_plugin, tmp_path):
    """napari gives a dock a proxy of its viewer, and layers of it are proxies too."""
    HeatmapOverlay(viewer).show(base, made_up_answer(), 'ill', opacity=1.0, visible=True)
    viewer.layers.selection.active = base
    dock = SavePictureDock(PublicOnlyProxy(viewer))
    qtbot.addWidget(dock)
    dock.form.file.value = tmp_path / 'a.png'
    saved(qtbot, dock)
    assert np.ptp(iio.imread(tmp_path / 'a.png').astype(int), axis=-1).max() > 60


def test_a_stack_is_refused(dock, viewer, tmp_path):
    viewer.add_image(np.zeros((3, 8, 8)))
    dock.form.file.value = tmp_path / 'a.png'
    dock.form.call_button.native.click()
    assert 'more than two dimensions' in dock.message.text


def test_a_name_that_a_person_gave_stays(dock, viewer, tmp_path):
    dock.form.file.value = tmp_path / 'mine.png'
    viewer.add_image(np.zeros((8, 8)))
    assert dock.form.file.value == tmp_path / 'mine.png'
