"""Small images with captions, one of which can be chosen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from qtpy.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import (
    QFontMetricsF,
    QHelpEvent,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QResizeEvent,
)
from qtpy.QtWidgets import QSizePolicy, QToolTip, QWidget

from napari_cxr.plugin.plots.plot import quiet_text
from napari_cxr.plugin.style import theme_color

__all__ = ['ImageGrid']

_GAP = 6.0


class ImageGrid(QWidget):
    """Images in as many columns as fit.

    Parameters
    ----------
    theme : str
        Name of napari's theme.
    side : int
        Pixels that an image is wide at least; its caption stands below.
    together : int
        Columns come in multiples of it: 2 keeps pairs beside each other.
    parent : QWidget, optional
        Qt parent.
    """

    #: The number of the image that a person chose.
    chosen = Signal(int)

    def __init__(
        self, theme: str, side: int = 110, together: int = 1, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._theme, self._side, self._together = theme, side, together
        self._images: list[QImage] = []
        self._captions: tuple[str, ...] = ()
        self._current = -1
        self.setMinimumWidth(220)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName('Images')
        self._fit_height()

    def set_images(self, images: Sequence[np.ndarray], captions: Sequence[str] = ()) -> None:
        """Show images.

        Parameters
        ----------
        images : sequence of ndarray of uint8
            Each of shape (h, w), or (h, w, 3) in red, green and blue.
        captions : sequence of str
            As many, or none.
        """
        self._images = [_image(pixels) for pixels in images]
        self._captions = tuple(captions) or ('',) * len(self._images)
        if len(self._captions) != len(self._images):
            raise ValueError(
                f'{len(self._images)} images came with {len(self._captions)} captions; '
                'give one for each.'
            )
        self._current = -1
        self._describe()
        self._fit_height()
        self.update()

    @property
    def count(self) -> int:
        """How many images there are."""
        return len(self._images)

    @property
    def side(self) -> int:
        """Pixels that an image is wide at least."""
        return self._side

    def set_side(self, side: int) -> None:
        """Make the images larger or smaller; none is wider than the widget."""
        self._side = side
        self._fit_height()
        self.update()

    @property
    def columns(self) -> int:
        """In how many columns they stand."""
        fitting = int((self.width() + _GAP) // (self._side + _GAP))
        whole = fitting // self._together * self._together
        return max(whole, self._together, 1)

    def set_theme(self, theme: str) -> None:
        """Repaint in another of napari's themes."""
        self._theme = theme
        self.update()

    def box(self, number: int) -> QRectF:
        """Return where an image with its caption stands, in pixels."""
        columns, (width, height) = self.columns, self._cell()
        row, column = divmod(number, columns)
        return QRectF(column * (width + _GAP), row * (height + _GAP), width, height)

    # -- size ---------------------------------------------------------------------------

    def sizeHint(self) -> QSize:
        """Return a size at which images can be told apart."""
        return QSize(360, self.height())

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Arrange the images for the present width."""
        super().resizeEvent(event)
        self._fit_height()

    def _cell(self) -> tuple[float, float]:
        width = (self.width() - (self.columns - 1) * _GAP) / self.columns
        width = min(width, 1.9 * self._side)
        shape = max((image.height() / image.width() for image in self._images), default=1.0)
        caption = QFontMetricsF(self.font()).height() + 3 if any(self._captions) else 0.0
        return width, width * min(shape, 1.5) + caption

    def _fit_height(self) -> None:
        rows = -(-len(self._images) // self.columns)
        self.setFixedHeight(max(1, round(rows * (self._cell()[1] + _GAP))))
        self.updateGeometry()

    # -- painting -----------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw each image in its own proportions, and its caption."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        metrics = QFontMetricsF(self.font())
        caption = metrics.height() + 3 if any(self._captions) else 0.0
        for i, image in enumerate(self._images):
            box = self.box(i)
            frame = box.adjusted(0, 0, 0, -caption)
            painter.fillRect(frame, Qt.GlobalColor.black)
            factor = min(frame.width() / image.width(), frame.height() / image.height())
            size = (factor * image.width(), factor * image.height())
            left = frame.left() + (frame.width() - size[0]) / 2
            top = frame.top() + (frame.height() - size[1]) / 2
            painter.drawImage(QRectF(left, top, *size), image)
            if i == self._current:
                painter.setPen(QPen(theme_color(self._theme, 'current'), 2))
                painter.setBrush(Qt.BrushStyle.NoBrush)
                painter.drawRect(frame.adjusted(1, 1, -1, -1))
            painter.setPen(quiet_text(self._theme))
            line = QRectF(box.left(), frame.bottom() + 2, box.width(), metrics.height())
            short = metrics.elidedText(
                self._captions[i], Qt.TextElideMode.ElideMiddle, line.width()
            )
            painter.drawText(line, Qt.AlignmentFlag.AlignHCenter, short)
        painter.end()

    # -- mouse and keyboard -------------------------------------------------------------

    def event(self, event: QEvent | None) -> bool:
        """Tell whole captions in a tooltip."""
        if isinstance(event, QHelpEvent):
            at = self._at(QPointF(event.pos()))
            if at is None:
                QToolTip.hideText()
            else:
                QToolTip.showText(event.globalPos(), self._captions[at], self)
            return True
        return super().event(event)

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Choose the image under the mouse."""
        if event is None or event.button() != Qt.MouseButton.LeftButton:
            return
        at = self._at(event.position())
        if at is not None:
            self._move_to(at)
            self.chosen.emit(at)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Move with the arrow keys, choose with Return."""
        if event is None or not self._images:
            return
        step = {
            Qt.Key.Key_Left: -1,
            Qt.Key.Key_Right: 1,
            Qt.Key.Key_Up: -self.columns,
            Qt.Key.Key_Down: self.columns,
        }.get(Qt.Key(event.key()))
        if step is not None:
            to = 0 if self._current < 0 else self._current + step
            if 0 <= to < len(self._images):
                self._move_to(to)
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self._current >= 0:
            self.chosen.emit(self._current)
        else:
            super().keyPressEvent(event)

    def _at(self, point: QPointF) -> int | None:
        return next((i for i in range(len(self._images)) if self.box(i).contains(point)), None)

    def _move_to(self, number: int) -> None:
        self._current = number
        self._describe()
        self.update()

    def _describe(self) -> None:
        caption = self._captions[self._current] if self._current >= 0 else ''
        self.setAccessibleDescription(caption or f'{len(self._images)} images')


def _image(pixels: np.ndarray) -> QImage:
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or pixels.shape[2:] not in ((), (3,)):
        raise ValueError(
            f'An image is uint8 of shape (h, w) or (h, w, 3), not {pixels.dtype} of shape '
            f'{pixels.shape}.'
        )
    pixels = np.ascontiguousarray(pixels)
    height, width = pixels.shape[:2]
    grey = pixels.ndim == 2
    kind = QImage.Format.Format_Grayscale8 if grey else QImage.Format.Format_RGB888
    # The copy owns its bytes; the array may go.
    return QImage(pixels.tobytes(), width, height, width * (1 if grey else 3), kind).copy()
