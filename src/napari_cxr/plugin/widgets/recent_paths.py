"""The folders and lists that were used last, at the end of a menu that chooses one."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import partial

from qtpy.QtGui import QAction
from qtpy.QtWidgets import QMenu

from napari_cxr.output_text import terminal_line
from napari_cxr.plugin.preferences import preferences, save_preferences
from napari_cxr.settings_file import parse_json

__all__ = ['RecentPaths']

#: How many are remembered.
_MOST = 8


class RecentPaths:
    """Offers the paths that were used last in a menu, as far as they are still there.

    Parameters
    ----------
    category : str
        Under which of the preferences they are remembered, as its `recent`.
    menu : QMenu
        Gets them at its end, each time that it opens.
    choose : callable
        Called with the path that is chosen.
    """

    def __init__(self, category: str, menu: QMenu, choose: Callable[[str], object]) -> None:
        self._category, self._menu, self._choose = category, menu, choose
        self._actions: list[QAction] = []
        menu.aboutToShow.connect(self._offer)

    @property
    def paths(self) -> list[str]:
        """The paths, the one that was used last first."""
        try:
            found = parse_json(preferences(self._category).recent or '[]')
        except ValueError:
            return []
        return [path for path in found if isinstance(path, str)] if isinstance(found, list) else []

    def remember(self, path: str) -> None:
        """Remember a path that is used."""
        if path:
            path = os.path.abspath(os.path.expanduser(path))
            paths = [path, *(each for each in self.paths if each != path)][:_MOST]
            save_preferences(self._category, recent=json.dumps(paths))

    def _offer(self) -> None:
        for action in self._actions:
            self._menu.removeAction(action)
        self._actions = []
        there = [path for path in self.paths if os.path.exists(path)]
        if there and (separator := self._menu.addSeparator()) is not None:
            self._actions.append(separator)
        for path in there:
            self._add(terminal_line(path).replace('&', '&&'), partial(self._choose, path))
        if there:
            forget = partial(save_preferences, self._category, recent='')
            self._add('Forget these folders', forget)

    def _add(self, text: str, act: Callable[[], object]) -> None:
        action = QAction(text, self._menu)
        action.triggered.connect(lambda _=False: act())
        self._menu.addAction(action)
        self._actions.append(action)
