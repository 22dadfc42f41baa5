"""Checkpoints come back whole, or are refused before anything in them is used."""

import errno
import json
import os
import pickle
import subprocess
import sys
import zipfile
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from napari_cxr.checkpoint import CheckpointError, digest, load, read_card, save


def test_what_was_saved_is_loaded(tmp_path, card, tensors):
    path = tmp_path / 'a.safetensors'
    save(path, tensors, card)
    checkpoint = load(path)
    assert checkpoint.card == read_card(path) == card
    assert checkpoint.tensors.keys() == tensors.keys()
    assert all(torch.equal(checkpoint.tensors[name], tensors[name]) for name in tensors)
    assert checkpoint.sha256 == digest(path)
    assert [p.name for p in tmp_path.iterdir()] == ['a.safetensors']


def test_the_same_model_is_the_same_bytes(tmp_path, card, tensors):
    for name in 'abcdefgh':
        save(tmp_path / name, dict(reversed(tensors.items())) if name > 'd' else tensors, card)
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


def test_halved_kernels_take_half_the_place_and_statistics_keep_theirs(tmp_path, card, tensors):
    tensors['stages.stem.1.running_var'][:] = 1e6  # too large for half precision
    save(tmp_path / 'full.safetensors', tensors, card)
    save(tmp_path / 'half.safetensors', tensors, card, halve=True)
    sizes = [(tmp_path / f'{name}.safetensors').stat().st_size for name in ('half', 'full')]
    assert sizes[0] < 0.51 * sizes[1]
    loaded = load(tmp_path / 'half.safetensors').tensors
    for name, tensor in tensors.items():
        assert loaded[name].dtype == tensor.dtype
        wanted = tensor.half().float() if tensor.ndim > 1 else tensor
        assert torch.equal(loaded[name], wanted)


def test_the_network_is_built_from_the_file(tmp_path, card, tensors):
    save(tmp_path / 'a.safetensors', tensors, card)
    network = load(tmp_path / 'a.safetensors').network()
    assert not network.training
    assert torch.equal(
        network.state_dict()['stages.stem.0.weight'], tensors['stages.stem.0.weight']
    )


def test_tensors_that_do_not_fit_are_refused(tmp_path, card, tensors):
    name = 'stages.stem.0.weight'
    for wrong in (
        {k: v for k, v in tensors.items() if k != name},
        {**tensors, 'more': torch.zeros(1)},
        {**tensors, name: torch.zeros(3, 3)},
    ):
        save(tmp_path / 'a.safetensors', wrong, card)
        with pytest.raises(CheckpointError, match='do not fit resnet10'):
            load(tmp_path / 'a.safetensors').network()


def test_an_unknown_network_is_refused(tmp_path, card, tensors):
    save(tmp_path / 'a.safetensors', tensors, replace(card, architecture='os.system'))
    with pytest.raises(CheckpointError, match=r'There is no network .os\.system'):
        load(tmp_path / 'a.safetensors').network()


def test_numbers_that_are_not_finite_are_neither_saved_nor_loaded(tmp_path, card, tensors):
    path = tmp_path / 'a.safetensors'
    tensors['stages.stem.1.bias'][0] = float('nan')
    with pytest.raises(CheckpointError, match='not finite'):
        save(path, tensors, card)
    assert not path.exists()
    save_file(tensors, path, metadata={'napari_cxr.card': card.to_json()})
    with pytest.raises(CheckpointError, match='not finite'):
        load(path)


class Bomb:
    def __reduce__(self):
        return os.mkdir, (os.environ['BOMB'],)


def test_a_pickle_is_refused_and_never_run(tmp_path, monkeypatch):
    trace = tmp_path / 'ran'
    monkeypatch.setenv('BOMB', str(trace))
    pickled = tmp_path / 'pickle.safetensors'
    pickled.write_bytes(pickle.dumps(Bomb()))
    archive = tmp_path / 'torch.safetensors'
    with zipfile.ZipFile(archive, 'w') as file:  # as torch.save lays it out
        file.writestr('archive/data.pkl', pickle.dumps(Bomb()))
    for path in (pickled, archive):
        with pytest.raises(CheckpointError, match=r'not a \.safetensors file'):
            load(path)
    assert not trace.exists()


