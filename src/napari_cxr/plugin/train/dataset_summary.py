"""A data set in numbers and sentences: images by class, source and split, and what follows."""

from __future__ import annotations

import math
import os.path
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QHeaderView,
    QTreeWidget,
    QTreeWidgetItem,
    QWidget,
)

from napari_cxr.plugin.widgets.text import plain_tip
from napari_cxr.training.dataset_survey import Survey

if TYPE_CHECKING:
    from napari_cxr.plugin.train.training_controllers import RecipeController

__all__ = [
    'ClassTable',
    'ImageCounts',
    'association_sentence',
    'baseline_sentence',
    'image_counts',
    'one_sided_sentences',
    'relative_names',
    'source_table',
    'training_advice',
    'training_obstacle',
]

#: Columns of the counts: the splits, images that cannot be split, and those left out.
SPLITS = ('train', 'val', 'test')

_UNSPLIT, _OUT = 3, 4

#: A source is flagged if this fraction of its images, at least so many, is of one class.
_ONE_SIDED_FRACTION, _FEWEST_IMAGES = 0.9, 10

UNKNOWN_SOURCE = 'unknown source'


@dataclass(frozen=True, eq=False)
class ImageCounts:
    """Images by class, source and split.

    Parameters
    ----------
    labels, sources : tuple of str
        K classes and S sources.
    table : ndarray of int, shape (K, S, 5)
        Images in train, val and test; those that would be used but cannot be split; and those
        that are left out. An image with several labels counts for each of them.
    totals : ndarray of int, shape (5,)
        Images, each counted once.
    """

    labels: tuple[str, ...]
    sources: tuple[str, ...]
    table: np.ndarray
    totals: np.ndarray


def _sources(survey: Survey) -> tuple[tuple[str, ...], np.ndarray]:
    """Return the names of the sources, the largest first, and the index of each image's."""
    names = [source or UNKNOWN_SOURCE for source in survey.sources]
    sizes = Counter(names)
    ordered = sorted(sizes, key=lambda name: (-sizes[name], name))
    number = {name: i for i, name in enumerate(ordered)}
    return tuple(ordered), np.array([number[name] for name in names], dtype=int)


def image_counts(survey: Survey, out: np.ndarray) -> ImageCounts:
    """Count images.

    Parameters
    ----------
    survey : Survey
        The data set.
    out : ndarray of bool, shape (n,)
        Images that are currently left out.
    """
    sources, which = _sources(survey)
    numbers = {name: i for i, name in enumerate(SPLITS)}
    elsewhere = _OUT if any(survey.splits) else _UNSPLIT
    split = np.array([numbers.get(name, elsewhere) for name in survey.splits], dtype=int)
    split[np.asarray(out, bool)] = _OUT
    table = np.zeros((len(survey.labels), len(sources), _OUT + 1), dtype=int)
    for k in range(len(survey.labels)):
        mine = np.asarray(survey.truth[:, k], bool)
        np.add.at(table[k], (which[mine], split[mine]), 1)
    return ImageCounts(survey.labels, sources, table, np.bincount(split, minlength=_OUT + 1))


def source_table(counts: ImageCounts) -> tuple[np.ndarray, np.ndarray]:
    """Return the used images by source and class, and the cells that reveal a class.

    Returns
    -------
    ndarray of int, shape (S, K)
        Counts.
    ndarray of bool, shape (S, K)
        True where at least 90 % of a source's ten or more images are of one class, although
        that class is less than 90 % of all images.
    """
    used = counts.table[:, :, :_OUT].sum(axis=2).T
    of_source = used.sum(axis=1, keepdims=True)
    overall = used.sum(axis=0) / max(used.sum(), 1)
    flags = (
        (used >= _ONE_SIDED_FRACTION * of_source)
        & (of_source >= _FEWEST_IMAGES)
        & (overall < _ONE_SIDED_FRACTION)
    )
    return used, flags & (used > 0) & (len(counts.sources) > 1)


