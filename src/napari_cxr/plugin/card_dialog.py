"""A model's card in a window: what it is, what it was measured on, what not."""

from __future__ import annotations

from qtpy.QtWidgets import QDialog, QDialogButtonBox, QTextBrowser, QVBoxLayout, QWidget

from napari_cxr.checkpoint import Card

__all__ = ['CardDialog']


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
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(self.text)
        layout.addWidget(buttons)
        self.resize(640, 680)
