"""A network that does not fit into memory, said in one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from napari_cxr.inference.memory import is_out_of_memory
from napari_cxr.training.recipe import Recipe
from napari_cxr.training.run_folder import TrainingError

__all__ = ['fitting']


@contextmanager
def fitting(recipe: Recipe, device: torch.device) -> Iterator[None]:
    """Turn a lack of memory into a sentence that says what to do.

    Raises
    ------
    TrainingError
        If what is done inside does not fit.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:  # torch.OutOfMemoryError is one of these
        if not is_out_of_memory(error):
            raise
        where = 'this computer' if device.type == 'cpu' else f'the GPU ({device})'
        raise TrainingError(
            f'A batch of {recipe.batch} images of {recipe.input.height} x {recipe.input.width} '
            f'pixels does not fit into the memory of {where}: start a new run with a smaller '
            'batch (batch) or smaller images (input.height, input.width). What this one has '
            'learnt so far is kept; it can only be resumed as it is, with more memory.'
        ) from error
