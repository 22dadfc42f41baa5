"""Where the network looked, in words."""

from __future__ import annotations

from napari_cxr.explain.heatmap import FRAME
from napari_cxr.plugin.classifying import LungShares

__all__ = ['where_it_looked', 'whose_lungs']

_EVEN_EDGE = 1 - (1 - 2 * FRAME) ** 2


def where_it_looked(label: str, in_lungs: float | None, even: float, at_edge: float | None) -> str:
    """Return one sentence about the heatmap of a class.

    Parameters
    ----------
    label : str
        The class.
    in_lungs, at_edge : float or None
        Share of its heatmap in the lungs and at the edge of what the model saw, in
        [0, 1]; None for an empty map.
    even : float
        What an even map would have in the lungs.
    """
    if in_lungs is None or at_edge is None:
        return f'The heatmap of {label} is empty: no cell raised its score.'
    return (
        f'{in_lungs:.0%} of this heatmap lies in the lungs ({even:.0%} if it were even), '
        f'{at_edge:.0%} at the edge ({_EVEN_EDGE:.0%}).'
    ).replace('%', '\u00a0%')


def whose_lungs(lungs: LungShares) -> str:
    """Return one short sentence about where the lungs come from."""
    if lungs.edit:
        return 'The lungs are as you edited them.'
    if lungs.source == 'network':
        return 'The lungs, with what of them lies behind the heart, were found by a network.'
    why = f', because {lungs.implausible}' if lungs.implausible else ''
    return f'The lungs are the standard outline{why}.'
