import time
from pathlib import Path

import pytest
from made_up_runs import row
from qtpy.QtCore import Qt

from napari_cxr.plugin.runs.runs_table import (
    RUN_TABLE_COLUMNS,
    RunRow,
    RunsTableModel,
    RunsTableView,
    sort_key,
)
from napari_cxr.plugin.widgets.row_table import RowFilterProxy

KEYS = [column.key for column in RUN_TABLE_COLUMNS]
RISING, FALLING = Qt.SortOrder.AscendingOrder, Qt.SortOrder.DescendingOrder


@pytest.fixture
def view(qtbot):
    model = RunsTableModel()
    view = RunsTableView(RowFilterProxy(model, model))
    model.setParent(view)
    qtbot.addWidget(view)
    view.show()
    return view


def fill(view, *values):
    view.proxy.sourceModel().set_rows([RunRow(v, Path(v['run'])) for v in values])


def column(view, key):
    at = KEYS.index(key)
    return [view.proxy.index(i, at).data() for i in range(view.proxy.rowCount())]


def test_every_column_of_the_table_of_runs_is_there():
    from napari_cxr.training import run_table

    assert sorted(KEYS) == sorted(run_table.RUN_COLUMNS)


def test_numbers_sort_as_numbers_and_what_is_not_known_comes_last(view):
    fill(view, *(row(n, lr=lr) for n, lr in enumerate((1e-4, None, 1e-2, float('nan'), 0.5))))
    view.sortByColumn(KEYS.index('lr'), RISING)
    assert column(view, 'lr') == ['0.0001', '0.01', '0.5', '–', '–']
    view.sortByColumn(KEYS.index('lr'), FALLING)
    assert column(view, 'lr') == ['0.5', '0.01', '0.0001', '–', '–']


def test_numbers_within_names_sort_as_numbers(view):
    fill(view, *(row(n) for n in (10, 2, 1)))
    view.sortByColumn(0, RISING)
    assert column(view, 'run') == ['run-1', 'run-2', 'run-10']
    assert sort_key('b') > sort_key('A') and sort_key(3) < sort_key('3') and sort_key('') is None


def test_a_click_on_a_title_sorts(qtbot, view):
    fill(view, row(1, epochs=3), row(2, epochs=40), row(3, epochs=5))
    header = view.horizontalHeader()
    at = KEYS.index('epochs')
    view.scrollTo(view.proxy.index(0, at))
    x = header.sectionViewportPosition(at) + 10
    found = []
    for _ in range(2):
        qtbot.mouseClick(
            header.viewport(), Qt.MouseButton.LeftButton, pos=header.rect().center() * 0 + _at(x)
        )
        found.append(column(view, 'epochs'))
    assert sorted(found) == [['3', '5', '40'], ['40', '5', '3']]


def _at(x):
    from qtpy.QtCore import QPoint

    return QPoint(x, 8)


def test_texts_and_tooltips(view):
    fill(view, row(1, parameters=17_019_073, execution_time=268.7, val_acc=0.9124, filter=None))
    assert column(view, 'parameters') == ['17,019,073']
    assert column(view, 'execution_time') == ['4 h 29 min']
    assert column(view, 'val_acc') == ['0.9124'] and column(view, 'filter') == ['–']
    index = view.proxy.index(0, KEYS.index('val_acc'))
    assert index.data(Qt.ItemDataRole.ToolTipRole) == 'run-1: Val. acc. 0.9124'
    for i in range(len(RUN_TABLE_COLUMNS)):
        tip = view.proxy.headerData(i, Qt.Orientation.Horizontal, Qt.ItemDataRole.ToolTipRole)
        assert RUN_TABLE_COLUMNS[i].about in tip


def test_a_row_that_is_there_is_replaced(view):
    model = view.proxy.sourceModel()
    for auc in (0.7, 0.8):
        model.add_row(RunRow(row(1, val_auc=auc), Path('run-1')))
    model.add_row(RunRow(row(2, val_auc=0.75), Path('run-2')))
    assert column(view, 'val_auc') == ['0.8000', '0.7500']


def test_columns_can_be_hidden_but_the_name(view):
    view.hide_columns(['run', 'lr', 'nonsense'])
    assert view.hidden == ['lr'] and not view.isColumnHidden(0)


def test_a_thousand_runs_are_sorted_and_filtered_quickly(view):
    fill(view, *(row(n, network=f'net-{n % 7}') for n in range(1000)))
    begun = time.perf_counter()
    view.sortByColumn(0, FALLING)
    view.proxy.set_filter('net-3')
    spent = time.perf_counter() - begun
    assert view.proxy.rowCount() == 143 and column(view, 'run')[0] == 'run-997'
    assert spent < 2  # a tenth of a second on a free machine
