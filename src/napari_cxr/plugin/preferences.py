"""The plugin's preferences, as napari shows and stores them.

They are declared, with titles and defaults, in the manifest `napari.yaml`; this module reads
and saves them, and is light enough for the reader to import.

Notes
-----
The categories, each a page of napari's preferences:

classify
    Model, device, opacity of a new heatmap, and whether the lungs are shown after Classify.
batch
    The last settings of the dock that scores a folder: images, model, device, where tables
    are written, which was shown last, and how its columns are arranged.
train
    Images, recipe, folder of runs and device of the Train dock.
runs
    The folder of training runs on show, and the columns that are hidden.
layers
    Whether layers are named after their files, and the folders where a radiograph was opened
    and a picture saved last.

The identifier of a category or a key never changes: people have saved values under it.
"""

from __future__ import annotations

from typing import Any

__all__ = ['preferences', 'save_preferences']

_PLUGIN = 'napari-cxr'


def preferences(category: str) -> Any:
    """Return one category of the preferences; its attributes are declared in `napari.yaml`."""
    from napari.settings import get_plugin_settings

    return getattr(get_plugin_settings(_PLUGIN), category)


def save_preferences(category: str, **values: Any) -> None:
    """Keep a person's choices for the next session."""
    chosen = preferences(category)
    for name, value in values.items():
        setattr(chosen, name, value)
