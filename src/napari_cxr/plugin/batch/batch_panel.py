"""The panel of the Batch dock: setup, progress, table, annotation and metrics.

It has a layout for a narrow dock at the side of the window and one for a wide dock at the bottom.
The progress bar, with the buttons to stop, resume and save, is part of it.
"""

from __future__ import annotations

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import (
    QApplication,
    QBoxLayout,
    QHBoxLayout,
    QProgressBar,
    QPushButton,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from napari_cxr.checkpoint.card import NOT_FOR_CLINICAL_USE
from napari_cxr.plugin.annotation.agreement_view import AgreementView
from napari_cxr.plugin.annotation.annotation_panel import AnnotationPanel
from napari_cxr.plugin.annotation.label_export import ExportMessage
from napari_cxr.plugin.batch import scoring_messages
from napari_cxr.plugin.batch.batch_layout import (
    FittingScrollArea,
    PartsSplitter,
    SqueezableLayout,
    WrappingColumn,
)
from napari_cxr.plugin.batch.file_actions import ReopenButton
from napari_cxr.plugin.batch.metrics_view import MetricsView
from napari_cxr.plugin.batch.scoring_setup import ScoreSetup
from napari_cxr.plugin.score_table.sort_filter import RowFilter, RowKind
from napari_cxr.plugin.score_table.table_widget import ScoreTable
from napari_cxr.plugin.style import quiet_label
from napari_cxr.plugin.widgets.sections import CollapsibleSection, scrollable
from napari_cxr.plugin.widgets.text import InlineMessage, PlainLabel
from napari_cxr.scoring import ScoringProgress

__all__ = ['BatchPanel', 'ScoreProgress']

#: About the longest message of progress.
_LONGEST_PROGRESS = '88,888 of 88,888 · 88.8 images/s · 8 h 88 min left · 8,888 failed'

#: About the longest text of the button that shows failures, and the space around a button's text.
_LONGEST_FAILURES, _PADDING, _BUTTON = 'Show 8,888 failed', 24, 28

#: Minimum width of the message beside the buttons, in pixels.
_LEAST_PROGRESS_WIDTH = 240


class ScoreProgress(QWidget):
    """A bar, a message and the buttons that apply; hidden while there is nothing to show.

    Parameters
    ----------
    parent : QWidget, optional
        Qt parent.
    """

    stop_wanted = Signal()
    resume_wanted = Signal()
    #: Only the rows that failed are wanted.
    failures_wanted = Signal()
    save_wanted = Signal()
    #: The button with the focus is about to be hidden; Qt would give the focus to any field.
    about_to_hide = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(6)
        self.bar.setAccessibleName('Fraction of the files that are done')
        self.message = PlainLabel()
        self.message.setWordWrap(True)
        self.message.setIndent(0)
        self.warning = PlainLabel()
        self.warning.setObjectName('caution')
        self.warning.setWordWrap(True)
        self.stop = QPushButton('Stop')
        self.stop.setToolTip('Stop now; finished rows are kept')
        self.resume = QPushButton('Resume')
        self.resume.setObjectName('accent')
        self.resume.setToolTip('Continue with the files that have no row yet')
        self.failures = QPushButton()
        self.failures.setToolTip('Show only the files that failed')
        self.save = QPushButton('Save as…')
        self.save.setToolTip('Save the table under another name: CSV, JSON lines or Parquet')
        self.stop.clicked.connect(self._stop)
        self.resume.clicked.connect(self.resume_wanted)
        self.failures.clicked.connect(self.failures_wanted)
        self.save.clicked.connect(self.save_wanted)
        first, last = QHBoxLayout(), QHBoxLayout()
        first.addWidget(self.bar, 1)
        first.addWidget(self.stop)
        last.addStretch(1)
        last.setContentsMargins(0, 0, 0, 0)
        self._buttons = QWidget()
        self._buttons.setLayout(last)
        self._message_row = QBoxLayout(QBoxLayout.Direction.TopToBottom)
        self._message_row.setSpacing(4)
        self._message_row.addWidget(self.message, 1)
        self._message_row.addWidget(self._buttons)
        for button in (self.failures, self.save, self.resume):
            button.setMinimumHeight(_BUTTON)
            button.setStyleSheet('padding: 4px 10px;')
            last.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(first)
        layout.addLayout(self._message_row)
        self._resumable, self._resume_enabled = False, True
        self.clear()

    @property
    def text(self) -> str:
        """The message that is shown."""
        return str(self.message.text())

    def clear(self) -> None:
        """Hide everything."""
        if any(button.hasFocus() for button in (self.stop, self.resume, self.save, self.failures)):
            self.about_to_hide.emit()
        self._show_failed(0)
        self.warning.clear()
        self.warning.hide()
        self.hide()

    def show_activity(self, doing: str) -> None:
        """Show what is being done, while it is unknown how long it takes."""
        self.bar.setRange(0, 0)
        self.message.setText(f'{doing}…')
        self._offer(working=True)

    def show_progress(self, progress: ScoringProgress) -> None:
        """Show the progress of a run."""
        self.bar.setRange(0, max(1, progress.total))
        self.bar.setValue(progress.done)
        self.message.setText(scoring_messages.progress_text(progress))
        self._show_failed(progress.failed)
        self._offer(working=True)

    def warn(self, text: str) -> None:
        """Show a warning until the next run."""
        self.warning.setText(text)
        self.warning.show()

    def show_summary(self, text: str, failed: int, *, resumable: bool, saveable: bool) -> None:
        """Show the result of a run, or that it was stopped.

        Parameters
        ----------
        text : str
            A sentence or two.
        failed : int
            Number of files that failed.
        resumable, saveable : bool
            Whether the run can be resumed, and whether there are rows to save.
        """
        self.message.setText(text)
        self._show_failed(failed)
        self._offer(working=False, resumable=resumable, saveable=saveable)

    def enable_resume(self, enabled: bool) -> None:
        """Show the button Resume where a run can be resumed, or never."""
        if enabled != self._resume_enabled:
            self._resume_enabled = enabled
            self.resume.setVisible(enabled and self._resumable)
            self._arrange()

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Put the buttons beside the message where they fit."""
        super().resizeEvent(event)
        self._arrange()

    def _arrange(self) -> None:
        directions = QBoxLayout.Direction
        metrics = self.fontMetrics()
        text = metrics.horizontalAdvance(self.message.text())
        buttons = self._buttons.sizeHint().width()
        working = not self.bar.isHidden()
        if working:
            # Counts and times of a run change their length, and the first failure brings a
            # button: the rows below stay where they are under the pointer.
            text = metrics.horizontalAdvance(_LONGEST_PROGRESS)
            buttons = max(buttons, metrics.horizontalAdvance(_LONGEST_FAILURES) + _PADDING)
        beside = self.width() - buttons - 24 >= min(text, _LEAST_PROGRESS_WIDTH)
        across = max(self.width() - (buttons if beside else 0) - 4, 1)
        lines = -(-text // across) if working else 1
        self.message.setMinimumHeight(lines * metrics.lineSpacing())
        self._buttons.setMinimumHeight(_BUTTON if working else 0)
        self._message_row.setDirection(
            directions.LeftToRight if beside else directions.TopToBottom
        )

    def _stop(self) -> None:
        if self.stop.hasFocus():
            self.about_to_hide.emit()
        self.stop.setEnabled(False)
        self.stop.setText('Stopping…')
        self.stop_wanted.emit()

    def _show_failed(self, failed: int) -> None:
        self.failures.setText(f'Show {failed:,} failed' if failed > 1 else 'Show the failed file')
        self.failures.setVisible(failed > 0)

    def _offer(
        self,
        *,
        working: bool,
        resumable: bool = False,
        saveable: bool = False,
    ) -> None:
        self._resumable = resumable
        resumes = resumable and self._resume_enabled
        staying = {self.stop: working, self.resume: resumes, self.save: saveable}
        if any(button.hasFocus() and not stays for button, stays in staying.items()):
            self.about_to_hide.emit()
        self.bar.setVisible(working)
        if self.stop.isHidden() or not working:
            self.stop.setText('Stop')
            self.stop.setEnabled(True)
        for button, stays in staying.items():
            button.setVisible(stays)
        self._arrange()
        self.show()


#: From this width on, setup, table and metrics are beside each other.
_WIDE = 900

#: Lines of text from whose height on the table stands above the tabs: eight rows of it, and the
#: buttons of the annotation below them.
_BOTH = 50

#: Width of the setup then: beside a table, folded beside a table, and alone.
_COLUMN, _FOLDED, _ALONE = 380, 150, 560

#: Proportion of the table to the tabs: one above the other, and side by side.
_TALL_FRACTIONS, _WIDE_FRACTIONS = (3, 2), (7, 3)

#: Margins in pixels of the wide layout, which is mostly low, and of the tall one.
_LOW, _TALL = (12, 6, 12, 6), (12, 12, 12, 8)

#: Margins where the table is one of the tabs, and the width from which there is room beside these.
_SHORT, _ACTIVITY = (12, 4, 12, 4), 440

#: What stands below then, in one line.
_BRIEF = 'For research, not for clinical use.'

#: The maximum size of a Qt widget.
_ANY = 16_777_215

_EMPTY = (
    'Each image gets a row with the probability of each class, as soon as it is scored. You can '
    'stop at any time and resume on another day: no row is lost.'
)


class BatchPanel(QWidget):
    """Setup, progress and message; the table; annotation and metrics.

    Parameters
    ----------
    theme : str
        Name of napari's theme.
    parent : QWidget, optional
        Qt parent.
    """

    #: An existing table is to be opened.
    open_wanted = Signal()

    def __init__(self, theme: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._focus_pending = False  # until the first rows are there
        self.setup = ScoreSetup()
        self.start = QPushButton('Score')
        self.start.setObjectName('accent')
        self.start.setMinimumHeight(34)
        self.open = QPushButton('Open a table…')
        self.open.setMinimumHeight(34)
        self.open.setToolTip('Open an existing table of scores, finished or not')
        self.open.clicked.connect(self.open_wanted)
        self.reopen = ReopenButton()
        self.advice = quiet_label(_EMPTY)
        self.advice.setIndent(0)
        self.progress = ScoreProgress()
        self.message = InlineMessage()
        self.status = quiet_label()
        self.status.setIndent(0)
        self.saved = ExportMessage()
        self.table = ScoreTable(theme)
        self.annotation = AnnotationPanel(theme)
        self.metrics = MetricsView(theme)
        self.agreement = AgreementView()
        buttons = QHBoxLayout()
        buttons.setSpacing(6)
        buttons.addWidget(self.start, 1)
        buttons.addWidget(self.open)
        self.head = CollapsibleSection('What to score')
        if (inside := self.head.layout()) is not None:
            inside.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.head.body.setContentsMargins(0, 6, 0, 0)
        self.head.body.addWidget(self.setup)
        self.head.body.addLayout(buttons)
        self.head.body.addWidget(self.reopen)
        self.head.body.addWidget(self.advice)
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        self._pages: dict[QWidget, QWidget] = {}
        pages: tuple[tuple[QWidget, str], ...] = (
            (self.annotation, 'Annotation'),
            (self.metrics, 'Metrics'),
            (self.agreement, 'Readers'),
        )
        for page, title in pages:
            self._pages[page] = scrollable(page)
            self.tabs.addTab(self._pages[page], title)
        self.activity = PlainLabel()
        self.activity.setObjectName('quiet')
        self.tabs.setCornerWidget(self.activity)
        self._lay_out()
        self.head.toggled.connect(self._clear_saved)
        self.head.toggled.connect(self._arrange)
        self.progress.failures_wanted.connect(self._show_failures)
        self.metrics.cell_chosen.connect(self._show_cell)
        for part in (self.progress, self.metrics):
            part.about_to_hide.connect(self.focus_table)
        self.table.settled.connect(self._focus_when_filled)
        self.annotation.wanted.connect(lambda: self.show_page(self.annotation))
        self.table.filtered.connect(lambda: self.show_page(self.table))
        self.show_message('')
        self.show_table(False)

    def _lay_out(self) -> None:
        middle = WrappingColumn()
        self._rows = rows = QVBoxLayout(middle)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(8)
        rows.addWidget(self.progress)
        rows.addWidget(self.table, 1)
        self._table_page = QWidget()
        page = QVBoxLayout(self._table_page)
        page.setContentsMargins(0, 4, 0, 0)
        self._pages[self.table] = self._table_page
        self._table_page.hide()
        # Below the table, so that they do not move the rows under the pointer.
        for part in (self.progress.warning, self.message, self.status, self.saved):
            rows.addWidget(part)
        rows.addStretch(0)  # while there is no table
        self.parts = PartsSplitter(Qt.Orientation.Vertical)
        self._handle_width = self.parts.handleWidth()
        self.parts.setChildrenCollapsible(False)
        self.parts.addWidget(middle)
        self.parts.addWidget(self.tabs)
        self.parts.set_fractions(_TALL_FRACTIONS)
        self._footer = quiet_label(NOT_FOR_CLINICAL_USE)
        self._footer.setIndent(0)
        self._column = QWidget()
        column = QVBoxLayout(self._column)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(FittingScrollArea(self.head))
        self._layout = SqueezableLayout(QBoxLayout.Direction.TopToBottom, self)
        self._layout.setSpacing(10)
        self._layout.addWidget(self._column)
        self._layout.addWidget(self.parts, 1)
        self._layout.addWidget(self._footer)

    @property
    def short(self) -> bool:
        """Whether there is too little height for the table above its tabs: it is one of them."""
        return self.tabs.indexOf(self._table_page) >= 0

    def show_page(self, part: QWidget) -> None:
        """Bring the annotation, the metrics, the readers or the table forward."""
        if part is not self.table or self.short:
            self.tabs.setCurrentWidget(self._pages[part])

    @property
    def wide(self) -> bool:
        """Whether the parts are beside each other."""
        return self._layout.direction() == QBoxLayout.Direction.LeftToRight

    def show_table(self, shown: bool) -> None:
        """Show the table with its tabs, or only the setup."""
        if shown and self._has_focus(self):
            self.focus_table()
        if shown:
            self.reopen.offer('')
        self.table.setVisible(shown)
        self.tabs.setVisible(shown)
        self.advice.setVisible(not shown)
        self._arrange()

    def fold_setup(self) -> None:
        """Fold the setup, to leave its space to the table."""
        if self._has_focus(self.head):
            self.focus_table()
        self.head.set_open(False)

    def focus_table(self) -> None:
        """Give the table the keyboard focus, as soon as it has rows."""
        self.show_page(self.table)
        self._focus_pending = not self.table.view.isVisible()
        self.table.view.setFocus(Qt.FocusReason.OtherFocusReason)

    def _focus_when_filled(self) -> None:
        if self._focus_pending and self.table.view.isVisible():
            self.focus_table()

    def _show_failures(self) -> None:
        """Show only the files that failed."""
        self.table.show_only(RowFilter(which=RowKind.FAILED))

    def _show_cell(self, label: str, predicted: str) -> None:
        """Show only the rows with this label and this predicted label."""
        counted = RowKind.ALL if self.metrics.counts_doubtful else RowKind.NOT_DOUBTED
        if self.metrics.counts_doubtful and not self.table.choice.doubtful:
            self.table.choice.reveal_doubtful(True)  # a withheld prediction is in no cell
        self.table.show_only(RowFilter(truth=label, answer=predicted, which=counted))

    @staticmethod
    def _has_focus(part: QWidget) -> bool:
        focus = QApplication.focusWidget()
        return focus is not None and part.isAncestorOf(focus)

    def show_message(self, text: str) -> None:
        """Show what was done; an empty string hides the message."""
        self.status.setText(text)
        self.status.setVisible(bool(text))

    def _clear_saved(self) -> None:
        """Clear what was said of saved files as soon as the setup opens, which needs the space."""
        if self.head.is_open:
            self.saved.clear()
            self.show_message('')

    def hide_metrics(self, hidden: bool) -> None:
        """Shut the metrics, while the table is read blinded."""
        place = self.tabs.indexOf(self._pages[self.metrics])
        if hidden and self.tabs.currentIndex() == place:
            self.show_page(self.annotation)
        self.tabs.setTabEnabled(place, not hidden)
        self.tabs.setTabToolTip(place, 'Hidden while you read blinded' if hidden else '')

    def set_theme(self, theme: str) -> None:
        """Change to another of napari's themes."""
        for part in (self.table, self.annotation, self.metrics):
            part.set_theme(theme)

    def sizeHint(self) -> QSize:
        """Return a size at which the important columns of the table fit."""
        return QSize(520, 820)

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Put the parts beside or below each other, depending on the size."""
        super().resizeEvent(event)
        self._arrange()

    def _arrange(self) -> None:
        wide = self.width() >= _WIDE and self.width() > self.height()
        directions = QBoxLayout.Direction
        column = self._column.layout()
        if wide != self.wide and isinstance(column, QVBoxLayout):
            self._layout.setDirection(directions.LeftToRight if wide else directions.TopToBottom)
            along = Qt.Orientation.Horizontal if wide else Qt.Orientation.Vertical
            self.parts.setOrientation(along)
            self.parts.set_fractions(_WIDE_FRACTIONS if wide else _TALL_FRACTIONS)
            if wide:  # the footer goes below the setup
                column.addStretch(1)
                column.addWidget(self._footer)
            else:
                column.removeItem(column.itemAt(column.count() - 2))
                self._layout.addWidget(self._footer)
        self._place_table(short=not wide and self.height() < self._lowest_of_both)
        margins = _LOW if wide else _SHORT if self.short else _TALL
        self._layout.setSpacing(4 if self.short else 10)
        self._footer.setText(_BRIEF if self.short else NOT_FOR_CLINICAL_USE)
        # Beside four tabs there is no room for it in a narrow dock: they would scroll.
        self.activity.setMaximumWidth(0 if self.width() < _ACTIVITY else _ANY)
        self._layout.setContentsMargins(*margins)
        # The layout knows no heights that depend on the width: a second line of the footer would
        # be taken from the table, whose message then covered the tabs.
        across = self.width() - margins[0] - margins[2]
        lines = 0 if wide else self._footer.heightForWidth(max(across, 1))
        self._footer.setMinimumHeight(lines)
        # Beside the table the setup has a fixed width.
        width = _ALONE if self.table.isHidden() else _COLUMN if self.head.is_open else _FOLDED
        self._column.setMaximumWidth(width if wide else _ANY)
        self._column.setMinimumWidth(width if wide else 0)

    @property
    def _lowest_of_both(self) -> int:
        """Height in pixels from which on table and annotation have enough, one above the other."""
        return _BOTH * self.fontMetrics().lineSpacing()

    def _place_table(self, *, short: bool) -> None:
        """Put the table above the tabs, or in front of them as one of them."""
        if short == self.short:
            return
        has_focus = self._has_focus(self.table)
        page = self._table_page.layout()
        assert page is not None
        shown = not self.table.isHidden()
        if short:
            self._rows.removeWidget(self.table)
            page.addWidget(self.table)
            self.tabs.insertTab(0, self._table_page, 'Table')
            self.tabs.setCurrentIndex(0)
            self.parts.setStretchFactor(0, 0)
            self.parts.setStretchFactor(1, 1)
            self.parts.setSizes([1, 1000])
            self.parts.setHandleWidth(0)
        else:
            self.parts.setHandleWidth(self._handle_width)
            self.tabs.removeTab(0)
            self._table_page.hide()
            page.removeWidget(self.table)
            self._rows.insertWidget(1, self.table, 1)
            self.parts.set_fractions(_WIDE_FRACTIONS if self.wide else _TALL_FRACTIONS)
        self.table.setVisible(shown)
        if has_focus:
            self.table.view.setFocus(Qt.FocusReason.OtherFocusReason)
