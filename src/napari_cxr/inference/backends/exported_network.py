"""A network without torch: exported to ONNX once, and run by ONNX Runtime or OpenVINO.

The exported graph of a model holds no weights, which stay in the model's file, but all else
that predicting and explaining need: where the cells of the heatmap look, and what torch said of
two drawn images, by which every later use is checked. `napari_cxr.inference.backends.conversion`
makes it. Those of the bundled models lie beside them; others are kept in the user's cache folder
(`user_cache.py`) by the SHA-256 of the model's file.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib import import_module, resources
from typing import Any

import numpy as np

from napari_cxr.inference.device import is_out_of_memory
from napari_cxr.user_cache import FileCache

__all__ = [
    'GRAPH_SUFFIX',
    'INPUT_NAME',
    'WEIGHT_PREFIX',
    'ExportedGraph',
    'ExportedNetwork',
    'Runtime',
    'check_images',
    'create_runtime',
    'find_graph',
    'forget_graph',
    'import_library',
    'keep_graph',
]

#: Takes a batch of shape (N, channels, height, width), returns what the graph does.
Runtime = Callable[[np.ndarray], list[np.ndarray]]

#: Name of the one input.
INPUT_NAME = 'x'

#: What stands before the name of a tensor of the model's file in the graph.
WEIGHT_PREFIX = 'network.'

#: The ending of a bundled model's graph.
GRAPH_SUFFIX = '.graph'

#: To be changed where graphs are made otherwise, so that those that were kept are made again.
_FORM = 2

#: A graph takes some ten kilobytes, with the weights that no file holds some megabytes.
_CACHE = FileCache('onnx', limit=1 << 30)

#: Sizes of a batch that OpenVINO is kept ready for, besides the whole batch.
_SIZES = 2

_ONE = threading.Lock()


@dataclass(frozen=True, eq=False)
class ExportedGraph:
    """A network as ONNX without its weights, for one model and one size of the input.

    Parameters
    ----------
    sha256 : str
        Of the model's file.
    weights : sequence of str
        The tensors of that file that the graph takes.
    closed_form : bool
        Whether the head averages and is linear. The graph then returns logits (N, K) and the
        maps of Grad-CAM of all classes (N, K, h, w); otherwise what the stages return, for a
        head in torch.
    cell_to_input : sequence of sequences of float
        The 3x3 matrix from cells of the maps to pixels of the input, where the form is closed.
    logits : sequence of sequences of float
        What torch says of `check_images`.
    onnx : bytes
        The graph.
    form : int
        How it was made.
    """

    sha256: str
    weights: Sequence[str]
    closed_form: bool
    cell_to_input: Sequence[Sequence[float]]
    logits: Sequence[Sequence[float]]
    onnx: bytes
    form: int = _FORM

    def to_bytes(self) -> bytes:
        """Return it as a line of JSON and the graph."""
        entries = asdict(self)
        onnx = entries.pop('onnx')
        return json.dumps(entries).encode() + b'\n' + onnx

    @classmethod
    def from_bytes(cls, content: bytes) -> ExportedGraph:
        """Return what `to_bytes` wrote; ValueError or TypeError if it is something else."""
        line, _, onnx = content.partition(b'\n')
        return cls(**json.loads(line), onnx=onnx)


def find_graph(sha256: str, name: str = '') -> ExportedGraph | None:
    """Return the exported graph of a model, if there is one.

    Parameters
    ----------
    sha256 : str
        Of the model's file.
    name : str
        The file's name without its ending, by which a bundled model is known.
    """
    shipped = resources.files('napari_cxr') / 'weights' / f'{name}{GRAPH_SUFFIX}'
    for read in (shipped.read_bytes, lambda: _CACHE.get(_key(sha256)) or b''):
        try:
            graph = ExportedGraph.from_bytes(read())
        except (OSError, ValueError, TypeError):
            continue
        if (graph.sha256, graph.form) == (sha256, _FORM):
            return graph
    return None


def keep_graph(graph: ExportedGraph) -> None:
    """Keep a graph in the user's cache folder, for other processes and the next time."""
    if graph.sha256:
        _CACHE.put(_key(graph.sha256), graph.to_bytes())


def forget_graph(sha256: str) -> None:
    """Remove a graph from the user's cache folder."""
    _CACHE.remove(_key(sha256))


def _key(sha256: str) -> str:
    return f'{sha256} {_FORM}'


