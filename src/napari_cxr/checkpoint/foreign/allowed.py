"""Every name that a file may mention, one by one; nothing else is admitted.

No name here is ever imported. A class becomes an empty record that holds state, a function
becomes one of our own in `values`. So the list bounds what is understood, not what is trusted,
and no package is admitted as a whole.
"""

from __future__ import annotations

__all__ = ['CLASSES', 'OPAQUE', 'STORAGES']

#: What a storage holds: the numpy type of one number. bfloat16 is read as its upper two bytes.
STORAGES: dict[str, str] = {
    f'{module}.{name}': kind
    for module in ('torch', 'torch.cuda')
    for name, kind in {
        'FloatStorage': '<f4',
        'DoubleStorage': '<f8',
        'HalfStorage': '<f2',
        'BFloat16Storage': 'bfloat16',
        'LongStorage': '<i8',
        'IntStorage': '<i4',
        'ShortStorage': '<i2',
        'CharStorage': '<i1',
        'ByteStorage': '<u1',
        'BoolStorage': '?',
    }.items()
}


def _of(module: str, *names: str) -> set[str]:
    return {f'{module}.{name}' for name in names}


#: Classes of whole networks that were pickled: each becomes a record of its state.
CLASSES: frozenset[str] = frozenset(
    _of('torchxrayvision.models', 'DenseNet', '_DenseLayer', '_DenseBlock', '_Transition')
    | _of('torchvision.models.densenet', 'DenseNet', '_DenseLayer', '_DenseBlock', '_Transition')
    | _of('torchvision.models.resnet', 'ResNet', 'BasicBlock', 'Bottleneck')
    | _of('torchvision.models.vgg', 'VGG')
    | _of('torchvision.models.efficientnet', 'EfficientNet', 'MBConv')
    | _of('torchvision.models.mobilenetv3', 'MobileNetV3', 'InvertedResidual')
    | _of('torchvision.models.convnext', 'ConvNeXt', 'CNBlock', 'LayerNorm2d')
    | _of(
        'torchvision.models.inception',
        *('Inception3', 'BasicConv2d', 'InceptionA', 'InceptionB', 'InceptionC', 'InceptionD'),
        *('InceptionE', 'InceptionAux'),
    )
    | _of(
        'torchvision.ops.misc',
        *('ConvNormActivation', 'Conv2dNormActivation', 'SqueezeExcitation', 'Permute'),
    )
    | _of('torchvision.ops.stochastic_depth', 'StochasticDepth')
    | _of('torch.nn.modules.container', 'Sequential', 'ModuleList', 'ModuleDict')
    | _of('torch.nn.modules.conv', 'Conv2d')
    | _of('torch.nn.modules.batchnorm', 'BatchNorm2d')
    | _of('torch.nn.modules.normalization', 'LayerNorm', 'GroupNorm')
    | _of('torch.nn.modules.linear', 'Linear', 'Identity')
    | _of('torch.nn.modules.flatten', 'Flatten')
    | _of('torch.nn.modules.dropout', 'Dropout', 'Dropout2d')
    | _of('torch.nn.modules.padding', 'ZeroPad2d')
    | _of(
        'torch.nn.modules.activation',
        *('ReLU', 'ReLU6', 'SiLU', 'GELU', 'Hardswish', 'Hardsigmoid', 'Sigmoid', 'Softmax'),
    )
    | _of(
        'torch.nn.modules.pooling',
        *('MaxPool2d', 'AvgPool2d', 'AdaptiveAvgPool2d', 'AdaptiveMaxPool2d'),
    )
    | _of('torch.nn.parallel.data_parallel', 'DataParallel')
    | _of('torch.nn.parallel.distributed', 'DistributedDataParallel')
)

#: What checkpoints of training hold beside the weights: kept as an empty record, never read.
OPAQUE: frozenset[str] = frozenset(
    _of('torch', 'device')
    | _of('torch', 'float32', 'float64', 'float16', 'bfloat16', 'int64', 'int32', 'uint8', 'bool')
    | _of('torch.serialization', '_get_layout')
    | _of('argparse', 'Namespace')
    | _of('pathlib', 'Path', 'PosixPath', 'WindowsPath', 'PurePosixPath', 'PureWindowsPath')
    | _of('pathlib._local', 'Path', 'PosixPath', 'WindowsPath')
    | _of('numpy', 'dtype', 'ndarray')
    | _of('numpy.core.multiarray', 'scalar', '_reconstruct')
    | _of('numpy._core.multiarray', 'scalar', '_reconstruct')
    | _of('_codecs', 'encode')
    | _of('datetime', 'datetime', 'date', 'timedelta')
    | _of('pytorch_lightning.utilities.parsing', 'AttributeDict')
    | _of('lightning.pytorch.utilities.parsing', 'AttributeDict')
    | _of('lightning.fabric.utilities.data', 'AttributeDict')
    | _of('lightning_fabric.utilities.data', 'AttributeDict')
    | _of('pytorch_lightning.callbacks.model_checkpoint', 'ModelCheckpoint')
    | _of('lightning.pytorch.callbacks.model_checkpoint', 'ModelCheckpoint')
)
