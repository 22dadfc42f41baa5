"""The dock that scores a folder: a row for each image, figures, and a list to read."""

from __future__ import annotations

from pathlib import Path

from napari.components import ViewerModel
from qtpy.QtCore import QEvent, QTimer
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QSizePolicy, QVBoxLayout

from napari_cxr.plugin.annotation.annotation_controller import AnnotationController
from napari_cxr.plugin.background import Failure
from napari_cxr.plugin.base_dock import Dock
from napari_cxr.plugin.batch import scoring_messages
from napari_cxr.plugin.batch.batch_jobs import TableSaved
from napari_cxr.plugin.batch.batch_layout import PanelScrollArea
from napari_cxr.plugin.batch.batch_panel import BatchPanel
from napari_cxr.plugin.batch.file_actions import ask_open_table, ask_save_table_as
from napari_cxr.plugin.batch.input_fields import name_for_images
from napari_cxr.plugin.batch.scoring_controller import ScoringController, ScoringSession
from napari_cxr.plugin.batch.scoring_messages import is_unfinished
from napari_cxr.plugin.batch.scoring_request import load_request
from napari_cxr.plugin.preferences import preferences, save_preferences
from napari_cxr.plugin.widgets.model_selector import CardDialog
from napari_cxr.scoring.input_summary import InputSummary

__all__ = ['BatchDock']

#: How long changes gather before the images are looked at again, in milliseconds.
_PAUSE = 200
#: Pixels that the dock is wide at least.
_NARROWEST = 320


