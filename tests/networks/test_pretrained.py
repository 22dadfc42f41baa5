"""Pretrained weights, from a hub that the test makes itself."""

import dataclasses
import hashlib
import os

import pytest
import torch
import torchvision
from torch import nn
from torchvision.models._api import WeightsEnum

from napari_cxr import networks
from napari_cxr.networks import WeightsUnavailable


class Runs:
    """What a pickle must not be able to do."""

    def __reduce__(self):
        return (exec, ("raise SystemExit('a pickle was run')",))


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """Return a function that offers a state, in a file of the right name, as any weights."""
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'cache'))
    monkeypatch.delenv('HF_HOME', raising=False)

    def offer(state, right=True):
        torch.save(state, tmp_path / 'state.pth')
        content = (tmp_path / 'state.pth').read_bytes()
        digest = hashlib.sha256(content if right else b'').hexdigest()
        path = (tmp_path / 'state.pth').rename(tmp_path / f'made-{digest[:8]}.pth')
        monkeypatch.setattr(WeightsEnum, 'url', property(lambda self: path.as_uri()))
        return path

    return offer


def trained(name, **options):
    """Return torchvision's network with weights and statistics that are not the usual ones."""
    torch.manual_seed(0)
    whole = getattr(torchvision.models, name)(weights=None, **options)
    for value in whole.state_dict().values():
        if value.is_floating_point():
            value += 0.1 * torch.rand_like(value) * value.std().nan_to_num(1)
    return whole.eval()


def returned_by(whole, path, x):
    kept = []
    whole.get_submodule(path).register_forward_hook(lambda m, a, out: kept.append(out.clone()))
    with torch.no_grad():
        whole(x)
    return kept[0]


def features(network, x):
    with torch.no_grad():
        return network.eval().features(x)[0]


@pytest.mark.parametrize(
    ('name', 'path'),
    [('resnet18', 'layer4'), ('mobilenet_v3_large', 'features'), ('densenet121', 'features')],
)
def test_the_features_are_those_of_torchvision(hub, name, path):
    whole = trained(name)
    hub(whole.state_dict())
    network = networks.create(name, 2, 3, (64, 64))
    head = [p.clone() for p in network.head.parameters()]
    networks.load_pretrained(network)
    x = torch.randn(2, 3, 64, 64)
    expected = returned_by(whole, path, x)
    expected = expected.relu() if name == 'densenet121' else expected
    torch.testing.assert_close(features(network, x), expected)
    assert all(torch.equal(a, b) for a, b in zip(head, network.head.parameters(), strict=True))


def test_a_grey_image_answers_as_its_three_equal_colours(hub):
    whole = trained('resnet18')
    hub(whole.state_dict())
    network = networks.create('resnet18', 2, 1, (64, 64))
    networks.load_pretrained(network)
    x = torch.randn(2, 1, 64, 64)
    expected = returned_by(whole, 'layer4', x.expand(-1, 3, -1, -1))
    torch.testing.assert_close(features(network, x), expected, rtol=1e-4, atol=1e-5)


def test_inception_takes_the_normalisation_of_the_others(hub):
    whole = trained('inception_v3', transform_input=True, init_weights=True)
    hub(whole.state_dict())  # with an auxiliary classifier
    network = networks.create('inception_v3', 2, 3, (96, 96))
    networks.load_pretrained(network)
    x = torch.randn(2, 3, 96, 96)
    expected = returned_by(whole, 'Mixed_7c', x)
    assert expected.max() > 0
    torch.testing.assert_close(features(network, x), expected, rtol=1e-4, atol=1e-4)


def test_old_names_of_densenet_are_read(hub):
    whole = trained('densenet121')
    old = {
        name.replace('.norm1.', '.norm.1.').replace('.conv2.', '.conv.2.'): value
        for name, value in whole.state_dict().items()
        if not name.endswith('num_batches_tracked')
    }
    assert 'features.denseblock1.denselayer1.norm.1.weight' in old
    hub(old)
    network = networks.create('densenet121', 2, 3)
    networks.load_pretrained(network)
    x = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(features(network, x), returned_by(whole, 'features', x).relu())


def test_any_network_of_a_library_gets_its_weights(hub):
    whole = trained('shufflenet_v2_x0_5')
    hub(whole.state_dict())
    network = networks.create('torchvision:shufflenet_v2_x0_5', 2, 3, (64, 64))
    networks.load_pretrained(network)
    x = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(features(network, x), returned_by(whole, 'conv5', x))


