"""The whole of a run between two steps, as one file; nothing is pickled."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from napari_cxr.checkpoint.file import write_whole
from napari_cxr.training.progress import Progress
from napari_cxr.training.run import Run
from napari_cxr.training.run_folder import TrainingError

__all__ = ['load_state', 'notes_of', 'save_state']

_CONTENT = 'napari_cxr.state'
#: Version of this form; another one is refused.
_FORM = 1
#: What states of earlier versions lack, and go on without.
_LATER = ('best_loss', 'least_loss')


def save_state(path: Path, run: Run, notes: dict[str, Any]) -> None:
    """Write weights, their average, optimiser and progress, whole or not at all.

    Parameters
    ----------
    path : Path
        Where to.
    run : Run
        Between two steps.
    notes : dict
        What `notes_of` shall give back: plain values.

    Raises
    ------
    OSError
        If it can't be written; the file that was there before stays.
    """
    from safetensors.torch import save as to_bytes

    tensors = {f'network.{name}': t for name, t in run.network.state_dict().items()}
    if run.judged is not run.network:
        tensors |= {f'average.{name}': t for name, t in run.judged.state_dict().items()}
    for number, entries in run.optimiser.state_dict()['state'].items():
        for name, value in entries.items():
            if isinstance(value, Tensor):  # SGD without momentum keeps a None
                tensors[f'optimiser.{number}.{name}'] = value
    progress = asdict(run.progress)
    logits = progress.pop('logits')
    if logits:
        tensors['logits'] = torch.from_numpy(np.concatenate(logits))
    content = {'form': _FORM, 'progress': progress, 'notes': notes}
    stored = {name: t.detach().to('cpu').contiguous() for name, t in tensors.items()}
    write_whole(path, to_bytes(stored, metadata={_CONTENT: json.dumps(content)}))


def notes_of(path: Path) -> dict[str, Any]:
    """Return the notes of a state, without its tensors.

    Raises
    ------
    TrainingError
        If the file is damaged, or of another version.
    """
    with _reading(path) as file:
        notes: dict[str, Any] = _content(file)['notes']
        return notes


def load_state(path: Path, run: Run) -> None:
    """Put a run back to where it was.

    Parameters
    ----------
    path : Path
        As `save_state` wrote it.
    run : Run
        A new one of the same recipe and data.

    Raises
    ------
    TrainingError
        If the file is damaged, of another version, or of another run.
    """
    with _reading(path) as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        _restore(run, tensors, _content(file)['progress'])


@contextmanager
def _reading(path: Path) -> Iterator[Any]:
    try:
        with safe_open(path, framework='pt') as file:
            yield file
    except OSError as error:
        raise TrainingError(f'{path.name} cannot be read: {error.strerror}.') from error
    except (SafetensorError, KeyError, ValueError, TypeError, RuntimeError):
        raise TrainingError(
            f'{path.name} is damaged, or not of this run, so it cannot be resumed; '
            'the best checkpoint is still there. Start a new run.'
        ) from None


def _content(file: Any) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((file.metadata() or {})[_CONTENT])
    if content['form'] != _FORM:
        raise TrainingError(
            'The run was begun by another version of napari-cxr, which must also finish it.'
        )
    return content


def _restore(run: Run, tensors: dict[str, Tensor], progress: dict[str, Any]) -> None:
    def under(prefix: str) -> dict[str, Tensor]:
        found = (name for name in tensors if name.startswith(prefix))
        return {name.removeprefix(prefix): tensors[name] for name in found}

    now = Progress(**progress)
    known = {f.name for f in fields(Progress)} - {'logits', *_LATER}
    if set(progress) - set(_LATER) != known or math.isnan(now.best):
        raise ValueError
    if 'logits' in tensors:
        now.logits = [tensors['logits'].numpy()]
    # Copied into the tensors that are there, which keeps how these lie in memory: that
    # decides the order of some sums.
    run.network.load_state_dict(under('network.'))
    if run.judged is not run.network:
        run.judged.load_state_dict(under('average.'))
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
