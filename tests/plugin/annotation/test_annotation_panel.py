"""A key a class, and nothing that was said or typed is lost."""

import errno
import os

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QLineEdit, QVBoxLayout, QWidget

from napari_cxr.inference.prediction import ImageWarning
from napari_cxr.plugin.annotation.annotation_panel import AnnotationPanel
from napari_cxr.plugin.annotation.annotation_state import RowVisibility
from napari_cxr.plugin.annotation.keyboard_shortcuts import AnnotationShortcuts
from napari_cxr.scoring.annotation.readers import labels_path_of
from napari_cxr.scoring.annotation.reading_list import ReadingList
from napari_cxr.scoring.score_row import ScoreRow

LABELS = ('covid19', 'normal', 'pneumonia')
LEFT = Qt.MouseButton.LeftButton


def row(number, **more):
    entries = {'status': 'scored', 'label': 'pneumonia', 'probabilities': (0.1, 0.2, 0.7)}
    return ScoreRow(number, f'/ward/{number}.png', **{**entries, **more})


ROWS = [row(i) for i in range(4)]


@pytest.fixture
def table(tmp_path):
    return tmp_path / 'ward.csv'


@pytest.fixture
def reading(table):
    reading = ReadingList.open(table, LABELS)
    yield reading
    reading.close()


@pytest.fixture
def bare(qtbot):
    panel = AnnotationPanel('dark')
    qtbot.addWidget(panel)
    panel.show()
    return panel


@pytest.fixture
def panel(bare, reading):
    """A panel at the first of four rows, and a table that does what it asks for."""
    bare.start(LABELS, False, reading)
    bare.add(ROWS)
    bare.show_row(ROWS[0])

    def step(by):
        place = bare.state.row.number + by
        if 0 <= place < len(ROWS):
            bare.show_row(ROWS[place])

    bare.step.connect(step)
    bare.advanced.connect(lambda: step(1))
    bare.row_wanted.connect(lambda path: bare.show_row(next(r for r in ROWS if r.path == path)))
    return bare


@pytest.fixture
def window(qtbot, panel):
    """A window with the panel, a text field beside it, and the keys."""
    window = QWidget()
    qtbot.addWidget(window)
    layout = QVBoxLayout(window)
    window.filter = QLineEdit()
    window.beside = QWidget()
    window.beside.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    for widget in (window.filter, window.beside, panel):
        layout.addWidget(widget)
    window.keys = AnnotationShortcuts(panel, window)
    with qtbot.waitExposed(window):
        window.show()
    window.activateWindow()
    window.beside.setFocus()
    qtbot.waitUntil(window.beside.hasFocus)
    return window


def said(reading):
    return {path: (entry.labels, entry.note, entry.answer) for path, entry in reading}


def down(panel):
    return [button.label for button in panel.buttons.buttons if button.isChecked()]


# -- what there is to see -----------------------------------------------------------------


def test_before_there_is_a_table(bare):
    assert bare.hint.text() == 'Nothing to annotate yet. Score a folder, or open a table.'
    for part in (bare.head, bare.buttons, bare.controls, bare.name, bare.doubt, bare.message):
        assert not part.isVisible()


def test_while_the_list_is_opened_and_where_it_cannot_be(bare, reading):
    bare.start(LABELS, False, None)
    bare.add(ROWS)
    bare.show_row(ROWS[0])
    assert bare.hint.text() == 'Opening the reading list…'
    assert not bare.buttons.isEnabled() and not bare.controls.note.isEnabled()
    bare.set_annotations(None, 'The folder cannot be written.')
    assert bare.hint.text() == 'The folder cannot be written.'
    bare.set_annotations(reading)
    assert bare.hint.text() == 'Not annotated yet.' and bare.buttons.isEnabled()


def test_a_table_without_an_image_to_read(bare, reading):
    bare.start(LABELS, False, reading)
    bare.add([row(0, status='error', error='No image.')])
    # More rows may come.
    assert bare.hint.text() == 'No image has been scored yet.' and bare.controls.isVisible()
    bare.set_complete(True)
    assert 'nothing to annotate' in bare.hint.text() and not bare.controls.isVisible()


