"""Whether the heatmap on show is to be trusted: a button, verdicts in words, and their curves."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QPushButton, QWidget

from napari_cxr.explain.heatmap_checks import HeatmapChecks
from napari_cxr.plugin.plots.curves import Curves, Line
from napari_cxr.plugin.style import quiet_label, set_style_name
from napari_cxr.plugin.widgets.sections import CollapsibleSection
from napari_cxr.plugin.widgets.text import PlainLabel

__all__ = ['HeatmapChecksView']

_WHAT = (
    'Makes the network’s weights random, stage by stage, and hides the image in the order of the '
    'heatmap. Takes seconds, or minutes with slow methods.'
)

_CHECK = 'Check this heatmap'

_MARKS = {True: '✓', False: '✗', None: '–'}


class HeatmapChecksView(CollapsibleSection):
    """Folded at first; shows nothing until a person asks.

    Parameters
    ----------
    theme : str
        Name of napari's theme.
    parent : QWidget, optional
        Qt parent.
    """

    #: The button was clicked: check the heatmap on show, or stop checking it.
    clicked = Signal()

    def __init__(self, theme: str, parent: QWidget | None = None) -> None:
        super().__init__('Is this heatmap to be trusted?', open_=False, parent=parent)
        self.what = quiet_label(_WHAT)
        self.check = QPushButton(_CHECK)
        self.check.clicked.connect(self.clicked)
        self.verdicts = [PlainLabel() for _ in range(3)]
        for label in self.verdicts:
            label.setWordWrap(True)
        self.steps = quiet_label()
        self.plot = Curves(theme, 'Probability of the class', 'share')
        self.plot.setMinimumHeight(190)
        self.add(self.what, self.check, *self.verdicts, self.steps, self.plot)
        self.show_checks(None)

    def show_checks(self, checks: HeatmapChecks | None) -> None:
        """Show what the checks found, or what they are where there are none yet."""
        self.what.setText(_WHAT)
        self.what.setVisible(checks is None)
        self.check.setText(_CHECK)
        self.check.setEnabled(checks is None)
        self.check.setToolTip('' if checks is None else 'This heatmap has been checked')
        for part in (*self.verdicts, self.steps, self.plot):
            part.setVisible(checks is not None)
        self.set_summary('')
        if checks is None:
            return
        for label, verdict in zip(self.verdicts, checks.verdicts, strict=True):
            label.setText(f'{_MARKS[verdict.passed]} {verdict.text}')
            set_style_name(label, 'caution' if verdict.passed is False else 'peak')
        passed = sum(verdict.passed is True for verdict in checks.verdicts)
        self.set_summary(f'{passed} of {len(checks.verdicts)} checks passed')
        steps = zip(checks.randomised, checks.correlations, strict=True)
        text = ', '.join(f'{part} {correlation:.2f}' for part, correlation in steps)
        self.steps.setText(f'Rank correlation with random weights down to: {text}.')
        self.steps.setVisible(bool(checks.randomised))
        share = np.linspace(0, 1, len(checks.deletion))
        self.plot.set_lines(
            [
                Line('hidden', share, checks.deletion, color=0),
                Line('at random', share, checks.random_deletion.mean(axis=0), 'dashed', 0),
                Line('shown', share, checks.insertion, color=1),
                Line('at random', share, checks.random_insertion.mean(axis=0), 'dashed', 1),
            ]
        )

    def show_progress(self, text: str) -> None:
        """Show how far the checks are; the button stops them."""
        self.what.setText(f'{text}…')
        self.check.setText('Cancel')
        self.check.setEnabled(True)

    def set_busy(self, busy: bool) -> None:
        """Note that another job of the dock runs, so that none can be started here."""
        self.check.setEnabled(not busy and not self.what.isHidden())

    def set_theme(self, theme: str) -> None:
        """Repaint in another of napari's themes."""
        self.plot.set_theme(theme)
