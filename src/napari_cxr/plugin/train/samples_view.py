"""A few training images as they are, and as a run would change them."""

from __future__ import annotations

import numpy as np
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_cxr.plugin.plots import ImageGrid
from napari_cxr.plugin.text import quiet_label

__all__ = ['SamplesView']

_SMALL, _LARGE = 96, 230


class SamplesView(QWidget):
    """Pairs of images; a click on any makes all large or small.

    Parameters
    ----------
    theme : str
        Name of napari's theme.
    parent : QWidget, optional
        Qt parent.
    """

    def __init__(self, theme: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.note = quiet_label()
        self.grid = ImageGrid(theme, _SMALL, together=2)
        self.grid.setAccessibleName('Sample images, as they are and changed')
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addWidget(self.note)
        layout.addWidget(self.grid)
        self.grid.chosen.connect(self._enlarge)
        self.clear()

    def set_theme(self, theme: str) -> None:
        """Follow another of napari's themes."""
        self.grid.set_theme(theme)

    def clear(self) -> None:
        """Show none."""
        self.grid.set_images([])
        self.note.setText('Samples appear here once the images have been looked at.')

    def show_samples(self, samples: np.ndarray) -> None:
        """Show samples.

        Parameters
        ----------
        samples : ndarray of uint8
            Each image as it is and changed: shape (n, 2, h, w), or (n, 2, h, w, 3) in red,
            green and blue, or (k, n, 2, h, w, 3), where a second picture of each (k = 2)
            draws hue, saturation and value as red, green and blue.
        """
        pictures = np.asarray(samples)
        if pictures.ndim == 4 or (pictures.ndim == 5 and pictures.shape[-1] == 3):
            pictures = pictures[None]
        if pictures.ndim not in (5, 6) or pictures.shape[2] != 2:
            raise ValueError(
                f'Samples have the shape (n, 2, h, w), with 3 colours at the end or without, '
                f'not {np.asarray(samples).shape}.'
            )
        kinds = ('', ' (hue, saturation, value)')
        images, captions = [], []
        for number in range(pictures.shape[1]):
            for picture, kind in zip(pictures, kinds, strict=False):
                images += list(picture[number])
                captions += [f'as it is{kind}', f'changed{kind}']
        self.grid.set_images(images, captions)
        same = bool((pictures[:, :, 0] == pictures[:, :, 1]).all())
        self.note.setText(
            'The recipe changes nothing: the network sees each image as it is, every time.'
            if same
            else 'Each image as it is, and one of the ways in which training changes it. '
            'Click to enlarge.'
        )

    def _enlarge(self) -> None:
        self.grid.set_side(_LARGE if self.grid.side == _SMALL else _SMALL)
