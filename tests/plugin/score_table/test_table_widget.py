"""The table of scores as a person uses it: it fills, is sorted, filtered, read and copied."""

from dataclasses import replace
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from made_up_scores import LABELS, LOSSY, NOT_A_CHEST, Labels, failed, run, scored
from qtpy.QtCore import QEvent, QItemSelectionModel, QPoint, QPointF, QRect, Qt, QTimer
from qtpy.QtGui import QColor, QGuiApplication, QImage, QMouseEvent, QPainter

from napari_cxr.inference.prediction import ImageWarning
from napari_cxr.plugin.preferences import preferences
from napari_cxr.plugin.score_table.score_columns import PICTURE, columns_for_run
from napari_cxr.plugin.score_table.score_delegate import draw_probability_bar
from napari_cxr.plugin.score_table.score_header import fitting_widths
from napari_cxr.plugin.score_table.score_model import ScoreTableModel
from napari_cxr.plugin.score_table.sort_filter import RowFilter, RowKind
from napari_cxr.plugin.score_table.table_widget import ScoreTable
from napari_cxr.plugin.score_table.thumbnails import (
    ThumbnailCache,
    ThumbnailQueue,
    shared_thumbnail_reader,
)
from napari_cxr.plugin.style import theme_color
from napari_cxr.scoring import ScoreRow


@pytest.fixture
def table(qtbot, own_plugin):
    table = ScoreTable('dark')
    qtbot.addWidget(table)
    table.resize(900, 420)
    table.show()
    return table


def fill(qtbot, table, rows, **changes):
    table.start(run(**changes), OUT)
    more(qtbot, table, rows)


def more(qtbot, table, rows):
    """Add rows, and wait until they have been taken in and shown."""
    with qtbot.waitSignal(table.settled, timeout=150_000):
        table.add(rows)


def numbers(table):
    return [row.number for row in table.visible_rows()]


def cell(table, line, key, role=Qt.ItemDataRole.DisplayRole):
    return table.model.index(line, table.model.column_of(key)).data(role)


def shown_columns(table):
    return [table.model.columns[i].key for i in table.view.titles.shown]


def click_title(qtbot, table, key):
    header = table.view.horizontalHeader()
    section = table.model.column_of(key)
    table.view.scrollTo(table.model.index(0, section))
    place = QPoint(header.sectionViewportPosition(section) + 10, 8)
    qtbot.mouseClick(header.viewport(), Qt.MouseButton.LeftButton, pos=place)


NO_KEY = Qt.KeyboardModifier.NoModifier
#: A table that was never written, whose rows have whole paths.
OUT = 'scores.csv'
FEW = [
    scored(0, 0.10, 0.80, 0.10, truth='normal', lung_share=0.62, lung_share_if_even=0.31),
    scored(1, 0.70, 0.25, 0.05, truth='normal', warnings=(NOT_A_CHEST, LOSSY), view='PA'),
    failed(2, 'It is damaged.', truth='covid19'),
    scored(3, 0.10, 0.50, 0.40, warnings=(ImageWarning('note', 'It has two windows.'),)),
]


# -- what is shown ------------------------------------------------------------------------


def test_cells_say_what_is_known(qtbot, table):
    fill(qtbot, table, FEW)
    assert [cell(table, i, 'file') for i in range(4)] == ['0.png', '1.png', '2.png', '3.png']
    assert cell(table, 0, 'label') == 'normal'
    assert cell(table, 2, 'label') == 'Failed: It is damaged.'
    assert [cell(table, i, 'p:normal') for i in range(4)] == ['80.0 %', '25.0 %', '', '50.0 %']
    assert [cell(table, i, 'truth') for i in range(4)] == ['normal', '≠ normal', 'covid19', '']
    assert cell(table, 1, 'warnings') == 'not a chest?, lossy'
    assert cell(table, 3, 'warnings') == 'It has two windows.'
    assert cell(table, 0, 'lung_share') == '62 %' and cell(table, 0, 'number') == '1'
    assert cell(table, 3, 'uncertainty') == '0.86'  # of log 3, worked out by hand


def test_tooltips_and_names_for_those_who_do_not_see(qtbot, table):
    fill(qtbot, table, FEW)
    tip, said = Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.AccessibleTextRole
    assert cell(table, 0, 'file', tip) == '/study/0.png'
    assert cell(table, 1, 'warnings', tip) == f'{NOT_A_CHEST.text} {LOSSY.text}'
    assert cell(table, 1, 'truth', tip) == 'normal; predicted: covid19'
    assert cell(table, 0, 'lung_share', tip) == (
        '62 % of the heatmap is in the lungs; 31.0 % if the heatmap were uniform.'
    )
    assert cell(table, 0, 'p:normal', said) == 'normal: 80.0 %'
    assert cell(table, 2, 'label', said) == 'Predicted: Failed: It is damaged.'
    for i, column in enumerate(table.model.columns):
        about = table.model.headerData(i, Qt.Orientation.Horizontal, tip)
        name = table.model.headerData(i, Qt.Orientation.Horizontal, said)
        assert column.about in about and name


def test_an_error_is_written_across_the_cells_that_stay_empty(qtbot, table):
    reason = 'It is damaged: its stream ends before the picture is whole, at a tenth of it.'
    fill(qtbot, table, [failed(0, reason), scored(1)])
    assert has_letters(table, 0, 'p:covid19')


def has_letters(table, line, key):
    """Whether something is drawn in a cell, and not the ground alone."""
    image = table.view.grab().toImage()
    pixels = image.convertToFormat(image.Format.Format_Grayscale8)
    view, column = table.view, table.model.column_of(key)
    top = view.horizontalHeader().height() + view.rowViewportPosition(line)
    left = view.columnViewportPosition(column)
    there = {
        pixels.pixelColor(left + x, top + y).value()
        for x in range(4, view.columnWidth(column) - 4)
        for y in range(4, view.rowHeight(line) - 4)
    }
    return len(there) > 3


