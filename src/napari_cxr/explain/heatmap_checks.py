"""Is a heatmap to be trusted: two questions that can be asked of one image.

- Does it depend on what the network learned? Cascading randomisation (Adebayo et al. 2018,
  arXiv:1810.03292): the weights are made random from the head downwards, and after each stage the
  map is compared with the real one by rank correlation. Here each tensor of weights is permuted,
  which keeps its distribution, and with it the scale of all that follows.
- Does the answer depend on what it marks? Deletion and insertion (Petsiuk, Das and Saenko 2018,
  arXiv:1806.07421): pixels are taken away, or put back into a blurred image, in the order of the
  map. How fast an answer falls without any map at all depends on the image and the network, so
  the same map moved to random places is the reference.

No torch until it is used.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_cxr.explain import explanation_methods
from napari_cxr.messages import message_type

if TYPE_CHECKING:
    from torch import Tensor, nn

    from napari_cxr.networks import StagedNetwork

__all__ = ['HeatmapChecks', 'Verdict', 'cascading_randomisation', 'deletion_and_insertion']

#: Networks with random weights: a single one says little about a map of 7 x 7. Slow methods have
#: more cells, and less time.
_NETWORKS, _NETWORKS_IF_SLOW = 3, 1

#: Steps from the whole image to nothing, and maps in random places.
_STEPS, _RANDOM = 12, 9

#: Answers that are asked for at once.
_AT_ONCE = 16

#: A map that is more alike than this without anything learned shows the image, not the network.
_ALIKE = 0.5


@message_type
@dataclass(frozen=True)
class Verdict:
    """What a check says.

    Parameters
    ----------
    passed : bool or None
        Whether the map passed it; None where the check says neither.
    text : str
        One or two sentences.
    """

    passed: bool | None
    text: str


@message_type
@dataclass(frozen=True, eq=False)
class HeatmapChecks:
    """What the checks of one heatmap found.

    Parameters
    ----------
    label, method : str
        The class, and how the map was made.
    randomised : tuple of str
        What was made random, step by step, the head first.
    correlations : tuple of float
        The rank correlation of the map with the real one after each step.
    deletion, insertion : ndarray, shape (steps + 1,)
        Probability of the class while pixels are taken away from the image, and while they are
        put into a blurred one, the strongest of the map first.
    random_deletion, random_insertion : ndarray, shape (maps, steps + 1)
        The same for the map moved to random places.
    """

    label: str
    method: str
    randomised: tuple[str, ...]
    correlations: tuple[float, ...]
    deletion: np.ndarray
    insertion: np.ndarray
    random_deletion: np.ndarray
    random_insertion: np.ndarray

    @property
    def verdicts(self) -> tuple[Verdict, Verdict, Verdict]:
        """What randomisation, deletion and insertion say."""
        return (
            self._randomisation_verdict(),
            _curve_verdict(self.deletion, self.random_deletion, deleted=True),
            _curve_verdict(self.insertion, self.random_insertion, deleted=False),
        )

    def _randomisation_verdict(self) -> Verdict:
        if not self.correlations:
            return Verdict(None, 'This network has no weights that could be made random.')
        last = self.correlations[-1]
        if last < _ALIKE:
            return Verdict(
                True,
                'The heatmap depends on what the network has learned: with random weights it is '
                f'another one (rank correlation {last:.2f}).',
            )
        return Verdict(
            False,
            'The heatmap hardly depends on what the network has learned: with random weights it '
            f'is much the same (rank correlation {last:.2f}). It shows the image.',
        )


def _curve_verdict(own: np.ndarray, others: np.ndarray, deleted: bool) -> Verdict:
    """Compare the area under a curve with those of the map in random places."""
    sign = -1 if deleted else 1
    area, areas = float(own.mean()), others.mean(axis=1)
    better = int((sign * area > sign * areas).sum())
    doing = 'Hiding' if deleted else 'Showing only'
    verb = 'lowers' if deleted else 'raises'
    text = (
        f'{doing} what the heatmap marks {verb} the probability more than the same heatmap in '
        f'{better} of {len(areas)} random places (mean {area:.2f}, random {areas.mean():.2f}).'
    )
    if better >= len(areas) - 1:
        return Verdict(True, text)
    return Verdict(False if better <= len(areas) // 2 else None, text)


def cascading_randomisation(
    network: StagedNetwork, x: Tensor, target: int, method: str
) -> Generator[float, None, tuple[tuple[str, ...], tuple[float, ...]]]:
    """Compare a map with those of networks whose weights are random from the head downwards.

    Parameters
    ----------
    network : StagedNetwork
        Trained; it is copied, and stays as it is.
    x : Tensor, shape (1, channels, height, width)
        The network's input.
    target : int
        The class.
    method : str
        One of `napari_cxr.explain.explanation_methods.names`.

    Yields
    ------
    float
        The fraction that is done.

    Returns
    -------
    parts : tuple of str
        What was made random, one after the other; parts without weights are left out.
    correlations : tuple of float
        Spearman's rank correlation with the real map after each, the mean of three networks, or
        of one with a slow method.
        0 where a map is the same everywhere.
    """
    import torch

    parts = [name for name, part in reversed(network.parts()) if _weights(part)]
    networks = _NETWORKS_IF_SLOW if explanation_methods.method(method).slow else _NETWORKS
    steps = 1 + networks * len(parts)
    found = np.zeros((networks, len(parts)))
    real = yield from _map(network, x, target, method, 0, steps)
    for seed in range(networks):
        generator = torch.Generator().manual_seed(seed)
        changed = copy.deepcopy(network)
        by_name = dict(changed.parts())
        for i, name in enumerate(parts):
            _permute(by_name[name], generator)
            at = 1 + seed * len(parts) + i
            other = yield from _map(changed, x, target, method, at, steps)
            found[seed, i] = _rank_correlation(real, other)
    return tuple(parts), tuple(float(c) for c in found.mean(axis=0))


def _map(
    network: StagedNetwork, x: Tensor, target: int, method: str, at: int, steps: int
) -> Generator[float, None, np.ndarray]:
    inner = explanation_methods.explain(method, network, x, [target])
    while True:
        try:
            done = next(inner)
        except StopIteration as end:
            yield (at + 1) / steps
            values: np.ndarray = end.value[1][0, 0].float().cpu().numpy()
            return values
        yield (at + done) / steps


def _weights(part: nn.Module) -> list[Tensor]:
    """Return what a part has learned, statistics of batch norms among it."""
    held = [*part.parameters(), *part.buffers()]
    return [each for each in held if each.is_floating_point() and each.numel() > 1]


def _permute(part: nn.Module, generator: object) -> None:
    import torch

    with torch.no_grad():
        for each in _weights(part):
            order = torch.randperm(each.numel(), generator=generator)  # type: ignore[call-overload]
            each.copy_(each.flatten()[order.to(each.device)].reshape(each.shape))


def _rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    from scipy.stats import spearmanr

    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    return float(spearmanr(one.ravel(), other.ravel()).statistic)


def deletion_and_insertion(
    image: np.ndarray, values: np.ndarray, answer: Callable[[np.ndarray], np.ndarray]
) -> Generator[float, None, tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Take pixels away in the order of a map, and put them back.

    What is taken away becomes the mean grey of the image; what is not there yet is blurred. The
    map in random places is shifted around the edges, and mirrored or not.

    Parameters
    ----------
    image : ndarray of float32, shape (height, width)
        The network's input before normalisation.
    values : ndarray, shape (height, width)
        The map, on its pixels.
    answer : callable
        Takes images (n, height, width); returns the probability of the class, (n,).

    Yields
    ------
    float
        The fraction that is done.

    Returns
    -------
    deletion, insertion : ndarray, shape (13,)
    random_deletion, random_insertion : ndarray, shape (9, 13)
        As of `HeatmapChecks`.
    """
    from scipy.ndimage import gaussian_filter

    chance = np.random.default_rng(0)
    # Where a map is flat, pixels have no order: they go in a random one.
    noise = chance.random(values.shape)
    maps = [values]
    for _ in range(_RANDOM):
        moved = np.roll(values, chance.integers(1, values.shape), axis=(0, 1))
        maps.append(moved[:, :: chance.choice([1, -1])])
    grey = np.full_like(image, image.mean())
    blurred = gaussian_filter(image, max(image.shape) / 12)
    pairs = ((grey, image), (image, blurred))  # what is there at the end, and at first
    curves = np.zeros((len(pairs), len(maps), _STEPS + 1))
    whole = curves.size
    todo: list[np.ndarray] = []
    done = 0
    for p, (last, first) in enumerate(pairs):
        for m, each in enumerate(maps):
            flat = np.empty(values.size, dtype=int)
            flat[np.lexsort((noise.ravel(), -each.ravel()))] = np.arange(values.size)
            rank = flat.reshape(values.shape)
            for step in range(_STEPS + 1):
                changed = rank < round(step * values.size / _STEPS)
                todo.append(np.where(changed, last, first).astype(np.float32))
                at = (p * len(maps) + m) * (_STEPS + 1) + step + 1
                if len(todo) == _AT_ONCE or at == whole:
                    curves.reshape(-1)[done:at] = answer(np.stack(todo))
                    todo, done = [], at
                    yield at / whole
    deletion, insertion = curves
    return deletion[0], insertion[0], deletion[1:], insertion[1:]
