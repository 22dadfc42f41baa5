"""No file runs anything, whatever is in it, and none costs much."""

import pickle
import random
import struct
import time
import zipfile

import hostile
import pytest
import torch

from napari_cxr.checkpoint.foreign import ForeignFileError, pickle_machine, read_state, torch_file

#: Seconds that a file may cost.
SECONDS = 10


@pytest.fixture
def marker(tmp_path):
    return tmp_path / 'marker'


@pytest.fixture
def files(network, save):
    return save(network, 'zip', 'zipped.pt'), save(network, 'legacy', 'legacy.pt')


def read(path, content):
    path.write_bytes(content)
    try:
        read_state(path)
    except ForeignFileError as error:
        return str(error)
    return ''


def test_the_payloads_run_where_python_unpickles_them(marker):
    """Without this the tests below would prove nothing."""
    for body in hostile.payloads(marker):
        opened = pickle.loads(b'\x80\x02' + body + b'.')
        if hasattr(opened, 'close'):
            opened.close()
        assert marker.exists()
        marker.rmdir() if marker.is_dir() else marker.unlink()


def test_a_payload_is_refused_by_name_wherever_it_stands(files, marker, tmp_path):
    zipped, legacy = files
    rng = random.Random(5)
    table, old = hostile.table_of(zipped), legacy.read_bytes()
    start, stop = hostile.table_in_legacy(old)
    for body in hostile.payloads(marker):
        for _ in range(3):
            inside = hostile.with_payload(table, body, rng)
            said = read(tmp_path / 'x.pt', hostile.with_table(zipped, inside))
            assert 'asks for' in said or 'not one that weights need' in said
            inside = hostile.with_payload(old[start:stop], body, rng)
            said = read(tmp_path / 'x.pt', old[:start] + inside + old[stop:])
            assert 'asks for' in said or 'not one that weights need' in said
    assert not marker.exists()


def test_thousands_of_hostile_and_mutated_files_run_nothing(files, marker, tmp_path):
    began = time.monotonic()
    refused = 0
    for kind, content in hostile.many(*files, marker, 3000, random.Random(11)):
        said = read(tmp_path / 'x.pt', content)
        refused += bool(said)
        if kind.endswith('payload'):
            assert said
        assert not marker.exists(), kind
    assert refused > 1500
    assert time.monotonic() - began < 120


def put(number):
    return b'r' + struct.pack('<I', number)


def get(number):
    return b'j' + struct.pack('<I', number)


@pytest.fixture
def small_limits(monkeypatch):
    """Limits so low that what stands for a costly file here is harmless to every reader."""
    monkeypatch.setattr(pickle_machine, '_MOST_WORK', 2000)
    monkeypatch.setattr(torch_file, '_MOST', 100)


def costly():
    """Pickles of the shapes that, made large, cost a reader memory or time without bound."""
    doubling = b']' + put(0) + b''.join(b'](' + get(i) * 2 + b'e' + put(i + 1) for i in range(6))
    nested = b')' + b'\x85' * 200
    hashed = b')' + put(0) + b''.join(get(i) * 2 + b'\x86' + put(i + 1) + b'0' for i in range(4))
    long_list = b'](' + b'N' * 500 + b'e' + put(0)
    set_of = b'c__builtin__\nset\n' + put(1)
    key = b'X' + struct.pack('<I', 2000) + b'x' * 2000
    module = b'ctorch.nn.modules.container\nSequential\n'
    odd = b'X\x01\x00\x00\x00a'
    children = b''.join(
        module
        + b')\x81}X\x08\x00\x00\x00_modules}('
        + odd
        + get(i)
        + odd.replace(b'a', b'b')
        + get(i)
        + b'usb'
        + put(i + 1)
        for i in range(8)
    )
    own = module + b')\x81' + put(0) + b'}X\x08\x00\x00\x00_modules}' + odd + get(0) + b'ssb'
    return {
        'a memo with a large number': b'N' + put(100_000),
        'bytes that are not there': b'B' + struct.pack('<I', 0xFFFFFFF0),
        'very many bytes that are not there': b'\x8e' + struct.pack('<Q', 1 << 62),
        'a number without end': b'\x8b' + struct.pack('<i', 1 << 30),
        'a text of negative length': b'T' + struct.pack('<i', -5),
        'lists that double': doubling,
        'tuples in tuples': nested,
        'a key that holds others': hashed + b'}' + get(4) + b'Ns',
        'a set of a long list, again and again': long_list + (set_of + get(0) + b'\x85R0') * 20,
        'keys that are long': b'}' + key + put(0) + key + put(1) + b'00' + get(0) + b'Ns',
        'more operations than sense': b'N0' * 2000,
        'marks without end': b'(' * 900,
        'modules that double': module + b')\x81' + put(0) + children,
        'a module in itself': own,
        'a state that grows': module
        + b')\x81}('
        + b''.join(b'X\x04\x00\x00\x00%04dN' % i for i in range(60))
        + b'ub'
        + (b'}' + odd + b'Nsb') * 60,
        'a frame that is longer than the file': b'\x95' + struct.pack('<Q', 1 << 40),
        'an extension': b'\x82\x01',
        'an attribute of a class': module + b'N}X\x08\x00\x00\x00__init__Ns\x86b',
    }


