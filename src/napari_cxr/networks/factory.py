"""Networks made from a name, with the head that is asked for."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import get_ident
from typing import Any

import torch
from torch.nn import Conv2d, Linear
from torch.nn.modules import module as hooks

from napari_cxr.networks.auto_split import split_library_model
from napari_cxr.networks.heads import HeadPlan, SingleOutput
from napari_cxr.networks.registry import find_network
from napari_cxr.networks.staged import StagedNetwork
from napari_cxr.networks.torch_pair import explained_torch_pair

__all__ = ['create', 'declared_shapes', 'extend', 'library_elements', 'time_limit']

#: What torchvision and timm call the parts after the last map, which a card may replace.
_LIBRARY_HEADS = ('classifier', 'fc', 'head')


def create(
    name: str,
    classes: int,
    channels: int = 1,
    size: tuple[int, int] = (224, 224),
    head: Mapping[str, Any] | None = None,
) -> StagedNetwork:
    """Build a network with random weights.

    Parameters
    ----------
    name : str
        One of `names`; or ``torchvision:NAME`` or ``timm:NAME`` for any other network of
        these libraries that is a chain of stages, which is tried out first.
    classes : int
        Number of logits.
    channels : int
        Channels of the input: 1 for grey images as they are.
    size : tuple of int
        Height and width of the input. Most networks take any; those that flatten their
        last map are built for one.
    head : mapping, optional
        Another head than the network's own, as the entries of a recipe's head: `kind`,
        `hidden`, `dropout`, `single`; see `napari_cxr.networks.heads.HeadPlan`.

    Raises
    ------
    NotStaged
        If a library's network is not a chain of stages and a head.
    ValueError
        If there is no such network, a number is below 1, an entry of the head is wrong,
        the network does not take images of this size, or torchvision does not load.
    """
    with explained_torch_pair():
        stock = split_library_model(name, size)
    make = find_network(name) if stock is None else stock.staged_network
    if classes < 1 or channels < 1:
        raise ValueError(f'{name} needs at least one class and one channel.')
    plan = HeadPlan.of(head or {}, classes)
    outputs = 1 if plan.single else classes
    with explained_torch_pair():
        network = make(outputs, channels, size)
    # Where the head takes any size, the stages may still not.
    features = list(network.shapes(*size).values())[-1][0]
    if plan.kind == 'average':
        network = network.with_head(plan.averaging(features, outputs), outputs, reads=())
    if plan.single:
        network = network.with_head(SingleOutput(network.head), classes)
    network.arch, network.size = name, size
    return network


def extend(
    network: StagedNetwork,
    classes: int,
    head: Mapping[str, Any] | None = None,
    size: tuple[int, int] | None = None,
) -> StagedNetwork:
    """Return a network with the same stages and weights, and a head for other classes.

    The last layer of the head is new, drawn from torch's random state. Hidden layers before
    it keep their weights where the new head has the same ones (domain extension, Basu,
    Mitra and Saha 2020, replaces the last layer only).

    Parameters
    ----------
    network : StagedNetwork
        As `create` made it, trained since; it stays as it is.
    classes : int
        Number of logits.
    head : mapping, optional
        As for `create`.
    size : tuple of int, optional
        Of the input; by default the network's own.

    Raises
    ------
    ValueError
        As `create`.
    """
    other = create(network.arch, classes, network.channels, size or network.size, head)
    other.stages.load_state_dict(network.stages.state_dict())
    wanted, there = other.head.state_dict(), network.head.state_dict()
    layers = [(n, m) for n, m in other.head.named_modules() if isinstance(m, Conv2d | Linear)]
    name, layer = layers[-1]
    last = {f'{name}.{part}'.lstrip('.') for part, _ in layer.named_parameters()}
    hidden = {name: t.shape for name, t in wanted.items() if name not in last}
    if hidden == {name: t.shape for name, t in there.items() if name not in last}:
        other.head.load_state_dict(wanted | {name: there[name] for name in hidden})
    return other


def declared_shapes(
    name: str,
    classes: int,
    channels: int = 1,
    size: tuple[int, int] = (224, 224),
    head: Mapping[str, Any] | None = None,
) -> dict[str, tuple[int, ...]] | None:
    """Return the shapes of a network's tensors by name, without allocating any of them.

    Parameters
    ----------
    name, classes, channels, size, head
        As of `create`.

    Returns
    -------
    dict of str to tuple of int, or None
        None for a network that only a trial with real images can split (``torchvision:NAME``
        or ``timm:NAME``), or that cannot be built without data; see `library_elements`.

    Raises
    ------
    ValueError
        As `create`.
    """
    if split_library_model(name, size) is not None:
        return None
    try:
        with torch.device('meta'):
            network = create(name, classes, channels, size, head)
    except (NotImplementedError, RuntimeError):  # of another package, which needs its numbers
        return None
    return {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}


def library_elements(name: str, size: tuple[int, int]) -> int:
    """Return how many numbers a library's network has before its head; allocates none of them.

    Parameters
    ----------
    name, size
        As of `create`.

    Returns
    -------
    int
        0 for a network that is not one of a library.

    Raises
    ------
    ValueError
        If the library has no such network.
    """
    stock = split_library_model(name, size)
    if stock is None:
        return 0
    with torch.device('meta'):
        whole = stock.library_network(2)
    return sum(
        tensor.numel()
        for key, tensor in whole.state_dict().items()
        if key.partition('.')[0] not in _LIBRARY_HEADS
    )


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Stop building or trying out a network that takes too long; for what somebody else wrote.

    Looks at the time whenever a part of a network is made or run in this thread, so that it
    works in every thread and on every system.

    Parameters
    ----------
    seconds : float
        Of processor time of this thread.

    Raises
    ------
    ValueError
        If it took longer.
    """
    ends = time.thread_time() + seconds
    thread = get_ident()

    def look(*_: Any) -> None:
        if get_ident() == thread and time.thread_time() > ends:
            raise ValueError(f'it takes more than {seconds:.0f} s to build.')

    handles = [
        hooks.register_module_module_registration_hook(look),
        hooks.register_module_forward_pre_hook(look),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
