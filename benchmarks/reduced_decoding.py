"""What decoding JPEG 2000 at a part of its size does to the answers, and what it saves.

    NAPARI_CXR_DATA=... OMP_NUM_THREADS=1 python benchmarks/reduced_decoding.py [files] [auc]
        [--models NAME...] [--each IMAGES]

* files: each real DICOM file of at least 12 bits (or 8, with --bits) that is large enough, in
  JPEG 2000, or encoded to it losslessly here if it is not; and generated radiographs. Each model
  answers on the full decode and on the reduced one. The aim is .02 in every probability.
* auc: the AUC of each class on both. The radiographs of cxr3 are enlarged to the size of a
  detector (at least 1,800 pixels a side), given noise of a pixel each, as a detector's, since
  nothing else is left of their fine detail, and stored in 12 bits. The aim is .002.

Times are of the processor, of one thread: reading and decoding, and fitting to the first model.
The files stand in a temporary folder, and go with it.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import imageio.v3 as iio
import numpy as np
from PIL import Image
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, HTJ2KLossless, JPEG2000Lossless

from napari_cxr import image_files, samples
from napari_cxr.dicom.headers import read_header
from napari_cxr.dicom.pixels import decode
from napari_cxr.inference.classifier import Classifier
from napari_cxr.metrics.classification import auc
from napari_cxr.radiograph import Radiograph, UnreadableImage

BUNDLED = ('cxr-opacity', 'cxr3-resnet10', 'cxr3-lung-texture')
#: Sides of detectors, rows and columns; one of them leaves a rest at each halving.
GENERATED = ((2500, 2048), (2801, 2323), (2140, 1760))
#: Standard deviation of the noise of one pixel, of 4,095.
NOISE = 40
LEAST_SIDE = 1800


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('parts', nargs='*', default=[])
    parser.add_argument('--models', nargs='+', default=list(BUNDLED))
    parser.add_argument('--bits', type=int, default=9, help='fewest bits of a real file')
    parser.add_argument('--each', type=int, default=20, help='radiographs of a class, for auc')
    options = parser.parse_args()
    classifiers = [Classifier.load(name, 'cpu') for name in options.models]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if 'auc' not in options.parts or 'files' in options.parts:
            compare_files(classifiers, folder, options.bits)
        if 'auc' in options.parts:
            compare_aucs(classifiers, folder, options.each)


def compare_files(classifiers: list[Classifier], folder: Path, bits: int) -> None:
    """Print a line for each file and model."""
    print('| file | bits | size | model | decoded | ms, full | ms | change | warnings |')
    print('| --- | --- | --- | --- | --- | --- | --- | --- | --- |', flush=True)
    worst: dict[str, float] = {}
    for name, path in chain(real_files(folder, bits), generated_files(folder)):
        full, full_time = timed(path, None)
        if full.refusal:  # a mammogram
            continue
        for classifier in classifiers:
            reduced, reduced_time = timed(path, classifier.preprocessing.least_decoded)
            if reduced.step == 1:
                continue
            before, after = (classifier.predict([one])[0] for one in (full, reduced))
            change = float(np.abs(np.subtract(before.probabilities, after.probabilities)).max())
            same = [w.text for w in before.warnings] == [w.text for w in after.warnings]
            model = classifier.card.name
            worst[model] = max(worst.get(model, 0.0), change)
            rows, columns = full.shape
            print(
                f'| {name} | {full.provenance.bits} | {rows} x {columns} | {model} '
                f'| {reduced.decoded} | {1000 * full_time:.0f} | {1000 * reduced_time:.0f} '
                f'| {change:.5f} | {"same" if same else "other"} |',
                flush=True,
            )
    print('largest change of a probability: ', worst)


def timed(path: Path, least: tuple[int, int] | None) -> tuple[Radiograph, float]:
    """Return a radiograph, and the processor seconds that reading it took, the best of three."""
    took = []
    for _ in range(3):
        begun = time.process_time()
        radiograph = image_files.read(path, least)
        took.append(time.process_time() - begun)
    return radiograph, min(took)


def real_files(folder: Path, bits: int) -> Iterator[tuple[str, Path]]:
    """Yield the real files that can be read, in JPEG 2000."""
    root = Path(os.environ['NAPARI_CXR_DATA'])
    for path in sorted([*root.glob('dicom_cxr/*'), *root.glob('dicom_odd/**/*')]):
        try:
            radiograph = image_files.read(path)
        except (UnreadableImage, OSError):
            continue
        grey = not radiograph.is_colour and radiograph.frames is None
        modality = radiograph.provenance.modality
        suits = radiograph.provenance.bits >= bits and min(radiograph.shape) >= 640
        if not grey or not suits or max(radiograph.shape) > 6000:
            continue
        if modality not in ('CR', 'DX', 'RG', 'CT', 'XA') or radiograph.provenance.bits > 16:
            continue
        name = f'{path.name[:24]}, {radiograph.provenance.transfer_syntax[:22]}'
        yield name, in_jpeg_2000(path, folder / 'real.dcm')


def in_jpeg_2000(path: Path, out: Path) -> Path:
    """Return a file in JPEG 2000: itself, or a copy that is encoded without loss."""
    dataset = dcmread(path, force=True)
    if 'JPEG 2000' not in dataset.file_meta.TransferSyntaxUID.name:
        stored = decode(read_header(path))
        dataset.BitsStored, dataset.HighBit = stored.bits, stored.bits - 1
        dataset.PixelData = stored.values.tobytes()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset['PixelData'].VR, dataset['PixelData'].is_undefined_length = 'OW', False
        dataset.compress(JPEG2000Lossless, generate_instance_uid=False)
    dataset.SOPClassUID = '1.2.840.10008.5.1.4.1.1.1'  # an XA image is refused for its class
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.Modality = 'CR'
    dataset.save_as(out)
    return out


def generated_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield drawn radiographs with twice their usual noise, in both wavelet syntaxes."""
    for seed, shape in enumerate(GENERATED):
        pixels = np.rint(samples.phantom(shape, seed, noise=2.0) * 4095).astype(np.uint16)
        path = write(folder / f'{seed}.dcm', pixels)
        yield f'generated {seed}, JPEG 2000', path
        yield f'generated {seed}, HTJ2K', in_htj2k(path, pixels)


