"""Write synthetic chest radiographs, each in the folder of its class.

    python scripts/make_phantoms.py OUT [--count 40] [--seed 0] [--forms explicit rle png]

To try batch scoring, and training, without a patient; see `napari_cxr.samples`. Builds,
sizes, contrasts, noise, polarities and transfer syntaxes vary with the seed, and the same
seed gives the same pixels. No classifier's answer on them means a thing: a phantom with an
opacity is no case of pneumonia.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import imageio.v3 as iio
import numpy as np
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from napari_cxr.samples import phantom, write_phantom_dicom

#: Where the opacities of each class lie, by turns.
CLASSES = {
    'normal': (None,),
    'pneumonia': ('right', 'left'),
    'covid19': ('both',),
}
SYNTAXES = {
    'explicit': ExplicitVRLittleEndian,
    'implicit': ImplicitVRLittleEndian,
    'deflated': DeflatedExplicitVRLittleEndian,
    'rle': RLELossless,
    'jpegls': JPEGLSLossless,
    'jpeg2000': JPEG2000Lossless,
}
PICTURES = {'png': '.png', 'jpeg': '.jpg'}
FORMS = (*SYNTAXES, *PICTURES)
#: Sides that go with a long side of 1: detectors stand upright, lie across, or are square.
SHAPES = ((1.0, 0.83), (1.0, 0.86), (1.0, 1.0), (0.88, 1.0))
#: Bits stored, with the photometric interpretation: most systems write 12 bits.
ENCODINGS = (
    (12, 'MONOCHROME2'),
    (12, 'MONOCHROME1'),
    (12, 'MONOCHROME2'),
    (10, 'MONOCHROME2'),
    (15, 'MONOCHROME1'),
)


@dataclass(frozen=True)
class Plan:
    """One file: everything that decides it.

    `density` is that of the opacity, see `phantom`. `gamma` is the contrast: above 1 it
    darkens the lungs, as more exposure does.
    """

    path: Path
    form: str
    shape: tuple[int, int]
    seed: int
    take: int
    opacity: str | None
    density: float
    gamma: float
    bits: int
    photometric: str


def main() -> int:
    """Write them, in as many processes as there are cores."""
    given = _arguments()
    plans = list(
        plan(
            given.out,
            given.count,
            classes=given.classes,
            forms=given.forms,
            long_side=given.long_side,
            vary=not given.alike,
            people=given.people,
            seed=given.seed,
        )
    )
    make(plans, given.jobs)
    print(f'{len(plans)} synthetic radiographs in {given.out}')
    return 0


def make(plans: Sequence[Plan], jobs: int | None = None) -> None:
    """Write files in several processes, by default one a core; tell how far it is."""
    for folder in sorted({one.path.parent for one in plans}):
        folder.mkdir(parents=True, exist_ok=True)
    # Never forked: a fresh interpreter each, as everywhere in this project.
    context = multiprocessing.get_context('spawn')
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        for number, path in enumerate(pool.map(write, plans), 1):
            if sys.stderr.isatty():
                print(f'\r{number} of {len(plans)}: {path.name}\033[K', end='', file=sys.stderr)
    if sys.stderr.isatty():
        print(file=sys.stderr)


def plan(
    out: Path,
    count: int,
    *,
    classes: Sequence[str] = ('normal', 'pneumonia'),
    forms: Sequence[str] = FORMS,
    long_side: int = 1024,
    vary: bool = True,
    people: int = 0,
    seed: int = 0,
) -> Iterator[Plan]:
    """Decide what to write: classes, people and forms in order, the rest by chance.

    Parameters
    ----------
    out : Path
        The folder above those of the classes.
    count : int
        Files in all.
    classes, forms : sequence of str
        Keys of `CLASSES`; of `FORMS`.
    long_side : int
        Of each image, in pixels; up to a tenth less where sizes vary.
    vary : bool
        Whether size, contrast, opacities, bits and polarity vary; else every file has
        `long_side` by 0.83 of it, and 12 bits, MONOCHROME2.
    people : int
        How many chests there are; 0 for a new one each time. Further files show the same
        ones with other noise, in less time.
    seed : int
        Another gives other people.
    """
    for number in range(count):
        # One after the other, so that files of a person follow each other: see `write`.
        name = classes[number * len(classes) // count]
        person, take = _who(number, count, people)
        # Of the person, not of the file: the detector and the exposure stay as they are.
        rng = np.random.default_rng([seed, person])
        shape = SHAPES[rng.integers(len(SHAPES))]
        shrunk, gamma = rng.uniform(0.9, 1), float(rng.uniform(0.75, 1.35))
        bits, photometric = ENCODINGS[rng.integers(len(ENCODINGS))]
        density = float(rng.uniform(0.25, 1.25))
        if not vary:
            shape, shrunk, gamma, density = SHAPES[0], 1.0, 1.0, 1.0
            bits, photometric = ENCODINGS[0]
        form = forms[number % len(forms)]
        ending = PICTURES.get(form, '.dcm')
        sides = CLASSES[name]
        yield Plan(
            path=out / name / f'{number:04}-{form}{ending}',
            form=form,
            shape=(round(shape[0] * shrunk * long_side), round(shape[1] * shrunk * long_side)),
            seed=seed * 1_000_000 + person,
            take=take,
            opacity=sides[person % len(sides)],
            density=density if sides[person % len(sides)] else 1.0,
            gamma=gamma,
            bits=8 if form in PICTURES else bits,
            photometric='MONOCHROME2' if form in PICTURES else photometric,
        )


def _who(number: int, count: int, people: int) -> tuple[int, int]:
    """Return which person a file shows, and which of the radiographs of that person it is."""
    if not 0 < people < count:
        return number, 0
    person = number * people // count
    return person, number - -(-person * count // people)


def write(wanted: Plan) -> Path:
    """Write one file; files of one person are fast one after the other, in one process."""
    light = phantom(
        wanted.shape,
        wanted.seed,
        opacity=wanted.opacity,
        density=wanted.density,
        take=wanted.take,
    )
    light **= wanted.gamma
    if wanted.photometric == 'MONOCHROME1':
        light = 1 - light
    most = (1 << wanted.bits) - 1
    pixels = np.rint(light * most).astype(np.uint8 if wanted.bits <= 8 else np.uint16)
    if wanted.form in PICTURES:
        iio.imwrite(wanted.path, pixels, **({'quality': 92} if wanted.form == 'jpeg' else {}))
        return wanted.path
    # A chest of 43 cm fills the long side.
    spacing = f'{430 / max(wanted.shape):.4f}'
    return write_phantom_dicom(
        wanted.path,
        pixels=pixels,
        seed=wanted.seed,
        take=wanted.take,
        bits=wanted.bits,
        photometric=wanted.photometric,
        transfer_syntax=SYNTAXES[wanted.form],
        attributes={'ImagerPixelSpacing': [spacing, spacing]},
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Write synthetic chest radiographs, each in the folder of its class.'
    )
    parser.add_argument('out', type=Path, help='folder for the folders of the classes')
    parser.add_argument('--count', type=int, default=40, help='files in all (40)')
    parser.add_argument('--seed', type=int, default=0, help='another gives other people (0)')
    parser.add_argument('--classes', nargs='+', default=['normal', 'pneumonia'],
                        choices=CLASSES, help='(normal pneumonia)')  # fmt: skip
    parser.add_argument('--forms', nargs='+', default=FORMS, choices=FORMS,
                        help='DICOM by transfer syntax, or pictures of 8 bits (all)')  # fmt: skip
    parser.add_argument('--long-side', type=int, default=1024, help='in pixels (1024)')
    parser.add_argument('--alike', action='store_true',
                        help='one size and contrast, 12 bits, MONOCHROME2')  # fmt: skip
    parser.add_argument('--people', type=int, default=0,
                        help='chests; more files repeat them with other noise')  # fmt: skip
    parser.add_argument('--jobs', type=int, default=os.cpu_count(), help='processes (cores)')
    given = parser.parse_args()
    if given.count < len(given.classes):
        parser.error('--count must be at least the number of classes')
    if given.long_side < 64:
        parser.error('--long-side must be at least 64')
    if given.people < 0 or given.jobs < 1:
        parser.error('--people and --jobs must be positive')
    return given


if __name__ == '__main__':
    sys.exit(main())
