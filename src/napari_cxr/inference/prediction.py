"""The result of classifying one radiograph, and the reasons to trust it less."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from napari_cxr.correction import NO_CORRECTION, Correction
from napari_cxr.inference.label_rule import LabelRule
from napari_cxr.inference.preprocessing import NetworkInput
from napari_cxr.lungs import LungField
from napari_cxr.lungs.frontal_check import FrontalCheck, check_frontal
from napari_cxr.messages import message_type
from napari_cxr.metrics.conformal import prediction_set, prediction_set_text
from napari_cxr.radiograph import Radiograph, View

__all__ = [
    'WARNING_CODES',
    'ImageWarning',
    'Prediction',
    'RefusedImage',
    'find_warnings',
]

#: Codes of warnings that say: this is probably no upright frontal chest radiograph with the
#: right polarity, which is all that a model knows.
_DOUBTS = ('view', 'polarity', 'not-a-chest', 'upside-down', 'mirrored')

#: The codes of all warnings, those that doubt the image first. 'note' is any other sentence.
WARNING_CODES = (*_DOUBTS, 'lung-field', 'enlarged', 'lossy', 'memory', 'note')


class RefusedImage(Exception):
    """An image that must not be classified, with the reason."""


@message_type
@dataclass(frozen=True)
class ImageWarning:
    """A reason to trust a prediction less, shown wherever the prediction is.

    Parameters
    ----------
    code : str
        A short stable word for programs, one of `WARNING_CODES`.
    text : str
        One plain sentence for people.
    remedy : Correction
        What would answer it, where inverting, mirroring or turning the image would.
    """

    code: str
    text: str
    remedy: Correction = field(default=NO_CORRECTION, compare=False)

    @property
    def doubts_the_image(self) -> bool:
        """Whether it says that this is probably no image that a model knows anything about."""
        return self.code in _DOUBTS


@message_type
@dataclass(frozen=True)
class Prediction:
    """Probabilities of one radiograph, and everything that they depend on.

    Parameters
    ----------
    labels : tuple of str
        The classes, in the model's order.
    probabilities : tuple of float
        Of each class. They sum to 1, unless an image can have several labels.
    logits : tuple of float
        What the network put out, before the temperature.
    warnings : tuple of ImageWarning
        Reasons to trust it less; those that doubt the image come first.
    model, model_hash : str
        Name of the model and the first 12 digits of its file's SHA-256.
    preprocessing : dict
        As in the model's card.
    preset : str
        The window or table of the header that the input was made with.
    device : str
        Where it ran.
    version : str
        Version of napari-cxr.
    multilabel : bool
        Whether an image can have several labels: each probability is then one by itself.
    lungs : {'', 'network', 'atlas', 'drawn'}
        Whose lungs the model was shown, `LungField.source` or a person's; empty for a model
        that ignores them.
    thresholds : tuple of float
        With `multilabel`: the probability from which on each label is predicted; empty for 0.5
        each.
    negative : str
        With `multilabel`: the label where no label reaches its threshold.
    undecided : dict
        With `multilabel`: for labels that have it, the band of probabilities, ``[low, high]``, in
        which the model does not decide.
    decoded : str
        At what part of its size the image was decoded, see `Radiograph.decoded`.
    least_margin : float
        Without `multilabel`: the least by which the most probable class must exceed the next one
        to be the answer.
    correction : Correction
        What a person had put right of the image before it was classified.
    prediction_sets : dict
        From which probability on a class cannot be excluded, as on the model's card; or empty.
    """

    labels: tuple[str, ...]
    probabilities: tuple[float, ...]
    logits: tuple[float, ...]
    warnings: tuple[ImageWarning, ...] = ()
    model: str = ''
    model_hash: str = ''
    preprocessing: dict[str, Any] = field(default_factory=dict)
    preset: str = ''
    device: str = ''
    version: str = ''
    multilabel: bool = False
    lungs: str = ''
    thresholds: tuple[float, ...] = ()
    negative: str = ''
    undecided: dict[str, list[float]] = field(default_factory=dict)
    decoded: str = '1'
    least_margin: float = 0.0
    correction: Correction = NO_CORRECTION
    prediction_sets: dict[str, Any] = field(default_factory=dict)

    @property
    def rule(self) -> LabelRule:
        """How its probabilities become a label."""
        return LabelRule(
            self.labels,
            self.multilabel,
            self.thresholds,
            self.negative,
            self.undecided,
            self.least_margin,
        )

    @property
    def label(self) -> str:
        """The most probable class; with `multilabel`, see `LabelRule.label`."""
        return self.rule.label(self.probabilities)

    @property
    def above(self) -> tuple[str, ...]:
        """The labels that reach their thresholds, the furthest above first."""
        return self.rule.above(self.probabilities)

    def predicts(self, label: str) -> bool:
        """Tell whether a label reaches its threshold, or is the most probable class."""
        return label in self.above if self.multilabel else label == self.label

    @property
    def leading(self) -> str:
        """The label that is furthest above its threshold or the least below it."""
        return self.rule.leading(self.probabilities)

    @property
    def answer(self) -> str:
        """The label, 'cannot say' where the model does not decide, or 'no class stands out'."""
        return self.rule.answer(self.probabilities)

    @property
    def possible(self) -> tuple[str, ...]:
        """The classes that cannot be excluded; empty too where the model does not say."""
        sets = self.prediction_sets
        return prediction_set(self.labels, self.probabilities, sets) if sets else ()

    @property
    def possible_text(self) -> str:
        """The same in one sentence; empty where the model does not say."""
        sets = self.prediction_sets
        return prediction_set_text(self.possible, sets, self.multilabel) if sets else ''

    @property
    def doubts(self) -> tuple[ImageWarning, ...]:
        """The warnings that a person must read before any probability."""
        return tuple(warning for warning in self.warnings if warning.doubts_the_image)

    def probability(self, label: str) -> float:
        """Return the probability of one class; ValueError if there is none of that name."""
        return self.probabilities[self.labels.index(label)]


#: Enlarging a radiograph by less than this adds no visible blur.
_ENLARGED = 1.05
#: Codes of warnings about a kind of image that the frontal check found.
_CODES = {'inverted': 'polarity', 'other': 'not-a-chest'}


def find_warnings(
    radiograph: Radiograph,
    ready: NetworkInput,
    field: LungField | None = None,
    preset: int = 0,
    frontal: FrontalCheck | None = None,
) -> tuple[ImageWarning, ...]:
    """Return what a person should know before believing a prediction.

    Those that say "this is probably no image for the model" come first.

    Parameters
    ----------
    radiograph : Radiograph
        The image that was classified.
    ready : NetworkInput
        What the network saw of it.
    field : LungField, optional
        Its lungs; found here where they are needed and not given.
    preset : int
        Which of its presets it was classified with.
    frontal : FrontalCheck, optional
        What the frontal check said of it; asked here where it is not given.
    """
    found: list[ImageWarning] = []
    view = radiograph.geometry.view
    if view in (View.LATERAL, View.OBLIQUE):
        found.append(
            ImageWarning(
                'view',
                f'By its header this is a {view} view, and the model knows frontal views only: '
                'classify the frontal image of the study instead.',
            )
        )
    if frontal is None:
        frontal = check_frontal(radiograph, ready.field if field is None else field, preset)
    if frontal.kind != 'frontal':
        code = _CODES.get(frontal.kind, frontal.kind)
        found.append(ImageWarning(code, frontal.message, frontal.correction))
    if ready.field is not None and ready.field.implausible:
        found.append(
            ImageWarning(
                'lung-field',
                f'This model looks where the lungs are, and they could not be found here '
                f'({ready.field.implausible}): it was shown where they are on average.',
            )
        )
    if ready.enlargement > _ENLARGED:
        rows, columns = radiograph.shape
        found.append(
            ImageWarning(
                'enlarged',
                f'With {columns} x {rows} pixels it is coarser than the network’s input '
                f'and was enlarged {ready.enlargement:.1f} times.',
            )
        )
    if radiograph.correction:
        found.append(
            ImageWarning('note', f'As you asked, the model saw the image {radiograph.correction}.')
        )
    if radiograph.provenance.lossy:
        found.append(ImageWarning('lossy', 'The image went through lossy compression.'))
    found.extend(ImageWarning('note', note) for note in radiograph.notes)
    return tuple(found)