class ExportedNetwork:
    """An exported network whose head has a closed form, ready to run; see `RunnableNetwork`.

    Parameters
    ----------
    runtime : callable
        Runs the graph, see `create_runtime`.
    cell_to_input : sequence of sequences of float
        As of `ExportedGraph`.
    """

    def __init__(self, runtime: Runtime, cell_to_input: Sequence[Sequence[float]]) -> None:
        self._run = runtime
        self._cell_to_input = np.array(cell_to_input)

    def logits(self, x: np.ndarray) -> np.ndarray:
        """Return the logits of a batch, shape (N, K)."""
        return self._run(x)[0]

    def explain(
        self, x: np.ndarray, targets: Sequence[int] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the logits of a batch, and the maps (N, T, h, w) of some classes or of all."""
        logits, maps = self._run(x)
        return logits, maps if targets is None else maps[:, list(targets)]

    def cell_to_input(self, height: int, width: int) -> np.ndarray:
        """Return the matrix from a cell to the centre of its receptive field."""
        return self._cell_to_input


def check_images(height: int, width: int) -> np.ndarray:
    """Return the images that backends are compared on: drawn chests, always the same.

    Returns
    -------
    ndarray of float32, shape (2, height, width)
        In [0, 1], as `Preprocessing.apply` returns images.
    """
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]

    def ellipse(at: float, wide: float, high: float, down: float = 0.0) -> np.ndarray:
        return np.exp(-((((x - at) / wide) ** 2 + ((y - down) / high) ** 2) ** 2))

    lungs = ellipse(-0.45, 0.33, 0.65) + ellipse(0.45, 0.33, 0.65)
    chest = 0.75 - 0.55 * lungs + 0.06 * np.sin(22 * y + 5 * np.abs(x)) + 0.2 * ellipse(0, 0.2, 1)
    grain = np.random.default_rng(0).normal(0, 0.05, chest.shape)
    images = [
        np.abs(chest[:, ::-1]) ** 2 + grain,
        chest + 0.35 * ellipse(0.45, 0.2, 0.25, 0.3),
    ]
    return np.clip(np.stack(images), 0, 1).astype(np.float32)


def create_runtime(
    library: str,
    precision: str,
    onnx: bytes,
    threads: int,
    workers: int = 1,
    batch: int = 0,
    weights: Mapping[str, np.ndarray] | None = None,
) -> Runtime:
    """Return a graph that one of the libraries runs; several threads may run it at once.

    Parameters
    ----------
    library : {'onnxruntime', 'openvino'}
        Which.
    precision : {'float32', 'bfloat16'}
        What it computes in; ONNX Runtime has float32 only.
    onnx : bytes
        The graph.
    threads : int
        How many it takes for one batch.
    workers : int
        Batches that run at the same time.
    batch : int
        Images of a whole batch, for which it is compiled from the start; 0 where that is not
        known, and then the first batch of each size takes a second or more.
    weights : mapping of str to ndarray, optional
        What the graph lacks, by its names there.

    Returns
    -------
    callable
        It raises MemoryError if memory is full, and RuntimeError for all else that the library
        says.
    """
    if library == 'onnxruntime':
        run = _onnx_runtime(onnx, threads, weights or {})
    else:
        whole = _with_weights(onnx, weights) if weights else onnx
        run = _openvino(precision, whole, threads, workers, batch)

    def checked(x: np.ndarray) -> list[np.ndarray]:
        try:
            return run(np.ascontiguousarray(x))
        except Exception as error:  # each library has types of its own
            if is_out_of_memory(error):
                raise MemoryError(str(error)) from None
            raise RuntimeError(str(error)) from error

    return checked


def import_library(name: str) -> Any:
    """Import a library that runs graphs, without what reports its use to its makers.

    Parameters
    ----------
    name : {'onnxruntime', 'openvino'}
        Which.

    Returns
    -------
    module
    """
    # ONNX Runtime for Linux reports from 1.32 on; it reads this with its first session.
    os.environ['ORT_DISABLE_TELEMETRY'] = '1'
    if 'openvino' not in sys.modules:
        # OpenVINO then uses the stand-in that it keeps for where this module is not installed.
        sys.modules.setdefault('openvino_telemetry', None)  # type: ignore[arg-type]
    return import_module(name)


def _onnx_runtime(onnx: bytes, threads: int, weights: Mapping[str, np.ndarray]) -> Runtime:
    onnxruntime = import_library('onnxruntime')
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Threads that wait by turning in circles take the cores that decode the next images.
    options.add_session_config_entry('session.intra_op.allow_spinning', '0')
    options.log_severity_level = 3
    if weights:
        values = map(onnxruntime.OrtValue.ortvalue_from_numpy, weights.values())
        options.add_external_initializers(list(weights), list(values))
    session = onnxruntime.InferenceSession(onnx, options, providers=['CPUExecutionProvider'])

    def run(x: np.ndarray) -> list[np.ndarray]:
        given: list[np.ndarray] = session.run(None, {INPUT_NAME: x})
        return given

    return run


def _with_weights(onnx: bytes, weights: Mapping[str, np.ndarray]) -> bytes:
    """Return a graph with its weights inside, for a library that takes none from elsewhere."""
    from onnx import TensorProto, load_model_from_string

    model = load_model_from_string(onnx)
    for tensor in model.graph.initializer:
        if tensor.name in weights:
            tensor.raw_data = np.ascontiguousarray(weights[tensor.name]).tobytes()
            tensor.data_location = TensorProto.DEFAULT
            del tensor.external_data[:]
    return bytes(model.SerializeToString())


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
    return import_library('openvino').Core()
