"""Files in the user's cache folder: found again, bounded, and never an error."""

import os

import pytest

from napari_cxr.user_cache import FileCache, cache_folder


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    monkeypatch.setenv('NAPARI_CXR_CACHE', str(tmp_path / 'cache'))
    return tmp_path / 'cache'


@pytest.fixture
def cache():
    return FileCache('things', limit=1000)


def test_the_folder_is_the_users_or_the_one_that_is_named(folder, monkeypatch):
    assert cache_folder() == folder
    monkeypatch.delenv('NAPARI_CXR_CACHE')
    assert cache_folder().name == 'napari-cxr'


def test_what_is_put_is_got_by_its_key_only(cache):
    cache.put('a', b'one')
    cache.put('b', b'')
    assert cache.get('a') == b'one' and cache.get('b') == b'' and cache.get('c') is None
    cache.put('a', b'two')
    assert cache.get('a') == b'two'
    assert FileCache('others', 1000).get('a') is None
    cache.remove('a')
    cache.remove('a')
    assert cache.get('a') is None and cache.get('b') == b''


@pytest.mark.parametrize('change', [lambda c: c[:-1], lambda c: c[:-1] + b'?', lambda c: b''])
def test_what_is_damaged_counts_as_absent(cache, folder, change):
    cache.put('a', b'content')
    (file,) = (folder / 'things').iterdir()
    file.write_bytes(change(file.read_bytes()))
    assert cache.get('a') is None
    cache.put('a', b'content')
    assert cache.get('a') == b'content'


def test_the_least_recently_used_makes_room(cache, folder):
    for i, key in enumerate('abc'):
        cache.put(key, bytes(268))  # 300 with its checksum
        os.utime(cache._path(key), (i, i))
    assert cache.get('a') is not None  # which marks its use
    cache.put('d', bytes(268))
    assert [key for key in 'abcd' if cache.get(key) is None] == ['b']
    cache.put('d', bytes(300))
    assert cache.get('d') == bytes(300) and cache.get('a') and cache.get('c')
    cache.put('e', bytes(900))
    assert [key for key in 'abcde' if cache.get(key)] == ['e']
    cache.put('f', bytes(1000))
    assert cache.get('f') is None and cache.get('e'), 'larger than the limit'
    assert sum(file.stat().st_size for file in (folder / 'things').iterdir()) <= 1000


def test_a_folder_that_cannot_be_written_to_is_no_error(cache, folder):
    folder.write_text('a file where the folder should be')
    cache.put('a', b'one')
    cache.remove('a')
    assert cache.get('a') is None


def test_a_write_that_fails_leaves_what_was_there(cache, monkeypatch):
    cache.put('a', b'one')

    def full(*_):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(os, 'replace', full)
    cache.put('a', b'two')
    assert cache.get('a') == b'one'