def test_weights_of_timm(hub, monkeypatch):
    import timm
    from timm.models import _registry

    torch.manual_seed(0)
    whole = timm.create_model('resnet10t', pretrained=False)
    for p in whole.parameters():
        p.data += 0.01
    path = hub(whole.state_dict())
    known = _registry._model_pretrained_cfgs
    mine = dataclasses.replace(known['resnet10t'], url=path.as_uri(), hf_hub_id=None)
    monkeypatch.setitem(known, 'resnet10t', mine)
    network = networks.create('timm:resnet10t', 2, 1, (64, 64))
    networks.load_pretrained(network)
    x = torch.randn(2, 1, 64, 64)
    with torch.no_grad():
        expected = whole.eval().forward_features(x.expand(-1, 3, -1, -1))
    torch.testing.assert_close(features(network, x), expected, rtol=1e-4, atol=1e-5)


def test_a_file_of_timm_without_a_hash_in_its_name_is_refused(monkeypatch):
    from timm.models import _registry

    known = _registry._model_pretrained_cfgs
    mine = dataclasses.replace(known['resnet10t'], url='file:///made.pth', hf_hub_id=None)
    monkeypatch.setitem(known, 'resnet10t', mine)
    with pytest.raises(WeightsUnavailable, match='no hash to check it by'):
        networks.load_pretrained(networks.create('timm:resnet10t', 2, 1, (64, 64)))


@pytest.mark.skipif(os.name == 'nt', reason='links need rights on Windows')
@pytest.mark.parametrize('right', [True, False])
def test_a_file_in_the_cache_of_the_hub_is_compared_with_its_name(tmp_path, monkeypatch, right):
    from huggingface_hub import constants

    from napari_cxr.networks.pretrained import check_cached

    name = hashlib.sha256(b'weights' if right else b'others').hexdigest()
    home = tmp_path / 'models--timm--made'
    for folder in ('blobs', 'refs', 'snapshots/1'):
        (home / folder).mkdir(parents=True)
    (home / 'refs' / 'main').write_text('1')
    (home / 'blobs' / name).write_bytes(b'weights')
    (home / 'snapshots' / '1' / 'model.safetensors').symlink_to(home / 'blobs' / name)
    monkeypatch.setattr(constants, 'HF_HUB_CACHE', str(tmp_path))
    if right:
        check_cached('timm/made', None)
    else:
        with pytest.raises(ValueError, match='damaged'):
            check_cached('timm/made', None)


def test_loading_draws_nothing(hub):
    hub(trained('resnet18').state_dict())
    network = networks.create('resnet18', 2, 3)
    torch.manual_seed(0)
    networks.load_pretrained(network)
    found = torch.rand(1)
    torch.manual_seed(0)
    assert torch.rand(1) == found


def test_a_file_that_is_not_what_its_name_says_is_refused(hub):
    hub(trained('resnet18').state_dict(), right=False)
    with pytest.raises(WeightsUnavailable, match=r'resnet18 could not be had .*invalid hash'):
        networks.load_pretrained(networks.create('resnet18', 2, 3))


def test_a_pickle_that_runs_something_is_refused(hub):
    hub({'conv1.weight': Runs()})
    with pytest.raises(WeightsUnavailable, match='resnet18 could not be had'):
        networks.load_pretrained(networks.create('resnet18', 2, 3))


def test_weights_of_another_network_are_refused(hub):
    hub(trained('shufflenet_v2_x0_5').state_dict())
    network = networks.create('resnet18', 2, 3)
    before = network.stages['stem'][0].weight.clone()
    with pytest.raises(WeightsUnavailable, match='resnet18 could not be had'):
        networks.load_pretrained(network)
    assert torch.equal(network.stages['stem'][0].weight, before)


def test_without_a_connection_it_is_said(hub, monkeypatch):
    gone = 'http://127.0.0.1:9/resnet18-00000000.pth'
    monkeypatch.setattr(WeightsEnum, 'url', property(lambda self: gone))
    with pytest.raises(WeightsUnavailable, match=r'127.0.0.1.* Connect to the internet once'):
        networks.load_pretrained(networks.create('resnet18', 2, 3))


@pytest.mark.parametrize('name', ['resnet10', 'nova_cnn', 'zhong_cnn', 'torchvision:googlenet'])
def test_networks_without_weights(name):
    with torch.device('meta'):
        network = networks.StagedNetwork(
            {'stage': nn.Conv2d(3, 3, 1)}, nn.Identity(), classes=2, channels=3, arch=name
        )
    with pytest.raises(WeightsUnavailable, match='from random ones'):
        networks.load_pretrained(network)
