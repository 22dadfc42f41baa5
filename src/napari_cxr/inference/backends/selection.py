"""Which backend runs a model: a fixed order for each kind of device, never a measurement.

So two runs of one command on one machine give the same bytes. Each backend is taken only if it
gives the probabilities of plain torch on a few drawn images. torch itself is imported only for a
network that nothing else can run, or that was not exported yet.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from napari_cxr.inference.backends.backend import (
    TORCH,
    Backend,
    BackendUnavailable,
    Precision,
    RunnableNetwork,
    find_backend,
    preferred_backends,
    why_unavailable,
)
from napari_cxr.inference.backends.exported_network import (
    WEIGHT_PREFIX,
    ExportedGraph,
    ExportedNetwork,
    check_images,
    create_runtime,
    find_graph,
    forget_graph,
    keep_graph,
)
from napari_cxr.inference.cpu import compute_threads
from napari_cxr.inference.device import Device, OutOfMemory, is_out_of_memory, may_use_gpu
from napari_cxr.inference.preprocessing import Preprocessing
from napari_cxr.output_text import get_logger

if TYPE_CHECKING:
    from napari_cxr.checkpoint import Card, Checkpoint, ModelFile
    from napari_cxr.networks import StagedNetwork

__all__ = [
    'AGREEMENT',
    'RunnableModel',
    'SelectedBackend',
    'needs_torch',
    'network_on_backend',
    'select_backend',
    'takes_no_time',
]

log = get_logger(__name__)

#: How far a probability may be from torch's own in float32, by precision of the backend.
AGREEMENT = {'float32': 1e-3, 'bfloat16': 2e-2}

#: How far logits and maps may be where a graph has just been made, over their greatest value
#: or 1; and probabilities.
_EXPORTED, _EXPORTED_PROBABILITIES = 1e-4, 1e-5


class RunnableModel(Protocol):
    """What a backend needs to know of a model: a `Classifier`, without its methods."""

    card: Card
    device: Device
    preprocessing: Preprocessing
    checkpoint: Checkpoint | ModelFile

    @property
    def network(self) -> StagedNetwork:
        """The network in torch."""

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Return what logits mean."""

    def network_on(self, backend: Backend, workers: int = 1, batch: int = 0) -> RunnableNetwork:
        """Return the network on a backend."""


@dataclass(frozen=True, eq=False)
class SelectedBackend:
    """A backend, and the network on it: the arguments of `Classifier.use`.

    Parameters
    ----------
    backend : Backend
        Which.
    network : RunnableNetwork
        The network on it.
    """

    backend: Backend
    network: RunnableNetwork


def select_backend(
    model: RunnableModel,
    name: str = '',
    precision: str = 'auto',
    *,
    workers: int = 1,
    batch: int = 0,
) -> SelectedBackend:
    """Choose what runs a model on its device.

    Without a name it is the first that is installed, runs the network and agrees with plain
    torch (see `AGREEMENT`): on CUDA and MPS
    torch; on a CPU ONNX Runtime, OpenVINO, torch with channels_last, torch. In bfloat16 it is
    on a CPU OpenVINO or torch with channels_last, on CUDA torch with channels_last.

    Parameters
    ----------
    model : RunnableModel
        The model, on its device.
    name : str
        The backend that must be taken, see `find_backend`; empty to choose.
    precision : {'auto', 'float32', 'bfloat16'}
        What the stages compute in; 'auto' is float32, or bfloat16 where the device has it and
        the model's card says that the model was checked in it (``checked_precisions`` among
        its ``data``).
    workers, batch
        As of `Classifier.network_on`.

    Raises
    ------
    BackendUnavailable
        If the backend or the precision that was asked for cannot be had; the message names
        those that can.
    OutOfMemory
        If the backend that must be taken does not fit into the device's memory.
    """
    device = model.device.name
    candidates = _candidates(model, name, precision)
    if name:
        try:
            return _on(model, candidates[0], workers, batch)
        except BackendUnavailable as error:
            raise BackendUnavailable(f'{error} {_choice(device)}') from error
    reason = f'Nothing computes in {precision} on {device}.'
    for backend in candidates:
        try:
            return _on(model, backend, workers, batch)
        except (BackendUnavailable, OutOfMemory) as error:
            reason = str(error)
            log.info('%s is not used: %s', backend.title, reason)
    raise BackendUnavailable(reason)


