"""A model of the catalog, downloaded or brought along, checked, and made ours."""

from __future__ import annotations

import shutil
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from napari_cxr.checkpoint.card import CheckpointError
from napari_cxr.checkpoint.downloading import DownloadFailed, Progress, download, kept_bytes
from napari_cxr.checkpoint.entry import OURS, Entry, place_of
from napari_cxr.checkpoint.file import digest, read_card, whole_file

__all__ = ['get', 'kept', 'terms']


def get(entry: Entry, file: str | Path | None = None) -> Generator[Progress, None, Path]:
    """Get a model: download it, or take the file that a person has; check it; convert it.

    Nothing in a file is looked at before its SHA-256 is the one of the catalog. Weights of
    other programs are then read without running anything that the file names.

    Parameters
    ----------
    entry : Entry
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
        If it cannot be had, or is not the file that the catalog means; one sentence.
    """
    target = place_of(entry)
    raw = _raw(entry)
    if file is not None:
        yield Progress('checking', 0, entry.size)
        _check(Path(file), entry)
        yield from _finished(entry, Path(file), target)
        return target
    # A file that could not be converted is still there, and need not come twice.
    if raw == target or not raw.is_file() or digest(raw) != entry.sha256:
        room = 0 if entry.form == OURS else entry.size
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


def kept(entry: Entry) -> int:
    """Return how many bytes of a model's file have come already."""
    return kept_bytes(_raw(entry), entry.sha256)


def terms(entry: Entry) -> list[tuple[str, str]]:
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


def _raw(entry: Entry) -> Path:
    """Return where the downloaded file lies until it is converted."""
    target = place_of(entry)
    return target if entry.form == OURS else target.with_name(f'.{entry.name}.pt')


def _check(file: Path, entry: Entry) -> None:
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
                f'{file.name} is not the file of {entry.name}: it has another SHA-256. '
                f'{_by_hand(entry)}'
            )
    except OSError as error:
        raise CheckpointError(f'{file.name} cannot be read: {error.strerror}.') from error


def _by_hand(entry: Entry) -> str:
    """Return how to get a file without us."""
    if entry.form == OURS:
        return f'You can also put the file from {entry.url} into {place_of(entry).parent.parent}.'
    return (
        f'You can also download {entry.url} with a browser, and give the file to "I have the '
        f'file…" in the Classify dock or to napari-cxr models get {entry.name} --file FILE.'
    )


def _finished(entry: Entry, file: Path, target: Path) -> Generator[Progress, None, None]:
    """Bring a file whose hash is right to its place, in our form."""
    yield Progress('converting', entry.size, entry.size)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if entry.form == OURS:
            read_card(file)
            with file.open('rb') as source, whole_file(target) as copy:
                shutil.copyfileobj(source, copy)
            return
    except OSError as error:
        raise CheckpointError(
            f'{target.parent} cannot be written to: {error.strerror}.'
        ) from error
    from napari_cxr.checkpoint.foreign import convert, torchxrayvision

    meaning = torchxrayvision.meaning_of(entry.weights)
    convert(file, target, entry.name, replace(meaning, source={'url': entry.url}))
