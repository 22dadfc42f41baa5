"""Which backend runs a model: a fixed order for each kind of device, never a measurement.

So two runs of one command on one machine give the same bytes. Each backend is taken only if it
gives the probabilities of plain torch on a few drawn images.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_cxr.inference.backends.backend import (
    TORCH,
    Backend,
    BackendUnavailable,
    Precision,
    find_backend,
    preferred_backends,
    why_unavailable,
)
from napari_cxr.inference.backends.backend_network import check_batch, has_reduced_stages
from napari_cxr.inference.device import OutOfMemory

if TYPE_CHECKING:
    from napari_cxr.inference.classifier import Classifier
    from napari_cxr.networks import StagedNetwork

__all__ = ['SelectedBackend', 'select_backend', 'takes_no_time']

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class SelectedBackend:
    """A backend, and the network on it: the arguments of `Classifier.use`.

    Parameters
    ----------
    backend : Backend
        Which.
    network : StagedNetwork
        The network whose stages it runs.
    """

    backend: Backend
    network: StagedNetwork


def select_backend(
    classifier: Classifier,
    name: str = '',
    precision: str = 'auto',
    *,
    workers: int = 1,
    batch: int = 0,
) -> SelectedBackend:
    """Choose what runs a model on its device.

    Without a name it is the first that is installed, runs the network and agrees with plain
    torch (see `napari_cxr.inference.backends.backend_network.AGREEMENT`): on CUDA and MPS
    torch; on a CPU ONNX Runtime, OpenVINO, torch with channels_last, torch. In bfloat16 it is
    on a CPU OpenVINO or torch with channels_last, on CUDA torch with channels_last.

    Parameters
    ----------
    classifier : Classifier
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
    device = classifier.device.name
    candidates = _candidates(classifier, name, precision)
    if name:
        try:
            return _on(classifier, candidates[0], workers, batch)
        except BackendUnavailable as error:
            raise BackendUnavailable(f'{error} {_choice(device)}') from error
    reason = f'Nothing computes in {precision} on {device}.'
    for backend in candidates:
        try:
            return _on(classifier, backend, workers, batch)
        except (BackendUnavailable, OutOfMemory) as error:
            reason = str(error)
            log.info('%s is not used: %s', backend.title, reason)
    raise BackendUnavailable(reason)


def takes_no_time(classifier: Classifier, name: str = '', precision: str = 'auto') -> bool:
    """Tell whether `select_backend` returns at once, since it can only be plain torch."""
    return _candidates(classifier, name, precision)[:1] == [TORCH]


def _candidates(classifier: Classifier, name: str, precision: str) -> list[Backend]:
    """Return the backends to try, in order."""
    if name:
        return [find_backend(name, '' if precision == 'auto' else precision)]
    order: list[Precision] = ['float32']
    if precision == 'bfloat16':
        order = ['bfloat16']
    elif precision == 'auto' and 'bfloat16' in classifier.card.data.get('checked_precisions', ()):
        order = ['bfloat16', 'float32']
    return [b for one in order for b in preferred_backends(classifier.device.name, one)]


def _on(classifier: Classifier, backend: Backend, workers: int, batch: int) -> SelectedBackend:
    """Return a backend with its network; raises as `Classifier.network_on`."""
    device = classifier.device.name
    if backend.precision != 'float32' and not why_unavailable(backend, device):
        x = check_batch(classifier.preprocessing, device)
        if not has_reduced_stages(classifier.network, x):
            raise BackendUnavailable(
                f'All stages of {classifier.card.name} compute in float32, so it cannot run in '
                f'{backend.precision}: choose float32.'
            )
    return SelectedBackend(backend, classifier.network_on(backend, workers, batch))


def _choice(device: str) -> str:
    """Return a sentence with the backends that are installed here."""
    there = [
        b.name for b in preferred_backends(device, 'float32') if not why_unavailable(b, device)
    ]
    return (
        f'Here there is {", ".join(there)}.' if len(there) > 1 else f'Here there is {TORCH.name}.'
    )
