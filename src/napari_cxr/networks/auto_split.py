"""Split any network of torchvision or timm that is a chain of parts into stages and a head.

Most of these networks are chains: each part takes what the part before it returned. Where a
small step stands between two parts (a ReLU, a mean over the map, a flattening), it is found by
trying; where none of these fits, the network is not a chain.

Nothing is taken on trust: the stages and head that come out must return the network's own
logits for random images, and no part may overwrite what another returned.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn

from napari_cxr.networks.eval_mode import evaluating, run_without_data
from napari_cxr.networks.heads import AverageLinear
from napari_cxr.networks.library_models import LIBRARIES, LibraryModel, StagesAndHead
from napari_cxr.networks.staged import NotStaged, StagedNetwork

__all__ = ['ChannelMeans', 'TraceStep', 'split_library_model', 'trace_steps']


class ChannelMeans(nn.Module):
    """The mean of each channel, (N, C, h, w) to (N, C)."""

    def forward(self, feature_map: Tensor) -> Tensor:
        """Average rows and columns."""
        return feature_map.mean(dim=(2, 3))


@dataclass(frozen=True, eq=False)
class TraceStep:
    """One part of a chain: a module of the network by its path, or a small step between two.

    Parameters
    ----------
    path : str
        Where the module is in the network; empty for a step between.
    between : Module or None
        The step between.
    shape : tuple of int
        Of what it returns, the batch included.
    """

    path: str
    between: nn.Module | None
    shape: tuple[int, ...]


@cache
def _what_may_be_between() -> tuple[tuple[nn.Module, ...], ...]:
    """Return what may stand between two parts, the simplest first."""
    from torchvision.ops import Permute  # takes as long to import as torch

    return (
        (),
        (nn.ReLU(),),
        (nn.Flatten(1),),
        (ChannelMeans(),),
        (nn.ReLU(), ChannelMeans()),
        (Permute([0, 3, 1, 2]),),
        (Permute([0, 2, 3, 1]),),
    )


@dataclass(frozen=True, eq=False)
class _Call:
    path: str
    taken: Tensor
    returned: Tensor


@torch.no_grad()
def trace_steps(whole: nn.Module, x: Tensor) -> list[TraceStep]:
    """Return the chain that a network is, from the image to the logits.

    Parameters
    ----------
    whole : Module
        In evaluation mode, with weights that let differences through.
    x : Tensor, shape (N, channels, height, width)
        Images to watch it with.

    Raises
    ------
    NotStaged
        If it is not a chain; the message says where it breaks.
    """
    calls: list[_Call] = []
    taken: dict[str, Tensor] = {}
    hooks = []
    for path, module in _parts(whole):

        def before(_: Any, args: Any, kwargs: Any, path: str = path) -> None:
            if len(args) != 1 or kwargs or not isinstance(args[0], Tensor):
                raise NotStaged(f'its part {path!r} takes more than one input')
            taken[path] = args[0].clone()  # others may work in place on it

        def after(_: Any, args: Any, out: Any, path: str = path) -> None:
            if not isinstance(out, Tensor):
                raise NotStaged(f'its part {path!r} returns more than one output')
            if any(call.path == path for call in calls):
                raise NotStaged(f'it runs its part {path!r} twice')
            calls.append(_Call(path, taken[path], out.clone()))

        hooks.append(module.register_forward_pre_hook(before, with_kwargs=True))
        hooks.append(module.register_forward_hook(after))
    try:
        logits = whole(x)
    finally:
        for hook in hooks:
            hook.remove()
    if not calls or not isinstance(logits, Tensor):
        raise NotStaged('it has no parts that could be stages')
    steps: list[TraceStep] = []
    now, name = x, 'the image'
    for call in [*calls, _Call('', logits, logits)]:
        steps += _between(now, call.taken, name, repr(call.path) if call.path else 'the logits')
        if call.path:
            steps.append(TraceStep(call.path, None, tuple(call.returned.shape)))
        now, name = call.returned, repr(call.path)
    return steps


def _parts(module: nn.Module, prefix: str = '') -> Iterator[tuple[str, nn.Module]]:
    """Yield the modules that may be parts: children, and those of plain containers."""
    for name, child in module.named_children():
        path = f'{prefix}{name}'
        if type(child) in (nn.Sequential, nn.ModuleList, nn.ModuleDict) and len(child):  # type: ignore[arg-type]
            yield from _parts(child, f'{path}.')
        else:
            yield path, child


def _between(before: Tensor, after: Tensor, one: str, other: str) -> Sequence[TraceStep]:
    for modules in _what_may_be_between():
        value, steps = before, []
        try:
            for module in modules:
                value = module(value)
                steps.append(TraceStep('', module, tuple(value.shape)))
        except (RuntimeError, IndexError):
            continue
        if value.shape == after.shape and torch.allclose(value, after, rtol=1e-5, atol=1e-6):
            return steps
    raise NotStaged(
        f'between {one} and {other} it runs an operation that is not a module of its own'
    )


_TRIAL_IMAGES = 2

#: What torchvision and timm call the parts after the last map.
_HEAD_PARTS = ('avgpool', 'classifier', 'fc', 'global_pool', 'head')


def split_library_model(name: str, size: tuple[int, int]) -> LibraryModel | None:
    """Return a library's network by 'torchvision:NAME' or 'timm:NAME', None for other names.

    Parameters
    ----------
    name : str
        Library and name.
    size : tuple of int
        Height and width of the images that it is tried with when it is cut.
    """
    library, colon, inner = name.partition(':')
    if not colon or library not in LIBRARIES:
        return None
    return LibraryModel(library, inner, partial(_split, name=name, size=size))


def _split(whole: nn.Module, *, name: str, size: tuple[int, int]) -> StagesAndHead:
    """Find stages and head on a copy, verify them, and cut the network alike.

    Raises
    ------
    NotStaged
        If it is not a chain, or the chain is not the network.
    """
    _refuse_large_trial(whole, name, size)
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(0)
            x = torch.randn(_TRIAL_IMAGES, 3, *size)
            trial = _lively(copy.deepcopy(whole), x)
            steps = trace_steps(trial, x)
            chain = _Chain(steps, getattr(whole, 'num_features', 0), size)
            expected = trial(x)
            _verify(*chain.split(trial), x, expected)
    except NotStaged as error:
        raise NotStaged(f'{name} cannot be split into stages and a head: {error}.') from None
    except (RuntimeError, AssertionError, ValueError) as error:
        why = (str(error) or type(error).__name__).splitlines()[0]
        raise NotStaged(
            f'{name} does not take images of {size[0]} x {size[1]} pixels; choose another size. '
            f'({why})'
        ) from None
    return chain.split(whole)


#: Bytes of all that the parts of a network return in the trial, which are kept until its end.
_LARGEST_TRIAL = 16 << 30


def _refuse_large_trial(whole: nn.Module, name: str, size: tuple[int, int]) -> None:
    """Refuse images for which the trial would take more memory than machines have."""
    returned = 0

    def count(_: Any, __: Any, out: Any) -> None:
        nonlocal returned
        returned += out.numel() if isinstance(out, Tensor) else 0

    handles = [
        part.register_forward_hook(count) for part in whole.modules() if not list(part.children())
    ]
    try:
        with torch.no_grad(), evaluating(whole):
            run_without_data(whole, torch.empty((1, 3, *size), device='meta'))
    except (RuntimeError, AssertionError, ValueError, TypeError):
        return  # which the trial itself words, or which runs with numbers only
    finally:
        for handle in handles:
            handle.remove()
    if 4 * _TRIAL_IMAGES * returned > _LARGEST_TRIAL:
        raise NotStaged(
            f'{name} takes more memory for images of {size[0]} x {size[1]} pixels than can be '
            'given to it; choose another size.'
        )


class _Chain:
    """Which steps make up which stage, and which the head."""

    def __init__(self, steps: Sequence[TraceStep], features: int, size: tuple[int, int]) -> None:
        # timm says how many channels the last map has, so its rows can be told from them.
        self.channels_last = False
        maps = [i for i, step in enumerate(steps) if len(step.shape) == 4]
        if features and maps:
            last = steps[maps[-1]].shape
            self.channels_last = last[3] == features != last[1]
        rows, columns = (1, 2) if self.channels_last else (2, 3)
        heads = [i for i, step in enumerate(steps) if step.path.partition('.')[0] in _HEAD_PARTS]
        maps = [
            i
            for i in maps
            if i < min(heads, default=len(steps))
            and steps[i].shape[rows] * steps[i].shape[columns] > 1
        ]
        end = maps[-1] + 1 if maps else 0
        if not 0 < end < len(steps):
            raise NotStaged('none of its parts returns a feature map for a head')
        self.head = steps[end:]
        self.stages: list[list[TraceStep]] = []
        cells = size[0] * size[1]
        for step in steps[:end]:
            now = step.shape[rows] * step.shape[columns] if len(step.shape) == 4 else cells
            if not self.stages or now < cells:
                self.stages.append([])
            self.stages[-1].append(step)
            cells = now

    def split(self, whole: nn.Module) -> StagesAndHead:
        """Return named stages and the head, of a network of this kind."""
        stages: list[nn.Sequential] = []
        for steps in self.stages:
            modules = _modules(whole, steps)
            # A pool at the end is not a stage of its own: nothing in it learns.
            if stages and not any(list(m.parameters()) for m in modules):
                stages[-1].extend(modules)
            else:
                stages.append(nn.Sequential(*modules))
        head = _modules(whole, self.head)
        if self.channels_last:
            from torchvision.ops import Permute

            stages[-1].append(Permute([0, 3, 1, 2]))
            head.insert(0, Permute([0, 2, 3, 1]))
        named: dict[str, nn.Module] = {f'stage{i}': s for i, s in enumerate(stages, start=1)}
        return named, _averaging(head) or nn.Sequential(*head)


def _modules(whole: nn.Module, steps: Sequence[TraceStep]) -> list[nn.Module]:
    return [
        copy.deepcopy(step.between) if step.between is not None else whole.get_submodule(step.path)
        for step in steps
    ]


def _averaging(head: list[nn.Module]) -> AverageLinear | None:
    """Return the same head as one with a closed form, where it is a mean and linear."""
    layers = [m for part in head for m in part.modules() if not list(m.children())]
    weighty = [m for m in layers if list(m.parameters())]
    dropouts = [m.p for m in layers if isinstance(m, nn.Dropout)]
    if len(weighty) != 1 or type(weighty[0]) is not nn.Linear or len(dropouts) > 1:
        return None
    ours = AverageLinear.of(weighty[0], *dropouts)
    modes = [m.training for m in layers]
    device = weighty[0].weight.device
    # No random numbers: what is drawn next must not depend on this.
    a = torch.arange(2 * weighty[0].in_features * 15, device=device).sin()
    a = a.reshape(2, weighty[0].in_features, 3, 5)
    try:
        with torch.no_grad():
            theirs = nn.Sequential(*head).eval()(a)
            same = torch.allclose(theirs, ours.eval()(a), rtol=1e-5, atol=1e-6)
    except RuntimeError:
        return None
    finally:
        for layer, mode in zip(layers, modes, strict=True):
            layer.training = mode
    return ours.train() if same else None


def _lively(whole: nn.Module, x: Tensor) -> nn.Module:
    """Give a network weights and norms with which its answers differ from image to image."""
    for parameter in whole.parameters():
        if not bool(parameter.any()):
            nn.init.normal_(parameter, std=0.02)
    for module in whole.modules():
        if getattr(module, 'inplace', False):
            module.inplace = False  # type: ignore[assignment]
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the plain mean over what it sees
    whole.train()(x)
    return whole.eval()


def _verify(stages: dict[str, nn.Module], head: nn.Module, x: Tensor, expected: Tensor) -> None:
    network = StagedNetwork(stages, head, classes=expected.shape[1], channels=x.shape[1]).eval()
    if not float(expected.std(dim=0).max()) > 1e-6:
        raise NotStaged(
            'with random weights its output is the same for all images, so the split cannot be '
            'verified'
        )
    now = x
    for name, part in network.parts():
        before = now.clone()
        returned = part(now)
        if not torch.equal(before, now):
            raise NotStaged(f'its part {name!r} overwrites its input')
        now = returned
    if now.shape != expected.shape or not torch.allclose(now, expected, rtol=1e-4, atol=1e-5):
        raise NotStaged('reassembled from its parts it gives another output')
