"""A field of a form that shows below it what was found, or what is wrong with it."""

from __future__ import annotations

from qtpy.QtWidgets import QHBoxLayout, QLabel, QToolButton, QVBoxLayout, QWidget

from napari_cxr.plugin.style import quiet_label

__all__ = ['ValidatedField', 'field_with_button', 'more_button']


class ValidatedField(QWidget):
    """Widgets, one below the other, and below them a hint and a problem.

    Parameters
    ----------
    *inside : QWidget
        The field itself.
    """

    def __init__(self, *inside: QWidget) -> None:
        super().__init__()
        self.hint = quiet_label()
        self.problem = QLabel()
        self.problem.setWordWrap(True)
        self.problem.setProperty('wrong', True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        for widget in (*inside, self.hint, self.problem):
            layout.addWidget(widget)
        for label in (self.hint, self.problem):
            label.setIndent(2)
            label.setContentsMargins(0, 0, 0, 2)
            label.hide()

    def show_messages(self, problem: str, hint: str = '') -> None:
        """Say what is wrong, else what was found; an empty string takes words away."""
        for label, words in ((self.problem, problem), (self.hint, '' if problem else hint)):
            label.setText(words)
            label.setVisible(bool(words))


def field_with_button(field: QWidget, button: QWidget) -> QWidget:
    """Return a field with a button at its right."""
    row = QWidget()
    layout = QHBoxLayout(row)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(4)
    layout.addWidget(field, 1)
    layout.addWidget(button)
    return row


def more_button(tip: str) -> QToolButton:
    """Return the small button at the right of a field."""
    button = QToolButton()
    button.setObjectName('more')
    button.setText('…')
    button.setToolTip(tip)
    button.setAccessibleName(tip)
    return button
