"""Where a run stands: what it does, two bars, and how long it still takes."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QVBoxLayout, QWidget

from napari_cxr.plugin.plots import class_color
from napari_cxr.plugin.runs import run_words
from napari_cxr.plugin.runs.run_history import Phase, RunHistory
from napari_cxr.plugin.text import quiet_label
from napari_cxr.plugin.theme import theme_color
from napari_cxr.plugin.times import clock

__all__ = ['RunStatus']

_STEPS = 1000


class RunStatus(QWidget):
    """Shows the phase, the share of all epochs and of this one, speed and time.

    Parameters
    ----------
    theme : str
        Name of napari's theme.
    parent : QWidget, optional
        Qt parent.
    """

    def __init__(self, theme: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.heading = QLabel()
        self.heading.setObjectName('heading')
        self.heading.setWordWrap(True)
        self.elapsed = QLabel()
        self.elapsed.setObjectName('quiet')
        self.elapsed.setToolTip('Time since the run began')
        self.elapsed.setAccessibleName('Time since the run began')
        self.overall = _bar('Share of the whole run that is done', 8)
        self.epoch = _bar('Share of this epoch that is done', 4)
        self.place = quiet_label()
        self.speed = quiet_label()
        first = QHBoxLayout()
        first.addWidget(self.heading, 1)
        first.addWidget(self.elapsed, 0, Qt.AlignmentFlag.AlignTop)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(5)
        layout.addLayout(first)
        for widget in (self.overall, self.epoch, self.place, self.speed):
            layout.addWidget(widget)
        self.set_theme(theme)

    def set_theme(self, theme: str) -> None:
        """Change to another of napari's themes."""
        track, done = theme_color(theme, 'primary').name(), class_color(theme, 0).name()
        self.setStyleSheet(f"""
            QLabel {{ padding: 0; }}
            QLabel#heading {{ font-weight: bold; }}
            QProgressBar {{ border: 0; border-radius: 2px; background: {track}; }}
            QProgressBar::chunk {{ border-radius: 2px; background-color: {done}; }}
        """)

    def show_history(self, history: RunHistory) -> None:
        """Show where a run stands now."""
        self.heading.setText(run_words.heading(history))
        seconds = history.elapsed
        self.elapsed.setText(clock(seconds) if seconds else '')
        working = history.at_work
        share = history.share
        self.overall.setRange(0, 0 if share is None else _STEPS)
        if share is not None:
            self.overall.setValue(round(_STEPS * share))
        self.overall.setVisible(working)
        course = history.course
        in_epoch = history.phase in (Phase.TRAINING, Phase.STOPPING) and course is not None
        self.epoch.setVisible(in_epoch)
        self.epoch.setValue(round(_STEPS * course.epoch_share) if course is not None else 0)
        for label, words in (
            (self.place, run_words.place(history)),
            (self.speed, run_words.speed(history) if working else ''),
        ):
            label.setText(words)
            label.setVisible(bool(words))


def _bar(name: str, height: int) -> QProgressBar:
    bar = QProgressBar()
    bar.setTextVisible(False)
    bar.setRange(0, _STEPS)
    bar.setFixedHeight(height)
    bar.setToolTip(name)
    bar.setAccessibleName(name)
    return bar
