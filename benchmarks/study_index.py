"""Files per second that the study browser indexes, against a bare loop that reads headers.

python benchmarks/study_index.py [--files 10000] [--folder FOLDER] [--repeats 3]

The bare loop reads each header up to the pixels with pydicom and keeps nothing. The index walks
the folder, reads the headers in a decoder process, makes pseudonyms, and is kept on disk. Both
run in turn, in the same minutes, and the better of each is compared. The second opening is that
of a new index in the same cache. Files are small and made here, with 87 elements each.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from contextlib import closing
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from ratios import note_ratio

#: Bytes of pixels; headers are what is measured.
_SIDE = 64


def write_studies(folder: Path, files: int) -> None:
    """Write radiographs of many patients, two views a study, up to three studies a patient."""
    pixels = np.random.default_rng(0).integers(0, 4096, (_SIDE, _SIDE), np.uint16).tobytes()
    for number in range(files):
        study, view = divmod(number, 2)
        patient = study // 3
        dataset = _radiograph(patient, study, ('PA', 'LL')[view])
        dataset.PixelData = pixels
        place = folder / f'{patient % 100:02}' / f'P{patient:05}'
        place.mkdir(parents=True, exist_ok=True)
        dataset.save_as(place / f'IM{number:06}', enforce_file_format=True)


def _radiograph(patient: int, study: int, view: str) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = '1.2.840.10008.5.1.4.1.1.1.1'
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=[str(study), view])
    dataset.StudyInstanceUID = generate_uid(entropy_srcs=[str(study)])
    dataset.SeriesInstanceUID = generate_uid(entropy_srcs=[str(study), 'series', view])
    dataset.PatientName, dataset.PatientID = f'Test^Patient {patient}', f'{patient:08}'
    dataset.PatientBirthDate, dataset.PatientSex = '19600101', 'O'
    dataset.StudyDate, dataset.StudyTime = f'{2018 + study % 3}0{1 + study % 9}15', '101500'
    dataset.Modality, dataset.ViewPosition, dataset.BodyPartExamined = 'DX', view, 'CHEST'
    dataset.SeriesDescription, dataset.StudyDescription = 'Chest', 'Chest two views'
    dataset.SeriesNumber = dataset.InstanceNumber = 1
    dataset.Manufacturer, dataset.ManufacturerModelName = 'Nobody', 'Synthetic'
    dataset.Rows = dataset.Columns = _SIDE
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.SamplesPerPixel, dataset.PixelRepresentation = 1, 0
    dataset.PhotometricInterpretation = 'MONOCHROME2'
    dataset.ImagerPixelSpacing = [0.15, 0.15]
    block = dataset.private_block(0x0019, 'NAPARI-CXR BENCHMARK', create=True)
    for number in range(87 - len(dataset)):
        block.add_new(number, 'LO', f'setting {number} of the device')
    return dataset


def bare_loop(files: list[Path]) -> float:
    """Return the seconds that reading all headers takes."""
    began = time.perf_counter()
    for path in files:
        dcmread(path, stop_before_pixels=True)
    return time.perf_counter() - began


def index(folder: Path) -> tuple[float, int]:
    """Return the seconds until all is listed, and how many images there are."""
    from napari_cxr.studies.study_index import IndexDone, index_studies
    from napari_cxr.workers.decoder_pool import Decoder

    with closing(Decoder()) as decoder:
        for _ in decoder.headers([]):
            pass  # the process is there, as it is beside a viewer
        began = time.perf_counter()
        for event in index_studies(folder, decoder):
            if isinstance(event, IndexDone):
                return time.perf_counter() - began, len(event.images)
    raise RuntimeError('the index did not end')


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--files', type=int, default=10_000)
    parser.add_argument('--folder', type=Path, help='where the files are, or are made')
    parser.add_argument('--repeats', type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary) / 'studies'
        if not folder.is_dir():
            write_studies(folder, given.files)
        files = sorted(path for path in folder.rglob('*') if path.is_file())
        bare, first, second = [], [], []
        for repeat in range(given.repeats):
            os.environ['NAPARI_CXR_CACHE'] = str(Path(temporary) / f'cache-{repeat}')
            bare.append(bare_loop(files))
            seconds, images = index(folder)
            first.append(seconds)
            second.append(index(folder)[0])
        count = len(files)
        print(f'{count:,} files, {images:,} images')
        print(f'bare loop       {count / min(bare):8.0f} files/s')
        ratio = min(bare) / min(first)
        note_ratio(
            'headers a second of the study index',
            'a bare loop that reads headers',
            [a / b for a, b in zip(bare, first, strict=True)],
            '>= 0.8',
        )
        note_ratio(
            f'opening {count:,} files the first time',
            'the second time',
            [a / b for a, b in zip(first, second, strict=True)],
            '>= 20',
        )
        print(f'index           {count / min(first):8.0f} files/s, {ratio:.2f} of the loop')
        times = min(first) / min(second)
        print(f'second opening  {min(second):8.3f} s, {times:.0f} times faster')


if __name__ == '__main__':
    main()
