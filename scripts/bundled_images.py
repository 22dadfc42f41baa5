"""Write which images the bundled models were trained on, by hashes of their files.

    NAPARI_CXR_DATA=... python scripts/bundled_images.py

What is written, src/napari_cxr/weights/training_images.json, is checked against the fingerprint
of the data on each card. That of cxr3-resnet10 is of decoded pixels, as it was made in the first
days, so its images are those of the manifest's splits, whose counts are compared with the card's.
"""

import csv
import hashlib
import json
import os
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

from opacity_material import label_images

from napari_cxr.checkpoint import Card, read_card
from napari_cxr.checkpoint.model_images import image_digest, packed_digests
from napari_cxr.training.data_preparation import prepare
from napari_cxr.training.dataset_index import index
from napari_cxr.training.fold_results import final_recipe
from napari_cxr.training.model_evaluation import describe_data
from napari_cxr.training.recipe import Recipe

WEIGHTS = Path(__file__).parents[1] / 'src' / 'napari_cxr' / 'weights'


def opacity(data: Path, card: Card) -> dict[str, list[str]]:
    labelled = label_images(data)
    lines = (f'{p} {int(y)}' for p, y in zip(labelled.paths, labelled.positive, strict=True))
    assert hashlib.sha256('\n'.join(lines).encode()).hexdigest() == card.data['fingerprint']
    digests = [image_digest(data / 'cxr3' / path) for path in labelled.paths]
    return packed_digests(digests, ['train'] * len(digests))


def lung_texture(data: Path, card: Card) -> dict[str, list[str]]:
    recipe = Recipe.from_dict(card.recipe)
    small = {'network': 'resnet10', 'input.height': 16, 'input.width': 16}  # splits are the same
    small |= {'input.lungs': 'ignored', 'augmentation': {}}
    events = prepare(index(data / 'cxr3', recipe.data), recipe.with_changes(small))
    while True:
        try:
            next(events)
        except StopIteration as end:
            loaded = end.value
            break
    _, split = final_recipe(SimpleNamespace(dataset=loaded.dataset), recipe)
    described = describe_data(loaded.dataset, split, list(loaded.digests))
    assert described['fingerprint'] == card.data['fingerprint']
    return described['image_hashes']


def resnet10(data: Path, card: Card) -> dict[str, list[str]]:
    with (data / 'cxr3' / 'manifest.csv').open(newline='', encoding='utf-8') as file:
        rows = list(csv.DictReader(file))
    for (source, label, split), count in Counter(
        (row['source'], row['label'], row['split']) for row in rows
    ).items():
        assert card.data['counts'][source][label][split] == count
    digests = [image_digest(data / 'cxr3' / row['path']) for row in rows]
    return packed_digests(digests, [row['split'] for row in rows])


def main() -> None:
    data = Path(os.environ['NAPARI_CXR_DATA'])
    found = {}
    for name, images in (
        ('cxr-opacity', opacity),
        ('cxr3-lung-texture', lung_texture),
        ('cxr3-resnet10', resnet10),
    ):
        card = read_card(WEIGHTS / f'{name}.safetensors')
        found[card.data['fingerprint']] = images(data, card)
    text = json.dumps(found, indent=1) + '\n'
    (WEIGHTS / 'training_images.json').write_text(text, encoding='utf-8')


if __name__ == '__main__':
    main()