def one_sided_sentences(flags: np.ndarray, counts: ImageCounts) -> dict[tuple[int, int], str]:
    """Return a sentence for each flagged cell of the table of sources."""
    return {
        (int(s), int(k)): (
            f'Nearly all images of {counts.sources[s]} are {counts.labels[k]}, so a model can '
            'predict the class by recognising the source.'
        )
        for s, k in np.argwhere(flags)
    }


def association_sentence(survey: Survey) -> str:
    """Return how much the source reveals about the class."""
    value = survey.association
    if not any(survey.sources):
        return 'The sources are not known, so it cannot be said whether they reveal the class.'
    if math.isnan(value):
        return 'All images are from one source, so results may hold for this source only.'
    how = (
        'nearly nothing' if value < 0.1 else
        'a little' if value < 0.3 else
        'much' if value < 0.6 else
        'nearly everything'
    )  # fmt: skip
    return (
        f'The source reveals {how} about the class: Cramér’s V is {value:.2f} (0: no association, '
        '1: complete).'
    )


def baseline_sentence(baselines: dict[str, tuple[float, float, float]]) -> str:
    """Return what a model must exceed."""
    known = {name: interval for name, interval in baselines.items() if np.isfinite(interval).all()}
    if not known:
        return (
            'There are too few images to estimate what a classifier that sees no anatomy would '
            'reach. Add images before you trust any result.'
        )
    name, (value, low, high) = max(known.items(), key=lambda item: item[1][0])
    return (
        f'A classifier that sees no anatomy ({name}) reaches an area under the curve of '
        f'{value:.2f} ({low:.2f} to {high:.2f}); chance is 0.50. A model must clearly exceed '
        f'{high:.2f} before its results say anything about lungs.'
    )


def relative_names(paths: Sequence[str]) -> list[str]:
    """Return paths relative to their common folder."""
    plain = [path.replace('\\', '/') for path in paths]
    if not plain or not all(os.path.isabs(path) for path in paths):
        return plain
    folders = {path.rpartition('/')[0] for path in plain}
    shared = os.path.commonpath(list(folders)) if len(folders) > 1 else ''
    if not shared:  # all in one folder, so the file names suffice
        return [path.rpartition('/')[2] for path in plain]
    return [os.path.relpath(path, shared).replace('\\', '/') for path in plain]


_CLASS_HEADERS = ('Class', 'Train', 'Val', 'Test', 'Out', 'All')

_CLASS_TIPS = (
    'Click the arrow before a class to see its sources',
    'Images on which the network is trained',
    'Validation: images by which the best epoch is chosen',
    'Images on which the result is measured',
    'Images that you or the recipe left out',
    'All images',
)

#: Columns of the splits, and of what is left out.
_SPLIT_COLUMNS, _OUT_COLUMN = range(1, 4), 4

_MOST_CLASS_ROWS = 13


