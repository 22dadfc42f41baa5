"""What a model is, what it was measured on, and what it was not."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from napari_cxr.settings_file import parse_json

__all__ = ['DEFAULT_MARGIN', 'NOT_FOR_CLINICAL_USE', 'Card', 'CheckpointError', 'is_text']

NOT_FOR_CLINICAL_USE = 'Research and demonstration only, not for clinical use.'

#: Version of the card's own form. A reader refuses what is newer than it.
_FORM = 2
_LONGEST_CARD = 1 << 20  # characters; a real card has a few ten thousand
_LONGEST_TEXT = 4000
_DEEPEST = 12
_MOST_LABELS = 1000
_MOST_LAYERS = 16
_MOST_UNITS = 65_536  # of a hidden layer, as in a recipe
LARGEST_INPUT = 4096  # pixels a side
#: By how much a class must be more probable than the next one, by cards that do not say it: a
#: convention, a tenth, which was not fitted to any images.
DEFAULT_MARGIN = 0.1
#: What a model may be called, here and in the catalog.
NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9._+-]{0,79}')
# A label or a title ends up in terminals, menus and file names.
_CONTROL = re.compile(r'[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]')


class CheckpointError(Exception):
    """A file that is not a usable model; the message is one clear sentence."""


#: What an entry is called in files, where that is not the attribute's name.
_STORED_NAMES = {'multilabel': 'several'}
_TEXTS = (
    'title',
    'architecture',
    'licence',
    'intended_use',
    'not_to_believe',
    'created',
    'version',
    'negative',
    'decision',
    'demonstration',
)
_TABLES = (
    'preprocessing',
    'head',
    'recipe',
    'data',
    'metrics',
    'operating_points',
    'undecided',
    'prevalence',
    'prediction_sets',
)


@dataclass(frozen=True)
class Card:
    """The model card that travels inside every checkpoint.

    Parameters
    ----------
    name : str
        Short name: letters, digits and ``._+-``, at most 80.
    title : str
        One line for people.
    architecture : str
        Name by which ``networks.create`` knows the network.
    labels : tuple of str
        The classes, in the order of the network's outputs; one is enough where an image can
        have several.
    channels : int
        Channels of the input, 1 or 3.
    multilabel : bool
        Whether an image can have several labels: each output is then a probability of
        its own (a sigmoid), instead of a fraction of one (a softmax).
    head : dict
        The network's head where it is not its own; entries as in a recipe.
    preprocessing : dict
        As `napari_cxr.inference.Preprocessing.to_dict`.
    recipe : dict
        Everything that decided the training run.
    data : dict
        Fingerprint, counts of each class, source and split, and how the split
        was made ('by patient' or 'by image').
    metrics : dict
        Metrics for each source and pooled, with 95 % intervals: ``model``, and
        beside it ``baselines`` by name, classifiers that see no shapes, and
        ``differences``, the model minus each of them. What they are,
        `napari_cxr.metrics.summarise` and `differences` say. ``measured_on`` is 'test',
        'val', or, of a model that learnt from all images after ``folds`` were judged,
        a phrase; ``by_fold`` then has the same of each fold, and ``fitted_on`` says what its
        thresholds were fitted on, where that is not what the folds' models said. ``note``
        is shown before all metrics.
    operating_points : dict
        For each label, probabilities from which on it is predicted, by criterion.
    negative : str
        With `multilabel`: what is said of an image in which no label reaches its threshold.
        Empty means 'No finding', and 'no LABEL' where there is one label; see
        `negative_label`.
    decision : str
        With `multilabel`: the criterion in `operating_points` whose thresholds decide unless a
        person asks for another; a label without it has 0.5, as all have where this is empty.
    undecided : dict
        With `multilabel`: for a label two probabilities, ``[low, high]``; between them the
        answer is 'cannot say'.
    least_margin : float, optional
        Without `multilabel`: by how much the probability of the most probable class must exceed
        that of the next one; else the answer is 'no class stands out'. 0.1 where it is left out,
        0 for no such rule; see `margin`.
    demonstration : str
        One sentence: that the model is a demonstration, and why it is not to be believed.
        Empty for other models.
    temperature : float
        What the logits are divided by before the softmax or the sigmoids.
    bias : tuple of float
        What is then added to each of them; empty for nothing, as in cards of before.
    prevalence : dict
        For each label the fraction of images that have it at which its probabilities hold: that
        of the images on which temperature and bias were fitted, or one that a person stated.
        Empty where it is not known.
    prediction_sets : dict
        How sets of labels are made of which one is right for a stated fraction of the images:
        ``alpha``, the fraction for which none is; ``thresholds``, for each label the probability
        from which on it is in the set; and ``images``, on how many images of the label that
        rests. See `napari_cxr.metrics.conformal`. Empty for none.
    licence : str
        Under what terms the weights may be used.
    attribution : tuple of str
        Whose data they were made from.
    intended_use : str
        What it is for.
    not_to_believe : str
        One paragraph: when its answer is not to be believed.
    not_measured : tuple of str
        What nobody should conclude from the metrics.
    created : str
        Day it was made, ISO 8601.
    version : str
        Version of napari-cxr that made it.

    Raises
    ------
    CheckpointError
        If an entry is not what it should be; the message names it.
    """

    name: str
    title: str
    architecture: str
    labels: tuple[str, ...]
    channels: int
    preprocessing: dict[str, Any]
    multilabel: bool = False
    head: dict[str, Any] = field(default_factory=dict)
    recipe: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    operating_points: dict[str, dict[str, float]] = field(default_factory=dict)
    negative: str = ''
    decision: str = ''
    undecided: dict[str, list[float]] = field(default_factory=dict)
    least_margin: float | None = None
    demonstration: str = ''
    temperature: float = 1.0
    bias: tuple[float, ...] = ()
    prevalence: dict[str, float] = field(default_factory=dict)
    prediction_sets: dict[str, Any] = field(default_factory=dict)
    licence: str = ''
    attribution: tuple[str, ...] = ()
    intended_use: str = NOT_FOR_CLINICAL_USE
    not_to_believe: str = ''
    not_measured: tuple[str, ...] = ()
    created: str = ''
    version: str = ''

    def __post_init__(self) -> None:
        _require(isinstance(self.name, str) and NAME.fullmatch(self.name), 'name')
        for name in _TEXTS:
            _require(is_text(getattr(self, name)), name)
        _require(self.architecture, 'architecture')
        for name in ('labels', 'attribution', 'not_measured'):
            value = getattr(self, name)
            _require(isinstance(value, tuple) and all(map(is_text, value)), name)
        fewest = 1 if self.multilabel is True else 2
        _require(fewest <= len(self.labels) <= _MOST_LABELS and all(self.labels), 'labels')
        _require(len(set(self.labels)) == len(self.labels), 'labels')
        _require(_is_whole(self.channels) and self.channels in (1, 3), 'channels')
        _require(isinstance(self.multilabel, bool), 'several')
        for name in _TABLES:
            _require(isinstance(getattr(self, name), dict), name)
            _require(_is_plain(getattr(self, name)), name)
        _require(_is_head(self.head, len(self.labels), self.multilabel), 'head')
        for side in ('height', 'width'):
            size: Any = self.preprocessing.get(side)
            _require(_is_whole(size) and 1 <= size <= LARGEST_INPUT, 'preprocessing')
        _require(self.preprocessing.get('channels', 1) == self.channels, 'preprocessing')
        _require(_is_number(self.temperature) and self.temperature > 0, 'temperature')
        _require(isinstance(self.bias, tuple) and all(map(_is_number, self.bias)), 'bias')
        _require(len(self.bias) in (0, len(self.labels)), 'bias')
        for label, fraction in self.prevalence.items():
            _require(label in self.labels and _is_fraction(fraction), 'prevalence')
        _require(_are_sets(self.prediction_sets, self.labels), 'prediction_sets')
        for label, points in self.operating_points.items():
            _require(label in self.labels and isinstance(points, dict), 'operating_points')
            _require(
                all(_is_number(p) and 0 <= p <= 1 for p in points.values()), 'operating_points'
            )
        # Which of several classes excludes the others is no matter of thresholds.
        for name in ('negative', 'decision', 'undecided'):
            _require(self.multilabel or not getattr(self, name), name)
        _require(self.negative.casefold() not in map(str.casefold, self.labels), 'negative')
        criteria = {name for points in self.operating_points.values() for name in points}
        _require(not self.decision or self.decision in criteria, 'decision')
        if self.least_margin is not None:
            margin_is_right = _is_number(self.least_margin) and 0 <= self.least_margin <= 1
            _require(margin_is_right and not self.multilabel, 'least_margin')
        for label, band in self.undecided.items():
            _require(label in self.labels and _is_band(band), 'undecided')

    @property
    def negative_label(self) -> str:
        """What is said where no label reaches its threshold; empty without `multilabel`."""
        if not self.multilabel:
            return ''
        return self.negative or ('No finding' if len(self.labels) > 1 else f'no {self.labels[0]}')

    @property
    def thresholds(self) -> tuple[float, ...]:
        """With `multilabel`, the probability from which on each label is predicted; else none."""
        if not self.multilabel:
            return ()
        points = (self.operating_points.get(label, {}) for label in self.labels)
        return tuple(float(named.get(self.decision, 0.5)) for named in points)

    @property
    def margin(self) -> float:
        """By how much a class must be more probable than the next one; 0 with `multilabel`."""
        if self.multilabel:
            return 0.0
        return DEFAULT_MARGIN if self.least_margin is None else float(self.least_margin)

    @property
    def unfinished(self) -> str:
        """Where a training run was when it left this model unfinished; empty for other models.

        For instance 'epoch 3 of 30'. A run that ends gives its model metrics.
        """
        epoch, epochs = self.data.get('epoch'), self.recipe.get('epochs')
        if self.metrics or not _is_whole(epoch):
            return ''
        return f'epoch {epoch} of {epochs}' if _is_whole(epochs) else f'epoch {epoch}'

    def to_dict(self) -> dict[str, Any]:
        """Return the card's entries by the names that they have in files."""
        entries = {_STORED_NAMES.get(name, name): value for name, value in asdict(self).items()}
        # So that earlier versions read what they understand.
        if self.least_margin is None:
            del entries['least_margin']
        for name in ('bias', 'prevalence', 'prediction_sets'):
            if not entries[name]:
                del entries[name]
        return entries

    def to_json(self) -> str:
        """Return the card as one line of JSON."""
        text = json.dumps({'form': _FORM, **self.to_dict()}, ensure_ascii=False, allow_nan=False)
        if len(text) > _LONGEST_CARD:
            raise CheckpointError('The model card is too long to be stored.')
        return text

    @classmethod
    def from_json(cls, text: str) -> Card:
        """Read a card.

        Parameters
        ----------
        text : str
            As `to_json` wrote it.

        Raises
        ------
        CheckpointError
            If it is not a card, is of a newer form, has entries that are missing,
            unknown or wrong, or is unreasonably large.
        """
        if len(text) > _LONGEST_CARD:
            raise CheckpointError('The model card is unreasonably long; the file was not opened.')
        try:
            entries = parse_json(text, parse_constant=_no_constant)
        except ValueError:
            raise CheckpointError('The model card is not readable JSON.') from None
        if not isinstance(entries, dict):
            raise CheckpointError('The model card is not a table of entries.')
        form = entries.pop('form', None)
        if not _is_whole(form):
            raise CheckpointError('The model card does not state its format version.')
        if form > _FORM:
            raise CheckpointError(
                'The model was made by a newer version of napari-cxr; update napari-cxr.'
            )
        attributes = {_STORED_NAMES.get(f.name, f.name): f.name for f in fields(cls)}
        unknown = set(entries) - set(attributes)
        if unknown:
            listed = ', '.join(sorted(str(key)[:40] for key in unknown)[:5])
            raise CheckpointError(f'The model card has unknown entries: {listed!r}.')
        for name in ('labels', 'attribution', 'not_measured', 'bias'):
            if isinstance(entries.get(name), list):
                entries[name] = tuple(entries[name])
        if _is_whole(entries.get('temperature')):
            entries['temperature'] = float(entries['temperature'])
        try:
            return cls(**{attributes[name]: value for name, value in entries.items()})
        except TypeError:
            needed = ('name', 'title', 'architecture', 'labels', 'channels', 'preprocessing')
            missing = ', '.join(name for name in needed if name not in entries)
            raise CheckpointError(f'The model card lacks {missing}.') from None


