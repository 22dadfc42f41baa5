"""A network with its preprocessing and labels: `predict` and `explain`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from napari_cxr import __version__, lungs
from napari_cxr.checkpoint import Card, Checkpoint, CheckpointError, catalog
from napari_cxr.checkpoint import load as load_checkpoint
from napari_cxr.explain import methods
from napari_cxr.explain.feature_maps import FeatureMaps, even_grid, feature_maps, stage_grid
from napari_cxr.explain.heatmap import Heatmap
from napari_cxr.explain.placement import cell_to_radiograph, seen_part
from napari_cxr.inference.cautions import cautions_for
from napari_cxr.inference.conversion import to_onnx
from napari_cxr.inference.device import Device, choose_device, compute_in_full
from napari_cxr.inference.prediction import Caution, Prediction
from napari_cxr.inference.preprocessing import Prepared, Preprocessing
from napari_cxr.inference.running import EAGER, WAYS, Way, run_by
from napari_cxr.lungs import LungField
from napari_cxr.metrics.calibration import probabilities_of
from napari_cxr.networks import StagedNetwork, Untraceable
from napari_cxr.radiograph import Radiograph

__all__ = ['Classifier', 'OutOfMemory', 'RefusedImage', 'is_out_of_memory']

log = logging.getLogger(__name__)

_OTHER_LUNGS = (
    'This model was made with another version of the lung field; its card’s figures may not '
    'hold with this one.'
)


class RefusedImage(Exception):
    """An image that must not be classified, with the reason."""


class OutOfMemory(Exception):
    """Not even one image fits into the device's memory."""


