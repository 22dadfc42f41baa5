"""A network as an ordered list of named stages and a head.

Grad-CAM, frozen backbones, learning rates by stage and the placement of a map all
follow from this one structure, without a hook anywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from torch import Tensor, nn

from napari_cxr.networks.grid import Grid
from napari_cxr.networks.heads import AverageLinear
from napari_cxr.networks.receptive_field import derive_grid

__all__ = ['NotStaged', 'StagedNetwork']


class NotStaged(ValueError):
    """A network that is no sequence of stages and a head; the message says why."""


class StagedNetwork(nn.Module):
    """Ordered named stages that end in a feature map `A`, and a head that reads it.

    ``network(x)`` is ``network.head(*network.features(x))`` with the second value
    unpacked. No module works in place: what one stage returns, a later one never
    overwrites, so `A` is what the head really reads.

    Parameters
    ----------
    stages : mapping or iterable of pairs of str and Module
        In the order in which they run; each takes and returns one tensor. The last
        one returns `A`, shape (N, C, h, w), after its activation.
    head : Module
        Takes `A` and then the outputs of `reads`; returns logits, shape (N, K).
    classes : int
        Number of logits K.
    channels : int
        Channels of the input.
    reads : sequence of str, optional
        Earlier stages whose outputs the head reads besides `A`, in the order in
        which it takes them.
    arch : str, optional
        Name of the network in the registry, which fills it in.

    Raises
    ------
    NotStaged
        If there is no stage, or `reads` names something that is none before the last.
    """

    def __init__(
        self,
        stages: Mapping[str, nn.Module] | Iterable[tuple[str, nn.Module]],
        head: nn.Module,
        *,
        classes: int,
        channels: int,
        reads: Sequence[str] = (),
        arch: str = '',
    ) -> None:
        super().__init__()
        self.stages = nn.ModuleDict(dict(stages))
        self.head = head
        self.num_classes = classes
        self.channels = channels
        self.reads = tuple(reads)
        self.arch = arch
        self._grids: dict[tuple[int, int], Grid] = {}
        if not self.stages:
            raise NotStaged('A network needs at least one stage before its head.')
        for name in self.reads:
            if name not in self.stage_names[:-1]:
                raise NotStaged(
                    f'The head wants to read {name!r} besides the last stage; '
                    f'the stages before it are {", ".join(self.stage_names[:-1]) or "none"}.'
                )
        for module in self.modules():
            if getattr(module, 'inplace', False):
                module.inplace = False  # type: ignore[assignment]

    @property
    def stage_names(self) -> tuple[str, ...]:
        """Names of the stages, in the order in which they run."""
        return tuple(self.stages)

    def features(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Run the stages.

        Parameters
        ----------
        x : Tensor, shape (N, channels, height, width)

        Returns
        -------
        A : Tensor, shape (N, C, h, w)
            What the last stage returns, after its activation.
        earlier : tuple of Tensor
            What the stages in `reads` return.

        Raises
        ------
        NotStaged
            If what comes out of the last stage is not a map.
        """
        kept: dict[str, Tensor] = {}
        for name, stage in self.stages.items():
            x = stage(x)
            if name in self.reads:
                kept[name] = x
        if not isinstance(x, Tensor) or x.ndim != 4:
            what = f'shape {tuple(x.shape)}' if isinstance(x, Tensor) else f'a {type(x).__name__}'
            raise NotStaged(
                f'The last stage, {self.stage_names[-1]!r}, returns {what}; '
                'it must return a feature map (N, C, h, w).'
            )
        return x, tuple(kept[name] for name in self.reads)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, shape (N, K)."""
        feature_map, earlier = self.features(x)
        logits: Tensor = self.head(feature_map, *earlier)
        return logits

    def closed_form(self) -> Tensor | None:
        """Return the weights of a head that averages `A` and is linear, else None.

        Returns
        -------
        Tensor, shape (K, C), or None
            Where it is not None, the gradient of logit k with respect to each cell of
            channel c is ``weights[k, c] / (h * w)``.
        """
        return self.head.linear.weight if isinstance(self.head, AverageLinear) else None

    def grid(self, height: int, width: int) -> Grid:
        """Return where the cells of `A` look, for an input of this size.

        Worked out from the network's own operations by receptive-field arithmetic,
        once for each size.

        Parameters
        ----------
        height, width : int
            Size of the input in pixels.

        Raises
        ------
        Untraceable
            If an operation of the stages has no place in that arithmetic.
        """
        size = (height, width)
        if size not in self._grids:
            self._grids[size] = derive_grid(self.stages.items(), (self.channels, height, width))
        return self._grids[size]

    def with_head(self, head: nn.Module, classes: int) -> StagedNetwork:
        """Return a network of the same stages, weights shared, with another head.

        Parameters
        ----------
        head : Module
            Takes what the old head takes.
        classes : int
            How many logits it returns.
        """
        return StagedNetwork(
            self.stages.items(),
            head,
            classes=classes,
            channels=self.channels,
            reads=self.reads,
            arch=self.arch,
        )
