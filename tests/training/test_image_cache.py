"""The cache on disk: right pixels or none, whatever happens to the file."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import fields, replace

import numpy as np
import pytest

from napari_cxr import lungs
from napari_cxr.inference import Preprocessing
from napari_cxr.training.image_cache import ImageCache, cache_key
from napari_cxr.training.training_image import TrainingImage, UnusableImage
from napari_cxr.user_cache import cache_folder

NAME = 'images-1.sqlite'


def key(i):
    return i.to_bytes(32, 'big')


def entry(i, side=60):
    image = np.random.default_rng(i).integers(0, 256, (side, side), dtype=np.uint8)
    features = np.arange(44, dtype=np.float32) / 3 + i
    features[7] = np.nan
    thumbnail = np.full((32, 32), i % 256, dtype=np.uint8)
    return TrainingImage(image, features, (40 + i, 50), thumbnail, f'p{i}')


def check(store, numbers):
    """Whatever the store returns is what was put; return how many of them it has."""
    pixels = store.images([key(i) for i in numbers])
    about = store.find([key(i) for i in numbers])
    for i in numbers:
        expected = entry(i)
        if key(i) in pixels:
            assert pixels[key(i)] == expected.image.tobytes()
        if key(i) in about:
            found = about[key(i)]
            np.testing.assert_array_equal(found['features'], expected.features)
            np.testing.assert_array_equal(found['thumbnail'], expected.thumbnail)
            assert (*found['size'], found['patient']) == (
                *expected.size,
                expected.patient,
            )
    return len(pixels)


@pytest.fixture
def filled(tmp_path):
    store = ImageCache(tmp_path)
    store.put({key(i): entry(i) for i in range(50)})
    store.close()
    return tmp_path


def test_what_is_put_comes_back_in_another_run(tmp_path):
    store = ImageCache(tmp_path)
    store.put(
        {key(i): entry(i) for i in range(3)} | {key(3): UnusableImage('It is a lateral view.')}
    )
    store.close()
    again = ImageCache(tmp_path)
    assert check(again, range(3)) == 3
    assert again.find([key(3), key(4)]) == {key(3): 'It is a lateral view.'}
    assert isinstance(again.find([key(3)])[key(3)], UnusableImage)
    assert again.images([key(3), key(4)]) == {}
    assert again.problems == []


def test_where_it_is_and_how_large_is_said_by_the_environment(tmp_path, monkeypatch):
    monkeypatch.delenv('NAPARI_CXR_CACHE', raising=False)
    assert cache_folder().name == 'napari-cxr'
    monkeypatch.setenv('NAPARI_CXR_CACHE', str(tmp_path / 'mine'))
    monkeypatch.setenv('NAPARI_CXR_CACHE_GB', 'much')
    store = ImageCache()
    assert (tmp_path / 'mine' / NAME).is_file()
    assert "'much', which is not a size" in store.problems[0]


def test_a_digest_is_remembered_until_the_file_changes(tmp_path, monkeypatch):
    path = tmp_path / 'DOE^JOHN.png'
    path.write_bytes(b'one')
    os.utime(path, (1e9, 1e9))
    store = ImageCache(tmp_path / 'cache')
    first = store.digest_of(path)
    assert first.hex().startswith('7692c3ad3540bb80')  # sha256sum of "one"
    path.write_bytes(b'two')
    os.utime(path, (1e9, 1e9))  # nobody can see this change; it shows that nothing was read
    assert store.digest_of(path) == first
    os.utime(path, (1e9, 1e9 + 1))
    assert store.digest_of(path).hex().startswith('3fc4ccfe745870e2')  # sha256sum of "two"
    store.close()
    kept = b''.join(p.read_bytes() for p in (tmp_path / 'cache').iterdir())
    assert b'DOE' not in kept and b'png' not in kept


def test_a_file_that_was_only_just_written_is_not_remembered(tmp_path):
    path = tmp_path / 'new'
    path.write_bytes(b'one')
    stamp = path.stat().st_mtime_ns
    store = ImageCache(tmp_path / 'cache')
    first = store.digest_of(path)
    path.write_bytes(b'two')
    os.utime(path, ns=(stamp, stamp))
    assert store.digest_of(path) != first


def test_the_key_knows_pixels_and_not_normalisation():
    plain = Preprocessing(64, 64)
    same = Preprocessing(64, 64, mean=(0.1,), std=(0.3,))
    assert cache_key(b'd', plain, 8) == cache_key(b'd', same, 8)
    changes = [
        {'height': 65},
        {'width': 65},
        {'fit': 'pad'},
        {'border': 0.1},
        {'stretch': None},
        {'lungs': 'crop'},
        {'lungs': 'only'},
        {'lungs': 'crop', 'margin': 0.1},
    ]
    # An option of pixels that the key forgot would hand out images of other settings.
    options = {f.name for f in fields(Preprocessing)}
    assert options == {'channels', 'colour', 'mean', 'std'}.union(*changes)
    others = [
        cache_key(b'e', plain, 8),
        cache_key(b'd', plain, 16),
        *(cache_key(b'd', replace(plain, **change), 8) for change in changes),
    ]
    assert len({cache_key(b'd', plain, 8), *others}) == 1 + len(others)


def test_the_key_knows_the_lung_fields_weights(monkeypatch):
    fit = Preprocessing(64, 64, lungs='only')
    before, whole = (cache_key(b'd', p, 8) for p in (fit, Preprocessing(64, 64)))
    monkeypatch.setattr(lungs, 'lung_network_fingerprint', lambda: '000000000000')
    assert cache_key(b'd', fit, 8) != before
    assert cache_key(b'd', Preprocessing(64, 64), 8) == whole


@pytest.mark.parametrize('damage', ['garbage', 'half', 'other tables', 'nothing', 'zeroes'])
def test_a_damaged_file_is_made_anew(filled, damage):
    path = filled / NAME
    content = path.read_bytes()
    if damage == 'garbage':
        path.write_bytes(b'this is no database' * 5000)
    elif damage == 'half':
        path.write_bytes(content[: len(content) // 2])
    elif damage == 'other tables':
        path.unlink()
        with sqlite3.connect(path) as other:
            for name in ('files', 'entries', 'images'):
                other.execute(f'CREATE TABLE {name} (x)')
        other.close()
    elif damage == 'nothing':
        path.write_bytes(b'')
    else:
        path.write_bytes(content[:4096] + bytes(len(content) - 4096))
    store = ImageCache(filled)
    check(store, range(50))
    store.put({key(i): entry(i) for i in range(60)})
    assert check(store, range(60)) == 60
    store.close()
    store = ImageCache(filled)
    assert check(store, range(60)) == 60, 'and it was kept on disk'
    assert store.problems == []


def test_a_changed_bit_is_never_a_wrong_pixel(filled):
    path = filled / NAME
    content = bytearray(path.read_bytes())
    random = np.random.default_rng(0)
    for _ in range(20):
        changed = bytearray(content)
        for place in random.integers(4096, len(content), 30):
            changed[place] ^= 1 << int(random.integers(8))
        path.write_bytes(changed)
        store = ImageCache(filled)
        check(store, range(50))
        store.close()


def test_swapped_rows_are_not_taken_for_each_other(filled):
    with sqlite3.connect(filled / NAME) as base:
        (image,) = base.execute('SELECT image FROM images WHERE key = ?', (key(1),)).fetchone()
        base.execute('UPDATE images SET image = ? WHERE key = ?', (image, key(0)))
    base.close()
    store = ImageCache(filled)
    assert check(store, range(50)) == 49


@pytest.mark.skipif(sys.platform == 'win32', reason='an open file cannot be removed there')
def test_a_file_that_is_removed_while_it_is_open(filled):
    store = ImageCache(filled)
    for path in filled.iterdir():
        path.unlink()
    check(store, range(50))
    store.put({key(i): entry(i) for i in range(60)})
    assert check(store, range(60)) == 60


def test_a_full_disk_is_worked_around(filled):
    store = ImageCache(filled)
    pages = store._disk.execute('PRAGMA page_count').fetchone()[0]
    store._disk.execute(f'PRAGMA max_page_count = {pages}')  # as a full disk: SQLITE_FULL
    for i in range(50, 150):
        store.put({key(i): entry(i)})
    assert check(store, range(150)) == 150
    (problem,) = store.problems
    assert 'full' in problem and 'kept in memory' in problem and 'NAPARI_CXR_CACHE' in problem


@pytest.mark.skipif(
    sys.platform == 'win32' or os.geteuid() == 0, reason='root may write everywhere'
)
def test_a_folder_that_cannot_be_written(tmp_path):
    tmp_path.chmod(0o500)
    store = ImageCache(tmp_path / 'cache')
    store.put({key(0): entry(0)})
    assert check(store, [0]) == 1
    tmp_path.chmod(0o700)


def test_the_least_recently_used_go_first(tmp_path):
    store = ImageCache(tmp_path)
    store.put({key(i): entry(i, side=200) for i in range(100)})  # 4 MB
    old = time.time() - 1e6
    with closing(sqlite3.connect(tmp_path / NAME)) as file, file:
        used = [(int(old) + i, key(i)) for i in range(100)]
        file.executemany('UPDATE entries SET used = ? WHERE key = ?', used)
    store.find([key(i) for i in range(10)])  # the oldest are used again
    store.close()
    store = ImageCache(tmp_path, limit=2_000_000)
    store.trim()
    left = [i for i in range(100) if key(i) in store.find([key(i)])]
    assert left[:10] == list(range(10))
    assert left[10:] == list(range(100 - len(left) + 10, 100))
    assert 30 < len(left) < 60
    store.close()
    assert (tmp_path / NAME).stat().st_size < 2_500_000


def test_what_this_run_uses_is_not_removed(tmp_path):
    store = ImageCache(tmp_path, limit=0)
    store.put({key(0): entry(0)})
    store.trim()
    assert check(store, [0]) == 1


WRITER = """
import sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from test_image_cache import check, entry, key
from napari_cxr.training.image_cache import ImageCache
store = ImageCache(Path(sys.argv[1]))
print('ready', flush=True)
for i in range(int(sys.argv[3]), int(sys.argv[4])):
    store.put({key(i): entry(i)})
    if sys.argv[5:]:
        print(i, flush=True)
    check(store, range(i))
assert not store.problems, store.problems
"""


def writer(folder, start, end, *more):
    here = os.path.dirname(__file__)
    command = [sys.executable, '-c', WRITER, str(folder), here, str(start), str(end), *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_two_runs_at_once_make_it_and_write_to_it(tmp_path):
    runs = [writer(tmp_path, start, start + 60) for start in (0, 30)]
    for process in runs:
        process.communicate(timeout=50)
    assert [process.returncode for process in runs] == [0, 0]
    assert check(ImageCache(tmp_path), range(90)) == 90


@pytest.mark.skipif(sys.platform == 'win32', reason='signals')
def test_it_survives_being_killed_at_any_moment(tmp_path):
    start = 0
    for _ in range(3):
        process = writer(tmp_path, start, 10_000, 'loud')
        assert process.stdout.readline() == 'ready\n'
        for _ in range(20):
            last = int(process.stdout.readline())
        os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=30)
        store = ImageCache(tmp_path)
        assert check(store, range(last + 1)) == last + 1, 'what was put is there'
        assert store.problems == []
        store.close()
        start = last + 1
