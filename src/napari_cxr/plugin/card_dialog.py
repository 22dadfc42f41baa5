"""A model's card in a window: what it is, what it was measured on, what not."""

from __future__ import annotations

from qtpy.QtGui import QBrush, QColor, QTextDocument, QTextFrameFormat, QTextLength, QTextTable
from qtpy.QtWidgets import QDialog, QDialogButtonBox, QTextBrowser, QVBoxLayout, QWidget

from napari_cxr.checkpoint import Card

__all__ = ['CardDialog']

#: Wide enough for a table of figures beside two baselines, each with its interval.
_WIDTH, _HEIGHT = 1120, 800
_LINES = QColor(128, 128, 128, 110)  # on dark and on light


class CardDialog(QDialog):
    """Shows a card as text that can be selected and copied.

    Parameters
    ----------
    card : Card
        What to show.
    parent : QWidget, optional
        Qt parent.
    """

    def __init__(self, card: Card, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(card.title or card.name)
        self.text = QTextBrowser()
        self.text.setOpenExternalLinks(True)
        self.text.setMarkdown(card.to_text())
        document = self.text.document()
        if document is not None:
            document.setDocumentMargin(14)
            _rule_tables(document)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(self.text)
        layout.addWidget(buttons)
        screen = self.screen()
        room = screen.availableGeometry() if screen is not None else self.rect()
        self.resize(min(_WIDTH, room.width() - 40), min(_HEIGHT, room.height() - 80))


def _rule_tables(document: QTextDocument) -> None:
    """Give tables thin lines, room around their figures, and the width of the page."""
    root = document.rootFrame()
    for frame in root.childFrames() if root is not None else []:
        if isinstance(frame, QTextTable):
            rules = frame.format()
            rules.setBorder(1)
            rules.setBorderStyle(QTextFrameFormat.BorderStyle.BorderStyle_Solid)
            rules.setBorderBrush(QBrush(_LINES))
            rules.setBorderCollapse(True)
            rules.setCellPadding(4)
            rules.setTopMargin(6)
            rules.setBottomMargin(10)
            # All of it and its last line would be wider than the page.
            rules.setWidth(QTextLength(QTextLength.Type.PercentageLength, 99))
            frame.setFormat(rules)
