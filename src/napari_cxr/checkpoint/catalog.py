"""Which models there are: bundled, the person's own, and those that can be downloaded.

The downloads are known third-party weights, and what a person lists in
``catalog.toml`` in the folder of their models. A name in that list goes before the same name
here, so that a hospital can have the file taken from a server of its own.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import tempfile
from collections.abc import Generator
from contextlib import closing
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from napari_cxr.checkpoint.card import NAME, CheckpointError, is_text
from napari_cxr.checkpoint.catalog_entry import (
    OWN_FORMAT,
    SUFFIX,
    CatalogEntry,
    downloads_folder,
    get_model,
    models_folder,
)
from napari_cxr.checkpoint.download import DownloadProgress
from napari_cxr.checkpoint.foreign import torchxrayvision
from napari_cxr.checkpoint.model_file import digest, read_card
from napari_cxr.settings_file import open_regular, read_toml

__all__ = [
    'CatalogEntry',
    'add',
    'default',
    'download_model',
    'downloadable',
    'entries',
    'fetch',
    'models_folder',
    'models_in',
    'resolve',
]

_SHA256 = re.compile(r'[0-9a-f]{64}')

#: What catalog.toml may say of a model that was not fetched yet, besides where it is.
_SUMMARY = ('title', 'labels', 'architecture', 'licence', 'intended_use')
_MOST_LABELS = 1000


def downloadable(own: Path) -> list[CatalogEntry]:
    """Return what can be downloaded, or was; what is wrong in a list is an entry too.

    Parameters
    ----------
    own : Path
        The folder of the person's models.
    """
    listed = _listed(own)
    names = {entry.name for entry in listed}
    known = [
        CatalogEntry(origin='download', card=None, path=None, **o)
        for o in torchxrayvision.offers()
    ]
    return [_as_it_is(e, own) for e in [*listed, *(e for e in known if e.name not in names)]]


def _listed(own: Path) -> list[CatalogEntry]:
    table = own / 'catalog.toml'
    if not os.path.lexists(table):  # False where the folder may not be entered
        return []
    try:
        content = read_toml(table)
    except OSError as error:
        return [_wrong(table.name, f'{table.name} cannot be read: {error.strerror}.')]
    except ValueError as error:
        return [_wrong(table.name, f'{table.name} cannot be read: {error}.')]
    models = content.get('model', [])
    if not isinstance(models, list):
        return [_wrong(table.name, f'{table.name} must list each model under [[model]].')]
    return [_listed_entry(item if isinstance(item, dict) else {}) for item in models]


def _listed_entry(said: dict[str, Any]) -> CatalogEntry:
    name, url, sha256 = (said.get(key) for key in ('name', 'url', 'sha256'))
    form, size = said.get('format', OWN_FORMAT), said.get('size', 0)
    if not (isinstance(name, str) and NAME.fullmatch(name)):
        return _wrong('?', 'catalog.toml: a model has no usable name.')
    if not (isinstance(url, str) and urlsplit(url).scheme in ('https', 'http')):
        return _wrong(name, f'catalog.toml: {name!r} has no http address.')
    if not (isinstance(sha256, str) and _SHA256.fullmatch(sha256.lower())):
        return _wrong(name, f'catalog.toml: {name!r} has no SHA-256.')
    if form not in (OWN_FORMAT, torchxrayvision.FORM):
        return _wrong(
            name,
            f'catalog.toml: the format of {name!r} is {OWN_FORMAT!r} or '
            f'{torchxrayvision.FORM!r}, not '
            f'{form!r}.',
        )
    if not (isinstance(size, int) and 0 <= size < 1 << 40):
        return _wrong(name, f'catalog.toml: the size of {name!r} must be a number of bytes.')
    summary = {key: said[key] for key in _SUMMARY if key in said}
    for key, value in summary.items():
        texts = value if key == 'labels' and isinstance(value, list) else [value]
        if len(texts) > _MOST_LABELS or not all(map(is_text, texts)):
            return _wrong(name, f'catalog.toml: the {key} of {name!r} must be a short text.')
    weights = ''
    if form == torchxrayvision.FORM:
        weights = str(said.get('weights', ''))
        if weights not in torchxrayvision.names():
            return _wrong(
                name,
                f'catalog.toml: the weights of {name!r} are one of '
                f'{", ".join(torchxrayvision.names())}.',
            )
        summary = torchxrayvision.summary(weights) | summary
    return CatalogEntry(
        name,
        None,
        'download',
        None,
        url=url,
        sha256=sha256.lower(),
        summary=summary,
        size=size,
        form=form,
        weights=weights,
    )


def _wrong(name: str, error: str) -> CatalogEntry:
    return CatalogEntry(name, None, 'download', None, error=error)


def _as_it_is(entry: CatalogEntry, own: Path) -> CatalogEntry:
    """Return an entry with its card and file, where the right ones are there."""
    path = downloads_folder(own) / f'{entry.name}{SUFFIX}'
    if entry.error or not os.path.isfile(path):
        return entry
    try:
        card = read_card(path)
        right = entry.form == OWN_FORMAT and digest(path) == entry.sha256
    except (CheckpointError, OSError):
        return entry  # which is then got anew
    if entry.form != OWN_FORMAT:
        source = card.data.get('converted')
        right = isinstance(source, dict) and source.get('sha256') == entry.sha256
    return replace(entry, card=card, path=path) if right else entry


def entries() -> list[CatalogEntry]:
    """List all models: bundled, then the person's own, then downloads; demonstrations last.

    A file that is not a model is listed with its error, and does not hide any other.
    """
    own = models_folder()
    found = [_from_file(path, 'bundled') for path in _bundled()]
    try:
        paths = sorted(own.glob(f'*{SUFFIX}'))
    except OSError as error:
        paths = []
        text = f'{own} cannot be read: {error.strerror}.'
        found.append(CatalogEntry(own.name, None, 'yours', own, error=text))
    found += [_from_file(path, 'yours') for path in paths]
    return sorted(found + downloadable(own), key=lambda entry: entry.is_demonstration)


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
        If there is no such model, it is broken, or the download fails. Of a folder the
        message names the models in it.
    """
    path = Path(name_or_path)
    if os.path.isfile(path):  # False, not an error, where a folder may not be entered
        return path
    text = str(name_or_path)
    if (named := _file_named(text)) is not None:
        return named
    listed = entries()
    order = ('yours', 'bundled', 'download')
    matching = sorted((e for e in listed if e.name == text), key=lambda e: order.index(e.origin))
    if not matching:
        if os.path.lexists(path):
            raise CheckpointError(_why_no_file(path))
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
    if entry.needs_download:
        raise CheckpointError(
            f'The model {text!r} has not been downloaded yet{entry.size_text}: choose it '
            f'in the Classify dock and click Get, or run napari-cxr models get {text}.'
        )
    return fetch(entry)


