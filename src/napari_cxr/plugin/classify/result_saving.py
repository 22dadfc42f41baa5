"""What leaves the Classify dock: a picture, a page, or the heatmap's values."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from napari.components import ViewerModel
from napari.layers import Image
from qtpy.QtCore import QObject, Signal
from qtpy.QtGui import QGuiApplication, QImage
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_cxr.checkpoint.model_file import write_atomic
from napari_cxr.explain.heatmap import Heatmap, full_colour
from napari_cxr.explain.heatmap_export import HEATMAP_ENDINGS, write_heatmap
from napari_cxr.plugin.background import Failure, JobOutcome, run_job
from napari_cxr.plugin.classify.probability_bars import bar_groups
from napari_cxr.plugin.classify.result_buttons import ResultButtons
from napari_cxr.plugin.classify.result_view import headline_text, heatmap_text
from napari_cxr.plugin.classify_job import ExplainedPrediction
from napari_cxr.plugin.layers import is_heatmap, lying_on, name_without_identity
from napari_cxr.plugin.preferences import preferences, save_preferences
from napari_cxr.plugin.radiograph_views import views_of
from napari_cxr.plugin.result_picture import (
    ResultSummary,
    ResultValue,
    draw_result,
    png_bytes,
    result_page,
)
from napari_cxr.plugin.save_picture import free_name, picture_parts, render_picture

__all__ = ['ResultOutput', 'summarize_result']

_LONGEST = 1600  # pixels of the picture's longer side


@dataclass(frozen=True)
class _Shown:
    """What is on show when somebody clicks: nothing of it changes any more."""

    draw: Callable[[], Any]
    summary: ResultSummary
    heatmap: Heatmap
    strongest: float
    shape: tuple[int, int]
    version: str
    name: str


class ResultOutput(QObject):
    """Saves and copies the result that is on show; all work is done in jobs.

    Parameters
    ----------
    viewer : ViewerModel
        Its layers are drawn.
    buttons : ResultButtons
        What a person clicks.
    shown : callable
        Returns the layer, its result and the class whose heatmap is on show; or None.
    parent : QWidget
        The dock.
    """

    #: Something was saved or copied, or could not be: the sentence that says so.
    ended = Signal(str)

    def __init__(
        self,
        viewer: ViewerModel,
        buttons: ResultButtons,
        shown: Callable[[], tuple[Image, ExplainedPrediction, str] | None],
        parent: QWidget,
    ) -> None:
        super().__init__(parent)
        self._viewer, self._buttons, self._shown, self._dock = viewer, buttons, shown, parent
        self._busy = False
        buttons.picture_wanted.connect(self.save_picture)
        buttons.copy_wanted.connect(self.copy_picture)
        buttons.page_wanted.connect(self.choose_page)
        buttons.heatmap_wanted.connect(self.choose_heatmap)

    def save_picture(self) -> None:
        """Save a picture under a free name, in the folder of the last one."""
        shown = self._take()
        if shown is not None:
            path = free_name(_folder(), f'{shown.name}-result', '.png')
            self._run(partial(_write_picture, shown, path), 'Saving the picture', path)

    def copy_picture(self) -> None:
        """Put the picture on the clipboard."""
        shown = self._take()
        if shown is not None:
            self._run(partial(_picture, shown), 'Copying the picture', None)

    def choose_page(self) -> None:
        """Ask where a page of this case goes, and write it."""
        self._choose(
            'Save a page of this case', '-result', '.html', 'HTML (*.html)', self.save_page
        )

    def choose_heatmap(self) -> None:
        """Ask where the heatmap goes, and write it."""
        kinds = 'NumPy (*.npz);;TIFF (*.tif *.tiff);;PNG (*.png)'
        self._choose('Save the heatmap', '-heatmap', '.npz', kinds, self.save_heatmap)

    def save_page(self, path: Path) -> None:
        """Write a page of this case."""
        shown = self._take()
        if shown is not None:
            self._run(partial(_write_page, shown, path), 'Saving the page', path)

    def save_heatmap(self, path: Path) -> None:
        """Write the heatmap on show at the radiograph's resolution."""
        shown = self._take()
        if shown is not None:
            self._run(partial(_write_values, shown, path), 'Saving the heatmap', path)

    def _take(self) -> _Shown | None:
        """Return what is on show, for a job."""
        found = self._shown()
        if found is None or self._busy:
            return None
        layer, answer, label = found
        summary = summarize_result(layer, answer, label, self._viewer.layers)
        parts = picture_parts(layer, self._viewer.layers, overlays=True)
        shape = tuple((layer.data[0] if layer.multiscale else layer.data).shape[:2])
        name = ''.join(c if c.isalnum() else ' ' for c in summary.radiograph).lower().split()
        return _Shown(
            partial(
                render_picture,
                parts,
                shape,
                tuple(layer.scale[-2:]),
                _LONGEST,
                views_of(self._viewer).lies(layer),
            ),
            summary,
            answer.heatmap(label),
            full_colour(answer.heatmaps),
            (int(shape[0]), int(shape[1])),
            answer.prediction.version,
            '-'.join(name) or 'radiograph',
        )

    def _choose(
        self, title: str, tail: str, ending: str, kinds: str, save: Callable[[Path], None]
    ) -> None:
        shown = self._take()
        if shown is None:
            return
        start = str(free_name(_folder(), f'{shown.name}{tail}', ending))
        chosen, kind = QFileDialog.getSaveFileName(self._dock, title, start, kinds)
        if chosen:
            path = Path(chosen)
            endings = HEATMAP_ENDINGS if tail == '-heatmap' else ('.html', '.htm')
            if path.suffix.lower() not in endings:
                first = kind.partition('*')[2].strip('.*) ').split()
                path = path.with_name(f'{path.name}.{first[0] if first else ending[1:]}')
            save(path)

    def _run(self, job: Callable[[], Any], doing: str, path: Path | None) -> None:
        self._busy = True
        self._path = path
        self._buttons.said.setText(f'{doing}…')
        run_job(self, job, doing, done=self._done)

    def _done(self, outcome: JobOutcome | Failure) -> None:
        self._busy = False
        if isinstance(outcome, Failure):
            text = outcome.text
        elif isinstance(outcome.result, QImage):
            clipboard = QGuiApplication.clipboard()
            if clipboard is not None:
                clipboard.setImage(outcome.result)
            text = 'Copied.'
        else:
            text = f'Saved to {self._path}.'
            if self._path is not None:
                save_preferences('layers', picture_folder=str(self._path.parent))
        self._buttons.said.setText(text)
        self.ended.emit(text)


