"""The plugin's preferences, as napari shows and stores them."""

from __future__ import annotations

from typing import Any

__all__ = ['preferences', 'remember']

_PLUGIN = 'napari-cxr'


def preferences(category: str) -> Any:
    """Return one category of the preferences; its attributes are declared in `napari.yaml`."""
    from napari.settings import get_plugin_settings

    return getattr(get_plugin_settings(_PLUGIN), category)


def remember(category: str, **values: Any) -> None:
    """Keep a person's choices for the next session."""
    chosen = preferences(category)
    for name, value in values.items():
        setattr(chosen, name, value)