class ClassTable(QTreeWidget):
    """Shows counts; a class expands into its sources.

    Parameters
    ----------
    parent : QWidget, optional
        Qt parent.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setColumnCount(len(_CLASS_HEADERS))
        self.setHeaderLabels(list(_CLASS_HEADERS))
        head = self.headerItem()
        for column, tip in enumerate(_CLASS_TIPS):
            if head is not None:
                head.setToolTip(column, tip)
                side = Qt.AlignmentFlag.AlignLeft if not column else Qt.AlignmentFlag.AlignRight
                head.setTextAlignment(column, side | Qt.AlignmentFlag.AlignVCenter)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setUniformRowHeights(True)
        self.setStyleSheet('QTreeView::item { padding: 2px 0; }')
        self.setIndentation(14)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setAccessibleName('Images by class, source and split')
        self.setToolTip('Images of each class in each split; expand a class for its sources')
        self.setMinimumWidth(220)
        header = self.header()
        if header is not None:
            header.setStretchLastSection(False)
            header.setMinimumSectionSize(24)
            header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
            for column in range(1, len(_CLASS_HEADERS)):
                header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        self.itemExpanded.connect(self._fit_height)
        self.itemCollapsed.connect(self._fit_height)

    def show_counts(self, counts: ImageCounts) -> None:
        """Show counts; expanded classes stay expanded."""
        expanded = {item.text(0) for item in self._classes() if item.isExpanded()}
        self.clear()
        several = len(counts.sources) > 1
        for k, label in enumerate(counts.labels):
            row = _tree_item(label, counts.table[k].sum(axis=0), bold=True)
            self.addTopLevelItem(row)
            for s, source in enumerate(counts.sources if several else ()):
                if counts.table[k, s].any():
                    row.addChild(_tree_item(source, counts.table[k, s]))
            row.setExpanded(label in expanded)
        every = _tree_item('All images', counts.totals)
        every.setToolTip(
            0, 'Each image counted once, although one with several labels is in several rows'
        )
        self.addTopLevelItem(every)
        for column in _SPLIT_COLUMNS:  # hidden if there are no splits
            self.setColumnHidden(column, not counts.totals[:3].any())
        self.setColumnHidden(_OUT_COLUMN, not counts.totals[4])
        self._fit_height()

    def showEvent(self, event: QShowEvent | None) -> None:
        """Fit the height to the font."""
        super().showEvent(event)
        self._fit_height()

    def _classes(self) -> Sequence[QTreeWidgetItem]:
        found = (self.topLevelItem(i) for i in range(self.topLevelItemCount()))
        return [item for item in found if item is not None]

    def _fit_height(self) -> None:
        rows = sum(1 + (i.childCount() if i.isExpanded() else 0) for i in self._classes())
        height = self.sizeHintForRow(0)
        header = self.header()
        top = header.sizeHint().height() if header is not None else 0
        self.setFixedHeight(top + min(rows, _MOST_CLASS_ROWS) * height + 4)


def _tree_item(name: str, counts: np.ndarray, bold: bool = False) -> QTreeWidgetItem:
    train, val, test, _, out = counts
    numbers = [train, val, test, out, counts.sum()]
    item = QTreeWidgetItem([name, *(f'{n:,}'.replace(',', '\u2009') for n in numbers)])
    item.setToolTip(0, plain_tip(name))
    for column in range(len(numbers) + 1):
        if column:
            item.setTextAlignment(
                column, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
            )
        if bold:
            font = item.font(column)
            font.setBold(True)
            item.setFont(column, font)
    return item


def training_obstacle(survey: Survey | None, splits_are_equal: bool) -> str:
    """Return why nothing can be trained, because the images cannot be split; else ''.

    Parameters
    ----------
    survey : Survey or None
        The survey of the images; None while unknown.
    splits_are_equal : bool
        Whether all runs of the plan split the images as the recipe does.
    """
    if survey is None or any(survey.splits) or not splits_are_equal:
        return ''
    return f'{_found_text(survey)}, but they cannot be split for training; see Images.'


def training_advice(survey: Survey | None, controller: RecipeController) -> str:
    """Return what was found, how it is split, and what the plan makes of it."""
    if survey is None:
        return ''
    if not any(survey.splits):
        return training_obstacle(survey, controller.splits_are_equal) or (
            f'{_found_text(survey)}, but they cannot be split by the settings below; see Images. '
            'Only runs of the sweep that split them differently will train.'
        )
    left = sum(bool(split) for split in survey.splits)
    found = f'{left:,} images, {len(survey.labels)} classes, split {survey.split_kind}.'
    if controller.sweep is not None:
        runs = f'{len(controller.sweep.runs)} runs' if controller.sweep.runs else 'Several runs'
        found += f' {runs}; changes under Settings apply to each of them.'
    return found


def _found_text(survey: Survey) -> str:
    left = len(survey.paths) - int(survey.excluded.sum())
    return f'{left:,} images, {len(survey.labels)} classes'
