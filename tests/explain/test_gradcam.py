"""Grad-CAM by its definition, and what it must leave alone."""

import copy

import pytest
import torch
from torch import nn

from napari_cxr.explain import grad_cam
from napari_cxr.networks import StagedNetwork
from napari_cxr.networks.heads import AverageLinear, average_then


class Opaque(nn.Module):
    """A head whose closed form nobody knows."""

    def __init__(self, head):
        super().__init__()
        self.inner = head

    def forward(self, feature_map):
        return self.inner(feature_map)


class ReadsTwo(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4 + 8, 3)

    def forward(self, feature_map, early):
        return self.linear(torch.cat([early.amax((2, 3)), feature_map.tanh().mean((2, 3))], dim=1))


def small(head, classes, reads=()):
    stages = {
        'one': nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU()),
        'two': nn.Sequential(nn.Conv2d(4, 8, 3, stride=2), nn.ReLU()),
    }
    return StagedNetwork(stages, head, classes=classes, channels=1, reads=reads).eval()


def by_definition(network, x, target):
    """Equations 1 and 2, image by image, through the whole network."""
    maps = []
    for image in x:
        feature_map, earlier = network.features(image[None])
        logit = network.head(feature_map, *earlier)[0, target]
        (gradient,) = torch.autograd.grad(logit, feature_map)
        weights = gradient.mean(dim=(2, 3), keepdim=True)
        maps.append((weights * feature_map).sum(dim=1).clamp(min=0)[0].detach())
    return torch.stack(maps)


def averaging(outputs=3):
    return AverageLinear(8, outputs, dropout=0.5)


def deep(outputs=3):
    return average_then(nn.Linear(8, 16), nn.Hardswish(), nn.Dropout(0.5), nn.Linear(16, outputs))


@pytest.mark.parametrize('head', [averaging, deep])
def test_maps_by_hand(head):
    torch.manual_seed(0)
    network, x = small(head(), 3), torch.randn(4, 1, 20, 16)
    logits, maps = grad_cam(network, x)
    assert maps.shape == (4, 3, 8, 6)
    torch.testing.assert_close(logits, network(x).detach())
    for target in range(3):
        assert maps[:, target].max() > 0
        torch.testing.assert_close(maps[:, target], by_definition(network, x, target))


def test_a_head_that_reads_an_earlier_stage():
    torch.manual_seed(0)
    network, x = small(ReadsTwo(), 3, reads=['one']), torch.randn(2, 1, 20, 16)
    _, maps = grad_cam(network, x)
    # What came earlier is constant: only the path through the last map counts.
    feature_map, (early,) = network.features(x)
    feature_map = feature_map.detach().requires_grad_()
    logits = network.head(feature_map, early.detach())
    (gradient,) = torch.autograd.grad(logits[:, 1].sum(), feature_map)
    expected = (gradient.mean((2, 3), keepdim=True) * feature_map).sum(1).relu().detach()
    torch.testing.assert_close(maps[:, 1], expected)


@pytest.mark.parametrize('head', [averaging, deep])
def test_a_single_logit_is_what_is_explained(head):
    torch.manual_seed(1)
    network, x = small(head(1), 1), torch.randn(2, 1, 20, 16)
    logits, maps = grad_cam(network, x)
    assert (logits.shape, maps.shape) == ((2, 1), (2, 1, 8, 6))
    torch.testing.assert_close(maps[:, 0], by_definition(network, x, 0))
    assert maps.max() > 0


@pytest.mark.parametrize('head', [averaging, deep])
def test_targets_are_returned_in_the_order_asked_for(head):
    network, x = small(head(), 3), torch.randn(2, 1, 20, 16)
    _, every = grad_cam(network, x)
    _, some = grad_cam(network, x, [2, 0])
    torch.testing.assert_close(some, every[:, [2, 0]])


@pytest.mark.parametrize('targets', [[3], [-1], []])
def test_a_target_that_is_no_class_is_refused(targets):
    with pytest.raises(ValueError, match='classes from 0 to 2'):
        grad_cam(small(AverageLinear(8, 3), 3), torch.zeros(1, 1, 9, 9), targets)


def test_the_target_is_the_logit_where_the_probability_is_saturated():
    torch.manual_seed(0)
    network, x = small(AverageLinear(8, 2), 2), torch.randn(1, 1, 20, 16)
    _, expected = grad_cam(network, x)
    with torch.no_grad():
        network.head.linear.bias.copy_(torch.tensor([0.0, 300.0]))
    logits, maps = grad_cam(network, x)
    assert logits.softmax(1)[0, 1] == 1
    assert maps[0].amax((1, 2)).min() > 0
    torch.testing.assert_close(maps, expected, rtol=0, atol=0)


