"""Networks of torchvision and timm, and how each is split into stages and a head.

The stages hold the library's own modules. A stage is what lies between two halvings of the
resolution, and the last one ends after its activation. Both libraries are imported only when
one of their networks is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from torch import nn

from napari_cxr.networks.heads import AverageLinear, average_then
from napari_cxr.networks.registry import register
from napari_cxr.networks.staged import StagedNetwork

__all__ = [
    'LIBRARIES',
    'LibraryModel',
    'Splitter',
    'StagesAndHead',
    'convnext_tiny',
    'densenet121',
    'densenet169',
    'efficientnet_b0',
    'find_library_model',
    'inception_resnet_v2',
    'inception_v3',
    'input_convolutions',
    'legacy_xception',
    'mobilenet_v3_large',
    'of_timm',
    'of_torchvision',
    'resnet10',
    'resnet18',
    'resnet50',
    'resnet152',
    'set_input_channels',
    'tf_efficientnet_lite0',
    'tf_efficientnet_lite1',
    'tf_efficientnet_lite2',
    'vgg16',
    'vgg19',
]

#: Named stages in order, and the network's own head.
StagesAndHead = tuple[dict[str, nn.Module], nn.Module]

Splitter = Callable[[nn.Module], StagesAndHead]


@dataclass(frozen=True)
class LibraryModel:
    """A network that a library has under a name.

    Parameters
    ----------
    library : {'torchvision', 'timm'}
        Whose it is.
    name : str
        What it is called there.
    split : callable
        Takes the library's network apart.
    """

    library: str
    name: str
    split: Splitter

    def library_network(self, classes: int) -> nn.Module:
        """Return the library's network as it is, for three channels, with random weights.

        Raises
        ------
        ValueError
            If the library has no such network for classification.
        """
        return LIBRARIES[self.library](self.name, classes)

    def staged_network(self, classes: int, channels: int, size: tuple[int, int]) -> StagedNetwork:
        """Return the network in stages and head, for as many channels as the input has."""
        stages, head = self.split(self.library_network(classes))
        set_input_channels(channels, stages)
        return StagedNetwork(stages, head, classes=classes, channels=channels)


_LIBRARY_MODELS: dict[str, LibraryModel] = {}


def of_torchvision(split: Splitter) -> Splitter:
    """Register a function that splits the torchvision network of its name."""
    return _register('torchvision', split)


def of_timm(split: Splitter) -> Splitter:
    """Register a function that splits the timm network of its name."""
    return _register('timm', split)


def find_library_model(name: str) -> LibraryModel | None:
    """Return what a name in the registry is made of; None for what no library has."""
    return _LIBRARY_MODELS.get(name)


def _register(library: str, split: Splitter) -> Splitter:
    stock = LibraryModel(library, split.__name__, split)
    _LIBRARY_MODELS[stock.name] = stock
    register(stock.staged_network, stock.name)
    return split


def _of_torchvision(name: str, classes: int) -> nn.Module:
    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        raise ValueError(
            f'torchvision has no classification network {name!r}.{_near(name, known)}'
        )
    # The auxiliary classifiers serve training on ImageNet only.
    extra = {'aux_logits': False, 'init_weights': True}
    options = extra if name in ('inception_v3', 'googlenet') else {}
    whole: nn.Module = models.get_model(name, weights=None, num_classes=classes, **options)
    return whole


def _of_timm(name: str, classes: int) -> nn.Module:
    import timm  # here, because it takes seconds

    # Names with a colon would be looked up on a hub or in a folder.
    if ':' in name or not timm.is_model(name):
        raise ValueError(f'timm has no network {name!r}.{_near(name, timm.list_models())}')
    try:
        whole: nn.Module = timm.create_model(name, pretrained=False, num_classes=classes)
    except RuntimeError as error:  # the tag after the dot
        raise ValueError(f'timm has no network {name!r}: {error}') from None
    return whole


#: How each library makes a network of a name, for so many classes.
LIBRARIES = {'torchvision': _of_torchvision, 'timm': _of_timm}


def _near(name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, n=3, cutoff=0.5)
    return f' Did you mean {" or ".join(near)}?' if near else ''


def set_input_channels(channels: int, stages: dict[str, nn.Module]) -> None:
    """Give the convolutions that read the image as many input channels as asked for."""
    if channels == 3:
        return
    for conv in input_convolutions(stages):
        conv.in_channels = channels
        conv.weight = nn.Parameter(
            conv.weight.new_empty(len(conv.weight), channels, *conv.kernel_size)
        )
        nn.init.kaiming_normal_(conv.weight, mode='fan_out', nonlinearity='relu')


def input_convolutions(stages: dict[str, nn.Module]) -> list[nn.Conv2d]:
    """Return the convolutions of a library's network that read the image of three channels."""
    first = next(iter(stages.values()))
    return [m for m in first.modules() if isinstance(m, nn.Conv2d) and m.in_channels == 3]


