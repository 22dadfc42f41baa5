"""When the weights of a run go to its folder, and which."""

from __future__ import annotations

import time
from collections.abc import Callable

from torch import Tensor

from napari_cxr.checkpoint import Card, save
from napari_cxr.training.events import EpochDone
from napari_cxr.training.frozen import frozen_stages
from napari_cxr.training.run import Run
from napari_cxr.training.run_folder import RunFolder
from napari_cxr.training.state import save_state

__all__ = ['Checkpoints']

#: Seconds between two states within a long epoch.
_EVERY = 120.0
#: Writing takes at most about this share of a run's time, even where an epoch is short.
_SHARE = 0.05
#: Seconds that a writing is taken to last until one was timed.
_GUESSED = 0.1


class Checkpoints:
    """The best weights, the last, and the state from which a run is resumed.

    Written at the end of an epoch, unless the epochs are so short that it would take a
    twentieth of the time; then the best weights wait in memory, without what never learns.
    A run that is cut off before they are written takes these epochs again, with the same
    result.

    Parameters
    ----------
    run : Run
        Whose weights.
    folder : RunFolder
        Where to.
    card : callable
        From an epoch to the card of a checkpoint.
    """

    def __init__(self, run: Run, folder: RunFolder, card: Callable[[int], Card]) -> None:
        self._run, self._folder, self._card = run, folder, card
        self._best: tuple[int, dict[str, Tensor]] | None = None
        self._step = run.progress.step
        self._written = -float('inf')
        self._took = _GUESSED

    def batch_done(self) -> None:
        """Write the state, if the last one is old."""
        if not self._folder.writes:
            return
        if self._written < 0:
            self._written = time.monotonic()
        elif time.monotonic() - self._written > _EVERY:
            self.write()

    def epoch_done(self, event: EpochDone) -> None:
        """Write everything, or take note of what to write later."""
        if not self._folder.writes:
            return
        if event.best:
            self._best = (event.epoch, self._copied())
        if time.monotonic() - self._written >= self._took / _SHARE:
            self.last()
            self.write()

    def last(self) -> None:
        """Write the weights of the epoch that has just ended."""
        if not self._folder.writes:
            return
        with self._folder.writing():
            state = self._run.judged.state_dict()
            save(self._folder.last, state, self._card(self._run.progress.epoch))

    def best(self) -> None:
        """Write the best weights, if they are not yet written."""
        if self._best is None:
            return
        epoch, tensors = self._best
        with self._folder.writing():
            halve = self._run.recipe.card.halve
            save(self._folder.best, tensors, self._card(epoch), halve=halve)
        self._best = None

    def write(self) -> None:
        """Write the best weights and the state, if anything was done since the last."""
        if not self._folder.writes:
            return
        # The best first: where the state is the older of the two, a resumed run comes to
        # the same weights once more.
        started = time.monotonic()
        self.best()
        if self._run.progress.step != self._step or not self._folder.state.exists():
            with self._folder.writing():
                save_state(self._folder.state, self._run, self._folder.notes())
        self._step = self._run.progress.step
        self._written = time.monotonic()
        self._took = self._written - started

    def _copied(self) -> dict[str, Tensor]:
        """Return the weights of now, which the next step changes; without what never learns."""
        run = self._run
        still = frozen_stages(run.network, run.recipe, run.recipe.epochs - 1)
        same = tuple(f'stages.{name}.' for name in still)
        return {
            name: tensor if name.startswith(same) else tensor.detach().to('cpu', copy=True)
            for name, tensor in run.judged.state_dict().items()
        }
