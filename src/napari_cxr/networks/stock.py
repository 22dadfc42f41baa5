"""Networks of torchvision and timm, and how each is cut into stages and a head."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches

from torch import nn

from napari_cxr.networks.registry import register
from napari_cxr.networks.staged import StagedNetwork

__all__ = [
    'LIBRARIES',
    'Cut',
    'Parts',
    'Stock',
    'known_stock',
    'of_timm',
    'of_torchvision',
    'open_to',
    'reading_convolutions',
]

#: Named stages in order, and the network's own head.
Parts = tuple[dict[str, nn.Module], nn.Module]
Cut = Callable[[nn.Module], Parts]


@dataclass(frozen=True)
class Stock:
    """A network that a library has under a name.

    Parameters
    ----------
    library : {'torchvision', 'timm'}
        Whose it is.
    name : str
        What it is called there.
    cut : callable
        Takes the library's network apart.
    """

    library: str
    name: str
    cut: Cut

    def whole(self, classes: int) -> nn.Module:
        """Return the library's network as it is, for three channels, with random weights.

        Raises
        ------
        ValueError
            If the library has no such network for classification.
        """
        return LIBRARIES[self.library](self.name, classes)

    def staged(self, classes: int, channels: int, size: tuple[int, int]) -> StagedNetwork:
        """Return the network in stages and head, for as many channels as the input has."""
        stages, head = self.cut(self.whole(classes))
        open_to(channels, stages)
        return StagedNetwork(stages, head, classes=classes, channels=channels)


_STOCK: dict[str, Stock] = {}


def of_torchvision(cut: Cut) -> Cut:
    """Make a cut known as the network of torchvision that it has the name of."""
    return _known('torchvision', cut)


def of_timm(cut: Cut) -> Cut:
    """Make a cut known as the network of timm that it has the name of."""
    return _known('timm', cut)


def known_stock(name: str) -> Stock | None:
    """Return what a name in the registry is made of; None for what no library has."""
    return _STOCK.get(name)


def _known(library: str, cut: Cut) -> Cut:
    stock = Stock(library, cut.__name__, cut)

    _STOCK[stock.name] = stock
    register(stock.staged, stock.name)
    return cut


def _of_torchvision(name: str, classes: int) -> nn.Module:
    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        raise ValueError(f'torchvision has no network {name!r} for classes.{_near(name, known)}')
    # The auxiliary classifiers serve training on ImageNet only.
    extra = {'aux_logits': False, 'init_weights': True}
    options = extra if name in ('inception_v3', 'googlenet') else {}
    whole: nn.Module = models.get_model(name, weights=None, num_classes=classes, **options)
    return whole


def _of_timm(name: str, classes: int) -> nn.Module:
    import timm  # here, because it takes seconds

    # Names with a colon would be looked up on a hub or in a folder.
    if ':' in name or not timm.is_model(name):
        raise ValueError(f'timm has no network {name!r}.{_near(name, timm.list_models())}')
    try:
        whole: nn.Module = timm.create_model(name, pretrained=False, num_classes=classes)
    except RuntimeError as error:  # the tag after the dot
        raise ValueError(f'timm has no network {name!r}: {error}') from None
    return whole


#: How each library makes a network of a name, for so many classes.
LIBRARIES = {'torchvision': _of_torchvision, 'timm': _of_timm}


def _near(name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, n=3, cutoff=0.5)
    return f' Did you mean {" or ".join(near)}?' if near else ''


def open_to(channels: int, stages: dict[str, nn.Module]) -> None:
    """Give the convolutions that read the image as many input channels as asked for."""
    if channels == 3:
        return
    for conv in reading_convolutions(stages):
        conv.in_channels = channels
        conv.weight = nn.Parameter(
            conv.weight.new_empty(len(conv.weight), channels, *conv.kernel_size)
        )
        nn.init.kaiming_normal_(conv.weight, mode='fan_out', nonlinearity='relu')


def reading_convolutions(stages: dict[str, nn.Module]) -> list[nn.Conv2d]:
    """Return the convolutions of a library's network that read the image of three channels."""
    first = next(iter(stages.values()))
    return [m for m in first.modules() if isinstance(m, nn.Conv2d) and m.in_channels == 3]