@register
def resnet10(classes: int, channels: int, size: tuple[int, int]) -> StagedNetwork:
    """Return a ResNet with one basic block a stage: small enough to be shipped."""
    from torchvision.models import resnet  # takes as long to import as torch

    whole = resnet.ResNet(resnet.BasicBlock, [1, 1, 1, 1], num_classes=classes)
    stages, head = _resnet(whole)
    set_input_channels(channels, stages)
    return StagedNetwork(stages, head, classes=classes, channels=channels)


@of_torchvision
def resnet18(whole: Any) -> StagesAndHead:
    """Cut ResNet-18 (He et al. 2016, arXiv:1512.03385, table 1)."""
    return _resnet(whole)


@of_torchvision
def resnet50(whole: Any) -> StagesAndHead:
    """Cut ResNet-50 with the stride in the 3x3 convolutions, as torchvision has it."""
    return _resnet(whole)


@of_torchvision
def resnet152(whole: Any) -> StagesAndHead:
    """Cut ResNet-152, as ResNet-50."""
    return _resnet(whole)


@of_torchvision
def densenet121(whole: Any) -> StagesAndHead:
    """Cut DenseNet-121 (Huang et al. 2017, arXiv:1608.06993, table 1)."""
    return _densenet(whole)


@of_torchvision
def densenet169(whole: Any) -> StagesAndHead:
    """Cut DenseNet-169, as DenseNet-121."""
    return _densenet(whole)


@of_torchvision
def vgg16(whole: Any) -> StagesAndHead:
    """Cut VGG-16 (Simonyan and Zisserman 2015, arXiv:1409.1556, table 1, D).

    A stage ends with its pool, the last one too, as in Keras' network without top: an
    average head reads what its papers average.
    """
    return _vgg(whole)


@of_torchvision
def vgg19(whole: Any) -> StagesAndHead:
    """Cut VGG-19 (the same, E)."""
    return _vgg(whole)


@of_torchvision
def inception_v3(whole: Any) -> StagesAndHead:
    """Cut Inception v3 (Szegedy et al. 2016, arXiv:1512.00567) without auxiliary classifier."""
    stages = {
        'stem': _named_stages(
            (whole.Conv2d_1a_3x3, whole.Conv2d_2a_3x3, whole.Conv2d_2b_3x3, whole.maxpool1)
        ),
        'mixed4': _named_stages((whole.Conv2d_3b_1x1, whole.Conv2d_4a_3x3, whole.maxpool2)),
        'mixed5': _named_stages((whole.Mixed_5b, whole.Mixed_5c, whole.Mixed_5d)),
        'mixed6': _named_stages(getattr(whole, f'Mixed_6{letter}') for letter in 'abcde'),
        'mixed7': _named_stages((whole.Mixed_7a, whole.Mixed_7b, whole.Mixed_7c)),
    }
    return stages, AverageLinear.of(whole.fc, whole.dropout.p)


@of_torchvision
def mobilenet_v3_large(whole: Any) -> StagesAndHead:
    """Cut MobileNetV3-Large (Howard et al. 2019, arXiv:1905.02244, table 1).

    The head has a hidden layer.
    """
    layers = whole.features
    stages = {
        'stem': _named_stages(layers[:2]),
        'stage1': _named_stages(layers[2:4]),
        'stage2': _named_stages(layers[4:7]),
        'stage3': _named_stages(layers[7:13]),
        'stage4': _named_stages(layers[13:16]),
        'last': _named_stages(layers[16:]),
    }
    return stages, average_then(*whole.classifier)


@of_torchvision
def efficientnet_b0(whole: Any) -> StagesAndHead:
    """Cut EfficientNet-B0 (Tan and Le 2019, arXiv:1905.11946, table 1)."""
    layers = whole.features
    stages = {'stem': _named_stages(layers[:1])}
    stages |= {f'stage{i}': _named_stages(layers[i : i + 1]) for i in range(1, 8)}
    stages['last'] = _named_stages(layers[8:])
    dropout, linear = whole.classifier
    return stages, AverageLinear.of(linear, dropout.p)


@of_torchvision
def convnext_tiny(whole: Any) -> StagesAndHead:
    """Cut ConvNeXt-T (Liu et al. 2022, arXiv:2201.03545, table 9).

    Its own head norms the means before the linear layer.
    """
    layers = whole.features
    stages = {'stem': _named_stages(layers[:1]), 'stage1': _named_stages(layers[1:2])}
    stages |= {f'stage{i}': _named_stages(layers[2 * i - 2 : 2 * i]) for i in (2, 3, 4)}
    return stages, nn.Sequential(whole.avgpool, *whole.classifier)


