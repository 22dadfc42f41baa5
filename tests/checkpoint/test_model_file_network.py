"""The network of a checkpoint has the size and the head that its card says."""

from dataclasses import replace

import pytest
import torch

from napari_cxr import networks
from napari_cxr.checkpoint import CheckpointError, load, save


@pytest.mark.parametrize(
    ('name', 'side', 'head'),
    [
        ('detl_cnn', 48, {}),
        ('nova_cnn', 32, {'single': True}),
        ('resnet10', 64, {'kind': 'average', 'hidden': [8], 'dropout': 0.5}),
    ],
)
def test_size_and_head_come_back(tmp_path, card, name, side, head):
    torch.manual_seed(0)
    network = networks.create(name, 2, 1, (side, side), head).eval()
    size = {'height': side, 'width': side, 'channels': 1}
    card = replace(card, architecture=name, preprocessing=size, head=head)
    save(tmp_path / 'a.safetensors', network.state_dict(), card)
    again = load(tmp_path / 'a.safetensors').network()
    x = torch.randn(2, 1, side, side)
    with torch.no_grad():
        torch.testing.assert_close(again(x), network(x), rtol=0, atol=0)


@pytest.mark.parametrize(
    ('change', 'why'),
    [
        ({'architecture': 'resnet11'}, 'does not have: There is no network'),
        ({'architecture': 'timm:vit_tiny_patch16_224'}, 'does not take images of 64 x 64'),
    ],
)
def test_a_card_that_wants_what_there_is_not_is_refused(tmp_path, card, tensors, change, why):
    save(tmp_path / 'a.safetensors', tensors, replace(card, **change))
    with pytest.raises(CheckpointError, match=why):
        load(tmp_path / 'a.safetensors').network()


def _refusal(path):
    with pytest.raises(CheckpointError) as caught:
        load(path).network()
    return str(caught.value)


@pytest.mark.parametrize('name', ['resnet18', 'detl_cnn', 'lite0_stride16_flip', 'lung_texture'])
def test_declared_shapes_are_those_of_the_network(name):
    size = (64, 64)
    network = networks.create(name, 3, 1, size)
    shapes = {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}
    assert networks.declared_shapes(name, 3, 1, size) == shapes


def test_a_card_of_a_far_larger_network_is_refused_before_it_is_built(
    tmp_path, card, tensors, monkeypatch
):
    made = []
    create = networks.create
    monkeypatch.setattr(networks, 'create', lambda *plan: made.append(plan) or create(*plan))
    # On images of 4096 pixels this head alone would have 280 GB.
    huge = replace(
        card,
        architecture='detl_cnn',
        preprocessing={'height': 4096, 'width': 4096, 'channels': 1},
    )
    save(tmp_path / 'a.safetensors', tensors, huge)
    assert 'do not fit detl_cnn' in _refusal(tmp_path / 'a.safetensors')
    save(tmp_path / 'a.safetensors', tensors, replace(card, architecture='torchvision:vit_h_14'))
    assert 'far larger than the file' in _refusal(tmp_path / 'a.safetensors')
    assert not made


def test_a_library_network_is_not_tried_out_on_images_that_no_memory_holds(
    tmp_path, card, tensors
):
    card = replace(
        card,
        architecture='torchvision:resnet18',
        preprocessing={'height': 4096, 'width': 4096, 'channels': 1},
    )
    save(tmp_path / 'a.safetensors', tensors | {'more': torch.zeros(5000, 2000)}, card)
    assert 'takes more memory' in _refusal(tmp_path / 'a.safetensors')


def test_building_has_a_limit_of_time(tmp_path, card, tensors, monkeypatch):
    from napari_cxr.checkpoint import model_file

    monkeypatch.setattr(model_file, '_LONGEST_BUILD', 0.0)
    save(tmp_path / 'a.safetensors', tensors, card)
    assert 'takes more than 0 s to build' in _refusal(tmp_path / 'a.safetensors')
    monkeypatch.undo()  # and no trace of the limit is left
    assert load(tmp_path / 'a.safetensors').network()
