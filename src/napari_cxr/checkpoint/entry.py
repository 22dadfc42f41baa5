"""One model of the catalog, and where models lie."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from napari_cxr.checkpoint.card import Card
from napari_cxr.checkpoint.downloading import megabytes

__all__ = ['OURS', 'SUFFIX', 'Entry', 'fetched_folder', 'models_folder', 'place_of']

SUFFIX = '.safetensors'
#: What `Entry.form` says of a file that is a model of ours.
OURS = 'napari-cxr'


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
    where: Literal['bundled', 'yours', 'download']
    path: Path | None
    error: str = ''
    url: str = ''
    sha256: str = ''
    summary: dict[str, Any] = field(default_factory=dict)
    mirrors: tuple[str, ...] = ()
    size: int = 0
    form: str = OURS
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
    def is_offered(self) -> bool:
        """Whether it is weights of others that were not got yet: somebody has to ask for it."""
        return self.form != OURS and self.path is None and not self.error


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


def place_of(entry: Entry) -> Path:
    """Return where the file of a download lies, or will lie."""
    return fetched_folder(models_folder()) / f'{entry.name}{SUFFIX}'


def fetched_folder(own: Path) -> Path:
    """Return the folder of what was downloaded."""
    # A folder of their own, so that no download replaces a file of the person's.
    return own / 'downloads'
