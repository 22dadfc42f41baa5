"""The answer of a model with findings, above its bars, and why it is so."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_cxr.inference.answer_text import reason
from napari_cxr.inference.label_rule import CANNOT_SAY
from napari_cxr.inference.prediction import Prediction
from napari_cxr.plugin.text import quiet_label

__all__ = ['Headline', 'headline_of']

#: Findings above their thresholds that are named; of more it is told how many.
_NAMED = 3


class Headline(QWidget):
    """One large word or a few, and a plain sentence; hidden where classes exclude each other.

    Parameters
    ----------
    parent : QWidget, optional
        Qt parent.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.answer = QLabel()
        self.answer.setWordWrap(True)
        self.answer.setObjectName('headline')
        self.answer.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.answer.setAccessibleName('Answer')
        self.why = quiet_label()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 0, 8, 0)
        layout.setSpacing(2)
        layout.addWidget(self.answer)
        layout.addWidget(self.why)
        self.hide()

    def show_prediction(self, prediction: Prediction) -> None:
        """Show the answer of a model with findings."""
        self.answer.setText(headline_of(prediction))
        self.why.setText(reason(prediction.rule, prediction.probabilities))
        self.setVisible(prediction.several)

    def clear(self) -> None:
        """Show nothing."""
        self.answer.clear()
        self.why.clear()
        self.hide()


def headline_of(prediction: Prediction) -> str:
    """Return the answer in a few words: the findings above their thresholds, or that of none."""
    if not prediction.several:
        return ''
    above = prediction.above
    if prediction.answer == CANNOT_SAY or not above:
        return prediction.answer
    more = f' and {len(above) - _NAMED} more' if len(above) > _NAMED else ''
    return ', '.join(above[:_NAMED]) + more
