"""Train the network of the lung field: first from masks, then also from its own answers.

There are masks of about a hundred radiographs, nearly all of adults. So a first network,
trained on these alone, outlines radiographs that nobody outlined, and the surest of its
answers become further examples. They are easy as they stand; whitened, covered and
stretched by the augmentation they are not.
"""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from lung_augmentation import SIZE, augment
from lung_network import UNet
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

SAVE_EVERY = 45.0  # seconds


@dataclass(frozen=True)
class Plan:
    """Everything that decides a training, besides the images.

    Parameters
    ----------
    first, second : int
        Steps from masks alone, and then with own answers.
    batch : int
        Images a step; half of them are own answers in the second part.
    rate, second_rate : float
        Highest learning rates.
    decay : float
        Weight decay of AdamW.
    kept : float
        Share of the own answers that are learnt from, the surest.
    seed : int
        Of all random numbers.
    """

    first: int = 900
    second: int = 1100
    batch: int = 16
    rate: float = 2e-3
    second_rate: float = 1.2e-3
    decay: float = 0.02
    kept: float = 0.6
    seed: int = 0


class Learning:
    """A network on its way; it can be written down and taken up again."""

    def __init__(self, plan: Plan) -> None:
        torch.manual_seed(plan.seed)
        self.plan = plan
        self.step = 0
        self.network = UNet().to(memory_format=torch.channels_last)
        self.mean = copy.deepcopy(self.network)
        self.optimiser = self._new_optimiser()
        self.seconds = 0.0

    def _new_optimiser(self) -> torch.optim.AdamW:
        return torch.optim.AdamW(self.network.parameters(), weight_decay=self.plan.decay)

    @property
    def steps(self) -> int:
        """All steps of both parts."""
        return self.plan.first + self.plan.second

    def save(self, path: Path) -> None:
        """Write everything that the next step depends on; nothing is pickled."""
        tensors: dict[str, Tensor] = {}
        for name, network in (('network', self.network), ('mean', self.mean)):
            tensors |= {f'{name}/{k}': t.contiguous() for k, t in network.state_dict().items()}
        for place, entry in self.optimiser.state_dict()['state'].items():
            tensors |= {f'optimiser/{place}/{k}': t.contiguous() for k, t in entry.items()}
        said = {'plan': asdict(self.plan), 'step': self.step, 'seconds': self.seconds}
        part = path.with_suffix('.part')
        save_file(tensors, part, metadata={'state': json.dumps(said)})
        part.replace(path)

    def resume(self, path: Path) -> bool:
        """Take up what `save` wrote; False if it belongs to another plan."""
        with safe_open(path, 'pt') as file:
            said = json.loads(file.metadata()['state'])
            if said['plan'] != asdict(self.plan):
                return False
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        for name, network in (('network', self.network), ('mean', self.mean)):
            network.load_state_dict(_below(tensors, name))
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in _below(tensors, 'optimiser').items():
            place, key = name.split('/')
            state.setdefault(int(place), {})[key] = tensor
        whole = self.optimiser.state_dict()
        self.optimiser.load_state_dict(whole | {'state': state})
        self.step, self.seconds = said['step'], said['seconds']
        return True

    def learn(
        self, images: Tensor, sides: Tensor, more: tuple[Tensor, Tensor] | None, state: Path
    ) -> Iterator[tuple[int, float]]:
        """Do the steps of one part that are still to do.

        Parameters
        ----------
        images : Tensor of uint8, shape (n, h, w)
            Radiographs with masks.
        sides : Tensor of uint8, shape (n, h, w)
            0, 1 and 2.
        more : tuple of such tensors, or None
            Own answers, which makes this the second part.
        state : Path
            Where to write the state, every 45 seconds and at the end of the part.

        Yields
        ------
        tuple of int and float
            Step and loss.
        """
        plan = self.plan
        begin, end = (plan.first, self.steps) if more else (0, plan.first)
        if more and self.step == begin:
            # The second part begins with the averaged weights of the first, and afresh.
            self.network.load_state_dict(self.mean.state_dict())
            self.optimiser = self._new_optimiser()
        saved = began = time.monotonic()
        before = self.seconds
        while self.step < end:
            rng = np.random.default_rng([plan.seed, self.step])
            for group in self.optimiser.param_groups:
                highest = plan.second_rate if more else plan.rate
                group['lr'] = highest * _one_cycle((self.step - begin) / (end - begin))
            own = plan.batch // 2 if more else plan.batch
            parts = [_drawn(images, sides, own, self.step - begin, plan.seed)]
            if more:
                parts.append(_drawn(*more, plan.batch - own, self.step - begin, plan.seed + 1))
            x, y = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
            loss = self._improve(*augment(x.float() / 255, y.long(), rng))
            self.step += 1
            self._average(self.step - begin)
            self.seconds = before + time.monotonic() - began
            if time.monotonic() - saved > SAVE_EVERY or self.step == end:
                self.save(state)
                saved = time.monotonic()
            yield self.step, loss

    def _improve(self, x: Tensor, truth: Tensor) -> float:
        """Do one step down: cross-entropy, and one minus Dice of each lung over the batch."""
        self.network.train()
        with torch.autocast('cpu', torch.bfloat16):
            logits = self.network(x.contiguous(memory_format=torch.channels_last))
        logits = logits.float()
        p = logits.softmax(1)
        entropy = -(truth * logits.log_softmax(1)).sum(1).mean()
        common, both = (p * truth).sum((0, 2, 3)), (p + truth).sum((0, 2, 3))
        loss = entropy + (1 - (2 * common + 1) / (both + 1))[1:].mean()
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return float(loss.detach())

    @torch.no_grad()
    def _average(self, age: int) -> None:
        """Move the averaged weights towards the present ones."""
        keep = min(0.995, age / (age + 9))
        pairs = zip(
            self.mean.state_dict().values(), self.network.state_dict().values(), strict=True
        )
        for mean, now in pairs:
            if mean.dtype.is_floating_point:
                mean.lerp_(now, 1 - keep)
            else:
                mean.copy_(now)


