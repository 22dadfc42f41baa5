"""Backends that run a network: the same weights and the same head, the stages by other means.

Whatever the backend, the head runs in torch and in single precision. So a heatmap, which needs
the gradient of the head only, comes from the same run of the stages as the logits.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

import torch
from torch import Tensor, nn

from napari_cxr.inference.backends.conversion import as_torch, to_onnx
from napari_cxr.inference.backends.runtimes import create_runtime
from napari_cxr.inference.device import is_out_of_memory, supports_bfloat16
from napari_cxr.networks import StagedNetwork

__all__ = [
    'BACKENDS',
    'EAGER',
    'Backend',
    'BackendNetwork',
    'BackendUnavailable',
    'network_on_backend',
    'why_unavailable',
]

#: Takes a batch; returns what `StagedNetwork.features_up_to` does for the last stage.
Stages = Callable[[Tensor], tuple[Tensor, ...]]


class BackendUnavailable(Exception):
    """A network cannot be run this way here; the message says why, and what to do."""


@dataclass(frozen=True)
class Backend:
    """A way to run a network.

    Parameters
    ----------
    name : str
        As people read it.
    precision : {'float32', 'bfloat16'}
        Of the stages; the head runs in float32 whatever the way.
    library : str
        What runs the stages, which are converted for it first; empty for torch.
    """

    name: str
    precision: Literal['float32', 'bfloat16'] = 'float32'
    library: str = ''


#: What single images are run by: torch, as the network is.
EAGER = Backend('eager')
_CHANNELS_LAST = Backend('channels last')
_BFLOAT16 = Backend('bfloat16', 'bfloat16')
_ONNX_RUNTIME = Backend('ONNX Runtime', library='onnxruntime')
_OPENVINO = Backend('OpenVINO', library='openvino')
_OPENVINO_BFLOAT16 = Backend('OpenVINO bfloat16', 'bfloat16', 'openvino')

#: All ways by name, the simplest first.
BACKENDS = {
    way.name: way
    for way in (
        EAGER,
        _CHANNELS_LAST,
        _BFLOAT16,
        _ONNX_RUNTIME,
        _OPENVINO,
        _OPENVINO_BFLOAT16,
    )
}
#: Our extras that install a library, with what converts networks for it.
_EXTRAS = {'onnxruntime': 'onnx', 'openvino': 'openvino'}


def why_unavailable(name: str, device: str) -> str:
    """Return why no network can be run this way on a device, in a sentence; else nothing.

    Parameters
    ----------
    name : str
        Of the way.
    device : str
        As torch writes it.
    """
    way = BACKENDS.get(name)
    if way is None:
        return f'There is no way {name!r} to run a network; there is {", ".join(BACKENDS)}.'
    kind = device.partition(':')[0]
    if way.library and kind != 'cpu':
        return f'{name} runs networks on the processor only: choose the CPU as the device.'
    if way.precision == 'bfloat16' and not supports_bfloat16(kind):
        return (
            f'This {"processor" if kind == "cpu" else "GPU"} does not compute bfloat16, so '
            f'{name} is of no use here: run it where the table was begun, or score anew.'
        )
    modules = ('onnx', way.library) if way.library else ()
    if missing := [module for module in modules if find_spec(module) is None]:
        return (
            f'{name} needs {" and ".join(missing)}, not installed here: '
            f'pip install "napari-cxr[{_EXTRAS[way.library]}]".'
        )
    return ''


def network_on_backend(
    name: str,
    network: StagedNetwork,
    device: str,
    size: tuple[int, int],
    onnx: bytes = b'',
    lanes: int = 1,
    batch: int = 0,
) -> StagedNetwork:
    """Return a network of the same answers that runs in another way.

    The network itself stays as it is, and its head is shared.

    Parameters
    ----------
    name : str
        Of the way, one of `WAYS`.
    network : StagedNetwork
        In evaluation mode, on the device.
    device : str
        As torch writes it.
    size : tuple of int
        Height and width of the input.
    onnx : bytes
        What `to_onnx` makes of it, where that is there already.
    lanes : int
        Batches that are run at the same time, each in a thread of its own.
    batch : int
        Images of a whole batch, where that is known; libraries get ready for it.

    Raises
    ------
    WayUnavailable
        If there is no such way, this machine lacks it, or this network cannot be converted.
    """
    if reason := why_unavailable(name, device):
        raise BackendUnavailable(reason)
    way = BACKENDS[name]
    if way == EAGER:
        return network
    if way.library:
        return BackendNetwork(network, _converted(way, network, onnx, size, lanes, batch))
    return _channels_last(network, reduced=way.precision == 'bfloat16')


class BackendNetwork(StagedNetwork):
    """A network whose stages are run by other means.

    Parameters
    ----------
    network : StagedNetwork
        Whose head it has.
    run : callable
        Takes a batch; returns what `StagedNetwork.features_up_to` does for the last stage.
    """

    def __init__(self, network: StagedNetwork, run: Stages) -> None:
        super().__init__(
            network.stages.items(),
            network.head,
            classes=network.num_classes,
            channels=network.channels,
            reads=network.reads,
            arch=network.arch,
            size=network.size,
        )
        self._run_stages = run
        self.eval()

    def features_up_to(self, last: str, x: Tensor) -> tuple[Tensor, ...]:
        """Run the stages, all of them by those means; see `StagedNetwork`."""
        if last != self.stage_names[-1]:
            return super().features_up_to(last, x)
        return self._run_stages(x)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, shape (N, K), by a head in single precision."""
        feature_map, earlier = self.features(x)
        with torch.autocast(x.device.type, enabled=False):
            logits: Tensor = self.head(feature_map.float(), *(e.float() for e in earlier))
        return logits


def _channels_last(network: StagedNetwork, *, reduced: bool) -> StagedNetwork:
    """Let torch run a copy of the stages whose numbers lie pixel by pixel."""
    own = StagedNetwork(
        copy.deepcopy(network.stages).to(memory_format=torch.channels_last).items(),
        network.head,
        classes=network.num_classes,
        channels=network.channels,
        reads=network.reads,
    ).eval()
    if reduced:
        for module in own.stages.modules():
            # Autocast would make these once more for each batch.
            if type(module) in (nn.Conv2d, nn.Linear):
                module.to(torch.bfloat16)
    last = own.stage_names[-1]

    def run(x: Tensor) -> tuple[Tensor, ...]:
        x = x.contiguous(memory_format=torch.channels_last)
        with torch.autocast(x.device.type, torch.bfloat16, enabled=reduced):
            return own.features_up_to(last, x)

    return BackendNetwork(network, run)


def _converted(
    way: Backend,
    network: StagedNetwork,
    onnx: bytes,
    size: tuple[int, int],
    lanes: int,
    batch: int,
) -> Stages:
    try:
        onnx = onnx or to_onnx(network, size)
        threads = torch.get_num_threads()
        return as_torch(create_runtime(way.library, way.precision, onnx, threads, lanes, batch))
    except Exception as error:  # each of these libraries has types of its own
        if is_out_of_memory(error):
            raise torch.OutOfMemoryError(str(error)) from None
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise BackendUnavailable(
            f'{way.name} cannot run {network.arch or "this network"} ({reason}): '
            'install it anew, or score into a new table in another way.'
        ) from error
