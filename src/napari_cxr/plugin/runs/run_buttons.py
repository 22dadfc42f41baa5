"""What can be done with a run: stop it, take it up again, or use what came out."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_cxr.plugin.runs.run_history import Phase

__all__ = ['RunButtons']


class RunButtons(QWidget):
    """One button that most people want now, and the others below it.

    Parameters
    ----------
    parent : QWidget, optional
        Qt parent.
    """

    stop_wanted = Signal()
    resume_wanted = Signal()
    classify_wanted = Signal()
    card_wanted = Signal()
    folder_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.stop = _button('Stop', 'Stop after this batch; the model so far is kept')
        self.resume = _button('Resume', 'Go on where the run was stopped')
        self.classify = _button('Classify with it', 'Take the model to the Classify dock')
        self.card = _button('Show card', 'What the model is, what it was measured on, what not')
        self.folder = _button('Open folder', "Show the run's files: settings, curves, models, log")
        for button, signal in (
            (self.stop, self.stop_wanted),
            (self.resume, self.resume_wanted),
            (self.classify, self.classify_wanted),
            (self.card, self.card_wanted),
            (self.folder, self.folder_wanted),
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
        self.offer(Phase.EMPTY, False)

    def offer(
        self, phase: Phase, has_model: bool, which: str = '', resumable: bool = True
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
        cut_short = phase in (Phase.STOPPED, Phase.FAILED)
        ended = cut_short or phase is Phase.FINISHED
        working = not ended and phase is not Phase.EMPTY
        self.stop.setVisible(working)
        self.stop.setEnabled(phase is not Phase.STOPPING)
        self.stop.setText('Stopping…' if phase is Phase.STOPPING else 'Stop')
        self.resume.setVisible(cut_short and resumable)
        self.classify.setVisible(ended and has_model)
        self.card.setVisible(ended and has_model)
        self.folder.setVisible(ended and resumable)
        _accent(self.resume, cut_short)
        _accent(self.classify, phase is Phase.FINISHED)
        self.setVisible(phase is not Phase.EMPTY)


def _button(text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    button.setMinimumHeight(30)
    return button


def _accent(button: QPushButton, wanted: bool) -> None:
    """Mark the button that most people want, in the dock's own style."""
    name = 'accent' if wanted else ''
    if button.objectName() != name:
        button.setObjectName(name)
        style = button.style()
        if style is not None:
            style.unpolish(button)
            style.polish(button)