def test_a_row_that_was_not_scored(panel, reading):
    bad = ScoreRow(9, '/ward/9.dcm', 'error', 'It is cut off.')
    panel.add([bad])
    panel.show_row(bad)
    assert panel.hint.text() == 'This file failed, so it cannot be labelled: It is cut off.'
    assert not panel.buttons.isEnabled() and panel.controls.next.isEnabled()
    panel.choose(0)
    panel.agree()
    panel.mark_unsure()
    assert not said(reading)
    assert panel.head.counts.text() == '0 of 4 annotated'  # it is none of those to read
    panel.controls.note.setText('ask for it again')
    panel.show_row(ROWS[0])
    assert said(reading) == {'/ward/9.dcm': ((), 'ask for it again', '')}


def test_a_row_shows_the_models_answer_and_the_persons(panel, reading):
    panel.show_row(
        row(7, warnings=(ImageWarning('view', 'A lateral view.'), ImageWarning('lossy', 'L.')))
    )
    assert panel.doubt.text().startswith('A lateral view.\n') and panel.doubt.isVisible()
    reading.set('/ward/2.png', ('covid19',))
    panel.show_row(ROWS[2])
    assert not panel.doubt.isVisible()
    assert panel.hint.text() == 'Your label: covid19. Predicted: pneumonia.'
    first, _, third = (button.accessibleName() for button in panel.buttons.buttons)
    assert first == 'covid19, probability 10.0 %, your label'
    assert third == 'pneumonia, probability 70.0 %, predicted'


def test_a_long_name_is_shortened_and_whole_in_the_tooltip(panel):
    path = '/ward/' + 'very-' * 60 + 'long.png'
    panel.resize(300, 400)
    panel.show_row(ScoreRow(0, path, 'scored', label='normal', probabilities=(0, 1, 0)))
    assert panel.name.name.toolTip() == path and panel.name.name.text().endswith('long.png')
    assert panel.minimumSizeHint().width() <= 300


# -- keys ---------------------------------------------------------------------------------


def press(qtbot, window, key, modifier=Qt.KeyboardModifier.NoModifier):
    qtbot.keyClick(window.beside, key, modifier)


def test_a_key_a_class_and_the_next_row(qtbot, window, panel, reading):
    for key in (Qt.Key.Key_2, Qt.Key.Key_Space, Qt.Key.Key_U):
        press(qtbot, window, key)
    assert said(reading) == {
        '/ward/0.png': (('normal',), '', 'labels'),
        '/ward/1.png': (('pneumonia',), '', 'labels'),
        '/ward/2.png': ((), '', 'unsure'),
    }
    assert reading.get('/ward/1.png').agreed and not reading.get('/ward/0.png').agreed
    assert panel.state.row == ROWS[3]
    assert panel.head.counts.text() == '3 of 4 annotated, 1 unsure' and panel.head.bar.value() == 3
    press(qtbot, window, Qt.Key.Key_9)  # there is no ninth class
    assert len(said(reading)) == 3


def test_digits_beside_the_letters_and_those_of_the_keypad(qtbot, window, panel, reading):
    press(qtbot, window, Qt.Key.Key_2, Qt.KeyboardModifier.KeypadModifier)
    assert said(reading) == {'/ward/0.png': (('normal',), '', 'labels')}


def test_what_is_said_too_soon_is_not_taken_down(panel, reading):
    panel.show_visibility(RowVisibility(pending=True))
    panel.choose(0)
    panel.agree()
    panel.controls.unsure.click()
    assert not said(reading) and not panel.controls.unsure.isChecked()
    assert panel.hint.text() == 'Not labelled: the image is still loading.'
    panel.show_visibility(RowVisibility())  # it has come at once, and what was refused can be read
    assert (
        panel.hint.text()
        == 'Not annotated yet. The label was ignored, because the image was not visible yet.'
    )
    assert 'color' in panel.hint.styleSheet()
    panel.choose(0)
    assert set(said(reading)) == {'/ward/0.png'}


