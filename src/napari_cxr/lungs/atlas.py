"""Where lungs are on the average radiograph: what is left where a network cannot be believed.

`average_lungs.csv` holds, for 32 x 32 cells, how often each was lung on the training
radiographs; `scripts/lung_atlas.py` makes it.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import numpy as np

from napari_cxr.lungs.network import SIZE

__all__ = ['average_lungs']

#: How often a cell must be lung to count as lung. Reference for this kind of atlas and its
#: threshold: a leave-one-out Dice of .81 on radiographs of COVID-19.
_OFTEN = 0.45


@cache
def average_lungs() -> tuple[np.ndarray, np.ndarray]:
    """Return the average right and left lung.

    Returns
    -------
    tuple of two ndarrays of float32, shape (128, 128)
        For each cell of a view of the whole radiograph, a number that is above 0.5 (both
        together) where more than 45 % of the training radiographs have lung.
    """
    from PIL import Image

    text = files('napari_cxr.lungs').joinpath('average_lungs.csv').read_text('ascii')
    percent = np.array([row.split(',') for row in text.split()], dtype=np.float32)
    lungs = [
        np.asarray(Image.fromarray(half).resize((SIZE, SIZE), Image.Resampling.BILINEAR)) / 100
        for half in np.split(percent, 2)
    ]
    both = np.maximum(lungs[0] + lungs[1], 1e-6)
    # Linear up to the threshold and beyond it, with the ends kept.
    moved = np.interp(both, (0, _OFTEN, 1), (0, 0.5, 1)).astype(np.float32)
    right, left = (lung * (moved / both) for lung in lungs)
    right.flags.writeable = left.flags.writeable = False  # shared by all who ask
    return right, left
