"""A result leaves napari as a picture, a page and values, and without a name."""

import base64
import re

import numpy as np
import pytest
from made_up_lungs import made_up_answer
from napari.components import ViewerModel
from napari.layers import Image
from qtpy.QtGui import QGuiApplication, QImage
from superqt.utils import qimage_to_array

from napari_cxr.checkpoint.card import NOT_FOR_CLINICAL_USE
from napari_cxr.plugin.classify.result_buttons import ResultButtons
from napari_cxr.plugin.classify.result_saving import ResultOutput, summarize_result
from napari_cxr.plugin.heatmap_overlay import HeatmapOverlay
from napari_cxr.plugin.layers import radiograph_layer_data
from napari_cxr.plugin.preferences import preferences, save_preferences
from napari_cxr.plugin.result_picture import (
    ResultSummary,
    ResultValue,
    draw_result,
    result_page,
)
from napari_cxr.radiograph import Radiograph

WAIT = 60_000
GREY = np.tile(np.arange(80, dtype=np.uint8) * 3, (40, 1))
SUMMARY = ResultSummary(
    'DX PA',
    'opacity',
    (ResultValue('opacity', '80.0 %', 0.8, 0.5), ResultValue('<b>x</b>', '20.0 %', 0.2)),
    'Grad-CAM: opacity',
    ('Model: tiny',),
    ('Looks upside down.',),
)

pytestmark = pytest.mark.usefixtures('settled_threads')


@pytest.fixture
def base():
    data, attributes, _ = radiograph_layer_data(Radiograph.from_array(GREY))
    return Image(data, **{**attributes, 'name': 'Secret Name'})


@pytest.fixture
def output(qtbot, own_plugin, base, tmp_path):
    viewer, buttons = ViewerModel(), ResultButtons()
    qtbot.addWidget(buttons)
    viewer.add_layer(base)
    answer = made_up_answer()
    HeatmapOverlay(viewer).show(base, answer, 'ill', 1.0, True)
    save_preferences('layers', picture_folder=str(tmp_path))
    made = ResultOutput(viewer, buttons, lambda: (base, answer, 'ill'), buttons)
    made.viewer, made.buttons = viewer, buttons
    return made


def pixels(image: QImage) -> np.ndarray:
    return qimage_to_array(image)[..., :3]


def test_the_picture_holds_the_radiograph_and_the_panel(qapp):
    picture = np.repeat(np.full((100, 80, 1), 200, np.uint8), 3, axis=2)
    found = pixels(draw_result(picture, SUMMARY))
    rows, columns = found.shape[:2]
    assert (rows, columns) == (800, 640 + 496)  # 800 high, and 0.62 of that beside it
    assert (found[: int(0.9 * rows), :640] == 200).all()
    assert found[-20:, :640].mean() < 150  # the band with the sentence
    bar = (found[:, 640:] == (0x4C, 0x9A, 0xFF)).all(axis=-1).sum(axis=1)
    assert sorted(set(bar[bar > 50]))[-1] == pytest.approx(4 * sorted(set(bar[bar > 50]))[0], 0.05)


def test_without_a_heatmap_there_is_no_colour_bar(qapp):
    picture = np.zeros((100, 80, 3), np.uint8)
    red = [
        (pixels(draw_result(picture, summary))[..., 0] > 200)
        & (pixels(draw_result(picture, summary))[..., 2] < 60)
        for summary in (SUMMARY, ResultSummary('DX', '', SUMMARY.values, '', ()))
    ]
    assert red[0].sum() > 500
    assert red[1].sum() == 0


def test_a_page_needs_no_other_file_and_draws_no_tags(qapp):
    image = draw_result(np.zeros((20, 20, 3), np.uint8), SUMMARY)
    page = result_page(image, SUMMARY, 'Made today.')
    assert '<b>x</b>' not in page
    assert '&lt;b&gt;x&lt;/b&gt;' in page
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert NOT_FOR_CLINICAL_USE in page
    picture = base64.b64decode(re.search(r'base64,([^"]+)', page)[1])
    found = QImage.fromData(picture, 'PNG')
    assert (found.width(), found.height()) == (image.width(), image.height())


def test_what_is_written_names_nobody(output, base):
    answer = made_up_answer(kinds=('upside_down',))
    found = summarize_result(base, answer, 'ill', output.viewer.layers)
    assert 'Secret' not in repr(found)
    assert [(value.label, value.probability) for value in found.values] == [
        ('ill', '80.0 %'),
        ('well', '20.0 %'),
    ]
    assert found.heatmap == 'Grad-CAM: ill'
    assert found.warnings == ('About upside_down.',)
    output.viewer.layers[1].visible = False
    assert summarize_result(base, answer, 'ill', output.viewer.layers).heatmap == ''


def test_one_click_saves_under_a_free_name(qtbot, output, tmp_path):
    for _ in range(2):
        with qtbot.waitSignal(output.ended, timeout=WAIT):
            output.buttons.save.click()
    first, second = sorted(tmp_path.glob('*.png'))
    assert first.name.endswith('-result-2.png') and second.name.endswith('-result.png')
    assert first.read_bytes() == second.read_bytes()
    assert output.buttons.said.text() == f'Saved to {first}.'
    assert preferences('layers').picture_folder == str(tmp_path)
    drawn = pixels(QImage(str(first)))
    heat = drawn[300, : drawn.shape[0] * 2].astype(int)  # the map's peak is coloured
    assert np.ptp(heat, axis=-1).max() > 60


def test_one_click_copies(qtbot, output):
    with qtbot.waitSignal(output.ended, timeout=WAIT):
        output.buttons.copy.click()
    image = QGuiApplication.clipboard().image()
    assert image.height() == 800
    assert output.buttons.said.text() == 'Copied.'


def test_page_and_values(qtbot, output, tmp_path):
    with qtbot.waitSignal(output.ended, timeout=WAIT):
        output.save_page(tmp_path / 'case.html')
    assert 'Secret' not in (tmp_path / 'case.html').read_text()
    with qtbot.waitSignal(output.ended, timeout=WAIT):
        output.save_heatmap(tmp_path / 'heat.npz')
    with np.load(tmp_path / 'heat.npz') as found:
        assert found['heatmap'].shape == GREY.shape
    assert not list(tmp_path.glob('.part*'))


def test_where_nothing_can_be_written_it_says_so(qtbot, output, tmp_path):
    with qtbot.waitSignal(output.ended, timeout=WAIT):
        output.save_heatmap(tmp_path / 'none' / 'heat.npz')
    assert 'cannot be written' in output.buttons.said.text()
    assert 'Choose another place.' in output.buttons.said.text()
