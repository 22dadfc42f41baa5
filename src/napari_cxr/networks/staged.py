"""A network as an ordered list of named stages and a head.

Grad-CAM, frozen backbones, learning rates by stage and the placement of a map all
follow from this one structure, without a hook anywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from torch import Tensor, nn

from napari_cxr.networks.eval_mode import stage_shapes
from napari_cxr.networks.heads import AverageLinear
from napari_cxr.networks.receptive_field import Grid, derive_grid

__all__ = ['NotStaged', 'StagedNetwork']


class NotStaged(ValueError):
    """A network that is not a sequence of stages and a head; the message says why."""


class StagedNetwork(nn.Module):
    """Ordered named stages that end in a feature map `A`, and a head that reads it.

    ``network(x)`` is ``network.head(*network.features(x))`` with the second value
    unpacked. No module works in place: what one stage returns, a later one never
    overwrites, so `A` is what the head really reads.

    Stages can be frozen by their names in `parts`. Where the first ones are, what they
    return can be computed once: ``network.features_from(name, *network.features_up_to(name,
    x))`` is ``network.features(x)`` for each stage, and what `features_up_to` returns is all
    that the rest of the network needs.

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
    size : tuple of int
        Height and width that it was made for, which the registry fills in too.

    Raises
    ------
    NotStaged
        If there is no stage, or `reads` names something that is not a stage before the last.
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
        size: tuple[int, int] = (224, 224),
    ) -> None:
        super().__init__()
        self.stages = nn.ModuleDict(dict(stages))
        self.head = head
        self.num_classes = classes
        self.channels = channels
        self.reads = tuple(reads)
        self.arch = arch
        self.size = size
        self._grids: dict[tuple[int, int], Grid] = {}
        if not self.stages:
            raise NotStaged('A network needs at least one stage before its head.')
        for name in self.reads:
            if name not in self.stage_names[:-1]:
                raise NotStaged(
                    f'The head reads {name!r} besides the last stage; the stages before it are '
                    f'{", ".join(self.stage_names[:-1]) or "none"}.'
                )
        for module in self.modules():
            if getattr(module, 'inplace', False):
                module.inplace = False  # type: ignore[assignment]

    @property
    def stage_names(self) -> tuple[str, ...]:
        """Names of the stages, in the order in which they run."""
        return tuple(self.stages)

    @property
    def depth(self) -> int:
        """How many layers have weights: convolutions (of shortcuts, too) and linear layers."""
        return sum(isinstance(m, nn.Conv2d | nn.Linear) for m in self.modules())

    def parts(self) -> list[tuple[str, nn.Module]]:
        """Return the stages in order, and then the head by the name 'head'."""
        return [*self.stages.items(), ('head', self.head)]

    def shapes(self, height: int, width: int) -> dict[str, tuple[int, ...]]:
        """Return the shape (C, h, w) of what each stage returns for one image.

        Raises
        ------
        ValueError
            If images of this size do not get through the stages.
        """
        return stage_shapes(self.stages.items(), (self.channels, height, width))

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
        feature_map, *read = self.features_up_to(self.stage_names[-1], x)
        if not isinstance(feature_map, Tensor) or feature_map.ndim != 4:
            what = (
                f'shape {tuple(feature_map.shape)}'
                if isinstance(feature_map, Tensor)
                else f'a {type(feature_map).__name__}'
            )
            raise NotStaged(
                f'The last stage, {self.stage_names[-1]!r}, returns {what}; '
                'it must return a feature map (N, C, h, w).'
            )
        return feature_map, self._as_read(read)

    def features_up_to(self, last: str, x: Tensor) -> tuple[Tensor, ...]:
        """Run the stages up to one of them.

        Parameters
        ----------
        last : str
            The last stage that is run.
        x : Tensor, shape (N, channels, height, width)

        Returns
        -------
        tuple of Tensor
            What that stage returns, and then what the stages in `reads` before it do.
        """
        return self._run(self.stage_names[: self.stage_names.index(last) + 1], '', x, ())

    def features_from(
        self, after: str, x: Tensor, *earlier: Tensor
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Run the stages after one of them.

        Parameters
        ----------
        after : str
            The stage that is done.
        x, *earlier : Tensor
            What `features_up_to` returned for it.

        Returns
        -------
        A, earlier
            As `features`.
        """
        rest = self.stage_names[self.stage_names.index(after) + 1 :]
        feature_map, *read = self._run(rest, after, x, earlier)
        return feature_map, self._as_read(read)

    def _run(
        self, names: Sequence[str], before: str, x: Tensor, earlier: Sequence[Tensor]
    ) -> tuple[Tensor, ...]:
        """Run stages on what the stage `before` returned; `earlier` is what is read of others."""
        kept = list(earlier)
        for name in names:
            if before in self.reads:
                kept.append(x)
            x, before = self.stages[name](x), name
        return (x, *kept)

    def _as_read(self, earlier: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Put what earlier stages returned, first to last, into the order of `reads`."""
        ran = [name for name in self.stage_names if name in self.reads]
        return tuple(earlier[ran.index(name)] for name in self.reads)

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

    def with_head(
        self, head: nn.Module, classes: int, reads: Sequence[str] | None = None
    ) -> StagedNetwork:
        """Return a network of the same stages, weights shared, with another head.

        Parameters
        ----------
        head : Module
            Takes `A`, and then the outputs of `reads`.
        classes : int
            How many logits it returns.
        reads : sequence of str, optional
            As of the class; by default the old head's.
        """
        return StagedNetwork(
            self.stages.items(),
            head,
            classes=classes,
            channels=self.channels,
            reads=self.reads if reads is None else reads,
            arch=self.arch,
            size=self.size,
        )
