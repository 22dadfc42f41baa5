"""Boxes and points that a reader draws on what they see, saved beside the image as JSON."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Points, Shapes
from qtpy.QtWidgets import QFormLayout, QHBoxLayout, QLineEdit, QPushButton, QWidget

from napari_cxr.checkpoint.model_file import write_atomic
from napari_cxr.checkpoint.model_images import image_digest
from napari_cxr.explain.expert_regions import (
    ExpertRegions,
    MarkedRegion,
    read_regions,
    regions_path,
    regions_to_json,
)
from napari_cxr.plugin.background import Failure, JobOutcome, run_job
from napari_cxr.plugin.base_dock import Dock
from napari_cxr.plugin.docks import unwrap_viewer
from napari_cxr.plugin.layers import KEY, lay_on, path_of
from napari_cxr.plugin.lungs_controller import chosen_radiograph
from napari_cxr.plugin.radiograph_views import views_of
from napari_cxr.plugin.source_file import shows_other_pixels
from napari_cxr.plugin.style import quiet_label
from napari_cxr.plugin.widgets.sections import fill_dock
from napari_cxr.plugin.widgets.text import InlineMessage
from napari_cxr.radiograph import Radiograph

__all__ = ['RegionsDock']

_COLOUR = '#39d0c8'

_NO_IMAGE = 'Open a chest radiograph from a file first.'

_READY = (
    'Draw a box around what you see, or set a point on it, before you look at a heatmap. Regions '
    'are saved beside the image as {name}.'
)


class RegionsDock(Dock):
    """Draw boxes and points on the chosen radiograph, and save them.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        The viewer; a bare `ViewerModel` does as well.
    """

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__(unwrap_viewer(napari_viewer))
        self._drawn: WeakKeyDictionary[Image, tuple[Shapes, Points]] = WeakKeyDictionary()
        self.finding = QLineEdit()
        self.finding.setAccessibleName('Finding')
        self.finding.setPlaceholderText('any')
        self.finding.setToolTip('What you mark, as the model calls it; empty for any finding')
        self.reader = QLineEdit()
        self.reader.setAccessibleName('Reader')
        self.reader.setToolTip('Your initials or a number, so that readers can be told apart')
        self.boxes = QPushButton('Draw boxes')
        self.points = QPushButton('Set points')
        self.save = QPushButton('Save regions')
        self.save.setObjectName('accent')
        self.save.setMinimumHeight(34)
        self.status = quiet_label()
        self.message = InlineMessage()
        form = QWidget()
        rows = QFormLayout(form)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addRow('Finding', self.finding)
        rows.addRow('Reader', self.reader)
        both = QWidget()
        line = QHBoxLayout(both)
        line.setContentsMargins(0, 0, 0, 0)
        line.addWidget(self.boxes)
        line.addWidget(self.points)
        fill_dock(self, form, both, self.save, self.status, self.message)
        self.boxes.clicked.connect(partial(self.draw, boxes=True))
        self.points.clicked.connect(partial(self.draw, boxes=False))
        self.save.clicked.connect(self.save_regions)
        self.finding.textChanged.connect(self._set_finding)
        layers = self.viewer.layers
        for event in (layers.events.inserted, layers.events.removed, layers.selection.events):
            event.connect(self._update)
        self._update()

    # -- which image --------------------------------------------------------------------

    @property
    def radiograph(self) -> Image | None:
        """The radiograph's layer that is marked."""
        found = chosen_radiograph(self.viewer)
        if found is None:
            for base, drawn in self._drawn.items():
                if self.viewer.layers.selection.active in drawn:
                    return base
        return found

    def _file(self, layer: Image | None) -> Path | None:
        path = '' if layer is None else path_of(layer) or layer.source.path or ''
        return Path(path) if path and Path(path).is_file() else None

    def _update(self, event: Any = None) -> None:
        layer = self.radiograph
        file = self._file(layer)
        ready = file is not None and layer is not None
        for button in (self.boxes, self.points, self.save):
            button.setEnabled(ready)
        name = '' if file is None else regions_path(file).name
        self.status.setText(_READY.format(name=name) if ready else _NO_IMAGE)

    # -- drawing ------------------------------------------------------------------------

    def draw(self, *_: object, boxes: bool) -> None:
        """Let the person draw boxes, or set points, on the chosen radiograph."""
        layer = self.radiograph
        if layer is None:
            return
        shapes, points = self._layers_on(layer)
        wanted: Shapes | Points = shapes if boxes else points
        self._set_finding()
        self.viewer.layers.selection.active = wanted
        wanted.mode = 'add_rectangle' if boxes else 'add'

    def _layers_on(self, base: Image) -> tuple[Shapes, Points]:
        """Return the layers for boxes and points, with what was saved earlier."""
        there = self._drawn.get(base)
        if there is not None and all(layer in self.viewer.layers for layer in there):
            return there
        rows = base.data.shape[0]
        features = {'finding': np.empty(0, dtype=object)}
        common: dict[str, Any] = {
            'ndim': 2,
            'features': features,
            'feature_defaults': {'finding': self.finding.text().strip()},
            'text': {
                'string': '{finding}',
                'color': _COLOUR,
                'size': 10,
                'anchor': 'upper_left',
                'translation': [-rows / 50, 0],
            },
            'metadata': {KEY: {'regions': True, 'drawn_by_person': True}},
            'axis_labels': base.axis_labels,
        }
        shapes = Shapes(
            name='Marked regions',
            edge_color=_COLOUR,
            face_color='transparent',
            edge_width=max(rows / 300, 0.5),
            **common,
        )
        points = Points(
            name='Marked points',
            face_color=_COLOUR,
            border_color='black',
            size=max(rows / 60, 2),
            **common,
        )
        for layer in (shapes, points):
            for name in ('scale', 'translate', 'rotate', 'shear', 'affine', 'units'):
                setattr(layer, name, getattr(base, name))
            lay_on(layer, base)
        self._load(base, shapes, points)
        self._drawn[base] = shapes, points
        for layer in (shapes, points):
            views_of(self.viewer).drawings.follow(layer)
        self.viewer.layers.append(shapes)
        self.viewer.layers.append(points)
        return shapes, points

    def _load(self, base: Image, shapes: Shapes, points: Points) -> None:
        """Draw what was saved earlier; a file that is damaged is told of, and kept."""
        file = self._file(base)
        if file is None or not regions_path(file).exists():
            return
        try:
            saved = read_regions(regions_path(file))
        except (OSError, ValueError) as error:
            self.message.show_error(
                f'{regions_path(file).name} cannot be read: {error} Move it elsewhere before you '
                'save.'
            )
            return
        for region in saved.regions:
            layer: Any = points if region.is_point else shapes
            layer.feature_defaults = {'finding': region.label}
            if region.is_point:
                points.add([region.corners[:2]])
            else:
                shapes.add_rectangles([np.reshape(region.corners, (2, 2))])
        self.reader.setText(self.reader.text() or saved.reader)

    def _set_finding(self, *_: object) -> None:
        """Let what is drawn next be of the finding in the field."""
        layer = self.radiograph
        for drawn in self._drawn.get(layer, ()) if layer is not None else ():
            drawn.feature_defaults = {'finding': self.finding.text().strip()}

    # -- saving -------------------------------------------------------------------------

    def save_regions(self) -> None:
        """Save what is drawn on the chosen radiograph beside its file."""
        layer = self.radiograph
        file = self._file(layer)
        if layer is None or file is None:
            return
        self.message.clear()
        radiograph = layer.metadata.get(KEY, {}).get('radiograph')
        moved = isinstance(radiograph, Radiograph) and radiograph.correction.moves
        if moved or shows_other_pixels(layer):
            self.message.show_error(
                'The layer shows other pixels than its file, or has been mirrored or turned for '
                'the model, so its regions would lie elsewhere on the file. Open the file anew, '
                'and draw on that.'
            )
            return
        regions = _regions_in(*self._layers_on(layer))
        shape = int(layer.data.shape[0]), int(layer.data.shape[1])
        reader = self.reader.text().strip()
        self.save.setEnabled(False)
        run_job(
            self,
            partial(_write, file, shape, regions, reader),
            'Saving the regions',
            done=self._saved,
            ended=self.settled.emit,
        )

    def _saved(self, outcome: JobOutcome | Failure) -> None:
        self._update()
        if isinstance(outcome, Failure):
            self.message.show_error(outcome.text, outcome.details)
            return
        name, count = outcome.result
        self.status.setText(f'{count} region{"" if count == 1 else "s"} saved as {name}.')


def _regions_in(shapes: Shapes, points: Points) -> tuple[MarkedRegion, ...]:
    found = []
    for corners, label in zip(shapes.data, shapes.features['finding'], strict=True):
        low, high = np.min(corners, axis=0)[-2:], np.max(corners, axis=0)[-2:]
        box = float(low[0]), float(low[1]), float(high[0]), float(high[1])
        found.append(MarkedRegion(str(label), box))
    for place, label in zip(points.data, points.features['finding'], strict=True):
        y, x = float(place[-2]), float(place[-1])
        found.append(MarkedRegion(str(label), (y, x, y, x)))
    return tuple(found)


def _write(
    file: Path, shape: tuple[int, int], regions: tuple[MarkedRegion, ...], reader: str
) -> tuple[str, int]:
    """Write regions beside an image; return the file's name and how many there are."""
    path = regions_path(file)
    content = regions_to_json(ExpertRegions(image_digest(file), shape, regions, reader))
    write_atomic(path, content.encode())
    return path.name, len(regions)
