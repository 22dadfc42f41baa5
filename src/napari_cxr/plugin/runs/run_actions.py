"""Buttons for a run: the one in the run panel, or those that are selected in the table.

The tooltip of a disabled button says why it is disabled.
"""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QGridLayout, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_cxr.plugin.runs.runs_table import RunRow
from napari_cxr.plugin.runs.training_history import RunPhase
from napari_cxr.plugin.widgets.text import button_text

__all__ = ['RunButtons', 'RunsTableActions']


class RunButtons(QWidget):
    """The actions for the run on screen, the most likely one highlighted.

    Parameters
    ----------
    parent : QWidget, optional
        Qt parent.
    """

    stop_requested = Signal()
    resume_requested = Signal()
    classify_requested = Signal()
    card_requested = Signal()
    folder_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.stop = _create_button('Stop', 'Stop after this batch and keep the model so far')
        self.resume = _create_button('Resume', 'Continue the run from where it was stopped')
        self.classify = _create_button('Classify with it', 'Use this model in the Classify dock')
        self.card = _create_button(
            'Show card', 'What the model is, how it was evaluated, and its limits'
        )
        self.folder = _create_button(
            'Open folder', 'Show the files of the run: settings, metrics, models, log'
        )
        for button, signal in (
            (self.stop, self.stop_requested),
            (self.resume, self.resume_requested),
            (self.classify, self.classify_requested),
            (self.card, self.card_requested),
            (self.folder, self.folder_requested),
        ):
            button.clicked.connect(signal)
        first, second = QHBoxLayout(), QHBoxLayout()
        for button in (self.stop, self.resume, self.classify):
            first.addWidget(button, 1)
        for button in (self.card, self.folder):
            second.addWidget(button, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addLayout(first)
        layout.addLayout(second)
        self.offer(RunPhase.EMPTY, False)

    def offer(
        self, phase: RunPhase, has_model: bool, which: str = '', resumable: bool = True
    ) -> None:
        """Show the buttons that apply now.

        Parameters
        ----------
        phase : RunPhase
            The phase of the run.
        has_model : bool
            Whether a model has been saved.
        which : str
            The model on screen, if there are several, such as 'fold 2'.
        resumable : bool
            Whether an interrupted run can be resumed.
        """
        self.classify.setText(f'Classify with {button_text(which) or "it"}')
        self.card.setText(f'Show card of {button_text(which)}' if which else 'Show card')
        interrupted = phase in (RunPhase.STOPPED, RunPhase.FAILED)
        ended = interrupted or phase is RunPhase.FINISHED
        working = not ended and phase is not RunPhase.EMPTY
        self.stop.setVisible(working)
        self.stop.setEnabled(phase is not RunPhase.STOPPING)
        self.stop.setText('Stopping…' if phase is RunPhase.STOPPING else 'Stop')
        self.resume.setVisible(interrupted and resumable)
        self.classify.setVisible(ended and has_model)
        self.card.setVisible(ended and has_model)
        self.folder.setVisible(ended and resumable)
        _set_accent(self.resume, interrupted)
        _set_accent(self.classify, phase is RunPhase.FINISHED)
        self.setVisible(phase is not RunPhase.EMPTY)


def _create_button(text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    button.setMinimumHeight(30)
    return button


def _set_accent(button: QPushButton, wanted: bool) -> None:
    """Highlight a button, or stop highlighting it."""
    name = 'accent' if wanted else ''
    if button.objectName() != name:
        button.setObjectName(name)
        style = button.style()
        if style is not None:
            style.unpolish(button)
            style.polish(button)


class RunsTableActions(QWidget):
    """The actions for the selected runs.

    Parameters
    ----------
    parent : QWidget, optional
        Qt parent.
    """

    settings_requested = Signal()
    resume_requested = Signal()
    #: The selected run is finished, and shall have more epochs.
    more_epochs_requested = Signal()
    classify_requested = Signal()
    folder_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._finished = False
        self.classify = QPushButton('Classify with it')
        self.settings = QPushButton('Load settings')
        self.resume = QPushButton('Resume')
        self.folder = QPushButton('Open folder')
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        for i, (button, signal) in enumerate(
            (
                (self.classify, self.classify_requested),
                (self.settings, self.settings_requested),
                (self.resume, None),
                (self.folder, self.folder_requested),
            )
        ):
            layout.addWidget(button, i // 2, i % 2)
            button.clicked.connect(signal if signal is not None else self._go_on)
        self.offer(())

    def offer(self, runs: Sequence[RunRow]) -> None:
        """Enable the buttons that apply.

        Parameters
        ----------
        runs : sequence of RunRow
            The selected runs.
        """
        run = runs[0] if len(runs) == 1 else None
        status = run.values.get('status') if run is not None else ''
        one = 'Select one run first'
        _set_enabled(self.settings, run is not None, 'Use its settings in the Train dock', one)
        _set_enabled(self.folder, run is not None, 'Show the files of the run', one)
        self._finished = status == 'finished'
        self.resume.setText('More epochs…' if self._finished else 'Resume')
        if self._finished:
            _set_enabled(
                self.resume,
                run is not None and run.can_continue,
                'Go on with this run for more epochs',
                'This run cannot go on: it is cross-validated, part of a sweep, or of an earlier '
                'version, so its optimiser was not kept. Train anew, starting from its model',
            )
        else:
            _set_enabled(
                self.resume,
                run is not None,
                # A run that was just stopped cannot be told from one that runs elsewhere.
                'Resume this run, unless it is running elsewhere'
                if status == 'running'
                else 'Continue the run from where it was stopped',
                one,
            )
        _set_enabled(
            self.classify,
            run is not None and run.has_model,
            'Use its model in the Classify dock',
            one
            if run is None
            else 'This run has no model of its own. If it was cross-validated, each fold has '
            'one: choose the folder of the run above',
        )

    def _go_on(self) -> None:
        (self.more_epochs_requested if self._finished else self.resume_requested).emit()


def _set_enabled(button: QPushButton, enabled: bool, tip: str, otherwise: str) -> None:
    button.setEnabled(enabled)
    button.setToolTip(tip if enabled else otherwise)