def _resnet(whole: Any) -> StagesAndHead:
    stages = {
        'stem': _named_stages((whole.conv1, whole.bn1, whole.relu, whole.maxpool)),
        'layer1': whole.layer1,
        'layer2': whole.layer2,
        'layer3': whole.layer3,
        'layer4': whole.layer4,
    }
    return stages, AverageLinear.of(whole.fc)


def _densenet(whole: Any) -> StagesAndHead:
    """Cut a DenseNet.

    The last batch norm and the ReLU after it belong to the last stage, so that the
    feature map is what the head averages.
    """
    parts = dict(whole.features.named_children())
    stages = {
        'stem': _named_stages(parts[name] for name in ('conv0', 'norm0', 'relu0', 'pool0')),
        'block1': _named_stages((parts['denseblock1'], parts['transition1'])),
        'block2': _named_stages((parts['denseblock2'], parts['transition2'])),
        'block3': _named_stages((parts['denseblock3'], parts['transition3'])),
        'block4': _named_stages((parts['denseblock4'], parts['norm5'], nn.ReLU())),
    }
    return stages, AverageLinear.of(whole.classifier)


def _vgg(whole: Any) -> StagesAndHead:
    stages: dict[str, nn.Module] = {}
    block: list[nn.Module] = []
    for layer in whole.features:
        block.append(layer)
        if isinstance(layer, nn.MaxPool2d):
            stages[f'block{len(stages) + 1}'] = _named_stages(block)
            block = []
    return stages, nn.Sequential(whole.avgpool, nn.Flatten(1), *whole.classifier)


def _named_stages(modules: Iterable[nn.Module]) -> nn.Module:
    return nn.Sequential(*modules)


@of_timm
def legacy_xception(whole: Any) -> StagesAndHead:
    """Cut Xception as Keras has it (Chollet 2017, arXiv:1610.02357, figure 5)."""
    return {
        'stem': _timm_stages(whole, 'conv1', 'bn1', 'act1', 'conv2', 'bn2', 'act2'),
        'block1': whole.block1,
        'block2': whole.block2,
        'block3': whole.block3,
        'middle': _timm_stages(whole, *(f'block{i}' for i in range(4, 12))),
        'exit': _timm_stages(whole, 'block12', 'conv3', 'bn3', 'act3', 'conv4', 'bn4', 'act4'),
    }, AverageLinear.of(whole.fc)


@of_timm
def inception_resnet_v2(whole: Any) -> StagesAndHead:
    """Cut Inception-ResNet v2 as Keras has it (Szegedy et al. 2017, arXiv:1602.07261)."""
    return {
        'stem': _timm_stages(whole, 'conv2d_1a', 'conv2d_2a', 'conv2d_2b', 'maxpool_3a'),
        'mixed4': _timm_stages(whole, 'conv2d_3b', 'conv2d_4a', 'maxpool_5a'),
        'mixed5': _timm_stages(whole, 'mixed_5b', 'repeat'),
        'mixed6': _timm_stages(whole, 'mixed_6a', 'repeat_1'),
        'mixed7': _timm_stages(whole, 'mixed_7a', 'repeat_2', 'block8', 'conv2d_7b'),
    }, AverageLinear.of(whole.classif)


@of_timm
def tf_efficientnet_lite0(whole: Any) -> StagesAndHead:
    """Cut EfficientNet-Lite0 as TensorFlow has it (Tan and Le 2019, without gates; ReLU6).

    Its ImageNet weights come with a package; see `napari_cxr.networks.pretrained_weights`.
    """
    return _efficientnet(whole)


@of_timm
def tf_efficientnet_lite1(whole: Any) -> StagesAndHead:
    """Cut EfficientNet-Lite1, as Lite0."""
    return _efficientnet(whole)


@of_timm
def tf_efficientnet_lite2(whole: Any) -> StagesAndHead:
    """Cut EfficientNet-Lite2, as Lite0."""
    return _efficientnet(whole)


def _efficientnet(whole: Any) -> StagesAndHead:
    stages = {'stem': _timm_stages(whole, 'conv_stem', 'bn1')}
    stages |= {f'stage{i}': block for i, block in enumerate(whole.blocks, start=1)}
    stages['last'] = _timm_stages(whole, 'conv_head', 'bn2')
    return stages, AverageLinear.of(whole.classifier)


def _timm_stages(whole: Any, *names: str) -> nn.Module:
    return nn.Sequential(*(getattr(whole, name) for name in names))