def test_closed_form_equals_autograd(network):
    weights = network.closed_form()
    if weights is None:
        pytest.skip('its head has no closed form')
    x = torch.randn(2, 1, 128, 96)
    logits, maps = grad_cam(network, x)
    opaque = network.with_head(Opaque(network.head), classes=3).eval()
    assert opaque.closed_form() is None
    other_logits, other_maps = grad_cam(opaque, x)
    torch.testing.assert_close(logits, other_logits, rtol=1e-6, atol=1e-6)
    assert maps.max() > 0
    torch.testing.assert_close(maps, other_maps, rtol=1e-5, atol=1e-6 * float(maps.max()))


def test_a_batch_equals_its_single_images(network):
    # In double precision, since the order of sums depends on the batch and the machine.
    network = copy.deepcopy(network).double()
    torch.manual_seed(2)
    x = torch.randn(3, 1, 128, 96, dtype=torch.float64)
    logits, maps = grad_cam(network, x)
    scale = float(maps.max())
    assert scale > 0
    for i in range(3):
        one_logits, one_maps = grad_cam(network, x[i : i + 1])
        torch.testing.assert_close(one_logits[0], logits[i], rtol=0, atol=1e-9)
        torch.testing.assert_close(one_maps[0] / scale, maps[i] / scale, rtol=0, atol=1e-9)


def test_modes_gradients_and_statistics_stay_as_they_were(network):
    x = torch.randn(2, 1, 96, 96, requires_grad=True)
    network.train()
    network.stages[network.stage_names[0]].eval()
    modes = [m.training for m in network.modules()]
    first, *_, last = network.parameters()
    first.grad, last.grad = torch.ones_like(first), torch.full_like(last, 7.0)
    buffers = [b.clone() for b in network.buffers()]

    logits, maps = grad_cam(network, x)

    assert [m.training for m in network.modules()] == modes
    assert bool((first.grad == 1).all()) and bool((last.grad == 7).all())
    assert [p for p in network.parameters() if p.grad is not None] == [first, last]
    assert all(p.requires_grad for p in network.parameters())
    assert all(torch.equal(a, b) for a, b in zip(buffers, network.buffers(), strict=True))
    assert x.grad is None
    assert logits.grad_fn is None and maps.grad_fn is None
    first.grad = last.grad = None
    network.eval()


def test_modes_come_back_when_the_network_fails():
    network = small(AverageLinear(8, 3), 3).train()
    with pytest.raises(RuntimeError):
        grad_cam(network, torch.zeros(1, 2, 9, 9))
    assert all(m.training for m in network.modules())


@pytest.mark.parametrize('head', [averaging, deep])
def test_frozen_weights_and_inference_mode_make_no_difference(head):
    torch.manual_seed(0)
    network, x = small(head(), 3), torch.randn(2, 1, 20, 16)
    _, maps = grad_cam(network, x)
    network.requires_grad_(False)
    torch.testing.assert_close(grad_cam(network, x)[1], maps, rtol=0, atol=0)
    with torch.inference_mode():
        torch.testing.assert_close(grad_cam(network, x.clone())[1], maps, rtol=0, atol=0)


def test_a_network_born_in_inference_mode_can_be_explained():
    with torch.inference_mode():
        network = small(deep(), 3)
    assert grad_cam(network, torch.randn(1, 1, 20, 16))[1].shape == (1, 3, 8, 6)


@pytest.mark.parametrize('head', [averaging, deep])
def test_head_and_gradient_run_in_single_precision_under_autocast(head):
    torch.manual_seed(0)
    network, x = small(head(), 3), torch.randn(2, 1, 20, 16)
    with torch.autocast('cpu', torch.bfloat16):
        logits, maps = grad_cam(network, x)
        feature_map = network.features(x)[0].detach().float()
    assert logits.dtype == maps.dtype == torch.float32
    # Stages in half precision, everything after them in single precision.
    after = StagedNetwork({'same': nn.Identity()}, network.head, classes=3, channels=8)
    expected_logits, expected = grad_cam(after, feature_map)
    torch.testing.assert_close(logits, expected_logits, rtol=0, atol=0)
    torch.testing.assert_close(maps, expected, rtol=0, atol=0)


def test_a_network_in_half_precision_is_explained_in_single():
    torch.manual_seed(0)
    network, x = small(deep(), 3), torch.randn(2, 1, 20, 16)
    _, expected = grad_cam(network, x)
    _, maps = grad_cam(network.to(torch.bfloat16), x.to(torch.bfloat16))
    assert maps.dtype == torch.float32
    torch.testing.assert_close(maps, expected, rtol=0.1, atol=0.1 * float(expected.max()))


def test_a_network_in_double_precision_stays_in_it():
    network = small(deep(), 3).double()
    assert grad_cam(network, torch.randn(1, 1, 9, 9).double())[1].dtype == torch.float64
