"""Networks of timm are what timm says they are."""

import subprocess
import sys

import pytest
import torch

from napari_cxr import networks
from napari_cxr.networks import Grid

PUBLISHED = {'legacy_xception': 22_855_952, 'inception_resnet_v2': 55_843_464}


@pytest.mark.parametrize('name', PUBLISHED)
def test_number_of_parameters_is_the_published_one(name):
    with torch.device('meta'):
        network = networks.create(name, classes=1000, channels=3, size=(299, 299))
    assert sum(p.numel() for p in network.parameters()) == PUBLISHED[name]


def test_grids():
    with torch.device('meta'):
        xception = networks.create('legacy_xception', 2)
        inception = networks.create('inception_resnet_v2', 2)
    # Two valid 3x3 convolutions, the first of stride 2: 1 + 2; all else is symmetric.
    assert xception.grid(299, 299) == Grid((3.0,) * 2, (32.0,) * 2, (10, 10))
    assert inception.grid(299, 299).cells == (8, 8)
    assert inception.grid(224, 224).cells == (5, 5)


@pytest.mark.slow
@pytest.mark.parametrize('name', PUBLISHED)
def test_same_weights_give_the_logits_of_timm(name):
    torch.manual_seed(0)
    stock = networks.library_models.find_library_model(name)
    theirs = stock.library_network(4).eval()
    ours = networks.StagedNetwork(*stock.split(theirs), classes=4, channels=3).eval()
    for module in ours.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
    x = torch.randn(4, 3, 96, 96)
    with torch.no_grad():
        ours.train()(x)  # or the map would fade to nothing
        ours.eval()
        expected = theirs(x)
        torch.testing.assert_close(ours(x), expected, rtol=1e-5, atol=1e-6)
    assert expected.std(dim=0).max() > 1e-3


def test_timm_is_imported_only_when_it_is_needed():
    code = """
import sys
from napari_cxr import networks
networks.create('resnet10', 2)
assert 'timm' not in sys.modules
"""
    subprocess.run([sys.executable, '-c', code], check=True)
