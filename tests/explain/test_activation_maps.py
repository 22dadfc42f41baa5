"""Class activation maps by hand, by identities, and by pytorch-grad-cam where that is right.

grad-cam 1.5.7 is a reference for HiResCAM, LayerCAM and Grad-CAM++ (with large gradients: it adds
1e-6 to a denominator of squared gradients). It is none for EigenCAM, since it centres the cells,
which the paper does not, and leaves the sign to chance.
"""

import numpy as np
import pytest
import torch
from torch import nn

from napari_cxr.explain import grad_cam
from napari_cxr.explain.activation_maps import (
    eigen_cam,
    grad_cam_plus_plus,
    hires_cam,
    layer_cam,
)
from napari_cxr.networks import StagedNetwork
from napari_cxr.networks.heads import AverageLinear


class Weighted(nn.Module):
    """A head whose gradient differs between cells: logit k is the sum of weights[k] times A."""

    def __init__(self, weights):
        super().__init__()
        self.weights = nn.Parameter(weights)

    def forward(self, feature_map):
        return torch.einsum('kchw,nchw->nk', self.weights, feature_map)


def direct(head, classes, channels=2):
    """A network whose feature map is its input."""
    return StagedNetwork({'same': nn.Identity()}, head, classes=classes, channels=channels).eval()


#: Two channels of 1 x 2 cells, and the weights of one logit.
CELLS = torch.tensor([[[[1.0, 2.0]], [[3.0, 0.0]]]])
WEIGHTS = torch.tensor([[[[2.0, -1.0]], [[-1.0, 4.0]]]])


def test_by_hand():
    network = direct(Weighted(WEIGHTS), 1)
    # 2*1 - 1*3 and -1*2 + 4*0, below 0 both; the positive gradients alone: 2*1 and 4*0.
    assert hires_cam(network, CELLS)[1].tolist() == [[[[0, 0]]]]
    assert layer_cam(network, CELLS)[1].tolist() == [[[[2, 0]]]]
    # Sums of the channels are 3 and 3: weights 2/(2 + 3*2) = 1/4 and 4/(2 + 3*4) = 2/7.
    expected = torch.tensor([[[[1 / 4 + 3 * 2 / 7, 2 / 4]]]])
    torch.testing.assert_close(grad_cam_plus_plus(network, CELLS)[1], expected)


def test_eigen_cam_by_singular_values():
    cells = torch.rand(1, 2, 3, 4)
    _, maps = eigen_cam(direct(AverageLinear(2, 3), 3), cells, [0, 2])
    matrix = cells[0].reshape(2, 12).T.numpy()
    first = np.linalg.svd(matrix)[2][0]
    assert (np.sign(first) == np.sign(first[0])).all()  # Perron and Frobenius
    expected = (matrix @ np.abs(first)).reshape(3, 4)
    np.testing.assert_allclose(maps[0, 0], expected, rtol=1e-5)
    assert torch.equal(maps[0, 0], maps[0, 1])


def test_a_flat_map_of_nothing_is_nothing():
    for method in (hires_cam, layer_cam, grad_cam_plus_plus, eigen_cam):
        assert method(direct(AverageLinear(2, 2), 2), torch.zeros(1, 2, 3, 3))[1].max() == 0


def test_with_a_mean_and_a_linear_layer_hires_cam_is_grad_cam(network):
    if network.closed_form() is None:
        pytest.skip('its head is more than that')
    x = torch.randn(1, 1, 128, 96)
    _, expected = grad_cam(network, x)
    _, maps = hires_cam(network, x)
    torch.testing.assert_close(maps, expected, rtol=1e-4, atol=1e-6 * float(expected.max()))


def test_hires_cam_sums_to_the_logit_without_the_bias():
    network = direct(Weighted(WEIGHTS.abs()), 1)
    logits, maps = hires_cam(network, CELLS)
    torch.testing.assert_close(maps.sum(dim=(2, 3)), logits)


@pytest.mark.parametrize('kind', ['HiResCAM', 'LayerCAM', 'GradCAMPlusPlus'])
def test_values_equal_those_of_the_library(kind, calibrate):
    library = pytest.importorskip('pytorch_grad_cam')
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    from napari_cxr.networks.heads import average_then

    network = calibrate('resnet10')
    torch.manual_seed(4)
    head = average_then(nn.Linear(512, 16), nn.Tanh(), nn.Linear(16, 3))
    with torch.no_grad():
        head[-1].weight *= 1e4  # far above the library's 1e-6
    network = network.with_head(head, 3).eval()
    ours = {
        'HiResCAM': hires_cam,
        'LayerCAM': layer_cam,
        'GradCAMPlusPlus': grad_cam_plus_plus,
    }[kind]
    x = torch.randn(1, 1, 96, 96)
    _, maps = ours(network, x, [1])
    with getattr(library, kind)(network, [network.stages[network.stage_names[-1]]]) as theirs:
        theirs.model.eval()
        found = theirs.forward(x, [ClassifierOutputTarget(1)])
    network.zero_grad(set_to_none=True)
    large = torch.nn.functional.interpolate(maps, size=(96, 96), mode='bilinear')[0, 0]
    unit = (large - large.min()) / (large.max() - large.min())
    assert np.ptp(found) > 0.9
    np.testing.assert_allclose(unit.numpy(), found[0], rtol=0, atol=2e-5)
