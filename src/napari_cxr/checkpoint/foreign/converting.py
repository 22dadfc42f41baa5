"""From a file of another program to one of ours, with a card that says what it means."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from napari_cxr import __version__
from napari_cxr.checkpoint.card import NOT_FOR_CLINICAL_USE, Card, CheckpointError
from napari_cxr.checkpoint.file import digest, save
from napari_cxr.checkpoint.foreign.fitting import fit
from napari_cxr.checkpoint.foreign.refusal import ForeignFileError
from napari_cxr.checkpoint.foreign.torch_file import read_state

__all__ = ['LIBRARY', 'Meaning', 'check_labels', 'convert']

#: What the thresholds are called that come with a library's weights.
LIBRARY = 'library'
#: Labels that are about the person and not about a finding.
_PERSON = {'age', 'sex', 'gender', 'race', 'ethnicity', 'male', 'female'}
_GROUPS = {'asian', 'black', 'white', 'hispanic', 'latino', 'caucasian', 'man', 'woman'}


@dataclass(frozen=True)
class Meaning:
    """What nobody can read out of a file: what the outputs mean and what the input is.

    Parameters
    ----------
    architecture : str
        A network of `napari_cxr.networks`.
    labels : tuple of str
        Of the outputs, in their order; an output without a name is left out.
    thresholds : tuple of float, optional
        From which probability on each label is predicted, NaN where that is not known.
    size : tuple of int
        Height and width of the input.
    mean, std : tuple of float
        Normalisation of each channel of an input in [0, 1].
    fit : {'crop', 'stretch', 'pad'}
        As of `Preprocessing`.
    several : bool
        Whether an image can have several labels.
    title, licence, not_to_believe : str
        As of `Card`.
    attribution, not_measured : tuple of str
        As of `Card`.
    source : dict
        What else the card shall say of where the weights are from.
    """

    architecture: str
    labels: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    thresholds: tuple[float, ...] = ()
    size: tuple[int, int] = (224, 224)
    fit: str = 'crop'
    several: bool = False
    title: str = ''
    licence: str = ''
    not_to_believe: str = ''
    attribution: tuple[str, ...] = ()
    not_measured: tuple[str, ...] = ()
    source: dict[str, Any] = field(default_factory=dict)


def convert(source: str | Path, target: str | Path, name: str, meaning: Meaning) -> Card:
    """Write the weights of another program as a model of ours, and run nothing of the file.

    Parameters
    ----------
    source : str or Path
        As `read_state` takes it.
    target : str or Path
        Where to; the folder must exist.
    name : str
        What the model shall be called.
    meaning : Meaning
        What outputs and input mean.

    Returns
    -------
    Card
        The one that is in the file.

    Raises
    ------
    CheckpointError
        If the file is not admitted, does not fit, or a label is about the person.
    """
    source = Path(source)
    check_labels(meaning.labels)
    found = read_state(source)
    try:
        fitted = fit(found.tensors, meaning.architecture, meaning.labels, meaning.size)
    except ForeignFileError as error:
        raise ForeignFileError(f'{source.name} was not read. {error}') from None
    if len(meaning.mean) not in (1, fitted.channels) or len(meaning.std) != len(meaning.mean):
        raise ForeignFileError(
            f'The network reads {fitted.channels} channel(s), so mean and std are '
            f'{fitted.channels} number(s) each, or one for all.'
        )
    card = Card(
        name=name,
        title=meaning.title or f'{meaning.architecture} from {source.name}',
        architecture=meaning.architecture,
        labels=tuple(label for label in meaning.labels if label),
        channels=fitted.channels,
        several=meaning.several,
        preprocessing=_preprocessing(meaning, fitted.channels),
        data={'converted': {'sha256': digest(source), 'form': found.form, **meaning.source}},
        operating_points=_operating_points(meaning),
        decision=LIBRARY if _operating_points(meaning) else '',
        licence=meaning.licence,
        attribution=meaning.attribution,
        intended_use=NOT_FOR_CLINICAL_USE,
        not_to_believe=meaning.not_to_believe,
        not_measured=meaning.not_measured,
        created=datetime.now(UTC).date().isoformat(),
        version=__version__,
    )
    try:
        save(target, fitted.tensors, card)
    except OSError as error:
        raise CheckpointError(f'The model cannot be written: {error.strerror}.') from error
    return card


def check_labels(labels: Sequence[str]) -> None:
    """Refuse labels that are about the person: age, sex, gender, race, ethnicity."""
    for label in labels:
        words = re.findall('[a-z]+', label.lower())
        if _PERSON & set(words) or (len(words) == 1 and words[0] in _GROUPS):
            raise ForeignFileError(
                f'The label {label!r} is about the person and not about a finding; napari-cxr '
                'offers no guesses of age, sex or race. Leave its name empty to leave it out.'
            )


def _preprocessing(meaning: Meaning, channels: int) -> dict[str, Any]:
    """Return what a card says of the input; as `napari_cxr.inference.Preprocessing` has it."""
    mean, std = meaning.mean, meaning.std
    if not all(map(math.isfinite, (*mean, *std))) or min(std) <= 0:
        raise ForeignFileError('mean and std are numbers, and std is above 0.')
    each = channels if len(mean) == 1 else 1
    return {
        'height': meaning.size[0],
        'width': meaning.size[1],
        'fit': meaning.fit,
        'channels': channels,
        'mean': list(mean) * each,
        'std': list(std) * each,
        'stretch': None,
    }


def _operating_points(meaning: Meaning) -> dict[str, dict[str, float]]:
    if not meaning.several or not meaning.thresholds:
        return {}
    pairs = zip(meaning.labels, meaning.thresholds, strict=True)
    return {label: {LIBRARY: t} for label, t in pairs if label and not math.isnan(t)}
