"""Write docs/robustness.md: damaged files, limits on resources, and what of a patient gets out.

    python scripts/robustness.py [--files 2000] [--seed 0] [--out docs/robustness.md]

Everything is made here: no file of a patient is read. Damage is random, by a seed, and applied
to files that are valid; what is counted is how each attempt to read one ends.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
from PIL import Image

from napari_cxr.dicom.headers import MAX_DATASET_BYTES
from napari_cxr.dicom.pixel_layout import MAX_SAMPLES
from napari_cxr.inference.preprocessing import Preprocessing
from napari_cxr.radiograph import UnreadableImage
from napari_cxr.samples import phantom, write_phantom_dicom
from napari_cxr.scoring.image_preparation import PreparedImage, PrepareOptions
from napari_cxr.workers.decoder_pool import Decoder, DecoderPool
from napari_cxr.workers.memory_budget import USUAL, DecoderLimits, MemoryBudget

SIZE = (160, 144)
#: Seconds that a file may take here; the plugin allows a minute.
TIMEOUT = 20.0
#: A sentence for people: it ends, holds no line break, no control character, no traceback.
SENTENCE = re.compile(r'[^\x00-\x1f\x7f-\x9f]{8,600}[.!]”?')
#: How many decoders are killed from outside.
KILLED = 5
LEAKS = re.compile(r'Traceback|File "|0x[0-9a-f]{6,}|/tmp/')


def main() -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--files', type=int, default=2000)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--out', type=Path, default=Path('docs/robustness.md'))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        parts = [
            damaged_files(Path(folder), asked.files, asked.seed),
            resource_limits(Path(folder)),
            privacy(Path(folder)),
        ]
    command = f'python scripts/robustness.py --files {asked.files} --seed {asked.seed}'
    head = (
        '# Robustness\n\nWhat damaged files, files that ask for too much, and headers full of a '
        f'patient’s identity do here. This page is written by `{command}`; everything in it is '
        'made by that script. The counts of damaged files depend on the versions of the decoders '
        'that are installed.\n'
    )
    asked.out.write_text('\n'.join([head, *parts]), encoding='utf-8')
    print(asked.out)


# Damaged files


def valid_files() -> dict[str, bytes]:
    """Return files that can be read, by what they are."""
    from pydicom.uid import (
        ImplicitVRLittleEndian,
        JPEG2000Lossless,
        JPEGLSLossless,
        RLELossless,
    )

    pixels = phantom(SIZE, seed=1)
    grey = Image.fromarray((255 * pixels).astype(np.uint8))
    deep = Image.fromarray((65535 * pixels).astype(np.uint16))
    found: dict[str, bytes] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'a.dcm'
        write_phantom_dicom(path, shape=SIZE)
        found['DICOM, explicit VR'] = path.read_bytes()
        write_phantom_dicom(path, shape=SIZE, transfer_syntax=ImplicitVRLittleEndian)
        found['DICOM, implicit VR'] = path.read_bytes()
        for name, syntax in (
            ('RLE', RLELossless),
            ('JPEG 2000', JPEG2000Lossless),
            ('JPEG-LS', JPEGLSLossless),
        ):
            write_phantom_dicom(path, shape=SIZE)
            if (packed := compressed(path, syntax)) is not None:
                found[f'DICOM, {name}'] = packed
    for name, image, options in (
        ('PNG, 8 bits', grey, {'format': 'PNG'}),
        ('PNG, 16 bits', deep, {'format': 'PNG'}),
        ('JPEG', grey, {'format': 'JPEG', 'quality': 90}),
        ('TIFF', deep, {'format': 'TIFF'}),
        ('TIFF, LZW', grey, {'format': 'TIFF', 'compression': 'tiff_lzw'}),
        ('TIFF, deflate', grey, {'format': 'TIFF', 'compression': 'tiff_adobe_deflate'}),
    ):
        packed_image = io.BytesIO()
        image.save(packed_image, **options)
        found[name] = packed_image.getvalue()
    return found


def compressed(path: Path, syntax: str) -> bytes | None:
    """Return a DICOM file compressed, or None where no encoder is installed."""
    import pydicom

    dataset = pydicom.dcmread(path)
    try:
        dataset.compress(syntax)
    except (RuntimeError, NotImplementedError, ImportError):
        return None
    packed = io.BytesIO()
    dataset.save_as(packed)
    return packed.getvalue()


def damage(data: bytes, random: np.random.Generator) -> bytes:
    """Return a file with random damage of one kind."""
    changed = bytearray(data)
    place = int(random.integers(len(changed)))
    length = int(random.integers(1, 200))
    # Half of all damage goes to the first 2,000 bytes, where headers are.
    if random.random() < 0.5:
        place = int(random.integers(min(2000, len(changed))))
    match int(random.integers(6)):
        case 0:  # a few bytes
            for at in random.integers(len(changed), size=int(random.integers(1, 9))):
                changed[at] = int(random.integers(256))
        case 1:  # cut off
            del changed[place:]
        case 2:  # a block of zeros, as a bad disk leaves it
            changed[place : place + length] = bytes(len(changed[place : place + length]))
        case 3:  # a block that is missing
            del changed[place : place + length]
        case 4:  # a block that comes twice
            changed[place:place] = changed[place : place + length]
        case _:  # a length or a count that is too large
            changed[place : place + 2] = b'\xff\xff'
    return bytes(changed)


def damaged_files(folder: Path, files: int, seed: int) -> str:
    """Read damaged files in decoders, and count how that ended."""
    random = np.random.default_rng(seed)
    originals = valid_files()
    kinds = list(originals)
    with closing(Decoder()) as decoder:
        for kind, content in originals.items():  # each is valid before it is damaged
            path = folder / 'valid.bin'
            path.write_bytes(content)
            assert decoder.read(path).shape == SIZE, kind
    items, names = [], []
    for number in range(files):
        kind = kinds[number % len(kinds)]
        path = folder / f'{number}.bin'
        path.write_bytes(damage(originals[kind], random))
        items.append((number, path))
        names.append(kind)
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in kinds}
    odd: list[str] = []
    slowest, started = 0.0, time.monotonic()
    last = started
    options = PrepareOptions(Preprocessing(96, 96))
    with closing(DecoderPool(os.cpu_count() or 1, timeout=TIMEOUT)) as pool:
        for done in pool.prepare(items, options):
            if done is None:
                continue
            number, answer = done
            slowest, last = max(slowest, time.monotonic() - last), time.monotonic()
            how = 'read'
            if not isinstance(answer, PreparedImage):
                how = 'decoder ended' if 'gave up' in answer else 'refused'
                if not SENTENCE.fullmatch(answer) or LEAKS.search(answer):
                    odd.append(answer)
            counts[names[number]][how] += 1
    seconds = time.monotonic() - started
    columns = ('read', 'refused', 'decoder ended')
    intro = (
        f'{files:,} files with random damage (a few bytes changed, cut off, a block of zeros, a '
        'block missing or doubled, a count too large), read as scoring reads them.'
    )
    lines = [
        '## Damaged files',
        '',
        intro,
        '',
        '| file | read | refused in a sentence | decoder ended and replaced |',
        '| --- | --- | --- | --- |',
    ]
    lines += [
        f'| {kind} | ' + ' | '.join(f'{counts[kind][column]:,}' for column in columns) + ' |'
        for kind in kinds
    ]
    total = Counter[str]()
    for counted in counts.values():
        total += counted
    outcome = (
        f'Every file ended as an image or as one sentence: {sum(total.values()):,} of {files:,}. '
        'Sentences that a person could not read (line breaks, control characters, tracebacks, '
        f'addresses): {len(odd)}. The longest wait between two results was {slowest:.1f} s, and '
        f'all took {seconds:.0f} s. "Read" includes damage to pixels, which not every format '
        'can detect.'
    )
    lines += [
        '| **all** | ' + ' | '.join(f'{total[column]:,}' for column in columns) + ' |',
        '',
        outcome,
        '',
    ]
    for answer in odd[:5]:
        print('odd:', repr(answer), file=sys.stderr)
    return '\n'.join(lines)


# Limits


def large_claims(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield small files that claim to be large."""
    import struct
    import zlib

    import pydicom
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    side = 60_000
    path = folder / 'large.dcm'
    write_phantom_dicom(path, shape=SIZE)
    dataset = pydicom.dcmread(path)
    dataset.Rows = dataset.Columns = side
    dataset.save_as(path)
    yield f'DICOM that claims {side:,} x {side:,} pixels', path

    path = folder / 'frames.dcm'
    write_phantom_dicom(path, shape=SIZE)
    dataset = pydicom.dcmread(path)
    dataset.NumberOfFrames = 2_000_000
    dataset.save_as(path)
    yield 'DICOM that claims 2,000,000 frames', path

    path = folder / 'deflated.dcm'
    write_phantom_dicom(path, shape=SIZE)
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.save_as(path)
    head = path.read_bytes()
    head = head[: 144 + struct.unpack_from('<I', head, 140)[0]]
    unpacked = MAX_DATASET_BYTES + (64 << 20)
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    with path.open('wb') as file:
        file.write(head + packer.compress(struct.pack('<HH2sHI', 9, 0x1010, b'OB', 0, unpacked)))
        for _ in range(unpacked >> 24):
            file.write(packer.compress(bytes(1 << 24)))
        file.write(packer.flush())
    yield f'deflated DICOM that unpacks to {unpacked >> 20:,} MiB', path

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = struct.pack('>I', zlib.crc32(kind + content))
        return struct.pack('>I', len(content)) + kind + content + check

    path = folder / 'large.png'
    header = struct.pack('>IIBBBBB', side, side, 8, 0, 0, 0, 0)
    path.write_bytes(
        b'\x89PNG\r\n\x1a\n'
        + chunk(b'IHDR', header)
        + chunk(b'IDAT', zlib.compress(bytes(1000)))
        + chunk(b'IEND', b'')
    )
    yield f'PNG that claims {side:,} x {side:,} pixels', path

    path = folder / 'large.tif'
    path.write_bytes(
        b'II*\0\x08\0\0\0'
        + struct.pack('<H', 7)
        + b''.join(
            struct.pack('<HHII', *entry)
            for entry in (
                (256, 4, 1, side),
                (257, 4, 1, side),
                (258, 3, 1, 8),
                (259, 3, 1, 1),
                (262, 3, 1, 1),
                (273, 4, 1, 100),
                (279, 4, 1, 1000),
            )
        )
        + struct.pack('<I', 0)
        + bytes(1000)
    )
    yield f'TIFF that claims {side:,} x {side:,} pixels', path