def summarize_result(
    layer: Image, answer: ExplainedPrediction, label: str, layers: Any
) -> ResultSummary:
    """Return what is written beside a radiograph; nothing in it tells whose it is.

    Parameters
    ----------
    layer : napari.layers.Image
        The radiograph.
    answer : ExplainedPrediction
        Its result.
    label : str
        The class whose heatmap is on show.
    layers : iterable of Layer
        Of the viewer: whether the heatmap is visible.
    """
    prediction = answer.prediction
    rows = [
        row
        for group in bar_groups(prediction.rule, prediction.probabilities)
        for row in group.rows
    ]
    at = prediction.labels.index(label)
    heat = next((each for each in lying_on(layer, layers) if is_heatmap(each)), None)
    shown = heat is not None and heat.visible
    named = answer.heatmap(label)
    return ResultSummary(
        name_without_identity(layer) or 'Radiograph',
        headline_text(prediction) or f'Most probable: {prediction.leading}',
        tuple(
            ResultValue(row.label, f'{100 * row.probability:.1f} %', row.length, row.mark)
            for row in rows
        ),
        f'{named.method}: {label}' if shown else '',
        (
            f'Model: {prediction.model} {prediction.model_hash}'.strip(),
            f'napari-cxr {prediction.version}'.strip(),
            answer.performance,
        ),
        tuple(warning.text for warning in prediction.warnings),
        heatmap_text(answer.lungs.locations[at], answer.lungs.uniform, answer.edge_fractions[at])
        if shown
        else '',
    )


def _picture(shown: _Shown) -> QImage:
    return draw_result(shown.draw(), shown.summary)


def _write_picture(shown: _Shown, path: Path) -> Failure | None:
    return _written(path, lambda: write_atomic(path, png_bytes(_picture(shown))))


def _write_page(shown: _Shown, path: Path) -> Failure | None:
    made = f'Made with napari-cxr {shown.version} on {datetime.now():%Y-%m-%d}.'
    page = result_page(_picture(shown), shown.summary, made)
    return _written(path, lambda: write_atomic(path, page.encode()))


def _write_values(shown: _Shown, path: Path) -> Failure | None:
    about = {'version': shown.version}

    def write() -> None:
        part = path.with_name(f'.part-{path.name}')
        try:
            write_heatmap(part, shown.heatmap, shown.shape, shown.strongest, about)
            part.replace(path)
        finally:
            with suppress(OSError):
                part.unlink()

    return _written(path, write)


def _written(path: Path, write: Callable[[], None]) -> Failure | None:
    try:
        write()
    except (OSError, ValueError) as error:
        reason = getattr(error, 'strerror', None) or str(error)
        return Failure(f'{path} cannot be written: {reason}. Choose another place.', '')
    return None


def _folder() -> Path:
    found = Path(preferences('layers').picture_folder or Path.home())
    return found if found.is_dir() else Path.home()
