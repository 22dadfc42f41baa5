"""How large a radiograph is drawn: fitted, pixel by pixel, or as large as it is."""

from __future__ import annotations

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image
from qtpy.QtGui import QGuiApplication

from napari_cxr.plugin.layers import KEY
from napari_cxr.plugin.radiographs_on_show import watch_viewer
from napari_cxr.radiograph import Geometry, Radiograph, SpacingSource

__all__ = ['fit', 'geometry_of', 'real_size', 'real_size_problem', 'spacing_text', 'whole_pixels']

#: Millimetres in an inch.
_INCH = 25.4


def geometry_of(layer: Image) -> Geometry:
    """Return the spacing of a radiograph, and where it comes from, as its layer is now."""
    radiograph = layer.metadata.get(KEY, {}).get('radiograph')
    return radiograph.geometry if isinstance(radiograph, Radiograph) else Geometry()


def spacing_text(geometry: Geometry) -> str:
    """Return the spacing in words, with its kind; never more than the header says."""
    if geometry.spacing is None:
        return 'No pixel spacing: sizes are in pixels.'
    row, column = geometry.spacing
    size = f'{row:.4g} mm' if np.isclose(row, column) else f'{row:.4g} x {column:.4g} mm'
    kind = str(geometry.source)
    kind = {
        SpacingSource.CALIBRATED: 'calibrated to the patient',
        SpacingSource.AS_STATED: 'as stated in the header, of unknown calibration',
        SpacingSource.DETECTOR: 'measured at the detector: the anatomy itself is smaller',
    }.get(geometry.source, kind)
    return f'{size} per pixel, {kind}.'


def fit(viewer: ViewerModel, base: Image) -> None:
    """Fit the view to a radiograph."""
    watch_viewer(viewer).fit(base)


def whole_pixels(viewer: ViewerModel, base: Image) -> None:
    """Draw a pixel of the radiograph, on its shorter side, as a pixel of the screen."""
    world = _world_per_pixel(base)
    viewer.scene.camera.zoom = 1 / (min(world) * _device_pixels())


def real_size(viewer: ViewerModel, base: Image) -> None:
    """Draw a radiograph as large as its spacing says, by the screen's own size.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer.
    base : napari.layers.Image
        A radiograph with a spacing, see `real_size_problem`.
    """
    spacing = geometry_of(base).spacing
    if spacing is None:
        return
    millimetres = min(s / w for s, w in zip(spacing, _world_per_pixel(base), strict=True))
    screen = QGuiApplication.primaryScreen()
    dots = screen.physicalDotsPerInch() if screen is not None else 96.0
    viewer.scene.camera.zoom = millimetres * dots / _INCH / _device_pixels()


def real_size_problem(base: Image) -> str:
    """Return why a radiograph cannot be drawn in its real size; empty if it can."""
    if geometry_of(base).spacing is None:
        return 'The file has no pixel spacing, so its real size is not known.'
    return ''


def _world_per_pixel(base: Image) -> tuple[float, float]:
    """Return height and width of a pixel in the world."""
    origin, down, right = (
        np.asarray(base.data_to_world(point))[-2:]
        for point in (
            np.zeros(base.ndim),
            np.eye(base.ndim)[-2],
            np.eye(base.ndim)[-1],
        )
    )
    return float(np.linalg.norm(down - origin)), float(np.linalg.norm(right - origin))


def _device_pixels() -> float:
    """Return pixels of the screen to one of Qt's."""
    screen = QGuiApplication.primaryScreen()
    return screen.devicePixelRatio() if screen is not None else 1.0