def needs_torch(
    model: ModelFile, device: str, backend: str = '', precision: str = 'float32'
) -> bool | None:
    """Tell whether torch must be imported to run a model; needs no torch itself.

    Parameters
    ----------
    model : ModelFile
        Which.
    device : str
        As `choose_device` takes it.
    backend, precision : str
        As of `select_backend`.

    Returns
    -------
    bool or None
        None if it was not exported yet, so that this is not known.
    """
    checked = precision == 'auto' and 'bfloat16' in model.card.data.get('checked_precisions', ())
    if may_use_gpu(device) or checked or precision == 'bfloat16':
        return True
    try:
        able = [find_backend(backend)] if backend else preferred_backends('cpu', 'float32')
    except BackendUnavailable:  # whoever runs it says so
        return False
    if not any(one.library and not why_unavailable(one, 'cpu') for one in able):
        return True
    graph = find_graph(model.sha256, model.card.name)
    return None if graph is None else not graph.closed_form


def takes_no_time(model: RunnableModel, name: str = '', precision: str = 'auto') -> bool:
    """Tell whether `select_backend` returns at once, since it can only be plain torch."""
    return _candidates(model, name, precision)[:1] == [TORCH]


def _candidates(model: RunnableModel, name: str, precision: str) -> list[Backend]:
    """Return the backends to try, in order."""
    if name:
        return [find_backend(name, '' if precision == 'auto' else precision)]
    order: list[Precision] = ['float32']
    if precision == 'bfloat16':
        order = ['bfloat16']
    elif precision == 'auto' and 'bfloat16' in model.card.data.get('checked_precisions', ()):
        order = ['bfloat16', 'float32']
    return [b for one in order for b in preferred_backends(model.device.name, one)]


def _on(model: RunnableModel, backend: Backend, workers: int, batch: int) -> SelectedBackend:
    """Return a backend with its network; raises as `Classifier.network_on`."""
    device = model.device.name
    if backend.precision != 'float32' and not why_unavailable(backend, device):
        from napari_cxr.inference.backends.backend_network import check_batch, has_reduced_stages

        x = check_batch(model.preprocessing, device)
        if not has_reduced_stages(model.network, x):
            raise BackendUnavailable(
                f'All stages of {model.card.name} compute in float32, so it cannot run in '
                f'{backend.precision}: choose float32.'
            )
    return SelectedBackend(backend, model.network_on(backend, workers, batch))


def network_on_backend(
    backend: Backend, model: RunnableModel, workers: int = 1, batch: int = 0
) -> RunnableNetwork:
    """Return a model's network on a backend.

    Parameters
    ----------
    backend : Backend
        Which.
    model : RunnableModel
        Its network in torch is made only if the backend needs it, or if it was not exported yet.
    workers : int
        Batches that run at the same time, each in a thread of its own.
    batch : int
        Images of a whole batch, where that is known; libraries get ready for it.

    Raises
    ------
    BackendUnavailable
        If this machine lacks the backend, this network cannot be exported, or it gives other
        probabilities than torch.
    """
    device = model.device.name
    if reason := why_unavailable(backend, device):
        raise BackendUnavailable(reason)
    if backend.library:
        return _exported(backend, model, workers, batch)
    from napari_cxr.inference.backends.backend_network import TorchNetwork, channels_last

    plain = TorchNetwork(model.network, device)
    if backend == TORCH:
        return plain
    reduced = backend.precision == 'bfloat16'
    own = TorchNetwork(channels_last(model.network, reduced=reduced), device)
    x = _check_input(model)
    _check(backend, model, plain.logits(x), lambda: own.logits(x))
    return own


def _exported(backend: Backend, model: RunnableModel, workers: int, batch: int) -> RunnableNetwork:
    """Let a library run the graph of a model, which is made where there is none that works."""
    graph = find_graph(model.checkpoint.sha256, model.card.name)
    if graph is not None:
        try:
            return _run_graph(backend, model, graph, workers, batch)
        except BackendUnavailable as error:
            log.info('The exported network of %s is made again: %s', model.card.name, error)
            forget_graph(graph.sha256)
    from napari_cxr.inference.backends.backend_network import check_batch
    from napari_cxr.inference.backends.conversion import export_graph

    size = (model.preprocessing.height, model.preprocessing.width)
    x = check_batch(model.preprocessing, 'cpu')
    try:
        graph = export_graph(model.network, size, x, model.checkpoint.sha256)
    except Exception as error:  # the exporter has types of its own
        raise _cannot_run(backend, model, error) from error
    own = _run_graph(backend, model, graph, workers, batch)
    if backend.precision == 'float32':
        _check_exported(backend, model, own)
        keep_graph(graph)
    return own


