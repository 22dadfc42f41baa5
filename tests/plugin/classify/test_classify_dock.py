import contextlib
import os
import signal
import sys

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_cxr import samples
from napari_cxr.plugin import classify_job
from napari_cxr.plugin.layers import is_heatmap

WAIT = 150_000


@pytest.fixture
def chest():
    """A chest of 200 x 180 pixels, 8 bits."""
    return (255 * samples.phantom((200, 180), seed=2)).astype(np.uint8)


def classify(qtbot, dock):
    with qtbot.waitSignal(dock.settled, timeout=WAIT):
        qtbot.mouseClick(dock.start, Qt.MouseButton.LeftButton)


def heat_layers(dock):
    return [layer for layer in dock.viewer.layers if is_heatmap(layer)]


def test_the_empty_state_says_what_to_do(dock):
    assert 'Open a chest radiograph' in dock.status.text()
    assert not dock.start.isEnabled() and dock.result.isHidden()


def test_a_click_gives_bars_and_a_heatmap_in_place(qtbot, dock, chest):
    base = dock.viewer.add_image(chest, scale=(0.2, 0.2))
    assert dock.start.isEnabled() and 'Click Classify' in dock.status.text()
    classify(qtbot, dock)
    assert not dock.message.text
    rows = dict(dock.result.bars.rows)
    assert sum(rows.values()) == pytest.approx(1) and set(rows) == {
        'covid19',
        'normal',
        'pneumonia',
    }
    (heat,) = heat_layers(dock)
    best = max(rows, key=rows.get)
    assert heat.name == f'Grad-CAM · {best} · p={rows[best]:.2f}'
    # The middle of a map of 4 x 4 cells is the middle of the radiograph: both crops and
    # the network are symmetric.
    np.testing.assert_allclose(
        heat.data_to_world((1.5, 1.5)), base.data_to_world((99.5, 89.5)), atol=1e-9
    )
    assert not dock.result.isHidden() and 'edge' in dock.result.looked.text()


def test_an_answer_is_said_to_be_of_the_model_that_gave_it(qtbot, dock, chest):
    dock.viewer.add_image(chest)
    classify(qtbot, dock)
    asked = dock.inputs.current_model
    assert not dock.status.text()
    dock.inputs.model.choose('cxr3-resnet10')
    assert dock.inputs.current_model == 'cxr3-resnet10'
    assert 'The result below is from' in dock.status.text()
    dock.inputs.model.choose(asked)
    assert not dock.status.text()


def test_the_napari_process_stays_free_of_torch(qtbot, models, tmp_path):
    """In a process of its own, because the test suite itself imports torch."""
    import subprocess

    script = f"""
import sys
from qtpy.QtWidgets import QApplication
app = QApplication([])
from napari.components import ViewerModel
from napari_cxr import samples
from napari_cxr.plugin import reader
from napari_cxr.plugin.classify.dock import ClassifyDock
from napari_cxr.plugin.preferences import save_preferences
from napari.layers import Image
save_preferences('classify', model='tiny', device='cpu')
samples.write_phantom_dicom({str(tmp_path / 'a.dcm')!r})
viewer = ViewerModel()
((data, attributes, _),) = reader.read({str(tmp_path / 'a.dcm')!r})
viewer.add_layer(Image(data, **attributes))
dock = ClassifyDock(viewer)
dock.settled.connect(app.quit)
dock.classify()
app.exec()
assert dock.answer is not None, dock.message.text
heavy = {{'torch', 'torchvision', 'timm'}} & set(sys.modules)
print('heavy:', sorted(heavy))
"""
    done = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True)
    assert 'heavy: []' in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize('moment', ['while the model loads', 'while it classifies'])
def test_python_may_end_at_any_moment(models, moment):
    import subprocess

    script = f"""
import numpy as np
from qtpy.QtWidgets import QApplication
app = QApplication([])
from napari.components import ViewerModel
from napari_cxr.plugin.classify.dock import ClassifyDock
viewer = ViewerModel()
viewer.add_image(np.zeros((50, 50), np.uint8))
dock = ClassifyDock(viewer)
if {moment!r} == 'while it classifies':
    dock.classify()
    app.processEvents()
"""
    done = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr, done.stderr


