"""A few whole tasks in a real napari window."""

import imageio.v3 as iio
import numpy as np
import pytest
from qtpy.QtCore import QMimeData, QPointF, Qt, QTimer, QUrl
from qtpy.QtGui import QDropEvent, QShortcut
from qtpy.QtWidgets import QApplication

from napari_cxr import samples
from napari_cxr.dicom import privacy
from napari_cxr.plugin import opening
from napari_cxr.plugin.layers import is_heatmap
from napari_cxr.plugin.reader import open_paths

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
    assert heat.units == base.units
    assert viewer.layers.index(heat) > viewer.layers.index(base)  # the field of view between
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
    shortcuts = {each.key().toString(): each for each in dock.findChildren(QShortcut)}
    assert set(shortcuts) == {'Ctrl+Return', 'Esc'}
    with qtbot.waitSignal(dock.settled, timeout=WAIT):
        shortcuts['Ctrl+Return'].activated.emit()


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


def in_event_loop(qtbot, act):
    """Run something as napari does: inside Qt's event loop."""
    done = []

    def run():
        act()
        done.append(True)

    QTimer.singleShot(0, run)
    qtbot.waitUntil(lambda: bool(done), timeout=WAIT)
    qtbot.waitUntil(lambda: not opening._ALIVE, timeout=WAIT)


def drop(widget, *paths):
    """Drop files on a widget."""
    dragged = QMimeData()
    dragged.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    event = QDropEvent(
        QPointF(9, 9),
        Qt.DropAction.CopyAction,
        dragged,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    widget.dropEvent(event)


@pytest.fixture
def chosen(own_plugin, plugin_settings, monkeypatch):
    """Our reader is remembered for DICOM files, and chosen in napari's dialog for folders."""
    from napari._qt.dialogs.qt_reader_dialog import QtReaderDialog
    from napari.settings import get_settings
    from npe2 import PluginManifest

    own_plugin.register(PluginManifest.from_distribution('napari'))
    monkeypatch.setattr(get_settings().plugins, 'extension2reader', {'*.dcm': 'napari-cxr'})
    asked = []

    def choose(dialog):
        asked.append(dialog._current_file)
        return 'Chest radiographs', False

    monkeypatch.setattr(QtReaderDialog, 'get_user_choices', choose)
    return asked


def test_a_damaged_file_never_ends_in_the_other_readers_dialog(qtbot, viewer, tmp_path, chosen):
    path = tmp_path / 'page.dcm'
    path.write_text('<!DOCTYPE html><html></html>')
    in_event_loop(qtbot, lambda: viewer.window._qt_viewer._qt_open([str(path)], stack=False))
    assert not chosen and not viewer.layers
    (note,) = opening.opening_bar(viewer).notes
    assert note.isVisible() and note.text.startswith('page.dcm could not be opened.')


def test_a_dropped_folder_says_what_it_leaves_out_and_opens_it(qtbot, viewer, tmp_path, chosen):
    folder = tmp_path / 'study'
    folder.mkdir()
    samples.write_phantom_dicom(folder / 'a.dcm', shape=(90, 80))
    for number in range(2):
        iio.imwrite(folder / f'{number}.png', np.full((300, 200), number, np.uint8))
    in_event_loop(qtbot, lambda: drop(viewer.window._qt_viewer, folder))
    assert chosen == [str(folder)] and len(viewer.layers) == 1
    (note,) = opening.opening_bar(viewer).notes
    in_event_loop(qtbot, lambda: qtbot.mouseClick(note.offer, Qt.MouseButton.LeftButton))
    assert [layer.visible for layer in viewer.layers] == [False, True, False]
    assert viewer.layers.selection.active is viewer.layers[1]
    assert not opening.opening_bar(viewer).isVisible()


def test_no_toast_about_units_whoever_opens_the_second(qtbot, viewer, tmp_path, chosen):
    samples.write_phantom_dicom(tmp_path / 'a.dcm', shape=(90, 80))  # in millimetres
    iio.imwrite(tmp_path / 'b.png', np.zeros((300, 200), np.uint8))
    in_event_loop(qtbot, lambda: drop(viewer.window._qt_viewer, tmp_path / 'a.dcm'))
    in_event_loop(qtbot, lambda: viewer.open(tmp_path / 'b.png', plugin='napari'))
    in_event_loop(qtbot, lambda: open_paths(viewer, [tmp_path / 'b.png']))
    in_event_loop(qtbot, lambda: drop(viewer.window._qt_viewer, tmp_path / 'a.dcm'))
    in_event_loop(qtbot, lambda: viewer.open_sample('napari-cxr', 'synthetic'))
    qtbot.wait(100)
    assert [layer.visible for layer in viewer.layers] == [False] * 4 + [True]
    shown = [w for w in QApplication.allWidgets() if type(w).__name__ == 'NapariQtNotification']
    assert not [w for w in shown if w.isVisible() and 'units' in w.message.text()]


def test_files_dropped_on_a_dock_are_opened(qtbot, viewer, tmp_path):
    iio.imwrite(tmp_path / 'b.png', np.zeros((30, 20), np.uint8))
    dock = open_dock(viewer)
    in_event_loop(qtbot, lambda: drop(dock, tmp_path / 'b.png'))
    assert dock.inputs.current_layer is viewer.layers['b']


def test_closing_the_window_gives_up_what_is_being_opened(
    qtbot, make_napari_viewer, own_plugin, monkeypatch, tmp_path, settled_threads
):
    from napari_cxr.plugin import image_opening

    given_up = []

    def reading(path):
        try:
            while True:
                yield None
        finally:
            given_up.append(path.name)

    monkeypatch.setattr(image_opening, 'read_in_decoder', reading)
    viewer = make_napari_viewer(show=True)
    done = []
    QTimer.singleShot(0, lambda: done.append(open_paths(viewer, [tmp_path / 'a.dcm'])))
    qtbot.waitUntil(lambda: bool(done) and bool(opening._BARS.get(viewer)), timeout=WAIT)
    viewer.close()
    qtbot.waitUntil(lambda: not opening._ALIVE, timeout=WAIT)
    assert given_up == ['a.dcm']
