"""One model of the catalog: where its file lies, and how it is downloaded or imported.

A file that was downloaded, or that a person already has, is checked against the SHA-256 of the
catalog before anything in it is read; weights of other programs are then converted.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from napari_cxr.checkpoint.card import Card, CheckpointError
from napari_cxr.checkpoint.download import (
    DownloadFailed,
    DownloadProgress,
    download,
    downloaded_bytes,
    megabytes,
)
from napari_cxr.checkpoint.model_file import digest, open_atomic, read_card

__all__ = [
    'OWN_FORMAT',
    'SUFFIX',
    'CatalogEntry',
    'bytes_so_far',
    'download_path',
    'download_terms',
    'downloads_folder',
    'get_model',
    'models_folder',
]

SUFFIX = '.safetensors'

#: What `CatalogEntry.form` says of a file that is a model of ours.
OWN_FORMAT = 'napari-cxr'


@dataclass(frozen=True)
class CatalogEntry:
    """One model, or a file that should be one.

    Parameters
    ----------
    name : str
        What `resolve` takes.
    card : Card or None
        None for a model that is not downloaded yet, and for a broken file.
    origin : {'bundled', 'yours', 'download'}
        Where it comes from.
    path : Path or None
        Its file; None before the download.
    error : str
        Why it cannot be used, or an empty string.
    url, sha256 : str
        Of a download.
    summary : dict
        What the catalog says of a download before its card is there.
    mirrors : tuple of str
        Other addresses of the same file.
    size : int
        Its bytes; 0 if they are not known.
    form : str
        How the file is written: 'napari-cxr', or the library whose weights are converted.
    weights : str
        That library's name of them.
    """

    name: str
    card: Card | None
    origin: Literal['bundled', 'yours', 'download']
    path: Path | None
    error: str = ''
    url: str = ''
    sha256: str = ''
    summary: dict[str, Any] = field(default_factory=dict)
    mirrors: tuple[str, ...] = ()
    size: int = 0
    form: str = OWN_FORMAT
    weights: str = ''

    @property
    def is_demonstration(self) -> bool:
        """Whether its card says that it is a demonstration, which is not to be believed."""
        return self.card is not None and bool(self.card.demonstration)

    @property
    def size_text(self) -> str:
        """Its size in brackets, after a space; empty if it is not known."""
        return f' ({megabytes(self.size)})' if self.size else ''

    @property
    def needs_download(self) -> bool:
        """Whether it is third-party weights not downloaded yet, which somebody has to ask for."""
        return self.form != OWN_FORMAT and self.path is None and not self.error


def models_folder() -> Path:
    """Return the folder of the person's own models; it need not exist.

    The environment variable NAPARI_CXR_MODELS names it; without that it is
    ``models`` in the person's data folder for napari-cxr.
    """
    named = os.environ.get('NAPARI_CXR_MODELS')
    if named:
        return Path(named)
    from platformdirs import user_data_path

    return user_data_path('napari-cxr', appauthor=False) / 'models'


def download_path(entry: CatalogEntry) -> Path:
    """Return where the file of a download lies, or will lie."""
    return downloads_folder(models_folder()) / f'{entry.name}{SUFFIX}'


def downloads_folder(own: Path) -> Path:
    """Return the folder of what was downloaded."""
    # A folder of their own, so that no download replaces a file of the person's.
    return own / 'downloads'


def get_model(
    entry: CatalogEntry, file: str | Path | None = None
) -> Generator[DownloadProgress, None, Path]:
    """Get a model: download it, or take the file that a person has; check it; convert it.

    Nothing in a file is looked at before its SHA-256 is the one of the catalog. Weights of
    other programs are then read without running anything that the file names.

    Parameters
    ----------
    entry : CatalogEntry
        A download of the catalog.
    file : str or Path, optional
        The file, where a person has it already.

    Yields
    ------
    Progress
        Closing the generator stops it; what has come is kept for the next time.

    Returns
    -------
    Path
        The model's file, in ``downloads`` in the person's own folder.

    Raises
    ------
    CheckpointError
        If it cannot be downloaded, or is not the file that the catalog means; one sentence.
    """
    target = download_path(entry)
    raw = _raw(entry)
    if file is not None:
        yield DownloadProgress('checking', 0, entry.size)
        _check(Path(file), entry)
        yield from _finished(entry, Path(file), target)
        return target
    # A file that could not be converted is still there, and need not come twice.
    if raw == target or not raw.is_file() or digest(raw) != entry.sha256:
        room = 0 if entry.form == OWN_FORMAT else entry.size
        try:
            yield from download((entry.url, *entry.mirrors), raw, entry.sha256, entry.size, room)
        except DownloadFailed as error:
            raise DownloadFailed(f'{error} {_by_hand(entry)}') from None
    if raw == target:
        read_card(target)
    else:
        yield from _finished(entry, raw, target)
        raw.unlink(missing_ok=True)
    return target


def bytes_so_far(entry: CatalogEntry) -> int:
    """Return how many bytes of a model's file have come already."""
    return downloaded_bytes(_raw(entry), entry.sha256)


