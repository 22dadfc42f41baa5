"""Heads on frozen features, and light fine-tuning of the last stages, for the opacity model."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from opacity_material import MEAN, SCANNER, STD, Features, Images, Labelled
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torch.nn import functional

from napari_cxr import networks
from napari_cxr.evaluation import balanced_weights
from napari_cxr.networks.bundled_networks import lite0_stages
from napari_cxr.training.augmentation import augment, draw
from napari_cxr.training.recipe.data_sections import AugmentationRecipe

__all__ = ['HEADS', 'TUNED', 'Configuration', 'Fit', 'Head', 'Top', 'Tuned', 'Views', 'fit']

LITE = 'tf_efficientnet_lite'
#: The map that the shipped network ends in, and what it sees.
SHIPPED_VIEW, SHIPPED_TAP = 'lungs 224', 'wide, stride 16'

#: Takes places and one of 'plain' and 'judged'; returns a logit each.
Fit = Callable[[np.ndarray, str], np.ndarray]


@dataclass(frozen=True)
class Head:
    """A logistic regression on the pooled map of a frozen network.

    Parameters
    ----------
    arch, view, tap : str
        Which network, what it is shown, and which of its maps is pooled.
    changed : bool
        Whether each image is also learnt as another scanner might have made it.
    strength : float
        scikit-learn's C, the inverse of the penalty on standardised features.
    """

    arch: str
    view: str
    tap: str
    changed: bool
    strength: float

    def __str__(self) -> str:
        scanners = ', scanners simulated' if self.changed else ''
        network = self.arch.removeprefix('tf_efficientnet_')
        return f'{network}, {self.view}, {self.tap}{scanners}, C {self.strength:g}'


@dataclass(frozen=True)
class Tuned:
    """The last stages fine-tuned from a head, the batch norms' statistics frozen.

    Parameters
    ----------
    head : Head
        What it starts from.
    averaged : float
        How far to go from the start's weights to the end's (Wortsman et al. 2022,
        arXiv:2109.01903).
    rate : float
        Largest learning rate of AdamW; it rises over ten steps and falls by a cosine.
    epochs : int
        Over all images.
    """

    head: Head
    averaged: float
    rate: float = 3e-4
    epochs: int = 8

    def __str__(self) -> str:
        return f'fine-tuned, {self.averaged:.0%} of the way, from: {self.head}'


Configuration = Head | Tuned

_STRENGTHS = (0.001, 0.01, 0.1)
#: All heads that are tried.
HEADS = tuple(
    Head(arch, view, tap, changed, strength)
    for arch, view, tap, changes in (
        (f'{LITE}0', 'lungs 224', 'narrow, stride 16', (False, True)),
        (f'{LITE}0', 'lungs 224', 'wide, stride 16', (False, True)),
        (f'{LITE}0', 'lungs 224', 'last, stride 32', (False, True)),
        (f'{LITE}0', 'whole 224', 'wide, stride 16', (True,)),
        (f'{LITE}0', 'lungs 320', 'wide, stride 16', (True,)),
        (f'{LITE}1', 'lungs 224', 'wide, stride 16', (True,)),
        (f'{LITE}2', 'lungs 224', 'wide, stride 16', (True,)),
    )
    for changed in changes
    for strength in _STRENGTHS
)
_START = Head(f'{LITE}0', SHIPPED_VIEW, SHIPPED_TAP, True, 0.01)
#: Fine-tuning that is tried.
TUNED = (Tuned(_START, 0.5), Tuned(_START, 1.0))

#: How many times each image is drawn for fine-tuning, besides itself and its mirror image.
_DRAWN = 8
_GEOMETRY = {'rotation': 8.0, 'zoom': 0.15, 'shift': 0.08, 'flip': 0.5, 'fill': 'edge'}
_BATCH = 32
_DECAY = 0.05
_WARM = 10


def head_weights(
    head: Head, features: Mapping[tuple[str, str], Features], labelled: Labelled, of: np.ndarray
) -> tuple[np.ndarray, float]:
    """Fit a head; return weights of the pooled map and a bias."""
    own = features[head.arch, head.view]
    x = own.plain[head.tap][of]
    y = labelled.positive[of]
    weights = balanced_weights(y, [labelled.strata[i] for i in of])
    if head.changed:
        x = np.concatenate([x, own.changed[head.tap][of]])
        y, weights = np.tile(y, 2), np.tile(weights, 2)
    middle, spread = x.mean(axis=0), x.std(axis=0)
    spread = np.where(spread > 0, spread, 1)
    model = LogisticRegression(C=head.strength, max_iter=5000)
    model.fit((x - middle) / spread, y, sample_weight=weights)
    slope = model.coef_[0] / spread
    return slope, float(model.intercept_[0] - slope @ middle)


class Top(nn.Module):
    """The part of the network that is fine-tuned, from the third stage's map to a logit."""

    def __init__(self) -> None:
        super().__init__()
        stages = lite0_stages(1)
        self.stages = nn.Sequential(
            OrderedDict((k, stages[k]) for k in ('stage4', 'stage5', 'expansion'))
        )
        self.linear = nn.Linear(672, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 40, 28, 28) to logits (N,)."""
        logits: Tensor = self.linear(self.stages(x).mean(dim=(2, 3)))[:, 0]
        return logits


def imagenet_stages() -> nn.Sequential:
    """Return the stages of the shipped network with ImageNet's weights, for one channel."""
    whole = networks.create(f'{LITE}0', 1, 1, (224, 224))
    networks.load_pretrained(whole)
    ours = nn.Sequential(lite0_stages(1))
    theirs = [
        value
        for name, value in whole.stages.state_dict().items()
        if name.split('.')[0] in ('stem', *(f'stage{i}' for i in range(1, 6)))
        or name.startswith(('stage6.0.conv_pw.', 'stage6.0.bn1.'))
    ]
    ours.load_state_dict(dict(zip(ours.state_dict(), theirs, strict=True)))
    return ours.eval()


