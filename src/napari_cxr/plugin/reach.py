"""What a model reaches, in one line under its answer."""

from __future__ import annotations

from pathlib import Path

from napari_cxr.checkpoint import Card, CheckpointError, catalog, read_card
from napari_cxr.checkpoint.page import headline

__all__ = ['reach', 'reach_of']


def reach(model: str) -> tuple[str, bool]:
    """Return what a model's card says that it reaches, and whether it is a demonstration.

    Reads its file.

    Parameters
    ----------
    model : str
        Name in the catalog, or file.
    """
    try:
        card = read_card(Path(catalog.resolve(model)))
    except CheckpointError:  # that it could not be read was told where it was loaded
        return '', False
    return reach_of(card), bool(card.demonstration)


def reach_of(card: Card) -> str:
    """Return one sentence about how far to trust a model, by its card."""
    if card.demonstration:
        return card.demonstration
    best = headline(card)
    if not best:
        return 'How well this model does was not measured.'
    left_out = 'source' in str(card.metrics.get('measured_on', ''))
    # Recipes are chosen by figures on sources left out: elsewhere there may be less to expect.
    more = 'Expect no better in your hospital.'
    if not left_out:
        more = 'Expect less in hospitals that it has not seen.'
    return f'{best[0].upper()}{best[1:]}. {more}'
