"""What a run leaves on disk. No path, name or identifier of a patient is in it."""

from __future__ import annotations

import csv
import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

from napari_cxr import __version__
from napari_cxr.checkpoint.card import CheckpointError
from napari_cxr.training.dataset import Dataset
from napari_cxr.training.events import EpochDone
from napari_cxr.training.recipe import Recipe

__all__ = ['RunFolder', 'TrainingError']


class TrainingError(Exception):
    """A run that cannot start or go on; the message is one clear sentence."""


class RunFolder:
    """The folder of one run.

    Parameters
    ----------
    path : Path
        New, or an empty folder.

    Raises
    ------
    TrainingError
        If there is anything in it already, or it cannot be written to.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self.writing():
            path.mkdir(parents=True, exist_ok=True)
            taken = any(path.iterdir())
        if taken:
            held = 'already holds a run' if (path / 'recipe.toml').exists() else 'is not empty'
            raise TrainingError(f'{path} {held}; give a new or an empty folder.')

    @property
    def name(self) -> str:
        """What the run is called in its events."""
        return self.path.name

    @property
    def best(self) -> Path:
        """The best checkpoint so far."""
        return self.path / 'best.safetensors'

    @property
    def last(self) -> Path:
        """The checkpoint of the last epoch."""
        return self.path / 'last.safetensors'

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Turn whatever goes wrong while writing into one sentence."""
        try:
            yield
        except OSError as error:
            raise TrainingError(f'{self.path} cannot be written to: {error.strerror}.') from error
        except CheckpointError as error:
            raise TrainingError(f'The model cannot be kept: {error}') from error

    def write_recipe(self, recipe: Recipe) -> None:
        """Write ``recipe.toml``."""
        (self.path / 'recipe.toml').write_text(recipe.to_toml(), encoding='utf-8')

    def write_split(self, dataset: Dataset, digests: list[str], splits: list[str]) -> None:
        """Write ``split.csv``: images by a hash of their content, patients by a number."""
        numbers: dict[str, int] = {}
        with (self.path / 'split.csv').open('w', newline='', encoding='utf-8') as file:
            writer = csv.writer(file)
            writer.writerow(['image', 'label', 'split', 'source', 'group'])
            for sample, digest, split in zip(dataset.samples, digests, splits, strict=True):
                number = numbers.setdefault(sample.group, len(numbers))
                writer.writerow([digest, sample.label, split, sample.source, number])

    def write_environment(self, device: str, precision: str, threads: int) -> None:
        """Write ``environment.json``: versions and kind of machine, not its name or user."""
        versions = {
            name: metadata.version(name) for name in ('torch', 'numpy', 'scikit-learn', 'pillow')
        }
        content = {
            'napari-cxr': __version__,
            'python': platform.python_version(),
            **versions,
            'system': platform.system(),
            'processor': platform.machine(),
            'cores': os.cpu_count(),
            'threads': threads,
            'device': device,
            'precision': precision,
        }
        text = json.dumps(content, indent=2) + '\n'
        (self.path / 'environment.json').write_text(text, encoding='utf-8')

    def add_epoch(self, event: EpochDone) -> None:
        """Add a line to ``metrics.csv``."""
        row: dict[str, Any] = asdict(event)
        del row['run'], row['epochs']
        row['confusion'] = ' / '.join(' '.join(map(str, line)) for line in event.confusion)
        path = self.path / 'metrics.csv'
        new = not path.exists()
        with path.open('a', newline='', encoding='utf-8') as file:
            writer = csv.DictWriter(file, row)
            if new:
                writer.writeheader()
            writer.writerow(row)
