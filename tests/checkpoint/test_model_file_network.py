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
