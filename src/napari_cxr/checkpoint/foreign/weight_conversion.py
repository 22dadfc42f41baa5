"""Convert a file of another program to a model of ours, with a card that says what it means.

Weights under the names of a library are brought under ours; their shapes are compared first.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cxr import __version__
from napari_cxr.checkpoint.card import NOT_FOR_CLINICAL_USE, Card, CheckpointError
from napari_cxr.checkpoint.foreign.pickle_contents import ForeignFileError, shortened
from napari_cxr.checkpoint.foreign.torch_file import read_state
from napari_cxr.checkpoint.model_file import digest, save

if TYPE_CHECKING:
    from torch import Tensor, nn

    from napari_cxr.networks import StagedNetwork

__all__ = ['LIBRARY', 'FittedWeights', 'WeightsMeaning', 'check_labels', 'convert', 'fit_weights']

#: As torchvision's first files of DenseNet have it.
_OLD_DENSENET = re.compile(r'^(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\..*)$')

#: What serves training or presentation only.
_BESIDE = re.compile(r'(AuxLogits|aux1|aux2)\..*|op_threshs|n_averaged')

#: Batch norm counts batches since torch 0.4.1; nothing that predicts reads it.
_COUNT = 'num_batches_tracked'


@dataclass(frozen=True, eq=False)
class FittedWeights:
    """Weights that fit a network.

    Parameters
    ----------
    tensors : dict of str to Tensor
        Under our names, floats in single precision.
    channels : int
        Channels of the input, 1 or 3.
    """

    tensors: dict[str, Tensor]
    channels: int


@dataclass(frozen=True)
class _Wanted:
    """A network of a library: what its tensors are called there and here, and their shapes."""

    shapes: dict[str, tuple[int, ...]]
    ours: dict[str, str]
    last: frozenset[str]  # those with a row an output
    reading: frozenset[str]  # kernels that read the image


def fit_weights(
    tensors: Mapping[str, np.ndarray],
    architecture: str,
    labels: tuple[str, ...],
    size: tuple[int, int],
) -> FittedWeights:
    """Find a network's weights among those of a file.

    A prefix that all names share (``model.``, ``module.``, ``net.``, or any other) is taken
    off, unless the file has the network twice under different ones.

    Parameters
    ----------
    tensors : mapping of str to ndarray
        As `read_state` returns them.
    architecture : str
        A network of `napari_cxr.networks`: a name, torchvision:NAME or timm:NAME.
    labels : tuple of str
        What the outputs mean, in their order; an output without a name is left out.
    size : tuple of int
        Height and width of the input.

    Raises
    ------
    ForeignFileError
        If there is no such network, or the weights are not those of one.
    """
    import torch

    wanted = _wanted(architecture, size)
    renamed = {_OLD_DENSENET.sub(r'\1\2', name): array for name, array in tensors.items()}
    found = _without_prefix(renamed, wanted, architecture)
    outputs = {found[name].shape[0] for name in wanted.last}
    if outputs != {len(labels)}:
        raise ForeignFileError(
            f'The network has {max(outputs)} outputs, and {len(labels)} labels were given: name '
            'each in its order, and leave a name empty where an output is not wanted.'
        )
    channels = {found[name].shape[1] for name in wanted.reading} or {3}
    if not channels <= {1, 3} or len(channels) > 1:
        raise ForeignFileError(
            f'The network takes images of {max(channels)} channels; only 1 and 3 are supported.'
        )
    kept = [i for i, label in enumerate(labels) if label]
    ours: dict[str, Tensor] = {}
    for name, array in found.items():
        rows = array[kept] if name in wanted.last else array
        # Copied only now, when its shape is known to be the network's.
        tensor = torch.from_numpy(np.array(rows))
        ours[wanted.ours[name]] = tensor.float() if tensor.is_floating_point() else tensor
    for name, shape in wanted.shapes.items():
        if name.endswith(_COUNT) and name not in found:
            ours[wanted.ours[name]] = torch.zeros(shape, dtype=torch.int64)
    return FittedWeights(ours, channels.pop())


def _wanted(architecture: str, size: tuple[int, int]) -> _Wanted:
    import torch

    try:
        with torch.random.fork_rng(devices=[]):  # the random weights are thrown away
            whole, network = _both(architecture, 2, size)
            other, _ = _both(architecture, 3, size)
    except ValueError as error:
        raise ForeignFileError(f'The network {architecture!r} cannot be built: {error}') from None
    shapes = {name: tuple(t.shape) for name, t in whole.state_dict().items()}
    paths = {id(module): path for path, module in whole.named_modules()}
    reading = {id(m) for m in _reading(network)}
    ours: dict[str, str] = {}
    for path, module in network.named_modules():
        if id(module) not in paths:
            continue
        for own in (*module._parameters, *module._buffers):
            theirs = f'{paths[id(module)]}.{own}'.lstrip('.')
            if theirs in shapes:
                ours[theirs] = f'{path}.{own}'.lstrip('.')
    lost = network.state_dict().keys() - set(ours.values())
    if lost:
        raise ForeignFileError(
            f'The weights of {architecture} cannot be converted, because the network is split '
            'differently here; train it here instead.'
        )
    last = {n for n, t in other.state_dict().items() if tuple(t.shape) != shapes[n] and n in ours}
    kernels = {
        f'{path}.weight'.lstrip('.') for path, m in whole.named_modules() if id(m) in reading
    }
    return _Wanted(
        {name: shape for name, shape in shapes.items() if name in ours},
        ours,
        frozenset(last),
        frozenset(kernels),
    )


def _both(
    architecture: str, classes: int, size: tuple[int, int]
) -> tuple[nn.Module, StagedNetwork]:
    """Return a library's network and the same modules in stages; twice ours where it is ours."""
    from napari_cxr import networks
    from napari_cxr.networks.auto_split import split_library_model
    from napari_cxr.networks.library_models import find_library_model

    stock = find_library_model(architecture) or split_library_model(architecture, size)
    if stock is None:
        network = networks.create(architecture, classes, 3, size)
        return network, network
    whole = stock.library_network(classes)
    stages, head = stock.split(whole)
    return whole, networks.StagedNetwork(stages, head, classes=classes, channels=3, size=size)