def test_the_second_click_changes_the_layers_in_place(qtbot, dock, chest):
    dock.viewer.add_image(chest)
    classify(qtbot, dock)
    (heat,) = heat_layers(dock)
    heat.opacity = 0.2
    classify(qtbot, dock)
    assert heat_layers(dock) == [heat] and heat.opacity == 0.2


def test_a_removed_heatmap_comes_back_at_the_next_click(qtbot, dock, chest):
    dock.viewer.add_image(chest)
    classify(qtbot, dock)
    dock.viewer.layers.remove(heat_layers(dock)[0])
    classify(qtbot, dock)
    assert len(heat_layers(dock)) == 1


def test_another_class_by_mouse_and_keyboard(qtbot, dock, chest):
    dock.viewer.add_image(chest)
    classify(qtbot, dock)
    bars = dock.result.bars
    labels = [label for label, _ in bars.rows]
    dock.result.heat.label.setCurrentText(labels[0])
    assert heat_layers(dock)[0].name.startswith(f'Grad-CAM · {labels[0]} ')
    qtbot.keyClick(bars, Qt.Key.Key_Down)
    assert heat_layers(dock)[0].name.startswith(f'Grad-CAM · {labels[1]} ')
    assert dock.result.heat.label.currentText() == labels[1]
    middle = bars.rect().center()
    middle.setY(int(bars.height() * 5 / 6))
    qtbot.mouseClick(bars, Qt.MouseButton.LeftButton, pos=middle)
    assert dock.result.label == labels[2]
    heatmap = dock.answer.heatmap(labels[2])
    np.testing.assert_array_equal(heat_layers(dock)[0].data, heatmap.values)


def test_opacity_and_visibility_follow_both_ways(qtbot, dock, chest):
    dock.viewer.add_image(chest)
    classify(qtbot, dock)
    (heat,) = heat_layers(dock)
    dock.result.heat.opacity.setValue(80)
    assert heat.opacity == pytest.approx(0.8)
    heat.opacity = 0.3
    assert dock.result.heat.opacity.value() == 30
    dock.result.heat.shown.setChecked(False)
    assert not heat.visible
    heat.visible = True
    assert dock.result.heat.shown.isChecked()


def test_the_outline_comes_moves_and_goes(qtbot, dock, chest):
    dock.viewer.add_image(chest)
    classify(qtbot, dock)
    controls = dock.result.heat
    controls.label.setCurrentText(max(dock.answer.heatmaps, key=lambda h: h.values.max()).label)
    controls.outline.setChecked(True)
    (line,) = [layer for layer in dock.viewer.layers if layer.name.startswith('Grad-CAM outline')]
    at_half = np.vstack(line.data)
    controls.level.setValue(90)
    assert line in dock.viewer.layers and line.name.endswith('90 %')
    # A higher level encloses less.
    assert np.ptp(np.vstack(line.data), axis=0).prod() < np.ptp(at_half, axis=0).prod()
    controls.outline.setChecked(False)
    assert line not in dock.viewer.layers


def test_each_layer_keeps_its_own_result(qtbot, dock, chest):
    first = dock.viewer.add_image(chest)
    classify(qtbot, dock)
    answer = dock.answer
    second = dock.viewer.add_image(255 - chest)
    dock.viewer.layers.selection.active = second
    assert dock.inputs.current_layer is second and dock.answer is None
    assert dock.result.isHidden()
    dock.viewer.layers.selection.active = first
    assert dock.answer is answer and not dock.result.isHidden()


def test_changed_pixels_lose_their_result(qtbot, dock, chest):
    layer = dock.viewer.add_image(chest)
    classify(qtbot, dock)
    dock.result.heat.outline.setChecked(True)
    layer.data = chest[::-1].copy()
    assert dock.answer is None and dock.result.isHidden()
    assert list(dock.viewer.layers) == [layer]  # the old heatmap does not stay either


def test_pixels_changed_while_it_ran(qtbot, dock, stopped, chest):
    qtbot.mouseClick(dock.start, Qt.MouseButton.LeftButton)
    dock.viewer.layers[0].data = chest[::-1].copy()
    with qtbot.waitSignal(dock.settled, timeout=WAIT):
        os.kill(stopped, signal.SIGCONT)
    assert dock.answer is None and 'has changed since' in dock.message.text


