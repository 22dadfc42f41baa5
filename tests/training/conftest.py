"""A labelled folder and a small network that the tests make themselves."""

import pytest
from labelled_images import write_image, write_table
from torch import nn

from napari_cxr import networks
from napari_cxr.networks.heads import AverageLinear
from napari_cxr.training import Recipe


def small_resnet(classes, channels, size):
    """A stage for each of ResNet-10's, with 24,000 weights instead of five millions.

    What a run costs, beside its images, is drawing, updating, hashing and writing weights.
    """
    widths = {'stem': 16, 'layer1': 16, 'layer2': 24, 'layer3': 32, 'layer4': 32}
    stages, before = {}, channels
    for place, (name, width) in enumerate(widths.items()):
        convolution = nn.Conv2d(before, width, 3, 2 if place < 3 else 1, 1, bias=False)
        stages[name] = nn.Sequential(convolution, nn.BatchNorm2d(width), nn.ReLU())
        before = width
    head = AverageLinear(32, classes)
    return networks.StagedNetwork(stages, head, classes=classes, channels=channels)


@pytest.fixture(autouse=True)
def small_networks(monkeypatch):
    """Let recipes name that network."""
    monkeypatch.setitem(networks.registry._NETWORKS, 'small_resnet', small_resnet)


@pytest.fixture(autouse=True)
def images_of_tests(tmp_path, monkeypatch):
    """Decoded images go to a folder of the tests' own, not to the person's."""
    monkeypatch.setenv('NAPARI_CXR_CACHE', str(tmp_path / 'decoded'))


@pytest.fixture
def folder(tmp_path):
    """24 images of 12 patients, two sources, with a manifest."""
    root = tmp_path / 'images'
    rows = []
    for i in range(24):
        label = ('left', 'right')[i % 2]
        write_image(root / label / f'{i}.png', label, i)
        rows.append(
            {
                'Path': f'{label}/{i}.png',
                'LABEL': label,
                'patient_id': f'DOE^JOHN{i // 4}{label}',
                'split': ('train', 'train', 'train', 'val', 'test', 'Testing')[i // 4],
                'source': ('a', 'b')[i // 4 % 2],
                'view': 'PA',
            }
        )
    write_table(root / 'manifest.csv', rows)
    return root


@pytest.fixture
def recipe():
    """Two short epochs of the small network on small images."""
    return Recipe.from_dict(
        {
            'name': 'small',
            'network': 'small_resnet',
            'epochs': 2,
            'batch': 4,
            'seed': 5,
            'precision': 'float32',
            'input': {'height': 33, 'width': 33},
            'augmentation': {'rotation': 5.0, 'shift': 0.05, 'gamma': 0.2, 'noise': 0.02},
            'selection': {'average': 0.5},
        }
    )