def test_an_error_goes_on_in_what_is_empty_beside_the_probabilities(qtbot, table):
    reason = 'It is damaged: its stream ends before the picture is whole. ' * 4
    fill(qtbot, table, [failed(0, reason), failed(1), scored(2), scored(3, warnings=(LOSSY,))])
    table.resize(1200, 300)
    beside = shown_columns(table).index('p:pneumonia') + 1
    assert shown_columns(table)[beside] == 'warnings'
    assert [has_letters(table, line, 'warnings') for line in range(4)] == [
        True,
        False,
        False,
        True,
    ]


@pytest.mark.parametrize('theme', ['dark', 'light'])
def test_all_kinds_of_cells_are_drawn_in_both_themes_and_any_width(qtbot, table, theme):
    labels = Labels()
    labels.say('/study/0.png', 'normal', note='Rotated.')
    fill(qtbot, table, FEW)
    table.set_annotations(labels)
    table.set_theme(theme)
    table.view.selectRow(1)
    for width in (320, 700, 1600):
        table.resize(width, 300)
        assert table.width() == width  # nothing keeps it from becoming narrow
        assert not table.grab().isNull()


def test_empty_columns_are_not_shown(qtbot, table):
    plain = [scored(0), scored(1)]
    fill(qtbot, table, plain, truth=False)
    probabilities = [f'p:{label}' for label in LABELS]
    assert shown_columns(table) == ['file', 'label', *probabilities]
    more(qtbot, table, [scored(2, view='PA', warnings=(LOSSY,))])
    assert shown_columns(table) == ['file', 'label', *probabilities, 'warnings', 'view']


def test_what_stands_there_without_rows(qtbot, table):
    assert 'as soon as' in table.empty.label.text() and table.empty.isVisible()
    assert not table.filter_bar.isVisible() and not table.empty.clear.isVisible()
    fill(qtbot, table, FEW)
    assert table.view.isVisible() and table.filter_bar.count.text() == '4 rows'
    table.filter_bar.text.setText('nowhere')
    table.filter_bar.text.returnPressed.emit()
    assert (
        table.empty.label.text() == 'No row matches the filter.' and table.empty.clear.isVisible()
    )
    assert table.filter_bar.count.text() == '0 of 4 rows'
    table.empty.clear.click()
    assert table.view.isVisible() and numbers(table) == [0, 1, 2, 3]
    table.start(run(), OUT)
    assert table.empty.isVisible() and table.rows() == []


# -- sorting and filtering -----------------------------------------------------------------


def test_a_click_on_a_title_sorts_and_the_third_is_the_order_of_the_files(qtbot, table):
    fill(qtbot, table, FEW)
    found = []
    for _ in range(3):
        click_title(qtbot, table, 'p:normal')
        title = table.model.headerData(
            table.model.column_of('p:normal'), Qt.Orientation.Horizontal
        )
        found.append((numbers(table), title))
    assert found == [
        ([0, 3, 1, 2], 'normal ▾'),
        ([1, 3, 0, 2], 'normal ▴'),
        ([0, 1, 2, 3], 'normal'),
    ]
    click_title(qtbot, table, 'label')
    assert numbers(table) == [1, 0, 3, 2]  # texts rise first; what is not known is last


def test_most_uncertain_first(qtbot, table):
    fill(qtbot, table, FEW)
    heard = []
    table.chosen.connect(heard.append)
    button = table.filter_bar.uncertain
    table.step(-1)
    assert 'uncertainty' not in shown_columns(table)
    button.click()
    assert numbers(table) == [3, 1, 0, 2] and 'uncertainty' in shown_columns(table)
    assert table.current() == FEW[3] and table.selected() == [FEW[3]] and button.isChecked()
    assert table.step(1) == FEW[3]  # the first one, which nobody has opened yet
    assert table.step(1) == FEW[1] and table.step(-1) == FEW[3] and table.step(1) == FEW[1]
    button.click()
    assert numbers(table) == [0, 1, 2, 3] and not button.isChecked()
    assert 'uncertainty' not in shown_columns(table) and not preferences('batch').columns
    button.click()
    table.sort_by('label', False)
    assert not button.isChecked()
    table.start(run(), OUT)
    more(qtbot, table, [failed(0)])
    table.filter_bar.which.setCurrentIndex(1)
    button.click()  # no row is shown
    assert table.current() is None
    table.filter_bar.reset()
    with pytest.raises(KeyError):
        table.sort_by('nothing', True)


def test_filters_of_the_strip(qtbot, table):
    filter_bar = table.filter_bar
    fill(qtbot, table, FEW)
    filter_bar.which.setCurrentIndex(
        filter_bar.which.findData(RowKind.PREDICTION_IS_NOT_LABEL.value)
    )
    assert numbers(table) == [1] and filter_bar.count.text() == '1 of 4 rows'
    filter_bar.clear.click()
    assert not filter_bar.at_least.isVisible()
    filter_bar.label.setCurrentIndex(filter_bar.label.findData('normal'))
    assert numbers(table) == [0, 3] and filter_bar.at_least.isVisible()
    with qtbot.waitSignal(filter_bar.changed):
        filter_bar.at_least.setValue(0.6)
    assert numbers(table) == [0]
    filter_bar.answer.setCurrentIndex(filter_bar.answer.findData('covid19'))
    assert numbers(table) == []
    filter_bar.reset()
    with qtbot.waitSignal(filter_bar.changed):
        filter_bar.text.setText('damaged')
    assert numbers(table) == [2] and filter_bar.clear.isVisible()
    table.start(run(labels=('a', 'b'), truth=False), OUT)
    assert filter_bar.filter.is_open and filter_bar.label.findData('a') > 0
    assert filter_bar.which.findData(RowKind.PREDICTION_IS_NOT_LABEL.value) < 0