def _require(condition: object, name: str) -> None:
    if not condition:
        raise CheckpointError(f"The model card's entry {name!r} is missing or wrong.")


def _no_constant(name: str) -> float:
    raise ValueError(f'{name} is not a number in JSON')


def is_text(value: object) -> bool:
    """Return whether a value is a text of a reasonable length, without control characters."""
    return isinstance(value, str) and len(value) <= _LONGEST_TEXT and not _CONTROL.search(value)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_fraction(value: object) -> bool:
    return _is_number(value) and 0 <= value <= 1  # type: ignore[operator]


def _are_sets(value: dict[str, Any], labels: tuple[str, ...]) -> bool:
    if not value:
        return True
    thresholds, images = value.get('thresholds'), value.get('images')
    return (
        set(value) == {'alpha', 'thresholds', 'images'}
        and _is_fraction(value['alpha'])
        and isinstance(thresholds, dict)
        and isinstance(images, dict)
        and set(thresholds) == set(images) == set(labels)
        and all(map(_is_fraction, thresholds.values()))
        and all(_is_whole(n) and n >= 0 for n in images.values())
    )


def _is_band(value: object) -> bool:
    if not isinstance(value, list | tuple) or len(value) != 2 or not all(map(_is_number, value)):
        return False
    return 0 <= value[0] <= value[1] <= 1