class Views:
    """What the frozen first stages make of every image: plain, mirrored, judged, and drawn.

    Parameters
    ----------
    images : Images
        All of them.
    out : Path
        Folder in which they are kept, 700 MB.
    """

    def __init__(self, images: Images, out: Path) -> None:
        self._names = ['plain', 'plain flipped', 'judged', 'judged flipped']
        self._names += [f'drawn {i}' for i in range(_DRAWN)]
        count = len(images.statistics)
        kept, half = out / 'stage3.npy', out / 'stage3.half.npy'
        if not kept.exists():
            shape = (len(self._names), count, 40, 28, 28)
            maps = np.lib.format.open_memmap(half, 'w+', np.float16, shape)
            for i, name in enumerate(self._names):
                self._fill(maps[i], name, images, count)
                print(f'first stages: {name}', flush=True)
            maps.flush()
            half.replace(kept)
        self._maps = np.load(kept, mmap_mode='r')

    @torch.inference_mode()
    def _fill(self, row: np.ndarray, name: str, images: Images, count: int) -> None:
        low = imagenet_stages()[:4].to(memory_format=torch.channels_last)
        drawn = AugmentationRecipe(**{**vars(SCANNER), **_GEOMETRY})
        for start in range(0, count, _BATCH):
            places = np.arange(start, min(start + _BATCH, count))
            x = images.shown(SHIPPED_VIEW, places)
            if name.startswith('judged'):
                x = augment(x, draw(SCANNER, 2, 0, places))
            elif name.startswith('drawn'):
                x = augment(x, draw(drawn, 3, int(name.split()[1]), places))
            if name.endswith('flipped'):
                x = x.flip(-1)
            x = ((x - MEAN) / STD).contiguous(memory_format=torch.channels_last)
            row[places] = low(x).numpy()

    def learnt(self, places: np.ndarray, which: np.ndarray) -> Tensor:
        """Return the map of one view of each image: plain, mirrored, or one of those drawn."""
        rows = np.where(which < 2, which, which + 2)
        return self._tensor(self._maps[rows, places])

    def shown(self, places: np.ndarray, name: str) -> tuple[Tensor, Tensor]:
        """Return the maps of images, 'plain' or 'judged', and of their mirror images."""
        row = self._names.index(name)
        return self._tensor(self._maps[row, places]), self._tensor(self._maps[row + 1, places])

    @staticmethod
    def _tensor(maps: np.ndarray) -> Tensor:
        return torch.from_numpy(maps.astype(np.float32)).contiguous(
            memory_format=torch.channels_last
        )


