"""How to evaluate, and what: models with their loaders, and what decodes images."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

from napari_cxr.evaluation.measuring import MeasuringSettings
from napari_cxr.scoring import ScoringSettings

if TYPE_CHECKING:
    from napari_cxr.checkpoint import Card
    from napari_cxr.inference.classifier import Classifier
    from napari_cxr.inference.preprocessing import Preprocessing
    from napari_cxr.scoring.image_preparation import PreparedImage, PrepareOptions
    from napari_cxr.training.training_image import TrainingImage

__all__ = ['EvaluationSettings', 'ImageDecoders', 'ModelToEvaluate']


class ImageDecoders(Protocol):
    """What decodes images, as a `napari_cxr.workers.decoder_pool.DecoderPool`."""

    def __call__(
        self, items: Sequence[tuple[int, Path]], preprocessing: Preprocessing, bits: int
    ) -> Iterator[tuple[int, TrainingImage | str]]:
        """Decode files for training; an `ImageReader`."""

    def prepare(
        self, items: Iterable[tuple[int, Path]], wanted: PrepareOptions
    ) -> Generator[tuple[int, PreparedImage | str] | None, None, None]:
        """Prepare files for scoring; an `ImagePreparer`."""


@dataclass(frozen=True)
class ModelToEvaluate:
    """A model, and how to load it when its turn comes.

    Parameters
    ----------
    path : Path
        Its file.
    card : Card
        Its card.
    load : callable
        Returns the `Classifier`.
    """

    path: Path
    card: Card
    load: Callable[[], Classifier]


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings:
    """How to evaluate.

    Parameters
    ----------
    split : str
        By the images of which split: 'test', 'val', 'train' or 'all'. Empty for the test split
        where there is one, else all images. Where no table names splits they are those of the
        run that made the models, if that knows some of the images.
    classes : mapping of str to sequence of str
        Which labels of the images mean which class, see `class_of_labels`.
    baselines : bool
        Whether to fit classifiers that see no anatomy, for comparison.
    include_doubtful : bool
        Whether images count that are probably no upright frontal chest radiographs.
    gallery : bool
        Whether the report shows some images of each class with their heatmaps.
    shortcut_tests : bool
        Whether each image is shown again with one thing changed, to see whether the models take
        a shortcut; see `shortcut_run`. Their networks run in torch.
    sealed : bool
        Whether to seal the set: from now on it answers once for each model, and training refuses
        its images.
    measuring : MeasuringSettings
        What decides figures.
    scoring : ScoringSettings
        How to score.
    """

    split: str = ''
    classes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    baselines: bool = True
    include_doubtful: bool = False
    gallery: bool = True
    shortcut_tests: bool = False
    sealed: bool = False
    measuring: MeasuringSettings = field(default_factory=MeasuringSettings)
    scoring: ScoringSettings = field(default_factory=ScoringSettings)

    @classmethod
    def of(
        cls,
        *,
        cost: float = 0.0,
        prevalence: float | None = None,
        backend: str = '',
        include_doubtful: bool = False,
        **rest: Any,
    ) -> Self:
        """Return settings from plain values, as commands, docks and the API have them."""
        return cls(
            measuring=MeasuringSettings(cost=cost, prevalence=prevalence),
            scoring=ScoringSettings(backend=backend, include_doubtful=include_doubtful),
            include_doubtful=include_doubtful,
            **rest,
        )
