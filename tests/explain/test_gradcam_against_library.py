"""Our maps are pytorch-grad-cam's, under its own normalisation.

That library hooks whichever tensor a layer returned, and reads the wrong one where a
later operation works in place; our stages never do, so here it is right.
"""

import numpy as np
import pytest
import torch
from torch.nn import functional

from napari_cxr.explain import grad_cam


def two_steps(maps, size):
    """Shift and scale to [0, 1], enlarge, and once more, as the library does."""

    def unit(images):
        images = images - images.amin((1, 2), keepdim=True)
        return images / (1e-7 + images.amax((1, 2), keepdim=True))

    large = functional.interpolate(unit(maps)[:, None], size=size, mode='bilinear')
    return unit(large[:, 0])


def test_values_equal_those_of_the_library(network):
    pytest.importorskip('pytorch_grad_cam')  # takes as long to import as torch
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    torch.manual_seed(3)
    x = torch.randn(2, 1, 160, 128)
    classes = [2, 0]
    _, maps = grad_cam(network, x)
    ours = two_steps(torch.stack([maps[0, 2], maps[1, 0]]), (160, 128))
    with GradCAM(network, [network.stages[network.stage_names[-1]]]) as library:
        theirs = library(x, [ClassifierOutputTarget(c) for c in classes])
    network.zero_grad(set_to_none=True)
    assert theirs.max() > 0.9 and np.ptp(theirs) > 0.9
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=0, atol=1e-5)
