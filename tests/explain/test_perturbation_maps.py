"""ScoreCAM, occlusion and integrated gradients: by hand, by identities, and by other libraries.

pytorch-grad-cam enlarges channels of ScoreCAM without regard to where their cells look, so it is
a reference where the feature map is as large as the image. captum is one for the other two.
"""

import numpy as np
import pytest
import torch
from torch import nn

from napari_cxr.explain.integrated_gradients import attributions, integrated_gradients
from napari_cxr.explain.perturbation_maps import occlusion, score_cam
from napari_cxr.networks import StagedNetwork
from napari_cxr.networks.heads import AverageLinear, average_then


def drained(steps):
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def network(stride=1, seed=0):
    torch.manual_seed(seed)
    convolution = nn.Conv2d(1, 5, 3, stride=stride, padding=1)
    head = average_then(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 2))
    stages = {'one': nn.Sequential(convolution, nn.ReLU())}
    return StagedNetwork(stages, head, classes=2, channels=1).eval()


class SumOfPart(nn.Module):
    """Logit 0 is the sum of the pixels of one part, logit 1 its negative."""

    def forward(self, feature_map):
        part = feature_map[:, 0, 4:8, 8:12].sum(dim=(1, 2))
        return torch.stack([part, -part], dim=1)


def part():
    return StagedNetwork({'same': nn.Identity()}, SumOfPart(), classes=2, channels=1).eval()


def lit():
    x = torch.zeros(1, 1, 16, 16)
    x[0, 0, 4:8, 8:12] = 16  # a sixteenth of the image: the mean grey is 1
    return x


def test_occlusion_marks_what_the_logit_depends_on():
    logits, maps = drained(occlusion(part(), lit(), cells=8, window=2))
    assert logits.tolist() == [[256, -256]]
    # A part of 2 x 2 cells; a window that covers one of them takes 4 pixels from 16 to 1. A cell
    # of the part is covered by windows that hide 4, 2, 2 and 1 cells of it.
    assert maps[0, 0, 2:4, 4:6].tolist() == [[(4 + 2 + 2 + 1) * 60 / 4] * 2] * 2
    assert maps[0, 0, 1, 4] == (2 + 1) * 60 / 4  # beside it: windows that hide 2 cells and 1
    assert maps[0, 0, 0].max() == 0 and maps[0, 0, :, :3].max() == 0
    assert maps[0, 1].max() == 0  # hiding it only raises this one


def test_pixels_add_up_to_the_change_of_the_logit():
    net, x = network(), torch.randn(2, 1, 12, 10, dtype=torch.float64)
    net = net.double()
    found = drained(attributions(net, x, steps=300))
    grey = x.mean(dim=(2, 3), keepdim=True).expand_as(x)
    torch.testing.assert_close(
        found.sum(dim=(2, 3)), (net(x) - net(grey)).detach(), rtol=0, atol=2e-3
    )
    linear = StagedNetwork(
        {'one': nn.Conv2d(1, 5, 3, padding=1)}, AverageLinear(5, 2), classes=2, channels=1
    ).double()
    exact = drained(attributions(linear, x, steps=2))  # a straight line needs no more
    torch.testing.assert_close(exact.sum(dim=(2, 3)), (linear(x) - linear(grey)).detach())


def test_integrated_gradients_are_summed_over_parts():
    x = torch.randn(1, 1, 56, 42)
    pixels = drained(attributions(network(), x))
    _, maps = drained(integrated_gradients(network(), x))
    assert maps.shape == (1, 2, 28, 28)
    torch.testing.assert_close(maps[0, 1, 3, 0], pixels[0, 1, 6:8, 0:2].sum().relu())


def test_score_cam_by_hand():
    """Two channels: what each lets through, what the network answers, and the softmax."""

    class Channels(nn.Module):
        def forward(self, x):
            return torch.cat([(x - 1).relu(), (1 - x).relu()], dim=1)

    stages = {'split': Channels()}
    net = StagedNetwork(stages, AverageLinear(2, 1), classes=1, channels=1).eval()
    with torch.no_grad():
        net.head.linear.weight.copy_(torch.tensor([[1.0, 0.0]]))
        net.head.linear.bias.zero_()
    x = torch.tensor([[[[3.0, 0.0], [1.0, 0.0]]]])  # the mean is 1
    # Channel 0 is (2, 0, 0, 0): the mask lets the 3 through, logit 2/4. Channel 1 is
    # (0, 1, 0, 1): it lets the zeros through, where channel 0 is empty: logit 0.
    weight = np.exp([0.5, 0.0]) / np.exp([0.5, 0.0]).sum()
    _, maps = drained(score_cam(net, x))
    expected = [[2 * weight[0], weight[1]], [0, weight[1]]]
    np.testing.assert_allclose(maps[0, 0], expected, rtol=1e-6)


def test_channels_that_are_the_same_everywhere_have_no_weight():
    net = StagedNetwork({'same': nn.Identity()}, AverageLinear(1, 1), classes=1, channels=1)
    assert drained(score_cam(net.eval(), torch.full((1, 1, 4, 4), 3.0)))[1].max() == 0


def test_score_cam_equals_the_library():
    pytest.importorskip('pytorch_grad_cam')
    from pytorch_grad_cam import ScoreCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    net, x = network(), torch.randn(1, 1, 20, 20)
    x = x - x.mean()  # it takes away to 0, we to the mean
    _, maps = drained(score_cam(net, x))
    with ScoreCAM(net, [net.stages['one']]) as library:
        found = library(x, [ClassifierOutputTarget(1)])[0]
    unit = maps[0, 1] - maps[0, 1].min()
    np.testing.assert_allclose((unit / unit.max()).numpy(), found, rtol=0, atol=2e-5)


def test_values_equal_those_of_captum():
    pytest.importorskip('captum', reason='captum, of the dev group, is not installed')
    from captum.attr import IntegratedGradients, Occlusion

    net, x = network(stride=2), torch.randn(1, 1, 16, 16)
    grey = x.mean().expand_as(x)
    ours = drained(attributions(net, x, [1], steps=32))[0, 0]
    theirs = IntegratedGradients(net).attribute(x, grey, target=1, n_steps=32)
    torch.testing.assert_close(ours, theirs[0, 0].float(), rtol=1e-4, atol=1e-7)
    _, maps = drained(occlusion(net, x, [1], cells=8, window=2))
    theirs = Occlusion(net).attribute(x, (1, 4, 4), strides=(1, 2, 2), target=1, baselines=grey)
    inner = theirs[0, 0, ::2, ::2].relu()[1:-1, 1:-1]  # its windows stay inside the image
    torch.testing.assert_close(maps[0, 0, 1:-1, 1:-1], inner, rtol=1e-4, atol=1e-6)
