"""The folder of a run. No path, name or identifier of a patient is in it.

The path of the model that a run starts from would reveal something about a person's
computer, so a run's folder and its models name that file by its card's name and its
SHA-256. The run keeps a copy until it is finished, so that it can be resumed even if the
file is gone.

Metrics are also written with TensorBoard's own records instead of
`torch.utils.tensorboard`, whose files are named after the machine.
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import json
import os
import platform
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from napari_cxr import __version__
from napari_cxr.checkpoint import CheckpointError, catalog, read_card
from napari_cxr.checkpoint.model_file import digest, write_atomic
from napari_cxr.output_text import from_csv_cell, terminal_line, to_csv_cell
from napari_cxr.settings_file import LARGEST_TABLE, parse_json, read_bounded, read_settings
from napari_cxr.training.dataset import Dataset
from napari_cxr.training.recipe import Recipe, RecipeError
from napari_cxr.training.training_events import EpochDone

__all__ = [
    'CONFUSION',
    'FINAL_STATE_FILE',
    'START_MODEL_FILE',
    'STATE_FILE',
    'RunFolder',
    'TrainingError',
    'find_model',
    'is_hashed',
    'recipe_of',
    'split_table',
    'write_tensorboard_epoch',
]

#: Name of the copy in a run's folder.
START_MODEL_FILE = 'start.safetensors'

#: The state from which a run is resumed; and that of a finished run, to go on for more epochs.
STATE_FILE, FINAL_STATE_FILE = 'state.safetensors', 'final-state.safetensors'

_HASHED = re.compile(r'(?P<name>.+)@sha256:(?P<digest>[0-9a-f]{64})')


def is_hashed(weights: str) -> bool:
    """Return whether an entry `weights` names a model by its name and hash."""
    return _HASHED.fullmatch(weights) is not None


def find_model(recipe: Recipe, folder: Path) -> tuple[Recipe, Path | None]:
    """Return a recipe without a path in `weights`, and the file that `weights` means.

    Parameters
    ----------
    recipe : Recipe
        As a person wrote it, or as a run stored it.
    folder : Path
        The run's, which may hold a copy.

    Returns
    -------
    recipe : Recipe
        With ``NAME@sha256:HASH`` if `weights` was a file, else unchanged.
    file : Path or None
        None if it starts from no model, from one in the catalog by its name alone, or
        from a file that cannot be found any more.

    Raises
    ------
    RecipeError
        If the file is not a model.
    """
    if os.path.isfile(recipe.weights):
        path = Path(recipe.weights)
        try:
            named = f'{read_card(path).name}@sha256:{digest(path)}'
        except (CheckpointError, OSError) as error:
            raise RecipeError(f'weights: {error}') from None
        return recipe.with_changes({'weights': named}), path
    known = _HASHED.fullmatch(recipe.weights)
    if known is None:
        return recipe, None
    places = [folder / START_MODEL_FILE]
    for entry in catalog.entries():
        names = (entry.name, entry.card.name if entry.card else '')
        if entry.path is not None and known['name'] in names:
            places.append(entry.path)
    for path in places:
        if path.is_file() and digest(path) == known['digest']:
            return recipe, path
    return recipe, None


#: Names in TensorBoard: metrics that belong together share a group of charts.
_TAGS = {
    'train_loss': 'loss/training',
    'val_loss': 'loss/validation',
    'train_accuracy': 'accuracy/training',
    'val_accuracy': 'accuracy/validation',
    'val_balanced_accuracy': 'balanced accuracy/validation',
    'train_macro_auc': 'macro AUC/training',
    'val_macro_auc': 'macro AUC/validation',
    'val_macro_f1': 'macro F1/validation',
    'learning_rate': 'learning rate',
    'utilisation': 'utilisation',
    'seconds': 'seconds an epoch',
}


def write_tensorboard_epoch(folder: Path, epoch: EpochDone, restarts: int) -> None:
    """Add an epoch to the event file of a run.

    Parameters
    ----------
    folder : Path
        The run's.
    epoch : EpochDone
        Its metrics; the epoch is the step.
    restarts : int
        How often the run was resumed. Each time it gets a new file, which first makes
        TensorBoard discard what an earlier file says of this epoch and later ones.

    Raises
    ------
    OSError
        If it can't be written.
    ImportError
        If TensorBoard is not installed.
    """
    from tensorboard.compat.proto.event_pb2 import Event, SessionLog
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter

    now = time.time()
    found = sorted(folder.glob(f'events.out.tfevents.*.{restarts}'))
    path = found[0] if found else folder / f'events.out.tfevents.{int(now):010d}.{restarts}'
    records: list[Any] = []
    if not found:
        start = SessionLog(status=SessionLog.START)
        records.append(Event(wall_time=now, step=epoch.epoch, file_version='brain.Event:2'))
        records.append(Event(wall_time=now, step=epoch.epoch, session_log=start))
    metrics = dataclasses.asdict(epoch)
    values = [Summary.Value(tag=tag, simple_value=metrics[name]) for name, tag in _TAGS.items()]
    records.append(Event(wall_time=now, step=epoch.epoch, summary=Summary(value=values)))
    with path.open('ab') as file:
        writer = RecordWriter(file)
        for record in records:
            writer.write(record.SerializeToString())


#: What an interrupted start may have left behind; without a recipe there is no run yet.
_STARTED_FILES = ('split.csv', 'environment.json', 'log.txt', START_MODEL_FILE)

#: How the columns of ``metrics.csv`` begin that hold the confusion matrix: its entries by true and
#: predicted label, one true label after the other.
CONFUSION = 'confusion_'

#: The column that holds the whole matrix in runs that version 0.1 started.
_MATRIX_IN_A_CELL = 'confusion'

_PACKAGES = ('torch', 'torchvision', 'timm', 'numpy', 'scikit-learn', 'pillow', 'safetensors')


class TrainingError(Exception):
    """A run that cannot start or continue; the message is one clear sentence."""


def recipe_of(folder: str | Path) -> Recipe:
    """Read the recipe of a run, to resume it or to load its settings.

    Raises
    ------
    TrainingError
        If there is no run in the folder, or its recipe is damaged.
    """
    folder = Path(folder)
    try:
        content = read_bounded(folder / 'recipe.toml')
    except FileNotFoundError:
        raise TrainingError(f'There is no run in {folder}: it has no recipe.toml.') from None
    except OSError as error:
        raise TrainingError(f'{folder} cannot be read: {error.strerror}.') from error
    _refuse_damage(folder, 'recipe.toml', content)
    try:
        return Recipe.from_toml(content.decode())
    except (RecipeError, UnicodeDecodeError) as error:
        raise TrainingError(f'The recipe.toml in {folder} is damaged: {error}') from None


def _refuse_damage(folder: Path, name: str, content: bytes) -> None:
    """Compare a file with its hash from the start of the run, if there is one."""
    try:
        environment = parse_json(read_settings(folder / 'environment.json'))
        written = environment['sha256'][name]
    except (OSError, ValueError, KeyError, TypeError):
        return
    if _digest(content) != written:
        raise TrainingError(
            f'The {name} in {folder} has changed since the run started, or is damaged, so it '
            'cannot be used; start a new run.'
        )


def split_table(dataset: Dataset, digests: Sequence[str], splits: Sequence[str]) -> str:
    """Return ``split.csv``: images by a hash of their content, patients by a number."""
    numbers: dict[str, int] = {}
    text = io.StringIO(newline='')
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(['image', 'label', 'split', 'source', 'group'])
    for sample, image_digest, split in zip(dataset.samples, digests, splits, strict=True):
        number = numbers.setdefault(sample.group, len(numbers))
        label, source = to_csv_cell(sample.label), to_csv_cell(sample.source)
        writer.writerow([image_digest, label, split, source, number])
    return text.getvalue()


def _cells_of(table: bytes) -> list[list[str]]:
    """Return the texts in a table, also in one from before cells were kept from being formulas."""
    lines = csv.reader(io.StringIO(table.decode('utf-8', 'replace'), newline=''))
    return [[from_csv_cell(cell) for cell in line] for line in lines]


class RunFolder:
    """The folder of one run.

    Parameters
    ----------
    path : Path
        New, or an empty folder, unless resumed.
    recipe : Recipe
        What the run does.
    resume : bool
        Whether to continue the run in it; if there is none, it starts.
    writes : bool
        Whether to write anything; only one of several processes does.

    Attributes
    ----------
    started : bool
        Whether it contains a run that is continued.

    Raises
    ------
    TrainingError
        If it contains other files, a finished run or a run of another recipe, or cannot
        be written to.
    """

    def __init__(
        self, path: Path, recipe: Recipe, *, resume: bool = False, writes: bool = True
    ) -> None:
        self.path, self.recipe, self.writes = path, recipe, writes
        self.metrics = ''
        self.restarts = 0
        with self.writing():
            if writes:
                path.mkdir(parents=True, exist_ok=True)
            found = {p.name for p in path.iterdir()} if path.is_dir() else set()
        self.started = resume and 'recipe.toml' in found
        if not self.started:
            left = (
                {n for n in found if n in _STARTED_FILES or n.endswith('.part')}
                if resume
                else set()
            )
            if found - left:
                held = 'already contains a run' if 'recipe.toml' in found else 'is not empty'
                hint = '' if resume or held == 'is not empty' else ', or resume it'
                raise TrainingError(f'{path} {held}; choose a new or empty folder{hint}.')
            return
        if 'result.json' in found:
            raise TrainingError(f'The run in {path} is finished; there is nothing to resume.')
        changed = _differences(recipe_of(path).to_dict(), recipe.to_dict())
        if changed:
            raise TrainingError(
                f'The run in {path} has another recipe, so it cannot be resumed with this one: '
                f'{changed[0]} differs. Start a new run in another folder.'
            )

    @property
    def name(self) -> str:
        """The name of the run in its events."""
        return self.path.name

    @property
    def best(self) -> Path:
        """The best checkpoint so far."""
        return self.path / 'best.safetensors'

    @property
    def last(self) -> Path:
        """The checkpoint of the last epoch that was kept."""
        return self.path / 'last.safetensors'

    @property
    def state(self) -> Path:
        """The state from which a run is resumed."""
        return self.path / STATE_FILE

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Turn errors of writing into one sentence."""
        try:
            yield
        except OSError as error:
            raise TrainingError(
                f'{self.path} cannot be written to: {error.strerror}. The files already in it are '
                'intact: free some space and resume the run, or start it in another folder.'
            ) from error
        except CheckpointError as error:
            raise TrainingError(f'The model cannot be saved: {error}') from error

    def keep_model(self, model: Path | None) -> None:
        """Keep a copy of the model that the run starts from, until it is finished."""
        if model is not None and self.writes:
            with self.writing():
                write_atomic(self.path / START_MODEL_FILE, model.read_bytes())

    def start(self, split: str, environment: dict[str, Any]) -> None:
        """Write what is known at the start; the recipe last, since it makes this a run."""
        texts = {'split.csv': split, 'recipe.toml': self.recipe.to_toml()}
        digests = {name: _digest(text.encode()) for name, text in texts.items()}
        content = _versions() | environment | {'sha256': digests}
        with self.writing():
            self._write('environment.json', json.dumps(content, indent=2) + '\n')
            for name, text in texts.items():
                self._write(name, text)

    def check_split(self, split: str) -> None:
        """Check that the data are those with which the run started.

        Parameters
        ----------
        split : str
            The table of the data as they are now.

        Raises
        ------
        TrainingError
            If they are not, or the file is damaged.
        """
        try:
            stored = read_bounded(self.path / 'split.csv', LARGEST_TABLE)
        except OSError as error:
            raise TrainingError(
                f'The split.csv of the run cannot be read: {error.strerror}.'
            ) from error
        _refuse_damage(self.path, 'split.csv', stored)
        if stored != split.encode() and _cells_of(stored) != _cells_of(split.encode()):
            raise TrainingError(
                'The images, their labels or their patients have changed since the run started, '
                'so it cannot be resumed; restore them, or start a new run.'
            )

    def metadata(self) -> dict[str, Any]:
        """Return what a state stores of this folder, see `resume`."""
        return {'metrics': self.metrics}

    def resume(self, metadata: dict[str, Any] | None) -> None:
        """Reset the files to the state that is resumed, or to the start if there is none."""
        self.metrics = metadata['metrics'] if metadata else ''
        if not self.writes:
            return
        with self.writing():
            self.restarts = len(list(self.path.glob('events.out.tfevents.*')))
            for half in self.path.glob('.*.part'):
                half.unlink()
            self._write('metrics.csv', self.metrics)

    def log(self, sentence: str) -> None:
        """Add a sentence to ``log.txt``, with the time; without the folder's path."""
        if not self.writes:
            return
        sentence = sentence.replace(str(self.path), 'the folder of the run')
        line = f'{datetime.now().astimezone().isoformat(timespec="seconds")} {sentence}'
        with self.writing(), (self.path / 'log.txt').open('a', encoding='utf-8') as file:
            file.write(f'{terminal_line(line)}\n')

    def add_epoch(self, event: EpochDone, labels: Sequence[str]) -> None:
        """Add a line to ``metrics.csv`` and, where TensorBoard is installed, to its event file.

        Parameters
        ----------
        event : EpochDone
            What there is to say of the epoch.
        labels : sequence of str
            Those of the rows and columns of its confusion matrix.
        """
        if not self.writes:
            return

        row: dict[str, Any] = asdict(event)
        del row['run'], row['epochs'], row['confusion']
        if _MATRIX_IN_A_CELL in self.metrics.partition('\n')[0].split(','):
            row[_MATRIX_IN_A_CELL] = ' / '.join(' '.join(map(str, n)) for n in event.confusion)
        elif event.confusion:
            for truth, counts in zip(labels, event.confusion, strict=True):
                for predicted, count in zip(labels, counts, strict=True):
                    row[f'{CONFUSION}{truth}_{predicted}'] = count
        text = io.StringIO(newline='')
        writer = csv.DictWriter(text, row, lineterminator='\n')
        if not self.metrics:
            writer.writeheader()
        writer.writerow(row)
        self.metrics += text.getvalue()
        with self.writing():
            with (self.path / 'metrics.csv').open('a', newline='', encoding='utf-8') as file:
                file.write(text.getvalue())
            with suppress(ImportError):  # TensorBoard is an extra: without it, no event files
                write_tensorboard_epoch(self.path, event, self.restarts)

    def finish(self, result: dict[str, Any]) -> None:
        """Write ``result.json``, which marks the run as finished."""
        with self.writing():
            self._write('result.json', json.dumps(result, indent=2) + '\n')
            self.state.unlink(missing_ok=True)
            (self.path / START_MODEL_FILE).unlink(missing_ok=True)

    def _write(self, name: str, text: str) -> None:
        if self.writes:
            write_atomic(self.path / name, text.encode())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _differences(one: dict[str, Any], other: dict[str, Any], where: str = '') -> list[str]:
    """Return the entries in which two nested tables differ."""
    found = []
    for key in sorted(one.keys() | other.keys()):
        a, b = one.get(key), other.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            found += _differences(a, b, f'{where}{key}.')
        elif a != b:
            found.append(f'{where}{key}')
    return found


def _versions() -> dict[str, Any]:
    """Return versions and the kind of machine, not its name or user."""
    return {
        'napari-cxr': __version__,
        'python': platform.python_version(),
        **{name: metadata.version(name) for name in _PACKAGES},
        'system': platform.system(),
        'processor': platform.machine(),
        'cores': os.cpu_count(),
    }
