"""The methods that make heatmaps, by name, behind one interface.

Every method takes a network, a batch and target classes, and returns logits and one map for
each image and target, as `napari_cxr.explain.gradcam.grad_cam` does. One that takes long is a
generator that yields the fraction that is done. Other packages add theirs through the
entry-point group ``napari_cxr.explanation_methods``. torch is imported with the first map.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from inspect import isgenerator
from typing import TYPE_CHECKING, Any

from napari_cxr.entry_points import EXPLANATION_METHODS, installed

if TYPE_CHECKING:
    from torch import Tensor

    from napari_cxr.networks import StagedNetwork

__all__ = [
    'DEFAULT_METHOD',
    'ExplanationMethod',
    'contrast_network',
    'explain',
    'method',
    'names',
]

DEFAULT_METHOD = 'Grad-CAM'


@dataclass(frozen=True)
class ExplanationMethod:
    """A method, and what has to be known to show its maps.

    Parameters
    ----------
    name : str
        As a person reads it.
    function : callable or str
        What makes logits and maps, see the module; as text ``'module:name'``, below
        ``napari_cxr.explain``.
    summary : str
        One sentence: what the map is.
    caution : str
        One sentence: when it misleads.
    of_input : bool
        Whether its cells are spread evenly over the input; else they are those of the last
        feature map.
    slow : bool
        Whether it runs the network many times.
    by_class : bool
        Whether its maps differ between classes.
    """

    name: str
    function: Callable[..., Any] | str
    summary: str = ''
    caution: str = ''
    of_input: bool = False
    slow: bool = False
    by_class: bool = True

    def resolve(self) -> Callable[..., Any]:
        """Return the function, imported now where that has not been done."""
        if isinstance(self.function, str):
            found: Callable[..., Any] = pkgutil.resolve_name(f'napari_cxr.explain.{self.function}')
            return found
        return self.function


_BUILT_IN = {
    one.name: one
    for one in (
        ExplanationMethod(
            DEFAULT_METHOD,
            'gradcam:grad_cam',
            'Channels of the last feature map, weighted by how much each raises the class.',
            'Where the head is more than a mean and a linear layer, one weight for a whole '
            'channel can mark places that the class does not depend on.',
        ),
        ExplanationMethod(
            'Grad-CAM++',
            'activation_maps:grad_cam_plus_plus',
            'As Grad-CAM, but only cells that raise the class count towards a channel’s weight.',
            'It shows nothing of what speaks against a class, so it looks alike for all classes.',
        ),
        ExplanationMethod(
            'HiResCAM',
            'activation_maps:hires_cam',
            'What each cell of the last feature map adds to the class.',
            'Its cells are as coarse as those of Grad-CAM, and with a mean and a linear layer '
            'behind the map it is the same.',
        ),
        ExplanationMethod(
            'LayerCAM',
            'activation_maps:layer_cam',
            'Cells of the last feature map, each weighted by how much it raises the class.',
            'Cells that lower the class are left out, so places that count for nothing together '
            'may light up.',
        ),
        ExplanationMethod(
            'EigenCAM',
            'activation_maps:eigen_cam',
            'The main pattern of the last feature map, whatever the class.',
            'It knows no class: it shows what the network responds to, not why it answers.',
            by_class=False,
        ),
        ExplanationMethod(
            'ScoreCAM',
            'perturbation_maps:score_cam',
            'Channels of the last feature map, weighted by the answer to what each lets through.',
            'Images seen through a mask are unlike any that the network was trained on.',
            slow=True,
        ),
        ExplanationMethod(
            'Occlusion',
            'perturbation_maps:occlusion',
            'How much the class falls where a grey window hides the image.',
            'A grey window is a finding of its own, and evidence on both sides of the chest '
            'makes up for either.',
            of_input=True,
            slow=True,
        ),
        ExplanationMethod(
            'Integrated gradients',
            'integrated_gradients:integrated_gradients',
            'What each part of the image adds to the class, compared with an even grey.',
            'It follows edges, and what is as grey as the mean of the image counts for nothing.',
            of_input=True,
            slow=True,
        ),
    )
}


def names() -> tuple[str, ...]:
    """Return the names that `method` knows, the default first, those of other packages last."""
    return (*_BUILT_IN, *sorted(installed(EXPLANATION_METHODS, _BUILT_IN)))


def method(name: str) -> ExplanationMethod:
    """Return a method by its name, in upper or lower case, with or without hyphens and spaces.

    Raises
    ------
    ValueError
        If there is none.
    """
    if name in _BUILT_IN:
        return _BUILT_IN[name]
    known = _BUILT_IN | {
        other: ExplanationMethod(other, function)
        for other, function in installed(EXPLANATION_METHODS, _BUILT_IN).items()
    }
    by_plain_name = {_plain(one): found for one, found in reversed(known.items())}
    found = known.get(name) or by_plain_name.get(_plain(name))
    if found is None:
        raise ValueError(
            f'There is no explanation method {name!r}; there is {", ".join(names())}.'
        )
    return found


def _plain(name: str) -> str:
    return name.lower().replace('-', '').replace(' ', '').replace('_', '')


def explain(
    name: str, network: StagedNetwork, x: Tensor, targets: Sequence[int] | None = None
) -> Generator[float, None, tuple[Tensor, Tensor]]:
    """Return logits and maps by a method.

    Parameters
    ----------
    name : str
        One of `names`.
    network, x, targets
        As of `napari_cxr.explain.gradcam.grad_cam`.

    Yields
    ------
    float
        The fraction that is done, if the method is slow.
    """
    made = method(name).resolve()(network, x, targets)
    if isgenerator(made):
        made = yield from made
    logits, maps = made
    return logits, maps


def contrast_network(network: StagedNetwork, against: int) -> StagedNetwork:
    """Return a network whose logits are those of each class minus that of one class.

    So every method shows what makes an image look like one class rather than another; for a
    softmax, the difference of two logits is the log of the ratio of their probabilities.

    Parameters
    ----------
    network : StagedNetwork
        Stages and weights are shared, and not changed.
    against : int
        The class to compare with.
    """
    import torch
    from torch import nn

    from napari_cxr.networks.heads import AverageLinear, Contrast

    head: nn.Module = Contrast(network.head, against)
    if isinstance(network.head, AverageLinear):  # and so is the contrast
        old = network.head.linear
        with torch.no_grad():
            linear = nn.Linear(old.in_features, old.out_features).to(old.weight)
            linear.weight.copy_(old.weight - old.weight[against])
            linear.bias.copy_(old.bias - old.bias[against])
        head = AverageLinear.of(linear.requires_grad_(False))
    return network.with_head(head, network.num_classes)
