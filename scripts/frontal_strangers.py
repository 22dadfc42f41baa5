"""Pictures that are no frontal chest radiographs, to test the frontal check with; see
`fit_frontal_check.py`. Nothing is ever fitted to them.
"""

import csv
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
from skimage import data as skimage_data
from skimage.io import imread

from napari_cxr import image_files, lungs
from napari_cxr.lungs.frontal_check import UNTRIMMED_SIZE, without_margins
from napari_cxr.radiograph import Radiograph

__all__ = ['Stranger', 'strangers']


class Stranger(NamedTuple):
    """What the check sees of one picture."""

    glance: np.ndarray
    lungless: bool
    refused: bool  # by its tags alone


_MODALITIES = {'CT': 'CT', 'MR': 'MR', 'US': 'ultrasound'}
_REST = 'other DICOM: limbs, eyes, charts, slides, masks'
#: A test image of so many pixels is there to overflow something, not to be seen.
_MOST = 3e7


def strangers(data: Path, work: Path) -> dict[str, list[Stranger]]:
    """Return the pictures by kind, from `work` where they were looked at before.

    DICOM files are all there, whatever their tags say, because anybody may have saved them
    as PNG; of several frames the middle one is taken. The photographs are those that are
    part of scikit-image.
    """
    kept = work / 'strangers.npz'
    if not kept.exists():
        rows = [(kind, *one) for kind, pictures in _look(data).items() for one in pictures]
        kind, glance, lungless, refused = zip(*rows, strict=True)
        np.savez(kept, kind=kind, glance=glance, lungless=lungless, refused=refused)
    found: dict[str, list[Stranger]] = defaultdict(list)
    with np.load(kept) as a:
        columns = (a[name] for name in ('kind', 'glance', 'lungless', 'refused'))
        for kind, glance, lungless, refused in zip(*columns, strict=True):
            found[str(kind)].append(Stranger(glance, bool(lungless), bool(refused)))
    for kind, pictures in found.items():
        refused = sum(picture.refused for picture in pictures)
        print(f'{kind}: {refused} of {len(pictures)} are refused by their tags')
    return dict(found)


def _look(data: Path) -> dict[str, list[Stranger]]:
    """Read them all."""
    found: dict[str, list[Stranger]] = defaultdict(list)
    with open(data / 'dicom_odd' / 'manifest.csv', newline='') as table:
        for row in csv.DictReader(table):
            if not row['rows'].isdigit() or int(row['rows']) * int(row['cols']) > _MOST:
                continue
            try:
                image = image_files.read(data / 'dicom_odd' / row['path'])
            except Exception:  # broken on purpose
                continue
            found[_MODALITIES.get(row['modality'], _REST)].append(seen(image))
    folder = Path(skimage_data.__file__).parent
    for path in sorted(folder.iterdir()):
        if path.suffix in ('.png', '.jpg'):
            picture = imread(path)
            found['photographs and textures'].append(seen(Radiograph.from_array(picture)))
    for face in np.load(folder / 'lfw_subset.npy'):
        found['small photographs, half of them faces'].append(seen(Radiograph.from_array(face)))
    rng = np.random.default_rng(20)
    for grey in np.linspace(0, 1, 11):
        blank = Radiograph.from_array(np.full((300, 300), grey, np.float32))
        found['blank'].append(seen(blank))
    for i in range(50):
        noise = rng.random((512, 448)) if i % 2 else rng.standard_normal((512, 448))
        found['white noise'].append(seen(Radiograph.from_array(noise.astype(np.float32))))
    return dict(found)


def seen(image: Radiograph) -> Stranger:
    """Return what the check looks at."""
    if image.frames is not None:
        frame = image.values[image.frames // 2]
        shown = Radiograph(frame, image.presets, image.inverted, is_colour=image.is_colour)
    else:
        shown = image
    lungless = bool(lungs.find_lungs(shown).implausible)
    return Stranger(
        without_margins(lungs.downscale(shown, UNTRIMMED_SIZE)), lungless, bool(image.refusal)
    )