#: What is said of each; of what is only odd and costs nothing, that it holds no weights.
SAID = {
    'a memo with a large number': 'no weights in it',
    'bytes that are not there': 'cut off',
    'very many bytes that are not there': 'cut off',
    'a number without end': 'an endless number',
    'a text of negative length': 'cut off',
    'lists that double': 'no weights in it',
    'tuples in tuples': 'no weights in it',
    'a key that holds others': 'a key that is not a name',
    'a set of a long list, again and again': 'unreasonably much',
    'keys that are long': 'a key that is not a name',
    'more operations than sense': 'unreasonably much',
    'marks without end': 'cut off',
    'modules that double': 'unreasonably many',
    'a module in itself': 'nested endlessly',
    'a state that grows': 'unreasonably much',
    'a frame that is longer than the file': 'cut off',
    'an extension': 'operation 0x82',
    'an attribute of a class': 'a state to what has none',
}


@pytest.mark.parametrize(('name', 'said'), SAID.items())
def test_a_costly_file_ends_at_a_limit(name, said, tmp_path, small_limits):
    path = tmp_path / 'costly.pt'
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('archive/data.pkl', b'\x80\x02' + costly()[name] + b'.')
    with pytest.raises(ForeignFileError, match=said):
        read_state(path)


def test_many_tensors_of_one_storage_cost_nothing(save, tmp_path):
    base = torch.zeros(500_000)
    state = {f'{i}': base.view(-1) for i in range(3000)}
    path = save(state)
    began = time.monotonic()
    assert len(read_state(path).tensors) == 3000
    with pytest.raises(ForeignFileError, match='more weights than it holds'):
        half = base.bfloat16()
        read_state(save({f'{i}': half.view(-1) for i in range(3000)}))
    assert time.monotonic() - began < SECONDS


def test_entries_that_overlap_are_not_checked_one_by_one(save):
    sizes = [500_000, 10, 10, 10]
    path = save({f'{i}': torch.full((n,), float(i)) for i, n in enumerate(sizes)})
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        infos = {i.filename.split('/', 1)[1]: i for i in archive.infolist()}
    first = infos['data/0']
    for number in (1, 2, 3):  # all become the first
        name = infos[f'data/{number}'].filename.encode()
        at = content.rfind(name) - 46  # in the list of entries, at the end
        assert content[at : at + 4] == b'PK\x01\x02'
        struct.pack_into('<III', content, at + 16, first.CRC, *2 * [first.file_size])
        struct.pack_into('<I', content, at + 42, first.header_offset)
    path.write_bytes(content)
    with pytest.raises(ForeignFileError, match='overlap'):
        read_state(path)


def test_an_archive_of_too_many_entries_is_not_listed(tmp_path):
    path = tmp_path / 'many.pt'
    with zipfile.ZipFile(path, 'w') as archive:
        for i in range(80_000):
            archive.writestr(f'archive/data/{i:010}', b'')
    with pytest.raises(ForeignFileError, match='unreasonably many entries'):
        read_state(path)
