"""Networks of torchvision are what torchvision and the papers say they are."""

import pytest
import torch

from napari_cxr import networks

#: Of torchvision's model pages, for 1000 classes and 3 channels.
PUBLISHED = {
    'resnet18': 11_689_512,
    'resnet50': 25_557_032,
    'resnet152': 60_192_808,
    'densenet121': 7_978_856,
    'densenet169': 14_149_480,
    'vgg16': 138_357_544,
    'vgg19': 143_667_240,
    'convnext_tiny': 28_589_128,
    'mobilenet_v3_large': 5_483_032,
    'efficientnet_b0': 5_288_548,
}


def count(network):
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize('name', PUBLISHED)
def test_number_of_parameters_is_the_published_one(name):
    with torch.device('meta'):
        assert count(networks.create(name, classes=1000, channels=3)) == PUBLISHED[name]


#: Inception's page counts its auxiliary classifier in, which is left out here.
@pytest.mark.parametrize(('name', 'parameters'), [('inception_v3', 27_161_264 - 3_326_696)])
def test_number_of_parameters_without_auxiliary_classifier(name, parameters):
    with torch.device('meta'):
        assert count(networks.create(name, classes=1000, channels=3)) == parameters


def test_vgg16_with_the_head_of_nova():
    with torch.device('meta'):
        network = networks.create('vgg16', 2, 3, head={'kind': 'average'})
    assert count(network) == 14_715_714
    assert count(network.head) == 1_026
    assert network.closed_form().shape == (2, 512)
    assert network.grid(224, 224).cells == (7, 7)


@pytest.mark.parametrize(('name', 'depth'), [('vgg16', 16), ('vgg19', 19), ('densenet169', 169)])
def test_depth_is_what_the_name_says(name, depth):
    with torch.device('meta'):
        assert networks.create(name, 2).depth == depth


def test_number_of_parameters_of_resnet10_by_hand():
    # A stage has two 3x3 convolutions and their norms, and where the width doubles from n a
    # 1x1 shortcut with its norm.
    stem = 49 * 64 + 128
    first = 2 * 9 * 64 * 64 + 2 * 128
    doubling = sum((18 + 36 + 2) * n * n + 3 * 4 * n for n in (64, 128, 256))
    assert count(networks.create('resnet10', 3)) == stem + first + doubling + 3 * 513


@pytest.mark.parametrize(
    'name', ['resnet18', 'densenet121', 'mobilenet_v3_large', 'efficientnet_b0', 'convnext_tiny']
)
def test_same_weights_give_the_logits_of_torchvision(name):
    same_as_torchvision(name, 96)


@pytest.mark.slow
@pytest.mark.parametrize(
    ('name', 'side'),
    [
        ('resnet50', 64),
        ('resnet152', 64),
        ('densenet169', 64),
        ('inception_v3', 96),
        ('vgg16', 64),
        ('vgg19', 64),
    ],
)
def test_same_weights_give_the_logits_of_torchvision_in_the_large_ones_too(name, side):
    same_as_torchvision(name, side)


def same_as_torchvision(name, side):
    torch.manual_seed(0)
    stock = networks.library_models.find_library_model(name)
    theirs = stock.library_network(4).eval()
    stages, head = stock.split(theirs)
    x = torch.randn(2, 3, side, side)
    with torch.no_grad():
        expected = theirs(x)  # first, because ours sets its modules not to work in place
        ours = networks.StagedNetwork(stages, head, classes=4, channels=3).eval()
        torch.testing.assert_close(ours(x), expected, rtol=1e-5, atol=1e-6)
        made = networks.create(name, 4, 3, (side, side)).eval()
    assert made.state_dict().keys() == ours.state_dict().keys()
    assert expected.std(dim=0).max() > 0


def test_the_map_of_densenet_is_the_one_after_its_last_relu():
    torch.manual_seed(0)
    network = networks.create('densenet121', 2).eval()
    before = []
    network.stages['block4'][-2].register_forward_hook(lambda *a: before.append(a[-1].clone()))
    with torch.no_grad():
        feature_map, _ = network.features(torch.randn(1, 1, 64, 64))
    assert before[0].min() < 0
    torch.testing.assert_close(feature_map, before[0].clamp(min=0), rtol=0, atol=0)
