"""Domain extension: the same stages, another head."""

import pytest
import torch
from torch import nn

from napari_cxr import networks


def linears(network):
    return [m for m in network.head.modules() if isinstance(m, nn.Linear)]


def test_stages_keep_their_weights_and_the_head_is_new():
    torch.manual_seed(0)
    network = networks.create('resnet10', 2)
    network(torch.randn(4, 1, 64, 64))  # moves the statistics of the norms
    before = {k: v.clone() for k, v in network.state_dict().items()}
    other = networks.extend(network, 4, {'kind': 'average', 'hidden': [8]})
    for name, value in network.stages.state_dict().items():
        torch.testing.assert_close(other.stages.state_dict()[name], value, rtol=0, atol=0)
    assert other(torch.randn(2, 1, 64, 64)).shape == (2, 4)
    for name, value in network.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


def test_hidden_layers_of_the_same_head_come_along_and_the_last_is_new():
    # As DETL does: normal against disease, then four classes.
    network = networks.create('detl_cnn', 2, 1, (60, 60))
    other = networks.extend(network, 4)
    ours, theirs = linears(other), linears(network)
    for one, two in zip(ours[:2], theirs[:2], strict=True):
        torch.testing.assert_close(one.weight, two.weight, rtol=0, atol=0)
    assert ours[2].weight.shape == (4, 128)
    same = networks.extend(network, 2)
    assert not torch.equal(linears(same)[2].weight, theirs[2].weight)


def test_another_size_makes_a_flattening_head_new():
    network = networks.create('detl_cnn', 2, 1, (60, 60))
    other = networks.extend(network, 2, size=(80, 80))
    assert other.size == (80, 80)
    assert other(torch.zeros(1, 1, 80, 80)).shape == (1, 2)


def test_the_new_head_is_drawn_from_the_seed():
    network = networks.create('resnet10', 2)
    heads = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        heads.append(networks.extend(network, 3).head.linear.weight)
    assert torch.equal(heads[0], heads[1]) and not torch.equal(heads[0], heads[2])


def test_one_output_is_kept_as_one():
    network = networks.create('resnet10', 3)
    other = networks.extend(network, 2, {'single': True})
    assert linears(other)[0].weight.shape == (1, 512)
    with pytest.raises(ValueError, match=r'head\.single'):
        networks.extend(network, 3, {'single': True})


def test_a_head_that_ends_in_a_convolution_gets_a_new_one():
    network = networks.create('torchvision:squeezenet1_1', 2, 1, (64, 64))
    other = networks.extend(network, 2)
    one, two = (
        [m for m in n.head.modules() if isinstance(m, nn.Conv2d)] for n in (network, other)
    )
    assert not torch.equal(one[-1].weight, two[-1].weight)


#: Networks that do not get through 64 pixels a side, or would be slow there.
SIDES = {'zhong_cnn': 16, 'inception_v3': 80, 'inception_resnet_v2': 80}


def test_the_networks_of_the_first_release_are_there():
    first = {'resnet10', 'resnet18', 'resnet50', 'densenet121', 'mobilenet_v3_large'}
    assert first | {'efficientnet_b0'} <= set(networks.names())


def plainly(name, classes, channels, side):
    """Make a network without first drawing its weights well, which takes most of the time."""
    with torch.device('meta'):
        network = networks.create(name, classes, channels, (side, side))
    network.to_empty(device='cpu')
    for value in network.state_dict().values():
        value.zero_() if not value.is_floating_point() else value.uniform_(0, 0.01)
    return network.eval()


@pytest.mark.parametrize('name', networks.names())
@pytest.mark.parametrize('channels', [1, 3])
def test_every_network_takes_its_channels_and_returns_its_classes(name, channels):
    network = plainly(name, 5, channels, SIDES.get(name, 64))
    x = torch.randn(2, channels, *network.size)
    with torch.no_grad():
        feature_map, earlier = network.features(x)
        logits = network(x)
        again = network.head(feature_map, *earlier)
    assert logits.shape == (2, 5)
    torch.testing.assert_close(again, logits, rtol=0, atol=0)
    assert tuple(feature_map.shape[2:]) == network.grid(*network.size).cells
    assert tuple(feature_map.shape[1:]) == network.shapes(*network.size)[network.stage_names[-1]]
    assert (network.num_classes, network.channels, network.arch) == (5, channels, name)


def test_a_misspelt_name_is_answered_with_those_near_it():
    with pytest.raises(ValueError, match='Did you mean resnet18'):
        networks.create('resnet_18', classes=2)


def test_a_name_like_no_other_is_answered_with_all():
    with pytest.raises(ValueError, match=r'There are .*densenet121, .*resnet50.* timm:NAME'):
        networks.create('????', classes=2)


@pytest.mark.parametrize(('classes', 'channels'), [(0, 1), (2, 0)])
def test_nothing_is_no_number_of_classes_or_channels(classes, channels):
    with pytest.raises(ValueError, match='at least one class and one channel'):
        networks.create('resnet10', classes, channels)


def test_a_network_is_one_function(monkeypatch):
    monkeypatch.setattr(networks.registry, '_NETWORKS', {})

    @networks.register
    def single_convolution(classes, channels, size):
        stages = {'only': torch.nn.Conv2d(channels, 4, 3)}
        head = networks.heads.AverageLinear(4, classes)
        return networks.StagedNetwork(stages, head, classes=classes, channels=channels)

    assert networks.names() == ('single_convolution',)
    assert networks.create('single_convolution', 2)(torch.zeros(1, 1, 8, 8)).shape == (1, 2)
