"""A network with its preprocessing and labels: `predict` and `explain`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_cxr import __version__, lungs
from napari_cxr.explain import methods
from napari_cxr.explain.feature_maps import FeatureMaps, even_grid, feature_maps, stage_grid
from napari_cxr.explain.heatmap import Heatmap
from napari_cxr.explain.placement import cell_to_radiograph, seen_part
from napari_cxr.inference.cautions import cautions_for
from napari_cxr.inference.memory import OutOfMemory
from napari_cxr.inference.model import Model, plain
from napari_cxr.inference.prediction import Caution, Prediction
from napari_cxr.inference.preprocessing import Prepared
from napari_cxr.lungs import LungField
from napari_cxr.networks import Untraceable
from napari_cxr.radiograph import Radiograph

__all__ = ['Classifier', 'OutOfMemory', 'RefusedImage']

_OTHER_LUNGS = (
    'This model was made with another version of the lung field; its card’s figures may not '
    'hold with this one.'
)


class RefusedImage(Exception):
    """An image that must not be classified, with the reason."""


class Classifier(Model):
    """A trained network, ready to classify and to explain radiographs.

    Parameters
    ----------
    checkpoint : Checkpoint
        Weights and card.
    device : Device
        Where to run.
    """

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
        (logits,), fitted = self._run(plain(self.network), images)
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
        ValueError
            If the model has no such label.
        """
        ready = self.prepare(radiograph, preset, field)
        if unknown := [label for label in labels or () if label not in self.labels]:
            raise ValueError(
                f'{self.card.name} has no label {unknown[0]!r}; it has {", ".join(self.labels)}.'
            )
        targets = [self.labels.index(label) for label in labels or self.labels]
        explain = methods.method(method)
        (logits, maps), _ = self._run(
            lambda x: explain(self.network, x, targets), ready.image[None]
        )
        prediction = self._prediction(radiograph, ready, logits[0], preset, field=field)
        height, width = ready.image.shape
        matrix = cell_to_radiograph(self.network.grid(height, width), ready.to_radiograph)
        seen = seen_part(ready.to_radiograph, height, width)
        heatmaps = [
            Heatmap(
                values=maps[0, i],
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
        height, width = ready.image.shape
        ((values,),), _ = self._run(
            lambda x: (feature_maps(self.network, x, stage),), ready.image[None]
        )
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

    def with_own_cautions(self, cautions: tuple[Caution, ...]) -> tuple[Caution, ...]:
        """Add to the cautions about an image those about this model."""
        if self.card.data.get('lung_field', lungs.fingerprint()) != lungs.fingerprint():
            return (*cautions, Caution('lung-field', _OTHER_LUNGS))
        return cautions

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
            thresholds=self.rule.thresholds,
            negative=self.rule.negative,
            undecided=dict(self.card.undecided),
        )


def _whose(field: LungField | None) -> str:
    """Return where the lungs that a model was shown come from, as `Prediction.lungs`."""
    if field is None:
        return ''
    return 'drawn' if field.drawn else field.source