def resource_limits(folder: Path) -> str:
    """Time files that claim to be large, in a decoder that is watched."""
    intro = (
        'Small files that claim to be large are refused before anything of that size is '
        'allocated; what is deflated is unpacked to be counted, and nothing of that is kept:'
    )
    limits = DecoderLimits()
    lines = [
        '## Limits',
        '',
        '| what | limit |',
        '| --- | --- |',
        f'| samples of an image (pixels x frames x channels) | {MAX_SAMPLES:,} |',
        f'| bytes of a DICOM file or of what it unpacks to | {MAX_DATASET_BYTES:,} |',
        '| memory of all decoders together | nine tenths of what is free |',
        f'| memory that a file is let in with before its need is known | {USUAL >> 20} MiB |',
        f'| time of a file | {limits.seconds:.0f} s of a core, {limits.total:.0f} s in all |',
        '',
        intro,
        '',
        '| file | its size | seconds | peak memory of the decoder | |',
        '| --- | --- | --- | --- | --- |',
    ]
    lines += [watched(folder, what, path) for what, path in large_claims(folder)]
    lines += [
        '',
        'Valid images, in a decoder that is told how much memory is free:',
        '',
        '| file, and free memory | its size | seconds | peak memory of the decoder | |',
        '| --- | --- | --- | --- | --- |',
    ]
    for side, mode, free in ((4_000, 'L', 300), (6_000, 'RGB', 300), (16_000, 'L', 3_000)):
        path = folder / 'valid.png'
        Image.new(mode, (side, side), 'gray').save(path)
        what = f'PNG of {side:,} x {side:,} {"grey" if mode == "L" else "colour"} pixels'
        lines.append(watched(folder, f'{what}, {free:,} MB', path, free))
    return '\n'.join([*lines, '', killed(folder), ''])