def _reading(network: StagedNetwork) -> list[nn.Conv2d]:
    from napari_cxr.networks.library_models import input_convolutions

    return input_convolutions(dict(network.stages.items()))


def _without_prefix(
    tensors: Mapping[str, np.ndarray], wanted: _Wanted, architecture: str
) -> dict[str, np.ndarray]:
    """Return the tensors that the network wants, under its library's names."""
    needed = [name for name in wanted.shapes if not name.endswith(_COUNT)]
    prefixes = {''} | {
        name.removesuffix(needed[0]) for name in tensors if name.endswith(f'.{needed[0]}')
    }
    problems = {prefix: _problem(tensors, wanted, prefix) for prefix in sorted(prefixes)}
    fitting = [prefix for prefix, problem in problems.items() if not problem]
    if len(fitting) > 1:
        listed = ' and '.join(repr(shortened(prefix)) for prefix in fitting[:3])
        raise ForeignFileError(
            f'It holds the network more than once, under {listed}, and it is unclear which is '
            'meant.'
        )
    if not fitting:
        # What is nearest tells most.
        prefix = max(problems, key=lambda p: sum(p + name in tensors for name in needed))
        raise ForeignFileError(f'It does not fit {architecture}: {problems[prefix]}')
    prefix = fitting[0]
    return {name: tensors[prefix + name] for name in wanted.shapes if prefix + name in tensors}


def _problem(tensors: Mapping[str, np.ndarray], wanted: _Wanted, prefix: str) -> str:
    """Return why the tensors under a prefix are not the network's; empty where they are."""
    lacking = [
        name
        for name in wanted.shapes
        if prefix + name not in tensors and not name.endswith(_COUNT)
    ]
    if lacking:
        return f'{shortened(prefix + lacking[0])!r}{_and_others(lacking)} missing.'
    for name, shape in wanted.shapes.items():
        array = tensors.get(prefix + name)
        if array is not None and not _fits(array.shape, shape, name, wanted):
            return (
                f'{shortened(prefix + name)!r} has the shape {tuple(array.shape)} instead of '
                f'{shape}.'
            )
    over = [
        name
        for name in tensors
        if name.startswith(prefix)
        and name.removeprefix(prefix) not in wanted.shapes
        and not _BESIDE.fullmatch(name.removeprefix(prefix))
    ]
    return f'{shortened(over[0])!r}{_and_others(over)} too much.' if over else ''


def _fits(found: tuple[int, ...], shape: tuple[int, ...], name: str, wanted: _Wanted) -> bool:
    if name in wanted.last:  # any number of outputs
        return len(found) == len(shape) and found[1:] == shape[1:] and found[0] > 0
    if name in wanted.reading:  # any number of channels
        return len(found) == 4 and (found[0], *found[2:]) == (shape[0], *shape[2:])
    return found == shape


def _and_others(names: list[str]) -> str:
    return f' and {len(names) - 1} other tensors are' if len(names) > 1 else ' is'


#: What the thresholds are called that come with a library's weights.
LIBRARY = 'library'

#: Labels that are about the person and not about a finding.
_PERSON = {'age', 'sex', 'gender', 'race', 'ethnicity', 'male', 'female'}

_GROUPS = {'asian', 'black', 'white', 'hispanic', 'latino', 'caucasian', 'man', 'woman'}


