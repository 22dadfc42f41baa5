"""The one job at a time that the Train dock has under way."""

from __future__ import annotations

from qtpy.QtCore import QObject

from napari_cxr.plugin.session import Session
from napari_cxr.plugin.train import jobs
from napari_cxr.training.recipe import Recipe

__all__ = ['TrainingSession']


class TrainingSession(Session):
    """Starts jobs of the training process: 'survey', 'preview', 'train' and 'networks'.

    Parameters
    ----------
    parent : QObject, optional
        Qt parent.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(jobs.shared_trainer(), parent)

    def list_networks(self) -> None:
        """Ask for the names of the networks."""
        self._start('networks', jobs.list_networks(self._new()))

    def survey(self, source: str, recipe: Recipe) -> None:
        """Look at a labelled folder."""
        self._start('survey', jobs.survey(source, recipe, self._new()))

    def preview(self, paths: list[str], labels: list[str], recipe: Recipe) -> None:
        """Draw samples with and without augmentation."""
        self._start('preview', jobs.preview(paths, labels, recipe, self._new()))

    def train(self, source: str, plan: str, out: str, device: str) -> None:
        """Train by a recipe or a sweep in TOML; an empty one takes up what `out` holds."""
        self._start('train', jobs.train(source, plan, out, device, self._new()))