def test_nothing_is_offered_while_an_image_is_awaited_and_the_focus_comes_back(
    qtbot, window, panel, reading
):
    button = panel.buttons.buttons[1]
    for focused in (button, panel.controls.unsure):
        focused.setFocus()
        qtbot.waitUntil(focused.hasFocus)
        panel.show_visibility(RowVisibility(pending=True, waiting=True))
        assert panel.hint.text() == 'Not annotated yet. Loading the image…'
        assert not button.isEnabled() and not panel.controls.unsure.isEnabled()
        assert panel.hasFocus() and panel.controls.note.isEnabled()
        panel.show_visibility(RowVisibility())
        assert focused.hasFocus() and button.isEnabled()
    assert panel.hint.text() == 'Not annotated yet.' and not panel.hint.styleSheet()


@pytest.mark.parametrize('problem', ['It is cut off.', 'There is no file.'])
def test_why_a_row_cannot_be_shown_is_told_once(panel, problem):
    bad = row(9, status='error', error='It is cut off.', probabilities=())
    panel.show_row(bad)
    panel.show_visibility(RowVisibility(visible=False))
    said = 'This file failed, so it cannot be labelled: It is cut off.'
    assert panel.hint.text() == f'{said} Not on screen: Enter opens it.'
    panel.show_visibility(RowVisibility(visible=False, problem=problem))
    more = '' if problem in said else f' Not on screen: {problem}'
    assert panel.hint.text() == f'{said}{more}'
    panel.show_row(ROWS[0])
    without = 'It is shown without a heatmap.'
    panel.show_visibility(RowVisibility(problem=without))
    assert panel.hint.text() == f'Not annotated yet. {without}'


def test_an_image_that_is_not_on_screen_is_asked_for_and_not_labelled(qtbot, panel, reading):
    heard = []
    panel.row_wanted.disconnect()
    panel.row_wanted.connect(heard.append)
    panel.show_visibility(RowVisibility(visible=False))
    height = panel.name.height()
    assert panel.name.button.isVisible()
    for say in (panel.agree, panel.mark_unsure, lambda: panel.choose(1), panel.name.button.click):
        say()
    assert heard == [ROWS[0].path] * 4 and not said(reading)
    # Whoever knows what is on screen is asked each time.
    panel.about_to_label.connect(lambda: panel.show_visibility(RowVisibility()))
    panel.choose(1)
    assert set(said(reading)) == {ROWS[0].path}
    assert not panel.name.button.isVisible() and panel.name.height() == height


def test_back_and_forth(qtbot, window, panel, reading):
    press(qtbot, window, Qt.Key.Key_J)
    press(qtbot, window, Qt.Key.Key_J)
    press(qtbot, window, Qt.Key.Key_K)
    assert panel.state.row == ROWS[1] and not said(reading)
    panel.controls.auto_advance.setChecked(False)
    press(qtbot, window, Qt.Key.Key_1)
    assert panel.state.row == ROWS[1] and down(panel) == ['covid19']


