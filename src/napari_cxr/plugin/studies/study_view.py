"""The tree of studies on screen: what is folded and selected, and which thumbnails are in view."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from qtpy.QtCore import QModelIndex, QPoint, Qt, QTimer, Signal
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTreeView, QWidget

from napari_cxr.plugin.score_table.thumbnails import ThumbnailCache
from napari_cxr.plugin.studies.study_model import StudyModel, StudyNode
from napari_cxr.studies.study_index import IndexedImage

__all__ = ['StudyView']

#: With more patients than this the tree opens with all of them folded.
_UNFOLDED = 12
#: Milliseconds from the last scrolling to a look at which thumbnails are needed.
_LOOKING = 80


class StudyView(QTreeView):
    """Shows patients, studies and images, and says which images a click wants.

    Parameters
    ----------
    parent : QWidget, optional
        Qt parent.
    """

    #: One image was clicked, or two are selected: their paths.
    images_wanted = Signal(list)
    #: The menu of an image is wanted: the image, and where on the screen.
    menu_wanted = Signal(object, QPoint)
    #: Other rows are selected.
    selection_changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.thumbnails = ThumbnailCache(self)
        self.rows = StudyModel(self.thumbnails.get, self)
        self._folds: dict[str, bool] = {}
        self.setModel(self.rows)
        self.setAccessibleName('Studies')
        self.setHeaderHidden(True)
        self.setIndentation(14)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.setMinimumHeight(220)
        header = self.header()
        if header is not None:
            header.setStretchLastSection(False)
            header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
            header.setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)
        self._looking = QTimer(self)
        self._looking.setSingleShot(True)
        self._looking.setInterval(_LOOKING)
        self._looking.timeout.connect(self._request_thumbnails)
        self.thumbnails.ready.connect(self._repaint)
        self.clicked.connect(self._choose)
        self.activated.connect(self._choose)
        self.customContextMenuRequested.connect(self._ask_menu)
        for moved in (self.expanded, self.collapsed):
            moved.connect(self._looking.start)
        self.expanded.connect(partial(self._remember_fold, True))
        self.collapsed.connect(partial(self._remember_fold, False))
        bar = self.verticalScrollBar()
        if bar is not None:
            bar.valueChanged.connect(self._looking.start)
        selection = self.selectionModel()
        if selection is not None:
            selection.selectionChanged.connect(lambda *_: self.selection_changed.emit())

    def images(self) -> list[IndexedImage]:
        """Return the images of the tree, from the top, in folded rows too."""
        return [node.image for node in self.rows.root.images() if node.image is not None]

    def show_rows(self, root: StudyNode, searched: bool) -> None:
        """Show another tree, with what is folded and selected as it was.

        Parameters
        ----------
        root : StudyNode
            See `study_rows`.
        searched : bool
            Whether it is what a search has left, which is unfolded.
        """
        chosen = {node.key for node in self._selected()}
        self.rows.set_root(root)
        self.blockSignals(True)
        try:
            self._unfold(root, searched or len(root.children) <= _UNFOLDED)
            if chosen:
                self._select(chosen)
        finally:
            self.blockSignals(False)
        self._looking.start()

    def forget_folds(self) -> None:
        """Forget what was folded: another folder will be shown."""
        self._folds = {}

    def mark(self, paths: Iterable[str]) -> None:
        """Mark the images that are on show."""
        self.rows.set_shown(paths)
        self._repaint()

    def go_to(self, path: str) -> None:
        """Select the row of an image, and bring it into view."""
        for node in self.rows.root.images():
            if node.image is not None and node.image.path == path:
                index = self.rows.index_of(node)
                self.scrollTo(index)
                self.setCurrentIndex(index)
                return

    def _choose(self, index: QModelIndex) -> None:
        """Ask for an image, or for the two that are selected; of a study for its first one."""
        wanted = _first_image(self.rows.node(index))
        chosen = list(dict.fromkeys(filter(None, map(_first_image, self._selected()))))
        if len(chosen) == 2 and wanted in chosen:
            self.images_wanted.emit(chosen)
        elif wanted and len(chosen) <= 1:
            self.images_wanted.emit([wanted])

    def _ask_menu(self, place: QPoint) -> None:
        image = self.rows.node(self.indexAt(place)).image
        viewport = self.viewport()
        if image is not None and viewport is not None:
            self.menu_wanted.emit(image, viewport.mapToGlobal(place))

    def _unfold(self, above: StudyNode, few: bool) -> None:
        for node in above.children:
            usual = few or node.parent is not self.rows.root
            if node.children and self._folds.get(node.key, usual):
                self.expand(self.rows.index_of(node))
                self._unfold(node, few)

    def _remember_fold(self, unfolded: bool, index: QModelIndex) -> None:
        node = self.rows.node(index)
        self._folds[node.key] = unfolded
        if unfolded:
            self.blockSignals(True)
            self._unfold(node, True)
            self.blockSignals(False)

    def _select(self, keys: set[str]) -> None:
        selection = self.selectionModel()
        if selection is None:
            return
        flags = selection.SelectionFlag
        for node in self.rows.root.images():
            if node.key in keys:
                selection.select(self.rows.index_of(node), flags.Select | flags.Rows)

    def _selected(self) -> list[StudyNode]:
        """Return the rows that are selected, in the order in which they were."""
        selection = self.selectionModel()
        chosen = selection.selectedRows() if selection is not None else []
        return [self.rows.node(index) for index in chosen]

    def _request_thumbnails(self) -> None:
        viewport = self.viewport()
        if viewport is None or not self.isVisible():
            self.thumbnails.request([])
            return
        index, paths = self.indexAt(QPoint(0, 0)), []
        while index.isValid():
            if self.visualRect(index).top() > viewport.height():
                break
            node = self.rows.node(index)
            if node.image is not None:
                paths.append(node.image.path)
            index = self.indexBelow(index)
        self.thumbnails.request(paths)

    def _repaint(self) -> None:
        viewport = self.viewport()
        if viewport is not None:
            viewport.update()


def _first_image(node: StudyNode) -> str:
    """Return the path of a row's image, or of the first one below it."""
    first = next(iter(node.images()), None)
    return first.image.path if first is not None and first.image is not None else ''
