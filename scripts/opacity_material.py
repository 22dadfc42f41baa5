"""The radiographs of the opacity model: who says what of them, and what networks see.

Only sources that hold both answers are learnt from: Kermany (children; pneumonia or normal), and
those NIH ChestX-ray14 images that radiologists have read for the RSNA or for Google.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from napari_cxr import image_files, lungs, networks
from napari_cxr.evaluation import Stratum, lungs_blanked
from napari_cxr.inference.preprocessing import Preprocessing
from napari_cxr.metrics import baseline_features
from napari_cxr.training.augmentation import augment, draw
from napari_cxr.training.recipe.data_sections import AugmentationRecipe

__all__ = [
    'SCANNER',
    'VIEWS',
    'Features',
    'Images',
    'Labelled',
    'expert_opacity',
    'features_of',
    'label_images',
    'read_images',
]

#: EfficientNet-Lite's own normalisation.
MEAN, STD = 127 / 255, 128 / 255
#: What a network may be shown of a radiograph, by name.
VIEWS = {
    'lungs 224': Preprocessing(
        224, 224, 'stretch', lungs='crop', margin=0.05, mean=(MEAN,), std=(STD,)
    ),
    'lungs 320': Preprocessing(
        320, 320, 'stretch', lungs='crop', margin=0.05, mean=(MEAN,), std=(STD,)
    ),
    'whole 224': Preprocessing(224, 224, 'stretch', mean=(MEAN,), std=(STD,)),
}
#: Another scanner, as far as tones and resolution go.
SCANNER = AugmentationRecipe(
    gamma=0.6,
    contrast=0.3,
    brightness=0.08,
    sharpen=1.0,
    blur=1.2,
    resolution=1.0,
    noise=0.02,
    jpeg=40,
)
_STEP = 65_535
_BATCH = 16


@dataclass(frozen=True, eq=False)
class Labelled:
    """Which images there are, and what is known of each; all of length n."""

    paths: tuple[str, ...]
    strata: tuple[Stratum, ...]
    groups: tuple[str, ...]
    positive: np.ndarray

    @property
    def sources(self) -> np.ndarray:
        """The source of each image."""
        return np.array([stratum.source for stratum in self.strata])

    @property
    def projections(self) -> list[str]:
        """The projection of each image."""
        return [stratum.projection for stratum in self.strata]


def expert_opacity(row: dict[str, str]) -> bool | None:
    """Return what radiologists saw on an NIH image; None where RSNA and Google disagree.

    RSNA's class decides, Google's airspace opacity where RSNA is silent.
    """
    rsna, google = row['rsna_class'], row['google_airspace_opacity']
    if not rsna:
        return google == 'YES'
    opacity = rsna == 'Lung Opacity'
    return None if google and (google == 'YES') != opacity else opacity


def label_images(data: Path) -> Labelled:
    """List the images of both sources with their labels, by the manifest's order."""
    with (data / 'nih_expert_labels.csv').open(newline='', encoding='utf-8') as file:
        experts = {row['path']: expert_opacity(row) for row in csv.DictReader(file)}
    paths, strata, groups, positive = [], [], [], []
    with (data / 'cxr3' / 'manifest.csv').open(newline='', encoding='utf-8') as file:
        for row in csv.DictReader(file):
            if row['source'] == 'kermany':
                opacity: bool | None = row['label'] == 'pneumonia'
            elif row['source'] == 'nih':
                opacity = experts.get(row['path'])
            else:
                continue
            if opacity is None:
                continue
            paths.append(row['path'])
            strata.append(Stratum(row['source'], row['view']))
            groups.append(row['patient_id'] or row['split_group'])
            positive.append(opacity)
    return Labelled(tuple(paths), tuple(strata), tuple(groups), np.array(positive))


@dataclass(frozen=True, eq=False)
class Images:
    """What is read of the files once: views as uint16, lungs on the first view, statistics."""

    views: dict[str, np.ndarray]
    lungs: np.ndarray
    statistics: np.ndarray

    def shown(self, view: str, places: np.ndarray | slice) -> Tensor:
        """Return images in [0, 1], shape (n, 1, height, width)."""
        return torch.from_numpy(self.views[view][places].astype(np.float32) / _STEP)[:, None]


