"""Rows of the table, opened and read: table, panel, layers and reading list in step."""

from __future__ import annotations

from typing import Any

from napari.components import ViewerModel
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QFileDialog, QMainWindow, QWidget

from napari_cxr.plugin import reading_jobs
from napari_cxr.plugin.classifying import Failure
from napari_cxr.plugin.reading_keys import ReadingKeys
from napari_cxr.plugin.reading_panel import ReadingPanel
from napari_cxr.plugin.row_opener import RowOpener
from napari_cxr.plugin.score_table import ScoreTable
from napari_cxr.scoring.reading_list import ReadingList
from napari_cxr.scoring.row import Row, Run

__all__ = ['ReadingDesk']

#: Rows that are read ahead of a person who goes through the table.
_AHEAD = 3