class Classifier:
    """A trained network, ready to run.

    Parameters
    ----------
    checkpoint : Checkpoint
        Weights and card.
    device : Device
        Where to run.
    """

    def __init__(self, checkpoint: Checkpoint, device: Device) -> None:
        self.card: Card = checkpoint.card
        self.device = device
        self.file_hash = checkpoint.sha256[:12]
        try:
            self.preprocessing = Preprocessing.from_dict(self.card.preprocessing)
        except (ValueError, TypeError) as error:
            raise CheckpointError(f'The card of this model is wrong: {error}.') from None
        self.network = checkpoint.network()
        compute_in_full(device)
        try:
            self.network.to(device.name).eval().requires_grad_(False)
        except torch.OutOfMemoryError:
            raise OutOfMemory(_too_big(device)) from None
        self._way, self._running = EAGER, self.network
        self._onnx = b''

    @classmethod
    def load(cls, source: str | Path, device: str = 'auto') -> Classifier:
        """Load a model by its name in the catalog or by its file.

        Raises
        ------
        CheckpointError
            If there is no such model, or the file is not one.
        DeviceUnavailable
            If the device is not there.
        """
        path = catalog.resolve(source)
        return cls(load_checkpoint(path), choose_device(device))

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes, in the order of the network's outputs."""
        return tuple(self.card.labels)

    @property
    def way(self) -> Way:
        """How `logits` and `maps` run the network."""
        return self._way

    def use(self, way: str) -> None:
        """Run the network in another way from now on, in `logits` and `maps`.

        What is done to single radiographs, `predict` and `explain`, runs as ever. Raises as
        `get_ready`.
        """
        self.take(way, self.get_ready(way))

    def get_ready(self, way: str, lanes: int = 1) -> StagedNetwork:
        """Return the network as it runs in another way, for `take`; nothing changes yet.

        It takes seconds where the network is converted, and may be called in a thread.

        Parameters
        ----------
        way : str
            One of `napari_cxr.inference.running.WAYS`; `napari_cxr.inference.ways.fastest`
            finds the best. A batch takes as many threads as torch has now.
        lanes : int
            Batches that are run at the same time, each in a thread of its own.

        Raises
        ------
        napari_cxr.inference.running.WayUnavailable
            If there is no such way, this machine lacks it, or this network cannot be run so.
        OutOfMemory
            If the device's memory is full.
        """
        size = (self.preprocessing.height, self.preprocessing.width)
        try:
            return run_by(way, self.network, self.device.name, size, self._onnx, lanes)
        except torch.OutOfMemoryError:
            raise OutOfMemory(_too_big(self.device)) from None

    def take(self, way: str, network: StagedNetwork) -> None:
        """Run the network from now on in a way that `get_ready` got ready."""
        self._way, self._running, self._onnx = WAYS[way], network, b''

    def onnx(self) -> bytes:
        """Return the stages as ONNX: converted once, and kept until a way is taken."""
        size = (self.preprocessing.height, self.preprocessing.width)
        self._onnx = self._onnx or to_onnx(self.network, size)
        return self._onnx

    def predict(self, radiographs: Sequence[Radiograph], preset: int = 0) -> list[Prediction]:
        """Classify several radiographs in one batch.

        Parameters
        ----------
        radiographs : sequence of Radiograph
            Single frames.
        preset : int
            Which preset of each to use.

        Raises
        ------
        RefusedImage
            If one of them is no projection radiograph.
        OutOfMemory
            If not even one fits into the device's memory.
        """
        prepared = [self.prepare(radiograph, preset) for radiograph in radiographs]
        images = np.stack([ready.image for ready in prepared])
        (logits,), fitted = self._in_pieces(_plain(self.network), images, 0)
        short = fitted < len(prepared)
        note = f'Memory ran short: ran in batches of {fitted}.' if short else ''
        return [
            self._prediction(radiograph, ready, row, preset, note)
            for radiograph, ready, row in zip(radiographs, prepared, logits, strict=True)
        ]

    def explain(
        self,
        radiograph: Radiograph,
        labels: Sequence[str] | None = None,
        preset: int = 0,
        method: str = 'Grad-CAM',
        field: LungField | None = None,
    ) -> tuple[Prediction, list[Heatmap]]:
        """Classify one radiograph and show where each class comes from.

        Parameters
        ----------
        radiograph : Radiograph
            A single frame.
        labels : sequence of str, optional
            The classes to explain; by default all.
        preset : int
            Which of its presets to use.
        method : str
            One of `napari_cxr.explain.methods.names`.
        field : LungField, optional
            The lungs, where they are known already or a person has corrected them.

        Returns
        -------
        Prediction, list of Heatmap
            One heatmap a class, in the order of `labels`.

        Raises
        ------
        RefusedImage, OutOfMemory
            As `predict`.
        """
        ready = self.prepare(radiograph, preset, field)
        targets = [self.labels.index(label) for label in labels or self.labels]
        x = self._batch([ready])
        try:
            logits, maps = methods.method(method)(self.network, x, targets)
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise OutOfMemory(_too_big(self.device)) from None
            raise
        row = logits[0].float().cpu().numpy()
        prediction = self._prediction(radiograph, ready, row, preset, field=field)
        height, width = x.shape[-2:]
        matrix = cell_to_radiograph(self.network.grid(height, width), ready.to_radiograph)
        seen = seen_part(ready.to_radiograph, height, width)
        values = maps[0].float().cpu().numpy()
        heatmaps = [
            Heatmap(
                values=values[i],
                to_radiograph=matrix,
                label=self.labels[target],
                probability=prediction.probabilities[target],
                logit=prediction.logits[target],
                method=method,
                model=self.card.name,
                seen=seen,
            )
            for i, target in enumerate(targets)
        ]
        return prediction, heatmaps

    def stages(self) -> dict[str, tuple[int, int, int]]:
        """Return filters, rows and columns of each stage that returns maps, first to last."""
        shapes = self.network.shapes(self.preprocessing.height, self.preprocessing.width)
        return {
            name: (shape[0], shape[1], shape[2])
            for name, shape in shapes.items()
            if len(shape) == 3
        }

    def feature_maps(
        self,
        radiograph: Radiograph,
        stage: str,
        preset: int = 0,
        field: LungField | None = None,
    ) -> FeatureMaps:
        """Return what each filter of a stage makes of one radiograph.

        Parameters
        ----------
        radiograph : Radiograph
            A single frame.
        stage : str
            One of `stages`.
        preset : int
            Which of its presets to use.
        field : LungField, optional
            The lungs, where they are known already or a person has corrected them.

        Raises
        ------
        RefusedImage, OutOfMemory
            As `predict`.
        ValueError
            If there is no such stage, or it returns no maps.
        """
        ready = self.prepare(radiograph, preset, field)
        x = self._batch([ready])
        height, width = x.shape[-2:]
        try:
            values = feature_maps(self.network, x, stage)[0].float().cpu().numpy()
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise OutOfMemory(_too_big(self.device)) from None
            raise
        why = ''
        try:
            grid = stage_grid(self.network, stage, height, width)
        except Untraceable as error:
            why = str(error)
            grid = even_grid(values.shape[1:], height, width)
        matrix = cell_to_radiograph(grid, ready.to_radiograph)
        return FeatureMaps(values, matrix, stage, self.card.name, why)

    def prepare(
        self, radiograph: Radiograph, preset: int = 0, field: LungField | None = None
    ) -> Prepared:
        """Fit one radiograph to the network's input; raises RefusedImage where it must not be."""
        if radiograph.refusal:
            raise RefusedImage(f'{radiograph.refusal} It was not classified.')
        return self.preprocessing.apply(radiograph, preset, field)

    def _batch(self, prepared: Sequence[Prepared]) -> torch.Tensor:
        images = self.preprocessing.normalise(np.stack([ready.image for ready in prepared]))
        return torch.from_numpy(images).to(self.device.name)

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
        (logits,), fitted = self._in_pieces(_plain(self._running), images, at_most)
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
        (logits, maps), fitted = self._in_pieces(
            lambda x: explain(self._running, x, None), images, at_most
        )
        return logits, maps, fitted

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Return what logits of shape (..., classes) mean by this model's card."""
        return probabilities_of(logits, self.card.several, self.card.temperature)

    def with_own_cautions(self, cautions: tuple[Caution, ...]) -> tuple[Caution, ...]:
        """Add to the cautions about an image those about this model."""
        if self.card.data.get('lung_field', lungs.fingerprint()) != lungs.fingerprint():
            return (*cautions, Caution('lung-field', _OTHER_LUNGS))
        return cautions

    def _in_pieces(
        self,
        run: Callable[[torch.Tensor], tuple[torch.Tensor, ...]],
        images: np.ndarray,
        at_most: int,
    ) -> tuple[list[np.ndarray], int]:
        """Run a batch, halved until it fits; return what it gave, and how many fitted."""
        normalised = torch.from_numpy(self.preprocessing.normalise(images))
        size, start = min(at_most or len(images), len(images)), 0
        pieces: list[list[torch.Tensor]] = []
        while start < len(images):
            try:
                x = normalised[start : start + size].to(self.device.name)
                pieces.append([given.float().cpu() for given in run(x)])
                start += size
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                if size == 1:
                    raise OutOfMemory(_too_big(self.device)) from None
                size = (size + 1) // 2
                log.warning('out of memory: going on with batches of %d', size)
        return [torch.cat(parts).numpy() for parts in zip(*pieces, strict=True)], size

    def _prediction(
        self,
        radiograph: Radiograph,
        ready: Prepared,
        logits: np.ndarray,
        preset: int,
        note: str = '',
        field: LungField | None = None,
    ) -> Prediction:
        cautions = cautions_for(radiograph, ready, field, preset)
        if note:
            cautions = (*cautions, Caution('memory', note))
        cautions = self.with_own_cautions(cautions)
        probabilities = self.probabilities(logits)
        return Prediction(
            labels=self.labels,
            probabilities=tuple(float(p) for p in probabilities),
            logits=tuple(float(z) for z in logits),
            cautions=cautions,
            model=self.card.name,
            model_hash=self.file_hash,
            preprocessing=self.preprocessing.to_dict(),
            preset=radiograph.presets[preset].explanation,
            device=self.device.name,
            version=__version__,
            several=self.card.several,
            lungs=_whose(ready.field),
        )


def _plain(network: StagedNetwork) -> Callable[[torch.Tensor], tuple[torch.Tensor, ...]]:
    """Return a pass through a network that gives the logits."""

    @torch.inference_mode()
    def run(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (network(x),)

    return run


def _whose(field: LungField | None) -> str:
    """Return where the lungs that a model was shown come from, as `Prediction.lungs`."""
    if field is None:
        return ''
    return 'drawn' if field.drawn else field.source


def is_out_of_memory(error: Exception) -> bool:
    """Tell a full memory from other errors; on the CPU torch has no class of its own for it."""
    full = (torch.OutOfMemoryError, MemoryError)
    return isinstance(error, full) or 'not enough memory' in str(error)


def _too_big(device: Device) -> str:
    return (
        f'The memory of {device.name} is full. '
        'Close other programs that use it, or choose the CPU as the device.'
    )