def test_a_filter_can_be_shown_from_elsewhere(qtbot, table):
    fill(qtbot, table, FEW)
    wanted = RowFilter(answer='covid19', truth='normal', label='pneumonia', at_least=0.04)
    table.choice.doubtful_wanted.emit(True)  # a withheld prediction is found by no label
    table.show_only(wanted)
    assert numbers(table) == [1] and table.filter_bar.filter == wanted
    assert table.go_to('/study/1.png') == FEW[1] == table.current()
    assert table.go_to('/study/0.png') is None and table.go_to('nowhere') is None
    assert table.current() == FEW[1]
    table.start(run(truth=False), OUT)
    assert table.filter_bar.filter.is_open and not table.filter_bar.truth.isVisible()


def test_ctrl_f_goes_to_the_filter_and_esc_clears_it_and_goes_back(qtbot, table):
    fill(qtbot, table, FEW)
    table.activateWindow()
    table.view.setFocus()
    qtbot.waitUntil(table.view.hasFocus)
    qtbot.keyClick(table.view, Qt.Key.Key_F, Qt.KeyboardModifier.ControlModifier)
    text = table.filter_bar.text
    qtbot.waitUntil(text.hasFocus)
    qtbot.keyClicks(text, 'damaged')
    qtbot.keyClick(text, Qt.Key.Key_Return)
    assert numbers(table) == [2]
    qtbot.keyClick(text, Qt.Key.Key_Escape)
    assert numbers(table) == [0, 1, 2, 3] and text.text() == '' and text.hasFocus()
    qtbot.keyClick(text, Qt.Key.Key_Escape)
    assert table.view.hasFocus()
    table.show_only(RowFilter(text='damaged'))
    qtbot.keyClick(table.view, Qt.Key.Key_Escape)
    assert numbers(table) == [0, 1, 2, 3]


# -- staying where one reads -----------------------------------------------------------------


def select(table, *lines):
    flags = QItemSelectionModel.SelectionFlag
    table.view.clearSelection()
    for line in lines:
        index = table.model.index(line, table.view.titles.shown[0])
        table.view.selectionModel().setCurrentIndex(index, flags.Select | flags.Rows)


def test_selection_survives_sorting_and_filtering(qtbot, table):
    fill(qtbot, table, FEW)
    select(table, 0, 3)
    heard = []
    table.chosen.connect(heard.append)
    table.sort_by('p:normal', False)
    assert [row.number for row in table.selected()] == [3, 0] and table.current() == FEW[3]
    assert heard == []
    table.filter_bar.which.setCurrentIndex(2)  # failed
    assert table.selected() == [] and table.current() is None
    table.filter_bar.reset()
    assert table.current() == FEW[3] and table.selected() == [FEW[3]]
    assert heard == [None, FEW[3]]


def test_what_is_read_stays_where_it_is_while_rows_come_above_it(qtbot, table):
    rows = [scored(i, 0.0, i / 400, 1 - i / 400) for i in range(200)]
    fill(qtbot, table, rows)
    table.sort_by('p:normal', True)
    view = table.view
    view.verticalScrollBar().setValue(1500)
    first = view.lines_on_screen[0]
    before = table.model.row_at(first), view.rowViewportPosition(first)
    more(qtbot, table, [scored(1000 + i, 0.0, 0.9, 0.1) for i in range(7)])
    line = view.lines_on_screen[0]
    assert (table.model.row_at(line), view.rowViewportPosition(line)) == before
    assert line == first + 7

    view.go_to(first + 10)
    reading = table.current(), view.rowViewportPosition(first + 10)
    late = [scored(2000 + i, 0.0, (i % 97) / 97, 1 - (i % 97) / 97) for i in range(300)]
    more(qtbot, table, late)  # at more places than are inserted one by one
    assert (table.current(), view.rowViewportPosition(view.currentIndex().row())) == reading
    assert table.selected() == [reading[0]]
    assert numbers(table) == [
        row.number
        for row in sorted(table.rows(), key=lambda row: row.probabilities[1], reverse=True)
    ]


def test_a_table_at_its_top_or_its_end_stays_there(qtbot, table):
    rows = [scored(i) for i in range(100)]
    fill(qtbot, table, rows)
    bar = table.view.verticalScrollBar()
    more(qtbot, table, [scored(i) for i in range(100, 110)])
    assert bar.value() == 0
    bar.setValue(bar.maximum())
    more(qtbot, table, [scored(i) for i in range(110, 130)])
    assert bar.value() == bar.maximum() and table.view.lines_on_screen[-1] == 129
    table.sort_by('number', True)
    assert bar.value() == 0
    more(qtbot, table, [scored(i) for i in range(130, 140)])
    assert bar.value() == 0 and numbers(table)[0] == 139


def test_the_first_row_that_only_the_keyboard_reached_is_the_first_to_be_read(qtbot, table):
    fill(qtbot, table, FEW)
    table.activateWindow()
    table.view.setFocus()
    qtbot.waitUntil(table.view.hasFocus)
    assert table.current() == FEW[0]
    table.sort_by('p:normal', True)
    assert table.current() == FEW[0]
    table.sort_by('p:normal', False)
    assert table.current() == FEW[1]  # still the first
    assert table.step(1) == FEW[1] and table.step(1) == FEW[3]
    table.start(run(), OUT)
    more(qtbot, table, FEW)
    table.filter_bar.text.setFocus()
    table.view.setFocus()
    qtbot.waitUntil(table.view.hasFocus)
    qtbot.keyClick(table.view, Qt.Key.Key_Return)  # it is opened
    assert table.step(1) == FEW[1]
    for goes_on in (lambda: table.refresh(FEW[3].path), lambda: table.following(1)):
        table.filter_bar.uncertain.setChecked(False)
        table.filter_bar.uncertain.click()
        goes_on()  # it is labelled; it has been opened from elsewhere
        assert table.step(1) == FEW[1]


