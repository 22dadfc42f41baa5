"""The colours in which cells of the table of scores are drawn."""

from __future__ import annotations

from dataclasses import dataclass

from qtpy.QtGui import QColor

from napari_cxr.plugin.plots.plot import faint_text, quiet_text
from napari_cxr.plugin.theme import theme_color

__all__ = ['CellColours']


@dataclass(frozen=True)
class CellColours:
    """What each is for.

    Parameters
    ----------
    text, quiet : QColor
        What matters, and what stands beside it.
    line : QColor
        Between two rows.
    track, bar, accent : QColor
        Of a bar: what is not filled, what is, and the bar of the answer.
    chosen : QColor
        The ground of selected rows.
    warning, error : QColor
        Words about what is doubtful or failed.
    """

    text: QColor
    quiet: QColor
    line: QColor
    track: QColor
    bar: QColor
    accent: QColor
    chosen: QColor
    warning: QColor
    error: QColor

    @classmethod
    def of(cls, theme: str) -> CellColours:
        """Return those of one of napari's themes."""
        text, line = theme_color(theme, 'text'), faint_text(theme)
        line.setAlphaF(0.08)
        track, bar, accent = (
            theme_color(theme, role) for role in ('foreground', 'primary', 'current')
        )
        chosen = QColor(accent)
        chosen.setAlpha(72)
        warning, error = (
            _legible(theme_color(theme, role), text) for role in ('warning', 'error')
        )
        return cls(text, quiet_text(theme), line, track, bar, accent, chosen, warning, error)


def _legible(color: QColor, text: QColor) -> QColor:
    """Return a colour that reads as well as text does on the theme's background."""
    hue, full, _, _ = color.getHslF()
    light = 0.68 if text.lightnessF() > 0.5 else 0.32
    return QColor.fromHslF(max(hue or 0.0, 0.0), min(full or 0.0, 0.8), light)