def noisy(image: np.ndarray, seed: int) -> np.ndarray:
    """Return an image of [0, 1] in 12 bits, with noise of a pixel each."""
    noise = np.random.default_rng(seed).normal(0, NOISE, image.shape)
    return np.clip(image * 4095 + noise, 0, 4095).astype(np.uint16)


def write(path: Path, pixels: np.ndarray) -> Path:
    """Write 12 bits in JPEG 2000 without loss."""
    return samples.write_phantom_dicom(
        path, pixels=pixels, bits=12, transfer_syntax=JPEG2000Lossless
    )


def in_htj2k(path: Path, pixels: np.ndarray) -> Path:
    """Write the same in HTJ2K; the encoder at hand takes whole words, so as 16 bits."""
    import imagecodecs

    dataset = dcmread(path)
    stream = bytes(imagecodecs.htj2k_encode(pixels << 4, reversible=True))
    dataset.PixelData = encapsulate([stream])
    dataset.BitsStored, dataset.HighBit = 16, 15
    dataset.WindowCenter, dataset.WindowWidth = 32768, 65536
    dataset.file_meta.TransferSyntaxUID = HTJ2KLossless
    out = path.with_suffix('.ht.dcm')
    dataset.save_as(out)
    return out


def compare_aucs(classifiers: list[Classifier], folder: Path, each: int) -> None:
    """Print the AUCs of the classes of each model, on both decodes."""
    root = Path(os.environ['NAPARI_CXR_DATA']) / 'cxr3'
    classes = ('covid19', 'normal', 'pneumonia')
    paths = [(name, path) for name in classes for path in evenly(root / name, each)]
    labels = np.array([name for name, _ in paths])
    scores: dict[str, list[np.ndarray]] = {one.card.name: [] for one in classifiers}
    decoded: dict[str, set[str]] = {one.card.name: set() for one in classifiers}
    for number, (_, source) in enumerate(paths):
        image = Image.fromarray(np.atleast_2d(iio.imread(source, mode='L')))
        scale = LEAST_SIDE / min(image.size)
        size = round(image.width * scale), round(image.height * scale)
        large = np.asarray(image.resize(size, Image.Resampling.BICUBIC), dtype=np.float32) / 255
        path = write(folder / 'large.dcm', noisy(large, number))
        full = image_files.read(path)
        for one in classifiers:
            reduced = image_files.read(path, one.preprocessing.least_decoded)
            decoded[one.card.name].add(reduced.decoded)
            both = [one.predict([radiograph])[0].probabilities for radiograph in (full, reduced)]
            scores[one.card.name].append(np.array(both))
    print(f'{len(labels)} radiographs of cxr3, enlarged')
    print('| model | decoded | class | AUC, full | AUC | moved | largest change | mean |')
    print('| --- | --- | --- | --- | --- | --- | --- | --- |')
    for one in classifiers:
        found = np.stack(scores[one.card.name])
        for k, label in enumerate(one.labels):
            known = label if label in classes else 'pneumonia'
            before, after = (float(auc(labels == known, found[:, way, k])) for way in (0, 1))
            change = np.abs(found[:, 0, k] - found[:, 1, k])
            print(
                f'| {one.card.name} | {", ".join(sorted(decoded[one.card.name]))} | {label} '
                f'| {before:.5f} | {after:.5f} | {after - before:+.5f} | {change.max():.5f} '
                f'| {change.mean():.5f} |'
            )


def evenly(folder: Path, count: int) -> list[Path]:
    """Return so many images of a folder, evenly spread over it."""
    every = sorted(folder.glob('*.jp*g'))
    return every[:: max(1, len(every) // count)][:count]


if __name__ == '__main__':
    main()