def test_steps_follow_the_order_on_the_screen(qtbot, table):
    fill(qtbot, table, FEW)
    table.sort_by('p:normal', True)  # 0, 3, 1, 2
    assert table.current() is None
    assert [row.number for row in table.following(2)] == [0, 3]
    heard = []
    table.chosen.connect(heard.append)
    steps = [table.step(by) for by in (1, 1, 1, 1, 1, -1)]
    assert [row and row.number for row in steps] == [0, 3, 1, 2, None, 1]
    assert [row.number for row in heard] == [0, 3, 1, 2, 1]
    assert table.following(9) == [FEW[2]]
    table.start(run(), OUT)
    assert table.step(1) is None and table.step(-1) is None and table.following(3) == []


def test_moving_on_does_not_move_sideways(qtbot, table):
    fill(qtbot, table, [scored(i, truth='normal', view='PA', source='x') for i in range(50)])
    table.resize(420, 300)
    across = table.view.horizontalScrollBar()
    across.setValue(150)
    table.step(1)
    table.step(1)
    assert across.value() == 150


# -- reading ---------------------------------------------------------------------------------


def test_labels_of_a_reading_list_are_shown_and_rows_stay_until_filtered_anew(qtbot, table):
    fill(qtbot, table, FEW)
    labels = Labels()
    labels.say('/study/1.png', 'normal')
    assert 'read' not in shown_columns(table)
    table.set_annotations(labels)
    assert cell(table, 1, 'read') == '≠ normal' and 'read' in shown_columns(table)
    table.filter_bar.which.setCurrentIndex(
        table.filter_bar.which.findData(RowKind.NOT_ANNOTATED.value)
    )
    assert numbers(table) == [0, 3]
    table.step(1)
    labels.say('/study/0.png', 'normal', note='Sure.')
    table.refresh('/study/0.png')
    table.refresh('/study/nowhere.png')
    assert cell(table, 0, 'read') == 'normal' and cell(table, 0, 'note') == 'Sure.'
    assert numbers(table) == [0, 3] and table.step(1).number == 3
    assert (
        table.filter_bar.count.text() == '1 of 4 rows' and '1.' in table.filter_bar.count.toolTip()
    )
    table.filter_bar.text.returnPressed.emit()
    assert numbers(table) == [3] and table.current().number == 3
    assert (
        table.filter_bar.count.text() == '1 of 4 rows' and table.filter_bar.count.toolTip() == ''
    )


def test_doubts_and_what_a_person_said_stand_beside_the_answer(qtbot, table):
    from napari_cxr.scoring.annotation import Annotation

    fill(qtbot, table, FEW)
    labels = Labels()
    labels.say('/study/0.png', 'normal')
    labels.say('/study/1.png', 'pneumonia')
    labels['/study/3.png'] = Annotation(answer='unsure')
    table.set_annotations(labels)
    tip = Qt.ItemDataRole.ToolTipRole
    assert cell(table, 0, 'label') == 'normal'
    assert cell(table, 1, 'label') == '▲ doubtful → pneumonia'
    assert cell(table, 3, 'label') == 'normal'
    how, yours, why = cell(table, 1, 'label', tip).splitlines()
    assert 'withheld' in how and yours == 'Your label: pneumonia'
    assert why == f'▲ {NOT_A_CHEST.text}'
    assert cell(table, 3, 'file', tip) == '/study/3.png\nYour label: unsure'


def test_predictions_of_doubtful_images_are_withheld_unless_asked_for(qtbot, table):
    fill(qtbot, table, FEW, decision=True)
    more(qtbot, table, [replace(FEW[1], number=9, path='/study/9.png', called=('covid19',))])
    view, section = table.view, table.model.column_of('p:covid19')
    accent = QColor(theme_color('dark', 'current')).name()

    def bar_colours(line):
        image = view.grab().toImage()
        top = view.titles.height() + view.rowViewportPosition(line)
        left = view.columnViewportPosition(section)
        return {
            image.pixelColor(left + x, top + y).name()
            for x in range(view.columnWidth(section))
            for y in range(view.rowHeight(line))
        }

    # The most probable class has the accent only where the image is not doubtful.
    assert accent not in bar_colours(1) and cell(table, 1, 'p:covid19') == '70.0 %'
    assert cell(table, 1, 'label') == '▲ doubtful' and cell(table, 4, 'called') == ''
    assert cell(table, 0, 'label') == 'normal'
    table.show_only(RowFilter(answer='covid19'))
    assert not table.visible_rows()
    table.filter_bar.reset()
    table.view.selectRow(4)
    table.menus.copy()
    copied = QGuiApplication.clipboard().text().splitlines()[1].split('\t')
    assert copied[1] == 'doubtful' and 'covid19' not in copied
    menu = table.choice.menu(table.model.columns, table.model.rows, 'number', table)
    next(a for a in menu.actions() if 'doubtful' in a.text()).trigger()
    assert cell(table, 1, 'label') == '▲ covid19' and cell(table, 4, 'called') == 'covid19'
    table.show_only(RowFilter(answer='covid19'))
    assert [row.number for row in table.visible_rows()] == [1, 9]
    table.choice.reveal_doubtful(False)
    assert not table.visible_rows()  # also where the filter was there before
    table.choice.reveal_doubtful(True)
    table.filter_bar.reset()
    assert accent in bar_colours(1)
    table.start(run(), OUT)
    more(qtbot, table, FEW)
    assert cell(table, 1, 'label') == '▲ doubtful'


def test_a_file_that_has_been_read_is_ticked(qtbot, table):
    fill(qtbot, table, [scored(0), scored(1)])
    labels = Labels()
    labels.say('/study/0.png', 'covid19')
    table.set_annotations(labels)
    image, view = table.view.grab().toImage(), table.view
    above = view.horizontalHeader().height()

    def colours(line):
        top = above + view.rowViewportPosition(line)
        return {
            image.pixelColor(x, top + y).name()
            for x in range(8, 18)
            for y in range(4, view.rowHeight(line) - 4)
        }

    assert len(colours(0)) > 2 and len(colours(1)) == 1