def test_a_removed_layer_is_freed(qtbot, dock, chest):
    import gc
    import weakref

    layer = weakref.ref(dock.viewer.add_image(chest))
    classify(qtbot, dock)
    dock.viewer.layers.selection.active = dock.viewer.add_image(np.zeros((9, 9), np.uint8))
    for gone in dock.viewer.layers[:-1]:  # napari itself keeps the one that was selected last
        dock.viewer.layers.remove(gone)
    del gone
    gc.collect()
    assert layer() is None


def test_the_heatmap_follows_a_moved_radiograph_at_the_next_click(qtbot, dock, chest):
    base = dock.viewer.add_image(chest)
    classify(qtbot, dock)
    dock.result.heat.outline.setChecked(True)
    base.rotate, base.translate, base.scale = 30, (40, -7), (2, 2)
    classify(qtbot, dock)
    (heat,) = heat_layers(dock)
    matrix = dock.answer.heatmaps[0].to_radiograph
    np.testing.assert_allclose(
        heat.data_to_world((1, 2)),
        base.data_to_world((matrix @ [1, 2, 1])[:2]),
        atol=1e-9,
    )
    (line,) = [layer for layer in dock.viewer.layers if 'outline' in layer.name]
    np.testing.assert_allclose(line.data_to_world((3, 5)), base.data_to_world((3, 5)), atol=1e-9)


def test_a_warning_comes_before_any_figure_and_is_accepted_once(qtbot, dock, chest):
    layer = dock.viewer.add_image(255 - chest)
    classify(qtbot, dock)
    assert 'Black and white look exchanged' in dock.result.warning.text.text()
    assert dock.result.shown.isHidden() and not dock.result.bars.rows
    # A heatmap's layer has a probability in its name.
    assert list(dock.viewer.layers) == [layer]
    qtbot.mouseClick(dock.result.warning.anyway, Qt.MouseButton.LeftButton)
    assert len(heat_layers(dock)) == 1 and len(dock.result.bars.rows) == 3
    assert dock.result.warning.anyway.isHidden() and not dock.result.warning.isHidden()
    classify(qtbot, dock)
    assert dock.result.warning.anyway.isHidden() and not dock.result.shown.isHidden()
    layer.data = 255 - chest[:190]
    classify(qtbot, dock)
    assert dock.result.shown.isHidden() and list(dock.viewer.layers) == [layer]


def test_lungs_come_with_a_click_and_are_remembered(qtbot, dock, chest):
    from napari_cxr.plugin.lungs_layer import is_lungs_layer
    from napari_cxr.plugin.preferences import preferences

    def lungs():
        return [layer for layer in dock.viewer.layers if is_lungs_layer(layer)]

    base = dock.viewer.add_image(chest, scale=(0.2, 0.2))
    classify(qtbot, dock)
    assert not lungs() and not dock.result.heat.lungs.isChecked()
    dock.result.heat.lungs.click()
    qtbot.waitUntil(lambda: len(lungs()) == 1, timeout=WAIT)
    assert preferences('classify').lungs
    (layer,) = lungs()
    assert dock.viewer.layers.index(base) + 1 == dock.viewer.layers.index(layer)
    dock.viewer.add_image(chest[:, ::-1].copy())
    assert not dock.result.heat.lungs.isChecked()
    classify(qtbot, dock)
    if not dock.result.warning.isHidden():  # whatever is said of a mirrored one
        qtbot.mouseClick(dock.result.warning.anyway, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: len(lungs()) == 2, timeout=WAIT)
    dock.result.heat.lungs.click()
    assert [layer.visible for layer in lungs()] == [True, False]
    assert not preferences('classify').lungs


def test_the_next_click_takes_edited_lungs(qtbot, dock, chest):
    from napari_cxr.plugin.lungs_layer import edit_number

    dock.viewer.add_image(chest)
    classify(qtbot, dock)
    found = dock.answer
    dock.result.heat.lungs.click()
    qtbot.waitUntil(lambda: dock.lungs.layer is not None, timeout=WAIT)
    layer = dock.lungs.layer
    layer.data_setitem(np.nonzero(layer.data == 1), 0)
    qtbot.waitUntil(lambda: 'as you edited them' in dock.result.looked.text(), timeout=WAIT)
    classify(qtbot, dock)
    assert dock.lungs.layer is layer and dock.answer.lungs.edit == edit_number(layer) != 0
    assert dock.answer.lungs.uniform < found.lungs.uniform
    assert not dock.answer.field.right.any() and dock.answer.field.left.any()
    # This model does not look at the lung field, so its answer is the same.
    assert dock.answer.prediction.logits == found.prediction.logits