def _is_head(head: dict[str, Any], labels: int, multilabel: bool) -> bool:
    """Whether a head can be built: few entries of the right kind, of a size that is meant."""
    hidden, dropout = head.get('hidden', ()), head.get('dropout', 0.0)
    single = head.get('single', False)
    return (
        set(head) <= {'kind', 'hidden', 'dropout', 'single'}
        and head.get('kind', 'own') in ('own', 'average')
        and isinstance(hidden, list | tuple)
        and len(hidden) <= _MOST_LAYERS
        and all(_is_whole(units) and 1 <= units <= _MOST_UNITS for units in hidden)
        and _is_number(dropout)
        and 0 <= dropout < 1
        and isinstance(single, bool)
        # One logit is the second of two classes, of which an image has one.
        and (not single or (labels == 2 and not multilabel))
    )


def _is_plain(value: object, depth: int = 0) -> bool:
    """Whether a value is made of finite numbers, texts, lists and tables, and not too deep."""
    if depth > _DEEPEST:
        return False
    if isinstance(value, Mapping):
        return all(is_text(k) and _is_plain(v, depth + 1) for k, v in value.items())
    if isinstance(value, list | tuple):
        return all(_is_plain(v, depth + 1) for v in value)
    return value is None or isinstance(value, bool) or is_text(value) or _is_number(value)
