"""What can be done with the run that is selected in the table."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QGridLayout, QPushButton, QWidget

from napari_cxr.plugin.runs.columns import RunRow

__all__ = ['RunsActions']


class RunsActions(QWidget):
    """Buttons, with the reason in its tooltip where one does nothing now.

    Parameters
    ----------
    parent : QWidget, optional
        Qt parent.
    """

    settings_wanted = Signal()
    resume_wanted = Signal()
    classify_wanted = Signal()
    folder_wanted = Signal()

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
                (self.classify, self.classify_wanted),
                (self.settings, self.settings_wanted),
                (self.resume, self.resume_wanted),
                (self.folder, self.folder_wanted),
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
        _set(self.settings, run is not None, 'Take its settings to the Train dock', one)
        _set(self.folder, run is not None, "Show the run's files", one)
        _set(
            self.resume,
            run is not None and status != 'finished',
            # What was stopped a moment ago cannot be told from what goes on elsewhere.
            'Go on with it, if it runs nowhere else'
            if status == 'running'
            else 'Go on where the run was stopped',
            one if run is None else 'This run is finished; a stopped one could go on',
        )
        _set(
            self.classify,
            run is not None and run.has_model,
            'Take its model to the Classify dock',
            one
            if run is None
            else 'It has kept no model of its own. If it was cross-validated, each of its folds '
            'has: choose its folder above',
        )


def _set(button: QPushButton, enabled: bool, tip: str, otherwise: str) -> None:
    button.setEnabled(enabled)
    button.setToolTip(tip if enabled else otherwise)
