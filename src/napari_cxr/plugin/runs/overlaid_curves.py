"""The curves of the runs that are selected in the table, one or two of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_cxr.plugin.classifying import Failure
from napari_cxr.plugin.runs import jobs
from napari_cxr.plugin.runs.columns import RunRow
from napari_cxr.plugin.runs.run_curves import RunCurves
from napari_cxr.plugin.runs.run_history import RunHistory

__all__ = ['SelectedCurves']

#: Someone who walks through the table with the arrow keys waits for no curves; ms.
_PAUSE = 150
_CHOOSE = 'Select a run to see its curves, or two with Ctrl to lay them over each other.'


class SelectedCurves(QWidget):
    """Reads runs in a thread, and draws the second over the first.

    Parameters
    ----------
    theme : str
        Name of napari's theme.
    parent : QWidget, optional
        Qt parent.
    """

    #: The curves asked for are on show.
    settled = Signal()
    #: A run could not be read.
    failed = Signal(object)

    def __init__(self, theme: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._runs: list[RunRow] = []
        self._known: dict[Path, RunHistory] = {}
        self._awaited: set[Path] = set()
        self.curves = RunCurves(theme)
        self.curves.compare.hide()  # selecting two compares them
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 4, 0, 0)
        layout.addWidget(self.curves)
        layout.addStretch(1)
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(_PAUSE)
        self._later.timeout.connect(self.read_now)
        self._draw()

    @property
    def busy(self) -> bool:
        """Whether curves are on their way."""
        return bool(self._awaited) or self._later.isActive()

    def set_theme(self, theme: str) -> None:
        """Change to another of napari's themes."""
        self.curves.set_theme(theme)

    def forget(self) -> None:
        """Read again what is asked for next; runs may have gone on."""
        self._known.clear()

    def show_runs(self, runs: Sequence[RunRow]) -> None:
        """Show the first two of these, in a moment."""
        self._runs = list(runs[:2])
        self._later.start()

    def read_now(self) -> None:
        """Read what is not known yet of the runs asked for, without waiting any longer."""
        self._later.stop()
        missing = [run.path for run in self._runs if run.path not in self._known]
        missing = [path for path in missing if path not in self._awaited]
        if missing:
            self._awaited.update(missing)
            self._reader = jobs.read_histories(missing)
            self._reader.returned.connect(self._take)
            self._reader.start()
        self._draw()
        if not self._awaited:
            self.settled.emit()

    def _take(self, found: dict[Path, RunHistory | Failure]) -> None:
        self._awaited -= set(found)
        for path, history in found.items():
            if isinstance(history, Failure):
                self.failed.emit(history)
            else:
                self._known[path] = history
        self._draw()
        if not self._awaited:
            self.settled.emit()

    def _draw(self) -> None:
        known = [(run, h) for run in self._runs if (h := self._known.get(run.path)) is not None]
        drawn = [(h.course, run.name) for run, h in known if h.course is not None]
        self.curves.set_course(*(drawn[0] if drawn else (None, '')))
        self.curves.set_other(*(drawn[1] if len(drawn) > 1 else (None, '')))
        empty = [run.name for run, history in known if history.course is None]
        words = f'{empty[0]} has done no epoch yet.' if empty else _CHOOSE
        self.curves.curves.set_empty_text(words)