def _below(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    start = f'{name}/'
    return {k.removeprefix(start): t for k, t in tensors.items() if k.startswith(start)}


def _one_cycle(share: float) -> float:
    """Return the factor of the learning rate after this share of the steps."""
    warm = 0.1
    if share < warm:
        return 0.04 + 0.96 * (1 - math.cos(math.pi * share / warm)) / 2
    return 0.0005 + 0.9995 * (1 + math.cos(math.pi * (share - warm) / (1 - warm))) / 2


def _drawn(
    images: Tensor, sides: Tensor, count: int, step: int, seed: int
) -> tuple[Tensor, Tensor]:
    """Return the images of a step: all of them once, in random order, then all again."""
    places = []
    for number in range(step * count, (step + 1) * count):
        turn, place = divmod(number, len(images))
        places.append(np.random.default_rng([seed, turn]).permutation(len(images))[place])
    return images[places], sides[places]


@torch.no_grad()
def own_answers(
    network: UNet, images: np.ndarray, groups: np.ndarray, kept: float
) -> tuple[np.ndarray, np.ndarray]:
    """Outline radiographs, and choose the surest answers of each group.

    Parameters
    ----------
    network : UNet
        The first network, averaged.
    images : ndarray of uint8, shape (n, h, w)
        Radiographs.
    groups : ndarray, shape (n,)
        From which source each comes; the same share is kept of each.
    kept : float
        That share.

    Returns
    -------
    ndarray of int
        Which were chosen.
    ndarray of uint8, shape (chosen, h, w)
        0, 1 and 2.
    """
    network.eval()
    answers, sure = [], []
    for batch in torch.from_numpy(images).split(16):
        x = batch[:, None].float() / 255
        x = F.interpolate(x, (SIZE, SIZE), mode='bilinear', antialias=True)
        p = network(x).softmax(1)
        p = (p + network(x.flip(-1)).softmax(1).flip(-1)[:, [0, 2, 1]]) / 2
        unsure = ((p[:, 0] > 0.2) & (p[:, 0] < 0.8)).sum((1, 2))
        areas = p[:, 1:].sum((2, 3))
        odd = (areas.min(1).values < 0.5 * areas.max(1).values) | (areas.min(1).values < 800)
        sure.append(torch.where(odd, -1.0, 1 - unsure / areas.sum(1).clamp(min=1)))
        answers.append(F.interpolate(p, images.shape[1:], mode='bilinear').argmax(1).byte())
    certainty = torch.cat(sure).numpy()
    chosen = []
    for group in np.unique(groups):
        members = np.flatnonzero((groups == group) & (certainty > 0))
        best = members[np.argsort(-certainty[members])]
        chosen.extend(best[: round(kept * (groups == group).sum())])
    order = np.sort(np.array(chosen, dtype=int))
    return order, torch.cat(answers).numpy()[order]
