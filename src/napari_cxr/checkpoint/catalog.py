"""Which models there are: bundled, the person's own, and those that can be downloaded."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from importlib import resources
from pathlib import Path
from typing import Literal

from napari_cxr.checkpoint.card import CheckpointError
from napari_cxr.checkpoint.entry import SUFFIX, Entry, models_folder
from napari_cxr.checkpoint.file import read_card
from napari_cxr.checkpoint.offers import downloads

__all__ = ['Entry', 'add', 'default', 'entries', 'fetch', 'models_folder', 'resolve']


def entries() -> list[Entry]:
    """List all models: bundled, then the person's own, then downloads; demonstrations last.

    A file that is no model is listed with its error; it hides no other.
    """
    own = models_folder()
    found = [_from_file(path, 'bundled') for path in _bundled()]
    try:
        paths = sorted(own.glob(f'*{SUFFIX}'))
    except OSError as error:
        paths = []
        found.append(Entry(own.name, None, 'yours', own, error=str(error.strerror)))
    found += [_from_file(path, 'yours') for path in paths]
    return sorted(found + downloads(own), key=lambda entry: entry.is_demonstration)


def default() -> str:
    """Return the name of the model to begin with: the first bundled one, see `entries`."""
    bundled = sorted(
        (entry for path in _bundled() if not (entry := _from_file(path, 'bundled')).error),
        key=lambda entry: entry.is_demonstration,
    )
    return bundled[0].name if bundled else ''


def resolve(name_or_path: str | Path) -> Path:
    """Return the file of a model; one that is only listed is downloaded.

    Parameters
    ----------
    name_or_path : str or Path
        An existing file, or a name in the catalog. A name of the person's own
        goes before a bundled one, and that before a download.

    Raises
    ------
    CheckpointError
        If there is no such model, it is broken, or the download fails.
    """
    path = Path(name_or_path)
    if os.path.isfile(path):  # False, not an error, where a folder may not be entered
        return path
    text = str(name_or_path)
    listed = entries()
    order = ('yours', 'bundled', 'download')
    matching = sorted((e for e in listed if e.name == text), key=lambda e: order.index(e.where))
    if not matching:
        usable = ', '.join(sorted({e.name for e in listed if not e.error})) or 'none yet'
        raise CheckpointError(
            f'There is no model {text!r} and no such file; the models are: {usable}.'
        )
    usable_ones = [e for e in matching if not e.error]
    if not usable_ones:
        raise CheckpointError(matching[0].error)
    entry = usable_ones[0]
    if entry.path is not None:
        return entry.path
    if entry.is_offered:
        raise CheckpointError(
            f'The model {text!r} has not been downloaded yet{entry.size_text}: choose it '
            f'in the Classify dock and click Get, or run napari-cxr models get {text}.'
        )
    return fetch(entry)


def fetch(entry: Entry) -> Path:
    """Download a model, to its end; see `napari_cxr.checkpoint.getting.get`.

    Parameters
    ----------
    entry : Entry
        A download of the catalog.

    Returns
    -------
    Path
        Its file, in ``downloads`` in the person's own folder.

    Raises
    ------
    CheckpointError
        If there is no connection, the file is not the one that the catalog
        means, or it is no model.
    """
    from napari_cxr.checkpoint.getting import get

    progress = get(entry)
    while True:
        try:
            next(progress)
        except StopIteration as end:
            return Path(end.value)


def add(path: str | Path, name: str) -> str:
    """Copy a model into the person's own folder, beside what is there.

    Parameters
    ----------
    path : str or Path
        The model's file.
    name : str
        What it shall be called.

    Returns
    -------
    str
        The name that it got: with a number behind it where another model has that name.

    Raises
    ------
    CheckpointError
        If the file is no model, or cannot be copied.
    """
    read_card(path)
    taken = {entry.name for entry in entries()}
    numbered = (f'{name}-{number}' for number in itertools.count(2))
    free = name if name not in taken else next(n for n in numbered if n not in taken)
    own = models_folder()
    try:
        own.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(dir=own, prefix='.adding-')
        os.close(handle)
        try:
            shutil.copyfile(path, part)
            os.replace(part, own / f'{free}{SUFFIX}')  # whole or not at all
        except BaseException:
            Path(part).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise CheckpointError(
            f'The model could not be copied to {own}: {error.strerror}. It is kept in {path}.'
        ) from error
    return free


def _bundled() -> list[Path]:
    shipped = resources.files('napari_cxr') / 'weights'
    if not shipped.is_dir():
        return []
    # The package is installed as files, so its resources have paths.
    return sorted(Path(str(f)) for f in shipped.iterdir() if f.name.endswith(SUFFIX))


def _from_file(path: Path, where: Literal['bundled', 'yours']) -> Entry:
    try:
        card = read_card(path)
    except CheckpointError as error:
        return Entry(path.name.removesuffix(SUFFIX), None, where, path, error=str(error))
    # By its file, not by its card: two copies of a model can then be told apart.
    return Entry(path.name.removesuffix(SUFFIX), card, where, path)
