"""The plugin's preferences, and what its docks remember from one session to the next.

Preferences are what a person would set: they are declared, with titles and defaults, in the
manifest `napari.yaml`, and napari shows and stores them. What docks remember by themselves (the
folder that was open last, the widths of columns) is no setting: it is kept in a file of our own
beside napari's settings. Both are read and saved here under one name, and this module is light
enough for the reader to import.

Notes
-----
The categories:

classify
    Model, device, opacity of a new heatmap, and whether the lungs are shown after Classify.
batch
    Model, device and options of the dock that scores a folder, and where tables are written;
    remembered are the images, the last tables, how columns are arranged, and who reads.
train
    Recipe, folder of runs and device of the Train dock; remembered are the images.
evaluate
    Remembered are models, images and device of the dock that evaluates.
runs
    Remembered are the folder of training runs on show, and the columns that are hidden.
reading
    How much memory and time the decoding of files may take; every process follows a change at
    once. What the environment says goes before it.
layers
    Whether layers are named after their files; remembered are the folders where a radiograph
    was opened and a picture saved last.
studies
    Remembered are the folders whose studies were listed last.

The identifier of a category or a key never changes: people have saved values under it.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from napari_cxr.settings_file import parse_json, read_settings
from napari_cxr.workers.memory_budget import MEMORY, SECONDS, DecoderLimits

__all__ = ['preferences', 'save_preferences']

_PLUGIN = 'napari-cxr'

#: What docks remember by themselves, all of it text; version 0.1 listed it as preferences.
_REMEMBERED = {
    'batch': (
        'images',
        'table',
        'shown',
        'columns',
        'column_order',
        'column_widths',
        'reader',
        'recent',
    ),
    'train': ('images', 'recent'),
    'runs': ('folder', 'hidden'),
    'evaluate': ('images', 'models', 'device'),
    'layers': ('folder', 'picture_folder', 'measure_folder'),
    'studies': ('recent',),
}

#: Limits that the environment had set before napari began, which go before preferences.
_GIVEN = frozenset(name for name in (MEMORY, SECONDS) if name in os.environ)

#: The settings whose limits are followed; there is one such object in a session of napari.
_followed: list[Any] = []

#: What is remembered where napari stores no settings, and napari's object of that session.
_unsaved: tuple[object, dict[str, dict[str, str]]] = (None, {})


class _Category:
    """One category of the preferences, with what is remembered under the same name."""

    def __init__(self, category: str) -> None:
        from napari.settings import get_plugin_settings

        found = _remembered().get(category, {})  # first: napari forgets what it does not know
        self._remembered = {name: found.get(name, '') for name in _REMEMBERED.get(category, ())}
        self._chosen = getattr(get_plugin_settings(_PLUGIN), category, None)

    def __getattr__(self, name: str) -> Any:
        if name in self._remembered:
            return self._remembered[name]
        if self._chosen is None:
            raise AttributeError(name)
        return getattr(self._chosen, name)


def preferences(category: str) -> Any:
    """Return one category: what is chosen and what is remembered, as attributes."""
    found = _Category(category)
    _follow_limits()
    return found


def save_preferences(category: str, **values: Any) -> None:
    """Keep a person's choices, and what docks remember, for the next session."""
    from napari.settings import get_plugin_settings

    remembered = _remembered()
    ours = {name: str(v) for name, v in values.items() if name in _REMEMBERED.get(category, ())}
    if ours:
        remembered.setdefault(category, {}).update(ours)
        _store(remembered)
    chosen = getattr(get_plugin_settings(_PLUGIN), category, None)
    for name in values.keys() - ours.keys():
        setattr(chosen, name, values[name])


def _follow_limits() -> None:
    """See to it that decoders are told the limits, and every change of them."""
    from napari.settings import get_plugin_settings

    settings = get_plugin_settings(_PLUGIN)
    if not _followed or _followed[0] is not settings:
        _followed[:] = [settings]
        settings.events.connect(_set_limits)
        _set_limits()


def _set_limits(_: object = None) -> None:
    """Put the limits where decoders look for them, in whatever process; see `DecoderLimits`."""
    chosen, default = _followed[0].reading, DecoderLimits()
    chosen.events.connect(_set_limits)  # napari's dialog replaces it; connected twice is once
    limits = {MEMORY: (chosen.memory, default.memory), SECONDS: (chosen.seconds, default.seconds)}
    for name, (value, usual) in limits.items():
        if name not in _GIVEN:
            os.environ.pop(name, None)
            if value != usual:
                os.environ[name] = f'{value:g}'


def _settings_file() -> Path | None:
    """Return where napari keeps the plugin's preferences; None where it stores none."""
    from napari.settings import get_plugin_settings

    path = getattr(get_plugin_settings(_PLUGIN), 'config_path', None)
    return None if path is None else Path(path)


def _remembered() -> dict[str, dict[str, str]]:
    """Return what is remembered; once, also what version 0.1 had kept as preferences."""
    global _unsaved
    settings = _settings_file()
    if settings is None:
        from napari.settings import get_plugin_settings

        now = get_plugin_settings(_PLUGIN)
        if _unsaved[0] is not now:
            _unsaved = (now, {})
        return _unsaved[1]
    path = _path_beside(settings)
    if os.path.lexists(path):
        with suppress(OSError, ValueError):
            return _of_known_names(parse_json(read_settings(path)))
        return {}
    found = _of_known_names(_as_napari_stored_it(settings))
    if found:
        _store(found)
    return found


def _path_beside(settings: Path) -> Path:
    return settings.with_name(f'{_PLUGIN}.remembered.json')


def _as_napari_stored_it(settings: Path) -> Any:
    import yaml

    try:
        return yaml.safe_load(read_settings(settings))
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return {}


def _of_known_names(found: Any) -> dict[str, dict[str, str]]:
    out: dict[str, dict[str, str]] = {}
    for category, names in _REMEMBERED.items():
        entries = found.get(category) if isinstance(found, dict) else None
        if isinstance(entries, dict):
            texts = {name: entries[name] for name in names if isinstance(entries.get(name), str)}
            if texts:
                out[category] = texts
    return out


def _store(remembered: dict[str, dict[str, str]]) -> None:
    """Write what is remembered, whole or not at all; a full disk is no error."""
    settings = _settings_file()
    if settings is None:
        return
    path = _path_beside(settings)
    part = path.with_suffix('.part')
    try:
        part.write_text(json.dumps(remembered, indent=1) + '\n', encoding='utf-8')
        os.replace(part, path)
    except OSError:
        with suppress(OSError):
            part.unlink()
