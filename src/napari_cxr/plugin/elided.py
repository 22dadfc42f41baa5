"""A list to choose from whose entries are longer than a dock is wide."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtGui import QPaintEvent
from qtpy.QtWidgets import QComboBox, QStyle, QStyleOptionComboBox, QStylePainter, QWidget

__all__ = ['ElidedComboBox']

_CONTROL = QStyle.ComplexControl.CC_ComboBox


class ElidedComboBox(QComboBox):
    """A combo box that may become narrow; what is cut ends in an ellipsis.

    Parameters
    ----------
    tip : str
        Its tooltip.
    parent : QWidget, optional
        Qt parent.
    """

    def __init__(self, tip: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setToolTip(tip)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(8)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw the chosen entry as far as there is room for it."""
        painter, option = QStylePainter(self), QStyleOptionComboBox()
        self.initStyleOption(option)
        part = QStyle.SubControl.SC_ComboBoxEditField
        style = self.style()
        if style is not None:
            room = style.subControlRect(_CONTROL, option, part, self).width() - 4
            option.currentText = self.fontMetrics().elidedText(
                option.currentText, Qt.TextElideMode.ElideRight, room
            )
        painter.drawComplexControl(_CONTROL, option)
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)
        painter.end()
