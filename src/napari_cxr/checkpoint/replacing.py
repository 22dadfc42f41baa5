"""Another card for a model whose tensors stay byte for byte what they are."""

from __future__ import annotations

import json
from pathlib import Path

from napari_cxr.checkpoint.card import Card
from napari_cxr.checkpoint.file import CARD_KEY, read_card, write_whole

__all__ = ['replace_card']

_ALIGNED = 8  # bytes; tensors begin at a multiple, as the format's own library has it


def replace_card(path: str | Path, card: Card) -> None:
    """Give a checkpoint another card; whole, or it keeps the one that it has.

    Only the header is written anew. Its entries keep their order, so the same card gives the
    same bytes each time, which the library's own writer does not promise.

    Parameters
    ----------
    path : str or Path
        The model's file.
    card : Card
        What shall be said of it; labels, network and input stay those of the tensors.

    Raises
    ------
    CheckpointError
        If the file is no checkpoint.
    ValueError
        If the card is of another network.
    OSError
        If it can't be written.
    """
    path = Path(path)
    before = read_card(path)
    for name in ('architecture', 'labels', 'channels', 'several', 'head', 'preprocessing'):
        if getattr(before, name) != getattr(card, name):
            raise ValueError(f'{path.name} has another {name}; only what is said of it can change')
    content = path.read_bytes()
    length = int.from_bytes(content[:8], 'little')
    header = json.loads(content[8 : 8 + length])
    metadata = header['__metadata__']
    header['__metadata__'] = {
        name: card.to_json() if name == CARD_KEY else metadata[name] for name in sorted(metadata)
    }
    written = json.dumps(header, ensure_ascii=False, separators=(',', ':')).encode()
    written += b' ' * (-len(written) % _ALIGNED)
    start = len(written).to_bytes(8, 'little')
    write_whole(path, start + written + content[8 + length :])
