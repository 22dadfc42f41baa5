"""The strip that says what is being opened, and what was left out."""

import pytest
from napari.components import ViewerModel
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDockWidget, QMainWindow

from napari_cxr.plugin.widgets import opening_bar
from napari_cxr.plugin.widgets.opening_bar import OpeningBar, OpeningLine


@pytest.fixture
def window(qtbot):
    window = QMainWindow()
    qtbot.addWidget(window)
    window.show()
    return window


@pytest.fixture
def bar(window):
    bar, dock = OpeningBar(ViewerModel()), QDockWidget(window)
    dock.setWidget(bar)
    window.addDockWidget(Qt.DockWidgetArea.BottomDockWidgetArea, dock)
    return bar


def test_it_is_there_as_long_as_it_has_something_to_say(qtbot, bar):
    line = bar.add_line('Opening a.dcm')
    assert bar.isVisible()
    note = bar.add_note('One was left out.', offer='Open it')
    bar.remove_line(line)
    assert bar.isVisible()
    qtbot.mouseClick(note.dismiss, Qt.MouseButton.LeftButton)
    assert not bar.isVisible() and not bar.notes


def test_a_line_says_how_far_it_is_and_when_it_will_be_done(qtbot, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(opening_bar.time, 'monotonic', lambda: now[0])
    line = OpeningLine('Opening 36 files')
    qtbot.addWidget(line)
    now[0] += 3
    line.show_progress(0, 36)
    assert line.label.text() == 'Opening 36 files · 0 of 36 · 3 s'
    now[0] += 3
    line.show_progress(12, 36)
    assert line.label.text() == 'Opening 36 files · 12 of 36 · about 12 s left'
    assert (line.bar.value(), line.bar.maximum()) == (12, 36)
    line.show_progress(0, 1)
    assert line.label.text() == 'Opening 36 files · 6 s' and line.bar.maximum() == 0


def test_cancel_and_offer_by_keyboard(qtbot, bar):
    line = bar.add_line('Opening a.dcm')
    with qtbot.waitSignal(line.cancelled, timeout=5000):
        line.cancel.setFocus()
        qtbot.keyClick(line.cancel, Qt.Key.Key_Space)
    taken = []
    note = bar.add_note(
        'Six were left out.', offer='Open the other 6', accept=lambda: taken.append(6)
    )
    qtbot.keyClick(note.offer, Qt.Key.Key_Space)
    assert taken == [6] and line.cancel.accessibleName() == 'Cancel: Opening a.dcm'
    bar.withdraw_offers()
    assert not bar.notes


def test_a_message_is_not_said_twice_and_old_ones_go(bar):
    for number in (1, 1, 2, 3, 4, 5):
        bar.add_note(f'{number} is damaged.', wrong=True)
    assert [note.text for note in bar.notes] == [f'{n} is damaged.' for n in (2, 3, 4, 5)]
    assert all(note.objectName() == 'message' and note.offer.isHidden() for note in bar.notes)


def test_it_takes_the_colours_of_another_theme(qtbot):
    viewer = ViewerModel()
    bar = OpeningBar(viewer)
    qtbot.addWidget(bar)
    before = bar.styleSheet()
    viewer.theme = 'light'
    assert bar.styleSheet() != before


def test_many_messages_scroll_and_leave_the_window_as_it_is(qtbot, window, bar):
    window.resize(700, 400)
    for number in range(4):
        text = f'{number}.dcm could not be opened. ' + 'The pixel data are damaged. ' * 4
        bar.add_note(text, wrong=True)
    qtbot.waitUntil(lambda: bar.height() <= opening_bar._MOST_HEIGHT, timeout=5000)
    last = bar.notes[-1]
    qtbot.waitUntil(lambda: last.visibleRegion().boundingRect().height() > 20, timeout=5000)
    assert window.height() == 400
    # On a small screen it gives way to napari's own docks.
    assert bar.minimumSizeHint().height() <= opening_bar._LEAST_HEIGHT


def test_what_is_short_needs_no_more_than_its_lines(qtbot, window, bar):
    window.resize(700, 400)
    window.setStyleSheet('QScrollArea { border: 3px solid red; }')
    note = bar.add_note('Six were left out.', offer='Open the other 6')

    def whole():
        seen = note.visibleRegion().boundingRect().height() == note.height() > 0
        return seen and not bar._scroll.verticalScrollBar().isVisible()

    qtbot.waitUntil(lambda: whole() and bar.height() < opening_bar._MOST_HEIGHT, timeout=5000)
