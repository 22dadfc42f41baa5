"""Which models there are: bundled, the person's own, and those that can be downloaded."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import tempfile
import tomllib
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from napari_cxr.checkpoint.card import NAME, Card, CheckpointError
from napari_cxr.checkpoint.file import digest, read_card

__all__ = ['Entry', 'add', 'default', 'entries', 'fetch', 'models_folder', 'resolve']

_SUFFIX = '.safetensors'
_SHA256 = re.compile(r'[0-9a-f]{64}')
#: What catalog.toml may say of a model that was not fetched yet, besides where it is.
_SUMMARY = ('title', 'labels', 'architecture', 'licence', 'intended_use')


@dataclass(frozen=True)
class Entry:
    """One model, or a file that should be one.

    Parameters
    ----------
    name : str
        What `resolve` takes.
    card : Card or None
        None for a model that is not downloaded yet, and for a broken file.
    where : {'bundled', 'yours', 'download'}
        Where it comes from.
    path : Path or None
        Its file; None before the download.
    error : str
        Why it cannot be used, or an empty string.
    url, sha256 : str
        Of a download.
    summary : dict
        What the catalog says of a download before its card is there.
    """

    name: str
    card: Card | None
    where: Literal['bundled', 'yours', 'download']
    path: Path | None
    error: str = ''
    url: str = ''
    sha256: str = ''
    summary: dict[str, Any] = field(default_factory=dict)

    @property
    def is_demonstration(self) -> bool:
        """Whether its card says that it is a demonstration, which is not to be believed."""
        return self.card is not None and bool(self.card.demonstration)


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


def entries() -> list[Entry]:
    """List all models: bundled, then the person's own, then downloads; demonstrations last.

    A file that is no model is listed with its error; it hides no other.
    """
    own = models_folder()
    found = [_from_file(path, 'bundled') for path in _bundled()]
    try:
        paths = sorted(own.glob(f'*{_SUFFIX}'))
    except OSError as error:
        paths = []
        found.append(Entry(own.name, None, 'yours', own, error=str(error.strerror)))
    found += [_from_file(path, 'yours') for path in paths]
    return sorted(found + _downloads(own), key=lambda entry: entry.is_demonstration)


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
    return entry.path if entry.path is not None else fetch(entry)


def fetch(entry: Entry) -> Path:
    """Download a model and check its SHA-256 and its card.

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
    import pooch

    pooch.get_logger().setLevel('WARNING')  # it writes to the terminal otherwise
    own = models_folder()
    try:
        name = pooch.retrieve(
            entry.url,
            known_hash=f'sha256:{entry.sha256}',
            fname=f'{entry.name}{_SUFFIX}',
            path=_fetched(own),
        )
    except ValueError:
        raise CheckpointError(
            f'The download of {entry.name!r} is not the file that the catalog means '
            '(another SHA-256); it was thrown away.'
        ) from None
    except OSError as error:  # also every error of requests
        raise CheckpointError(
            f'{entry.name!r} could not be downloaded from {urlsplit(entry.url).netloc}: '
            'check the connection, or put its file into '
            f'{own} by hand. ({type(error).__name__})'
        ) from None
    read_card(name)
    return Path(name)


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
            os.replace(part, own / f'{free}{_SUFFIX}')  # whole or not at all
        except BaseException:
            Path(part).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise CheckpointError(
            f'The model could not be copied to {own}: {error.strerror}. It is kept in {path}.'
        ) from error
    return free


def _fetched(own: Path) -> Path:
    # A folder of their own, so that no download replaces a file of the person's.
    return own / 'downloads'


def _bundled() -> list[Path]:
    shipped = resources.files('napari_cxr') / 'weights'
    if not shipped.is_dir():
        return []
    # The package is installed as files, so its resources have paths.
    return sorted(Path(str(f)) for f in shipped.iterdir() if f.name.endswith(_SUFFIX))


def _from_file(path: Path, where: Literal['bundled', 'yours']) -> Entry:
    try:
        card = read_card(path)
    except CheckpointError as error:
        return Entry(path.name.removesuffix(_SUFFIX), None, where, path, error=str(error))
    # By its file, not by its card: two copies of a model can then be told apart.
    return Entry(path.name.removesuffix(_SUFFIX), card, where, path)


def _downloads(own: Path) -> list[Entry]:
    table = own / 'catalog.toml'
    if not os.path.isfile(table):
        return []
    try:
        content = tomllib.loads(table.read_text(encoding='utf-8'))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        text = f'{table.name} cannot be read: {error}.'
        return [Entry(table.name, None, 'download', None, error=text)]
    models = content.get('model', [])
    if not isinstance(models, list):
        text = f'{table.name} must list each model under [[model]].'
        return [Entry(table.name, None, 'download', None, error=text)]
    return [_download(item, own) for item in models]


def _download(item: object, own: Path) -> Entry:
    said = item if isinstance(item, dict) else {}
    name, url, sha256 = (said.get(key) for key in ('name', 'url', 'sha256'))
    summary = {key: said[key] for key in _SUMMARY if key in said}
    if not (isinstance(name, str) and NAME.fullmatch(name)):
        return Entry(
            '?', None, 'download', None, error='catalog.toml: a model has no usable name.'
        )
    if not (isinstance(url, str) and urlsplit(url).scheme in ('https', 'http')):
        text = f'catalog.toml: {name!r} has no http address.'
        return Entry(name, None, 'download', None, error=text)
    if not (isinstance(sha256, str) and _SHA256.fullmatch(sha256.lower())):
        text = f'catalog.toml: {name!r} has no SHA-256.'
        return Entry(name, None, 'download', None, error=text)
    entry = Entry(name, None, 'download', None, url=url, sha256=sha256.lower(), summary=summary)
    path = _fetched(own) / f'{name}{_SUFFIX}'
    if not os.path.isfile(path):
        return entry
    try:
        card = read_card(path)
    except CheckpointError:
        return entry  # `fetch` replaces it
    if digest(path) != entry.sha256:
        return entry
    return Entry(name, card, 'download', path, url=url, sha256=entry.sha256, summary=summary)