def test_what_is_neither_one_class_nor_unread_is_told(qtbot, table):
    from napari_cxr.scoring.annotation import Annotation

    fill(qtbot, table, FEW, multilabel=True)
    labels = Labels()
    labels['/study/0.png'] = Annotation(answer='unsure')
    labels['/study/1.png'] = Annotation(answer='labels')
    table.set_annotations(labels)
    assert cell(table, 0, 'read') == 'unsure' and cell(table, 1, 'read') == '≠ none of them'


# -- keys, copying, columns --------------------------------------------------------------------


def test_return_and_double_click_open_and_letters_do_nothing(qtbot, table):
    fill(qtbot, table, [scored(i) for i in range(60)])
    heard = []
    table.opened.connect(heard.append)
    qtbot.keyClick(table.view, Qt.Key.Key_Return)
    assert heard == []  # no row is the current one
    qtbot.keyClick(table.view, Qt.Key.Key_End)
    qtbot.keyClick(table.view, Qt.Key.Key_Return)
    qtbot.keyClick(table.view, Qt.Key.Key_Home)
    qtbot.keyClick(table.view, Qt.Key.Key_Enter)
    qtbot.keyClick(table.view, Qt.Key.Key_Down)
    qtbot.keyClicks(table.view, '35')
    assert table.current().number == 1
    viewport, line = table.view.viewport(), table.view.visualRect(table.model.index(3, 2))
    qtbot.mouseClick(viewport, Qt.MouseButton.LeftButton, pos=line.center())
    qtbot.mouseDClick(viewport, Qt.MouseButton.LeftButton, pos=line.center())
    assert [row.number for row in heard] == [59, 0, 3]
    qtbot.keyClick(table.view, Qt.Key.Key_PageDown)
    assert table.current().number > 8