def watched(folder: Path, what: str, path: Path, free: int = 0) -> str:
    """Return a row: how long reading a file took, with how much memory, and what came of it."""
    with closing(Decoder(timeout=60)) as decoder:
        tiny = folder / 'tiny.dcm'
        write_phantom_dicom(tiny, shape=(64, 64))
        decoder.read(tiny)  # so that imports do not count
        if free:
            decoder._budget = MemoryBudget(lambda: free * 1_000_000)
        before = peak_mib(decoder)
        start = time.monotonic()
        try:
            decoder.read(path)
            answer = 'read'
        except UnreadableImage as error:
            answer = str(error)
        seconds = time.monotonic() - start
        grown = peak_mib(decoder) - before
    size = path.stat().st_size / 1024
    return f'| {what} | {size:,.0f} KiB | {seconds:.2f} | +{max(grown, 0):,.0f} MiB | {answer} |'


def killed(folder: Path) -> str:
    """Kill decoders from outside, as a system without memory does, and say what came of it."""
    path, read = folder / 'killed.dcm', Counter[str]()
    write_phantom_dicom(path, shape=SIZE)
    for _ in range(KILLED if hasattr(signal, 'SIGSTOP') else 0):
        with closing(Decoder()) as decoder:
            decoder._worker.call('ready')
            pid = decoder._worker.pid
            os.kill(pid, signal.SIGSTOP)  # so it is killed in the middle of the file
            threading.Timer(0.2, os.kill, (pid, signal.SIGKILL)).start()
            try:
                decoder.read(path)
                read['read'] += 1
            except UnreadableImage as error:
                read[str(error)] += 1
    return (
        f'{KILLED} decoders were killed from outside in the middle of a file: {read["read"]} of '
        'the files were read all the same, by a second attempt.'
    )