def _run_graph(
    backend: Backend, model: RunnableModel, graph: ExportedGraph, workers: int, batch: int
) -> RunnableNetwork:
    """Let a library run a graph, and check what it says against what torch said."""
    arrays = model.checkpoint.arrays()
    try:
        weights = {f'{WEIGHT_PREFIX}{name}': arrays[name] for name in graph.weights}
        runtime = create_runtime(
            backend.library,
            backend.precision,
            graph.onnx,
            compute_threads(),
            workers,
            batch,
            weights,
        )
    except Exception as error:  # each library has types of its own
        raise _cannot_run(backend, model, error) from error
    own: RunnableNetwork
    if graph.closed_form:
        own = ExportedNetwork(runtime, graph.cell_to_input)
    else:
        from napari_cxr.inference.backends import backend_network

        stages = backend_network.as_stages(runtime)
        own = backend_network.TorchNetwork(
            backend_network.BackendNetwork(model.network, stages), model.device.name
        )
    x = _check_input(model)
    _check(backend, model, np.array(graph.logits), lambda: own.logits(x))
    return own


def _check_input(model: RunnableModel) -> np.ndarray:
    """Return the images that backends are compared on, as the network takes them."""
    fit = model.preprocessing
    return fit.normalise(check_images(fit.height, fit.width))


def _check(
    backend: Backend,
    model: RunnableModel,
    expected: np.ndarray,
    logits: Callable[[], np.ndarray],
) -> None:
    """Raise BackendUnavailable if probabilities are further from torch's than `AGREEMENT`."""
    try:
        given = model.probabilities(logits())
    except Exception as error:  # each library has types of its own
        raise _cannot_run(backend, model, error) from error
    difference = float(np.abs(given - model.probabilities(expected)).max())
    _require_agreement(backend, 'probabilities', difference, AGREEMENT[backend.precision])


def _check_exported(backend: Backend, model: RunnableModel, own: RunnableNetwork) -> None:
    """Compare a graph that has just been made with torch: logits, probabilities and maps."""
    from napari_cxr.inference.backends.backend_network import TorchNetwork

    x = _check_input(model)
    plain = TorchNetwork(model.network, model.device.name)
    (logits, maps), (of_torch, maps_of_torch) = own.explain(x), plain.explain(x)
    probabilities = model.probabilities(logits), model.probabilities(of_torch)
    for what, (one, other), limit in (
        ('logits', (logits, of_torch), _EXPORTED * max(1.0, float(np.abs(of_torch).max()))),
        ('probabilities', probabilities, _EXPORTED_PROBABILITIES),
        ('maps', (maps, maps_of_torch), _EXPORTED * max(1.0, float(maps_of_torch.max()))),
    ):
        _require_agreement(backend, what, float(np.abs(one - other).max()), limit)


def _require_agreement(backend: Backend, what: str, difference: float, limit: float) -> None:
    if not difference <= limit:  # a NaN does not agree either
        raise BackendUnavailable(
            f'{backend.title} gives other {what} than torch on this computer (they '
            f'differ by up to {difference:.2g}; at most {limit:g} is accepted).'
        )


def _cannot_run(backend: Backend, model: RunnableModel, error: Exception) -> Exception:
    """Return the error for a library that fails: of memory, or with its reason."""
    if is_out_of_memory(error):
        return MemoryError(str(error))
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    name = model.card.architecture or 'this network'
    return BackendUnavailable(f'{backend.title} cannot run {name} ({reason}).')


def _choice(device: str) -> str:
    """Return a sentence with the backends that are installed here."""
    there = [
        b.name for b in preferred_backends(device, 'float32') if not why_unavailable(b, device)
    ]
    return (
        f'Here there is {", ".join(there)}.' if len(there) > 1 else f'Here there is {TORCH.name}.'
    )
