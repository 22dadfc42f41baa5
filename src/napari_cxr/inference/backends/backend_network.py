"""A network on a backend: the same weights and the same head, the stages run by other means.

Whatever the backend, the head runs in torch and in float32. So a heatmap, which needs the
gradient of the head only, comes from the same run of the stages as the logits.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from napari_cxr.inference.backends.backend import (
    TORCH,
    Backend,
    BackendUnavailable,
    why_unavailable,
)
from napari_cxr.inference.backends.conversion import StageConversion, as_torch, create_runtime
from napari_cxr.inference.device import is_out_of_memory
from napari_cxr.inference.preprocessing import Preprocessing
from napari_cxr.networks import StagedNetwork

__all__ = [
    'AGREEMENT',
    'BackendNetwork',
    'check_agreement',
    'check_batch',
    'check_images',
    'has_reduced_stages',
    'network_on_backend',
]

#: Takes a batch; returns what `StagedNetwork.features_up_to` does for the last stage.
Stages = Callable[[Tensor], tuple[Tensor, ...]]

#: How far a probability may be from torch's own in float32, by precision of the backend.
AGREEMENT = {'float32': 1e-3, 'bfloat16': 2e-2}


def network_on_backend(
    backend: Backend,
    network: StagedNetwork,
    device: str,
    size: tuple[int, int],
    *,
    sha256: str = '',
    workers: int = 1,
    batch: int = 0,
    check: Callable[[StagedNetwork], None] = lambda _: None,
) -> StagedNetwork:
    """Return a network with the same weights whose stages run on a backend.

    The network itself stays as it is, and its head is shared.

    Parameters
    ----------
    backend : Backend
        Which.
    network : StagedNetwork
        In evaluation mode, on the device.
    device : str
        As torch writes it.
    size : tuple of int
        Height and width of the input.
    sha256 : str
        Of the model's file, under which its conversion is kept; empty to keep none.
    workers : int
        Batches that run at the same time, each in a thread of its own.
    batch : int
        Images of a whole batch, where that is known; libraries get ready for it.
    check : callable
        Raises BackendUnavailable where the new network does not agree with the old one. A
        conversion that was kept is then made again once.

    Raises
    ------
    BackendUnavailable
        If this machine lacks the backend, this network cannot be converted, or the check fails.
    """
    if reason := why_unavailable(backend, device):
        raise BackendUnavailable(reason)
    if backend == TORCH:
        return network
    if not backend.library:
        own = _channels_last(network, reduced=backend.precision == 'bfloat16')
        check(own)
        return own
    conversion = StageConversion(network, size, sha256)
    while True:
        try:
            own = BackendNetwork(network, _stages(backend, network, conversion, workers, batch))
            check(own)
        except BackendUnavailable:
            if not conversion.forget():
                raise
        else:
            return own


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
        """Return the logits, shape (N, K), by a head in float32."""
        feature_map, earlier = self.features(x)
        with torch.autocast(x.device.type, enabled=False):
            logits: Tensor = self.head(feature_map.float(), *(e.float() for e in earlier))
        return logits


def _channels_last(network: StagedNetwork, *, reduced: bool) -> StagedNetwork:
    """Let torch run a copy of the stages in the memory format channels_last."""
    own = StagedNetwork(
        copy.deepcopy(network.stages).to(memory_format=torch.channels_last).items(),
        network.head,
        classes=network.num_classes,
        channels=network.channels,
        reads=network.reads,
    ).eval()
    if reduced:
        for module in own.stages.modules():
            # Autocast would convert these again for each batch.
            if type(module) in (nn.Conv2d, nn.Linear):
                module.to(torch.bfloat16)
    last = own.stage_names[-1]

    def run(x: Tensor) -> tuple[Tensor, ...]:
        x = x.contiguous(memory_format=torch.channels_last)
        with torch.autocast(x.device.type, torch.bfloat16, enabled=reduced):
            return own.features_up_to(last, x)

    return BackendNetwork(network, run)


def _stages(
    backend: Backend,
    network: StagedNetwork,
    conversion: StageConversion,
    workers: int,
    batch: int,
) -> Stages:
    """Let a library run the stages; raises BackendUnavailable, or torch's error of memory."""
    try:
        onnx, threads = conversion.onnx(), torch.get_num_threads()
        runtime = create_runtime(backend.library, backend.precision, onnx, threads, workers, batch)
    except Exception as error:  # each of these libraries has types of its own
        if is_out_of_memory(error):
            raise torch.OutOfMemoryError(str(error)) from None
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise BackendUnavailable(
            f'{backend.title} cannot run {network.arch or "this network"} ({reason}).'
        ) from error
    return as_torch(runtime)


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


def check_batch(preprocessing: Preprocessing, device: str) -> Tensor:
    """Return `check_images` as a network takes them, on a device."""
    images = check_images(preprocessing.height, preprocessing.width)
    return torch.from_numpy(preprocessing.normalise(images)).to(device)


@torch.inference_mode()
def check_agreement(
    backend: Backend,
    own: StagedNetwork,
    network: StagedNetwork,
    x: Tensor,
    probabilities: Callable[[np.ndarray], np.ndarray],
) -> None:
    """Compare a network on a backend with the same one in plain torch.

    Parameters
    ----------
    backend : Backend
        Its precision decides how far probabilities may differ, see `AGREEMENT`.
    own, network : StagedNetwork
        The one on the backend, and the one in plain torch.
    x : Tensor
        What `check_batch` returns.
    probabilities : callable
        Makes probabilities of logits.

    Raises
    ------
    BackendUnavailable
        If any probability differs by more.
    """
    try:
        given = probabilities(own(x).float().cpu().numpy())
    except Exception as error:  # each library has types of its own
        if is_out_of_memory(error):
            raise
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise BackendUnavailable(
            f'{backend.title} cannot run {network.arch or "this network"} ({reason}).'
        ) from error
    expected = probabilities(network(x).float().cpu().numpy())
    difference, limit = float(np.abs(given - expected).max()), AGREEMENT[backend.precision]
    if not difference <= limit:  # a NaN does not agree either
        raise BackendUnavailable(
            f'{backend.title} gives other probabilities than torch on this computer (they '
            f'differ by up to {difference:.2g}; at most {limit:g} is accepted).'
        )


@torch.inference_mode()
def has_reduced_stages(network: StagedNetwork, x: Tensor) -> bool:
    """Tell whether torch computes any of the stages in bfloat16 where it may.

    Stages can ask for float32. Where all do, rows must not say bfloat16; and OpenVINO 2026.4
    never finishes compiling such a network for bfloat16 (seen with `lung_texture`).
    """
    full, reduced = (_channels_last(network, reduced=one).features(x)[0] for one in (False, True))
    return not torch.equal(full.float(), reduced.float())
