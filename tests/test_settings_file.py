"""Whatever lies where settings are expected costs its reader one sentence, at once."""

import os
import time

import pytest

from napari_cxr.settings_file import (
    open_regular,
    parse_json,
    parse_toml,
    read_bounded,
    read_settings,
    read_toml,
)

posix = pytest.mark.skipif(os.name != 'posix', reason='Windows has no such files')


def test_a_file_comes_back_as_it_is(tmp_path):
    path = tmp_path / 'a.toml'
    path.write_bytes('a = "ü"\r\nb = [1, 2]\r\n'.encode())
    assert read_bounded(path) == 'a = "ü"\r\nb = [1, 2]\r\n'.encode()
    assert read_settings(path) == 'a = "ü"\nb = [1, 2]\n'
    assert read_toml(path) == {'a': 'ü', 'b': [1, 2]}
    (tmp_path / 'link').symlink_to(path)
    assert read_toml(tmp_path / 'link') == {'a': 'ü', 'b': [1, 2]}


def _folder(path):
    path.mkdir()


def _pipe(path):
    os.mkfifo(path)


def _device(path):
    path.symlink_to('/dev/zero')


def _dangling(path):
    path.symlink_to(path.with_name('nowhere'))


def _looping(path):
    path.symlink_to(path)


def _socket(path):
    import socket

    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(path))


@posix
@pytest.mark.parametrize(
    ('make', 'why'),
    [
        (_folder, 'it is a folder, not a file'),
        (_pipe, 'it is a named pipe, not a file'),
        (_device, 'it is a device, not a file'),
        (_dangling, 'it is a link to a file that is not there'),
        (_looping, 'its links lead in a circle'),
        (_socket, 'it is a socket, not a file'),
    ],
)
def test_what_is_not_a_file_is_refused_at_once(tmp_path, monkeypatch, make, why):
    monkeypatch.chdir(tmp_path)  # the name of a socket must be short
    make(path := tmp_path.relative_to(tmp_path) / 'odd')
    began = time.monotonic()
    for read in (open_regular, read_bounded, read_settings, read_toml):
        with pytest.raises(OSError) as caught:
            read(path)
        assert caught.value.strerror == why
    assert time.monotonic() - began < 2


@posix
@pytest.mark.skipif(os.name == 'posix' and os.geteuid() == 0, reason='root may read everything')
def test_a_file_without_permission_is_refused(tmp_path):
    (tmp_path / 'a').write_text('a = 1')
    (tmp_path / 'a').chmod(0)
    with pytest.raises(PermissionError):
        read_settings(tmp_path / 'a')


def test_a_name_that_cannot_be_one_is_refused():
    with pytest.raises(OSError, match='not a possible name'):
        read_settings('a\0b')


def test_a_file_may_be_as_large_as_the_limit_and_no_larger(tmp_path):
    (tmp_path / 'a').write_bytes(b'x' * 100)
    assert read_bounded(tmp_path / 'a', 100) == b'x' * 100
    with pytest.raises(OSError, match='larger than 99 bytes'):
        read_bounded(tmp_path / 'a', 99)
    with (tmp_path / 'sparse').open('wb') as file:
        file.truncate(1 << 40)  # takes no place, and would take all memory
    with pytest.raises(OSError, match='larger than 4 MB'):
        read_settings(tmp_path / 'sparse')


def test_other_encodings_are_told_from_text(tmp_path):
    (tmp_path / 'a').write_bytes('a = "ü"'.encode('latin-1'))
    with pytest.raises(ValueError, match='it is not text in UTF-8'):
        read_settings(tmp_path / 'a')


@pytest.mark.parametrize(
    ('parse', 'text', 'why'),
    [
        (parse_toml, 'a = ' + '[' * 100_000, 'nested too deeply'),
        (parse_toml, 'a = ' + '{b = ' * 5_000, 'nested too deeply'),
        (parse_toml, 'a = ' + '[' * 80 + ']' * 80, 'nested too deeply'),
        (parse_toml, '.'.join('a' * 500_000) + ' = 1', 'key of more than 64 parts'),
        (parse_toml, '[' + ' . '.join(['"a b"'] * 70) + ']', 'key of more than 64 parts'),
        (parse_toml, '#' * (5 << 20), 'far longer than settings are'),
        (parse_toml, 'a = ', 'Invalid value'),
        (parse_json, '[' * 200_000, 'nested too deeply'),
        (parse_json, '[' * 80 + ']' * 80, 'nested too deeply'),
        (parse_json, b'{"a":' * 80 + b'1' + b'}' * 80, 'nested too deeply'),
        (parse_json, '{"a":', 'Expecting value'),
        (parse_json, '9' * 5_000, 'digits'),
    ],
)
def test_texts_that_a_parser_gives_up_on_are_value_errors(parse, text, why):
    began = time.monotonic()
    with pytest.raises(ValueError, match=why):
        parse(text)
    assert time.monotonic() - began < 5


def test_ordinary_texts_are_read():
    assert parse_json('[' * 30 + '1' + ']' * 30)
    assert parse_json('{"a": {"b": [1, {"c": null}]}}') == {'a': {'b': [1, {'c': None}]}}
    assert len(parse_json(str([[1]] * 5_000))) == 5_000
    text = 'say = "One. Two. Three ... and 1.2.3.4 of https://a.b.c/d.e.f"\n[a.b.c]\nd = 1\n'
    assert parse_toml(text)['a'] == {'b': {'c': {'d': 1}}}
