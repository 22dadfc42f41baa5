"""Make src/napari_cxr/lungs/average_lungs.csv: where lungs are on the average radiograph.

    NAPARI_CXR_DATA=... python scripts/lung_atlas.py

For each of 32 x 32 cells that stretch over a whole radiograph, in how many per cent of
the training radiographs of `lungmasks` it is lung: 32 rows for the lung on the left of
the image, then 32 for the other one. `train_lung_field.py` makes it too.
"""

import os
from pathlib import Path

import numpy as np
from lung_material import Masked, read_masks
from PIL import Image

CELLS = 32
LUNGS = Path(__file__).parents[1] / 'src' / 'napari_cxr' / 'lungs'


def write_atlas(masked: list[Masked], folder: Path) -> None:
    """Average the masks and write the table."""
    means = [
        np.mean([_shares(item.sides == number) for item in masked], axis=0) for number in (1, 2)
    ]
    rows = np.rint(100 * np.concatenate(means)).astype(int)
    text = '\n'.join(','.join(map(str, row)) for row in rows) + '\n'
    (folder / 'average_lungs.csv').write_text(text)


def _shares(mask: np.ndarray) -> np.ndarray:
    """Return how much of each cell is inside."""
    picture = Image.fromarray(mask.astype(np.float32))
    return np.asarray(picture.resize((CELLS, CELLS), Image.Resampling.BOX))


if __name__ == '__main__':
    folder = Path(os.environ['NAPARI_CXR_DATA']) / 'lungmasks'
    write_atlas([item for item in read_masks(folder) if item.split == 'train'], LUNGS)