def _file_named(name: str) -> Path | None:
    """Return the first usable file of that name, the person's own first; reads no other card."""
    try:
        paths = [*models_folder().glob(f'*{SUFFIX}'), *_bundled()]
    except OSError:  # of which the listing tells
        paths = _bundled()
    for path in paths:
        if path.name == name + SUFFIX and not _from_file(path, 'yours').error:
            return path
    return None


#: Models of a folder that are named in a message.
_NAMED = 5

#: In a run's folder these come first, in this order.
_OF_A_RUN = ('best.safetensors', 'last.safetensors')

#: What the folder of a run that is not finished holds besides: its state, and where it began.
_NO_MODELS = ('state.safetensors', 'start.safetensors')


def models_in(folder: Path) -> list[Path]:
    """Return the files of models in a folder, or in the folders in it where it has none itself.

    Parameters
    ----------
    folder : Path
        Of a run, of several, or of models. What cannot be listed is empty.
    """
    for pattern in (f'*{SUFFIX}', f'*/*{SUFFIX}'):
        try:
            # What a stopped run goes on with is no model.
            found = [p for p in folder.glob(pattern) if p.name not in _NO_MODELS and p.is_file()]
        except OSError:
            continue
        if found:
            order = {name: number for number, name in enumerate(_OF_A_RUN)}
            return sorted(found, key=lambda p: (p.parent, order.get(p.name, len(order)), p.name))
    return []


def _why_no_file(path: Path) -> str:
    """Return why something that is there cannot be a model, and what can be."""
    if not os.path.isdir(path):
        try:
            open_regular(path).close()
        except OSError as error:
            return f'{path} cannot be read: {error.strerror}.'
        return f'{path} cannot be read.'
    found = models_in(path)
    if not found:
        return f'{path} is a folder without a model in it: name a file that ends in {SUFFIX}.'
    listed = ', '.join(str(one) for one in found[:_NAMED])
    more = f' and {len(found) - _NAMED:,} more' if len(found) > _NAMED else ''
    if len(found) == 1:
        return f'{path} is a folder; name the model in it: {listed}.'
    return f'{path} is a folder; name one of the models in it: {listed}{more}.'


def fetch(entry: CatalogEntry) -> Path:
    """Download a model, to its end; see `napari_cxr.checkpoint.catalog_entry.get_model`.

    Parameters
    ----------
    entry : CatalogEntry
        A download of the catalog.

    Returns
    -------
    Path
        Its file, in ``downloads`` in the person's own folder.

    Raises
    ------
    CheckpointError
        If there is no connection, the file is not the one that the catalog
        means, or it is not a model.
    """
    progress = get_model(entry)
    while True:
        try:
            next(progress)
        except StopIteration as end:
            return Path(end.value)


def download_model(name: str, file: str = '') -> Generator[DownloadProgress, None, str]:
    """Download a model, or take the file that a person has; check it and convert it.

    Parameters
    ----------
    name : str
        Of a download of the catalog.
    file : str
        Where a person has it already; empty to download it.

    Returns
    -------
    str
        Its file; the generator's return value.
    """
    for entry in entries():
        if entry.name == name and entry.origin == 'download' and not entry.error:
            with closing(get_model(entry, file or None)) as progress:
                return str((yield from progress))
    raise CheckpointError(f'There is no model {name!r} to get.')


def add(path: str | Path, name: str) -> str:
    """Copy a model into the person's own folder, beside what is there.

    Parameters
    ----------
    path : str or Path
        The model's file.
    name : str
        The name that it gets.

    Returns
    -------
    str
        The name that it got: with a number behind it where another model has that name.

    Raises
    ------
    CheckpointError
        If the file is not a model, or cannot be copied.
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


def _from_file(path: Path, origin: Literal['bundled', 'yours']) -> CatalogEntry:
    try:
        card = read_card(path)
    except CheckpointError as error:
        return CatalogEntry(path.name.removesuffix(SUFFIX), None, origin, path, error=str(error))
    # By its file, not by its card: two copies of a model can then be told apart.
    return CatalogEntry(path.name.removesuffix(SUFFIX), card, origin, path)
