"""One file from the internet, which can stop at any moment and go on later.

What has come is kept beside the place where the file will lie, and asked for no second time
where the server can go on. The file takes its name only when its SHA-256 is the right one.
Proxies are those of the environment (HTTPS_PROXY, HTTP_PROXY, NO_PROXY).
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import sys
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import urlsplit

from napari_cxr import __version__
from napari_cxr.checkpoint.card import CheckpointError
from napari_cxr.messages import message_type

if TYPE_CHECKING:
    import requests

__all__ = [
    'DownloadFailed',
    'DownloadProgress',
    'download',
    'downloaded_bytes',
    'megabytes',
    'partial_file',
]

#: Seconds until a server has answered, and between two pieces of what it sends.
TIMEOUT = (15.0, 30.0)
#: How often a connection that breaks off is taken up again, and seconds between.
_RESUMES, _PAUSE = 5, 1.0
_PIECE = 16_384
#: Bytes that no model has, where the catalog does not say how many it has.
_MOST = 2 << 30
#: What must be free besides the file and what is made of it.
_MARGIN = 20_000_000
_EVERY = 0.2  # seconds between two events
_PASSWORD = 'is behind a proxy that asks for a name and password: put them into HTTPS_PROXY'


@message_type
@dataclass(frozen=True)
class DownloadProgress:
    """How far a download is.

    Parameters
    ----------
    stage : {'downloading', 'checking', 'converting'}
        What is being done.
    done, total : int
        Bytes; 0 for a total that nobody knows.
    seconds : float or None
        What is left at the pace of now; None while there is none.
    """

    stage: str
    done: int = 0
    total: int = 0
    seconds: float | None = None


class DownloadFailed(CheckpointError):
    """A file that no address gave."""


class _Elsewhere(Exception):
    """Why an address did not give the file, as words that may end a sentence."""


def megabytes(size: float) -> str:
    """Return a size in words."""
    return f'{size / 1e6:.0f} MB' if size >= 1e7 else f'{size / 1e6:.1f} MB'


def partial_file(target: Path, sha256: str) -> Path:
    """Return where what has come of a file is kept, until it is whole."""
    return target.with_name(f'.{target.name}-{sha256[:16]}.part')


def downloaded_bytes(target: Path, sha256: str) -> int:
    """Return how many bytes of a file have come already."""
    try:
        return partial_file(target, sha256).stat().st_size
    except OSError:
        return 0


def download(
    urls: Sequence[str], target: Path, sha256: str, size: int = 0, room: int = 0
) -> Generator[DownloadProgress, None, None]:
    """Download a file, or the rest of it.

    Parameters
    ----------
    urls : sequence of str
        Where it is; each is tried until one gives it.
    target : Path
        Where the file is to be.
    sha256 : str
        Of the whole file, in hexadecimal.
    size : int
        Its bytes, where they are known.
    room : int
        Bytes that will be needed besides.

    Yields
    ------
    Progress
        Some five times a second while something comes. Closing the generator stops it, and
        what has come is kept.

    Raises
    ------
    CheckpointError
        If it cannot be downloaded; one sentence, with what to do.
    """
    part = partial_file(target, sha256)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _check_room(target.parent, size - downloaded_bytes(target, sha256) + room)
        problems = []
        for url in urls:
            try:
                yield from _from(url, part, sha256, size)
                os.replace(part, target)
                return
            except _Elsewhere as problem:
                problems.append(f'{urlsplit(url).hostname} {problem}')
    except OSError as error:
        raise _unwritable(error, target, downloaded_bytes(target, sha256)) from error
    kept = downloaded_bytes(target, sha256)
    so_far = (
        f' {megabytes(kept)} were saved; the next attempt continues from there.' if kept else ''
    )
    raise DownloadFailed(
        f'The download failed: {"; ".join(problems)}. Check the connection, and the proxy in '
        f'HTTPS_PROXY if your network uses one.{so_far}'
    )


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > 0 and free < needed + _MARGIN:
        raise CheckpointError(
            f'There is not enough space on the disk: {megabytes(needed + _MARGIN)} are needed in '
            f'{folder}, and {megabytes(free)} are free. Free some space, or set '
            'NAPARI_CXR_MODELS to another folder.'
        )


def _unwritable(error: OSError, target: Path, kept: int) -> CheckpointError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return CheckpointError(
            f'The disk is full: {megabytes(kept)} of the download are kept in {target.parent}. '
            'Free some space and start the download again; it continues from there.'
        )
    return CheckpointError(f'{target.parent} cannot be written to: {error.strerror}.')


def _from(url: str, part: Path, sha256: str, size: int) -> Generator[DownloadProgress, None, None]:
    """Download from one address, and go on where the connection breaks off."""
    import requests

    pace = _Pace()
    left = _RESUMES
    fresh = not part.exists()
    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            yield from _once(url, part, size, pace)
        except requests.RequestException as error:
            grown = part.exists() and part.stat().st_size > before
            left -= 1
            if not grown or not left or _is_final(error):
                raise _Elsewhere(_in_words(error)) from None
            time.sleep(_PAUSE)
            continue
        yield DownloadProgress('checking', part.stat().st_size, size)
        with part.open('rb') as file:
            right = hashlib.file_digest(file, 'sha256').hexdigest() == sha256
        if right:
            return
        part.unlink()
        if fresh:
            raise _Elsewhere(
                'sent a different file from the one in the catalog (its SHA-256 differs); it '
                'was deleted'
            )
        fresh = True  # the old beginning may have been the wrong one


def _once(url: str, part: Path, size: int, pace: _Pace) -> Generator[DownloadProgress, None, None]:
    """Ask once for what is lacking, and write what comes."""
    have = part.stat().st_size if part.exists() else 0
    if size and have >= size:
        if have > size:
            part.unlink()
            have = 0
        else:
            return
    with _asked(url, have) as answer:
        total = _total(answer, have, size)
        if total is None and not have:
            raise _Elsewhere('sends only a part of the file')
        if total is not None:
            yield from _take(answer, part, total, pace)
    if total is None:  # it has no more, or begins somewhere else: from the beginning
        part.unlink(missing_ok=True)
        yield from _once(url, part, size, pace)


def _take(
    answer: requests.Response, part: Path, total: int, pace: _Pace
) -> Generator[DownloadProgress, None, None]:
    """Write what a server sends."""
    with _opened(part, answer.status_code == 206) as file:
        done = file.tell()
        yield DownloadProgress('downloading', done, total)
        for piece in answer.iter_content(_PIECE):
            if done + len(piece) > (total or _MOST):
                raise _Elsewhere('sends more bytes than the file has')
            file.write(piece)
            done += len(piece)
            if pace.is_due():
                yield DownloadProgress('downloading', done, total, pace.seconds_left(done, total))
    if done < total:
        import requests

        raise requests.ConnectionError('the response was cut off')


@contextmanager
def _asked(url: str, have: int) -> Iterator[requests.Response]:
    import requests

    headers = {
        'User-Agent': f'napari-cxr/{__version__}',
        'Accept-Encoding': 'identity',  # the hash is that of the file as it is
    }
    if have:
        headers['Range'] = f'bytes={have}-'
    with (
        requests.Session() as session,
        session.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer,
    ):
        if answer.status_code == 407:
            raise _Elsewhere(_PASSWORD)
        if answer.status_code not in (200, 206, 416):
            raise _Elsewhere(f'answered {answer.status_code} {answer.reason}'.rstrip())
        yield answer


def _total(answer: requests.Response, have: int, size: int) -> int | None:
    """Return how many bytes the file has, 0 if nobody says; None where it does not go on."""
    if answer.status_code == 416:
        return None
    length = answer.headers.get('Content-Length', '')
    total = int(length) if length.isdecimal() else 0
    if answer.status_code == 206:
        said = answer.headers.get('Content-Range', '')
        if not said.startswith(f'bytes {have}-'):
            return None
        total += have if total else 0
    if (size and total and total != size) or total > _MOST:
        raise _Elsewhere(f'has another file there, of {total:,} bytes instead of {size:,}')
    return size or total


@contextmanager
def _opened(part: Path, go_on: bool) -> Iterator[IO[bytes]]:
    """Open what has come so far, for this process alone; nothing waits in a buffer."""
    with part.open('ab' if go_on else 'wb' if not part.exists() else 'r+b', buffering=0) as file:
        _lock(file)
        if not go_on:
            file.truncate(0)
        yield file


def _lock(file: IO[bytes]) -> None:
    try:
        if sys.platform == 'win32':
            import msvcrt

            place = file.tell()
            file.seek(1 << 40)  # beyond whatever is written
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            file.seek(place)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        raise CheckpointError(
            'Another napari-cxr is downloading this model; wait until it has finished.'
        ) from None
    except OSError:  # a file system without locks
        return


class _Pace:
    """How fast bytes come, over the last seconds."""

    _SPAN = 8.0

    def __init__(self) -> None:
        self._seen: list[tuple[float, int]] = []
        self._last = time.monotonic()

    def is_due(self) -> bool:
        """Whether it is time for an event."""
        now = time.monotonic()
        if now - self._last < _EVERY:
            return False
        self._last = now
        return True

    def seconds_left(self, done: int, total: int) -> float | None:
        now = time.monotonic()
        self._seen = [(t, n) for t, n in self._seen if now - t < self._SPAN]
        self._seen.append((now, done))
        first, began = self._seen[0]
        if not total or now <= first or done <= began:
            return None
        return (total - done) * (now - first) / (done - began)


def _is_final(error: requests.RequestException) -> bool:
    import requests

    return isinstance(error, requests.exceptions.ProxyError | requests.TooManyRedirects)


def _in_words(error: requests.RequestException) -> str:
    """Return what an error of requests means, to follow the name of the server."""
    import requests

    if isinstance(error, requests.exceptions.ProxyError):
        asks = '407' in str(error)
        return _PASSWORD if asks else 'is behind a proxy that does not answer'
    if isinstance(error, requests.exceptions.SSLError):
        return 'has a certificate that this computer does not trust'
    if isinstance(error, requests.ConnectTimeout):
        return f'did not answer for {TIMEOUT[0]:.0f} seconds'
    if isinstance(error, requests.Timeout) or 'timed out' in str(error).lower():
        return f'sent nothing for {TIMEOUT[1]:.0f} seconds'
    if isinstance(error, requests.TooManyRedirects):
        return 'redirects endlessly'
    if isinstance(error, requests.exceptions.InvalidSchema | requests.exceptions.MissingSchema):
        return 'redirects to an invalid address'
    if 'cut off' in str(error) or isinstance(error, requests.exceptions.ChunkedEncodingError):
        return 'closed the connection'
    return 'cannot be reached'
