"""What other programs save is read as torch reads it, and what is not admitted is named."""

import collections
import struct
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from napari_cxr.checkpoint import CheckpointError
from napari_cxr.checkpoint.foreign import ForeignFileError, read_state


def same(found, state):
    assert list(found) == list(state)
    for name, tensor in state.items():
        np.testing.assert_array_equal(found[name], tensor.numpy())


def test_a_whole_network_gives_its_state_dict(network, save, form):
    network.pathologies = ['Mass', 'Nodule']
    found = read_state(save(network, form))
    same(found.tensors, network.state_dict())
    assert found.form == form
    assert found.attributes == {'training': True, 'pathologies': ['Mass', 'Nodule']}


def test_a_state_dict_and_what_lightning_saves(network, save, form):
    state = network.state_dict()
    same(read_state(save(state, form)).tensors, state)
    checkpoint = {
        'epoch': 3,
        'global_step': 10,
        'pytorch-lightning_version': '2.0',
        'state_dict': {f'model.{name}': tensor for name, tensor in state.items()},
        'optimizer_states': [torch.optim.Adam(network.parameters()).state_dict()],
        'hyper_parameters': collections.defaultdict(dict, rate=0.1),
        'callbacks': {},
    }
    found = read_state(save(checkpoint, form)).tensors
    assert list(found) == [f'model.{name}' for name in state]
    same(read_state(save({'model': network}, form)).tensors, state)


def test_tensors_that_share_and_turn_their_storage(save, form):
    base = torch.arange(24, dtype=torch.float32)
    state = {
        'whole': base,
        'turned': base.reshape(4, 6).T,
        'part': base[5:11].reshape(2, 3),
        'every other': base[::2],
        'scalar': torch.tensor(7),
        'half': torch.tensor([0.5, -2.0]).half(),
        'long': torch.tensor([[1 << 40]]),
        'bool': torch.tensor([True, False]),
        'double': torch.tensor([0.1], dtype=torch.float64),
        'parameter': nn.Parameter(torch.ones(2, 2)),
    }
    found = read_state(save(state, form)).tensors
    for name, tensor in state.items():
        np.testing.assert_array_equal(found[name], tensor.detach().numpy())


def test_bfloat16_in_single_precision(save, form, tmp_path):
    values = torch.tensor([1.0, -3.140625, 1e-30, 65280.0]).bfloat16()
    found = read_state(save({'x': values}, form)).tensors['x']
    np.testing.assert_array_equal(found, values.float().numpy())
    save_file({'x': values, 'y': torch.ones(2)}, tmp_path / 'x.safetensors')
    found = read_state(tmp_path / 'x.safetensors').tensors
    np.testing.assert_array_equal(found['x'], values.float().numpy())
    np.testing.assert_array_equal(found['y'], [1, 1])


@pytest.mark.parametrize('protocol', [2, 3, 4, 5])
def test_all_protocols_that_torch_can_write(network, save, form, protocol):
    path = save(network, form, pickle_protocol=protocol)
    same(read_state(path).tensors, network.state_dict())


def test_what_is_not_on_the_list_is_named(save, form, network):
    network.optimiser = torch.optim.SGD(network.parameters(), 0.1)
    with pytest.raises(ForeignFileError, match=r'weights\.pt.*torch\.optim\.sgd\.SGD.*state dict'):
        read_state(save(network, form))
    # Near ones, of the same packages, are not admitted either.
    with pytest.raises(ForeignFileError, match=r'torch\.nn\.modules\.rnn\.LSTM'):
        read_state(save(nn.LSTM(2, 2), form))
    assert issubclass(ForeignFileError, CheckpointError)


@pytest.mark.parametrize('kept', [0.1, 0.5, 0.9, 0.999])
def test_what_is_cut_off_says_so(save, network, form, tmp_path, kept):
    network = nn.Sequential(network, nn.Linear(100, 50))
    whole = save(network, form).read_bytes()
    cut = tmp_path / 'cut.pt'
    cut.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(ForeignFileError, match=r'cut\.pt.*(cut off|damaged)'):
        read_state(cut)


@pytest.mark.parametrize(
    ('content', 'said'),
    [
        (b'', 'too small'),
        (b'<!DOCTYPE html><html></html>', 'neither a torch file'),
        (b'PK\x05\x06' + bytes(18), 'single data.pkl'),
        (b'\x80\x02K\x01.' + bytes(20), 'torch did not write'),
        (struct.pack('<Q', 14) + b'{"x": "wrong"}' + bytes(8), 'cut off or damaged'),
    ],
)
def test_what_holds_no_weights_says_what_it_is(tmp_path, content, said):
    path = tmp_path / 'odd.pt'
    path.write_bytes(content)
    with pytest.raises(ForeignFileError, match=said):
        read_state(path)


def test_a_missing_file_and_one_without_weights(tmp_path, save):
    with pytest.raises(ForeignFileError, match='No such file'):
        read_state(tmp_path / 'none.pt')
    with pytest.raises(ForeignFileError, match='no weights in it'):
        read_state(save({'epoch': 3}))


def test_a_damaged_storage_is_seen_by_its_checksum(save, network, tmp_path):
    path = save(network)
    with zipfile.ZipFile(path) as archive:
        (info,) = [i for i in archive.infolist() if i.filename.endswith('data/0')]
    content = bytearray(path.read_bytes())
    content[info.header_offset + 200] ^= 1
    path.write_bytes(content)
    with pytest.raises(ForeignFileError, match='damaged'):
        read_state(path)


def test_a_compressed_archive_is_not_unpacked(save, network, tmp_path):
    bomb = tmp_path / 'bomb.pt'
    with zipfile.ZipFile(save(network)) as old, zipfile.ZipFile(bomb, 'w') as new:
        for info in old.infolist():
            content = old.read(info) if not info.filename.endswith('data/0') else bytes(50 << 20)
            new.writestr(info.filename, content, zipfile.ZIP_DEFLATED)
    with pytest.raises(ForeignFileError, match='compressed'):
        read_state(bomb)


def test_a_tensor_cannot_stand_for_more_than_its_storage(save, form):
    with pytest.raises(ForeignFileError, match='beyond its storage'):
        read_state(save({'x': torch.ones(1).expand(10_000, 10_000)}, form))


def test_reading_needs_no_torch(save, network, form):
    script = (
        'import sys\n'
        'from napari_cxr.checkpoint.foreign import read_state\n'
        f'print(len(read_state({str(save(network, form))!r}).tensors), "torch" in sys.modules)'
    )
    done = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True)
    assert done.stdout.split() == ['8', 'False'], done.stderr
