"""Checkpoints of a run: its best and last weights with their card, and its state.

The state is everything of a run between two steps, in one file from which the run is
resumed bit by bit; nothing is pickled.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from napari_cxr import __version__, lungs
from napari_cxr.checkpoint import Card, Checkpoint, save
from napari_cxr.checkpoint.card import DEFAULT_MARGIN
from napari_cxr.checkpoint.model_file import write_atomic
from napari_cxr.metrics.calibration import probabilities_of
from napari_cxr.settings_file import open_regular, parse_json
from napari_cxr.training.model_evaluation import evaluate_model, write_predictions
from napari_cxr.training.network_setup import frozen_stages, head_entries
from napari_cxr.training.run_folder import RunFolder, TrainingError
from napari_cxr.training.training_events import EpochDone, RunProgress
from napari_cxr.training.training_run import TrainingRun

__all__ = [
    'CheckpointWriter',
    'build_card',
    'load_state',
    'measure_model',
    'read_metadata',
    'read_progress',
    'save_state',
]

_CONTENT = 'napari_cxr.state'

#: Version of this format; others are refused.
_FORM = 1

#: Entries that states of earlier versions lack.
_LATER = ('best_loss', 'least_loss')


def save_state(path: Path, run: TrainingRun, metadata: dict[str, Any]) -> None:
    """Write weights, their average, optimiser and progress, atomically.

    Parameters
    ----------
    path : Path
        The file.
    run : TrainingRun
        Between two steps.
    metadata : dict
        What `read_metadata` returns: plain values.

    Raises
    ------
    OSError
        If it can't be written; an earlier file stays as it is.
    """
    from safetensors.torch import save as to_bytes

    tensors = {f'network.{name}': t for name, t in run.network.state_dict().items()}
    if run.evaluated is not run.network:
        tensors |= {f'average.{name}': t for name, t in run.evaluated.state_dict().items()}
    for number, entries in run.optimiser.state_dict()['state'].items():
        for name, value in entries.items():
            if isinstance(value, Tensor):  # SGD without momentum keeps a None
                tensors[f'optimiser.{number}.{name}'] = value
    progress = asdict(run.progress)
    logits = progress.pop('logits')
    if logits:
        tensors['logits'] = torch.from_numpy(np.concatenate(logits))
    content = {'form': _FORM, 'progress': progress, 'notes': metadata}
    stored = {name: t.detach().to('cpu').contiguous() for name, t in tensors.items()}
    write_atomic(path, to_bytes(stored, metadata={_CONTENT: json.dumps(content)}))


def read_metadata(path: Path) -> dict[str, Any]:
    """Return the metadata of a state, without its tensors.

    Raises
    ------
    TrainingError
        If the file is damaged, or of another version.
    """
    with _open_state(path) as file:
        metadata: dict[str, Any] = _header_of(file)['notes']
        return metadata


def read_progress(path: Path) -> tuple[int, int]:
    """Return how many epochs a state has done, and how many batches of the next one.

    Raises
    ------
    TrainingError
        If the file is damaged, or of another version.
    """
    with _open_state(path) as file:
        progress = _header_of(file)['progress']
        return int(progress['epoch']), int(progress['batch'])


def load_state(path: Path, run: TrainingRun) -> None:
    """Restore a run from its state.

    Parameters
    ----------
    path : Path
        As `save_state` wrote it.
    run : TrainingRun
        A new one of the same recipe and data.

    Raises
    ------
    TrainingError
        If the file is damaged, of another version, or of another run.
    """
    with _open_state(path) as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        _restore(run, tensors, _header_of(file)['progress'])


@contextmanager
def _open_state(path: Path) -> Iterator[Any]:
    try:
        open_regular(path).close()
        with safe_open(path, framework='pt') as file:
            yield file
    except OSError as error:
        raise TrainingError(f'{path.name} cannot be read: {error.strerror}.') from error
    except (SafetensorError, KeyError, ValueError, TypeError, RuntimeError):
        raise TrainingError(
            f'{path.name} is damaged, or not of this run, so it cannot be resumed; '
            'the best checkpoint is still there. Start a new run.'
        ) from None


def _header_of(file: Any) -> dict[str, Any]:
    content: dict[str, Any] = parse_json((file.metadata() or {})[_CONTENT])
    if content['form'] != _FORM:
        raise TrainingError(
            'The run was started by another version of napari-cxr; resume it with that version.'
        )
    return content


def _restore(run: TrainingRun, tensors: dict[str, Tensor], progress: dict[str, Any]) -> None:
    def under(prefix: str) -> dict[str, Tensor]:
        found = (name for name in tensors if name.startswith(prefix))
        return {name.removeprefix(prefix): tensors[name] for name in found}

    now = RunProgress(**progress)
    known = {f.name for f in fields(RunProgress)} - {'logits', *_LATER}
    if set(progress) - set(_LATER) != known or math.isnan(now.best):
        raise ValueError
    if 'logits' in tensors:
        now.logits = [tensors['logits'].numpy()]
    # Copied into the existing tensors, which keeps their memory layout: that decides the
    # order of some sums.
    run.network.load_state_dict(under('network.'))
    if run.evaluated is not run.network:
        run.evaluated.load_state_dict(under('average.'))
    parameters = [p for group in run.optimiser.param_groups for p in group['params']]
    state: dict[int, dict[str, Any]] = {}
    for name, value in under('optimiser.').items():
        number, _, key = name.partition('.')
        like = parameters[int(number)]
        if value.shape == like.shape and value.ndim:
            value = torch.empty_like(like, requires_grad=False).copy_(value)
        state.setdefault(int(number), {})[key] = value
    run.optimiser.load_state_dict({**run.optimiser.state_dict(), 'state': state})
    run.progress = now


#: Seconds between two states within a long epoch.
_INTERVAL = 120.0

#: Writing takes at most about this fraction of a run's time, even if epochs are short.
_TIME_FRACTION = 0.05

#: Assumed seconds that writing takes, until it was timed.
_GUESSED = 0.1


class CheckpointWriter:
    """The best weights, the last, and the state from which a run is resumed.

    Written at the end of an epoch, unless epochs are so short that writing would take more
    than a twentieth of the time; then the best weights wait in memory, without frozen
    stages. A run that is killed before they are written repeats these epochs, with the same
    result.

    Parameters
    ----------
    run : TrainingRun
        The run.
    folder : RunFolder
        Its folder.
    card : callable
        Returns the card of a checkpoint, given its epoch.
    """

    def __init__(self, run: TrainingRun, folder: RunFolder, card: Callable[[int], Card]) -> None:
        self._run, self._folder, self._card = run, folder, card
        self._best: tuple[int, dict[str, Tensor]] | None = None
        self._step = run.progress.step
        self._written = -float('inf')
        self._took = _GUESSED

    def batch_done(self) -> None:
        """Write the state if the last one is old."""
        if not self._folder.writes:
            return
        if self._written < 0:
            self._written = time.monotonic()
        elif time.monotonic() - self._written > _INTERVAL:
            self.write()

    def epoch_done(self, event: EpochDone) -> None:
        """Write everything, or remember what to write later."""
        if not self._folder.writes:
            return
        if event.best:
            self._best = (event.epoch, self._copied())
        if time.monotonic() - self._written >= self._took / _TIME_FRACTION:
            self.last()
            self.write()

    def last(self) -> None:
        """Write the weights of the epoch that has just ended."""
        if not self._folder.writes:
            return
        with self._folder.writing():
            state = self._run.evaluated.state_dict()
            save(self._folder.last, state, self._card(self._run.progress.epoch))

    def best(self) -> None:
        """Write the best weights if they are not yet written."""
        if self._best is None:
            return
        epoch, tensors = self._best
        with self._folder.writing():
            halve = self._run.recipe.card.halve
            save(self._folder.best, tensors, self._card(epoch), halve=halve)
        self._best = None

    def write(self) -> None:
        """Write the best weights and the state, if anything has changed since the last time."""
        if not self._folder.writes:
            return
        # The best weights first: if the state is older than they are, a resumed run arrives at
        # the same weights again.
        started = time.monotonic()
        self.best()
        if self._run.progress.step != self._step or not self._folder.state.exists():
            with self._folder.writing():
                save_state(self._folder.state, self._run, self._folder.metadata())
        self._step = self._run.progress.step
        self._written = time.monotonic()
        self._took = self._written - started

    def _copied(self) -> dict[str, Tensor]:
        """Return a copy of the current weights; frozen ones, which never change, as they are."""
        run = self._run
        still = frozen_stages(run.network, run.recipe, run.recipe.epochs - 1)
        same = tuple(f'stages.{name}.' for name in still)
        return {
            name: tensor if name.startswith(same) else tensor.detach().to('cpu', copy=True)
            for name, tensor in run.evaluated.state_dict().items()
        }


def build_card(
    run: TrainingRun,
    described: dict[str, Any],
    epoch: int,
    entries: dict[str, Any] | None = None,
    credit: tuple[str, ...] = (),
) -> Card:
    """Return the card of a run's weights.

    Parameters
    ----------
    run : TrainingRun
        The run.
    described : dict
        Its data, as `describe_data` returns it.
    epoch : int
        The epoch of the weights.
    entries : dict, optional
        As `measure_model` returns them, or `final_model_entries` after folds, whose recipe is
        then the card's; without them the card has no metrics.
    credit : tuple of str
        Credits for the weights that it started from, see `credits_of`.
    """
    recipe, dataset, text = run.recipe, run.data.dataset, run.recipe.card
    added: dict[str, Any] = {
        'recipe': recipe.to_dict(),
        'data': {**described, **_lungs_of(run), 'epoch': epoch},
        **(entries or {}),
    }
    return Card(
        name=text.name or recipe.name,
        title=text.title or recipe.title,
        architecture=recipe.network,
        labels=dataset.labels,
        channels=recipe.input.channels,
        multilabel=dataset.multilabel,
        least_margin=None if dataset.multilabel else DEFAULT_MARGIN,
        head=head_entries(recipe),
        preprocessing=recipe.input.to_dict(),
        licence=text.licence,
        attribution=tuple(dict.fromkeys((*text.attribution, *credit))),
        intended_use=text.intended_use,
        not_to_believe=text.not_to_believe,
        not_measured=text.not_measured,
        created=datetime.now(UTC).date().isoformat(),
        version=__version__,
        **added,
    )


def _lungs_of(run: TrainingRun) -> dict[str, str]:
    """Return which lung field the images were prepared with, if any."""
    ignored = run.recipe.input.lungs == 'ignored'
    return {} if ignored else {'lung_field': lungs.lung_network_fingerprint()}


def measure_model(run: TrainingRun, stored: Checkpoint, out: Path | None = None) -> dict[str, Any]:
    """Evaluate a stored model on a run's images; return its card's entries.

    With a folder `out`, its predictions are written there; see `evaluate_model` and
    `write_predictions`.
    """
    data = run.data
    network = run.to_device(stored.network())
    # Training images are not evaluated.
    logits = np.zeros((len(data.dataset.samples), len(data.dataset.labels)), np.float32)
    places = np.concatenate([data.split.val, data.split.test])
    logits[places] = run.inference_logits(network, places)
    entries = evaluate_model(data.dataset, data.split, data, logits, run.recipe)
    if out is not None:
        several = data.dataset.multilabel
        probabilities = probabilities_of(logits, several, entries['temperature'], entries['bias'])
        digests = data.loaded.digests
        write_predictions(out, data.dataset, data.split, digests, probabilities, logits)
    return entries
