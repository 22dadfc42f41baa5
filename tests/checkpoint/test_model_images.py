"""Which images made a model: by the folder of its run, its card, or the list of the program."""

import hashlib
from dataclasses import replace

import pytest

from napari_cxr.checkpoint import catalog, read_card
from napari_cxr.checkpoint.model_images import (
    CARD_ENTRY,
    ModelImages,
    image_digest,
    packed_digests,
)

#: 2,000 images, of which every third is for validation.
DIGESTS = [hashlib.sha256(bytes([i % 256, i // 256])).hexdigest()[:16] for i in range(2000)]
SPLITS = ['val' if i % 3 == 2 else 'train' for i in range(2000)]


@pytest.fixture
def card(model_file):
    return read_card(model_file)


def with_data(card, **data):
    return replace(card, data={'fingerprint': '0' * 64, **data})


def test_the_card_knows_the_images_in_few_characters(card, tmp_path):
    packed = packed_digests(DIGESTS, SPLITS)
    assert list(packed) == ['train', 'val']
    assert sum(len(text) for texts in packed.values() for text in texts) <= 6 * 2000
    found = ModelImages.of_model(tmp_path / 'x', with_data(card, **{CARD_ENTRY: packed}))
    assert [found.split_of(digest) for digest in DIGESTS] == SPLITS and len(found) == 2000
    others = (hashlib.sha256(f'other {i}'.encode()).hexdigest()[:16] for i in range(2000))
    assert not any(map(found.split_of, others)) and not found.split_of('')


@pytest.mark.parametrize('damaged', [7, {'train': ['?']}, {'train': 7}, {'train': [7]}, []])
def test_a_damaged_entry_is_none(card, tmp_path, damaged):
    assert ModelImages.of_model(tmp_path / 'x', with_data(card, **{CARD_ENTRY: damaged})) is None


def test_nothing_is_known_of_a_model_without_data_or_of_very_many_images(card, tmp_path):
    assert ModelImages.of_model(tmp_path / 'x', card) is None
    assert ModelImages.of_model(tmp_path / 'x', with_data(card)) is None
    assert packed_digests(DIGESTS[:1] * 100_001, SPLITS[:1] * 100_001) == {}


def test_the_folder_of_the_run_counts_if_it_is_that_models(card, tmp_path):
    lines = [f'{d} a {s}' for d, s in zip(DIGESTS[:3], SPLITS[:3], strict=True)]
    rows = ''.join(f'{d},a,{s},,0\n' for d, s in zip(DIGESTS[:3], SPLITS[:3], strict=True))
    unused = f'{DIGESTS[3]},a,,,0\n'
    (tmp_path / 'split.csv').write_text(f'image,label,split,source,group\n{rows}{unused}')
    own = hashlib.sha256('\n'.join(sorted(lines)).encode()).hexdigest()
    found = ModelImages.of_model(tmp_path / 'best.safetensors', with_data(card, fingerprint=own))
    assert [found.split_of(digest) for digest in DIGESTS[:4]] == ['train', 'train', 'val', '']
    assert ModelImages.of_model(tmp_path / 'best.safetensors', with_data(card)) is None
    (tmp_path / 'split.csv').write_bytes(b'image\n\xff\n')
    assert ModelImages.of_model(tmp_path / 'x', with_data(card, fingerprint=own)) is None


@pytest.mark.parametrize('name', ['cxr-opacity', 'cxr3-resnet10', 'cxr3-lung-texture'])
def test_the_images_of_the_bundled_models_are_known(name):
    path = catalog.resolve(name)
    card = read_card(path)
    found = ModelImages.of_model(path, card)
    assert len(found) == card.data['images']


def test_a_real_image_of_the_bundled_model(cxr_data):
    path = catalog.resolve('cxr-opacity')
    found = ModelImages.of_model(path, read_card(path))
    known = [found.split_of(image_digest(p)) for p in sorted(cxr_data.glob('cxr3/*/*.jpg'))[::50]]
    assert set(known) == {'train', ''}
