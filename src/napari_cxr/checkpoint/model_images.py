"""Which images made a model: those of its training run, known by hashes of their files.

Scores of the images that a model was trained on say nothing of others, so scoring asks here.
A run's folder names its images by the first 16 hexadecimal digits of the SHA-256 of their files
(``split.csv``). A card holds 8 digits of each, in four bytes, so that a copy of the model knows
them too: two million images that are no part of the run give one false alarm for a run of 2,000
images.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from napari_cxr.checkpoint.card import Card
from napari_cxr.checkpoint.model_file import digest
from napari_cxr.output_text import from_csv_cell
from napari_cxr.settings_file import LARGEST_TABLE, read_bounded

__all__ = ['CARD_ENTRY', 'ModelImages', 'image_digest', 'packed_digests', 'sources_known_to']

#: Under which name the hashes stand in a card's ``data``.
CARD_ENTRY = 'image_hashes'

#: Names of the splits, as run folders and cards write them.
_SPLITS = ('train', 'val', 'test')

#: Hexadecimal digits by which run folders name an image, and bytes by which cards do.
_DIGITS, _BYTES = 16, 4

#: Characters in one text of a card; a whole number of hashes in base64.
_CHUNK = 4000

#: A card has room for so many; of more images only the folder of the run knows.
_MOST = 100_000

_SHIPPED = 'training_images.json'


def image_digest(path: str | Path) -> str:
    """Return how run folders name an image: 16 digits of its file's SHA-256; raises OSError."""
    return digest(path)[:_DIGITS]


def packed_digests(digests: Sequence[str], splits: Sequence[str]) -> dict[str, list[str]]:
    """Return the images of a run as its card holds them.

    Parameters
    ----------
    digests, splits : sequence of str
        As `image_digest` names each, and 'train', 'val', 'test' or an empty text.

    Returns
    -------
    dict of str to list of str
        By split: the first four bytes of each, sorted, in base64; empty for more than 100,000
        images.
    """
    if len(digests) > _MOST:
        return {}
    found: dict[str, list[str]] = {}
    for split in _SPLITS:
        own = sorted({d[: 2 * _BYTES] for d, s in zip(digests, splits, strict=True) if s == split})
        text = base64.b64encode(bytes.fromhex(''.join(own))).decode('ascii')
        if text:
            found[split] = [text[i : i + _CHUNK] for i in range(0, len(text), _CHUNK)]
    return found


def sources_known_to(card: Card, sources: Collection[str]) -> list[str]:
    """Return which sources of images a model was trained on, by what its card says.

    Parameters
    ----------
    card : Card
        Its counts name sources, and its credits the collections that others trained it on.
    sources : collection of str
        Names of collections or hospitals; the form of a name, as in 'COVID-CXNet' and
        'covidcxnet', does not matter.
    """
    counts = card.data.get('counts')
    named = {_plain(name) for name in counts} if isinstance(counts, dict) else set()
    named |= {_plain(word) for text in card.attribution for word in text.split()}
    return sorted(
        source for source in sources if len(_plain(source)) > 1 and _plain(source) in named
    )


def _plain(name: str) -> str:
    return ''.join(letter for letter in str(name).casefold() if letter.isalnum())


class ModelImages:
    """The images of the run that made a model.

    Parameters
    ----------
    splits : mapping of str to str
        'train', 'val' or 'test' by the first digits of an image's hash, all of one length.
    """

    def __init__(self, splits: Mapping[str, str]) -> None:
        self._splits = dict(splits)
        self._digits = len(next(iter(self._splits), ''))

    def __len__(self) -> int:
        return len(self._splits)

    def split_of(self, image: str) -> str:
        """Return the split that an image was in, by its `image_digest`; or an empty text."""
        return self._splits.get(image[: self._digits], '')

    @classmethod
    def of_model(cls, path: str | Path, card: Card) -> ModelImages | None:
        """Return the images of a model's run; None where they are not known.

        Parameters
        ----------
        path : str or Path
            The model's file. Where it lies in the folder of its run, and the fingerprint of the
            data there is the card's, that folder says which they are.
        card : Card
            Its card, which holds them too; of the bundled models a list comes with the program.
        """
        fingerprint = card.data.get('fingerprint')
        if not isinstance(fingerprint, str):
            return None
        found = _in_run_folder(Path(path).parent / 'split.csv', fingerprint)
        found = found or _unpacked(card.data.get(CARD_ENTRY)) or _shipped(fingerprint)
        return cls(found) if found else None


def _in_run_folder(table: Path, fingerprint: str) -> dict[str, str]:
    """Return the images of a run by its ``split.csv``, if that is the run of a fingerprint."""
    try:
        text = read_bounded(table, LARGEST_TABLE).decode('utf-8')
        rows = [row for row in csv.DictReader(text.splitlines()) if row['split']]
        lines = sorted(
            f'{row["image"]} {from_csv_cell(row["label"])} {row["split"]}' for row in rows
        )
        # As `napari_cxr.training.model_evaluation.describe_data` makes it.
        if hashlib.sha256('\n'.join(lines).encode()).hexdigest() != fingerprint:
            return {}
        return {row['image']: row['split'] for row in rows}
    except (OSError, ValueError, KeyError, TypeError, csv.Error):
        return {}


def _unpacked(packed: Any) -> dict[str, str]:
    """Undo `packed_digests`; nothing where it is something else."""
    found: dict[str, str] = {}
    try:
        for split in _SPLITS:
            digits = base64.b64decode(''.join(packed.get(split, ())), validate=True).hex()
            for start in range(0, len(digits), 2 * _BYTES):
                found.setdefault(digits[start : start + 2 * _BYTES], split)
    except (AttributeError, TypeError, ValueError):
        return {}
    return found


def _shipped(fingerprint: str) -> dict[str, str]:
    """Return the images of a bundled model."""
    listed = resources.files('napari_cxr') / 'weights' / _SHIPPED
    return _unpacked(json.loads(listed.read_text(encoding='utf-8')).get(fingerprint))