def test_what_is_no_radiograph_is_refused_in_the_dock(qtbot, dock, tmp_path):
    from napari.layers import Image

    from napari_cxr.plugin.layers import radiograph_layer_data
    from napari_cxr.radiograph import Radiograph, Window

    ct = Radiograph(
        np.zeros((64, 64), np.int16),
        (Window(40, 400),),
        refusal='This is a CT image, not a projection radiograph.',
    )
    data, attributes, _ = radiograph_layer_data(ct)
    dock.viewer.add_layer(Image(data, **attributes))
    classify(qtbot, dock)
    assert 'CT image' in dock.message.text and dock.answer is None
    assert not dock.message.isHidden() and dock.start.isEnabled()


def test_a_stack_is_refused_in_the_dock(qtbot, dock):
    dock.viewer.add_image(np.zeros((3, 40, 40), np.uint8))
    classify(qtbot, dock)
    assert 'more than two dimensions' in dock.message.text


def test_what_is_wrong_with_an_image_is_not_said_of_the_next_one(qtbot, dock, chest, tmp_path):
    stack = dock.viewer.add_image(np.zeros((3, 40, 40), np.uint8), name='stack')
    classify(qtbot, dock)
    assert 'more than two dimensions' in dock.message.text
    dock.viewer.add_image(chest)
    assert not dock.message.text and dock.message.isHidden()
    assert 'Click Classify' in dock.status.text() and not dock.status.isHidden()
    # Nor is it, if it comes when another one is chosen already.
    dock.viewer.layers.selection.active = stack
    with qtbot.waitSignal(dock.settled, timeout=WAIT):
        dock.classify()
        dock.viewer.layers.selection.active = dock.viewer.layers[1]
    assert dock.message.text.startswith('stack: ')
    # What is wrong with the model is so for every image.
    broken = tmp_path / 'broken.safetensors'
    broken.write_bytes(b'not a model')
    dock.inputs.choose_model_file(str(broken))
    qtbot.waitUntil(lambda: 'broken' in dock.message.text, timeout=WAIT)
    told = dock.message.text
    dock.viewer.layers.selection.active = stack
    assert dock.inputs.current_layer is stack and dock.message.text == told


def test_a_broken_model_is_an_error_with_details(qtbot, dock, chest, tmp_path):
    broken = tmp_path / 'broken.safetensors'
    broken.write_bytes(b'not a model')
    dock.viewer.add_image(chest)
    dock.inputs.choose_model_file(str(broken))
    classify(qtbot, dock)
    assert dock.message.text and dock.message.details
    assert dock.answer is None


def test_a_missing_gpu_is_named(qtbot, dock, chest):
    import torch

    if torch.cuda.is_available():
        pytest.skip('this machine has one')
    dock.viewer.add_image(chest)
    dock.inputs.device.setCurrentIndex(2)
    classify(qtbot, dock)
    assert 'cannot be used' in dock.message.text or 'no Apple GPU' in dock.message.text


@pytest.fixture
def stopped(qtbot, dock, chest):
    """The number of a process that has classified and now cannot answer."""
    if sys.platform == 'win32':
        pytest.skip('needs signals')
    dock.viewer.add_image(chest)
    classify(qtbot, dock)
    pid = classify_job.shared_inference().pid
    os.kill(pid, signal.SIGSTOP)
    yield pid
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


def test_a_killed_worker_is_told_and_the_next_click_works(qtbot, dock, stopped):
    qtbot.mouseClick(dock.start, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: dock.start.text() == 'Cancel')
    assert dock.busy and not dock.progress.isHidden()
    with qtbot.waitSignal(dock.settled, timeout=WAIT):
        os.kill(stopped, signal.SIGKILL)
    assert 'ended from outside' in dock.message.text and 'exit code' in dock.message.details
    classify(qtbot, dock)
    assert not dock.message.text and dock.answer is not None


def test_cancel_gives_the_button_back(qtbot, dock, stopped):
    qtbot.mouseClick(dock.start, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: dock.start.text() == 'Cancel')
    with qtbot.waitSignal(dock.settled, timeout=WAIT):
        qtbot.mouseClick(dock.start, Qt.MouseButton.LeftButton)
        assert dock.start.text() == 'Cancelling…' and not dock.start.isEnabled()
    assert dock.start.text() == 'Classify' and dock.start.isEnabled()
    worker = classify_job.shared_inference()
    assert not worker._turn.locked()  # the job is really gone, and another can begin
    os.kill(stopped, signal.SIGCONT)
    qtbot.waitUntil(lambda: not worker.busy, timeout=150_000)
    classify(qtbot, dock)
    assert dock.answer is not None


