"""The audit of a data set in the Train dock: what alone gives the class away, doubtful labels."""

from __future__ import annotations

from collections.abc import Collection

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_cxr.evaluation.data_audit import Audit
from napari_cxr.plugin.plots.dot_plots import Intervals
from napari_cxr.plugin.style import quiet_label
from napari_cxr.plugin.widgets.text import PlainLabel

__all__ = ['AuditView']

_INTRODUCTION = (
    'An audit takes a few minutes. It looks for copies under two labels, images that are not '
    'frontal, and labels that are probably wrong, and measures whether source, view, age or sex '
    'alone could give your AUC.'
)
_START, _AGAIN = 'Audit these images', 'Audit again'


class AuditView(QWidget):
    """A button that asks for an audit, and what it found.

    Parameters
    ----------
    theme : str
        Name of napari's theme.
    parent : QWidget, optional
        Qt parent.
    """

    #: An audit is wanted.
    wanted = Signal()
    #: The doubtful labels should be opened as a reading list.
    reading_list_wanted = Signal()

    def __init__(self, theme: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.about = quiet_label(_INTRODUCTION)
        self.start = QPushButton(_START)
        self.start.setToolTip('Look for what would mislead a training or its result')
        self.start.clicked.connect(self.wanted)
        self.findings = PlainLabel()
        self.findings.setWordWrap(True)
        self.findings.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.question = PlainLabel('Could this alone give your AUC?')
        self.variables = Intervals(theme)
        self.variables.setAccessibleName('Area under the curve by one variable alone')
        self.doubtful = PlainLabel()
        self.doubtful.setWordWrap(True)
        self.read = QPushButton('Read doubtful labels')
        self.read.setToolTip('Open the labels in the Score dock, the most doubtful first')
        self.read.clicked.connect(self.reading_list_wanted)
        buttons = QHBoxLayout()
        buttons.addWidget(self.start)
        buttons.addWidget(self.read)
        buttons.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        layout.addWidget(self.about)
        layout.addLayout(buttons)
        self._result = (self.doubtful, self.findings, self.question, self.variables)
        for part in self._result:
            layout.addWidget(part)
        self.clear()

    def clear(self) -> None:
        """Show no audit, but what one is for."""
        self.about.show()
        self.start.setText(_START)
        self.read.hide()
        for part in self._result:
            part.hide()

    def enable(self, enabled: bool) -> None:
        """Let an audit be asked for, or not while another job runs."""
        self.start.setEnabled(enabled)

    def show_audit(self, audit: Audit, known: Collection[str] = ()) -> None:
        """Show what was found, without the findings that stand elsewhere already."""
        self.about.hide()
        self.start.setText(_AGAIN)
        listed = [f'• {text}' for text in audit.findings if text not in known]
        self.findings.setText('\n\n'.join(listed) or 'Nothing else that would mislead was found.')
        rows = {
            f'{one.name}: {one.answer}': (one.auc[0], one.auc[1], one.auc[2])
            for one in audit.variables
            if one.auc
        }
        rows |= {f'no anatomy, {name}': auc for name, auc in audit.baselines.items()}
        self.variables.set_intervals(rows)
        count, judged = int((audit.suggested >= 0).sum()), len(audit.most_doubtful)
        self.doubtful.setText(
            f'{count:,} of {judged:,} labels that could be judged are doubtful.'
            if judged
            else 'No label could be judged.'
        )
        self.read.setVisible(bool(judged))
        for part in self._result:
            part.setVisible(bool(rows) or part not in (self.question, self.variables))

    def set_theme(self, theme: str) -> None:
        """Repaint in another of napari's themes."""
        self.variables.set_theme(theme)
