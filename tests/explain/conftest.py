"""Networks with random weights that behave: batch norms know the data's mean and spread."""

import pytest
import torch
from torch import nn

from napari_cxr import networks

#: One of each kind of stages and heads, small enough for many images.
SEVERAL = ('densenet121', 'efficientnet_b0', 'mobilenet_v3_large', 'resnet10', 'resnet50')


def calibrated(name, seed=0, classes=3, channels=1):
    """Return a network in evaluation mode whose batch norms have seen random images."""
    torch.manual_seed(seed)
    network = networks.create(name, classes, channels)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the plain mean over what it sees
    with torch.no_grad():
        network.train()(torch.randn(4, channels, 128, 128))
    return network.eval()


@pytest.fixture(scope='session')
def calibrate():
    """Return `calibrated`."""
    return calibrated


@pytest.fixture(scope='module', params=SEVERAL)
def network(request):
    """Return each network, calibrated; a test must leave it as it was."""
    return calibrated(request.param)


@pytest.fixture(scope='session', autouse=True)
def one_thread():
    """Small convolutions on several threads wait for each other, on a busy machine for minutes."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