def test_a_double_click_does_not_cancel(qtbot, dock, stopped):
    qtbot.mouseClick(dock.start, Qt.MouseButton.LeftButton)
    qtbot.mouseClick(dock.start, Qt.MouseButton.LeftButton)
    assert dock.busy and dock.start.text() == 'Classify'
    with qtbot.waitSignal(dock.settled, timeout=WAIT):
        os.kill(stopped, signal.SIGCONT)
    assert dock.answer is not None and not dock.message.text


def test_a_layer_removed_meanwhile(qtbot, dock, chest):
    layer = dock.viewer.add_image(chest)
    with qtbot.waitSignal(dock.settled, timeout=WAIT):
        dock.classify()
        dock.viewer.layers.remove(layer)
    assert not dock.viewer.layers and dock.answer is None


def test_the_card_is_one_click_away(qtbot, dock):
    dialog = dock.show_card()
    assert 'Random weights, for tests' in dialog.text.toPlainText()
    assert 'not for clinical use' in dialog.text.toPlainText()
    dialog.close()


def test_window_presets_change_the_screen_and_not_the_answer(qtbot, dock, tmp_path):
    from napari.layers import Image

    from napari_cxr.plugin.layers import radiograph_layer_data
    from napari_cxr.radiograph import Radiograph, Window

    values = (4095 * samples.phantom((200, 180), seed=2)).astype(np.uint16)
    two = Radiograph(values, (Window(2048, 4096, explanation='WIDE'), Window(1000, 500)))
    data, attributes, _ = radiograph_layer_data(two)
    layer = dock.viewer.add_layer(Image(data, **attributes))
    classify(qtbot, dock)
    before = dock.answer.prediction.logits
    assert dock.inputs.preset.count() == 2
    dock.inputs.preset.setCurrentIndex(1)
    assert layer.contrast_limits == [750.0, 1249.0]
    classify(qtbot, dock)
    assert dock.answer.prediction.logits == before


def test_choices_are_remembered(qtbot, dock, chest):
    from napari_cxr.plugin.preferences import preferences

    dock.inputs.device.setCurrentIndex(1)
    dock.inputs.device.activated.emit(1)
    assert preferences('classify').device == 'cpu'


def test_both_themes(qtbot, dock, chest):
    dock.viewer.add_image(chest)
    for theme in ('light', 'dark'):
        dock.viewer.theme = theme
        assert dock.grab().width() > 0


# -- findings with thresholds ---------------------------------------------------------------


def test_one_finding_that_cannot_be_said(qtbot, dock, chest, findings_file):
    file = findings_file(
        ['opacity'],
        [0.4],
        operating_points={'opacity': {'Youden': 0.45}},
        decision='Youden',
        undecided={'opacity': [0.05, 0.95]},
        demonstration='A demonstration, not to be believed: it is random.',
    )
    dock.inputs.choose_model_file(str(file))
    dock.viewer.add_image(chest)
    classify(qtbot, dock)
    prediction = dock.answer.prediction  # from another process
    assert prediction.thresholds == (0.45,) and prediction.negative == 'no opacity'
    assert prediction.undecided == {'opacity': [0.05, 0.95]}
    assert dock.result.headline.answer.text() == 'cannot say'
    assert dock.result.bars.sides == {'opacity': 'undecided'}
    (heat,) = heat_layers(dock)
    assert heat.name.startswith('Grad-CAM · opacity · p=')
    assert 'it is random' in dock.result.demonstration.text()
    assert not dock.result.demonstration.isHidden()


def test_a_click_on_any_finding_shows_its_heatmap(qtbot, dock, chest, findings_file):
    labels = ['Effusion', 'Mass', 'Edema', 'Fracture', 'Nodule', 'Fibrosis', 'Hernia', 'X', 'Y']
    p = [0.1, 0.9, 0.1, 0.1, 0.8, 0.1, 0.1, 0.1, 0.1]
    dock.inputs.choose_model_file(str(findings_file(labels, p)))
    dock.viewer.add_image(chest)
    classify(qtbot, dock)
    (heat,) = heat_layers(dock)
    assert heat.name.startswith('Grad-CAM · Mass ')
    assert dock.result.headline.answer.text() == 'Mass, Nodule'
    bars = dock.result.bars
    for label in ('Fracture', 'Effusion'):
        place = bars.place_of(label).center().toPoint()
        qtbot.mouseClick(bars, Qt.MouseButton.LeftButton, pos=place)
        assert heat_layers(dock)[0].name.startswith(f'Grad-CAM · {label} ')
        np.testing.assert_array_equal(heat_layers(dock)[0].data, dock.answer.heatmap(label).values)


