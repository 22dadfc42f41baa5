"""What a person reads before any probability, where an image may be the wrong kind."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QFrame, QLabel, QPushButton, QVBoxLayout, QWidget

__all__ = ['FirstWarning']

_HIDDEN = 'The result is held back until you ask for it.'


class FirstWarning(QFrame):
    """Sentences in a frame, and the one button that shows the result all the same.

    Parameters
    ----------
    parent : QWidget, optional
        Qt parent.
    """

    #: The person wants to see the result anyway.
    accepted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName('warning')
        self.text = QLabel()
        self.text.setWordWrap(True)
        self.text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.anyway = QPushButton('Show the result anyway')
        self.anyway.setToolTip('Show probabilities and heatmap in spite of this')
        layout = QVBoxLayout(self)
        layout.setContentsMargins(11, 8, 8, 8)
        layout.setSpacing(8)
        layout.addWidget(self.text)
        layout.addWidget(self.anyway, 0, Qt.AlignmentFlag.AlignLeft)
        self.anyway.clicked.connect(self.accepted)
        self.hide()

    def tell(self, sentences: Sequence[str], ask: bool) -> None:
        """Show sentences, or nothing where there are none.

        Parameters
        ----------
        sentences : sequence of str
            What is wrong, and what to do about it.
        ask : bool
            Whether the result waits for a click; else it stands below.
        """
        self.text.setText('\n'.join([*sentences, *([_HIDDEN] if ask else [])]))
        self.anyway.setVisible(ask)
        self.setVisible(bool(sentences))
