"""A magnifier that follows the cursor over a radiograph."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Image
from qtpy.QtCore import QEvent, QObject, QPoint, QRect, Qt
from qtpy.QtGui import QColor, QImage, QPainter, QPainterPath, QPaintEvent, QPen
from qtpy.QtWidgets import QApplication, QOpenGLWidget, QWidget

from napari_cxr.plugin.radiograph.pixel_values import brightness

__all__ = ['MAGNIFICATION', 'Magnifier', 'canvas_under_mouse', 'magnified']

#: Of the magnifier over what lies beneath it.
MAGNIFICATION = 2.5
#: Width and height, in pixels of the canvas.
_SIZE = 240


def magnified(
    layer: Image, position: Any, zoom: float, size: int, magnification: float
) -> np.ndarray:
    """Draw a square part of an image larger than the canvas shows it.

    Parameters
    ----------
    layer : napari.layers.Image
        A grey or colour image of two dimensions.
    position : sequence of float
        The middle, in the world.
    zoom : float
        Pixels of the canvas to a unit of the world.
    size : int
        Height and width of the picture, in pixels of the canvas.
    magnification : float
        How much larger it is drawn.

    Returns
    -------
    ndarray of uint8, shape (size, size) or (size, size, 3)
        Black beside the image.
    """
    from scipy.ndimage import map_coordinates

    data = np.asarray(layer.data[0] if layer.multiscale else layer.data)
    center = np.asarray(position, float)[-2:]
    corner = [
        np.asarray(layer.world_to_data(center + step))[-2:] for step in ([0, 0], [1, 0], [0, 1])
    ]
    to_data = np.column_stack([corner[1] - corner[0], corner[2] - corner[0]])
    away = (np.arange(size) - (size - 1) / 2) / (zoom * magnification)
    down, right = np.meshgrid(away, away, indexing='ij')
    places = corner[0][:, None] + to_data @ np.stack([down.ravel(), right.ravel()])
    low = np.maximum(np.floor(places.min(axis=1)).astype(int) - 1, 0)
    high = np.minimum(np.ceil(places.max(axis=1)).astype(int) + 2, data.shape[:2])
    if (high <= low).any():
        return np.zeros((size, size), np.uint8)
    part = data[low[0] : high[0], low[1] : high[1]]
    places -= low[:, None]
    limits = np.array(part.shape[:2])[:, None] - 0.5
    inside = ((places >= -0.5) & (places <= limits)).all(axis=0).reshape(size, size)
    if layer.rgb:
        channels = [
            map_coordinates(part[..., c], places, order=1, mode='nearest') for c in range(3)
        ]
        picture = np.stack(channels, axis=-1).reshape(size, size, 3)
        return np.where(inside[..., None], picture, 0).astype(np.uint8)
    values = map_coordinates(part.astype(np.float32), places, order=1, mode='nearest')
    grey = np.asarray(brightness(layer, values)).reshape(size, size)
    return np.asarray(np.round(255 * np.where(inside, grey, 0)), np.uint8)


class Magnifier(QWidget):
    """A round lens on the canvas; the mouse reaches through it.

    Parameters
    ----------
    canvas : QWidget
        napari's canvas.
    """

    def __init__(self, canvas: QWidget) -> None:
        super().__init__(canvas)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setFixedSize(_SIZE, _SIZE)
        self.setAccessibleName('Magnifier')
        self._picture: QImage | None = None
        canvas.installEventFilter(self)
        self.hide()

    def look_at(
        self, layer: Image, position: Any, pixel: tuple[float, float], zoom: float
    ) -> None:
        """Show what lies at a place of the world, around a pixel (x, y) of the canvas."""
        drawn = np.ascontiguousarray(magnified(layer, position, zoom, _SIZE, MAGNIFICATION))
        form = QImage.Format.Format_RGB888 if drawn.ndim == 3 else QImage.Format.Format_Grayscale8
        stride = drawn.shape[1] * (3 if drawn.ndim == 3 else 1)
        self._picture = QImage(drawn.tobytes(), _SIZE, _SIZE, stride, form).copy()
        self.move(QPoint(round(pixel[0]) - _SIZE // 2, round(pixel[1]) - _SIZE // 2))
        self.show()
        self.raise_()
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw the picture in a ring."""
        if self._picture is None:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        round_ = QPainterPath()
        ring = QRect(2, 2, _SIZE - 4, _SIZE - 4)
        round_.addEllipse(ring.toRectF())
        painter.setClipPath(round_)
        painter.drawImage(0, 0, self._picture)
        painter.setClipping(False)
        painter.setPen(QPen(QColor(235, 235, 235, 220), 2))
        painter.drawEllipse(ring)
        painter.end()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Go with the cursor when it leaves the canvas."""
        if event is not None and event.type() == QEvent.Type.Leave:
            self.hide()
        return False


def canvas_under_mouse() -> QWidget | None:
    """Return napari's canvas under the mouse, or else one that is visible, if there is one."""
    seen = [
        canvas
        for window in QApplication.topLevelWidgets()
        for canvas in window.findChildren(QOpenGLWidget)
        if canvas.isVisible()
    ]
    return next((canvas for canvas in seen if canvas.underMouse()), next(iter(seen), None))