def tune(
    tuned: Tuned,
    start: tuple[np.ndarray, float],
    views: Views,
    labelled: Labelled,
    of: np.ndarray,
) -> tuple[Top, dict[str, Tensor], dict[str, Tensor]]:
    """Fine-tune; return the network and its weights at the start and at the end."""
    torch.manual_seed(0)
    top = Top()
    own = imagenet_stages()[4:].state_dict()
    names = list(top.stages.state_dict())
    top.stages.load_state_dict(dict(zip(names, own.values(), strict=True)))
    slope, bias = start
    with torch.no_grad():
        top.linear.weight.copy_(torch.from_numpy(slope)[None].float())
        top.linear.bias.fill_(bias)
    top.eval().to(memory_format=torch.channels_last)  # the norms' statistics stay
    first = {name: value.clone() for name, value in top.state_dict().items()}
    optimiser = torch.optim.AdamW(top.parameters(), lr=tuned.rate, weight_decay=_DECAY)
    random = np.random.default_rng(0)
    weights = balanced_weights(labelled.positive[of], [labelled.strata[i] for i in of])
    steps = tuned.epochs * -(-len(of) // _BATCH)
    step = 0
    for _ in range(tuned.epochs):
        order = random.permutation(len(of))
        for begin in range(0, len(of), _BATCH):
            chosen = order[begin : begin + _BATCH]
            x = views.learnt(of[chosen], random.integers(0, 2 + _DRAWN, len(chosen)))
            step += 1
            rate = tuned.rate * min(1, step / _WARM) * (1 + np.cos(np.pi * step / steps)) / 2
            for group in optimiser.param_groups:
                group['lr'] = rate
            with torch.autocast('cpu', torch.bfloat16):
                logits = top(x)
            each = functional.binary_cross_entropy_with_logits(
                logits.float(),
                torch.from_numpy(labelled.positive[of[chosen]]).float(),
                reduction='none',
            )
            loss = (each * torch.from_numpy(weights[chosen]).float()).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return top, first, {name: value.clone() for name, value in top.state_dict().items()}


def between(
    first: Mapping[str, Tensor], last: Mapping[str, Tensor], share: float
) -> dict[str, Tensor]:
    """Return weights on the straight way from the first to the last."""
    return {
        name: torch.lerp(value, last[name], share) if value.is_floating_point() else value
        for name, value in first.items()
    }


def fit(
    configurations: tuple[Configuration, ...],
    features: Mapping[tuple[str, str], Features],
    views: Views | None,
    labelled: Labelled,
    of: np.ndarray,
) -> dict[Configuration, Fit]:
    """Fit all configurations to some images; what several of them share is done once."""
    fits: dict[Configuration, Fit] = {}
    ends: dict[tuple[Head, float, int], tuple[Top, dict[str, Tensor], dict[str, Tensor]]] = {}
    for one in configurations:
        if isinstance(one, Head):
            fits[one] = _of_head(one, features, head_weights(one, features, labelled, of))
            continue
        if views is None:
            raise ValueError('fine-tuning needs the views of the images')
        key = one.head, one.rate, one.epochs
        if key not in ends:
            start = head_weights(one.head, features, labelled, of)
            ends[key] = tune(one, start, views, labelled, of)
        top, first, last = ends[key]
        fits[one] = _of_top(top, between(first, last, one.averaged), views)
    return fits


def _of_head(
    head: Head, features: Mapping[tuple[str, str], Features], weights: tuple[np.ndarray, float]
) -> Fit:
    slope, bias = weights
    own = features[head.arch, head.view]
    return lambda places, name: np.asarray(getattr(own, name)[head.tap][places] @ slope + bias)


def _of_top(top: Top, state: dict[str, Tensor], views: Views) -> Fit:
    @torch.inference_mode()
    def logits(places: np.ndarray, name: str) -> np.ndarray:
        top.load_state_dict(state)
        said = []
        for start in range(0, len(places), _BATCH):
            straight, turned = views.shown(places[start : start + _BATCH], name)
            said.append((top(straight) + top(turned)) / 2)
        return torch.cat(said).numpy().astype(np.float64)

    return logits
