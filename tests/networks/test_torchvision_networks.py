"""Networks of torchvision are what torchvision and the papers say they are."""

import pytest
import torch
import torchvision

from napari_cxr import networks

#: Of torchvision's model pages, for 1000 classes and 3 channels.
PUBLISHED = {
    'resnet18': 11_689_512,
    'resnet50': 25_557_032,
    'densenet121': 7_978_856,
    'mobilenet_v3_large': 5_483_032,
    'efficientnet_b0': 5_288_548,
}


def count(network):
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize('name', PUBLISHED)
def test_number_of_parameters_is_the_published_one(name):
    assert count(networks.create(name, classes=1000, channels=3)) == PUBLISHED[name]


def test_number_of_parameters_of_resnet10_by_hand():
    # A stage has two 3x3 convolutions and their norms, and where the width doubles from n a
    # 1x1 shortcut with its norm.
    stem = 49 * 64 + 128
    first = 2 * 9 * 64 * 64 + 2 * 128
    doubling = sum((18 + 36 + 2) * n * n + 3 * 4 * n for n in (64, 128, 256))
    assert count(networks.create('resnet10', 3)) == stem + first + doubling + 3 * 513


@pytest.mark.parametrize('name', PUBLISHED)
def test_same_weights_give_the_logits_of_torchvision(name):
    torch.manual_seed(0)
    theirs = getattr(torchvision.models, name)(weights=None, num_classes=4).eval()
    ours = networks.create(name, classes=4, channels=3).eval()
    values = theirs.state_dict().values()
    ours.load_state_dict(dict(zip(ours.state_dict(), values, strict=True)))
    x = torch.randn(2, 3, 96, 96)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x), rtol=1e-5, atol=1e-6)


def test_the_map_of_densenet_is_the_one_after_its_last_relu():
    torch.manual_seed(0)
    network = networks.create('densenet121', 2).eval()
    before = []
    network.stages['block4'][-2].register_forward_hook(lambda *a: before.append(a[-1].clone()))
    with torch.no_grad():
        feature_map, _ = network.features(torch.randn(1, 1, 64, 64))
    assert before[0].min() < 0
    torch.testing.assert_close(feature_map, before[0].clamp(min=0), rtol=0, atol=0)
