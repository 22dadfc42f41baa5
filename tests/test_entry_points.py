"""What other packages add: found by name, and a broken entry costs only itself."""

import logging

import numpy as np
import pytest

from napari_cxr import entry_points
from napari_cxr.entry_points import EXPLANATION_METHODS, EXPORTERS, NETWORKS, installed

MODULE = """
def network(classes, channels, size):
    from torch import nn
    from napari_cxr.networks import StagedNetwork
    from napari_cxr.networks.heads import AverageLinear
    stages = {'only': nn.Sequential(nn.Conv2d(channels, 4, 3, stride=2), nn.ReLU())}
    return StagedNetwork(stages, AverageLinear(4, classes), classes=classes, channels=channels)

def uniform(network, x, targets=None):
    import torch
    targets = range(network.num_classes) if targets is None else targets
    maps = torch.ones(len(x), len(targets), 2, 2)
    return network(x).detach(), maps

NUMBER = 3
"""
ENTRIES = f"""
[{NETWORKS}]
two_layers = made_up_extension:network
resnet18 = made_up_extension:network
missing = made_up_extension:nowhere
no_package = made_up_nowhere:network
number = made_up_extension:NUMBER
raises = made_up_broken:network

[{EXPLANATION_METHODS}]
Uniform = made_up_extension:uniform
"""


@pytest.fixture
def extension(tmp_path, monkeypatch):
    """A package with entry points, some of them broken, as pip would have installed it."""
    (tmp_path / 'made_up_extension.py').write_text(MODULE)
    (tmp_path / 'made_up_broken.py').write_text('raise SystemError("broken on import")')
    info = tmp_path / 'made_up-1.0.dist-info'
    info.mkdir()
    (info / 'METADATA').write_text('Metadata-Version: 2.1\nName: made-up\nVersion: 1.0\n')
    (info / 'entry_points.txt').write_text(ENTRIES)
    monkeypatch.syspath_prepend(tmp_path)
    for cached in (entry_points._loaded, entry_points._report):
        cached.cache_clear()
    yield
    for cached in (entry_points._loaded, entry_points._report):
        cached.cache_clear()


def test_without_other_packages_there_is_nothing():
    assert not any(map(installed, (NETWORKS, EXPLANATION_METHODS, EXPORTERS)))


def test_a_broken_entry_costs_only_itself(extension, caplog):
    with caplog.at_level(logging.ERROR):
        found = installed(NETWORKS, {'resnet18'})
        again = installed(NETWORKS, {'resnet18'})
    assert set(found) == {'two_layers'} and again == found
    ours = [record for record in caplog.records if record.name == entry_points.__name__]
    reported = {record.getMessage().split("'")[1]: record.getMessage() for record in ours}
    assert len(ours) == len(reported), 'each once'
    assert set(reported) == {'missing', 'no_package', 'number', 'raises', 'resnet18'}
    assert 'broken on import' in reported['raises'] and NETWORKS in reported['raises']
    assert 'is not callable' in reported['number']
    assert 'napari-cxr has one of that name' in reported['resnet18']


def test_a_network_of_another_package_is_made_by_its_name(extension):
    import torch

    from napari_cxr import networks

    assert 'two_layers' in networks.names() and 'missing' not in networks.names()
    network = networks.create('two_layers', 3, 1, (32, 32))
    assert network.arch == 'two_layers'
    assert network.eval()(torch.zeros(1, 1, 32, 32)).shape == (1, 3)
    assert networks.create('resnet18', 2).stage_names != network.stage_names, 'ours, not theirs'
    with pytest.raises(ValueError, match='Did you mean two_layers'):
        networks.create('two_layer', 3)


def test_a_method_of_another_package_explains(extension, model_file):
    from napari_cxr import samples
    from napari_cxr.explain import explanation_methods
    from napari_cxr.inference.classifier import Classifier
    from napari_cxr.radiograph import Radiograph

    assert explanation_methods.names()[:: len(explanation_methods.names()) - 1] == (
        'Grad-CAM',
        'Uniform',
    )
    radiograph = Radiograph.from_array(samples.phantom((90, 80)).astype(np.float32))
    _, maps = Classifier.load(model_file, 'cpu').explain(radiograph, method='Uniform')
    assert {heatmap.method for heatmap in maps} == {'Uniform'}
    assert all((heatmap.values == 1).all() for heatmap in maps)
    with pytest.raises(ValueError, match=r'there is Grad-CAM, .*, Uniform'):
        explanation_methods.method('Group-CAM')
