"""The dock that scores a folder: a table of scores, metrics, and annotation."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from napari.components import ViewerModel
from qtpy.QtCore import QEvent, QTimer
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QSizePolicy, QVBoxLayout

from napari_cxr.plugin.annotation.annotation_controller import AnnotationController
from napari_cxr.plugin.annotation.readers_controller import ReadersController
from napari_cxr.plugin.background import Failure
from napari_cxr.plugin.base_dock import Dock, dropped_files
from napari_cxr.plugin.batch import scoring_messages
from napari_cxr.plugin.batch.batch_jobs import TableSaved
from napari_cxr.plugin.batch.batch_layout import PanelScrollArea
from napari_cxr.plugin.batch.batch_panel import BatchPanel
from napari_cxr.plugin.batch.file_actions import ask_open_table, ask_save_table_as
from napari_cxr.plugin.batch.input_fields import name_for_images
from napari_cxr.plugin.batch.scoring_controller import ScoringController, ScoringSession
from napari_cxr.plugin.batch.scoring_messages import is_unfinished
from napari_cxr.plugin.batch.scoring_request import load_request
from napari_cxr.plugin.docks import dock_signals, is_same_viewer
from napari_cxr.plugin.preferences import preferences, save_preferences
from napari_cxr.plugin.score_table.sort_filter import RowFilter
from napari_cxr.plugin.widgets.model_selector import CardDialog
from napari_cxr.scoring.scoring_checks import InputSummary

__all__ = ['BatchDock']

#: Delay after a change before the input is scanned again, in milliseconds.
_PAUSE = 200
#: Minimum width of the dock in pixels.
_NARROWEST = 320


class BatchDock(Dock):
    """Score a folder, watch the rows arrive, and annotate them.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        The viewer; a bare `ViewerModel` does as well.
    """

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__(napari_viewer)
        self.session = ScoringSession(self)
        self._build()
        self.annotation = AnnotationController(
            self.viewer, self.panel.table, self.panel.annotation, self
        )
        self.readers = ReadersController(
            self.annotation, self.panel.table, self.panel.annotation, self.panel.agreement, self
        )
        self.controller = ScoringController(self.panel, self.session, self.annotation, self)
        self._connect()
        self._restore_last()
        self._update()
        self._scan()

    def _build(self) -> None:
        self.panel = BatchPanel(self.viewer.theme)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(PanelScrollArea(self.panel))
        self.setMinimumWidth(_NARROWEST)
        # napari pads docks in which nothing expands vertically.
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        self.setAcceptDrops(True)
        self._score_wanted = False  # as soon as the input has been scanned
        self._scan_timer = QTimer(self)
        self._scan_timer.setSingleShot(True)
        self._scan_timer.setInterval(_PAUSE)

    def _connect(self) -> None:
        panel, session = self.panel, self.session
        self._scan_timer.timeout.connect(self._scan)
        panel.setup.changed.connect(self._update)
        panel.head.toggled.connect(self._update)
        panel.setup.scan_wanted.connect(self._scan_later)
        panel.setup.card_wanted.connect(self.show_card)
        panel.start.clicked.connect(self.score)
        panel.open_wanted.connect(self.choose_table)
        panel.reopen.wanted.connect(self.open_table)
        panel.progress.stop_wanted.connect(self.stop)
        panel.progress.resume_wanted.connect(self.resume)
        panel.progress.save_wanted.connect(self.save_as)
        panel.metrics.measure_wanted.connect(self.measure)
        panel.metrics.doubtful_wanted.connect(self.controller.include_doubtful)
        panel.metrics.stop_wanted.connect(self.stop)
        session.started.connect(self._update)
        session.ended.connect(self._ended)
        session.input_scanned.connect(self._show_scan)
        session.images_counted.connect(panel.setup.show_count)
        session.saved.connect(self._saved)
        panel.saved.train_wanted.connect(self.annotation.train)
        self.annotation.saved.connect(panel.saved.show_saved)
        self.annotation.failed.connect(panel.message.show_error)
        self.annotation.noted.connect(panel.show_message)
        self.annotation.blinded_changed.connect(panel.hide_metrics)
        self.annotation.resolved.connect(self._clear_row_message)
        self.annotation.labelled.connect(self._offer_measuring)
        dock_signals().rows_requested.connect(self._rows_wanted)
        self.annotation.busy.connect(lambda text: panel.activity.setText(text and f'{text}…'))

    @property
    def busy(self) -> bool:
        """Whether a job is running."""
        return bool(self.session.job)

    # -- actions -------------------------------------------------------------------------

    def score(self) -> None:
        """Start or resume the run that the setup describes; returns at once.

        The run starts after the input has been scanned, because its sub-folders or table may
        give labels.
        """
        request = self.panel.setup.request()
        if self.busy or request is None:
            return
        if self.panel.setup.is_scanning:
            self._score_wanted = True
            self._update()
            return
        self.panel.message.clear()
        self.panel.setup.remember()
        save_preferences('batch', table=request.out)
        self.controller.score(request, resume=self.panel.setup.will_resume)

    def stop(self) -> None:
        """Stop now; finished rows are kept."""
        self.session.cancel()

    def resume(self) -> None:
        """Resume the run of the table that is shown."""
        request = self.controller.request
        if self.busy or request is None:
            return
        self.panel.message.clear()
        self.panel.setup.show_request(request)
        self.controller.score(request, resume=True)

    def open_table(self, path: str) -> None:
        """Open an existing table, finished or not."""
        if self.busy:
            self.panel.message.show_error('Stop scoring first, or wait until it is finished.')
            return
        self.panel.message.clear()
        self.controller.open(path)

    def _rows_wanted(
        self, viewer: ViewerModel, table: str, paths: Sequence[str], title: str
    ) -> None:
        if not is_same_viewer(viewer, self.viewer):
            return
        wanted = RowFilter(only=frozenset(paths), only_title=title)
        if os.path.abspath(table) == self.controller.out and not self.busy:
            self.panel.table.show_only(wanted)
        elif self.busy:
            self.open_table(table)  # which says why it cannot
        else:
            self.panel.message.clear()
            self.controller.open(table, wanted)

    def choose_table(self) -> None:
        """Ask for an existing table, and open it."""
        path = ask_open_table(self, self.controller.out or self.panel.setup.target.path)
        if path:
            self.open_table(path)

    def save_as(self) -> None:
        """Ask for another name or format, and save a copy of the table."""
        path, problem = ask_save_table_as(self, self.controller.out, self.controller.done)
        if problem:
            self.panel.message.show_error(problem)
        elif path:
            self.session.save_as(self.controller.out, path)

    def measure(self) -> None:
        """Compute metrics of the table by the labels that the user gave."""
        labels = self.annotation.labels()
        if not self.busy and labels:
            self.controller.measure(labels)

    def show_card(self) -> CardDialog | None:
        """Open the card of the chosen model in a separate window."""
        card = self.panel.setup.current_card
        if card is None:
            self.panel.message.show_error(
                'This model has no card yet: it is downloaded at its first use.'
            )
            return None
        dialog = CardDialog(card, self)
        dialog.show()
        return dialog

    # -- reactions -----------------------------------------------------------------------

    def _scan_later(self) -> None:
        self._scan_timer.start()
        if self._score_wanted:  # the request is being changed
            self._score_wanted = False
            self._update()

    def _scan(self) -> None:
        setup = self.panel.setup
        if setup.images.paths:
            self.session.scan_input(setup.images.paths, setup.target.path, count=setup.needs_count)

    def _show_scan(self, summary: InputSummary) -> None:
        wanted, self._score_wanted = self._score_wanted, False
        self.panel.setup.show_scan(summary)
        if wanted:
            self._update()
            self.score()
        elif not self.panel.setup.reason:
            self.session.start_process()

    def _ended(self) -> None:
        self._update()
        self._scan_timer.start()
        self.settled.emit()

    def _saved(self, result: TableSaved | Failure) -> None:
        if isinstance(result, Failure):
            self.panel.message.show_error(result.text, result.details)
        else:
            self.panel.show_message(
                scoring_messages.saved_message(result.path, result.rows, result.total)
            )

    def _restore_last(self) -> None:
        """Offer to resume the last run, and to reopen the last table."""
        chosen = preferences('batch')
        self.panel.reopen.offer(chosen.shown)
        request = load_request(chosen.table) if is_unfinished(chosen.table) else None
        if request is not None and request.paths:
            self.panel.setup.show_request(request)

    def _update(self) -> None:
        """Update the buttons, and the summary beside the title of the setup."""
        setup, panel = self.panel.setup, self.panel
        reason = 'A job is running.' if self.busy else setup.reason
        name = 'Resume' if setup.will_resume else 'Score'
        if self._score_wanted:
            name = reason = 'Scanning the images…'
        panel.start.setText(name)
        panel.start.setEnabled(not reason)
        panel.start.setToolTip(
            reason or 'Score the images into a table with a row for each of them'
        )
        for button in (panel.open, panel.reopen):
            button.setEnabled(not self.busy)
        setup.setEnabled(not self.busy)
        self._update_summary()
        # One button is enough where the open setup offers Resume too.
        request = self.controller.request
        same = setup.will_resume and request is not None and setup.target.path == request.out
        panel.progress.enable_resume(not (same and panel.head.is_open))
        self._offer_measuring()

    def _update_summary(self) -> None:
        """Name images and table beside the title, always those that belong together."""
        setup, controller = self.panel.setup, self.controller
        images, table = setup.images.name, setup.target.path
        if self.session.job != 'score' and controller.run is not None:
            images = (
                name_for_images(controller.request.paths) if controller.request is not None else ''
            )
            table = controller.out
        name = Path(table).name
        text = f'{images} → {name}' if images else name if controller.run is not None else ''
        self.panel.head.set_summary(text)

    def _offer_measuring(self) -> None:
        """Offer metrics by the labels that the user gave, if there are any."""
        reading = self.annotation.annotations
        given = reading is not None and any(one.answer == 'labels' for _, one in reading)
        self.panel.metrics.offer_measuring(given, busy=self.busy)

    def _clear_row_message(self, problem: str) -> None:
        """Clear the message about the previous row."""
        if problem and self.panel.message.text == problem:
            self.panel.message.clear()

    def release(self) -> None:
        """Cancel all jobs and close the labels, as when napari removes the dock."""
        self._scan_timer.stop()
        self.session.stop_scan()
        self.session.cancel()
        self.annotation.close()

    # -- Qt -------------------------------------------------------------------------------

    def event(self, event: QEvent | None) -> bool:
        """Stop everything when napari removes the dock, which may never be shown again.

        Scan the input again when the window is activated and something was missing.
        """
        done = super().event(event)
        kind = event.type() if event is not None else QEvent.Type.None_
        if kind == QEvent.Type.ParentChange and self.parent() is None:
            self.release()
        elif kind == QEvent.Type.WindowActivate and self.panel.setup.reason:
            self._scan_timer.start()  # it may be there by now
        return done

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:
        """Accept local folders and files."""
        if event is not None and not self.busy and dropped_files(event):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent | None) -> None:
        """Take the dropped files as the images to score."""
        paths = dropped_files(event) if event is not None else []
        if paths:
            self.panel.head.set_open(True)
            self.panel.setup.set_images(*paths)

    def set_theme(self, theme: str) -> None:
        """Change to another of napari's themes."""
        self.panel.set_theme(theme)
