"""Files of a run that may be missing, or half written by a run under way."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

from napari_cxr.checkpoint import Card, CheckpointError, read_card

__all__ = ['card_of', 'json_of', 'toml_of']


def toml_of(path: Path) -> dict[str, Any]:
    """Return what a TOML file holds; nothing where it cannot be read."""
    try:
        return tomllib.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return {}


def json_of(path: Path) -> dict[str, Any]:
    """Return the table in a JSON file; nothing where it cannot be read or is no table."""
    try:
        found = json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def card_of(path: Path) -> Card | None:
    """Return the card of a model; None where it cannot be read."""
    try:
        return read_card(path)
    except (CheckpointError, OSError):
        return None
