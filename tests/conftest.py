"""What several test files share."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope='session', autouse=True)
def own_cache_folder(tmp_path_factory) -> Iterator[None]:
    """Leave the person's cache and data folders alone, in child processes as well."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('NAPARI_CXR_CACHE', str(tmp_path_factory.mktemp('cache')))
        patch.setenv('XDG_DATA_HOME', str(tmp_path_factory.mktemp('data')))
        yield


@pytest.fixture(scope='session')
def cxr_data() -> Path:
    """Folder of real radiographs; the test skips where it is missing."""
    folder = os.environ.get('NAPARI_CXR_DATA')
    if not folder or not Path(folder).is_dir():
        pytest.skip('NAPARI_CXR_DATA names no folder of real radiographs')
    return Path(folder)


@pytest.fixture(scope='session')
def model_file(tmp_path_factory) -> Path:
    """A model with random weights: three classes, grey, 97 x 97 pixels."""
    import torch

    from napari_cxr import networks
    from napari_cxr.checkpoint import Card, save
    from napari_cxr.inference import Preprocessing

    torch.manual_seed(0)
    network = networks.create('resnet10', 3, 1)
    # Batch norm with plausible statistics, so that maps are not empty.
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # the mean of all batches
    network.train()
    with torch.no_grad():
        for _ in range(4):
            network(torch.randn(4, 1, 97, 97))
    card = Card(
        name='tiny',
        title='Random weights, for tests',
        architecture='resnet10',
        labels=('covid19', 'normal', 'pneumonia'),
        channels=1,
        preprocessing=Preprocessing(97, 97).to_dict(),
    )
    path = tmp_path_factory.mktemp('models') / 'tiny.safetensors'
    save(path, network.state_dict(), card)
    return path


@pytest.fixture(scope='session')
def findings_file(tmp_path_factory, model_file):
    """Make models of which an image can have several labels, or none: random weights.

    Called with labels and entries of the card; ``probabilities``, one a label, are then what
    the model says of a middling image, others differ from it a little.
    """
    import torch

    from napari_cxr import networks
    from napari_cxr.checkpoint import Card, load, save

    base = load(model_file)

    def make(labels, probabilities, name='findings', **entries) -> Path:
        network = networks.create('resnet10', len(labels), 1)
        # The head's weights are other ones; what stands before it is the small model's.
        kept = {k: v for k, v in base.tensors.items() if v.shape == network.state_dict()[k].shape}
        network.load_state_dict(kept, strict=False)
        *_, head = (m for m in network.modules() if isinstance(m, torch.nn.Linear))
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            head.weight.copy_(0.02 * torch.randn(head.weight.shape, generator=generator))
            middling = network.eval()(torch.full((1, 1, 97, 97), 0.5))[0] - head.bias
            head.bias.copy_(torch.logit(torch.tensor(probabilities)) - middling)
        card = Card(
            name=name,
            title='Random weights, for tests',
            architecture='resnet10',
            labels=tuple(labels),
            channels=1,
            preprocessing=base.card.preprocessing,
            multilabel=True,
            **entries,
        )
        path = tmp_path_factory.mktemp('models') / f'{name}.safetensors'
        save(path, network.state_dict(), card)
        return path

    return make


@pytest.fixture(scope='session')
def foreign_file(tmp_path_factory) -> Path:
    """Random weights of a DenseNet-121 as TorchXRayVision's: one channel, 18 outputs."""
    import torch
    from torchvision.models import densenet121

    torch.manual_seed(2)
    network = densenet121(num_classes=18)
    network.features.conv0 = torch.nn.Conv2d(1, 64, 7, 2, 3, bias=False)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = None
        network.train()(2048 * torch.rand(2, 1, 224, 224) - 1024)
        network.classifier.bias.fill_(-2.5)
    path = tmp_path_factory.mktemp('findings') / 'model.pt'
    torch.save(network.eval(), path)
    return path


@pytest.fixture
def without_torch(tmp_path, monkeypatch):
    """Let no process that starts from now on import torch, torchvision or timm."""
    for name in ('torch', 'torchvision', 'timm'):
        (tmp_path / 'blocked' / name).mkdir(parents=True)
        blocked = tmp_path / 'blocked' / name / '__init__.py'
        blocked.write_text(f"raise ImportError('{name} must not be imported here')\n")
    (tmp_path / 'blocked' / 'torch' / 'version.py').write_text("cuda: str = '13.0'\nhip = None\n")
    monkeypatch.setenv('PYTHONPATH', str(tmp_path / 'blocked'), prepend=os.pathsep)


@pytest.fixture
def listed_foreign(foreign_file, own_models):
    """List those weights as 'findings' in the person's own catalog.toml, at an address."""

    def list_them(address: str, weights: str = 'all', sha256: str = '') -> None:
        from napari_cxr.checkpoint import digest

        own_models.mkdir(exist_ok=True)
        (own_models / 'catalog.toml').write_text(
            f'[[model]]\nname = "findings"\nformat = "torchxrayvision"\nweights = "{weights}"\n'
            f'url = "{address}"\nsha256 = "{sha256 or digest(foreign_file)}"\n'
            f'size = {foreign_file.stat().st_size}\n'
        )

    return list_them


@pytest.fixture(scope='session', autouse=True)
def own_home(tmp_path_factory) -> Iterator[None]:
    """Keep the whole run out of the person's own folders."""
    home = str(tmp_path_factory.mktemp('home'))
    with pytest.MonkeyPatch.context() as patch:
        for name in ('XDG_DATA_HOME', 'XDG_CONFIG_HOME', 'XDG_CACHE_HOME', 'LOCALAPPDATA'):
            patch.setenv(name, home)
        yield


@pytest.fixture(autouse=True, scope='session')
def wide_terminal() -> Iterator[None]:
    """Keep sentences of the command line on one line, however long the paths in them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('COLUMNS', '2000')
        yield


@pytest.fixture(autouse=True)
def seed() -> None:
    """Let torch draw the same numbers in a test, whatever ran before it in this process."""
    if 'torch' in sys.modules:
        sys.modules['torch'].manual_seed(67280421310721)  # what it begins with by itself


@pytest.fixture(autouse=True)
def own_models(tmp_path_factory, monkeypatch) -> Path:
    """Give each test a folder of models of its own, which does not exist yet."""
    folder = tmp_path_factory.mktemp('own') / 'models'
    monkeypatch.setenv('NAPARI_CXR_MODELS', str(folder))
    return folder