def read_images(data: Path, paths: tuple[str, ...], out: Path, views: tuple[str, ...]) -> Images:
    """Read all files once; what was read lies in `out` afterwards."""
    kept = out / 'images.npz'
    if not kept.exists():
        shapes = {name: (VIEWS[name].height, VIEWS[name].width) for name in views}
        read = {name: np.zeros((len(paths), *s), np.uint16) for name, s in shapes.items()}
        first = shapes[views[0]]
        covered = np.zeros((len(paths), *first), np.uint16)
        statistics = np.zeros((len(paths), 44), np.float32)
        for i, path in enumerate(paths):
            radiograph = image_files.read(data / 'cxr3' / path)
            field = lungs.find_lungs(radiograph)
            for name in views:
                own = None if VIEWS[name].lungs == 'ignored' else field
                read[name][i] = np.rint(VIEWS[name].apply(radiograph, field=own).image * _STEP)
            top, left, bottom, right = field.box(VIEWS[views[0]].margin)
            part = math.floor(top), math.floor(left), math.ceil(bottom), math.ceil(right)
            covered[i] = np.rint(field.covering(part, *first) * _STEP)
            statistics[i] = baseline_features(radiograph)
            if i % 100 == 99:
                print(f'{i + 1} of {len(paths)} images read', flush=True)
        # A name that ends otherwise would be changed by numpy.
        half = out / 'images.half.npz'
        np.savez(half, lungs=covered, statistics=statistics, **read)
        half.replace(kept)
    with np.load(kept) as found:
        stored = {name: found[name] for name in found.files}
    covered = stored.pop('lungs').astype(np.float32) / _STEP
    return Images(stored, covered, stored.pop('statistics'))


@dataclass(frozen=True, eq=False)
class Features:
    """Pooled maps of one network on one view, by map, shape (n, channels) each.

    `plain` of the images as they are; `changed` and `judged` as other scanners might have
    made them, with other numbers drawn: heads learn from the one and are chosen by the other.
    """

    plain: dict[str, np.ndarray]
    changed: dict[str, np.ndarray]
    judged: dict[str, np.ndarray]
    blanked: dict[str, np.ndarray]


def features_of(arch: str, view: str, images: Images, out: Path) -> Features:
    """Compute pooled maps with ImageNet's weights, or take those that lie in `out`."""
    kept = out / f'features {arch} {view}.npz'
    if not kept.exists():
        size = VIEWS[view].height, VIEWS[view].width
        network = networks.create(arch, 1, 1, size)
        networks.load_pretrained(network)
        network.eval().to(memory_format=torch.channels_last)
        count = len(images.statistics)
        found: dict[str, np.ndarray] = {}
        for name in ('plain', 'changed', 'judged', 'blanked'):
            if name == 'blanked' and view != 'lungs 224':
                continue
            seed = ('plain', 'changed', 'judged').index(name) if name != 'blanked' else 0

            def shown(places: np.ndarray, name: str = name, seed: int = seed) -> Tensor:
                x = images.shown(view, places)
                if name == 'blanked':
                    blank = lungs_blanked(x[:, 0].numpy(), images.lungs[places])
                    return torch.from_numpy(blank)[:, None]
                return augment(x, draw(SCANNER, seed, 0, places)) if seed else x

            for tap, values in _pooled(network, shown, count).items():
                found[f'{name}/{tap}'] = values
            print(f'{arch}, {view}: {name}', flush=True)
        half = out / 'features.half.npz'
        np.savez(half, **found)
        half.replace(kept)
    with np.load(kept) as stored:
        parts: dict[str, dict[str, np.ndarray]] = {
            name: {} for name in ('plain', 'changed', 'judged', 'blanked')
        }
        for key in stored.files:
            name, _, tap = key.partition('/')
            parts[name][tap] = stored[key]
    return Features(**parts)


@torch.inference_mode()
def _pooled(
    network: networks.StagedNetwork, shown: Callable[[np.ndarray], Tensor], count: int
) -> dict[str, np.ndarray]:
    """Return the mean of each channel of three maps, and over image and mirror image."""
    taps: dict[str, nn.Module] = {
        'narrow, stride 16': network.stages['stage5'],
        'wide, stride 16': network.stages['stage6'][0].bn1,
        'last, stride 32': network.stages['last'],
    }
    means: dict[str, Tensor] = {}
    hooks = [
        module.register_forward_hook(
            lambda _, __, map_, tap=tap: means.__setitem__(tap, map_.mean(dim=(2, 3)))
        )
        for tap, module in taps.items()
    ]
    rows: dict[str, list[Tensor]] = {tap: [] for tap in taps}
    for start in range(0, count, _BATCH):
        x = shown(np.arange(start, min(start + _BATCH, count)))
        x = ((x - MEAN) / STD).contiguous(memory_format=torch.channels_last)
        network.features(x)
        one = dict(means)
        network.features(x.flip(-1).contiguous(memory_format=torch.channels_last))
        for tap, collected in rows.items():
            collected.append((one[tap] + means[tap]) / 2)
    for hook in hooks:
        hook.remove()
    return {tap: torch.cat(collected).numpy() for tap, collected in rows.items()}