def peak_mib(decoder: Decoder) -> float:
    """Return the most memory that a decoder has held, in MiB; 0 where the system does not tell."""
    pid = decoder._worker.pid
    try:
        status = Path(f'/proc/{pid}/status').read_text(encoding='ascii')
    except OSError:
        return 0.0
    found = re.search(r'VmHWM:\s+(\d+) kB', status)
    return int(found[1]) / 1024 if found else 0.0


# Privacy


_IDENTIFYING = """
PatientName PatientID OtherPatientNames PatientAddress PatientTelephoneNumbers
PatientMotherBirthName MilitaryRank EthnicGroupCodeSequence Occupation
AdditionalPatientHistory PatientComments PatientReligiousPreference AccessionNumber
InstitutionName InstitutionAddress InstitutionalDepartmentName ReferringPhysicianName
PerformingPhysicianName OperatorsName NameOfPhysiciansReadingStudy PhysiciansOfRecord
RequestingPhysician RequestingService StationName StudyID StudyDescription
SeriesDescription ProtocolName AdmittingDiagnosesDescription AdmissionID
CurrentPatientLocation VisitComments ImageComments DerivationDescription
RequestedProcedureDescription RequestedProcedureID ScheduledProcedureStepDescription
PerformedProcedureStepDescription PerformedProcedureStepID DeviceSerialNumber DetectorID
PlateID CassetteID SoftwareVersions DetectorDescription
AcquisitionDeviceProcessingDescription
"""


def marked_file(path: Path) -> list[str]:
    """Write a radiograph whose header is full of markers; return them."""
    import pydicom
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence

    write_phantom_dicom(path, shape=SIZE, seed=3)
    dataset = pydicom.dcmread(path)
    markers: list[str] = []

    def marker() -> str:
        markers.append(f'ZQ{len(markers):02}XK')
        return markers[-1]

    names = _IDENTIFYING.split()
    for name in names:
        if name.endswith('Sequence'):
            item = Dataset()
            item.CodeValue, item.CodeMeaning = marker(), marker()
            setattr(dataset, name, Sequence([item]))
        else:
            setattr(dataset, name, marker())
    item = Dataset()
    item.PatientID, item.IssuerOfPatientID = marker(), marker()
    dataset.OtherPatientIDsSequence = Sequence([item])
    block = dataset.private_block(0x0011, marker(), create=True)
    block.add_new(1, 'LO', marker())
    block.add_new(2, 'UT', marker())
    dataset.save_as(path)
    return markers


