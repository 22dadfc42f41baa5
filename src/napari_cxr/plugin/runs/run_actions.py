"""Buttons for what can be done with a run: the one in the run panel, or the selected ones.

A button that does nothing now says why in its tooltip.
"""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QGridLayout, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_cxr.plugin.runs.runs_table import RunRow
from napari_cxr.plugin.runs.training_history import RunPhase

__all__ = ['RunButtons', 'RunsTableActions']


class RunButtons(QWidget):
    """One button that most people want now, and the others below it.

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
        self.stop = _create_button('Stop', 'Stop after this batch; the model so far is kept')
        self.resume = _create_button('Resume', 'Go on where the run was stopped')
        self.classify = _create_button('Classify with it', 'Take the model to the Classify dock')
        self.card = _create_button(
            'Show card', 'What the model is, what it was measured on, what not'
        )
        self.folder = _create_button(
            'Open folder', "Show the run's files: settings, curves, models, log"
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
        """Show the buttons that do something now.

        Parameters
        ----------
        phase : Phase
            Where the run stands.
        has_model : bool
            Whether a model has been kept.
        which : str
            Of several models the one on show, such as 'fold 2'.
        resumable : bool
            Whether a run that was cut short has anything to go on from.
        """
        self.classify.setText(f'Classify with {which or "it"}')
        self.card.setText(f'Show card of {which}' if which else 'Show card')
        cut_short = phase in (RunPhase.STOPPED, RunPhase.FAILED)
        ended = cut_short or phase is RunPhase.FINISHED
        working = not ended and phase is not RunPhase.EMPTY
        self.stop.setVisible(working)
        self.stop.setEnabled(phase is not RunPhase.STOPPING)
        self.stop.setText('Stopping…' if phase is RunPhase.STOPPING else 'Stop')
        self.resume.setVisible(cut_short and resumable)
        self.classify.setVisible(ended and has_model)
        self.card.setVisible(ended and has_model)
        self.folder.setVisible(ended and resumable)
        _set_accent(self.resume, cut_short)
        _set_accent(self.classify, phase is RunPhase.FINISHED)
        self.setVisible(phase is not RunPhase.EMPTY)


def _create_button(text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    button.setMinimumHeight(30)
    return button


def _set_accent(button: QPushButton, wanted: bool) -> None:
    """Mark the button that most people want, in the dock's own style."""
    name = 'accent' if wanted else ''
    if button.objectName() != name:
        button.setObjectName(name)
        style = button.style()
        if style is not None:
            style.unpolish(button)
            style.polish(button)


class RunsTableActions(QWidget):
    """Buttons, with the reason in its tooltip where one does nothing now.

    Parameters
    ----------
    parent : QWidget, optional
        Qt parent.
    """

    settings_requested = Signal()
    resume_requested = Signal()
    classify_requested = Signal()
    folder_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
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
                (self.resume, self.resume_requested),
                (self.folder, self.folder_requested),
            )
        ):
            layout.addWidget(button, i // 2, i % 2)
            button.clicked.connect(signal)
        self.offer(())

    def offer(self, runs: Sequence[RunRow]) -> None:
        """Enable what can be done.

        Parameters
        ----------
        runs : sequence of RunRow
            Those that are selected.
        """
        run = runs[0] if len(runs) == 1 else None
        status = run.values.get('status') if run is not None else ''
        one = 'Select one run first'
        _set_enabled(self.settings, run is not None, 'Take its settings to the Train dock', one)
        _set_enabled(self.folder, run is not None, "Show the run's files", one)
        _set_enabled(
            self.resume,
            run is not None and status != 'finished',
            # What was stopped a moment ago cannot be told from what goes on elsewhere.
            'Go on with it, if it runs nowhere else'
            if status == 'running'
            else 'Go on where the run was stopped',
            one if run is None else 'This run is finished; a stopped one could go on',
        )
        _set_enabled(
            self.classify,
            run is not None and run.has_model,
            'Take its model to the Classify dock',
            one
            if run is None
            else 'It has kept no model of its own. If it was cross-validated, each of its folds '
            'has: choose its folder above',
        )


def _set_enabled(button: QPushButton, enabled: bool, tip: str, otherwise: str) -> None:
    button.setEnabled(enabled)
    button.setToolTip(tip if enabled else otherwise)
