"""Say on the cards of the old bundled models that they are demonstrations, and why.

    python scripts/demonstration_cards.py

Tensors stay byte for byte what they are. The figures of `cxr3-lung-texture` were measured on 244
radiographs of three collections that nobody trained on; these images are not in the repository.
Run again, it changes nothing.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from napari_cxr.checkpoint import Card, read_card
from napari_cxr.checkpoint.model_file import replace_card

WEIGHTS = Path(__file__).parents[1] / 'src' / 'napari_cxr' / 'weights'

TEXTURE = (
    'A demonstration, not to be believed: on 244 radiographs of three collections that nobody '
    'trained on it is at chance (macro AUC 0.53 [0.46, 0.60]), below a classifier that sees only '
    'the size and the border of an image (0.66).'
)
TEXTURE_NOTE = (
    'Measured afterwards on 244 radiographs of three collections that nobody trained on: macro '
    'AUC 0.530 [0.457, 0.603] and balanced accuracy 0.39, which is chance, and below boosted '
    'trees that see only the size and the border of an image (0.660 [0.577, 0.742]). The 0.756 of '
    'the folds below came by choice: picking three of 29 random features greedily by the same '
    'folds gives 0.75 in them and 0.58 outside. So the folds do not say what to expect in another '
    'hospital.'
)
TEXTURE_WARNING = (
    'Do not believe it in a hospital that it has not seen: there it is at chance, and below trees '
    'that see only the size and the border of an image; the results say by how much. '
)
RESNET = (
    'A demonstration, not to be believed: on its own test images it is no better than a '
    'classifier that sees only the format and the grey levels of an image; it is here to '
    'fine-tune from.'
)
#: What was said before there were figures from elsewhere.
_UNMEASURED = 'Hospitals other than the four.'


def of_texture(card: Card) -> Card:
    """Return the card of `cxr3-lung-texture` with what was measured elsewhere."""
    warning = card.not_to_believe.removeprefix(TEXTURE_WARNING)
    return replace(
        card,
        demonstration=TEXTURE,
        not_to_believe=f'{TEXTURE_WARNING}{warning}',
        metrics={'note': TEXTURE_NOTE, **{k: v for k, v in card.metrics.items() if k != 'note'}},
        not_measured=tuple(x for x in card.not_measured if not x.startswith(_UNMEASURED)),
    )


def of_resnet(card: Card) -> Card:
    """Return the card of `cxr3-resnet10` with what its own test images say."""
    return replace(card, demonstration=RESNET)


def main() -> None:
    """Write both cards."""
    for name, changed in (('cxr3-lung-texture', of_texture), ('cxr3-resnet10', of_resnet)):
        path = WEIGHTS / f'{name}.safetensors'
        replace_card(path, changed(read_card(path)))


if __name__ == '__main__':
    main()