def download_terms(entry: CatalogEntry) -> list[tuple[str, str]]:
    """Return what a person reads before getting a model: what each line is, and the line."""
    said = entry.summary
    lines = [
        ('Findings', ', '.join(str(label) for label in said.get('labels', ()))),
        ('Learnt from', str(said.get('learnt_from', ''))),
        ('Licence', str(said.get('licence', ''))),
        ('Please cite', '\n'.join(str(line) for line in said.get('citation', ()))),
        ('From', urlsplit(entry.url).hostname or ''),
        ('When not to believe it', str(said.get('not_to_believe', ''))),
    ]
    return [(what, text) for what, text in lines if text]


def _raw(entry: CatalogEntry) -> Path:
    """Return where the downloaded file lies until it is converted."""
    target = download_path(entry)
    return target if entry.form == OWN_FORMAT else target.with_name(f'.{entry.name}.pt')


def _check(file: Path, entry: CatalogEntry) -> None:
    """Refuse a file that is not the one of the catalog."""
    try:
        size = file.stat().st_size
        if entry.size and size != entry.size:
            raise CheckpointError(
                f'{file.name} is not the file of {entry.name}: it has {size:,} bytes instead of '
                f'{entry.size:,}. {_by_hand(entry)}'
            )
        if digest(file) != entry.sha256:
            raise CheckpointError(
                f'{file.name} is not the file of {entry.name}: its SHA-256 is different. '
                f'{_by_hand(entry)}'
            )
    except OSError as error:
        raise CheckpointError(f'{file.name} cannot be read: {error.strerror}.') from error


def _by_hand(entry: CatalogEntry) -> str:
    """Return how to get a file without us."""
    if entry.form == OWN_FORMAT:
        folder = download_path(entry).parent.parent
        return f'You can also put the file from {entry.url} into {folder}.'
    return (
        f'You can also download {entry.url} with a browser, and give the file to "I have the '
        f'file…" in the Classify dock or to napari-cxr models get {entry.name} --file FILE.'
    )


def _finished(
    entry: CatalogEntry, file: Path, target: Path
) -> Generator[DownloadProgress, None, None]:
    """Bring a file whose hash is right to its place, in our form."""
    yield DownloadProgress('converting', entry.size, entry.size)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if entry.form == OWN_FORMAT:
            read_card(file)
            with file.open('rb') as source, open_atomic(target) as copy:
                shutil.copyfileobj(source, copy)
            return
    except OSError as error:
        raise CheckpointError(
            f'{target.parent} cannot be written to: {error.strerror}.'
        ) from error
    from napari_cxr.checkpoint.foreign import convert, torchxrayvision

    meaning = torchxrayvision.meaning_of(entry.weights)
    convert(file, target, entry.name, replace(meaning, source={'url': entry.url}))
