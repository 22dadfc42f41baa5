"""How the tables of all docks look and behave."""

from __future__ import annotations

from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView

__all__ = ['make_plain']


def make_plain(table: QTableView, name: str, *, several: bool) -> QHeaderView:
    """Let a table show whole rows quietly: no grid, no row numbers, nothing to edit.

    Parameters
    ----------
    table : QTableView
        The table.
    name : str
        What it shows, for those who hear it.
    several : bool
        Whether several rows can be selected at once.

    Returns
    -------
    QHeaderView
        The titles of its columns.
    """
    modes = QAbstractItemView.SelectionMode
    table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    table.setSelectionMode(modes.ExtendedSelection if several else modes.SingleSelection)
    table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    table.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
    table.setWordWrap(False)
    table.setShowGrid(False)
    table.setTabKeyNavigation(False)
    table.setAccessibleName(name)
    across, down = table.horizontalHeader(), table.verticalHeader()
    assert across is not None and down is not None
    across.setHighlightSections(False)
    down.hide()
    down.setDefaultSectionSize(table.fontMetrics().height() + 8)
    return across