def test_nothing_above_shows_the_heatmap_of_the_nearest(qtbot, dock, chest, findings_file):
    dock.inputs.choose_model_file(str(findings_file(['Effusion', 'Mass'], [0.1, 0.3])))
    dock.viewer.add_image(chest)
    classify(qtbot, dock)
    assert dock.result.headline.answer.text() == 'No finding'
    assert heat_layers(dock)[0].name.startswith('Grad-CAM · Mass ')


def test_another_method_a_contrast_and_their_checks(qtbot, dock, chest):
    base = dock.viewer.add_image(chest)
    classify(qtbot, dock)
    heat, before = dock.result.heat, dock.answer
    best = dock.result.label
    with qtbot.waitSignal(dock.settled, timeout=WAIT):
        heat.method.setCurrentText('Integrated gradients')
        assert dock.busy
    assert not dock.message.text
    (layer,) = heat_layers(dock)
    assert layer.name.startswith(f'Integrated gradients · {best}') and layer.data.shape == (28, 28)
    # Its cells cover the whole of what the model saw, from edge to edge.
    corners = [layer.data_to_world(at) for at in ((-0.5, -0.5), (27.5, 27.5))]
    bounds = np.reshape(before.heatmaps[0].input_bounds, (2, 2))
    np.testing.assert_allclose(corners, bounds, atol=1e-6)
    assert dock.answer.prediction is before.prediction
    rival = next(k for k in before.prediction.labels if k != best)
    with qtbot.waitSignal(dock.settled, timeout=WAIT):
        heat.against.setCurrentText(rival)
    assert f'{best} rather than {rival}' in heat_layers(dock)[0].name
    heat.against.setCurrentText('no other class')  # which is known by now
    heat.method.setCurrentText('Grad-CAM')
    assert dock.answer is before and not dock.busy
    checks = dock.result.checks
    checks.set_open(True)
    with qtbot.waitSignal(dock.settled, timeout=WAIT):
        qtbot.mouseClick(checks.check, Qt.MouseButton.LeftButton)
    assert not dock.message.text
    assert 'random places' in checks.verdicts[1].text() and not checks.plot.isHidden()
    dock._show_label(rival)
    assert checks.plot.isHidden() and checks.check.isEnabled()
    assert base in dock.viewer.layers


def test_the_method_stays_for_the_next_result(qtbot, dock, chest):
    dock.viewer.add_image(chest)
    classify(qtbot, dock)
    with qtbot.waitSignal(dock.settled, timeout=WAIT):
        dock.result.heat.method.setCurrentText('HiResCAM')
    with qtbot.waitSignals([dock.settled, dock.settled], timeout=WAIT):
        dock.classify()
    assert dock.answer.method == dock.result.heat.method.currentText() == 'HiResCAM'
    assert heat_layers(dock)[0].name.startswith('HiResCAM')
    with qtbot.waitSignal(dock.settled, timeout=WAIT):
        dock.result.heat.method.setCurrentText('Occlusion')
        dock.cancel()
    assert dock.result.heat.method.currentText() == 'HiResCAM'  # as what is on show
    dock.result.heat.method.setCurrentText('Grad-CAM')
    with qtbot.waitSignal(dock.settled, timeout=WAIT):
        dock.classify()
    assert dock.answer.method == 'Grad-CAM' and not dock.busy


def test_contours_lie_at_their_levels(qtbot, dock, chest):
    dock.viewer.add_image(chest)
    classify(qtbot, dock)
    dock.result.heat.contours.setChecked(True)
    (line,) = [layer for layer in dock.viewer.layers if 'outline' in layer.name]
    assert line.name.endswith('25, 50, 75, 90 %')
    assert len({tuple(color) for color in line.edge_color}) == 4
    dock.result.heat.contours.setChecked(False)
    assert line not in dock.viewer.layers
