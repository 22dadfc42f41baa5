"""A model gets another card, and its tensors stay what they are."""

import json
import shutil
from dataclasses import replace

import pytest

from napari_cxr.checkpoint import CheckpointError, load, read_card
from napari_cxr.checkpoint.model_file import replace_card


def tensors(path):
    content = path.read_bytes()
    length = int.from_bytes(content[:8], 'little')
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def test_only_the_card_changes(model_file, tmp_path):
    path = tmp_path / 'x.safetensors'
    shutil.copyfile(model_file, path)
    card = replace(read_card(path), demonstration='Not to be believed, since it is random.')
    replace_card(path, card)
    assert load(path).card == card
    (before, there), (after, kept) = tensors(model_file), tensors(path)
    assert kept == there
    assert before.pop('__metadata__').keys() == after.pop('__metadata__').keys()
    assert after == before and list(after) == list(before)
    # Aligned, as the library writes it, and the same bytes each time.
    assert (len(path.read_bytes()) - len(kept)) % 8 == 0
    once = path.read_bytes()
    replace_card(path, card)
    assert path.read_bytes() == once


def test_a_card_of_another_network_is_refused(model_file, tmp_path):
    path = tmp_path / 'x.safetensors'
    shutil.copyfile(model_file, path)
    card = read_card(path)
    with pytest.raises(ValueError, match='another labels'):
        replace_card(path, replace(card, labels=card.labels[::-1]))
    assert path.read_bytes() == model_file.read_bytes()
    path.write_bytes(b'nothing')
    with pytest.raises(CheckpointError):
        replace_card(path, card)
