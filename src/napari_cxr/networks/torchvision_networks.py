"""Networks of torchvision, cut into stages and a head.

The stages hold torchvision's own modules. A stage is what lies between two halvings of
the resolution, and the last one ends after its activation.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn

from napari_cxr.networks.heads import AverageLinear, average_then
from napari_cxr.networks.registry import register
from napari_cxr.networks.staged import StagedNetwork
from napari_cxr.networks.stock import Parts, of_torchvision, open_to

__all__ = [
    'convnext_tiny',
    'densenet121',
    'densenet169',
    'efficientnet_b0',
    'inception_v3',
    'mobilenet_v3_large',
    'resnet10',
    'resnet18',
    'resnet50',
    'resnet152',
    'vgg16',
    'vgg19',
]


@register
def resnet10(classes: int, channels: int, size: tuple[int, int]) -> StagedNetwork:
    """Return a ResNet with one basic block a stage: small enough to be shipped."""
    from torchvision.models import resnet  # takes as long to import as torch

    whole = resnet.ResNet(resnet.BasicBlock, [1, 1, 1, 1], num_classes=classes)
    stages, head = _resnet(whole)
    open_to(channels, stages)
    return StagedNetwork(stages, head, classes=classes, channels=channels)


@of_torchvision
def resnet18(whole: Any) -> Parts:
    """Cut ResNet-18 (He et al. 2016, arXiv:1512.03385, table 1)."""
    return _resnet(whole)


@of_torchvision
def resnet50(whole: Any) -> Parts:
    """Cut ResNet-50 with the stride in the 3x3 convolutions, as torchvision has it."""
    return _resnet(whole)


@of_torchvision
def resnet152(whole: Any) -> Parts:
    """Cut ResNet-152, as ResNet-50."""
    return _resnet(whole)


@of_torchvision
def densenet121(whole: Any) -> Parts:
    """Cut DenseNet-121 (Huang et al. 2017, arXiv:1608.06993, table 1)."""
    return _densenet(whole)


@of_torchvision
def densenet169(whole: Any) -> Parts:
    """Cut DenseNet-169, as DenseNet-121."""
    return _densenet(whole)


@of_torchvision
def vgg16(whole: Any) -> Parts:
    """Cut VGG-16 (Simonyan and Zisserman 2015, arXiv:1409.1556, table 1, D).

    A stage ends with its pool, the last one too, as in Keras' network without top: an
    average head reads what its papers average.
    """
    return _vgg(whole)


@of_torchvision
def vgg19(whole: Any) -> Parts:
    """Cut VGG-19 (the same, E)."""
    return _vgg(whole)


@of_torchvision
def inception_v3(whole: Any) -> Parts:
    """Cut Inception v3 (Szegedy et al. 2016, arXiv:1512.00567) without auxiliary classifier."""
    stages = {
        'stem': _chain(
            (whole.Conv2d_1a_3x3, whole.Conv2d_2a_3x3, whole.Conv2d_2b_3x3, whole.maxpool1)
        ),
        'mixed4': _chain((whole.Conv2d_3b_1x1, whole.Conv2d_4a_3x3, whole.maxpool2)),
        'mixed5': _chain((whole.Mixed_5b, whole.Mixed_5c, whole.Mixed_5d)),
        'mixed6': _chain(getattr(whole, f'Mixed_6{letter}') for letter in 'abcde'),
        'mixed7': _chain((whole.Mixed_7a, whole.Mixed_7b, whole.Mixed_7c)),
    }
    return stages, AverageLinear.of(whole.fc, whole.dropout.p)


@of_torchvision
def mobilenet_v3_large(whole: Any) -> Parts:
    """Cut MobileNetV3-Large (Howard et al. 2019, arXiv:1905.02244, table 1).

    The head has a hidden layer.
    """
    layers = whole.features
    stages = {
        'stem': _chain(layers[:2]),
        'stage1': _chain(layers[2:4]),
        'stage2': _chain(layers[4:7]),
        'stage3': _chain(layers[7:13]),
        'stage4': _chain(layers[13:16]),
        'last': _chain(layers[16:]),
    }
    return stages, average_then(*whole.classifier)


@of_torchvision
def efficientnet_b0(whole: Any) -> Parts:
    """Cut EfficientNet-B0 (Tan and Le 2019, arXiv:1905.11946, table 1)."""
    layers = whole.features
    stages = {'stem': _chain(layers[:1])}
    stages |= {f'stage{i}': _chain(layers[i : i + 1]) for i in range(1, 8)}
    stages['last'] = _chain(layers[8:])
    dropout, linear = whole.classifier
    return stages, AverageLinear.of(linear, dropout.p)


@of_torchvision
def convnext_tiny(whole: Any) -> Parts:
    """Cut ConvNeXt-T (Liu et al. 2022, arXiv:2201.03545, table 9).

    Its own head norms the means before the linear layer.
    """
    layers = whole.features
    stages = {'stem': _chain(layers[:1]), 'stage1': _chain(layers[1:2])}
    stages |= {f'stage{i}': _chain(layers[2 * i - 2 : 2 * i]) for i in (2, 3, 4)}
    return stages, nn.Sequential(whole.avgpool, *whole.classifier)


def _resnet(whole: Any) -> Parts:
    stages = {
        'stem': _chain((whole.conv1, whole.bn1, whole.relu, whole.maxpool)),
        'layer1': whole.layer1,
        'layer2': whole.layer2,
        'layer3': whole.layer3,
        'layer4': whole.layer4,
    }
    return stages, AverageLinear.of(whole.fc)


def _densenet(whole: Any) -> Parts:
    """Cut a DenseNet.

    The last batch norm and the ReLU after it belong to the last stage, so that the
    feature map is what the head averages.
    """
    parts = dict(whole.features.named_children())
    stages = {
        'stem': _chain(parts[name] for name in ('conv0', 'norm0', 'relu0', 'pool0')),
        'block1': _chain((parts['denseblock1'], parts['transition1'])),
        'block2': _chain((parts['denseblock2'], parts['transition2'])),
        'block3': _chain((parts['denseblock3'], parts['transition3'])),
        'block4': _chain((parts['denseblock4'], parts['norm5'], nn.ReLU())),
    }
    return stages, AverageLinear.of(whole.classifier)


def _vgg(whole: Any) -> Parts:
    stages: dict[str, nn.Module] = {}
    block: list[nn.Module] = []
    for layer in whole.features:
        block.append(layer)
        if isinstance(layer, nn.MaxPool2d):
            stages[f'block{len(stages) + 1}'] = _chain(block)
            block = []
    return stages, nn.Sequential(whole.avgpool, nn.Flatten(1), *whole.classifier)


def _chain(modules: Iterable[nn.Module]) -> nn.Module:
    return nn.Sequential(*modules)