class BatchDock(Dock):
    """Choose a folder; score it; watch rows arrive; read them.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        The viewer; a bare `ViewerModel` does as well.
    """

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__(napari_viewer)
        self.session = ScoringSession(self)
        self._build()
        self.desk = AnnotationController(self.viewer, self.panel.table, self.panel.reading, self)
        self.course = ScoringController(self.panel, self.session, self.desk, self)
        self._connect()
        self._recall()
        self._update()
        self._look()

    def _build(self) -> None:
        self.panel = BatchPanel(self.viewer.theme)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(PanelScrollArea(self.panel))
        self.setMinimumWidth(_NARROWEST)
        # napari fills up a dock in which nothing wants its height.
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        self.setAcceptDrops(True)
        self._score_wanted = False  # as soon as the images were looked at
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(_PAUSE)

    def _connect(self) -> None:
        panel, session = self.panel, self.session
        self._later.timeout.connect(self._look)
        panel.setup.changed.connect(self._update)
        panel.head.toggled.connect(self._update)
        panel.setup.look_wanted.connect(self._look_later)
        panel.setup.card_wanted.connect(self.show_card)
        panel.start.clicked.connect(self.score)
        panel.open_wanted.connect(self.choose_table)
        panel.again.wanted.connect(self.open_table)
        panel.progress.stop_wanted.connect(self.stop)
        panel.progress.resume_wanted.connect(self.resume)
        panel.progress.save_wanted.connect(self.save_as)
        panel.metrics.measure_wanted.connect(self.measure)
        panel.metrics.stop_wanted.connect(self.stop)
        session.started.connect(self._update)
        session.ended.connect(self._ended)
        session.looked.connect(self._looked)
        session.counted.connect(panel.setup.take_count)
        session.saved.connect(self._saved)
        panel.saved.train_wanted.connect(self.desk.train)
        self.desk.saved.connect(panel.saved.show_saved)
        self.desk.failed.connect(panel.message.show_error)
        self.desk.opening.connect(self._forget_row)
        self.desk.labelled.connect(self._offer_measuring)
        self.desk.busy.connect(lambda words: panel.opening.setText(words and f'{words}…'))

    @property
    def busy(self) -> bool:
        """Whether a job is under way."""
        return bool(self.session.job)

    # -- what the person does -----------------------------------------------------------

    def score(self) -> None:
        """Score what is chosen, or go on with the table that is named; returns at once.

        Labels that lie in the images are the run's, so it begins when they were looked at.
        """
        request = self.panel.setup.request()
        if self.busy or request is None:
            return
        if self.panel.setup.is_looking:
            self._score_wanted = True
            self._update()
            return
        self.panel.message.clear()
        self.panel.setup.keep()
        save_preferences('batch', table=request.out)
        self.course.score(request, resume=self.panel.setup.resumes)

    def stop(self) -> None:
        """Stop now; every row that is done is kept."""
        self.session.cancel()

    def resume(self) -> None:
        """Go on with the table on show."""
        request = self.course.request
        if self.busy or request is None:
            return
        self.panel.message.clear()
        self.panel.setup.show_request(request)
        self.course.score(request, resume=True)

    def open_table(self, path: str) -> None:
        """Show a table that was made earlier, also one that is not finished."""
        if self.busy:
            self.panel.message.show_error('Stop scoring first, or wait until it has ended.')
            return
        self.panel.message.clear()
        self.course.open(path)

    def choose_table(self) -> None:
        """Ask for a table that was made earlier."""
        path = ask_open_table(self, self.course.out or self.panel.setup.target.path)
        if path:
            self.open_table(path)

    def save_as(self) -> None:
        """Ask for another name or form, and write the table on show again."""
        path, problem = ask_save_table_as(self, self.course.out, self.course.done)
        if problem:
            self.panel.message.show_error(problem)
        elif path:
            self.session.save_as(self.course.out, path)

    def measure(self) -> None:
        """Measure the table on show by the labels that the person gave."""
        truths = self.desk.truths()
        if not self.busy and truths:
            self.course.measure(truths)

    def show_card(self) -> CardDialog | None:
        """Open the card of the chosen model in a window of its own."""
        card = self.panel.setup.current_card
        if card is None:
            self.panel.message.show_error('Its card comes with its download, at the first use.')
            return None
        dialog = CardDialog(card, self)
        dialog.show()
        return dialog

    # -- what follows ---------------------------------------------------------------------

    def _look_later(self) -> None:
        self._later.start()
        if self._score_wanted:  # what was asked for is being changed
            self._score_wanted = False
            self._update()

    def _look(self) -> None:
        setup = self.panel.setup
        if setup.images.paths:
            self.session.look(setup.images.paths, setup.target.path, counts=setup.counts)

    def _looked(self, looked: InputSummary) -> None:
        wanted, self._score_wanted = self._score_wanted, False
        self.panel.setup.take_look(looked)
        if wanted:
            self._update()
            self.score()
        elif not self.panel.setup.reason:
            self.session.get_ready()

    def _ended(self) -> None:
        self._update()
        self._later.start()
        self.settled.emit()

    def _saved(self, result: TableSaved | Failure) -> None:
        if isinstance(result, Failure):
            self.panel.message.show_error(result.text, result.details)
        else:
            self.panel.tell(scoring_messages.saved_message(result.path, result.rows, result.total))

    def _recall(self) -> None:
        """Offer to go on with what was under way, or on show, when napari was closed."""
        chosen = preferences('batch')
        self.panel.again.offer(chosen.shown)
        request = load_request(chosen.table) if is_unfinished(chosen.table) else None
        if request is not None and request.paths:
            self.panel.setup.show_request(request)

    def _update(self) -> None:
        """Make the button, and what stands beside the folded setup, say what can be done."""
        setup, panel = self.panel.setup, self.panel
        reason = 'A job is under way.' if self.busy else setup.reason
        name = 'Resume' if setup.resumes else 'Score'
        if self._score_wanted:
            name = reason = 'Looking at the images…'
        panel.start.setText(name)
        panel.start.setEnabled(not reason)
        panel.start.setToolTip(reason or 'Score the images into a table with a row for each')
        for button in (panel.open, panel.again):
            button.setEnabled(not self.busy)
        setup.setEnabled(not self.busy)
        self._name_what_is_on_show()
        # Where the form is open and says Resume too, one such button is enough.
        asked = self.course.request
        same = setup.resumes and asked is not None and setup.target.path == asked.out
        panel.progress.let_resume(not (same and panel.head.is_open))
        self._offer_measuring()

    def _name_what_is_on_show(self) -> None:
        """Name images and table that belong together: of the run, of the rows, or to come."""
        setup, course = self.panel.setup, self.course
        images, table = setup.images.name, setup.target.path
        if self.session.job != 'score' and course.run is not None:
            images = name_for_images(course.request.paths) if course.request is not None else ''
            table = course.out
        name = Path(table).name
        words = f'{images} → {name}' if images else name if course.run is not None else ''
        self.panel.head.set_summary(words)

    def _offer_measuring(self) -> None:
        """Offer figures by the labels that the person gave, if there are any."""
        reading = self.desk.reading
        given = reading is not None and any(one.answer == 'labels' for _, one in reading)
        self.panel.metrics.offer_measuring(given and not self.busy)

    def _forget_row(self, problem: str) -> None:
        """Take away what was said of the row before."""
        if problem and self.panel.message.text == problem:
            self.panel.message.clear()

    # -- Qt -------------------------------------------------------------------------------

    def event(self, event: QEvent | None) -> bool:
        """Let go of everything when napari takes the dock away: nobody may see it again.

        Where something was missing, look again when the person comes back to napari.
        """
        done = super().event(event)
        kind = event.type() if event is not None else QEvent.Type.None_
        if kind == QEvent.Type.ParentChange and self.parent() is None:
            self.session.stop_looking()
            self.session.cancel()
            self.desk.leave()
        elif kind == QEvent.Type.WindowActivate and self.panel.setup.reason:
            self._later.start()  # what was missing may have been put there meanwhile
        return done

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:
        """Take folders and files that are dragged here."""
        if event is not None and not self.busy and _dropped(event):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent | None) -> None:
        """Score what was dropped."""
        paths = _dropped(event) if event is not None else []
        if paths:
            self.panel.head.set_open(True)
            self.panel.setup.set_images(*paths)

    def set_theme(self, theme: str) -> None:
        """Let the table and the figures take the colours of a theme."""
        self.panel.set_theme(theme)


def _dropped(event: QDropEvent) -> list[str]:
    """Return the files and folders that are dragged, if all are on this machine."""
    mime = event.mimeData()
    urls = mime.urls() if mime is not None else []
    return [url.toLocalFile() for url in urls] if all(u.isLocalFile() for u in urls) else []