def test_selected_rows_are_copied_as_they_are_shown(qtbot, table):
    fill(qtbot, table, FEW)
    table.sort_by('p:normal', True)
    select(table, 3, 0)
    qtbot.keyClick(table.view, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    assert QGuiApplication.clipboard().text() == (
        'File\tPredicted\tTrue label\tcovid19\tnormal\tpneumonia\tWarnings\tIn lungs\tView\n'
        '/study/0.png\tnormal\tnormal\t0.1\t0.8\t0.1\t\t0.62\t\n'
        '/study/2.png\tFailed: It is damaged.\tcovid19\t\t\t\t\t\t\n'
    )


def test_tabs_and_line_breaks_do_not_break_what_is_copied(qtbot, table):
    fill(qtbot, table, [failed(0, 'One\tand\nanother.')])
    table.view.selectRow(0)
    table.menus.copy()
    assert (
        QGuiApplication.clipboard()
        .text()
        .splitlines()[1]
        .startswith('/study/0.png\tFailed: One and another.')
    )


def test_columns_are_chosen_in_a_menu_and_remembered(qtbot, table):
    fill(qtbot, table, FEW)

    def actions(table):
        menu = table.choice.menu(table.model.columns, table.model.rows, 'number', table)
        return {action.text(): action for action in menu.actions()}

    there = actions(table)
    assert 'File' not in there and 'Source' not in there  # always shown; nothing in it
    assert there['pneumonia'].isChecked() and not there['Number'].isChecked()
    there['pneumonia'].setChecked(False)
    there['Number'].setChecked(True)
    assert 'p:pneumonia' not in shown_columns(table) and shown_columns(table)[0] == 'number'
    assert preferences('batch').columns == '-p%3Apneumonia +number'
    other = ScoreTable('light')
    qtbot.addWidget(other)
    fill(qtbot, other, FEW)
    assert 'p:pneumonia' not in shown_columns(other) and shown_columns(other)[0] == 'number'
    actions(other)['pneumonia'].setChecked(True)
    assert 'p:pneumonia' in shown_columns(other)


def test_the_menu_of_columns_stays_open_until_it_is_left(qtbot, table):
    fill(qtbot, table, FEW)
    menu = table.choice.menu(table.model.columns, table.model.rows, 'number', table)
    menu.popup(table.mapToGlobal(QPoint(20, 20)))
    qtbot.waitUntil(menu.isVisible)
    usual = menu.actions()[-1]
    assert not usual.isEnabled()

    def place(text):
        action = next(action for action in menu.actions() if action.text() == text)
        return menu.actionGeometry(action).center()

    # The button that has opened it may be let go over a box.
    qtbot.mouseRelease(menu, Qt.MouseButton.RightButton, pos=place('normal'))
    assert 'p:normal' in shown_columns(table) and menu.isVisible()
    for text in ('normal', 'pneumonia'):
        qtbot.mouseClick(menu, Qt.MouseButton.LeftButton, pos=place(text))
    assert menu.isVisible() and usual.isEnabled()
    assert not {'p:normal', 'p:pneumonia'} & set(shown_columns(table))
    qtbot.keyClick(menu, Qt.Key.Key_Space)  # the one that was ticked last
    qtbot.keyClick(menu, Qt.Key.Key_Up)
    qtbot.keyClick(menu, Qt.Key.Key_Return)
    assert menu.isVisible() and {'p:normal', 'p:pneumonia'} <= set(shown_columns(table))
    gone = []
    menu.destroyed.connect(lambda: gone.append(True))
    qtbot.keyClick(menu, Qt.Key.Key_Escape)
    qtbot.waitUntil(lambda: bool(gone))


def drag_title(qtbot, table, key, by, *, edge):
    """Drag a column's right edge, or the column itself, sideways with the mouse."""
    header, section = table.view.titles, table.model.column_of(key)
    left, wide = header.sectionViewportPosition(section), header.sectionSize(section)
    start = QPoint(left + wide - 1 if edge else left + 20, 8)
    viewport, button = header.viewport(), Qt.MouseButton.LeftButton
    qtbot.mousePress(viewport, button, pos=start)
    for part in (2, 1):
        place = QPointF(start + QPoint(by // part, 0))
        event = QMouseEvent(
            QEvent.Type.MouseMove, place, viewport.mapToGlobal(place), button, button, NO_KEY
        )
        QGuiApplication.sendEvent(viewport, event)
    qtbot.mouseRelease(viewport, button, pos=start + QPoint(by, 0))


def width_of(table, key):
    return table.view.titles.sectionSize(table.model.column_of(key))


def test_widths_and_order_of_columns_are_remembered(qtbot, table):
    fill(qtbot, table, FEW)
    usual = {key: width_of(table, key) for key in ('file', 'p:normal', 'label')}
    drag_title(qtbot, table, 'p:normal', 60, edge=True)
    assert width_of(table, 'p:normal') == usual['p:normal'] + 60
    table.resize(1600, 420)  # the others go on fitting
    qtbot.waitUntil(lambda: width_of(table, 'file') > usual['file'])
    assert width_of(table, 'p:normal') == usual['p:normal'] + 60
    drag_title(qtbot, table, 'label', -width_of(table, 'file') - 10, edge=False)
    assert shown_columns(table)[:3] == ['label', 'file', 'truth']
    table.sort_by('p:normal', True)
    table.start(run(), OUT)
    assert shown_columns(table)[:2] == ['label', 'file']
    other = ScoreTable('dark')
    qtbot.addWidget(other)
    fill(qtbot, other, FEW, labels=('normal', 'another', 'third'))
    assert shown_columns(other)[:4] == ['label', 'file', 'truth', 'p:normal']
    assert width_of(other, 'p:normal') == usual['p:normal'] + 60
    # A double click on the edge lets a column fit again, the menu all of them.
    table.resize(900, 420)
    fill(qtbot, table, FEW)
    header, section = table.view.titles, table.model.column_of('p:normal')
    edge = QPoint(header.sectionViewportPosition(section) + header.sectionSize(section) - 1, 8)
    qtbot.mouseDClick(header.viewport(), Qt.MouseButton.LeftButton, pos=edge)
    assert width_of(table, 'p:normal') == usual['p:normal']
    drag_title(qtbot, table, 'p:normal', 60, edge=True)
    menu = table.choice.menu(table.model.columns, table.model.rows, 'number', table)
    menu.actions()[-1].trigger()
    assert {key: width_of(table, key) for key in usual} == usual
    assert shown_columns(table)[:2] == ['file', 'label']
    chosen = preferences('batch')
    assert (chosen.columns, chosen.column_order, chosen.column_widths) == ('', '', '')


def test_bars_are_as_long_in_all_columns(qtbot, table):
    labels = ('a', 'a class with a very long name')
    certain = ScoreRow(0, '/a.png', 'scored', label=labels[0], probabilities=(1.0, 1.0))
    fill(qtbot, table, [certain], labels=labels, truth=False)
    image, view = table.view.grab().toImage(), table.view
    top = view.titles.height() + view.rowViewportPosition(0)

    def longest(key):
        section = table.model.column_of(key)
        left, wide = view.columnViewportPosition(section), view.columnWidth(section)
        ground = image.pixelColor(left + 2, top + 2)
        lines = (
            sum(image.pixelColor(x, top + y) != ground for x in range(left + 8, left + wide - 8))
            for y in range(view.rowHeight(0) - 1)
        )
        return max(lines)

    assert width_of(table, 'p:a') < width_of(table, f'p:{labels[1]}')
    assert longest('p:a') == pytest.approx(longest(f'p:{labels[1]}'), abs=2)


#: The table in a dock that is 480 pixels wide, and its frame and bar to move down.
IN_480, BESIDE = 456, 20


def test_all_probabilities_are_seen_in_a_dock_of_480_pixels(qtbot, table):
    table.resize(IN_480, 420)
    rows = [
        scored(i, 0.2, 0.3, 0.5, path=f'/study/covidcxnet_{i:04}.jpg', truth='covid19')
        for i in range(60)
    ]
    fill(qtbot, table, rows)
    view, model = table.view, table.model
    qtbot.waitUntil(lambda: view.viewport().width() > IN_480 - BESIDE)
    last = model.column_of('p:pneumonia')
    right = view.columnViewportPosition(last) + view.columnWidth(last)
    assert right <= view.viewport().width() < right + width_of(table, 'p:normal')
    measure = view.fontMetrics().horizontalAdvance
    for key, text in (
        ('label', 'pneumonia'),
        ('truth', '≠ covid19'),
        ('p:normal', '100 %'),
        ('p:covid19', 'covid19'),
        ('file', 'co…0001'),
    ):
        assert width_of(table, key) >= measure(text) + 12
    # The arrow of the column that is sorted by stays, too.
    assert view.titles.textElideMode() == Qt.TextElideMode.ElideMiddle


def test_where_there_is_no_room_for_all_probabilities_nothing_is_shortened(table):
    measure = table.fontMetrics().horizontalAdvance
    columns = dict(
        enumerate(columns_for_run(run(labels=tuple(f'finding {i}' for i in range(14)))))
    )
    shown = {i: c for i, c in columns.items() if c.key in ('file', 'label') or c.kind == 'bar'}
    for i, width in fitting_widths(shown, IN_480 - BESIDE, measure).items():
        assert width >= measure(f'{shown[i].title} ▾') + 12
        assert shown[i].kind != 'bar' or width >= measure('100.0 %') + 12


class Noting(QPainter):
    """A painter that notes the texts that it draws."""

    def __init__(self, image, texts):
        super().__init__(image)
        self.texts = texts

    def drawText(self, *how):
        self.texts.append(how[-1])
        super().drawText(*how)


def test_figures_lose_their_decimals_where_bars_are_narrow(qapp):
    figures = []
    image = QImage(300, 30, QImage.Format.Format_RGB32)
    colours = (QColor('white'), QColor('blue'), QColor('grey'))
    for whole in (120, 40):
        painter = Noting(image, figures)
        draw_probability_bar(painter, QRect(0, 0, whole, 24), whole, 0.643, '64.3 %', colours)
        painter.end()
    assert figures == ['64.3 %', '64 %']


def test_what_a_decision_calls_is_shown_beside_the_probabilities_where_there_is_room(qtbot, table):
    fill(qtbot, table, FEW)
    assert 'called' not in shown_columns(table)
    fill(qtbot, table, [scored(0)], decision=True)  # which reaches no threshold
    assert 'called' in shown_columns(table)
    more(qtbot, table, [scored(1, 0.1, 0.2, 0.7, called=('normal', 'pneumonia'), truth='normal')])
    assert cell(table, 1, 'called') == 'normal, pneumonia'
    table.resize(900, 420)
    view, section = table.view, table.model.column_of('called')
    right = view.columnViewportPosition(section) + view.columnWidth(section)
    assert right <= view.viewport().width()


def test_names_have_room_before_bars_grow(table):
    columns = dict(enumerate(columns_for_run(run())))
    shown = {i: c for i, c in columns.items() if c.kind in ('file', 'answer', 'bar')}
    measure = table.fontMetrics().horizontalAdvance
    name = 'covidcxr-hannover-0001.png'
    longest = {'file': name, 'answer': '▲ pneumonia', 'against': '▲ pneumonia → pneumonia'}
    files, answers = (
        next(i for i, c in shown.items() if c.kind == kind) for kind in ('file', 'answer')
    )
    bars = [i for i, c in shown.items() if c.kind == 'bar']
    least = fitting_widths(shown, 100, measure, longest)
    assert least[answers] > measure('▲ pneumonia') + 12
    narrow = sum(least.values()) - least[files]
    room = narrow + measure(name) + 30
    widths = fitting_widths(shown, room, measure, longest)
    assert widths[files] > measure(name) + 12 and sum(widths.values()) == room
    assert [widths[i] for i in bars] == [least[i] for i in bars]
    wide = fitting_widths(shown, room + 300, measure, longest)
    assert wide[answers] > measure('▲ pneumonia → pneumonia') + 12
    assert sum(wide.values()) == room + 300


@pytest.mark.parametrize('width', [320, 420, 520, 560, 760, 1000])
def test_the_count_is_never_clipped(qtbot, table, width):
    fill(qtbot, table, [*FEW, *(scored(i) for i in range(4, 60))])
    table.resize(width, 400)
    table.filter_bar.which.setCurrentIndex(table.filter_bar.which.findData(RowKind.WARNED.value))
    count = table.filter_bar.count
    qtbot.waitUntil(
        lambda: table.filter_bar.clear.isVisible() and table.filter_bar.width() == width
    )
    qtbot.waitUntil(lambda: count.width() >= count.sizeHint().width())
    assert count.text() == '2 of 60 rows'


@pytest.mark.parametrize('truth', [True, False])
@pytest.mark.parametrize('width', [296, 320, 400, 520, 760, 1000])
def test_no_word_of_the_filters_is_cut_and_none_stands_on_another(qtbot, table, width, truth):
    fill(qtbot, table, FEW, truth=truth)
    table.filter_bar.label.setCurrentIndex(1)
    table.resize(width, 400)
    filter_bar = table.filter_bar
    qtbot.waitUntil(lambda: filter_bar.width() == width)
    shown = [
        box
        for box in (filter_bar.which, filter_bar.answer, filter_bar.truth, filter_bar.label)
        if box.isVisible()
    ]
    assert len(shown) == 3 + truth

    def fits(widget, beside):
        words = widget.currentText() if widget in shown else widget.text()
        return widget.width() >= widget.fontMetrics().horizontalAdvance(words) + beside

    buttons = (filter_bar.uncertain, filter_bar.pictures, filter_bar.columns)
    filter_bar.label.setCurrentIndex(0)
    qtbot.waitUntil(lambda: all(fits(box, 32) for box in shown))
    qtbot.waitUntil(lambda: all(fits(button, 10) for button in buttons))
    places = [
        widget.geometry() for widget in (filter_bar.text, *shown[:-1], filter_bar._threshold)
    ]
    for i, place in enumerate(places):
        assert not any(place.intersects(other) for other in places[:i])


def test_titles_and_figures_have_room_where_not_all_probabilities_can_be_seen_or_easily(
    qtbot, table
):
    columns = dict(enumerate(columns_for_run(run(labels=('short', 'a class with a long name')))))
    measure = table.fontMetrics().horizontalAdvance
    for room in (300, 1000, 2500, 4000):
        widths = fitting_widths(columns, room, measure)
        for i, column in columns.items():
            assert widths[i] >= measure(column.title) + 12
            assert column.kind != 'bar' or widths[i] >= measure('100.0 %') + 12
    assert sum(widths.values()) == room


# -- many rows ---------------------------------------------------------------------------------


@pytest.mark.parametrize('count', [5_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_many_rows_come_in_while_the_screen_stays_free(qtbot, table, count):
    shares = (0.2, 0.5, 0.3)
    rows = [
        ScoreRow(i, f'/study/{i}.png', 'scored', label='normal', probabilities=shares)
        for i in range(count)
    ]
    ticks = []
    clock = QTimer()
    clock.setInterval(1)
    clock.timeout.connect(lambda: ticks.append(table.model.rowCount()))
    table.start(run(), OUT)
    table.add(rows)
    assert table.model.rowCount() == 0 and len(table.rows()) == count
    clock.start()
    qtbot.waitUntil(lambda: table.model.rowCount() == count, timeout=150_000)
    clock.stop()
    assert len(ticks) > 3  # they come in by and by, and others have their turn
    table.sort_by('file', True)
    assert numbers(table)[:2] == [count - 1, count - 2]
    table.view.selectAll()
    table.sort_by('number', False)
    assert len(table.view.selected_lines) == count


def test_selecting_all_asks_no_row_by_itself(qtbot, own_plugin, monkeypatch):
    asked, count = [], ScoreTableModel.rowCount

    def counted(model, parent=None):
        asked.append(1)
        return count(model, parent)

    monkeypatch.setattr(ScoreTableModel, 'rowCount', counted)
    table = ScoreTable('dark')
    qtbot.addWidget(table)
    table.show()
    fill(qtbot, table, [scored(i) for i in range(5_000)])
    asked.clear()
    table.view.selectAll()
    table.grab()
    assert len(table.view.selected_lines) == 5_000 and len(asked) < 1_000


# -- small pictures ----------------------------------------------------------------------------


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    """Forty images, the tenth of which is none."""
    folder = tmp_path_factory.mktemp('pictures')
    for i in range(40):
        iio.imwrite(folder / f'{i:02}.png', np.full((300, 200), 6 * i, np.uint8))
    (folder / '09.png').write_text('<html>moved</html>')
    yield sorted(str(path) for path in folder.iterdir())
    shared_thumbnail_reader().close()


def test_pictures_are_read_for_the_lines_on_the_screen(qtbot, table, files, settled_threads):
    fill(qtbot, table, [scored(i, path=path) for i, path in enumerate(files)])
    low = table.view.rowHeight(0)
    pictures = table.pictures.thumbnails

    def is_there(line):
        return pictures.get(files[line]) is not None

    table.filter_bar.pictures.click()
    assert shown_columns(table)[0] == PICTURE and table.view.rowHeight(0) > 2 * low
    lines = table.view.lines_on_screen
    assert 3 < len(lines) < 15
    qtbot.waitUntil(lambda: all(map(is_there, lines)), timeout=150_000)
    qtbot.waitUntil(lambda: not pictures.busy, timeout=150_000)
    assert not any(is_there(line) for line in range(lines[-1] + 1, 40))
    first = pictures.get(files[3])
    assert (first.height(), first.width()) == (128, 85) and first.pixelColor(5, 5).red() == 18
    table.view.scrollTo(table.model.index(9, 0))
    qtbot.waitUntil(lambda: is_there(9), timeout=150_000)
    assert pictures.get(files[9]).isNull()  # the place stays, and is quiet
    assert not table.grab().isNull()
    table.filter_bar.pictures.click()
    assert PICTURE not in shown_columns(table) and table.view.rowHeight(0) == low


def test_pictures_are_found_by_the_place_of_the_table(
    qtbot, table, files, tmp_path, monkeypatch, settled_threads
):
    monkeypatch.chdir(tmp_path)  # where there are none
    folder = Path(files[0]).parent
    table.start(run(), str(folder / 'tables' / 'scores.csv'))
    more(qtbot, table, [scored(0, path='03.png')])
    table.filter_bar.pictures.click()
    pictures = table.pictures.thumbnails
    qtbot.waitUntil(lambda: pictures.get('03.png') is not None, timeout=150_000)
    assert pictures.get('03.png').height() == 128
    # A file of the same name of another table is another file.
    table.start(run(), str(tmp_path / 'scores.csv'))
    assert pictures.get('03.png') is None
    more(qtbot, table, [scored(0, path='03.png')])
    qtbot.waitUntil(lambda: pictures.get('03.png') is not None, timeout=150_000)
    assert pictures.get('03.png').isNull()


def test_what_is_scrolled_past_is_not_read(qtbot, files, settled_threads):
    pictures = ThumbnailCache()
    pictures.request(files)
    pictures.request(files[20:22])
    qtbot.waitUntil(lambda: not pictures.busy, timeout=150_000)
    there = [i for i, path in enumerate(files) if pictures.get(path) is not None]
    assert {20, 21} <= set(there) and len(there) <= 4  # one or two may have been under way
    pictures.set_table('')
    assert pictures.get(files[20]) is None


def test_no_more_than_so_many_pictures_are_kept(qtbot, files, settled_threads, monkeypatch):
    monkeypatch.setattr('napari_cxr.plugin.score_table.thumbnails._MOST', 3)
    pictures = ThumbnailCache()
    pictures.request(files[:5])
    qtbot.waitUntil(lambda: not pictures.busy, timeout=150_000)
    assert [pictures.get(path) is not None for path in files[:5]] == [False] * 2 + [True] * 3


def test_wishes_are_taken_in_order_and_can_be_changed():
    wishes = ThumbnailQueue()
    wishes.set(['a', 'b'], 'one.csv')
    assert wishes.next() == ('a', 'one.csv') and wishes
    wishes.set(['c'], 'other.csv')
    assert [wishes.next(), wishes.next()] == [('c', 'other.csv'), None] and not wishes


@pytest.mark.parametrize(('width', 'one_line'), [(320, False), (480, True), (760, True)])
def test_the_buttons_stand_beside_the_count_where_they_fit(qtbot, table, width, one_line):
    fill(qtbot, table, [scored(i) for i in range(204)])
    filter_bar = table.filter_bar
    table.resize(width, 400)
    qtbot.waitUntil(lambda: filter_bar.width() == width)
    assert (
        filter_bar._footer_layout.direction() == filter_bar._footer_layout.Direction.LeftToRight
    ) is one_line
    assert filter_bar._buttons.sizeHint().width() <= width


@pytest.mark.parametrize('room', [300, 470, 900])
def test_titles_have_room_for_the_arrow_and_given_labels_for_theirs(room):
    shown = dict(enumerate(columns_for_run(run(truth=True))))
    widths = fitting_widths(shown, room, lambda text: 7 * len(text), {'answer': 'pneumonia'})
    for i, column in shown.items():
        if column.kind == 'bar':
            assert widths[i] >= 7 * len(f'{column.title} ▾') + 12
    (answer,) = (i for i, column in shown.items() if column.key == 'label')
    assert shown[answer + 1].key == 'truth' and widths[answer + 1] >= 7 * len('≠ pneumonia') + 12
