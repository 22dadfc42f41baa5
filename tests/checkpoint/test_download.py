"""A download stops and goes on, and only the right file is taken."""

import errno
import random
import shutil
import socket

import pytest

from napari_cxr.checkpoint import CheckpointError
from napari_cxr.checkpoint import download as downloading
from napari_cxr.checkpoint.download import download, downloaded_bytes, partial_file
from serving import Served, serving

SIZE = 300_000


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Only this computer is asked, and nothing waits long."""
    for name in ('HTTP_PROXY', 'http_proxy', 'HTTPS_PROXY', 'https_proxy', 'ALL_PROXY'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv('NO_PROXY', '')
    monkeypatch.setattr(downloading, 'TIMEOUT', (2.0, 0.5))
    monkeypatch.setattr(downloading, '_PAUSE', 0.0)
    monkeypatch.setattr(downloading, '_EVERY', 0.0)


@pytest.fixture
def served():
    return Served(random.Random(1).randbytes(SIZE))


@pytest.fixture
def address(served):
    with serving(served) as address:
        yield address + 'file'


@pytest.fixture
def target(tmp_path):
    return tmp_path / 'models' / 'it.pt'


def run(urls, target, served, **options):
    urls = [urls] if isinstance(urls, str) else urls
    return list(download(urls, target, served.sha256, served.size, **options))


def fails(urls, target, served, match, **options):
    with pytest.raises(CheckpointError, match=match):
        run(urls, target, served, **options)
    assert not target.exists()


def test_it_comes_whole_and_tells_how_far_it_is(address, target, served):
    events = run(address, target, served)
    assert target.read_bytes() == served.content
    assert [p.name for p in target.parent.iterdir()] == ['it.pt']
    done = [event.done for event in events]
    assert done == sorted(done) and done[-1] == SIZE
    assert {event.total for event in events} == {SIZE}
    assert [event.stage for event in events][-1] == 'checking'
    assert any(event.seconds is not None and event.seconds >= 0 for event in events)


def test_stopped_it_goes_on_where_it_was(address, target, served):
    progress = download([address], target, served.sha256, SIZE)
    while next(progress).done < SIZE / 3:
        pass
    progress.close()
    kept = downloaded_bytes(target, served.sha256)
    assert SIZE / 3 <= kept < SIZE and not target.exists()
    assert run(address, target, served)[0].done == kept
    assert served.asked[-1] == ('/file', f'bytes={kept}-')
    assert target.read_bytes() == served.content


def test_a_server_that_cannot_go_on_begins_again(address, target, served):
    served.ranges = False
    target.parent.mkdir()
    partial_file(target, served.sha256).write_bytes(served.content[:1000])
    run(address, target, served)
    assert target.read_bytes() == served.content


@pytest.mark.parametrize('beginning', [b'x' * 1000, b'x' * SIZE, b'x' * (SIZE + 5)])
def test_a_wrong_beginning_is_thrown_away(address, target, served, beginning):
    target.parent.mkdir()
    partial_file(target, served.sha256).write_bytes(beginning)
    run(address, target, served)
    assert target.read_bytes() == served.content


def test_a_whole_beginning_is_not_asked_for_again(address, target, served):
    target.parent.mkdir()
    partial_file(target, served.sha256).write_bytes(served.content)
    run(address, target, served)
    assert target.read_bytes() == served.content and served.asked == []


def test_a_part_that_begins_elsewhere_is_not_put_behind(address, target, served):
    served.wrong_range = True
    target.parent.mkdir()
    partial_file(target, served.sha256).write_bytes(served.content[:1000])
    run(address, target, served)
    assert target.read_bytes() == served.content


def test_broken_connections_are_taken_up_again(address, target, served):
    served.cuts = [90_000, 50_000, 120_000]
    run(address, target, served)
    assert target.read_bytes() == served.content and len(served.asked) == 4


def test_a_connection_that_always_breaks_ends_with_what_has_come(address, target, served):
    served.cuts = [9000] * 20
    fails(
        address,
        target,
        served,
        r'127\.0\.0\.1 closed the connection.*MB were saved; the next attempt',
    )
    assert 0 < downloaded_bytes(target, served.sha256) < SIZE
    served.cuts.clear()
    run(address, target, served)
    assert target.read_bytes() == served.content


def test_a_server_that_says_nothing_more(address, target, served):
    served.stalls = [0]
    fails(address, target, served, r'sent nothing for 0 seconds|sent nothing')
    served.stalls = [100_000]  # it goes on after a stall by itself
    run(address, target, served)
    assert target.read_bytes() == served.content


def test_another_file_is_thrown_away(address, target, served):
    served.sha256 = '0' * 64
    fails(address, target, served, 'SHA-256 differs.*deleted')
    assert list(target.parent.iterdir()) == []


def test_another_size_is_seen_before_anything_is_written(address, target, served):
    right, served.content = served.size, served.content[:-1]
    with pytest.raises(CheckpointError, match='299,999 bytes instead of 300,000'):
        list(download([address], target, served.sha256, right))
    assert list(target.parent.iterdir()) == []


def test_more_than_the_file_has_is_not_written(address, target, served):
    served.lacks_length = True
    right = served.size
    served.content += b'x' * 500_000
    with pytest.raises(CheckpointError, match='more bytes than the file has'):
        list(download([address], target, served.sha256, right))
    assert downloaded_bytes(target, served.sha256) <= right


def test_a_size_that_nobody_knows(address, target, served):
    served.lacks_length = True
    events = list(download([address], target, served.sha256))
    assert target.read_bytes() == served.content
    assert {event.total for event in events} == {0} and events[-1].seconds is None


def test_redirected(address, target, served):
    served.redirect = address
    run(address.replace('/file', '/elsewhere'), target, served)
    assert [path for path, _ in served.asked] == ['/elsewhere', '/file']
    assert target.read_bytes() == served.content


def test_redirected_without_end(address, target, served):
    served.redirect = address.replace('/file', '/again')
    fails(served.redirect, target, served, 'redirects endlessly')


def test_refused_and_the_next_address_gives_it(address, target, served):
    served.status = 404
    fails(address, target, served, '127.0.0.1 answered 404')
    good = Served(served.content)
    with serving(good) as other:
        run([address, other + 'file'], target, served)
    assert target.read_bytes() == served.content


def test_nobody_answers(target, served):
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    fails(f'http://127.0.0.1:{port}/file', target, served, 'cannot be reached.*HTTPS_PROXY')
    assert list(target.parent.iterdir()) == []


def test_through_a_proxy_of_the_environment(address, target, served, monkeypatch):
    """A proxy is asked for the whole address, of a host that nobody could find without it."""
    monkeypatch.setenv('HTTP_PROXY', address.removesuffix('/file'))
    run('http://models.invalid/file', target, served)
    assert served.asked[0][0] == 'http://models.invalid/file'
    assert target.read_bytes() == served.content


def test_a_proxy_that_is_not_there_or_wants_a_password(address, target, served, monkeypatch):
    served.status = 407
    monkeypatch.setenv('HTTP_PROXY', address.removesuffix('/file'))
    fails('http://models.invalid/file', target, served, 'a proxy that asks for a name')
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        monkeypatch.setenv('HTTP_PROXY', f'http://127.0.0.1:{free.getsockname()[1]}')
    fails('http://models.invalid/file', target, served, 'a proxy that does not answer')


def test_a_disk_without_room_is_seen_first(address, target, served, monkeypatch):
    usage = type('Usage', (), {'free': 1_000_000})
    monkeypatch.setattr(shutil, 'disk_usage', lambda folder: usage)
    fails(address, target, served, r'not enough space on the disk: 21 MB are needed', room=SIZE)
    assert served.asked == []


def test_a_disk_that_fills_up_keeps_what_has_come(address, target, served, monkeypatch):
    real, left = downloading._opened, [5]

    class Full:
        def __init__(self, file):
            self.file = file

        def tell(self):
            return self.file.tell()

        def write(self, piece):
            left[0] -= 1
            if left[0] < 0:
                raise OSError(errno.ENOSPC, 'No space left on device')
            return self.file.write(piece)

    from contextlib import contextmanager

    @contextmanager
    def opened(part, go_on):
        with real(part, go_on) as file:
            yield Full(file)

    monkeypatch.setattr(downloading, '_opened', opened)
    fails(address, target, served, r'The disk is full: 0\.1 MB of the download are kept')
    left[0] = 10_000
    run(address, target, served)
    assert target.read_bytes() == served.content and len(served.asked) == 2


def test_a_folder_that_cannot_be_written_to(address, tmp_path, served):
    (tmp_path / 'models').write_text('a file')
    fails(address, tmp_path / 'models' / 'it.pt', served, 'cannot be written to')


def test_two_at_once_do_not_mix(address, target, served):
    first = download([address], target, served.sha256, SIZE)
    next(first)
    with pytest.raises(CheckpointError, match='Another napari-cxr is downloading'):
        run(address, target, served)
    for _ in first:
        pass
    assert target.read_bytes() == served.content
