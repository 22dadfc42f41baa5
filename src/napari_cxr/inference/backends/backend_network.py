"""Networks in torch, and those whose stages are run by other means while the head is torch's.

The head runs in float32 then. So a heatmap, which needs the gradient of the head only, comes
from the same run of the stages as the logits.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Generator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from napari_cxr.explain import explanation_methods
from napari_cxr.explain.feature_maps import stage_maps
from napari_cxr.explain.gradcam import grad_cam
from napari_cxr.explain.heatmap import cell_to_input
from napari_cxr.inference.backends.exported_network import Runtime, check_images
from napari_cxr.inference.preprocessing import Preprocessing
from napari_cxr.networks import StagedNetwork

__all__ = [
    'BackendNetwork',
    'TorchNetwork',
    'as_stages',
    'channels_last',
    'check_batch',
    'has_reduced_stages',
]

#: Takes a batch; returns what `StagedNetwork.features_up_to` does for the last stage.
Stages = Callable[[Tensor], tuple[Tensor, ...]]


class TorchNetwork:
    """A network whose head, at least, runs in torch; see `RunnableNetwork`.

    Parameters
    ----------
    network : StagedNetwork
        In evaluation mode, on the device.
    device : str
        As torch writes it.
    """

    def __init__(self, network: StagedNetwork, device: str) -> None:
        self.network, self._device = network, device

    @torch.inference_mode()
    def logits(self, x: np.ndarray) -> np.ndarray:
        """Return the logits of a batch."""
        return _as_array(self.network(self._on_device(x)))

    def explain(
        self, x: np.ndarray, targets: Sequence[int] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return logits and Grad-CAM maps."""
        logits, maps = grad_cam(self.network, self._on_device(x), targets)
        return _as_array(logits), _as_array(maps)

    def explain_by(
        self, method: str, x: np.ndarray, targets: Sequence[int] | None = None, against: int = -1
    ) -> Generator[float, None, tuple[np.ndarray, np.ndarray]]:
        """Return logits and maps by a method; yields the fraction that is done, if it is slow.

        Parameters
        ----------
        method : str
            One of `napari_cxr.explain.explanation_methods.names`.
        x, targets
            As of `explain`.
        against : int
            The class with which to contrast, see `contrast_network`; below 0 for none. Logits
            are then those of the contrast.
        """
        network = self.network
        if against >= 0:
            network = explanation_methods.contrast_network(network, against)
        x_there = self._on_device(x)
        logits, maps = yield from explanation_methods.explain(method, network, x_there, targets)
        return _as_array(logits), _as_array(maps)

    def stage_maps(self, x: np.ndarray, stage: str) -> np.ndarray:
        """Return the maps (N, C, h, w) of a stage; ValueError if there are none."""
        return _as_array(stage_maps(self.network, self._on_device(x), stage))

    def cell_to_input(self, height: int, width: int) -> np.ndarray:
        """Return the matrix from a cell to the pixel that it looks at; may raise Untraceable."""
        return cell_to_input(self.network.grid(height, width))

    def _on_device(self, x: np.ndarray) -> Tensor:
        return torch.from_numpy(x).to(self._device)


def _as_array(tensor: Tensor) -> np.ndarray:
    return np.asarray(tensor.float().cpu().numpy())


def as_stages(runtime: Runtime) -> Stages:
    """Return stages that a library runs, for a head in torch."""

    def stages(x: Tensor) -> tuple[Tensor, ...]:
        return tuple(torch.from_numpy(value) for value in runtime(x.numpy()))

    return stages


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


def channels_last(network: StagedNetwork, *, reduced: bool) -> StagedNetwork:
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


def check_batch(preprocessing: Preprocessing, device: str) -> Tensor:
    """Return `check_images` as a network takes them, on a device."""
    images = check_images(preprocessing.height, preprocessing.width)
    return torch.from_numpy(preprocessing.normalise(images)).to(device)


@torch.inference_mode()
def has_reduced_stages(network: StagedNetwork, x: Tensor) -> bool:
    """Tell whether torch computes any of the stages in bfloat16 where it may.

    Stages can ask for float32. Where all do, rows must not say bfloat16; and OpenVINO 2026.4
    never finishes compiling such a network for bfloat16 (seen with `lung_texture`).
    """
    full, reduced = (channels_last(network, reduced=one).features(x)[0] for one in (False, True))
    return not torch.equal(full.float(), reduced.float())
