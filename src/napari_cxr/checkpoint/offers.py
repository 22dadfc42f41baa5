"""Models that can be downloaded: weights of others that are known, and what a person lists.

A person's list is ``catalog.toml`` in the folder of their models. A name in it goes before
the same name here, so that a hospital can have the file taken from a server of its own.
"""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from napari_cxr.checkpoint.card import NAME, CheckpointError
from napari_cxr.checkpoint.entry import OURS, SUFFIX, Entry, fetched_folder
from napari_cxr.checkpoint.file import digest, read_card
from napari_cxr.checkpoint.foreign import torchxrayvision

__all__ = ['downloads']

_SHA256 = re.compile(r'[0-9a-f]{64}')
#: What catalog.toml may say of a model that was not fetched yet, besides where it is.
_SUMMARY = ('title', 'labels', 'architecture', 'licence', 'intended_use')


def downloads(own: Path) -> list[Entry]:
    """Return what can be downloaded, or was; what is wrong in a list is an entry too.

    Parameters
    ----------
    own : Path
        The folder of the person's models.
    """
    listed = _listed(own)
    names = {entry.name for entry in listed}
    known = [Entry(where='download', card=None, path=None, **o) for o in torchxrayvision.offers()]
    return [_as_it_is(e, own) for e in [*listed, *(e for e in known if e.name not in names)]]


def _listed(own: Path) -> list[Entry]:
    table = own / 'catalog.toml'
    if not os.path.isfile(table):
        return []
    try:
        content = tomllib.loads(table.read_text(encoding='utf-8'))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        return [_wrong(table.name, f'{table.name} cannot be read: {error}.')]
    models = content.get('model', [])
    if not isinstance(models, list):
        return [_wrong(table.name, f'{table.name} must list each model under [[model]].')]
    return [_entry(item if isinstance(item, dict) else {}) for item in models]


def _entry(said: dict[str, Any]) -> Entry:
    name, url, sha256 = (said.get(key) for key in ('name', 'url', 'sha256'))
    form, size = said.get('format', OURS), said.get('size', 0)
    if not (isinstance(name, str) and NAME.fullmatch(name)):
        return _wrong('?', 'catalog.toml: a model has no usable name.')
    if not (isinstance(url, str) and urlsplit(url).scheme in ('https', 'http')):
        return _wrong(name, f'catalog.toml: {name!r} has no http address.')
    if not (isinstance(sha256, str) and _SHA256.fullmatch(sha256.lower())):
        return _wrong(name, f'catalog.toml: {name!r} has no SHA-256.')
    if form not in (OURS, torchxrayvision.FORM):
        return _wrong(
            name,
            f'catalog.toml: the format of {name!r} is {OURS!r} or {torchxrayvision.FORM!r}, not '
            f'{form!r}.',
        )
    if not (isinstance(size, int) and 0 <= size < 1 << 40):
        return _wrong(name, f'catalog.toml: the size of {name!r} is a number of bytes.')
    summary = {key: said[key] for key in _SUMMARY if key in said}
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
    return Entry(
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


def _wrong(name: str, error: str) -> Entry:
    return Entry(name, None, 'download', None, error=error)


def _as_it_is(entry: Entry, own: Path) -> Entry:
    """Return an entry with its card and file, where the right ones are there."""
    path = fetched_folder(own) / f'{entry.name}{SUFFIX}'
    if entry.error or not os.path.isfile(path):
        return entry
    try:
        card = read_card(path)
    except CheckpointError:
        return entry  # which is then got anew
    if entry.form == OURS:
        right = digest(path) == entry.sha256
    else:
        source = card.data.get('converted')
        right = isinstance(source, dict) and source.get('sha256') == entry.sha256
    return replace(entry, card=card, path=path) if right else entry