def test_what_is_typed_in_a_field_labels_nothing(qtbot, window, panel, reading):
    for field in (window.filter, panel.controls.note):
        field.setFocus()
        qtbot.waitUntil(field.hasFocus)
        qtbot.keyClicks(field, '12 junk')
        qtbot.keyClick(field, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
        assert panel.state.row == ROWS[0]
        assert not [e for _, e in reading if e.read]


def test_a_note_by_keys(qtbot, window, panel, reading):
    press(qtbot, window, Qt.Key.Key_N)
    note = panel.controls.note
    qtbot.waitUntil(note.hasFocus)
    qtbot.keyClicks(note, 'old scar')
    qtbot.keyClick(note, Qt.Key.Key_Return)
    assert said(reading) == {'/ward/0.png': ((), 'old scar', '')} and not note.hasFocus()
    press(qtbot, window, Qt.Key.Key_N)
    qtbot.keyClicks(note, 'no')
    qtbot.keyClick(note, Qt.Key.Key_Escape)
    assert note.text() == 'old scar' and not note.hasFocus()


def test_a_click_leaves_the_space_bar_to_agree(qtbot, window, panel, reading):
    panel.controls.auto_advance.setChecked(False)
    qtbot.mouseClick(panel.buttons.buttons[0], LEFT)
    assert down(panel) == ['covid19'] and panel.hasFocus()
    qtbot.keyClick(panel, Qt.Key.Key_Space)
    assert down(panel) == ['pneumonia']
    # Whoever goes from button to button with Tab presses them with it.
    panel.controls.clear.setFocus()
    qtbot.waitUntil(panel.controls.clear.hasFocus)
    qtbot.keyClick(panel.controls.clear, Qt.Key.Key_Space)
    assert not down(panel) and not reading.get('/ward/0.png')


def test_keys_can_be_left_to_others(qtbot, window, panel, reading):
    window.keys.remove()
    busy = [True]
    window.keys = AnnotationShortcuts(panel, window, lambda: bool(busy))
    press(qtbot, window, Qt.Key.Key_1)
    assert not said(reading)
    busy.clear()
    press(qtbot, window, Qt.Key.Key_1)
    assert said(reading)


def test_keys_are_left_to_a_list_of_choices_and_to_who_does_not_see(qtbot, window, panel, reading):
    box = QComboBox(window)
    box.addItems(['all', 'unsure'])
    window.layout().addWidget(box)
    box.setFocus()
    qtbot.waitUntil(box.hasFocus)
    qtbot.keyClick(box, Qt.Key.Key_U)
    qtbot.keyClick(box, Qt.Key.Key_1)
    assert not said(reading) and box.currentText() == 'unsure'
    numbers = QComboBox(window)
    numbers.addItems(['all', '1'])
    window.layout().addWidget(numbers)
    numbers.setFocus()
    qtbot.keyClick(numbers, Qt.Key.Key_1, Qt.KeyboardModifier.KeypadModifier)
    assert not said(reading) and numbers.currentText() == '1'
    window.beside.setFocus()
    panel.hide()
    press(qtbot, window, Qt.Key.Key_1)
    assert not said(reading)


# -- undo ---------------------------------------------------------------------------------


def test_undo_goes_back_to_the_row_that_it_is_about(qtbot, window, panel, reading):
    told = []
    panel.labelled.connect(told.append)
    press(qtbot, window, Qt.Key.Key_1)
    press(qtbot, window, Qt.Key.Key_2)
    press(qtbot, window, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert panel.state.row == ROWS[1] and not down(panel)
    press(qtbot, window, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert panel.state.row == ROWS[0] and not panel.head.undo.isEnabled()
    both = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
    press(qtbot, window, Qt.Key.Key_Z, both)
    assert down(panel) == ['covid19'] and said(reading).keys() == {'/ward/0.png'}
    qtbot.mouseClick(panel.head.redo, LEFT)
    assert panel.state.row == ROWS[1] and down(panel) == ['normal']
    assert told == [ROWS[i].path for i in (0, 1, 1, 0, 0, 1)]


def test_a_note_that_is_being_typed_is_never_lost(panel, reading):
    note = panel.controls.note
    note.setText('one')
    panel.show_row(ROWS[1])
    note.setText('two')
    panel.choose(0)  # goes on to the third row
    assert note.text() == ''
    note.setText('three')
    panel.undo()  # takes the note itself back
    assert said(reading) == {
        '/ward/0.png': ((), 'one', ''),
        '/ward/1.png': (('covid19',), 'two', 'labels'),
    }
    note.setText('three')
    panel.start((), False, None)
    assert reading.get('/ward/2.png').note == 'three'


# -- several classes ----------------------------------------------------------------------


def test_of_several_classes_each_key_is_a_switch(bare, reading):
    steps = []
    bare.advanced.connect(lambda: steps.append(1))
    bare.start(LABELS, True, reading, decision=True)
    one = row(0, called=('covid19', 'normal'))
    bare.add([one])
    bare.show_row(one)
    bare.choose(2)
    bare.choose(0)
    assert down(bare) == ['covid19', 'pneumonia'] and not steps
    assert bare.hint.text() == 'Your labels: covid19, pneumonia, not as predicted.'
    bare.choose(2)
    bare.choose(0)
    assert bare.hint.text() == 'Your labels: none of these, not as predicted.'
    assert reading.get(one.path).read
    bare.agree()
    assert down(bare) == ['covid19', 'normal'] and steps == [1]


def test_one_finding_is_there_or_not_by_a_key_each(bare, table):
    reading = ReadingList.open(table.with_name('one'), ('opacity',))
    steps = []
    bare.advanced.connect(lambda: steps.append(1))
    bare.start(('opacity',), True, reading, negative='no opacity')
    one = row(0, probabilities=(0.1,), label='no opacity', answer='no opacity')
    bare.add([one])
    bare.show_row(one)
    buttons = {button.label: button.toolTip() for button in bare.buttons.buttons}
    assert [label for label in buttons if 'predicted' in buttons[label]] == ['no opacity']
    assert '(key 2)' in buttons['no opacity'] and 'remove it' not in buttons['no opacity']
    bare.choose(1)
    assert down(bare) == ['no opacity'] and steps == [1]
    assert reading.get(one.path).labels == () and reading.get(one.path).agreed
    assert bare.hint.text() == 'Your label: no opacity, as predicted.'
    bare.choose(0)
    assert down(bare) == ['opacity'] and steps == [1, 1]
    assert bare.hint.text() == 'Your label: opacity. Predicted: no opacity.'
    bare.choose(0)  # no switch: it stays
    assert down(bare) == ['opacity']
    reading.close()


def test_who_agrees_with_a_model_that_cannot_say_is_unsure(bare, table):
    reading = ReadingList.open(table.with_name('one'), ('opacity',))
    bare.start(('opacity',), True, reading, negative='no opacity')
    one = row(0, probabilities=(0.45,), label='opacity', answer='cannot say', above=('opacity',))
    bare.add([one])
    bare.show_row(one)
    assert not any('predicted' in b.toolTip() for b in bare.buttons.buttons)
    bare.agree()
    assert reading.get(one.path).unsure
    assert bare.hint.text() == 'You are unsure, and the model cannot say.'
    bare.choose(0)
    assert down(bare) == ['opacity'] and not reading.get(one.path).agreed
    assert bare.hint.text() == 'Your label: opacity. The model cannot say.'
    reading.close()


def test_none_of_several_findings_has_a_button(bare, reading):
    bare.start(LABELS, True, reading, negative='No finding')
    one = row(0, label='No finding', answer='No finding')
    bare.add([one])
    bare.show_row(one)
    assert [b.label for b in bare.buttons.buttons] == [*LABELS, 'No finding']
    bare.choose(0)
    bare.choose(3)
    assert down(bare) == ['No finding']
    assert reading.get(one.path).labels == () and reading.get(one.path).answer == 'labels'
    bare.choose(1)
    assert down(bare) == [LABELS[1]]


def test_shift_is_for_the_next_ten_classes(qtbot, window, panel, table):
    labels = tuple(f'finding {i}' for i in range(14))
    reading = ReadingList.open(table.with_name('many'), labels)
    panel.start(labels, True, reading)
    panel.show_row(row(0, probabilities=(0.6,) * 14))
    window.activateWindow()
    window.beside.setFocus()
    qtbot.keyClick(window.beside, Qt.Key.Key_3, Qt.KeyboardModifier.ShiftModifier)
    assert down(panel) == ['finding 12']
    assert '(key Shift+3)' in panel.buttons.buttons[12].toolTip()
    reading.close()


def test_more_classes_than_keys(bare, table):
    labels = tuple(f'finding {i}' for i in range(24))
    reading = ReadingList.open(table, labels)
    bare.start(labels, True, reading)
    one = row(0, probabilities=(0.6,) * 24)
    bare.add([one])
    bare.show_row(one)
    bare.choose(9)  # the key 0
    bare.buttons.buttons[23].click()
    assert down(bare) == ['finding 9', 'finding 23']
    bare.resize(320, 900)
    reading.close()


# -- saving -------------------------------------------------------------------------------


def full_disk(*_):
    raise OSError(errno.ENOSPC, 'No space left on device')


def test_what_cannot_be_saved_is_told_and_not_taken_as_said(panel, reading, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(os, 'write', full_disk)
        panel.choose(0)
    assert 'No space left' in panel.message.text
    assert panel.state.row == ROWS[0] and not down(panel) and not said(reading)


def test_a_thread_that_saves_is_heard(qtbot, bare, table, monkeypatch):
    reading = ReadingList.open(table, LABELS, later=bare.saving_changed.emit)
    bare.start(LABELS, False, reading)
    bare.add(ROWS)
    bare.show_row(ROWS[0])
    assert not bare.retry.isVisible()
    with monkeypatch.context() as patch:
        patch.setattr(os, 'write', full_disk)
        bare.choose(0)
        assert down(bare) == ['covid19']  # nobody waits
        qtbot.waitUntil(bare.retry.isVisible)
    assert '1 change is not saved' in bare.message.text and 'No space' in bare.message.text
    qtbot.mouseClick(bare.retry, LEFT)
    qtbot.waitUntil(lambda: not bare.retry.isVisible())
    assert not bare.message.isVisible() and not reading.unsaved
    reading.close()
    assert b'covid19' in labels_path_of(table).read_bytes().splitlines()[1]


def test_slow_saving_is_told_after_a_while(qtbot, bare, table, monkeypatch):
    import threading

    gate, real = threading.Event(), os.fsync
    reading = ReadingList.open(table, LABELS, later=bare.saving_changed.emit)
    monkeypatch.setattr(os, 'fsync', lambda file: (gate.wait(20), real(file)))
    bare.start(LABELS, False, reading)
    bare.add(ROWS)
    bare.show_row(ROWS[0])
    bare.choose(0)
    assert not bare.head.saving.isVisible()  # as a rule it takes no time
    qtbot.waitUntil(bare.head.saving.isVisible)
    assert bare.head.saving.text() == 'saving…'
    gate.set()
    qtbot.waitUntil(lambda: not bare.head.saving.isVisible())
    assert not reading.unsaved
    reading.close()


def test_damaged_labels_are_told(bare, table):
    reading = ReadingList.open(table, LABELS)
    reading.set('a', ('normal',))
    reading.close()
    path = labels_path_of(table)
    path.write_bytes(path.read_bytes().replace(b'"a"', b'"b"'))
    reading = ReadingList.open(table, LABELS)
    bare.start(LABELS, False, reading)
    assert 'has 1 damaged line,' in bare.message.text
    reading.close()


# -- export -------------------------------------------------------------------------------


def test_the_menu_of_exports(panel):
    assert not panel.export.isEnabled()
    panel.choose(0)
    assert panel.export.isEnabled()
    wanted = []
    panel.export_wanted.connect(wanted.append)
    for action in panel.export.forms.actions():
        action.trigger()
    assert wanted == ['csv', 'folders', 'all', 'readers']


MIRRORED = ImageWarning('mirrored', 'This may be mirrored.')


def test_a_doubtful_image_has_no_prediction_to_agree_with(qtbot, panel, reading):
    doubtful = row(1, warnings=(MIRRORED,))
    panel.show_row(ROWS[0])
    assert panel.controls.agree.isEnabled()
    assert any('predicted' in button.accessibleName() for button in panel.buttons.buttons)
    panel.show_row(doubtful)
    names = [button.accessibleName() for button in panel.buttons.buttons]
    assert names == list(LABELS)  # neither a probability nor what is predicted
    assert not panel.controls.agree.isEnabled()
    assert 'may be mirrored' in panel.doubt.text() and 'withheld' in panel.doubt.text()
    panel.agree()
    assert reading.get(doubtful.path) is None
    # That a label is the hidden one is a coincidence, and not said.
    panel.state.auto_advance = False
    panel.choose(LABELS.index('pneumonia'))
    assert not reading.get(doubtful.path).agreed
    assert panel.hint.text() == 'Your label: pneumonia.'
    panel.reveal_doubtful(True)
    assert panel.controls.agree.isEnabled()
    assert 'withheld' not in panel.doubt.text()
    assert 'predicted' in panel.buttons.buttons[2].accessibleName()


def test_a_near_tie_is_not_shown_as_predicted(panel, reading):
    panel.state.auto_advance = False
    tie = row(1, answer='no class stands out', probabilities=(0.27, 0.361, 0.369))
    panel.show_row(tie)
    assert not any('predicted' in each.accessibleName() for each in panel.buttons.buttons)
    panel.choose(2)
    assert panel.hint.text() == 'Your label: pneumonia. No class stands out.'
    assert not reading.get(tie.path).agreed
