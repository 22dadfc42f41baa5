"""How docks look: napari's theme, quiet labels and thin lines.

Holds the few things that napari's style sheet leaves to a plugin.
"""

from __future__ import annotations

from typing import Any

from napari.utils.theme import get_theme
from qtpy.QtCore import QEvent, Qt
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QApplication, QFrame, QLabel, QWidget

from napari_cxr.plugin.widgets.text import PlainLabel

__all__ = [
    'keep_space',
    'quiet_label',
    'separator_line',
    'set_style_name',
    'style_sheet',
    'theme_color',
]


def theme_color(theme: str, role: str) -> QColor:
    """Return one of a theme's colours.

    Parameters
    ----------
    theme : str
        'dark', 'light', or the name of a person's own.
    role : str
        A field of napari's themes, such as 'current' or 'warning'.
    """
    color: Any = getattr(get_theme(theme), role)
    return QColor(*color.as_rgb_tuple()[:3])


def style_sheet(theme: str) -> str:
    """Return the style of a dock: one accented button, quiet text, framed messages.

    What has the keyboard is tinted: napari's own style sheet does not show it. A border would
    change sizes.
    """
    accent = theme_color(theme, 'current')
    text = theme_color(theme, 'text')
    # White on a dark accent, black on a light one.
    on_accent = '#ffffff' if accent.lightnessF() < 0.6 else '#101010'
    quiet = QColor(text)
    quiet.setAlphaF(0.62)
    warning, error = theme_color(theme, 'warning'), theme_color(theme, 'error')
    return f"""
        QPushButton#accent:enabled {{
            background-color: {accent.name()}; color: {on_accent};
            font-weight: bold; border-radius: 4px;
        }}
        QPushButton#accent:enabled:hover {{ background-color: {accent.lighter(112).name()}; }}
        QPushButton#accent:enabled:pressed {{ background-color: {accent.darker(112).name()}; }}
        QPushButton#accent:enabled:focus {{ background-color: {accent.lighter(135).name()}; }}
        QPushButton:focus, QToolButton:focus, QComboBox:focus, QCheckBox:focus,
        QRadioButton:focus, QSlider:focus, QTabBar:focus {{
            background-color: {_rgba(accent, 0.45)};
        }}
        QLabel[wrong="true"] {{ color: {_readable(error, text).name()}; }}
        QLabel#headline {{ font-size: 13pt; font-weight: bold; color: {text.name()}; }}
        QLabel#quiet {{ color: {_rgba(quiet)}; }}
        QLabel#peak {{ padding: 6px 2px; }}
        QLabel#caution {{
            color: {text.name()}; background-color: {_rgba(warning, 0.13)};
            border-left: 3px solid {warning.name()}; padding: 6px 8px;
        }}
        QFrame#warning {{
            background-color: {_rgba(warning, 0.13)}; border-left: 3px solid {warning.name()};
        }}
        QFrame#warning QLabel {{ background: transparent; color: {text.name()}; }}
        QFrame#warning QPushButton {{ padding: 4px 10px; }}
        QFrame#message {{
            background-color: {_rgba(error, 0.13)}; border-left: 3px solid {error.name()};
        }}
        QFrame#message QLabel, QFrame#message QToolButton {{
            background: transparent; color: {text.name()};
        }}
        QPlainTextEdit#field {{
            background-color: {theme_color(theme, 'foreground').name()}; border-radius: 2px;
        }}
        QTabWidget::pane {{ border: 0; }}
        QTabBar {{ qproperty-drawBase: 0; background: transparent; }}
        QTabBar::tab {{
            background: transparent; border: 0; border-bottom: 2px solid transparent;
            color: {_rgba(quiet)}; padding: 4px 2px; margin-right: 14px;
        }}
        QTabBar::tab:selected {{
            color: {text.name()}; border-bottom: 2px solid {accent.name()};
        }}
        QTabBar::tab:hover {{ color: {text.name()}; }}
        QToolButton#more {{
            background-color: {theme_color(theme, 'foreground').name()}; border-radius: 2px;
            padding: 3px 8px;
        }}
        QToolButton#more:focus {{ background-color: {_rgba(accent, 0.45)}; }}
        QToolButton#more:hover {{
            background-color: {theme_color(theme, 'primary').name()};
        }}
        QToolButton#more::menu-indicator {{ image: none; width: 0; }}
        QProgressBar {{ border: 0; background: transparent; }}
        QProgressBar::chunk {{ background-color: {accent.name()}; }}
    """


def _readable(color: QColor, text: QColor) -> QColor:
    """Return a colour that stands out from the background as text does."""
    return color.lighter(165) if text.lightnessF() > 0.5 else color.darker(130)


def _rgba(color: QColor, alpha: float | None = None) -> str:
    opacity = color.alphaF() if alpha is None else alpha
    return f'rgba({color.red()}, {color.green()}, {color.blue()}, {round(255 * opacity)})'


def quiet_label(text: str = '') -> QLabel:
    """Return a label that wraps and stands back behind the controls."""
    label = PlainLabel(text)
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    label.setObjectName('quiet')
    return label


def keep_space(*widgets: QWidget, lines: int = 0) -> None:
    """Let widgets keep their height while they are hidden, so that nothing below them moves.

    What comes by itself, such as progress or the note of a device, must not push away a button
    that a person is about to click.

    Parameters
    ----------
    *widgets : QWidget
        Parts of a dock.
    lines : int
        Lines of text for which there is space even if the widget is empty.
    """
    for widget in widgets:
        policy = widget.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        widget.setSizePolicy(policy)
        if lines:
            widget.setMinimumHeight(lines * widget.fontMetrics().lineSpacing() + 2)


def set_style_name(widget: QWidget, name: str) -> None:
    """Give a widget another look of `style_sheet`: 'quiet', 'caution', 'peak'."""
    if widget.objectName() != name:
        widget.setObjectName(name)
        if (style := widget.style()) is not None:  # Qt looks at names only here
            style.unpolish(widget)
            style.polish(widget)
            # A label keeps its old margins otherwise.
            QApplication.sendEvent(widget, QEvent(QEvent.Type.StyleChange))


def separator_line() -> QFrame:
    """Return a line between two parts of a dock."""
    line = QFrame()
    line.setFixedHeight(1)
    line.setStyleSheet('background: rgba(128, 128, 128, 70);')
    return line
