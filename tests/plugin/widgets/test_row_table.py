"""Rows stay where they are when more come; they are sorted, filtered and opened."""

import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QAbstractItemModelTester

from napari_cxr.plugin.widgets.row_table import (
    RowFilterProxy,
    RowTableModel,
    RowTableView,
    TableColumn,
)

COLUMNS = (TableColumn('Name', 'Who it is.'), TableColumn('Age', 'In years.', right_aligned=True))


class People(RowTableModel):
    """Names and ages; of some, none."""

    def __init__(self):
        super().__init__(COLUMNS)

    def text(self, row, column):
        value = self.row(row)[column]
        return '–' if value is None else str(value)

    def sort_key(self, row, column):
        return self.row(row)[column]


ROWS = [('Ann', 31), ('Bo Berg', None), ('Cy', 9)]


@pytest.fixture
def model():
    people = People()
    people.tester = QAbstractItemModelTester(people)
    people.set_rows(ROWS)
    return people


@pytest.fixture
def table(qtbot, model):
    view = RowTableView(RowFilterProxy(model), 'People', multi_select=True)
    view.setSortingEnabled(True)
    view.sortByColumn(-1, Qt.SortOrder.AscendingOrder)
    qtbot.addWidget(view)
    view.show()
    return view


def names(table):
    return [table.model().row_at(i)[0] for i in range(table.model().rowCount())]


def test_more_rows_leave_the_selection(table, model):
    table.select_line(1)
    table.select_line(0)
    assert table.selected_lines == [0, 1]
    assert model.set_rows([*ROWS, ('Di', 4)]) is False
    model.put_row(('Ed', 5))
    model.put_row(('Anna', 32), 0)
    assert names(table) == ['Anna', 'Bo Berg', 'Cy', 'Di', 'Ed']
    assert table.selected_lines == [0, 1]
    assert model.set_rows(ROWS) is True
    assert table.selected_lines == []


@pytest.mark.parametrize(
    ('order', 'sorted_names'),
    [
        (Qt.SortOrder.AscendingOrder, ['Cy', 'Ann', 'Bo Berg']),
        (Qt.SortOrder.DescendingOrder, ['Ann', 'Cy', 'Bo Berg']),
    ],
)
def test_what_is_not_known_is_last_whichever_way(table, order, sorted_names):
    table.sortByColumn(1, order)
    assert names(table) == sorted_names
    header = table.model().headerData(1, Qt.Orientation.Horizontal)
    assert header in ('Age ▴', 'Age ▾')


def test_all_words_of_a_filter_must_occur(table):
    table.model().set_filter('berg BO')
    assert names(table) == ['Bo Berg']
    table.model().set_filter('"berg bo"')
    assert names(table) == []
    table.model().set_filter('')
    assert len(names(table)) == 3


def test_return_and_a_double_click_open_a_row(qtbot, table):
    opened = []
    table.row_opened.connect(opened.append)
    table.selectRow(2)
    qtbot.keyClick(table, Qt.Key.Key_Return)
    table.doubleClicked.emit(table.model().index(1, 0))
    assert opened == [2, 1]


def test_columns_are_explained_and_aligned(table, model):
    across, tooltip = Qt.Orientation.Horizontal, Qt.ItemDataRole.ToolTipRole
    assert table.model().headerData(0, across, tooltip) == 'Who it is.'
    aligned = Qt.ItemDataRole.TextAlignmentRole
    assert model.index(0, 1).data(aligned) & Qt.AlignmentFlag.AlignRight
    assert model.index(0, 0).data(aligned) & Qt.AlignmentFlag.AlignLeft
    assert table.accessibleName() == 'People'


def test_the_height_follows_the_rows_up_to_a_limit(table, model):
    table.fit_height(8)
    low = table.height()
    model.set_rows([*ROWS, *[(f'N{i}', i) for i in range(20)]])
    table.fit_height(8)
    assert table.height() - low == 5 * table.verticalHeader().defaultSectionSize()
