"""Methods by name, and what all of them have in common."""

import pytest
import torch
from torch import nn

from napari_cxr.explain import explanation_methods, grad_cam
from napari_cxr.explain.explanation_methods import contrast_network
from napari_cxr.networks import StagedNetwork
from napari_cxr.networks.heads import AverageLinear, average_then


def drained(steps):
    """Return what a generator returns, and all that it yields."""
    seen = []
    while True:
        try:
            seen.append(next(steps))
        except StopIteration as end:
            return end.value, seen


def small(linear=True, classes=3):
    torch.manual_seed(0)
    head = (
        AverageLinear(6, classes)
        if linear
        else average_then(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, classes))
    )
    stages = {
        'one': nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU()),
        'two': nn.Sequential(nn.Conv2d(4, 6, 3, stride=2, padding=1), nn.ReLU()),
    }
    return StagedNetwork(stages, head, classes=classes, channels=1).eval()


def test_grad_cam_is_the_default():
    assert explanation_methods.names()[0] == 'Grad-CAM'
    assert explanation_methods.method('Grad-CAM').resolve() is grad_cam


@pytest.mark.parametrize('name', ['gradcam++', 'Integrated-Gradients', 'OCCLUSION', 'layer cam'])
def test_names_are_found_however_they_are_typed(name):
    assert explanation_methods.method(name).name in explanation_methods.names()


def test_an_unknown_method_is_answered_with_those_there_are():
    with pytest.raises(ValueError, match=r"no explanation method 'GradCam2'.*there is Grad-CAM"):
        explanation_methods.method('GradCam2')


@pytest.mark.parametrize('name', explanation_methods.names())
@pytest.mark.parametrize('linear', [True, False])
def test_every_method_leaves_the_network_alone_and_takes_images_one_by_one(name, linear):
    network, x = small(linear), torch.randn(2, 1, 18, 14)
    network.train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    (logits, maps), seen = drained(explanation_methods.explain(name, network, x, [2, 0]))
    assert network.training and all(part.training for part in network.modules())
    after = network.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in before.items())
    assert all(parameter.grad is None for parameter in network.parameters())
    torch.testing.assert_close(logits, network.eval()(x).detach())
    assert maps.shape[:2] == (2, 2) and maps.min() >= 0 and maps.max() > 0
    assert bool(seen) == explanation_methods.method(name).slow
    assert seen == sorted(seen) and (not seen or seen[-1] == 1)
    for i in range(2):
        (_, alone), _ = drained(explanation_methods.explain(name, network, x[i : i + 1], [2]))
        torch.testing.assert_close(alone[0, 0], maps[i, 0], rtol=1e-4, atol=1e-6)


def test_a_slow_method_that_is_closed_leaves_gradients_as_they_were():
    network, x = small().train(), torch.randn(1, 1, 18, 14)
    for name in ('ScoreCAM', 'Occlusion', 'Integrated gradients'):
        steps = explanation_methods.explain(name, network, x)
        next(steps)
        assert torch.is_grad_enabled()
        steps.close()
        assert network.training


@pytest.mark.parametrize('linear', [True, False])
def test_a_contrast_explains_the_difference_of_two_logits(linear):
    network, x = small(linear), torch.randn(2, 1, 18, 14)
    logits, maps = grad_cam(contrast_network(network, against=1), x, [0, 1])
    whole = network(x).detach()
    torch.testing.assert_close(logits, whole - whole[:, 1:2])
    assert maps[:, 1].max() == 0  # nothing makes a class more likely than itself
    feature_map = network.features(x)[0].detach().requires_grad_()
    both = network.head(feature_map)
    (gradient,) = torch.autograd.grad((both[:, 0] - both[:, 1]).sum(), feature_map)
    expected = (gradient.mean((2, 3), keepdim=True) * feature_map).sum(1).relu().detach()
    torch.testing.assert_close(maps[:, 0], expected)
