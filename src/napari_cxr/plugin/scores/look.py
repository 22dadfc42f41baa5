"""How the table of scores looks beyond its cells, in the theme's colours."""

from __future__ import annotations

from napari_cxr.plugin.theme import theme_color

__all__ = ['strip_style', 'view_style']


def view_style(theme: str) -> str:
    """Return the style of the lines and titles; the delegate draws what is selected."""
    ground, head, text = (
        theme_color(theme, role).name() for role in ('background', 'foreground', 'text')
    )
    return (
        f'QTableView {{ background: {ground}; border: 0; outline: 0;'
        ' selection-background-color: transparent; }'
        'QTableView::item:selected { background: transparent; }'
        f'QHeaderView {{ background: {head}; border: 0; }}'
        f'QHeaderView::section {{ background: {head}; color: {text}; border: 0;'
        ' padding: 4px 6px; }'
        'QHeaderView::up-arrow, QHeaderView::down-arrow { image: none; width: 0; }'
    )


def strip_style(theme: str) -> str:
    """Return the style of the buttons above: those that are on are underlined."""
    accent = theme_color(theme, 'current').name()
    return (
        f'QToolButton#more:checked {{ border-bottom: 2px solid {accent}; padding-bottom: 1px; }}'
    )
