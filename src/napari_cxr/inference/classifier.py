"""A trained model on its device, with its preprocessing and labels: `predict` and `explain`."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from copy import copy
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from napari_cxr import __version__, lungs
from napari_cxr.checkpoint import Card, CheckpointError, catalog, open_model
from napari_cxr.explain import explanation_methods
from napari_cxr.explain.explanation_methods import DEFAULT_METHOD
from napari_cxr.explain.feature_maps import FeatureMaps, stage_grid, uniform_grid
from napari_cxr.explain.heatmap import Heatmap, cell_to_radiograph, input_bounds
from napari_cxr.inference.backends.backend import TORCH, Backend, RunnableNetwork
from napari_cxr.inference.backends.selection import network_on_backend, select_backend
from napari_cxr.inference.cpu import compute_threads, limit_torch
from napari_cxr.inference.device import (
    Device,
    OutOfMemory,
    choose_device,
    raising_out_of_memory,
    run_in_batches_that_fit,
    use_full_precision,
)
from napari_cxr.inference.image_findings import ImageFindings
from napari_cxr.inference.label_rule import LabelRule
from napari_cxr.inference.prediction import ImageWarning, Prediction, RefusedImage, find_warnings
from napari_cxr.inference.preprocessing import NetworkInput, Preprocessing
from napari_cxr.inference.stated_prevalence import card_at_prevalence
from napari_cxr.lungs import LungField
from napari_cxr.lungs.frontal_check import FrontalCheck
from napari_cxr.metrics.calibration import probabilities_of
from napari_cxr.radiograph import Radiograph

if TYPE_CHECKING:
    from napari_cxr.checkpoint import Checkpoint, ModelFile
    from napari_cxr.inference.backends.backend_network import TorchNetwork
    from napari_cxr.networks import StagedNetwork

__all__ = ['Classifier', 'OutOfMemory', 'RefusedImage']


_OTHER_LUNGS = (
    'This model was made with another version of the lung field; its card’s figures may not '
    'hold with this one.'
)


class Classifier:
    """A trained model on its device, ready to classify and to explain radiographs.

    It runs in torch, which is imported for that, until `use` says otherwise, as `load` does.

    Parameters
    ----------
    checkpoint : Checkpoint or ModelFile
        Weights and card.
    device : Device
        Where to run.

    Raises
    ------
    CheckpointError
        If the card is wrong.
    """

    def __init__(self, checkpoint: Checkpoint | ModelFile, device: Device) -> None:
        self.checkpoint = checkpoint
        self.card: Card = checkpoint.card
        self.rule = LabelRule.of_card(self.card)
        self.device = device
        self.file_hash = checkpoint.sha256[:12]
        try:
            self.preprocessing = Preprocessing.from_dict(self.card.preprocessing)
        except (ValueError, TypeError) as error:
            raise CheckpointError(f'The card of this model is wrong: {error}.') from None
        self._backend = TORCH
        self._running: RunnableNetwork | None = None
        self._last: tuple[object, RunnableNetwork | None] = (None, None)

    @classmethod
    def load(cls, source: str | Path, device: str = 'auto', backend: str = '') -> Self:
        """Load a model by its name in the catalog or by its file.

        Parameters
        ----------
        source : str or Path
            Name or file.
        device : str
            As `choose_device` takes it.
        backend : str
            What runs the network, see `select_backend`; empty for the preferred one.

        Raises
        ------
        CheckpointError
            If there is no such model, or the file is not one.
        DeviceUnavailable
            If the device is not there.
        napari_cxr.inference.backends.backend.BackendUnavailable
            If the backend that was asked for cannot be had.
        OutOfMemory
            If it does not fit into the device's memory.
        """
        classifier = cls(open_model(catalog.resolve(source)), choose_device(device))
        selected = select_backend(classifier, backend, 'float32')
        classifier.use(selected.backend, selected.network)
        return classifier

    @cached_property
    def network(self) -> StagedNetwork:
        """The network in torch, on the device; raises CheckpointError, OutOfMemory."""
        # It is built in the computer's memory first; the device reports its own.
        with raising_out_of_memory('cpu'):
            network = self.checkpoint.network()
        limit_torch()  # which has perhaps just been imported
        use_full_precision(self.device)
        with raising_out_of_memory(self.device.name):
            return network.to(self.device.name).eval().requires_grad_(False)

    def at_prevalence(self, prior: Mapping[str, float]) -> Self:
        """Return the classifier with probabilities as where classes are so frequent.

        Takes and raises what `card_at_prevalence` does. The network is the same, and this
        classifier stays as it is.
        """
        if not prior:
            return self
        moved = copy(self)
        moved.card = card_at_prevalence(self.card, prior)
        moved.rule = LabelRule.of_card(moved.card)
        return moved

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes, in the order of the network's outputs."""
        return tuple(self.card.labels)

    @property
    def backend(self) -> Backend:
        """What runs the network."""
        return self._backend

    def network_on(self, backend: Backend, workers: int = 1, batch: int = 0) -> RunnableNetwork:
        """Return the network on a backend, for `use`; nothing changes yet.

        It may take seconds, and may be called in a thread. The last network is kept, for as
        many threads as `compute_threads` says. Raises OutOfMemory, and otherwise as
        `napari_cxr.inference.backends.selection.network_on_backend`, which takes the same.
        """
        if backend == TORCH:
            return self._in_torch()
        key = backend, workers, batch, compute_threads()
        made_for, network = self._last
        if network is None or made_for != key:
            with raising_out_of_memory(self.device.name):
                network = network_on_backend(backend, self, workers, batch)
            self._last = key, network
        return network

    def use(self, backend: Backend = TORCH, network: RunnableNetwork | None = None) -> None:
        """Run from now on what `network_on` returned for a backend; by default plain torch."""
        self._backend, self._running = backend, network

    def _in_torch(self) -> TorchNetwork:
        """Return the network as it is, in plain torch."""
        from napari_cxr.inference.backends.backend_network import TorchNetwork

        return TorchNetwork(self.network, self.device.name)

    @property
    def running(self) -> RunnableNetwork:
        """The network that runs, on the backend of `use`."""
        return self._in_torch() if self._running is None else self._running

    def logits(self, images: np.ndarray, at_most: int = 0) -> tuple[np.ndarray, int]:
        """Run the network on prepared images, on the backend of `use`.

        Parameters
        ----------
        images : ndarray of float32, shape (n, height, width)
            As `NetworkInput.image`.
        at_most : int
            Images that run at once at most; 0 for all.

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
        (logits,), fitted = self._run(lambda x: (self.running.logits(x),), images, at_most)
        return logits, fitted

    def maps(self, images: np.ndarray, at_most: int = 0) -> tuple[np.ndarray, np.ndarray, int]:
        """Run the network on prepared images as `logits`, and show where each class comes from.

        Parameters
        ----------
        images, at_most
            As of `logits`.

        Returns
        -------
        logits : ndarray of float32, shape (n, classes)
        maps : ndarray of float32, shape (n, classes, rows, columns)
            Of Grad-CAM.
        fitted : int
            As `logits` returns it.

        Raises
        ------
        OutOfMemory
            As `logits`.
        """
        (logits, maps), fitted = self._run(self.running.explain, images, at_most)
        return logits, maps, fitted

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Return what logits of shape (..., classes) mean by this model's card."""
        card = self.card
        return probabilities_of(logits, card.multilabel, card.temperature, card.bias)

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
        (logits,), fitted = self._run(lambda x: (self.running.logits(x),), images)
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
        method: str = DEFAULT_METHOD,
        field: LungField | None = None,
        against: str = '',
        findings: ImageFindings | None = None,
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
            One of `napari_cxr.explain.explanation_methods.names`.
        field : LungField, optional
            The lungs, where they are known already or a person has corrected them.
        against : str
            A class with which to contrast: each heatmap then shows what raises the logit of
            its class above that of this one, whose own heatmap is empty. Empty for none.
        findings : ImageFindings, optional
            What was found on this radiograph already, its lungs included; for its first preset.

        Returns
        -------
        Prediction, list of Heatmap
            One heatmap a class, in the order of `labels`.

        Raises
        ------
        RefusedImage, OutOfMemory
            As `predict`.
        ValueError
            If the model has no such label, or there is no such method.
        """
        steps = self.explaining(radiograph, labels, preset, method, field, against, findings)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                explained: tuple[Prediction, list[Heatmap]] = end.value
                return explained

    def explaining(
        self,
        radiograph: Radiograph,
        labels: Sequence[str] | None = None,
        preset: int = 0,
        method: str = DEFAULT_METHOD,
        field: LungField | None = None,
        against: str = '',
        findings: ImageFindings | None = None,
    ) -> Generator[float, None, tuple[Prediction, list[Heatmap]]]:
        """Do as `explain`, and yield the fraction that is done where a method takes long."""
        by = explanation_methods.method(method)
        named = [*(labels or ()), *([against] if against else [])]
        if unknown := [label for label in named if label not in self.labels]:
            raise ValueError(
                f'{self.card.name} has no label {unknown[0]!r}; it has {", ".join(self.labels)}.'
            )
        targets = [self.labels.index(label) for label in labels or self.labels]
        ready = self.prepare(radiograph, preset, field, findings)
        if findings is not None:
            field = findings.field
        height, width = ready.image.shape
        if by.name == DEFAULT_METHOD and not against:
            (logits, maps), _ = self._run(
                lambda x: self.running.explain(x, targets), ready.image[None]
            )
        else:
            with raising_out_of_memory(self.device.name):
                rival = self.labels.index(against) if against else -1
                x = self.preprocessing.normalise(ready.image[None])
                logits, maps = yield from self._in_torch().explain_by(by.name, x, targets, rival)
            if against:
                logits, _ = self.logits(ready.image[None])
        if by.of_input:
            grid = uniform_grid(maps.shape[2:], height, width)
            matrix = cell_to_radiograph(grid, ready.to_radiograph)
        else:
            matrix = self.cell_to_radiograph(ready.image.shape, ready.to_radiograph)
        frontal = None if findings is None else findings.frontal
        prediction = self._prediction(
            radiograph, ready, logits[0], preset, field=field, frontal=frontal
        )
        seen = input_bounds(ready.to_radiograph, height, width)
        heatmaps = [
            Heatmap(
                values=maps[0, i],
                to_radiograph=matrix,
                label=self.labels[target],
                probability=prediction.probabilities[target],
                logit=prediction.logits[target],
                method=by.name,
                model=self.card.name,
                input_bounds=seen,
                against=against,
            )
            for i, target in enumerate(targets)
        ]
        return prediction, heatmaps

    def cell_to_radiograph(self, shape: tuple[int, ...], to_radiograph: np.ndarray) -> np.ndarray:
        """Return the matrix from a cell of a map to the pixel of the radiograph it looks at.

        Parameters
        ----------
        shape : tuple of int
            Height and width of the network's input.
        to_radiograph : ndarray, shape (3, 3)
            From a pixel of that input to one of the radiograph.
        """
        return np.asarray(to_radiograph) @ self.running.cell_to_input(shape[0], shape[1])

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
        height, width = ready.image.shape
        ((values,),), _ = self._run(
            lambda x: (self._in_torch().stage_maps(x, stage),), ready.image[None]
        )
        from napari_cxr.networks import Untraceable

        why = ''
        try:
            grid = stage_grid(self.network, stage, height, width)
        except Untraceable as error:
            why = str(error)
            grid = uniform_grid(values.shape[1:], height, width)
        matrix = cell_to_radiograph(grid, ready.to_radiograph)
        return FeatureMaps(values, matrix, stage, self.card.name, why)

    def prepare(
        self,
        radiograph: Radiograph,
        preset: int = 0,
        field: LungField | None = None,
        findings: ImageFindings | None = None,
    ) -> NetworkInput:
        """Fit one radiograph to the network's input; raises RefusedImage where it must not be."""
        if radiograph.refusal:
            raise RefusedImage(f'{radiograph.refusal} It was not classified.')
        if findings is not None:
            return findings.network_input(self.preprocessing)
        return self.preprocessing.apply(radiograph, preset, field)

    def with_own_warnings(self, warnings: tuple[ImageWarning, ...]) -> tuple[ImageWarning, ...]:
        """Add to the warnings about an image those about this model."""
        if (
            self.card.data.get('lung_field', lungs.lung_network_fingerprint())
            != lungs.lung_network_fingerprint()
        ):
            return (*warnings, ImageWarning('lung-field', _OTHER_LUNGS))
        return warnings

    def _run(
        self,
        run: Callable[[np.ndarray], tuple[np.ndarray, ...]],
        images: np.ndarray,
        at_most: int = 0,
    ) -> tuple[list[np.ndarray], int]:
        """Run prepared images; see `run_in_batches_that_fit`."""
        x = self.preprocessing.normalise(images)
        return run_in_batches_that_fit(run, x, at_most, self.device.name)

    def _prediction(
        self,
        radiograph: Radiograph,
        ready: NetworkInput,
        logits: np.ndarray,
        preset: int,
        note: str = '',
        field: LungField | None = None,
        frontal: FrontalCheck | None = None,
    ) -> Prediction:
        warnings = find_warnings(radiograph, ready, field, preset, frontal)
        if note:
            warnings = (*warnings, ImageWarning('memory', note))
        warnings = self.with_own_warnings(warnings)
        probabilities = self.probabilities(logits)
        return Prediction(
            labels=self.labels,
            probabilities=tuple(float(p) for p in probabilities),
            logits=tuple(float(z) for z in logits),
            warnings=warnings,
            model=self.card.name,
            model_hash=self.file_hash,
            preprocessing=self.preprocessing.to_dict(),
            preset=radiograph.presets[preset].explanation,
            device=self.device.name,
            version=__version__,
            multilabel=self.card.multilabel,
            lungs=_whose(ready.field),
            thresholds=self.rule.thresholds,
            negative=self.rule.negative,
            undecided=dict(self.card.undecided),
            decoded=radiograph.decoded,
            least_margin=self.rule.least_margin,
            correction=radiograph.correction,
            prediction_sets=dict(self.card.prediction_sets),
        )


def _whose(field: LungField | None) -> str:
    """Return where the lungs that a model was shown come from, as `Prediction.lungs`."""
    if field is None:
        return ''
    return 'drawn' if field.drawn else field.source
