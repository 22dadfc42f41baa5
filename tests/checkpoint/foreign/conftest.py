"""Small networks as torch saves them, in both of its forms."""

import pytest
import torch
from torch import nn


def small_network() -> nn.Module:
    """A whole network with parameters, buffers, a nested module and entries that are None."""
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, bias=False),
        nn.BatchNorm2d(4),
        nn.Sequential(nn.ReLU()),
        nn.Linear(4, 2),
    )


@pytest.fixture(params=['zip', 'legacy'])
def form(request) -> str:
    return request.param


@pytest.fixture
def save(tmp_path):
    """Save an object as torch does, in one of its forms; returns the file."""

    def save(found, form='zip', name='weights.pt', **options):
        path = tmp_path / name
        zipped = form == 'zip'
        torch.save(found, path, _use_new_zipfile_serialization=zipped, **options)
        return path

    return save


@pytest.fixture
def network():
    return small_network()
