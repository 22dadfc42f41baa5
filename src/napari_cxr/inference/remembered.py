"""Answers that took seconds to find, kept in the user's cache folder.

Losing them costs time, nothing else: a file that is damaged, or cannot be written, is as none.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

from napari_cxr.checkpoint.model_file import write_atomic

__all__ = ['get', 'put']

log = logging.getLogger(__name__)

_FILE = 'ways.json'
#: The oldest go first.
_MOST = 200


def get(key: str) -> Any:
    """Return what was kept by this key, as JSON reads it; None for nothing."""
    return _read().get(key)


def put(key: str, value: Any) -> None:
    """Keep something that JSON can hold."""
    kept = {**_read()}
    kept.pop(key, None)
    kept[key] = value
    content = json.dumps(dict(list(kept.items())[-_MOST:]), indent=1)
    try:
        _path().parent.mkdir(parents=True, exist_ok=True)
        write_atomic(_path(), content.encode())
    except OSError as error:
        log.info('%s cannot be written: %s', _path(), error.strerror)


def _path() -> Path:
    if named := os.environ.get('NAPARI_CXR_CACHE'):
        return Path(named) / _FILE
    from platformdirs import user_cache_path

    return user_cache_path('napari-cxr', appauthor=False) / _FILE


def _read() -> dict[str, Any]:
    try:
        kept = json.loads(_path().read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return kept if isinstance(kept, dict) else {}