@dataclass(frozen=True)
class WeightsMeaning:
    """What nobody can read out of a file: what the outputs mean and what the input is.

    Parameters
    ----------
    architecture : str
        A network of `napari_cxr.networks`.
    labels : tuple of str
        Of the outputs, in their order; an output without a name is left out.
    thresholds : tuple of float, optional
        From which probability on each label is predicted, NaN where that is not known.
    size : tuple of int
        Height and width of the input.
    mean, std : tuple of float
        Normalisation of each channel of an input in [0, 1].
    fit : {'crop', 'stretch', 'pad'}
        As of `Preprocessing`.
    multilabel : bool
        Whether an image can have several labels.
    title, licence, not_to_believe : str
        As of `Card`.
    attribution, not_measured : tuple of str
        As of `Card`.
    source : dict
        What else the card says of where the weights are from.
    """

    architecture: str
    labels: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    thresholds: tuple[float, ...] = ()
    size: tuple[int, int] = (224, 224)
    fit: str = 'crop'
    multilabel: bool = False
    title: str = ''
    licence: str = ''
    not_to_believe: str = ''
    attribution: tuple[str, ...] = ()
    not_measured: tuple[str, ...] = ()
    source: dict[str, Any] = field(default_factory=dict)


def convert(source: str | Path, target: str | Path, name: str, meaning: WeightsMeaning) -> Card:
    """Write the weights of another program as a model of ours, and run nothing of the file.

    Parameters
    ----------
    source : str or Path
        As `read_state` takes it.
    target : str or Path
        Where to; the folder must exist.
    name : str
        The model's name.
    meaning : WeightsMeaning
        What outputs and input mean.

    Returns
    -------
    Card
        The one that is in the file.

    Raises
    ------
    CheckpointError
        If the file is not admitted, does not fit, or a label is about the person.
    """
    source = Path(source)
    check_labels(meaning.labels)
    found = read_state(source)
    try:
        fitted = fit_weights(found.tensors, meaning.architecture, meaning.labels, meaning.size)
    except ForeignFileError as error:
        raise ForeignFileError(f'{source.name} was not read. {error}') from None
    if len(meaning.mean) not in (1, fitted.channels) or len(meaning.std) != len(meaning.mean):
        raise ForeignFileError(
            f'The network reads {fitted.channels} channel(s), so mean and std are '
            f'{fitted.channels} number(s) each, or one for all.'
        )
    card = Card(
        name=name,
        title=meaning.title or f'{meaning.architecture} from {source.name}',
        architecture=meaning.architecture,
        labels=tuple(label for label in meaning.labels if label),
        channels=fitted.channels,
        multilabel=meaning.multilabel,
        preprocessing=_preprocessing(meaning, fitted.channels),
        data={'converted': {'sha256': digest(source), 'form': found.form, **meaning.source}},
        operating_points=_operating_points(meaning),
        decision=LIBRARY if _operating_points(meaning) else '',
        licence=meaning.licence,
        attribution=meaning.attribution,
        intended_use=NOT_FOR_CLINICAL_USE,
        not_to_believe=meaning.not_to_believe,
        not_measured=meaning.not_measured,
        created=datetime.now(UTC).date().isoformat(),
        version=__version__,
    )
    try:
        save(target, fitted.tensors, card)
    except OSError as error:
        raise CheckpointError(f'The model cannot be written: {error.strerror}.') from error
    return card


def check_labels(labels: Sequence[str]) -> None:
    """Refuse labels that are about the person: age, sex, gender, race, ethnicity."""
    for label in labels:
        words = re.findall('[a-z]+', label.lower())
        if _PERSON & set(words) or (len(words) == 1 and words[0] in _GROUPS):
            raise ForeignFileError(
                f'The label {label!r} is about the person and not about a finding; napari-cxr '
                'offers no guesses of age, sex or race. Leave its name empty to leave it out.'
            )


def _preprocessing(meaning: WeightsMeaning, channels: int) -> dict[str, Any]:
    """Return what a card says of the input; as `napari_cxr.inference.Preprocessing` has it."""
    mean, std = meaning.mean, meaning.std
    if not all(map(math.isfinite, (*mean, *std))) or min(std) <= 0:
        raise ForeignFileError('mean and std must be numbers, and std must be above 0.')
    each = channels if len(mean) == 1 else 1
    return {
        'height': meaning.size[0],
        'width': meaning.size[1],
        'fit': meaning.fit,
        'channels': channels,
        'mean': list(mean) * each,
        'std': list(std) * each,
        'stretch': None,
    }


def _operating_points(meaning: WeightsMeaning) -> dict[str, dict[str, float]]:
    if not meaning.multilabel or not meaning.thresholds:
        return {}
    pairs = zip(meaning.labels, meaning.thresholds, strict=True)
    return {label: {LIBRARY: t} for label, t in pairs if label and not math.isnan(t)}
