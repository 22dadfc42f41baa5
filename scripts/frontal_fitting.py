"""How the network of the frontal check is trained, for `fit_frontal_check.py`.

It gives one number to one picture: how much it looks like an upright frontal chest
radiograph. It is shown each radiograph in the eight ways that flips and inversion make
of it, and learns to give the greatest number to the one that is right, and numbers below
0 to everything that was never a radiograph of a chest (`no_radiographs.py`, and
radiographs turned on their side, cut into tiles, or seen only in part).

Nothing here flips a picture as an augmentation: a flip is the answer.
"""

import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from no_radiographs import draw
from torch import Tensor, nn
from torch.nn import functional as F

from napari_cxr.lungs.frontal_check import FRONTAL_INPUT_SIZE

__all__ = ['CHANNELS', 'exported', 'train']

CHANNELS = (16, 32, 48, 48)
EPOCHS, RADIOGRAPHS, STRANGERS, SPOILT = 16, 24, 10, 6
EASY, MARKERS, FRAMES = 3, 3, 0.2


class Network(nn.Sequential):
    """Four convolutions of stride 2, and a weighted sum of what is left."""

    def __init__(self) -> None:
        layers: list[nn.Module] = []
        before = 1
        for channels in CHANNELS:
            layers += [nn.Conv2d(before, channels, 3, 2, 1, bias=False), nn.BatchNorm2d(channels)]
            layers.append(nn.ReLU())
            before = channels
        cells = (FRONTAL_INPUT_SIZE // 2 ** len(CHANNELS)) ** 2
        super().__init__(*layers, nn.Flatten(), nn.Dropout(0.3), nn.Linear(before * cells, 1))
        self.to(memory_format=torch.channels_last)

    def answers(self, x: Tensor, ways: Sequence[int] = range(8)) -> Tensor:
        """Return the scores (n, ways) of some of the eight ways to hold a picture."""
        held = []
        for way in ways:
            axes = [axis for axis, bit in ((3, 1), (2, 2)) if way & bit]
            held.append(1 - x.flip(axes) if way & 4 else x.flip(axes))
        joined = torch.cat(held).contiguous(memory_format=torch.channels_last)
        return self(joined).reshape(len(held), -1).T


def train(
    wide: np.ndarray, sources: np.ndarray, seed: int, say: Callable[[str], None] = print
) -> Network:
    """Train on radiographs.

    Parameters
    ----------
    wide : ndarray of uint8, shape (n, 96, 96)
        Glances.
    sources : ndarray of str, shape (n,)
        Where each comes from; each source is drawn as often as the others.
    seed : int
        Of all random numbers.
    say : callable
        Told how it goes on.

    Returns
    -------
    Network
        With the moving average of the weights, in evaluation mode.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    x = torch.from_numpy(wide)[:, None].float() / 255
    strangers = torch.from_numpy(draw(2200, FRONTAL_INPUT_SIZE, seed))[:, None]
    names, place, counts = np.unique(sources, return_inverse=True, return_counts=True)
    chance = 1 / counts[place] / len(names)
    network, average = Network(), Network()
    steps = len(x) // RADIOGRAPHS
    optimiser = torch.optim.AdamW(network.parameters(), lr=4e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, 4e-3, total_steps=EPOCHS * steps, pct_start=0.15
    )
    # The first is right for radiographs; strangers are worth less than 0, which stands last.
    right = torch.zeros(RADIOGRAPHS + STRANGERS + SPOILT, dtype=torch.long)
    right[RADIOGRAPHS:] = 2 + EASY
    # Of the six ways that are easy to tell, half are shown at a time, and count twice.
    weight = torch.tensor([0.0, 0.0, *[np.log(6 / EASY)] * EASY])
    start = time.process_time()
    for epoch in range(EPOCHS):
        network.train()
        losses, hits = [], []
        for step in range(steps):
            drawn = rng.choice(len(x), RADIOGRAPHS + SPOILT, p=chance)
            seen = augmented(x[drawn], rng)
            others = strangers[rng.integers(0, len(strangers), STRANGERS)]
            batch = torch.cat([seen[:RADIOGRAPHS], others, spoilt(seen[RADIOGRAPHS:], rng)])
            ways = [0, 1, *rng.permutation(np.arange(2, 8))[:EASY]]
            answers = F.pad(network.answers(batch, ways) + weight, (0, 1))
            loss = F.cross_entropy(answers, right)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            done = epoch * steps + step
            follow(average, network, min(0.99, done / (done + 10)))
            losses.append(loss.item())
            hits.append((answers.argmax(1) == right).float().mean().item())
        if epoch % 4 == 3:
            figures = f'loss {np.mean(losses):.3f}, right {np.mean(hits):.3f}'
            say(f'epoch {epoch + 1}: {figures}, {time.process_time() - start:.0f} s')
    return average.eval()


@torch.no_grad()
def follow(average: Network, network: Network, keep: float) -> None:
    """Move the averaged weights a little towards the present ones."""
    for mean, now in zip(
        average.state_dict().values(), network.state_dict().values(), strict=True
    ):
        if mean.dtype.is_floating_point:
            mean.lerp_(now, 1 - keep)
        else:
            mean.copy_(now)


def uniform(count: int, low: float, high: float) -> Tensor:
    """Return one number for each picture of a batch."""
    return torch.empty(count, 1, 1, 1).uniform_(low, high)


def augmented(x: Tensor, rng: np.random.Generator) -> Tensor:
    """Return what other rooms, detectors and people would have made of it: never a flip."""
    n = len(x)
    x = placed(x)
    x = x.clamp(0, 1) ** torch.exp(uniform(n, -0.7, 0.7))
    line = torch.linspace(-1, 1, FRONTAL_INPUT_SIZE)
    x = x + uniform(n, -0.2, 0.2) * line[:, None] + uniform(n, -0.2, 0.2) * line
    blurred = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode='replicate'), 3, 1)
    x = torch.where(torch.rand(n, 1, 1, 1) < 0.3, blurred, x)
    x = x + uniform(n, 0, 0.08) * (torch.rand(n, 1, 1, 1) < 0.5) * torch.randn_like(x)
    for picture in x[:, 0]:
        black, white = picture.min(), picture.max()
        for _ in range(rng.integers(0, MARKERS + 1)):  # letters, electrodes, cables
            rows, columns = rng.integers(2, 9, 2)
            top, left = rng.integers(0, FRONTAL_INPUT_SIZE - 2, 2)
            picture[top : top + rows, left : left + columns] = (
                white if rng.random() < 0.7 else black
            )
        if rng.random() < FRAMES:  # empty strips along some sides, or a frame
            grey = black if rng.random() < 0.5 else white
            top, bottom, left, right = rng.integers(1, FRONTAL_INPUT_SIZE // 6, 4)
            sides = picture[:top], picture[-bottom:], picture[:, :left], picture[:, -right:]
            for i in rng.permutation(4)[: rng.integers(1, 5)]:
                sides[i][:] = grey
    return stretched(x)


def placed(x: Tensor) -> Tensor:
    """Crop, enlarge, shift and turn a little; outside lies black, a grey, or the edge."""
    n = len(x)
    turn, high, wide = uniform(n, -0.14, 0.14), uniform(n, 0.78, 1.1), uniform(n, 0.78, 1.1)
    row = torch.cat([wide * turn.cos(), -wide * turn.sin(), uniform(n, -0.12, 0.12)], 3)
    other = torch.cat([high * turn.sin(), high * turn.cos(), uniform(n, -0.12, 0.12)], 3)
    grid = F.affine_grid(
        torch.cat([row, other], 2)[:, 0],
        (n, 1, FRONTAL_INPUT_SIZE, FRONTAL_INPUT_SIZE),
        align_corners=False,
    )
    ground = torch.where(torch.rand(n, 1, 1, 1) < 0.7, 0.0, torch.rand(n, 1, 1, 1))
    bordered = F.grid_sample(x - ground, grid, align_corners=False) + ground
    edged = F.grid_sample(x, grid, padding_mode='border', align_corners=False)
    return torch.where(torch.rand(n, 1, 1, 1) < 0.5, bordered, edged)


def spoilt(x: Tensor, rng: np.random.Generator) -> Tensor:
    """Return radiographs that show no upright chest any more: on their side, parts, tiles."""
    out = []
    for picture in x:
        kind = rng.integers(4)
        if kind == 0:
            picture = torch.rot90(picture, 1 if rng.random() < 0.5 else 3, (1, 2))
        elif kind == 1:
            side = int(rng.integers(12, 26))
            top, left = rng.integers(0, FRONTAL_INPUT_SIZE - side, 2)
            picture = enlarged(picture[:, top : top + side, left : left + side])
        elif kind == 2:
            n = int(rng.choice([2, 4, 8]))
            order = rng.permutation(n * n)
            while (order == np.arange(n * n)).sum() > n * n / 4:
                order = rng.permutation(n * n)
            cut = picture.reshape(
                n, FRONTAL_INPUT_SIZE // n, n, FRONTAL_INPUT_SIZE // n
            ).transpose(1, 2)
            cut = cut.reshape(n * n, FRONTAL_INPUT_SIZE // n, FRONTAL_INPUT_SIZE // n)[order]
            picture = cut.reshape(
                n, n, FRONTAL_INPUT_SIZE // n, FRONTAL_INPUT_SIZE // n
            ).transpose(1, 2)
            picture = picture.reshape(1, FRONTAL_INPUT_SIZE, FRONTAL_INPUT_SIZE)
        else:
            side = int(rng.integers(20, 32))
            half = picture[:, :, :side] if rng.random() < 0.5 else picture[:, :, -side:]
            picture = enlarged(half)
        out.append(picture)
    return stretched(torch.stack(out))


def enlarged(picture: Tensor) -> Tensor:
    """Return a part at the size of the whole."""
    return F.interpolate(picture[None], (FRONTAL_INPUT_SIZE, FRONTAL_INPUT_SIZE), mode='bilinear')[
        0
    ]


def stretched(x: Tensor) -> Tensor:
    """Map percentiles 0.5 and 99.5 to 0 and 1, as a glance does."""
    ordered = x.flatten(1).sort(1).values
    low, high = (
        ordered[:, round(q * (FRONTAL_INPUT_SIZE * FRONTAL_INPUT_SIZE - 1)), None, None, None]
        for q in (0.005, 0.995)
    )
    return ((x - low) / (high - low).clamp(min=1e-3)).clamp(0, 1)


def exported(network: Network) -> dict[str, np.ndarray]:
    """Return the weights with the batch norms folded into the convolutions, as numpy needs them.

    ``conv.i.weight`` (out, in, 3, 3) and ``conv.i.bias`` (out,), ``sum.weight``
    (channels, rows, columns) and ``sum.bias`` (1,).
    """
    tensors: dict[str, Tensor] = {}
    for i in range(len(CHANNELS)):
        conv, norm = network[3 * i], network[3 * i + 1]
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        tensors[f'conv.{i}.weight'] = conv.weight * scale[:, None, None, None]
        tensors[f'conv.{i}.bias'] = norm.bias - norm.running_mean * scale
    side = FRONTAL_INPUT_SIZE // 2 ** len(CHANNELS)
    tensors['sum.weight'] = network[-1].weight.reshape(CHANNELS[-1], side, side)
    tensors['sum.bias'] = network[-1].bias
    return {name: t.detach().half().contiguous().numpy() for name, t in tensors.items()}
