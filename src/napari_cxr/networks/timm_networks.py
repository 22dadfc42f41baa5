"""Networks of timm, cut into stages and a head. timm is imported when one is made."""

from __future__ import annotations

from typing import Any

from torch import nn

from napari_cxr.networks.heads import AverageLinear
from napari_cxr.networks.stock import Parts, of_timm

__all__ = [
    'inception_resnet_v2',
    'legacy_xception',
    'tf_efficientnet_lite0',
    'tf_efficientnet_lite1',
    'tf_efficientnet_lite2',
]


@of_timm
def legacy_xception(whole: Any) -> Parts:
    """Cut Xception as Keras has it (Chollet 2017, arXiv:1610.02357, figure 5)."""
    return {
        'stem': _chain(whole, 'conv1', 'bn1', 'act1', 'conv2', 'bn2', 'act2'),
        'block1': whole.block1,
        'block2': whole.block2,
        'block3': whole.block3,
        'middle': _chain(whole, *(f'block{i}' for i in range(4, 12))),
        'exit': _chain(whole, 'block12', 'conv3', 'bn3', 'act3', 'conv4', 'bn4', 'act4'),
    }, AverageLinear.of(whole.fc)


@of_timm
def inception_resnet_v2(whole: Any) -> Parts:
    """Cut Inception-ResNet v2 as Keras has it (Szegedy et al. 2017, arXiv:1602.07261)."""
    return {
        'stem': _chain(whole, 'conv2d_1a', 'conv2d_2a', 'conv2d_2b', 'maxpool_3a'),
        'mixed4': _chain(whole, 'conv2d_3b', 'conv2d_4a', 'maxpool_5a'),
        'mixed5': _chain(whole, 'mixed_5b', 'repeat'),
        'mixed6': _chain(whole, 'mixed_6a', 'repeat_1'),
        'mixed7': _chain(whole, 'mixed_7a', 'repeat_2', 'block8', 'conv2d_7b'),
    }, AverageLinear.of(whole.classif)


@of_timm
def tf_efficientnet_lite0(whole: Any) -> Parts:
    """Cut EfficientNet-Lite0 as TensorFlow has it (Tan and Le 2019, without gates; ReLU6).

    Its ImageNet weights come with a package; see `napari_cxr.networks.packaged`.
    """
    return _efficientnet(whole)


@of_timm
def tf_efficientnet_lite1(whole: Any) -> Parts:
    """Cut EfficientNet-Lite1, as Lite0."""
    return _efficientnet(whole)


@of_timm
def tf_efficientnet_lite2(whole: Any) -> Parts:
    """Cut EfficientNet-Lite2, as Lite0."""
    return _efficientnet(whole)


def _efficientnet(whole: Any) -> Parts:
    stages = {'stem': _chain(whole, 'conv_stem', 'bn1')}
    stages |= {f'stage{i}': block for i, block in enumerate(whole.blocks, start=1)}
    stages['last'] = _chain(whole, 'conv_head', 'bn2')
    return stages, AverageLinear.of(whole.classifier)


def _chain(whole: Any, *names: str) -> nn.Module:
    return nn.Sequential(*(getattr(whole, name) for name in names))
