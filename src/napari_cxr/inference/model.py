"""A trained network on a device, which runs prepared images: the way to do so can be chosen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Self

import numpy as np
import torch

from napari_cxr.checkpoint import Card, Checkpoint, CheckpointError, catalog
from napari_cxr.checkpoint import load as load_checkpoint
from napari_cxr.explain import methods
from napari_cxr.inference.conversion import to_onnx
from napari_cxr.inference.device import Device, choose_device, compute_in_full
from napari_cxr.inference.label_rule import LabelRule
from napari_cxr.inference.memory import halved_until_they_fit, telling
from napari_cxr.inference.preprocessing import Preprocessing
from napari_cxr.inference.running import EAGER, WAYS, Way, run_by
from napari_cxr.metrics.calibration import probabilities_of
from napari_cxr.networks import StagedNetwork

__all__ = ['Model', 'plain']


class Model:
    """A trained network on its device.

    Parameters
    ----------
    checkpoint : Checkpoint
        Weights and card.
    device : Device
        Where to run.

    Raises
    ------
    CheckpointError
        If the card is wrong.
    napari_cxr.inference.memory.OutOfMemory
        If the device's memory is full.
    """

    def __init__(self, checkpoint: Checkpoint, device: Device) -> None:
        self.card: Card = checkpoint.card
        self.rule = LabelRule.of_card(self.card)
        self.device = device
        self.file_hash = checkpoint.sha256[:12]
        try:
            self.preprocessing = Preprocessing.from_dict(self.card.preprocessing)
        except (ValueError, TypeError) as error:
            raise CheckpointError(f'The card of this model is wrong: {error}.') from None
        self.network = checkpoint.network()
        compute_in_full(device)
        with telling(device.name):
            self.network.to(device.name).eval().requires_grad_(False)
        self._way, self._running = EAGER, self.network
        self._onnx = b''
        self._made: tuple[object, StagedNetwork] = (None, self.network)

    @classmethod
    def load(cls, source: str | Path, device: str = 'auto') -> Self:
        """Load a model by its name in the catalog or by its file.

        Raises
        ------
        CheckpointError
            If there is no such model, or the file is not one.
        DeviceUnavailable
            If the device is not there.
        OutOfMemory
            If it does not fit into the device's memory.
        """
        path = catalog.resolve(source)
        chosen = choose_device(device)
        with telling('cpu'):  # where it is built first; the device tells of its own memory
            return cls(load_checkpoint(path), chosen)

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes, in the order of the network's outputs."""
        return tuple(self.card.labels)

    @property
    def way(self) -> Way:
        """How `logits` and `maps` run the network."""
        return self._way

    def use(self, way: str, batch: int = 0) -> None:
        """Run the network in another way from now on, in `logits` and `maps`.

        What is done to single radiographs, `predict` and `explain`, runs as ever. Parameters
        and errors are those of `get_ready`.
        """
        self.take(way, self.get_ready(way, batch=batch))

    def get_ready(self, way: str, lanes: int = 1, batch: int = 0) -> StagedNetwork:
        """Return the network as it runs in another way, for `take`; nothing changes yet.

        It takes seconds where the network is converted, and may be called in a thread. What
        was made last is kept, so a run that is gone on with begins at once.

        Parameters
        ----------
        way : str
            One of `napari_cxr.inference.running.WAYS`; `napari_cxr.inference.ways.fastest`
            finds the best. A batch takes as many threads as torch has now.
        lanes : int
            Batches that are run at the same time, each in a thread of its own.
        batch : int
            Images of a whole batch, where that is known: what else takes a second or more
            of its first batch, and of its last, is then done here.

        Raises
        ------
        napari_cxr.inference.running.WayUnavailable
            If there is no such way, this machine lacks it, or this network cannot be run so.
        OutOfMemory
            If the device's memory is full.
        """
        if way == EAGER.name:
            return self.network
        wanted = way, lanes, batch, torch.get_num_threads()
        made_as, network = self._made
        if made_as != wanted:
            size = (self.preprocessing.height, self.preprocessing.width)
            with telling(self.device.name):
                network = run_by(
                    way, self.network, self.device.name, size, self._onnx, lanes, batch
                )
            self._made = wanted, network
        return network

    def take(self, way: str, network: StagedNetwork) -> None:
        """Run the network from now on in a way that `get_ready` got ready."""
        self._way, self._running, self._onnx = WAYS[way], network, b''

    def onnx(self) -> bytes:
        """Return the stages as ONNX: converted once, and kept until a way is taken."""
        size = (self.preprocessing.height, self.preprocessing.width)
        self._onnx = self._onnx or to_onnx(self.network, size)
        return self._onnx

    def logits(self, images: np.ndarray, at_most: int = 0) -> tuple[np.ndarray, int]:
        """Run the network on prepared images, in the way of `use`.

        Parameters
        ----------
        images : ndarray of float32, shape (n, height, width)
            As `Prepared.image`.
        at_most : int
            Images that are run at once, where it is known that more do not fit; 0 for all.

        Returns
        -------
        logits : ndarray of float32, shape (n, classes)
        fitted : int
            How many ran at once: fewer than were asked for if memory ran short.

        Raises
        ------
        OutOfMemory
            If not even one image fits into the device's memory.
        """
        (logits,), fitted = self._run(plain(self._running), images, at_most)
        return logits, fitted

    def maps(
        self, images: np.ndarray, at_most: int = 0, method: str = 'Grad-CAM'
    ) -> tuple[np.ndarray, np.ndarray, int]:
        """Run the network on prepared images as `logits`, and show where each class comes from.

        The head's gradient is torch's, and in single precision, whatever the way.

        Parameters
        ----------
        images, at_most
            As of `logits`.
        method : str
            One of `napari_cxr.explain.methods.names`.

        Returns
        -------
        logits : ndarray of float32, shape (n, classes)
        maps : ndarray of float32, shape (n, classes, rows, columns)
        fitted : int
            As `logits` returns it.

        Raises
        ------
        OutOfMemory
            As `logits`.
        """
        explain = methods.method(method)
        (logits, maps), fitted = self._run(
            lambda x: explain(self._running, x, None), images, at_most
        )
        return logits, maps, fitted

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Return what logits of shape (..., classes) mean by this model's card."""
        return probabilities_of(logits, self.card.several, self.card.temperature)

    def _run(
        self,
        run: Callable[[torch.Tensor], tuple[torch.Tensor, ...]],
        images: np.ndarray,
        at_most: int = 0,
    ) -> tuple[list[np.ndarray], int]:
        """Run prepared images; see `halved_until_they_fit`."""
        x = self.preprocessing.normalise(images)
        return halved_until_they_fit(run, x, at_most, self.device.name)


def plain(network: StagedNetwork) -> Callable[[torch.Tensor], tuple[torch.Tensor, ...]]:
    """Return a pass through a network that gives the logits."""

    @torch.inference_mode()
    def run(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (network(x),)

    return run
