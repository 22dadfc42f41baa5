"""Files that would run something if they were unpickled; what they would run is harmless.

Each payload makes an empty file, the marker, and nothing else. `python hostile.py FOLDER COUNT
SEED` reads many such files and prints what became of them.
"""

import io
import os
import pickle
import random
import struct
import sys
import time
import zipfile
from pathlib import Path

MAGIC = 0x1950A86A20F9469CFC6C


class Runs:
    """Pickles as a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def payloads(marker: Path) -> list[bytes]:
    """Bodies of pickles, without protocol and stop, each of which makes the marker if run."""
    quoted = str(marker)
    python = f'open({quoted!r}, "w").close()'
    makers = [
        Runs(open, quoted, 'w'),
        Runs(os.mkdir, quoted),
        Runs(os.system, f'touch {quoted}'),
        Runs(exec, python),
        Runs(eval, python),
        Runs(Path.touch, marker),
        Runs(__import__('subprocess').getoutput, f'touch {quoted}'),
        Runs(__import__('shutil').copyfile, __file__, quoted),
    ]
    bodies = [pickle.dumps(maker, protocol)[2:-1] for maker in makers for protocol in (2, 3)]
    # The same without REDUCE: by INST, by OBJ, and by the name on the stack.
    text = python.encode()
    bodies += [
        b'(S' + repr(python).encode() + b'\nibuiltins\nexec\n',
        b'(cbuiltins\nexec\nX' + struct.pack('<I', len(text)) + text + b'o',
        b'\x8c\x08builtins\x8c\x04exec\x93X' + struct.pack('<I', len(text)) + text + b'\x85R',
    ]
    return bodies


def operations(body: bytes) -> list[int]:
    """Places between the operations of a pickle."""
    import pickletools

    return [place for _, _, place in pickletools.genops(body) if place is not None]


def with_payload(table: bytes, payload: bytes, rng: random.Random) -> bytes:
    """Put a payload between two operations, and drop what it leaves on the stack."""
    at = rng.choice(operations(table)[1:])
    return table[:at] + payload + b'0' + table[at:]


def mutated(content: bytes, rng: random.Random, start: int = 0, stop: int = 0) -> bytes:
    """Change, take away, double or exchange some bytes between two places."""
    changed = bytearray(content)
    stop = stop or len(changed)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        at = rng.randrange(start, stop)
        length = rng.choice((1, 1, 1, 4, 20))
        kind = rng.randrange(5)
        if kind == 0:
            changed[at] = rng.randrange(256)
        elif kind == 1:
            changed[at] ^= 1 << rng.randrange(8)
        elif kind == 2:
            del changed[at : at + length]
        elif kind == 3:
            changed[at:at] = changed[at : at + length]
        else:
            changed[at : at + length] = rng.randbytes(length)
        stop = max(start + 1, min(stop, len(changed)))
    return bytes(changed)


def table_of(path: Path) -> bytes:
    """Return the pickle in an archive."""
    with zipfile.ZipFile(path) as archive:
        (name,) = [n for n in archive.namelist() if n.endswith('data.pkl')]
        return archive.read(name)


def with_table(path: Path, table: bytes) -> bytes:
    """Return an archive with another pickle in it, checksums and all."""
    made = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(made, 'w') as new:
        for info in old.infolist():
            own = info.filename.endswith('data.pkl')
            new.writestr(info.filename, table if own else old.read(info))
    return made.getvalue()


def table_in_legacy(content: bytes) -> tuple[int, int]:
    """Return where the fourth pickle of an old file begins and ends."""
    file = io.BytesIO(content)
    for _ in range(3):
        pickle.load(file)
    import pickletools

    start = file.tell()
    for operation, _, place in pickletools.genops(content[start:]):
        if operation.name == 'STOP':
            return start, start + place + 1
    raise AssertionError('no end')


def many(zipped: Path, legacy: Path, marker: Path, count: int, rng: random.Random):
    """Yield so many hostile or damaged files: what kind, and the content."""
    table, bodies = table_of(zipped), payloads(marker)
    old = legacy.read_bytes()
    start, stop = table_in_legacy(old)
    for number in range(count):
        kind = number % 6
        body = bodies[number // 6 % len(bodies)]
        if kind == 0:
            yield 'zip, payload', with_table(zipped, with_payload(table, body, rng))
        elif kind == 1:
            yield 'zip, table mutated', with_table(zipped, mutated(table, rng))
        elif kind == 2:
            yield 'zip, file mutated', mutated(zipped.read_bytes(), rng)
        elif kind == 3:
            inside = with_payload(old[start:stop], body, rng)
            yield 'legacy, payload', old[:start] + inside + old[stop:]
        elif kind == 4:
            yield 'legacy, table mutated', mutated(old, rng, start, stop)
        else:
            hostile = mutated(with_payload(table, body, rng), rng)
            yield 'zip, payload mutated', with_table(zipped, hostile)


def main(folder: Path, count: int, seed: int) -> None:
    import collections
    import resource

    import torch

    sys.path.insert(0, str(Path(__file__).parent))
    from conftest import small_network
    from napari_cxr.checkpoint.foreign import ForeignFileError, read_state

    zipped, legacy, marker = folder / 'z.pt', folder / 'l.pt', folder / 'marker'
    torch.save(small_network(), zipped)
    torch.save(small_network(), legacy, _use_new_zipfile_serialization=False)
    outcomes: collections.Counter[tuple[str, str]] = collections.Counter()
    slowest, path = 0.0, folder / 'hostile.pt'
    for kind, content in many(zipped, legacy, marker, count, random.Random(seed)):
        path.write_bytes(content)
        began = time.perf_counter()
        try:
            read_state(path)
            outcome = 'read'
        except ForeignFileError as error:
            outcome = 'refused by name' if 'asks for' in str(error) else 'refused'
        slowest = max(slowest, time.perf_counter() - began)
        outcomes[kind, outcome] += 1
        if marker.exists():
            raise SystemExit(f'{kind} ran its payload: {path}')
    for (kind, outcome), number in sorted(outcomes.items()):
        print(f'{kind:24} {outcome:18} {number}')
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f'{count} files, none ran; slowest {1000 * slowest:.1f} ms; {most:.0f} MB at most')


if __name__ == '__main__':
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