def test_every_way_of_being_cut_off_is_refused(tmp_path, card):
    path, part = tmp_path / 'a.safetensors', tmp_path / 'part.safetensors'
    save(path, {'x': torch.arange(100.0)}, card)
    content = path.read_bytes()
    for length in (0, 5, 8, 9, 100, len(content) - 400, len(content) - 1):
        part.write_bytes(content[:length])
        with pytest.raises(CheckpointError, match='cut off'):
            read_card(part)
        with pytest.raises(CheckpointError, match='cut off'):
            load(part)


@pytest.mark.parametrize('length', [0, 1, 1 << 24, (1 << 24) + 1, 1 << 63, (1 << 64) - 1])
def test_a_header_length_that_lies_is_refused(tmp_path, card, length):
    path = tmp_path / 'a.safetensors'
    save(path, {'x': torch.arange(100.0)}, card)
    path.write_bytes(length.to_bytes(8, 'little') + path.read_bytes()[8:])
    with pytest.raises(CheckpointError, match='cut off'):
        load(path)


@pytest.mark.parametrize(
    'tensor',
    [
        {'dtype': 'F32', 'shape': [100], 'data_offsets': [0, 4_000_000_000]},
        {'dtype': 'F32', 'shape': [1 << 40], 'data_offsets': [0, 400]},
        {'dtype': 'F32', 'shape': [-1], 'data_offsets': [0, 400]},
        {'dtype': 'F31', 'shape': [100], 'data_offsets': [0, 400]},
        {'dtype': 'F32', 'shape': [100], 'data_offsets': [8, 408]},
    ],
)
def test_a_header_that_lies_about_a_tensor_is_refused(tmp_path, card, tensor):
    header = {'__metadata__': {'napari_cxr.card': card.to_json()}, 'x': tensor}
    text = json.dumps(header).encode()
    path = tmp_path / 'a.safetensors'
    path.write_bytes(len(text).to_bytes(8, 'little') + text + bytes(400))
    with pytest.raises(CheckpointError):
        load(path)


def test_types_that_no_network_has_are_refused(tmp_path, card):
    path = tmp_path / 'a.safetensors'
    save_file(
        {'x': torch.zeros(4, dtype=torch.uint8)},
        path,
        metadata={'napari_cxr.card': card.to_json()},
    )
    with pytest.raises(CheckpointError, match='of type U8'):
        load(path)


def test_a_file_without_a_card_or_with_a_wrong_one_is_refused(tmp_path, card):
    path = tmp_path / 'a.safetensors'
    save_file({'x': torch.zeros(4)}, path)
    with pytest.raises(CheckpointError, match='no model card'):
        read_card(path)
    wrong = card.to_json().replace('"resnet10"', '""')
    save_file({'x': torch.zeros(4)}, path, metadata={'napari_cxr.card': wrong})
    with pytest.raises(CheckpointError, match=r"a\.safetensors: .*'architecture'"):
        load(path)


def test_a_missing_file_and_a_folder_are_one_sentence(tmp_path):
    with pytest.raises(CheckpointError, match='cannot be read'):
        load(tmp_path / 'none.safetensors')
    with pytest.raises(CheckpointError, match='cannot be read'):
        load(tmp_path)


def test_a_full_disk_leaves_the_old_file(tmp_path, card, monkeypatch):
    path = tmp_path / 'a.safetensors'
    save(path, {'x': torch.ones(4)}, card)

    def full(handle):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(os, 'fsync', full)
    with pytest.raises(OSError, match='No space left'):
        save(path, {'x': torch.zeros(4)}, card)
    assert torch.equal(load(path).tensors['x'], torch.ones(4))
    assert [p.name for p in tmp_path.iterdir()] == ['a.safetensors']


def test_reading_cards_needs_no_torch(tmp_path, card):
    save(tmp_path / 'a.safetensors', {'x': torch.ones(4)}, card)
    code = (
        'import sys\n'
        'from napari_cxr import checkpoint, metrics, training\n'
        'from napari_cxr.checkpoint import catalog\n'
        'found = catalog.entries()\n'
        "assert 'a' in [entry.name for entry in found], found\n"
        "[getattr(training, name) for name in training.__all__ if name != 'train']\n"
        '[getattr(metrics, name) for name in metrics.__all__]\n'
        'training.recipe.names()\n'
        "heavy = {'torch', 'sklearn', 'scipy', 'timm', 'skimage'} & set(sys.modules)\n"
        'assert not heavy, heavy\n'
    )
    own = {**os.environ, 'NAPARI_CXR_MODELS': str(tmp_path)}
    subprocess.run([sys.executable, '-c', code], check=True, env=own)
