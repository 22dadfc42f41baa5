"""What a person wants scored, kept for the next time, and a first look at it."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from napari_cxr import image_files
from napari_cxr.inference.label_rule import LabelRule
from napari_cxr.inference.stated_prevalence import parse_prior
from napari_cxr.scoring.journal import journal_of
from napari_cxr.settings_file import parse_json, read_settings

__all__ = [
    'ImageCount',
    'ScoreRequest',
    'count_images',
    'folders_matching_classes',
    'load_request',
    'next_free_table',
    'save_request',
    'stated_prior',
]


@dataclass(frozen=True, kw_only=True)
class ScoreRequest:
    """Everything that the Batch dock asks the scorer for.

    Parameters
    ----------
    paths : tuple of str
        Images, folders or lists of them.
    labels : str
        Empty, 'folders', or the path of a table.
    out : str
        The table to write.
    model, device : str
        Name in the catalog; device as `napari_cxr.inference.device` takes it.
    shares : bool
        Whether to compute the fraction of each heatmap that lies in the lungs.
    heatmaps : str
        Folder for pictures of the heatmaps; empty for none.
    batch : int
        Batch size; 0 for automatic.
    precision : {'auto', 'float32', 'bfloat16'}
        Numerical precision of the network; 'auto' is what the model's card says.
    decision : str
        Operating point of the model's card; empty for none.
    identify : bool
        Whether the table names patients.
    prior : str
        The prevalence that a person states, ``CLASS=FRACTION`` and several with commas; empty
        for that of the model's card.
    split : str
        The only split to score: 'train', 'val' or 'test'; empty for all images.
    """

    paths: tuple[str, ...]
    out: str
    model: str
    labels: str = ''
    device: str = 'auto'
    shares: bool = True
    heatmaps: str = ''
    batch: int = 0
    precision: str = 'auto'
    decision: str = ''
    identify: bool = False
    split: str = ''
    prior: str = ''

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of the worker's job 'score'."""
        names = ('shares', 'heatmaps', 'batch', 'precision', 'decision', 'identify')
        return {
            'paths': list(self.paths),
            'labels': self.labels or None,
            'out': self.out,
            'model': self.model,
            'device': self.device,
            'split': self.split,
            'settings': {
                **{name: getattr(self, name) for name in names},
                'prior': stated_prior(self.prior),
            },
        }

    def to_json(self) -> str:
        """Return it as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> ScoreRequest:
        """Read what `to_json` wrote; raises ValueError or TypeError for anything else."""
        entries = parse_json(text)
        if not isinstance(entries, dict) or not isinstance(entries.get('paths'), list):
            raise ValueError('not a scoring request')
        known = {field.name for field in fields(cls)}
        entries = {name: value for name, value in entries.items() if name in known}
        return cls(**{**entries, 'paths': tuple(map(str, entries['paths']))})


def stated_prior(text: str) -> dict[str, float]:
    """Return the prevalence by class of 'CLASS=FRACTION, CLASS=FRACTION'; raises ValueError."""
    return parse_prior(part for part in text.split(',') if part.strip())


def save_request(request: ScoreRequest) -> None:
    """Keep a request, by the path of its table; a full disk is not an error.

    File names may identify patients, so only the user's own account can read it.
    """
    path = _path_of(request.out)
    part = path.with_suffix('.part')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.unlink(missing_ok=True)
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), 'wb') as file:
            file.write(request.to_json().encode('utf-8'))
        os.replace(part, path)
    except OSError:
        part.unlink(missing_ok=True)


def load_request(out: str) -> ScoreRequest | None:
    """Return the request that a table was started with, if it was kept."""
    try:
        return ScoreRequest.from_json(read_settings(_path_of(out)))
    except (OSError, ValueError, TypeError):
        return None


def _path_of(out: str) -> Path:
    from platformdirs import user_data_path

    # The name of a table may identify patients, so the file is named by a hash.
    name = hashlib.sha256(os.path.abspath(out).encode('utf-8', 'surrogateescape')).hexdigest()[:20]
    return user_data_path('napari-cxr', appauthor=False) / 'scored' / f'{name}.json'


#: Seconds between two updates of the count, and after which counting is given up.
_PAUSE, _PATIENCE = 0.5, 30.0


@dataclass(frozen=True)
class ImageCount:
    """Number of images found in a folder.

    Parameters
    ----------
    folder : str
        The folder.
    images : int
        Files that are images, by their contents or their name.
    whole : bool
        Whether the count is complete.
    """

    folder: str
    images: int
    whole: bool


def count_images(folder: str) -> Iterator[ImageCount]:
    """Count the images in a folder, for half a minute at most.

    Parameters
    ----------
    folder : str
        The folder.

    Yields
    ------
    ImageCount
        Now and then the count so far; at the end the complete one, unless it took too long.
    """
    start = last = time.monotonic()
    images = 0
    for found in image_files.walk_images(folder, named=True):
        images += found is not None
        now = time.monotonic()
        if now - start > _PATIENCE:
            return
        if now - last > _PAUSE:
            last = now
            yield ImageCount(folder, images, whole=False)
    yield ImageCount(folder, images, whole=True)


def folders_matching_classes(folders: Sequence[str], rule: LabelRule) -> list[str]:
    """Return the sub-folders that give labels to evaluate a model by, in any letter case.

    They have the name of a class of the model, or of its negative class.
    """
    known = {label.casefold() for label in rule.labels}
    return [name for name in folders if name.casefold() in known or rule.is_negative(name)]


def next_free_table(folder: Path, name: str, ending: str) -> Path:
    """Return the path of a table that does not exist, finished or not: 'NAME-1.csv' and so on."""
    number = 1
    while True:
        table = folder / f'{name}-{number}{ending}'
        if not table.exists() and not journal_of(table).exists():
            return table
        number += 1
