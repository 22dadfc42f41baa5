"""Maps from what a network answers to a changed image: ScoreCAM and occlusion.

Both ask the network many times and need no gradient, so they are generators that yield the
fraction that is done. What is taken away becomes the mean grey of the image: black would be
air, which is an answer of its own.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from napari_cxr.explain.activation_gradients import activations, check_targets
from napari_cxr.explain.heatmap import cell_to_input
from napari_cxr.networks import StagedNetwork
from napari_cxr.networks.eval_mode import evaluating

__all__ = ['mean_grey', 'occlusion', 'score_cam']

#: Changed images that run at once: few, so that a cancelled job ends soon.
_AT_ONCE = 16

#: Cells along each side of the map of `occlusion`, and the side of its window in cells.
_CELLS, _WINDOW = 14, 2


def mean_grey(x: Tensor) -> Tensor:
    """Return images without anything on them: each channel is its own mean everywhere."""
    return x.mean(dim=(2, 3), keepdim=True).expand_as(x)


@torch.no_grad()  # each time the generator goes on, not between
def score_cam(
    network: StagedNetwork, x: Tensor, targets: Sequence[int] | None = None
) -> Generator[float, None, tuple[Tensor, Tensor]]:
    """Weight each channel by what the network answers to what the channel lets through.

    ScoreCAM (H. Wang et al. 2020, arXiv:1910.01279): channel k, scaled to [0, 1] and enlarged,
    masks the image; its weight is the softmax over the channels of the logit of that image.
    Channels are enlarged to where their cells look, and a channel that is the same everywhere
    has no weight, since it masks nothing.

    Parameters
    ----------
    network, x, targets
        As of `grad_cam`.

    Yields
    ------
    float
        The fraction that is done.

    Returns
    -------
    logits : Tensor, shape (N, K)
    maps : Tensor, shape (N, T, h, w)
        0 or above.
    """
    chosen = check_targets(network.num_classes, targets)
    with evaluating(network):
        logits = network(x).float()
        every = activations(network, x).feature_map
        place = _sampling_grid(network, x, every.shape[2:])
        maps = []
        for i, channels in enumerate(every):
            low = channels.amin(dim=(1, 2), keepdim=True)
            spread = channels.amax(dim=(1, 2), keepdim=True) - low
            masks = (channels - low) / torch.where(spread > 0, spread, 1.0)
            grey = mean_grey(x[i : i + 1])
            scores = []
            for start in range(0, len(masks), _AT_ONCE):
                some = masks[start : start + _AT_ONCE, None]
                large = functional.grid_sample(
                    some,
                    place.expand(len(some), -1, -1, -1),
                    padding_mode='border',
                    align_corners=False,
                ).to(x.dtype)
                scores.append(network(grey + large * (x[i : i + 1] - grey)).float())
                yield (i + min((start + _AT_ONCE) / len(masks), 1)) / len(x)
            answers = torch.cat(scores)[:, chosen]
            answers[spread.flatten() == 0] = -torch.inf
            weights = answers.softmax(dim=0).nan_to_num(0.0)  # no channel masks anything
            maps.append(torch.einsum('ct,chw->thw', weights.to(channels.dtype), channels))
    return logits, torch.stack(maps).relu()


def _sampling_grid(network: StagedNetwork, x: Tensor, cells: torch.Size) -> Tensor:
    """Return where each pixel of the input lies on the feature map, as `grid_sample` takes it."""
    height, width = x.shape[2:]
    matrix = torch.linalg.inv(
        torch.from_numpy(cell_to_input(network.grid(height, width)))
    )  # from pixels to cells
    axes = []
    for axis, (pixels, count) in enumerate(zip((height, width), cells, strict=True)):
        position = matrix[axis, axis] * torch.arange(pixels) + matrix[axis, 2]
        axes.append(((2 * position + 1) / count - 1).to(x.device, torch.float32))
    rows, columns = torch.meshgrid(*axes, indexing='ij')
    return torch.stack([columns, rows], dim=-1)[None]


@torch.no_grad()
def occlusion(
    network: StagedNetwork,
    x: Tensor,
    targets: Sequence[int] | None = None,
    cells: int = _CELLS,
    window: int = _WINDOW,
) -> Generator[float, None, tuple[Tensor, Tensor]]:
    """Return how much the logit falls where a window hides the image.

    After Zeiler and Fergus 2014 (arXiv:1311.2901). A square window moves by one cell at a time,
    beyond the edges too, so that each cell is hidden by equally many windows; its value is the
    mean fall of the logit over these.

    Parameters
    ----------
    network, x, targets
        As of `grad_cam`.
    cells : int
        Rows and columns of the map, at most as many as pixels.
    window : int
        Side of the window in cells.

    Yields
    ------
    float
        The fraction that is done.

    Returns
    -------
    logits : Tensor, shape (N, K)
    maps : Tensor, shape (N, T, cells, cells)
        0 or above; spread evenly over the input.
    """
    chosen = check_targets(network.num_classes, targets)
    height, width = x.shape[2:]
    rows, columns = min(cells, height), min(cells, width)
    edges = [
        [round(i * side / count) for i in range(count + 1)]
        for side, count in ((height, rows), (width, columns))
    ]
    places = [(r, c) for r in range(1 - window, rows) for c in range(1 - window, columns)]
    with evaluating(network):
        logits = network(x).float()
        falls = torch.zeros(len(x), len(chosen), rows, columns, device=x.device)
        for i in range(len(x)):
            grey = mean_grey(x[i : i + 1])[0]
            for start in range(0, len(places), _AT_ONCE):
                some = places[start : start + _AT_ONCE]
                hidden = x[i : i + 1].repeat(len(some), 1, 1, 1)
                inside = [
                    (slice(max(r, 0), r + window), slice(max(c, 0), c + window)) for r, c in some
                ]
                for image, (r, c) in zip(hidden, inside, strict=True):
                    y = slice(edges[0][r.start], edges[0][min(r.stop, rows)])
                    z = slice(edges[1][c.start], edges[1][min(c.stop, columns)])
                    image[:, y, z] = grey[:, y, z]
                fall = logits[i : i + 1, chosen] - network(hidden).float()[:, chosen]
                for (r, c), value in zip(inside, fall, strict=True):
                    falls[i, :, r, c] += value[:, None, None] / window**2
                yield (i + min((start + _AT_ONCE) / len(places), 1)) / len(x)
    return logits, falls.relu()
