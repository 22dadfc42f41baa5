"""A network's stages as ONNX, and as what torch calls when they run elsewhere."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn

from napari_cxr.inference.backends.runtimes import INPUT_NAME, Runtime
from napari_cxr.inference.device import is_out_of_memory
from napari_cxr.networks import StagedNetwork
from napari_cxr.networks.eval_mode import evaluating

__all__ = ['as_torch', 'to_onnx']

#: Of ONNX's operations: every version of both libraries on Python 3.11 knows it.
_OPSET = 17


class _Stages(nn.Module):
    """The stages of a network without its head."""

    def __init__(self, network: StagedNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return self.network.features_up_to(self.network.stage_names[-1], x)


def to_onnx(network: StagedNetwork, size: tuple[int, int]) -> bytes:
    """Convert the stages of a network.

    Parameters
    ----------
    network : StagedNetwork
        On the CPU.
    size : tuple of int
        Height and width of the input; the batch may be of any size.

    Returns
    -------
    bytes
        An ONNX model of one input; its outputs are those of `features_up_to`.
    """
    stages = _Stages(network)
    file = io.BytesIO()
    # Of two images, since 1 would be taken for a constant.
    example = torch.zeros(2, network.channels, *size)
    with warnings.catch_warnings(), evaluating(stages), torch.no_grad():
        # It says that it is the older of torch's two exporters, which it is: it takes
        # a second where the newer takes ten, and needs two packages less.
        warnings.simplefilter('ignore')
        torch.onnx.export(
            stages,
            (example,),
            file,  # type: ignore[arg-type]  # which this exporter takes, too
            dynamo=False,
            input_names=[INPUT_NAME],
            dynamic_axes={INPUT_NAME: {0: 'images'}},
            opset_version=_OPSET,
        )
    return file.getvalue()


def as_torch(engine: Runtime) -> Callable[[Tensor], tuple[Tensor, ...]]:
    """Return stages of tensors, with torch's own error where memory is full."""

    def stages(x: Tensor) -> tuple[Tensor, ...]:
        try:
            return tuple(torch.from_numpy(value) for value in engine(x.contiguous().numpy()))
        except Exception as error:  # each library has types of its own
            if is_out_of_memory(error):
                raise torch.OutOfMemoryError(str(error)) from None
            raise

    return stages
