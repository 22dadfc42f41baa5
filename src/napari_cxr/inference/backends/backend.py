"""The backends that can run a network, and the order in which they are preferred.

Importing this module imports no torch, so that a wrong name is found before anything is loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal, Protocol, TypeAlias

import numpy as np

__all__ = [
    'BACKENDS',
    'PRECISIONS',
    'TORCH',
    'Backend',
    'BackendUnavailable',
    'Precision',
    'RunnableNetwork',
    'backend_names',
    'find_backend',
    'preferred_backends',
    'why_unavailable',
]

#: What the stages of a network compute in.
Precision: TypeAlias = Literal['float32', 'bfloat16']
PRECISIONS: tuple[Precision, ...] = ('float32', 'bfloat16')


class BackendUnavailable(Exception):
    """A backend cannot run a network here; the message says why, and what to do."""


class RunnableNetwork(Protocol):
    """A network on a backend: arrays in, arrays out.

    It raises what `napari_cxr.inference.device.is_out_of_memory` knows if memory is full.
    """

    def logits(self, x: np.ndarray) -> np.ndarray:
        """Return the logits (N, K) of a batch (N, channels, height, width)."""

    def explain(
        self, x: np.ndarray, targets: Sequence[int] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return logits, and the Grad-CAM maps (N, T, h, w) of some classes or of all."""

    def cell_to_input(self, height: int, width: int) -> np.ndarray:
        """Return the matrix from a cell of a map to the pixel of the input that it looks at."""


@dataclass(frozen=True)
class Backend:
    """What runs a network; a head without a closed form runs in torch and in float32.

    Parameters
    ----------
    name : str
        As in the column ``backend`` of a table.
    precision : {'float32', 'bfloat16'}
        What the stages compute in.
    library : str
        The package that runs the stages, which are converted to ONNX for it; empty for torch.
    """

    name: str
    precision: Precision = 'float32'
    library: str = ''

    @property
    def title(self) -> str:
        """Name and precision, for a person."""
        return self.name if self.precision == 'float32' else f'{self.name} in {self.precision}'

    @property
    def journal_name(self) -> str:
        """How journals name it: the words of version 0.1, so that both versions read both."""
        known = {backend: word for word, backend in _JOURNAL_NAMES.items()}
        return known.get(self, self.name)


#: The network as it is.
TORCH = Backend('torch')
_CHANNELS_LAST = Backend('torch channels_last')
_CHANNELS_LAST_BFLOAT16 = Backend('torch channels_last', 'bfloat16')
_ONNX_RUNTIME = Backend('ONNX Runtime', library='onnxruntime')
_OPENVINO = Backend('OpenVINO', library='openvino')
_OPENVINO_BFLOAT16 = Backend('OpenVINO', 'bfloat16', 'openvino')

#: All of them, in the order of preference on a CPU.
BACKENDS = (
    _ONNX_RUNTIME,
    _OPENVINO,
    _CHANNELS_LAST,
    TORCH,
    _OPENVINO_BFLOAT16,
    _CHANNELS_LAST_BFLOAT16,
)
#: The order on a GPU.
_ON_GPU = (TORCH, _CHANNELS_LAST_BFLOAT16)

_JOURNAL_NAMES = {
    'eager': TORCH,
    'channels last': _CHANNELS_LAST,
    'bfloat16': _CHANNELS_LAST_BFLOAT16,
    'OpenVINO bfloat16': _OPENVINO_BFLOAT16,
}
#: Our extras that install a library, together with what converts networks for it.
_EXTRAS = {'onnxruntime': 'onnx', 'openvino': 'openvino'}


def backend_names() -> list[str]:
    """Return the names to choose from, in the order of preference on a CPU."""
    return list(dict.fromkeys(backend.name for backend in BACKENDS))


def find_backend(name: str, precision: str = '') -> Backend:
    """Return a backend by its name.

    Parameters
    ----------
    name : str
        As in `backend_names`, in upper or lower case, with or without spaces and hyphens; or
        as a journal names it.
    precision : str
        The precision; by default the one that goes with the name, which is float32 but for
        two names of journals.

    Raises
    ------
    BackendUnavailable
        If there is no such backend, or it does not compute in that precision.
    """
    known = {_plain(backend.name): backend for backend in reversed(BACKENDS)}
    known |= {_plain(word): backend for word, backend in _JOURNAL_NAMES.items()}
    found = known.get(_plain(name))
    if found is None:
        raise BackendUnavailable(
            f'There is no backend {name!r}: choose {", ".join(backend_names()[:-1])} or '
            f'{backend_names()[-1]}.'
        )
    if not precision or precision == found.precision:
        return found
    for backend in BACKENDS:
        if (backend.name, backend.precision) == (found.name, precision):
            return backend
    others = list(dict.fromkeys(b.name for b in BACKENDS if b.precision == precision))
    raise BackendUnavailable(
        f'{found.title} does not compute in {precision}: choose {" or ".join(others)}, or leave '
        'out the precision.'
    )


def _plain(name: str) -> str:
    return ''.join(letter for letter in name.lower() if letter.isalnum())


def preferred_backends(device: str, precision: Precision) -> list[Backend]:
    """Return the backends for a device in a precision, the most preferred first.

    Parameters
    ----------
    device : str
        As torch writes it.
    precision : {'float32', 'bfloat16'}
        What the stages compute in.
    """
    order = BACKENDS if device == 'cpu' else _ON_GPU
    return [backend for backend in order if backend.precision == precision]


def why_unavailable(backend: Backend, device: str) -> str:
    """Return why a backend can run no network on a device, in a sentence; else nothing.

    Parameters
    ----------
    backend : Backend
        Which.
    device : str
        As torch writes it.
    """
    kind = device.partition(':')[0]
    if backend.library and kind != 'cpu':
        return f'{backend.name} runs on the CPU only: choose the CPU as the device.'
    if backend.precision == 'bfloat16':
        from napari_cxr.inference.device import supports_bfloat16

        if not supports_bfloat16(kind):
            return (
                f'This {"processor" if kind == "cpu" else "GPU"} does not compute bfloat16: '
                'choose float32, or a machine that has it.'
            )
    modules = ('onnx', backend.library) if backend.library else ()
    if missing := [module for module in modules if find_spec(module) is None]:
        return (
            f'{backend.name} needs {" and ".join(missing)}, not installed here: '
            f'pip install "napari-cxr[{_EXTRAS[backend.library]}]".'
        )
    return ''
