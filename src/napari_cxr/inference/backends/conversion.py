"""Networks in other libraries: converted to ONNX, and run by ONNX Runtime or OpenVINO."""

from __future__ import annotations

import io
import json
import sys
import threading
import warnings
from collections import OrderedDict
from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from napari_cxr import __version__
from napari_cxr.inference.device import is_out_of_memory
from napari_cxr.networks import StagedNetwork
from napari_cxr.networks.eval_mode import evaluating
from napari_cxr.user_cache import FileCache

__all__ = ['INPUT_NAME', 'Runtime', 'StageConversion', 'as_torch', 'create_runtime', 'to_onnx']

#: Takes a batch of shape (N, channels, height, width), returns what the stages do.
Runtime = Callable[[np.ndarray], list[np.ndarray]]

#: Name of the one input.
INPUT_NAME = 'x'

#: Sizes of a batch that OpenVINO is kept ready for, besides the whole batch.
_SIZES = 2

_ONE = threading.Lock()


def create_runtime(
    library: str, precision: str, onnx: bytes, threads: int, workers: int = 1, batch: int = 0
) -> Runtime:
    """Return stages that one of the libraries runs; several threads may run them at once.

    Parameters
    ----------
    library : {'onnxruntime', 'openvino'}
        Which.
    precision : {'float32', 'bfloat16'}
        What it computes in; ONNX Runtime has float32 only.
    onnx : bytes
        The stages.
    threads : int
        How many it takes for one batch.
    workers : int
        Batches that run at the same time.
    batch : int
        Images of a whole batch, for which it is compiled from the start; 0 where that is not
        known, and then the first batch of each size takes a second or more.
    """
    if library == 'onnxruntime':
        return _onnx_runtime(onnx, threads)
    return _openvino(precision, onnx, threads, workers, batch)


def as_torch(runtime: Runtime) -> Callable[[Tensor], tuple[Tensor, ...]]:
    """Return stages that take and return tensors, with torch's own error if memory is full."""

    def stages(x: Tensor) -> tuple[Tensor, ...]:
        try:
            return tuple(torch.from_numpy(value) for value in runtime(x.contiguous().numpy()))
        except Exception as error:  # each library has types of its own
            if is_out_of_memory(error):
                raise torch.OutOfMemoryError(str(error)) from None
            raise

    return stages


def _onnx_runtime(onnx: bytes, threads: int) -> Runtime:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Threads that wait by turning in circles take the cores that decode the next images.
    options.add_session_config_entry('session.intra_op.allow_spinning', '0')
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(onnx, options, providers=['CPUExecutionProvider'])

    def run(x: np.ndarray) -> list[np.ndarray]:
        given: list[np.ndarray] = session.run(None, {INPUT_NAME: x})
        return given

    return run


def _openvino(precision: str, onnx: bytes, threads: int, workers: int, batch: int) -> Runtime:
    with _ONE:
        core = _core()
    model = core.read_model(onnx)
    settings = {
        # By default it takes bfloat16 wherever the processor has it.
        'INFERENCE_PRECISION_HINT': 'bf16' if precision == 'bfloat16' else 'f32',
        'INFERENCE_NUM_THREADS': threads * workers,
        'NUM_STREAMS': workers,
        # Bound to a core it would wait for whatever else runs there.
        'ENABLE_CPU_PINNING': False,
    }
    shape = [n.get_length() if n.is_static else 0 for n in model.input(0).partial_shape]
    # Compiled for each size of a batch, which is a quarter faster than for any size. Each has
    # the requests that no thread uses at the moment.
    ready: OrderedDict[int, tuple[Any, list[Any]]] = OrderedDict()
    lock = threading.Lock()

    def get_ready(images: int) -> tuple[Any, list[Any]]:
        if images not in ready:
            model.reshape([images, *shape[1:]])
            ready[images] = core.compile_model(model, 'CPU', settings), []
            for size in [size for size in ready if size != batch][:-_SIZES]:
                del ready[size]
        ready.move_to_end(images)
        return ready[images]

    def run(x: np.ndarray) -> list[np.ndarray]:
        nonlocal batch
        images = len(x)
        # Filling up the last batch of a run takes less than getting ready for its size.
        if images < batch:
            x = np.concatenate([x, np.zeros((batch - images, *x.shape[1:]), x.dtype)])
        try:
            with lock:
                compiled, free = get_ready(len(x))
                request = free.pop() if free else compiled.create_infer_request()
            # Copied, since the next batch is written into the same memory.
            results = request.infer([x], share_inputs=True).values()
            given = [value[:images].copy() for value in results]
        except Exception:
            batch = 0  # it may be halved because memory is short; that must not be filled up
            raise
        free.append(request)
        return given

    if batch:
        compiled, free = get_ready(batch)
        free += [compiled.create_infer_request() for _ in range(workers)]
        for request in free:  # the first time takes several times as long
            request.infer([np.zeros([batch, *shape[1:]], np.float32)])
    return run


@cache
def _core() -> Any:
    """Return the only `Core` of this process, which is never released.

    A `Core` gives the thread that makes it another stack for signal handlers, and frees that
    stack with itself, in use or not: after a second one, or one released by another thread,
    Ctrl-C ends the process by a segmentation fault (2026.4).
    """
    return _import_openvino().Core()


def _import_openvino() -> Any:
    """Import OpenVINO without its module that reports each import to its makers."""
    if 'openvino' not in sys.modules:
        # It then uses the stand-in that it keeps for where that module is not installed.
        sys.modules.setdefault('openvino_telemetry', None)  # type: ignore[arg-type]
    import openvino

    return openvino


#: Of ONNX's operations: every version of both libraries on Python 3.11 knows it.
_OPSET = 17

#: A ResNet-152 takes 240 MB, the bundled models 20 MB at most.
_CACHE = FileCache('onnx', limit=1 << 30)


class StageConversion:
    """The stages of a network as ONNX, from the user's cache folder if they are there.

    Parameters
    ----------
    network : StagedNetwork
        On the CPU.
    size : tuple of int
        Height and width of the input.
    sha256 : str
        Of the model's file; empty to keep nothing.
    """

    def __init__(self, network: StagedNetwork, size: tuple[int, int], sha256: str = '') -> None:
        self._network, self._size = network, size
        versions = [__version__, torch.__version__, version('onnx'), _OPSET]
        self._key = json.dumps([sha256, *size, *versions]) if sha256 else ''
        self._from_cache = False

    def onnx(self) -> bytes:
        """Return the ONNX model; conversion takes a second or more."""
        found = _CACHE.get(self._key) if self._key else None
        self._from_cache = found is not None
        if found is None:
            found = to_onnx(self._network, self._size)
            if self._key:
                _CACHE.put(self._key, found)
        return found

    def forget(self) -> bool:
        """Remove it from the folder if it came from there; tell whether it did."""
        if self._from_cache:
            _CACHE.remove(self._key)
        return self._from_cache


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
        An ONNX model with one input; its outputs are those of `features_up_to`.
    """
    stages = _Stages(network)
    file = io.BytesIO()
    # Two images, since a batch of 1 would be taken for a constant.
    example = torch.zeros(2, network.channels, *size)
    with warnings.catch_warnings(), evaluating(stages), torch.no_grad():
        # It warns that it is the older of torch's two exporters, which it is: it takes
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
