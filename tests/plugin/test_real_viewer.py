"""A few whole tasks in a real napari window."""

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QShortcut

from napari_cxr import samples
from napari_cxr.dicom import privacy
from napari_cxr.plugin.layers import is_heatmap

WAIT = 150_000


@pytest.fixture
def viewer(make_napari_viewer, own_plugin, models, monkeypatch, tmp_path, settled_threads):
    from napari_cxr.plugin.preferences import save_preferences

    monkeypatch.setattr(privacy, 'secret_path', lambda: tmp_path / 'secret')
    save_preferences('classify', model='tiny', device='cpu')
    return make_napari_viewer(show=True)


def open_dock(viewer):
    _, dock = viewer.window.add_plugin_dock_widget('napari-cxr')
    return dock


def test_open_classify_and_see(qtbot, viewer, tmp_path):
    path = tmp_path / 'a.dcm'
    samples.write_phantom_dicom(path, shape=(240, 210), seed=5)
    (base,) = viewer.open(path, plugin='napari-cxr')
    dock = open_dock(viewer)
    before = viewer.screenshot(flash=False)
    with qtbot.waitSignal(dock.settled, timeout=WAIT):
        qtbot.mouseClick(dock.start, Qt.MouseButton.LeftButton)
    assert not dock.message.text
    label = max(dock.answer.heatmaps, key=lambda h: h.values.max()).label
    dock.result.heat.label.setCurrentText(label)
    (heat,) = [layer for layer in viewer.layers if is_heatmap(layer)]
    assert heat.units == base.units and viewer.layers.index(heat) == 1
    after = viewer.screenshot(flash=False)
    # The radiograph is grey; colour on the canvas is the heatmap.
    assert np.ptp(before[..., :3], axis=-1).max() == 0
    assert (np.ptp(after[..., :3].astype(int), axis=-1) > 20).mean() > 0.02


def test_a_closed_dock_does_not_come_back_as_errors(qtbot, viewer):
    dock = open_dock(viewer)
    viewer.window.remove_dock_widget(dock)
    with qtbot.waitSignal(dock.destroyed, timeout=WAIT):
        dock.deleteLater()
    layer = viewer.add_image(np.zeros((20, 20), np.uint8))
    viewer.layers.selection.active = layer
    layer.name = 'another'
    viewer.theme = 'light'
    viewer.layers.clear()


def test_commands_are_in_the_menus_and_get_the_viewer(qtbot, viewer, tmp_path, monkeypatch):
    from napari._app_model import get_app_model
    from qtpy.QtWidgets import QFileDialog

    path = tmp_path / 'IM0001'
    samples.write_phantom_dicom(path, shape=(40, 32))
    monkeypatch.setattr(QFileDialog, 'getOpenFileNames', lambda *a: ([str(path)], ''))
    get_app_model().commands.execute_command('napari-cxr.open').result()
    assert len(viewer.layers) == 1
    monkeypatch.setattr(QFileDialog, 'getExistingDirectory', lambda *a: str(tmp_path))
    get_app_model().commands.execute_command('napari-cxr.open_folder').result()
    assert len(viewer.layers) == 2


def test_keyboard_alone(qtbot, viewer):
    viewer.add_image((255 * samples.phantom((120, 100), seed=1)).astype(np.uint8))
    dock = open_dock(viewer)
    dock.start.setFocus()
    with qtbot.waitSignal(dock.settled, timeout=WAIT):
        qtbot.keyClick(dock.start, Qt.Key.Key_Space)
    assert dock.answer is not None
    # A shortcut reaches an active window only, and a screen without a window manager has none.
    (shortcut,) = dock.findChildren(QShortcut)
    assert shortcut.key().toString() == 'Ctrl+Return'
    with qtbot.waitSignal(dock.settled, timeout=WAIT):
        shortcut.activated.emit()


def test_our_docks_are_tabs_and_another_viewer_is_another(qtbot, viewer):
    from qtpy.QtWidgets import QDockWidget

    from napari_cxr.plugin.docks import is_same_viewer

    classify, first = viewer.window.add_plugin_dock_widget(
        'napari-cxr', 'Classify chest radiograph'
    )
    runs, second = viewer.window.add_plugin_dock_widget('napari-cxr', 'Training runs')
    main = runs.parent()
    qtbot.waitUntil(lambda: runs in main.tabifiedDockWidgets(classify), timeout=WAIT)
    qtbot.waitUntil(lambda: not second.visibleRegion().isEmpty(), timeout=WAIT)
    assert len(main.findChildren(QDockWidget)) > 2  # napari's own are left where they are
    assert main.tabifiedDockWidgets(classify) == [runs]
    assert is_same_viewer(first.viewer, second.viewer) and is_same_viewer(first.viewer, viewer)


def test_a_dock_of_the_menu_is_the_one_that_others_open(qtbot, viewer):
    from napari._app_model import get_app_model

    from napari_cxr.plugin import docks

    for name, command in (('Training runs', 'runs'), ('Score a folder', 'batch')):
        title = f'{name} (Chest radiographs)'
        if command == 'runs':  # first by the menu, then by another dock; and the other way round
            get_app_model().commands.execute_command(f'napari-cxr.{command}_dock').result()
            opened = viewer.window.dock_widgets[title]
            docks.open_dock(viewer, name)
        else:
            docks.open_dock(viewer, name)
            opened = viewer.window.dock_widgets[title]
            get_app_model().commands.execute_command(f'napari-cxr.{command}_dock').result()
            assert not opened.isVisible()  # the menu's own mark
            docks.open_dock(viewer, name)
        kind = type(opened)
        assert [w for w in viewer.window.dock_widgets.values() if isinstance(w, kind)] == [opened]
        qtbot.waitUntil(lambda: not opened.visibleRegion().isEmpty(), timeout=WAIT)  # noqa: B023
