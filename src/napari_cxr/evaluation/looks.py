"""Notes a look at a set in its ledger, and tells how often one has looked before."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from napari_cxr.evaluation.evaluation_ledger import (
    EvaluationLedger,
    EvaluationRecord,
    ledger_beside,
    ledger_of_user,
)
from napari_cxr.evaluation.selection_optimism import best_of_chance
from napari_cxr.scoring.input_lists import ListingError
from napari_cxr.training.sealed_images import SealedSet, keep_sealed, sealed_among

__all__ = ['note_answers', 'note_look', 'open_ledgers', 'seals_of', 'set_kind']


def note_look(
    place: Path, fingerprint: str, metrics: Mapping[str, Any], varied: Mapping[str, Any]
) -> dict[str, Any]:
    """Add a line for each model to the ledger, and return what it says of the set.

    Parameters
    ----------
    place : Path
        The folder or table, beside which the ledger lies if that can be written to.
    fingerprint : str
        Of the images that were evaluated by.
    metrics : mapping
        As `napari_cxr.evaluation.measuring.measure` returns them.
    varied : mapping
        Settings that decide figures, for the configuration.

    Returns
    -------
    dict
        ``looks``: evaluations of this set so far, with this one; ``configurations``: different
        ones; ``models``: different models; ``kind``, see `set_kind`; ``optimism``: what the best
        of so many is expected to be too high by: ``nested`` between the models of this
        evaluation, and ``at_most`` between all configurations; ``ledger``: 'beside the set' or
        'in the user data folder'; ``said``: this in words.
    """
    beside, own = open_ledgers(place, fingerprint)
    models = metrics['models']
    purpose = 'choose' if len(models) > 1 else 'report'
    records = [
        EvaluationRecord(
            images=fingerprint,
            configuration=_configuration(model['model_hash'], varied),
            purpose=purpose,
            auc=(model.get('auc') or {}).get('value') or math.nan,
            model_hash=model['model_hash'],
            varied=name,
        )
        for name, model in models.items()
    ]
    where = 'beside the set'
    try:
        beside.append(records)
    except OSError:
        try:
            own.append(records)
            where = 'in the user data folder'
        except OSError as failure:
            where = f'nowhere, because nothing could be written ({failure.strerror})'
    known = [r for r in (*beside, *own) if r.images == fingerprint] or records
    configurations = {record.configuration for record in known}
    hashes = {record.model_hash for record in known}
    error = max((_error(model.get('auc')) for model in models.values()), default=0.0)
    at_most = round(best_of_chance(len(configurations), error), 6)
    kind = set_kind(known, models)
    return {
        'looks': len(known),
        'configurations': len(configurations),
        'models': len(hashes),
        'kind': kind,
        'first': min(record.time for record in known),
        'optimism': {'nested': metrics['optimism'], 'at_most': at_most},
        'ledger': where,
        'said': _in_words(len(known), len(configurations), len(hashes), kind, at_most),
    }


def open_ledgers(place: Path, fingerprint: str) -> tuple[EvaluationLedger, EvaluationLedger]:
    """Return the ledgers that may know a set: beside it, and of the user.

    Raises
    ------
    ListingError
        If one cannot be read; without it nobody knows how often one has looked.
    """
    found = []
    for path in (ledger_beside(place), ledger_of_user(fingerprint)):
        try:
            found.append(EvaluationLedger(path))
        except ValueError as error:
            raise ListingError(
                f'{error}. The ledger {path} says how often one has looked at these images. '
                'Repair the line, or move the file away to begin anew.'
            ) from None
        except OSError as error:
            raise ListingError(
                f'{path.parent} cannot be read ({error.strerror}), but a file in it may say how '
                'often one has looked at these images. Make it readable; if it is in a home that '
                'is not yours, name one of your own in the variable HOME.'
            ) from None
    return found[0], found[1]


def set_kind(records: list[EvaluationRecord], models: Mapping[str, Any]) -> str:
    """Return what a set is by now: 'training set', 'development set' or 'test set'.

    A set on which several models were compared, or by which one was chosen or trained, says
    less of patients to come than one that was looked at once.
    """
    seen = [model.get('seen', {}) for model in models.values()]
    if any(one.get('train') for one in seen):
        return 'training set'
    several = len({record.model_hash for record in records}) > 1
    if several or any(record.purpose == 'choose' for record in records):
        return 'development set'
    return 'development set' if any(one.get('val') for one in seen) else 'test set'


def seals_of(
    models: Mapping[str, str], digests: Sequence[str], thumbnails: np.ndarray
) -> list[SealedSet]:
    """Return the sealed sets that some images belong to, if they may answer for models.

    Parameters
    ----------
    models : mapping of str to str
        The hash of each, by its name.
    digests, thumbnails
        Of the images, as `napari_cxr.training.sealed_images.sealed_among` takes them.

    Raises
    ------
    ListingError
        If one of the sets has answered for one of the models, or cannot be read.
    """
    try:
        found = {one.fingerprint: one for one in sealed_among(digests, thumbnails).values()}
    except ValueError as error:
        raise ListingError(str(error)) from None
    for sealed in found.values():
        for name, model_hash in models.items():
            if answer := sealed.answers.get(model_hash):
                auc = answer.get('auc')
                said = 'no AUC' if auc is None else f'AUC {auc:.3f}'
                raise ListingError(
                    f'The set {sealed.name!r} is sealed. It answers once for each model, and has '
                    f'answered for {name} on {str(answer.get("time"))[:10]}: {said}. That report '
                    'stands.'
                )
    return list(found.values())


def note_answers(
    seals: Sequence[SealedSet], models: Mapping[str, Any], new: SealedSet | None = None
) -> None:
    """Keep what sealed sets have answered, and a set that is sealed now; raises OSError."""
    now = datetime.now(UTC).isoformat(timespec='seconds')
    answers = {
        own['model_hash']: {'time': now, 'auc': (own.get('auc') or {}).get('value')}
        for own in models.values()
    }
    known = {sealed.fingerprint for sealed in seals}
    every = [*seals, *([] if new is None or new.fingerprint in known else [new])]
    for sealed in every:
        keep_sealed(sealed.with_answers(answers))


def _configuration(model_hash: str, varied: Mapping[str, Any]) -> str:
    text = json.dumps({'model': model_hash, **varied}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _error(auc: Mapping[str, Any] | None) -> float:
    """Return the standard error of a figure, by the width of its interval."""
    if not auc or auc['interval'] is None:
        return 0.0
    low, high = auc['interval']
    return float(high - low) / (2 * 1.959964)


def _in_words(looks: int, configurations: int, models: int, kind: str, at_most: float) -> str:
    times = 'twice' if looks == 2 else f'{looks:,} times'
    said = (
        'This is the first evaluation on these images, with '
        if looks == 1
        else f'These images have been looked at {times}, with '
    )
    said += f'{configurations:,} configuration{"s" * (configurations != 1)} of '
    said += f'{models:,} model{"s" * (models != 1)}.'
    if kind == 'development set' or models > 1:
        said += (
            ' That makes them a development set: a result on them helps to choose, and is too '
            'high for the one that was chosen.'
        )
    if configurations > 1:
        said += (
            f' The best of {configurations:,} equally good ones would come out at most '
            f'{at_most:.3f} too high by luck alone.'
        )
    return said
