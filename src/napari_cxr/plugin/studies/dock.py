"""The study browser's dock: a folder or a disc, its studies, and the image on show."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from napari.components import ViewerModel
from qtpy.QtCore import QPoint, Qt, QTimer, Signal
from qtpy.QtGui import (
    QAction,
    QDragEnterEvent,
    QDropEvent,
    QKeySequence,
    QShortcut,
    QStandardItemModel,
)
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QMenu,
    QProgressBar,
    QPushButton,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_cxr import dicom
from napari_cxr.dicom.header_summary import Identity
from napari_cxr.plugin.background import Failure, JobOutcome, RunningJob, run_job
from napari_cxr.plugin.base_dock import Dock, dropped_files
from napari_cxr.plugin.docks import dock_signals, open_dock, unwrap_viewer
from napari_cxr.plugin.preferences import save_preferences
from napari_cxr.plugin.reader import last_folder, open_paths
from napari_cxr.plugin.studies.image_opener import ImageOpener
from napari_cxr.plugin.studies.listing_job import StudyListing, StudyNames
from napari_cxr.plugin.studies.study_model import StudyNode, study_rows
from napari_cxr.plugin.studies.study_view import StudyView
from napari_cxr.plugin.style import keep_space, quiet_label
from napari_cxr.plugin.widgets.recent_paths import RecentPaths
from napari_cxr.plugin.widgets.sections import fill_dock
from napari_cxr.plugin.widgets.text import ElidedLine, InlineMessage, SkippedFiles
from napari_cxr.studies.study_index import IndexDone, IndexedImage, IndexGrown
from napari_cxr.studies.study_tree import (
    BY_DATE,
    ORDERS,
    Patient,
    companion_view,
    group_studies,
    prior_image,
)

__all__ = ['StudiesDock']

#: Of more images than this the tree is made in the background.
_AT_ONCE = 500
#: Milliseconds between two looks of the tree at what has been found, and after a key of a search.
_REFRESH, _TYPING = 700, 150
_EMPTY = (
    'Open a folder of images, or the DICOMDIR of a CD, to see its patients and studies here. You '
    'can also drop one onto this dock.\n\nNothing is copied, and nothing leaves this computer.'
)


class StudiesDock(Dock):
    """The patients, studies and images of a folder or a DICOMDIR; one click opens an image.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        The viewer; a bare `ViewerModel` does as well.
    """

    #: The index of a folder has ended: all is listed, it failed, or it was stopped.
    indexed = Signal()
    #: Another tree is on show.
    sorted = Signal()

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__(unwrap_viewer(napari_viewer))
        self.setAcceptDrops(True)
        self._source: Path | None = None
        self._images: list[IndexedImage] = []
        self._patients: list[Patient] = []
        self._listing: StudyListing | None = None
        self.identities = StudyNames(self)
        self._building: RunningJob | None = None
        self._stale = False
        self.opener = ImageOpener(self.viewer, self)
        self._build()
        self._connect()

    # -- building -------------------------------------------------------------------------

    def _build(self) -> None:
        self.open_button = QPushButton('Open folder…')
        self.open_button.setObjectName('accent')
        self.open_button.setMinimumHeight(34)
        self.open_button.setToolTip('List the studies of a folder and the folders in it')
        self.more = QToolButton()
        self.more.setObjectName('more')
        self.more.setText('▾')
        self.more.setMinimumHeight(34)
        self.more.setToolTip('Open a DICOMDIR, or a folder of before')
        self.more.setAccessibleName('Open a DICOMDIR, or a folder of before')
        self.more.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.menu = QMenu(self.more)
        self.directory = QAction('Open a DICOMDIR…', self.menu)
        self.menu.addAction(self.directory)
        self.recent = RecentPaths('studies', self.menu, self._open_recent)
        self.more.setMenu(self.menu)
        self.search = QLineEdit()
        self.search.setPlaceholderText('Search')
        self.search.setClearButtonEnabled(True)
        self.search.setAccessibleName('Search studies')
        self.search.setToolTip('Words that a row must hold, such as “PA” or “DX earlier”')
        self.order = QComboBox()
        self.order.addItems(list(ORDERS))
        self.order.setAccessibleName('Order of patients')
        self.order.setToolTip('Order of patients')
        self.order.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.order.setMinimumContentsLength(8)
        self.tree = StudyView()
        self.empty = quiet_label(_EMPTY)
        self.empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        page = QWidget()
        inside = QVBoxLayout(page)
        inside.addWidget(self.empty)
        self.pages = QStackedWidget()
        self.pages.addWidget(page)
        self.pages.addWidget(self.tree)
        self.prior = QPushButton('Prior beside')
        self.prior.setToolTip('Lay the same view of the study before beside this image')
        self.other_view = QPushButton('Lateral beside')
        self.other_view.setToolTip('Lay the other view of this study beside this image')
        self.names = QCheckBox('Show names and dates')
        self.names.setToolTip(
            'Read names, numbers and dates of patients from the files and show them here, until '
            'this is switched off or napari ends. They are never written to disk.'
        )
        self.progress = QProgressBar()
        self.progress.setAccessibleName('Progress')
        self.progress.setRange(0, 100)
        self.progress.setTextVisible(False)
        self.progress.setFixedHeight(4)
        self.progress.hide()
        keep_space(self.progress)
        self.status = ElidedLine()
        self.status.setObjectName('quiet')
        self.stop = QPushButton('Stop')
        self.stop.setToolTip('Stop listing; what was found so far stays')
        self.stop.hide()
        keep_space(self.stop)
        self.message = InlineMessage()
        self.skipped = SkippedFiles(folds=True)
        fill_dock(
            self,
            _row(self.open_button, self.more, stretch=0),
            _row(self.search, self.order, stretch=0),
            self.pages,
            _row(self.prior, self.other_view),
            self.names,
            self.progress,
            _row(self.status, self.stop, stretch=0),
            self.message,
            self.skipped,
        )
        above = self.pages.parentWidget()
        layout = above.layout() if above is not None else None
        if isinstance(layout, QVBoxLayout):
            layout.setStretchFactor(self.pages, 100)
            layout.setSpacing(6)
        self._enable()

    def _connect(self) -> None:
        self.open_button.clicked.connect(self.choose_folder)
        self.directory.triggered.connect(self.choose_directory)
        self._typing = QTimer(self)
        self._typing.setSingleShot(True)
        self._typing.setInterval(_TYPING)
        self._typing.timeout.connect(self._refresh)
        self.search.textChanged.connect(self._typing.start)
        self.order.currentIndexChanged.connect(self._refresh)
        self._growing = QTimer(self)
        self._growing.setSingleShot(True)
        self._growing.setInterval(_REFRESH)
        self._growing.timeout.connect(self._refresh)
        self.tree.images_wanted.connect(lambda paths: self._open(*paths))
        self.tree.menu_wanted.connect(self._show_menu)
        self.tree.selection_changed.connect(self._enable)
        self.prior.clicked.connect(self.show_prior)
        self.other_view.clicked.connect(self.show_other_view)
        self.names.toggled.connect(self._show_names)
        self.identities.grown.connect(self._refresh)
        self._offer_dates()
        self.stop.clicked.connect(self.stop_listing)
        self.opener.shown.connect(self._opened)
        self.opener.failed.connect(self._fail)
        for key, step in (('Ctrl+PgDown', 1), ('Ctrl+PgUp', -1)):
            shortcut = QShortcut(QKeySequence(key), self)
            shortcut.setContext(Qt.ShortcutContext.WindowShortcut)
            shortcut.activated.connect(partial(self.step, step))

    # -- what is listed -------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether a folder is being listed."""
        return self._listing is not None

    @property
    def images(self) -> list[IndexedImage]:
        """All images that are known."""
        return list(self._images)

    def choose_folder(self) -> None:
        """Ask for a folder and list it."""
        chosen = QFileDialog.getExistingDirectory(self, 'Open a folder of studies', last_folder())
        if chosen:
            self.open_source(Path(chosen))

    def choose_directory(self) -> None:
        """Ask for a DICOMDIR and list it."""
        chosen, _ = QFileDialog.getOpenFileName(
            self, 'Open a DICOMDIR', last_folder(), 'DICOMDIR (DICOMDIR* dicomdir*);;All files (*)'
        )
        if chosen:
            self.open_source(Path(chosen))

    def open_source(self, source: Path) -> None:
        """List the studies of a folder or a DICOMDIR; returns at once."""
        self._drop_jobs()
        self._source = source
        self._images, self._patients = [], []
        self.tree.forget_folds()
        self.message.clear()
        self.skipped.show_files(())
        self.search.clear()
        self.recent.remember(str(source))
        save_preferences('layers', folder=str(source.parent))
        self._refresh()
        self.pages.setCurrentIndex(1)
        self.status.show_text(f'Listing {source.name}…')
        self.stop.show()
        self.progress.setRange(0, 0)
        self.progress.show()
        self._listing = StudyListing(source, self)
        self._listing.found.connect(self._grow)
        self._listing.ended.connect(self._end_listing)

    def _open_recent(self, path: str) -> None:
        self.open_source(Path(path))

    def stop_listing(self) -> None:
        """Stop listing; what was found stays."""
        if self._listing is not None:
            self._listing.stop()

    def _drop_jobs(self) -> None:
        self.identities.forget()
        if self._listing is not None:
            self._listing.drop()
            self._listing = None

    def _grow(self, event: IndexGrown | IndexDone) -> None:
        if isinstance(event, IndexGrown):
            self._images += event.images
            self.progress.setRange(0, max(event.total, 1))
            self.progress.setValue(event.done)
            self.status.show_text(
                f'{event.done:,} of {event.total:,} files, {len(self._images):,} images'
            )
            if not self._growing.isActive():
                self._growing.start()
        else:
            self._images = list(event.images)
            self.skipped.show_files(event.left_out)
            self.status.show_text(_summary(event))

    def _end_listing(self, problem: Failure | None, stopped: bool) -> None:
        self._listing = None
        self.progress.hide()
        self.stop.hide()
        if problem is not None:
            self.status.show_text('')
            self._fail(problem.text, problem.details)
        elif stopped:
            self.status.show_text(f'Stopped. {len(self._images):,} images were found so far.')
        self._growing.stop()
        self._refresh()
        if not self._images:
            none = '' if problem is not None else 'There is no image in this folder.\n\n'
            self.empty.setText(none + _EMPTY)
            self.pages.setCurrentIndex(0)
        self.indexed.emit()

    def _fail(self, text: str, details: str = '') -> None:
        self.message.show_error(text, details)

    # -- the tree -------------------------------------------------------------------------

    def _refresh(self) -> None:
        """Make the tree anew, with what is folded and chosen as it was."""
        if self._building is not None:
            self._stale = True
            return
        build = partial(
            _sorted_tree,
            tuple(self._images),
            self.order.currentText(),
            dict(self.identities.known),
            self.search.text().casefold().split(),
        )
        if len(self._images) <= _AT_ONCE:
            self._show_tree(build())
        else:  # it takes tenths of a second
            self._stale = False
            self._building = run_job(self, build, 'Sorting the studies', done=self._built)

    def _built(self, outcome: JobOutcome | Failure) -> None:
        self._building = None
        if self._stale:
            self._refresh()
        elif isinstance(outcome, JobOutcome):
            self._show_tree(outcome.result)

    def _show_tree(self, built: tuple[list[Patient], StudyNode, bool]) -> None:
        self._patients, root, searched = built
        self.tree.show_rows(root, searched)
        self._mark(self.opener.wanted)
        if self.names.isChecked() and not self.busy:
            self.identities.begin(self._patients)
        self.sorted.emit()

    def _mark(self, paths: Iterable[str]) -> None:
        """Show which images are on show."""
        self.tree.mark(paths)
        self._enable()

    # -- opening --------------------------------------------------------------------------

    @property
    def current(self) -> IndexedImage | None:
        """The image that is on show, or being opened; the left one of two."""
        path = next(iter(self.opener.wanted), None)
        return next((image for image in self._images if image.path == path), None)

    def open_first(self) -> None:
        """Show the first image of the tree."""
        first = next(iter(self.tree.images()), None)
        if first is not None:
            self._open(first.path)
            self.tree.go_to(first.path)

    def step(self, by: int) -> None:
        """Show the next image of the tree, or the one before."""
        paths = [image.path for image in self.tree.images()]
        path = next(iter(self.opener.wanted), '')
        at = paths.index(path) + by if path in paths else (0 if by > 0 else len(paths) - 1)
        if 0 <= at < len(paths):
            self._open(paths[at])
            self.tree.go_to(paths[at])

    def show_prior(self) -> None:
        """Lay the same view of the study before beside the image on show."""
        image = self.current
        other = prior_image(image, self._patients) if image is not None else None
        if image is not None and other is not None:
            self._open(image.path, other.path)

    def show_other_view(self) -> None:
        """Lay the lateral view of a study beside the frontal one on show, or the other way."""
        image = self.current
        other = companion_view(image, self._patients) if image is not None else None
        if image is not None and other is not None:
            self._open(image.path, other.path)

    def _open(self, *paths: str) -> None:
        self.message.clear()
        self.opener.open(*paths)
        self._mark(paths)

    def _opened(self, paths: list[str]) -> None:
        self._mark(paths)

    def _show_menu(self, image: IndexedImage, place: QPoint) -> None:
        menu = QMenu(self.tree)
        for text, act in (
            ('Open', partial(self._open, image.path)),
            ('Open beside the image on show', partial(self._open_beside, image.path)),
            ('Show the tags of its header', partial(self._show_tags, image.path)),
        ):
            action = menu.addAction(text)
            if action is not None:
                action.triggered.connect(lambda _=False, act=act: act())
        menu.exec(place)

    def _open_beside(self, path: str) -> None:
        first = next(iter(self.opener.wanted), path)
        self._open(*dict.fromkeys((first, path)))

    def _show_tags(self, path: str) -> None:
        open_dock(self.viewer, 'Header tags')
        dock_signals().tags_requested.emit(self.viewer, path)

    def _enable(self) -> None:
        """Let the two buttons say whether there is something to lay beside the image."""
        image = self.current
        prior = prior_image(image, self._patients) if image is not None else None
        other = companion_view(image, self._patients) if image is not None else None
        self.prior.setEnabled(prior is not None)
        self.other_view.setEnabled(other is not None)
        lateral = image is None or image.header is None or image.header.view != 'lateral'
        self.other_view.setText('Lateral beside' if lateral else 'Frontal beside')

    # -- names ----------------------------------------------------------------------------

    def _show_names(self, wanted: bool) -> None:
        self._offer_dates()
        if wanted:
            self.identities.begin(self._patients)
        else:
            self.identities.forget()
            self._refresh()

    def _offer_dates(self) -> None:
        """Let patients be sorted by date while dates are shown.

        Those in the index are shifted by other days for each patient, so they do not compare.
        """
        at, shown = self.order.findText(BY_DATE), self.names.isChecked()
        items = self.order.model()
        item = items.item(at) if isinstance(items, QStandardItemModel) else None
        if item is not None:
            item.setEnabled(shown)
        self.order.setItemData(
            at,
            '' if shown else 'Switch on “Show names and dates” to sort by date',
            Qt.ItemDataRole.ToolTipRole,
        )
        if not shown and self.order.currentIndex() == at:
            self.order.setCurrentIndex(0)

    # -- dropping -------------------------------------------------------------------------

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:
        """Accept local files and folders."""
        if event is not None and dropped_files(event):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent | None) -> None:
        """List a folder or a DICOMDIR; open other files in the viewer."""
        if event is None:
            return
        paths = [Path(path) for path in dropped_files(event)]
        sources = [path for path in paths if path.is_dir() or dicom.is_directory(path)]
        if sources:
            self.open_source(sources[0])
        others = [path for path in paths if path not in sources]
        if others:
            open_paths(self.viewer, others)


def _sorted_tree(
    images: Sequence[IndexedImage],
    order: str,
    identities: dict[str, Identity],
    words: Sequence[str],
) -> tuple[list[Patient], StudyNode, bool]:
    dates = {key: found.date for key, found in identities.items()}
    patients = group_studies(images, order, dates)
    return patients, study_rows(patients, identities, words), bool(words)


def _row(*widgets: QWidget, stretch: int | None = None) -> QWidget:
    """Return widgets beside each other; the one at `stretch` takes what is left."""
    row = QWidget()
    layout = QHBoxLayout(row)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(6)
    for number, widget in enumerate(widgets):
        layout.addWidget(widget, 1 if stretch in (None, number) else 0)
    return row


def _summary(done: IndexDone) -> str:
    """Return what was found, in one line."""
    count = len(done.images)
    parts = ['1 image' if count == 1 else f'{count:,} images']
    if done.left_out:
        parts.append(f'{len(done.left_out):,} unreadable')
    if done.others:
        parts.append(f'{done.others:,} other file{"s" * (done.others > 1)}')
    return ' · '.join(parts)
