"""Networks of torchvision, cut into stages and a head.

The stages hold torchvision's own modules, with a first convolution for as many
channels as the input has. Weights are random.
"""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn
from torchvision.models import densenet, efficientnet, mobilenetv3, resnet

from napari_cxr.networks.heads import AverageLinear, average_then
from napari_cxr.networks.registry import register
from napari_cxr.networks.staged import StagedNetwork

__all__ = [
    'densenet121',
    'efficientnet_b0',
    'mobilenet_v3_large',
    'resnet10',
    'resnet18',
    'resnet50',
]


@register
def resnet10(classes: int, channels: int, size: tuple[int, int]) -> StagedNetwork:
    """Return a ResNet with one basic block a stage: small enough to be shipped."""
    return _resnet(resnet.ResNet(resnet.BasicBlock, [1, 1, 1, 1]), classes, channels)


@register
def resnet18(classes: int, channels: int, size: tuple[int, int]) -> StagedNetwork:
    """Return ResNet-18 (He et al. 2016, arXiv:1512.03385, table 1)."""
    return _resnet(resnet.resnet18(weights=None), classes, channels)


@register
def resnet50(classes: int, channels: int, size: tuple[int, int]) -> StagedNetwork:
    """Return ResNet-50 with the stride in the 3x3 convolutions, as torchvision has it."""
    return _resnet(resnet.resnet50(weights=None), classes, channels)


@register
def densenet121(classes: int, channels: int, size: tuple[int, int]) -> StagedNetwork:
    """Return DenseNet-121 (Huang et al. 2017, arXiv:1608.06993, table 1).

    The last batch norm and the ReLU after it belong to the last stage, so that the
    feature map is what the head averages.
    """
    parts = dict(densenet.densenet121(weights=None).features.named_children())
    stages = {
        'stem': _chain(parts[name] for name in ('conv0', 'norm0', 'relu0', 'pool0')),
        'block1': _chain((parts['denseblock1'], parts['transition1'])),
        'block2': _chain((parts['denseblock2'], parts['transition2'])),
        'block3': _chain((parts['denseblock3'], parts['transition3'])),
        'block4': _chain((parts['denseblock4'], parts['norm5'], nn.ReLU())),
    }
    return _averaged(stages, 1024, classes, channels)


@register
def mobilenet_v3_large(classes: int, channels: int, size: tuple[int, int]) -> StagedNetwork:
    """Return MobileNetV3-Large (Howard et al. 2019, arXiv:1905.02244, table 1).

    A stage is what lies between two halvings of the resolution. The head has a hidden
    layer.
    """
    whole = mobilenetv3.mobilenet_v3_large(weights=None, num_classes=classes)
    layers = whole.features
    stages = {
        'stem': _chain(layers[:2]),
        'stage1': _chain(layers[2:4]),
        'stage2': _chain(layers[4:7]),
        'stage3': _chain(layers[7:13]),
        'stage4': _chain(layers[13:16]),
        'last': _chain(layers[16:]),
    }
    _open_to(channels, stages['stem'])
    head = average_then(*whole.classifier)
    return StagedNetwork(stages, head, classes=classes, channels=channels)


@register
def efficientnet_b0(classes: int, channels: int, size: tuple[int, int]) -> StagedNetwork:
    """Return EfficientNet-B0 (Tan and Le 2019, arXiv:1905.11946, table 1)."""
    layers = efficientnet.efficientnet_b0(weights=None).features
    stages = {'stem': _chain(layers[:1])}
    stages |= {f'stage{i}': _chain(layers[i : i + 1]) for i in range(1, 8)}
    stages['last'] = _chain(layers[8:])
    return _averaged(stages, 1280, classes, channels, dropout=0.2)


def _resnet(whole: resnet.ResNet, classes: int, channels: int) -> StagedNetwork:
    stages = {
        'stem': _chain((whole.conv1, whole.bn1, whole.relu, whole.maxpool)),
        'layer1': whole.layer1,
        'layer2': whole.layer2,
        'layer3': whole.layer3,
        'layer4': whole.layer4,
    }
    return _averaged(stages, whole.fc.in_features, classes, channels)


def _averaged(
    stages: dict[str, nn.Sequential],
    features: int,
    classes: int,
    channels: int,
    dropout: float = 0.0,
) -> StagedNetwork:
    """Return a network whose head averages the map and is linear."""
    _open_to(channels, stages['stem'])
    head = AverageLinear(features, classes, dropout)
    return StagedNetwork(stages, head, classes=classes, channels=channels)


def _chain(modules: Iterable[nn.Module]) -> nn.Sequential:
    return nn.Sequential(*modules)


def _open_to(channels: int, stem: nn.Sequential) -> None:
    """Give the first convolution of a stem as many input channels as asked for."""
    name, old = next((n, m) for n, m in stem.named_modules() if isinstance(m, nn.Conv2d))
    if old.in_channels == channels:
        return
    new = nn.Conv2d(
        channels,
        old.out_channels,
        old.kernel_size,  # type: ignore[arg-type]
        old.stride,  # type: ignore[arg-type]
        old.padding,  # type: ignore[arg-type]
        bias=old.bias is not None,
    )
    nn.init.kaiming_normal_(new.weight, mode='fan_out', nonlinearity='relu')
    if new.bias is not None:
        nn.init.zeros_(new.bias)
    stem.set_submodule(name, new)