def privacy(folder: Path) -> str:
    """Look for planted markers in everything that the commands print and write."""

    place = folder / 'private'
    images = place / 'images'
    random = np.random.default_rng(5)
    for label, side in (('normal', slice(None, 20)), ('pneumonia', slice(20, None))):
        (images / label).mkdir(parents=True)
        for number in range(8):
            pixels = random.integers(60, 120, (40, 40), dtype=np.uint8)
            pixels[:, side] += 90
            Image.fromarray(pixels).save(images / label / f'{number}.png')
    marked = images / 'normal' / 'marked.dcm'
    markers = marked_file(marked)
    broken = spoiled(marked, place, markers)
    out = place / 'out'
    out.mkdir()
    recipe = ['--recipe', 'start-from-scratch']
    small = ['epochs=3', 'input.height=64', 'input.width=64']
    settings = [word for entry in small for word in ('--set', entry)]
    commands: list[tuple[str, list[str]]] = [
        ('info', ['info', str(marked), *broken]),
        ('classify', ['classify', str(marked), *broken, '--json', '--heatmap', str(out)]),
        ('score', ['score', str(images), *broken, '--out', str(out / 's.jsonl'),
                   '--labels', 'folders', '--heatmaps', str(out / 'maps')]),
        ('train', ['train', str(images), '--out', str(out / 'run'), *recipe, *settings]),
        ('evaluate', ['evaluate', str(out / 'run' / 'best.safetensors'), str(images),
                      '--out', str(out / 'report'), '--split', 'all']),
        ('audit', ['audit', str(images), '--out', str(out / 'audit')]),
    ]  # fmt: skip
    os.environ['NAPARI_CXR_CACHE'] = str(out / 'cache')
    printed: dict[str, bytes] = {}
    for name, words in commands:
        done = subprocess.run([sys.executable, '-m', 'napari_cxr', *words], capture_output=True)
        printed[f'printed by `{name}`'] = done.stdout + done.stderr
        if name in ('train', 'evaluate', 'audit') and done.returncode:
            raise SystemExit(done.stderr.decode())
    printed['a layer of napari'] = layer_text(marked)
    save_layers(marked, out)
    printed['the list of studies'] = listed_studies(images)
    written = [path for path in out.rglob('*') if path.is_file()]
    rows = []
    for name, content in printed.items():
        rows.append((name, content))
    rows.append((f'{len(written)} files written by these', b''.join(map(contents, written))))
    intro = (
        f'{len(markers)} markers stand in the header of one radiograph: names, numbers, '
        'addresses, free text, sequences and private elements. Four more files have the same '
        'header and a marker in an element that decides whether they are read. Markers that were '
        'found again:'
    )
    lines = [
        '## Identity',
        '',
        intro,
        '',
        '| where | bytes | markers found |',
        '| --- | --- | --- |',
    ]
    for where, content in rows:
        found = [
            one for one in markers if one.encode() in content or one.encode('utf-16-le') in content
        ]
        lines.append(f'| {where} | {len(content):,} | {len(found)} |')
        if found:
            print(where, found, file=sys.stderr)
    return '\n'.join([*lines, ''])


def spoiled(source: Path, folder: Path, markers: list[str]) -> list[str]:
    """Write copies that are refused because of an element whose value is a marker, too."""
    import pydicom

    paths = []
    planted = {
        'PhotometricInterpretation': 'ZQ00XK',
        'Modality': 'ZQ01XK',
        'PresentationLUTShape': 'ZQ02XK',
        'SOPClassUID': '1.2.826.0.1.3680043.9.99.71',
    }
    markers.append(planted['SOPClassUID'])
    for keyword, value in planted.items():
        dataset = pydicom.dcmread(source)
        setattr(dataset, keyword, value)
        if keyword == 'SOPClassUID':
            del dataset.PixelData
        paths.append(folder / f'{keyword}.dcm')
        dataset.save_as(paths[-1])
    return [str(path) for path in paths]


def layer_text(path: Path) -> bytes:
    """Return all that a layer says of a radiograph."""
    from napari_cxr.plugin import reader

    told = []
    for data, attributes, kind in reader.read(str(path)):
        told.append(f'{kind} {data.shape} {attributes!r}')
        held = attributes.get('metadata', {})
        told += [
            f'{name}: {value!r} {getattr(value, "__dict__", "")!r}' for name, value in held.items()
        ]
    return '\n'.join(told).encode()


def save_layers(path: Path, folder: Path) -> None:
    """Save a radiograph as napari's Save does, in every form."""
    from napari_cxr.plugin import reader, writers

    (data, attributes, _), *_ = reader.read(str(path))
    for ending in ('.png', '.tif', '.npz'):
        writers.write_image(str(folder / f'saved{ending}'), data, attributes)


def listed_studies(folder: Path) -> bytes:
    """Return all that the list of a folder's studies says; its file is left in the cache."""
    from napari_cxr.studies.study_index import index_studies

    with closing(Decoder()) as decoder:
        return repr([event for event in index_studies(folder, decoder) if event]).encode()


def contents(path: Path) -> bytes:
    """Return the content of a file, unpacked where it is packed, and its name."""
    name = path.name.encode()
    if path.suffix == '.npz':
        with np.load(path) as arrays:
            return name + ' '.join(arrays.files).encode()
    return name + path.read_bytes()


if __name__ == '__main__':
    main()
