"""ONNX Runtime and OpenVINO: a network's stages, converted, on the processor.

Both take them as ONNX, https://onnx.ai, which stays in memory. Neither sends anything
anywhere: OpenVINO's reports of usage are switched off before it is imported.
"""

from __future__ import annotations

import io
import sys
import warnings
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from napari_cxr.networks import StagedNetwork
from napari_cxr.networks.modes import evaluating

__all__ = ['onnx_runtime', 'openvino', 'to_onnx']

_INPUT = 'x'
#: Of ONNX's operations: old enough for every version of both libraries on Python 3.11.
_OPSET = 17
#: How these libraries say that memory is full.
_FULL = ('failed to allocate', 'bad_alloc', 'bad allocation', 'not enough memory', 'out of memory')

#: Sizes of a batch that OpenVINO is kept ready for.
_SIZES = 2


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
        # seconds where the newer takes minutes, and needs two packages less.
        warnings.simplefilter('ignore')
        torch.onnx.export(
            stages,
            (example,),
            file,  # type: ignore[arg-type]  # as it says in its docstring
            dynamo=False,
            input_names=[_INPUT],
            dynamic_axes={_INPUT: {0: 'images'}},
            opset_version=_OPSET,
        )
    return file.getvalue()


def onnx_runtime(onnx: bytes) -> Callable[[Tensor], tuple[Tensor, ...]]:
    """Return stages that ONNX Runtime runs, with as many threads as torch has now."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.inter_op_num_threads = 1
    # Threads that wait by turning in circles take the cores that decode the next images.
    options.add_session_config_entry('session.intra_op.allow_spinning', '0')
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(onnx, options, providers=['CPUExecutionProvider'])

    def run(x: Tensor) -> list[Any]:
        given: list[Any] = session.run(None, {_INPUT: x.numpy()})
        return given

    return _as_tensors(run)


def openvino(onnx: bytes, precision: str) -> Callable[[Tensor], tuple[Tensor, ...]]:
    """Return stages that OpenVINO runs, with as many threads as torch has now.

    Parameters
    ----------
    onnx : bytes
        See `to_onnx`.
    precision : {'float32', 'bfloat16'}
        What it computes in.
    """
    core = _openvino().Core()
    model = core.read_model(onnx)
    settings = {
        # By itself it takes bfloat16 wherever the processor has it.
        'INFERENCE_PRECISION_HINT': 'bf16' if precision == 'bfloat16' else 'f32',
        'INFERENCE_NUM_THREADS': torch.get_num_threads(),
        'NUM_STREAMS': 1,
        # Bound to a core it would wait for whatever else runs there.
        'ENABLE_CPU_PINNING': False,
    }
    # Made for each size of a batch, which is a quarter faster than for all: there is one for
    # the whole batches of a run, and one for its last.
    requests: OrderedDict[tuple[int, ...], Any] = OrderedDict()

    def run(x: Tensor) -> list[Any]:
        shape = tuple(x.shape)
        if shape not in requests:
            model.reshape(list(shape))
            compiled = core.compile_model(model, 'CPU', settings)
            requests[shape] = compiled.create_infer_request()
            if len(requests) > _SIZES:
                requests.popitem(last=False)
        requests.move_to_end(shape)
        # Copied, since the next batch is written into the same memory.
        given = requests[shape].infer([x.numpy()], share_inputs=True)
        return [value.copy() for value in given.values()]

    return _as_tensors(run)


def _openvino() -> Any:
    """Import OpenVINO without its module that reports each import to its makers."""
    if 'openvino' not in sys.modules:
        # It then uses the stand-in that it keeps for where that module is not installed.
        sys.modules.setdefault('openvino_telemetry', None)  # type: ignore[arg-type]
    import openvino

    return openvino


def _as_tensors(run: Callable[[Tensor], list[Any]]) -> Callable[[Tensor], tuple[Tensor, ...]]:
    """Give tensors, and torch's own error where memory is full."""

    def stages(x: Tensor) -> tuple[Tensor, ...]:
        try:
            return tuple(torch.from_numpy(value) for value in run(x.contiguous()))
        except Exception as error:  # each library has types of its own
            said = str(error).lower()
            if isinstance(error, MemoryError) or any(words in said for words in _FULL):
                raise torch.OutOfMemoryError(str(error)) from None
            raise

    return stages
